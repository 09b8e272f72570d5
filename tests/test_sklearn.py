"""scikit-learn's own checks, and its tools, on the two estimators a user meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from askew import Askew
from askew.deep import DeepSAD, Detector
from askew.labels import LabelledKFold
from askew.rankers import Blend, IsolationTrees

EXPECTED = {
    "check_classifiers_classes": "passes -1 as a class, which is 'not looked at' here; "
    "scikit-learn exempts its own semi-supervised classes from it by name",
}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [Detector(random_state=0), Askew(random_state=0)],
    expected_failed_checks=lambda estimator: EXPECTED,
)
# Two neighboring integers are read as classes with a warning, and some of the checks' tables are
# noise, on which a fit says that it learned nothing.
@pytest.mark.filterwarnings("ignore::askew.errors.AskewWarning")
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def few_labels() -> tuple[Any, Any]:
    """Give (200, 5) rows, 15 of them far out, with ten verdicts of each kind and -1 elsewhere."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    X[:15] += 4
    y = np.full(200, -1)
    y[:10], y[100:110] = 1, 0
    return X, y


@pytest.mark.parametrize("scoring", ["average_precision", "roc_auc"])
def test_a_grid_search_runs_with_minus_one_in_y(scoring: str) -> None:
    X, y = few_labels()
    search = GridSearchCV(
        Detector(DeepSAD(hidden=(8, 4)), epochs=10, random_state=0),
        {"method__eta": [0.5, 2.0]},
        scoring=scoring,
        cv=LabelledKFold(3),
    )
    search.fit(X, y)
    assert search.best_params_["method__eta"] in (0.5, 2.0)
    assert search.best_score_ > 0.9
    assert (search.cv_results_["mean_test_score"] > 0.5).all()


def test_askew_cross_validates_on_a_frame() -> None:
    X, y = few_labels()
    table = pd.DataFrame(X, columns=list("abcde"))
    scores = cross_val_score(
        Askew(IsolationTrees(n_trees=50, random_state=0)), table, y, cv=LabelledKFold(3)
    )
    assert scores.mean() > 0.9


def test_a_pipeline_ranks() -> None:
    X, y = few_labels()
    pipeline = make_pipeline(StandardScaler(), Blend(random_state=0)).fit(X, y)
    order = np.argsort(-pipeline.decision_function(X))
    assert set(order[:15]) == set(range(15))


def test_score_is_average_precision_on_the_labelled_rows() -> None:
    X, y = few_labels()
    for model in (
        Detector(DeepSAD(hidden=(4,)), epochs=5, random_state=0),
        Askew(IsolationTrees(n_trees=20, random_state=0)),
    ):
        scores = model.fit(X, y).decision_function(X)
        known = y >= 0
        ranks = np.argsort(np.argsort(-scores[known])) + 1
        hits = np.sort(ranks[y[known] == 1])
        expected = np.mean(np.arange(1, len(hits) + 1) / hits)
        assert model.score(X, y) == pytest.approx(expected)
        assert model.score(X, y) > 0.9 > model.score(X, np.where(known, 1 - y, -1))
