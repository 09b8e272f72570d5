"""Every wrapper over every method, and wrappers over wrappers: they train, or say why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import askew
from askew.deep import (
    METHODS,
    AnoOnly,
    DeepSAD,
    Detector,
    Method,
    Reconstruct,
    ScoreGuided,
    Wrapper,
)
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from askew.labels import LabelledKFold
from tests.contract.cases import BASES, PAIRS, TAKES, WRAPPERS, full_batch, prepared, rolled, table
from tests.contract.test_methods import gradient

pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
pairs = pytest.mark.parametrize("name", PAIRS)


def test_all_methods_and_wrappers_are_paired() -> None:
    wrappers = {name for name, kind in METHODS.items() if issubclass(kind, Wrapper)}
    assert set(WRAPPERS) == wrappers == set(TAKES)
    assert set(BASES) == set(METHODS) - wrappers


@pytest.mark.parametrize(
    ("wrapper", "base"),
    [(w, b) for w in WRAPPERS for b in BASES if b not in TAKES[w]],
)
def test_what_makes_no_sense_is_refused_at_construction_with_a_reason(
    wrapper: str, base: str
) -> None:
    with pytest.raises(MethodError, match=rf"^{wrapper} cannot wrap {base}: \w+.{{20}}"):
        WRAPPERS[wrapper](BASES[base]())


@pairs
def test_a_pair_trains_uses_its_labels_and_comes_back_from_a_file(
    name: str, tmp_path: Path
) -> None:
    X, y = (t.numpy() for t in table())
    method = PAIRS[name]()
    detector = Detector(method, members=2, epochs=2, batch_size=60, random_state=0).fit(X, y)
    scores = detector.decision_function(X)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 200
    askew.save(detector, tmp_path / "m.askew")
    again = askew.load(tmp_path / "m.askew")
    np.testing.assert_array_equal(again.decision_function(X), scores)
    assert str(again.get_params()) == str(detector.get_params())
    np.testing.assert_array_equal(clone(detector).fit(X, y).decision_function(X), scores)
    np.testing.assert_array_equal(detector.decision_function(X[50:90]), scores[50:90])


@pairs
def test_every_term_of_a_pair_is_alive_and_its_verdicts_matter(name: str) -> None:
    method = PAIRS[name]()
    net, batch = prepared(method), full_batch(method)
    for term, value in method.terms(net, batch).items():
        assert value.loss.isfinite().all(), term
        assert gradient(method, net, batch, term).abs().max() > 0, term
    before, after = gradient(method, net, batch), gradient(method, net, rolled(batch))
    assert torch.equal(before, after) == (method.uses == ())


@pairs
def test_members_of_a_pair_are_as_they_are_alone(name: str) -> None:
    x, label = table(dtype=torch.float64)
    method = PAIRS[name]()
    together, _ = train(method, x, label, generators=spawn(5, 2), epochs=2, batch_size=50)
    alone, _ = train(method, x, label, generators=spawn(5, 2)[1:], epochs=2, batch_size=50)
    torch.testing.assert_close(
        score(method, together, x)[1], score(method, alone, x)[0], rtol=1e-8, atol=1e-8
    )


def test_a_grid_search_reaches_inside() -> None:
    X, y = (t.numpy() for t in table())
    search = GridSearchCV(
        Detector(AnoOnly(DeepSAD(hidden=(5,))), epochs=2, random_state=0),
        {"method__base__hidden": [(5,), (4, 2)], "method__reduce": ["anomalies", "batch"]},
        scoring="average_precision",
        cv=LabelledKFold(2),
    ).fit(X, y)
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert set(search.best_params_) == {"method__base__hidden", "method__reduce"}


def test_a_wrapper_names_what_it_holds() -> None:
    method: Method = AnoOnly(ScoreGuided(Reconstruct()))
    with pytest.raises(MethodError, match=r"ScoreGuided cannot wrap AnoOnly\(ScoreGuided\(Recon"):
        ScoreGuided(method)
