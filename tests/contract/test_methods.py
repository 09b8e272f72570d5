"""The same questions asked of every method."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import askew
from askew.deep import METHODS, Detector, Method
from askew.deep.method import Batch
from askew.deep.nets import Net
from askew.deep.train import score, spawn, torch_threads, train
from askew.errors import FitError, LabelError
from askew.labels import Label
from tests.contract.cases import CASES, QUICK, D, full_batch, prepared, rolled, table, truth

# Two epochs are enough to ask most questions, and not enough for every loss to fall.
pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
cases = pytest.mark.parametrize("name", CASES)


def gradient(method: Method, net: Net, batch: Batch, term: str | None = None) -> torch.Tensor:
    terms = method.terms(net, batch)
    chosen = [t for name, t in terms.items() if term in (None, name)]
    loss = torch.stack([t.cost() for t in chosen]).sum()
    parameters = list(method.trainable(net))
    grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros(1), *(g.flatten() for g in grads if g is not None)])


def test_every_registered_method_is_a_case() -> None:
    assert {type(make()).__name__ for make in CASES.values()} == set(METHODS)


@cases
def test_labels_matter_exactly_where_they_are_used(name: str) -> None:
    method = CASES[name]()
    net, batch = prepared(method), full_batch(method)
    before, after = gradient(method, net, batch), gradient(method, net, rolled(batch))
    assert torch.equal(before, after) == (method.uses == ())


@cases
def test_every_term_is_per_row_finite_and_alive(name: str) -> None:
    method = CASES[name]()
    net, batch = prepared(method), full_batch(method)
    for term, value in method.terms(net, batch).items():
        assert value.loss.dim() == 2, term
        assert len(value.loss) == 2, term
        assert value.about is None or value.about.shape == value.loss.shape, term
        assert value.loss.isfinite().all(), term
        assert gradient(method, net, batch, term).abs().max() > 0, term


@cases
def test_terms_are_pure(name: str) -> None:
    method = CASES[name]()
    net, batch = prepared(method).eval(), full_batch(method)
    before = torch.get_rng_state()
    first = {k: t.loss.clone() for k, t in method.terms(net, batch).items()}
    again = {k: t.loss for k, t in method.terms(net, batch).items()}
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert torch.equal(before, torch.get_rng_state())


@cases
def test_members_trained_together_equal_members_trained_alone(name: str) -> None:
    x, label = table(dtype=torch.float64)
    method = CASES[name]()
    together, _ = train(method, x, label, generators=spawn(5, 3), epochs=3, batch_size=50)
    stacked = score(method, together, x)
    for i in range(3):
        alone, _ = train(
            method, x, label, generators=spawn(5, 3)[i : i + 1], epochs=3, batch_size=50
        )
        torch.testing.assert_close(score(method, alone, x)[0], stacked[i], rtol=1e-9, atol=1e-9)
    assert (stacked[0] != stacked[1]).any()


def test_a_member_is_the_same_in_an_ensemble_of_another_size() -> None:
    draws = [torch.rand(5, generator=spawn(9, members)[1]) for members in (2, 40)]
    assert torch.equal(*draws)


@cases
def test_state_is_all_there_is(name: str) -> None:
    x, label = table()
    method = CASES[name]()
    net, _ = train(method, x, label, generators=spawn(0, 2), epochs=2)
    other = CASES[name]().network((D,), spawn(123, 2))
    other.load_state_dict(net.state_dict())
    assert torch.equal(score(method, other, x), score(method, net, x))
    assert all(value.shape[0] == 2 for value in net.state_dict().values()), "no member axis"


def test_a_fresh_process_scores_a_saved_detector_alike(tmp_path: Path) -> None:
    X, y = (t.numpy() for t in table())
    expected = {}
    for i, (name, make) in enumerate(CASES.items()):
        detector = Detector(make(), members=2, epochs=2, random_state=i).fit(X, y)
        askew.save(detector, tmp_path / f"{i}.askew")
        expected[f"{i}.askew"] = (name, detector.decision_function(X).tolist())
    np.save(tmp_path / "X.npy", X)
    script = (
        "import askew, json, sys, numpy as np, pathlib\n"
        "home = pathlib.Path(sys.argv[1]); X = np.load(home / 'X.npy')\n"
        "print(json.dumps({p.name: askew.load(p).decision_function(X).tolist()"
        " for p in home.glob('*.askew')}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    got = json.loads(ran.stdout)
    for file, (name, scores) in expected.items():
        assert got[file] == scores, name


@cases
def test_rows_are_scored_independently(name: str) -> None:
    X, y = (t.numpy() for t in table())
    detector = Detector(CASES[name](), members=2, epochs=2, random_state=0).fit(X, y)
    many = np.tile(X, (10, 1))  # more than one chunk
    scores = detector.decision_function(many)
    order = np.random.default_rng(1).permutation(len(many))
    np.testing.assert_array_equal(detector.decision_function(many[order]), scores[order])
    np.testing.assert_array_equal(detector.decision_function(many[:1]), scores[:1])
    np.testing.assert_array_equal(detector.decision_function(many[5:100]), scores[5:100])
    with torch_threads(2):
        np.testing.assert_array_equal(detector.decision_function(many), scores)


@cases
def test_nothing_leaks(name: str) -> None:
    X, y = (t.numpy() for t in table())
    X_before, y_before = X.copy(), y.copy()
    detector = Detector(CASES[name](), members=2, epochs=2, random_state=4)
    params = str(detector.get_params(deep=True))
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  # the global state is what is looked at
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    first = detector.fit(X, y).decision_function(X)
    now = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(states[0], now[0])
    assert states[1] == now[1]
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    assert str(detector.get_params(deep=True)) == params
    torch.manual_seed(99)
    np.testing.assert_array_equal(clone(detector).fit(X, y).decision_function(X), first)
    np.testing.assert_array_equal(detector.fit(X, y).decision_function(X), first)
    other = clone(detector).set_params(random_state=5).fit(X, y).decision_function(X)
    assert (other != first).any()


@cases
def test_it_can_learn(name: str) -> None:
    X, y = (t.numpy() for t in table())
    unseen = y == Label.UNLABELED
    settings: dict[str, Any] = {"epochs": 30, **QUICK.get(name, {})}
    detector = Detector(CASES[name](), members=3, random_state=0, **settings).fit(X, y)
    scores = detector.decision_function(X)
    assert roc_auc_score(truth().numpy()[unseen], scores[unseen]) > 0.7
    assert len(np.unique(scores)) == len(X)


@cases
def test_a_missing_kind_of_label_is_refused_or_done_without(name: str) -> None:
    X, y = (t.numpy() for t in table())
    method = CASES[name]()
    nothing_known = np.full_like(y, Label.UNLABELED)
    detector = Detector(method, epochs=2, random_state=0)
    if Label.ANOMALY in method.needs:
        with pytest.raises(FitError, match="at least one row labelled anomaly"):
            detector.fit(X, nothing_known)
    else:
        assert np.isfinite(detector.fit(X, nothing_known).decision_function(X)).all()


@cases
def test_odd_input_is_refused_with_a_reason(name: str) -> None:
    X, y = (t.numpy() for t in table())
    detector = Detector(CASES[name](), epochs=2, random_state=0)
    with pytest.raises(ValueError, match="minimum of 2"):
        detector.fit(X[:1], y[:1])
    hole = X.copy()
    hole[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        detector.fit(hole, y)
    with pytest.raises(LabelError, match="2"):
        detector.fit(X, np.where(y == 1, 2, y))
    with pytest.raises(ValueError, match="features"):
        detector.fit(X, y).decision_function(X[:, :4])


@cases
def test_a_constant_column_does_no_harm(name: str) -> None:
    x, label = table()
    X = np.hstack([x.numpy(), np.full((len(x), 1), 7.0, np.float32)])
    detector = Detector(CASES[name](), epochs=5, random_state=0).fit(X, label.numpy())
    assert np.isfinite(detector.decision_function(X)).all()
