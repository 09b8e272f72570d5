"""What Askew is measured against: rankers of other packages with their defaults, on one thread.

Classifiers take every row that is no known anomaly as normal, known normals and rows not looked at
alike. They live in ``.venv-bench``; a package that is missing stops the benchmark, for that is no
result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

Scorer = Callable[[NDArray[Any]], NDArray[Any]]
Fit = Callable[[NDArray[Any], NDArray[Any]], Scorer]


@dataclass(frozen=True)
class Peer:
    """One ranker of another package.

    Parameters
    ----------
    package
        As the package registry calls it.
    model
        Where its class is, as ``module.Class``.
    score
        Its function that gives scores.
    given
        Arguments: one thread, no output, no files, and what the name says beyond the defaults.
    seeded
        Whether it takes ``random_state``.
    labels
        Whether it learns from labels; without, it runs in the setting ``none`` alone.
    """

    package: str
    model: str
    score: str = "predict_proba"
    given: dict[str, Any] = field(default_factory=dict)
    seeded: bool = True
    labels: bool = True


def _unlabelled(name: str, file: str, *, seeded: bool = False, **given: Any) -> Peer:
    model = f"pyod.models.{file}.{name}"
    return Peer("pyod", model, "decision_function", given, seeded, labels=False)


# The order is that of a run: cheap ones first.
PEERS = {
    "sk.LogReg": Peer("scikit-learn", "sklearn.linear_model.LogisticRegression"),
    "sk.LogReg-balanced": Peer(
        "scikit-learn",
        "sklearn.linear_model.LogisticRegression",
        given={"class_weight": "balanced"},
    ),
    "lightgbm": Peer("lightgbm", "lightgbm.LGBMClassifier", given={"n_jobs": 1, "verbose": -1}),
    "xgboost": Peer("xgboost", "xgboost.XGBClassifier", given={"n_jobs": 1}),
    "sk.IsolationForest": Peer(
        "scikit-learn", "sklearn.ensemble.IsolationForest", "score_samples", labels=False
    ),
    "pyod.HBOS": _unlabelled("HBOS", "hbos"),
    "pyod.PCA": _unlabelled("PCA", "pca", seeded=True),
    "pyod.COPOD": _unlabelled("COPOD", "copod", n_jobs=1),
    "pyod.ECOD": _unlabelled("ECOD", "ecod", n_jobs=1),
    "pyod.KNN": _unlabelled("KNN", "knn", n_jobs=1),
    "pyod.LOF": _unlabelled("LOF", "lof", n_jobs=1),
    "sk.RandomForest-default": Peer("scikit-learn", "sklearn.ensemble.RandomForestClassifier"),
    # Not the defaults: with these the figures of peers.jsonl come out again to the last digit.
    "sk.RandomForest": Peer(
        "scikit-learn",
        "sklearn.ensemble.RandomForestClassifier",
        given={"n_estimators": 500, "class_weight": "balanced_subsample"},
    ),
    "catboost": Peer(
        "catboost",
        "catboost.CatBoostClassifier",
        given={"thread_count": 1, "verbose": 0, "allow_writing_files": False},
    ),
    "pyod.XGBOD": Peer("pyod", "pyod.models.xgbod.XGBOD", "decision_function"),
    "deepod.DevNet": Peer("deepod", "deepod.models.tabular.DevNet", "decision_function"),
    "deepod.DeepSAD": Peer("deepod", "deepod.models.tabular.DeepSAD", "decision_function"),
    "deepod.RoSAS": Peer("deepod", "deepod.models.tabular.RoSAS", "decision_function"),
    "deepod.PReNet": Peer("deepod", "deepod.models.tabular.PReNet", "decision_function"),
    "deepod.FeaWAD": Peer("deepod", "deepod.models.tabular.FeaWAD", "decision_function"),
}
DEEP = tuple(who for who, peer in PEERS.items() if peer.package == "deepod")  # by name only


def prepare(who: str, seed: int) -> Fit:
    """Import and make a peer; give its fit, whose scores are higher for anomalies."""
    peer = PEERS[who]
    module, _, name = peer.model.rpartition(".")
    if peer.package == "deepod":
        from methods import deepod

        learn = deepod(name, seed)
    else:
        given = peer.given | ({"random_state": seed} if peer.seeded else {})
        model = getattr(import_module(module), name)(**given)

        def learn(x: Any, y: Any) -> Any:
            return (model.fit(x, (y == 1).astype(int)) if peer.labels else model.fit(x)) or model

    def fit(x: NDArray[Any], y: NDArray[Any]) -> Scorer:
        scores = getattr(learn(x, y), peer.score)
        if peer.score == "predict_proba":
            return lambda rows: scores(rows)[:, 1]
        if peer.score == "score_samples":  # scikit-learn's are lower for anomalies
            return lambda rows: -scores(rows)
        return lambda rows: scores(rows)

    return fit
