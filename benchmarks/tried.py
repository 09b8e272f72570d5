"""What changes the default for better or worse: ideas on splits that no figure is reported on.

::

    make bench-tried
    python benchmarks/tried.py --settings count5 --seeds 10 --tables WBC glass
    python benchmarks/tried.py --report

Each run fits the default, then what an idea adds or replaces, on the same rows and labels, and
blends anew. Seeds are 10 and up: nothing is chosen on the splits of docs/results/quality.md.
One JSON line a run, resumable; ``--report`` writes benchmarks/tried.jsonl, which that page shows.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jsonl
import numpy as np
from numpy.typing import NDArray
from quality import LEFT_OUT, ROOT, SETTINGS, labels, panel
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from askew.rankers import (
    ActiveBlend,
    BaggedBoosting,
    BaggedTrees,
    Blend,
    KernelLogistic,
)
from askew.rankers.blend import CLEAN, HARDY, OUTLYING
from askew.rankers.rank_space import RankSpace
from askew.rankers.whitened_space import WhitenedSpace

VERSION = 2  # raise it when the default or an idea changes
RUNS = ROOT / "benchmarks" / "runs" / "tried.jsonl"
TRIED = ROOT / "benchmarks" / "tried.jsonl"
KEYS = ("table", "setting", "seed", "version")
N_OUTLYING, N_FIRST = len(OUTLYING), len(OUTLYING) + len(HARDY)
CALLED = (
    "bagged boosting",
    "kernel logistic regression",
    "nearest neighbours in standardised columns",
    "nearest neighbours in whitened columns",
    "nearest neighbours on ranks",
    "trees on all rows",
    "trees on all rows, with more columns a cut",
)
# The default of before had eight members: no neighbours in other spaces, no trees on all rows.
BEFORE = (0.5, 0.5, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0)
FOLDS = 3

Scores = NDArray[np.float64]
Fit = Callable[[NDArray[Any], NDArray[Any]], Callable[[NDArray[Any]], Scores]]


class Trial:
    """One table, split and labelled, with the default's members fitted; scores are z-scores."""

    def __init__(self, split: Any, y: NDArray[np.int8], seed: int) -> None:
        self.x, self.new, self.y, self.seed = split.X_train, split.X_test, y, seed
        self.truth = split.y_test
        self.blend = Blend(random_state=seed).fit(self.x, y)
        self.weights = np.array([weight for _, weight, *_ in self.blend.members_])
        self.known = self.blend.member_scores(self.x)
        self.scores = self.blend.member_scores(self.new)
        first = self.known[:, :N_FIRST] @ self.weights[:N_FIRST]
        self.order = np.flatnonzero(y == -1)
        self.order = self.order[np.argsort(-first[self.order], kind="stable")]

    def suspects(self, share: float = 0.1) -> NDArray[np.bool_]:
        """Mark the rows not looked at that score highest under the members of the first step."""
        marked = np.zeros(len(self.y), bool)
        marked[self.order[: round(share * len(self.order))]] = True
        return marked

    def added(self, fit: Fit, left_out: NDArray[np.bool_], y: NDArray[np.int8]) -> Scores:
        """Give the z-scores of one more learner that sees the rows that are not left out."""
        score = fit(self.x[~left_out], y[~left_out])
        known = score(self.x)[y != 1]
        added: Scores = (score(self.new) - known.mean()) / (float(known.std()) or 1.0)
        return added

    def figures(self, scores: Scores) -> tuple[float, float]:
        """Give average precision and ROC AUC on the test part."""
        ap = average_precision_score(self.truth, scores)
        return round(float(ap), 5), round(float(roc_auc_score(self.truth, scores)), 5)


def ranker(make: Callable[..., Any], seed: int) -> Fit:
    def fit(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
        scores: Callable[[NDArray[Any]], Scores] = (
            make(random_state=seed).fit(x, y).decision_function
        )
        return scores

    return fit


def boosting_on_all(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_depth=4,
        l2_regularization=3,
        class_weight="balanced",
        max_features=0.5,
        early_stopping=False,
        random_state=0,
    )
    scores: Callable[[NDArray[Any]], Scores] = model.fit(x, y == 1).decision_function
    return scores


def linear(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
    mean, scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1)
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
    model.fit((x - mean) / scale, y == 1)
    return lambda new: np.asarray(model.decision_function((new - mean) / scale))


def distance(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
    mean, scale = x.mean(0), np.where(x.std(0) > 0, x.std(0), 1)
    nearest = NearestNeighbors(n_neighbors=11).fit((x - mean) / scale)

    def scores(new: NDArray[Any]) -> Scores:
        away: Scores = nearest.kneighbors((new - mean) / scale)[0].mean(1)
        return np.log(away + 1e-6)

    return scores


def without_verdicts(trial: Trial) -> dict[str, Scores]:
    """Blend what knows of no verdict in other ways."""
    z, w = trial.scores, trial.weights
    forest, small, away = z.T
    near = trial.added(distance, np.zeros(len(trial.y), bool), trial.y)
    return {
        "default": z @ w,
        "an isolation forest alone": forest,
        "no Mahalanobis distance": forest + small,
        "Mahalanobis distance doubled": z @ w + w[2] * away,
        "distance to the nearest ten rows beside, at 0.2": z @ w + 0.2 * near,
    }


def with_anomalies(trial: Trial) -> dict[str, Scores]:
    """Blend in other ways what learns from known anomalies."""
    z, w, y, seed = trial.scores, trial.weights, trial.y, trial.seed
    nobody = np.zeros(len(y), bool)
    base = z @ w
    first = z[:, :N_FIRST] @ w[:N_FIRST]
    out = {"default": base}
    names = ("extremely randomised trees", "a random forest's trees", *CALLED)
    for i, name in enumerate(names, N_OUTLYING):
        out[f"without {name}"] = base - w[i] * z[:, i]
    outlying = z[:, :N_OUTLYING] @ w[:N_OUTLYING]
    of_trees = [N_FIRST + 5, N_FIRST + 6]
    out["without trees on all rows at all"] = base - z[:, of_trees] @ w[of_trees]
    out["without what knows of no verdict"] = base - outlying
    out["what knows of no verdict doubled"] = base + outlying
    for name, left_out in (
        ("no suspects left out", nobody),
        ("3 % suspects", trial.suspects(0.03)),
        ("30 % suspects", trial.suspects(0.3)),
    ):
        again = [w_ * trial.added(ranker(make, seed), left_out, y) for make, w_, _ in CLEAN]
        out[name] = first + np.sum(again, axis=0)
    bolder = y.copy()
    bolder[trial.order[:1]] = 1
    left_out = trial.suspects() & (bolder != 1)
    again = [w_ * trial.added(ranker(make, seed), left_out, bolder) for make, w_, _ in CLEAN]
    out["the foremost suspect taken for an anomaly"] = first + np.sum(again, axis=0)
    suspects = trial.suspects()
    again = [w_ * trial.added(ranker(make, seed), suspects, y) for make, w_, _ in HARDY]
    hardy = z[:, N_OUTLYING:N_FIRST] @ w[N_OUTLYING:N_FIRST]
    out["bagged trees without the suspects, too"] = base - hardy + np.sum(again, axis=0)
    more = trial.added(ranker(partial(BaggedBoosting, n_bags=40), seed), suspects, y)
    out["twice the bags of boosting"] = base - z[:, N_FIRST] + more
    wider = partial(KernelLogistic, n_directions=1200, bandwidths=(0.25, 0.5, 1.0))
    kernel = trial.added(ranker(wider, seed), suspects, y)
    out["wider and more kernels"] = base - z[:, N_FIRST + 1] + kernel
    for name, fit in (
        ("boosting on all rows beside", boosting_on_all),
        ("linear logistic regression beside", linear),
        ("ActiveBlend beside", ranker(ActiveBlend, seed)),
        ("bagged trees on whitened columns beside", whitened_trees),
        ("kernel logistic regression on ranks beside", kernels_on_ranks),
    ):
        out[name] = base + trial.added(fit, suspects, y)
    learnt = w[N_OUTLYING:] * trust(trial)
    out["weights by cross-validation"] = outlying + z[:, N_OUTLYING:] @ learnt
    out["eight members, as before"] = outlying + z[:, N_OUTLYING:] @ BEFORE
    return out


def trust(trial: Trial) -> NDArray[np.float64]:
    """Weigh the learners by how high each ranks anomalies that it was not shown, (learners,)."""
    learners = (*HARDY, *CLEAN)
    anomalies = np.flatnonzero(trial.y == 1)
    if len(anomalies) < FOLDS:
        return np.ones(len(learners))
    rng = np.random.default_rng(trial.seed)
    fold = np.zeros(len(trial.y), int)
    for kind in (1, 0, -1):
        rows = rng.permutation(np.flatnonzero(trial.y == kind))
        fold[rows] = np.arange(len(rows)) % FOLDS
    suspects = trial.suspects()
    rank = np.zeros((len(trial.y), len(learners)))
    for here in range(FOLDS):
        held = fold == here
        for j, (make, *_) in enumerate(learners):
            seen = ~held & ~(suspects & (j >= len(HARDY)))
            model = make(random_state=trial.seed).fit(trial.x[seen], trial.y[seen])
            scores = model.decision_function(trial.x[held])
            others = np.sort(scores[trial.y[held] != 1])
            above = len(others) - np.searchsorted(others, scores, side="left")
            rank[held, j] = (above + 1) / (len(others) + 1)
    loss = np.log(rank[anomalies]).mean(0)
    n = len(anomalies)
    weight = np.exp(-6 * n / (n + 10) * (loss - loss.min()))
    scaled: NDArray[np.float64] = len(learners) * weight / weight.sum()
    return scaled


def whitened_trees(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
    space = WhitenedSpace.of(x)
    model = BaggedTrees(n_bags=10, random_state=0).fit(space.place(x).astype(np.float32), y)
    return lambda new: model.decision_function(space.place(new).astype(np.float32))


def kernels_on_ranks(x: NDArray[Any], y: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
    space = RankSpace.of(x, np.random.default_rng(0))
    model = KernelLogistic(random_state=0).fit(space.place(x), y)
    return lambda new: model.decision_function(space.place(new))


def run(table: str, setting: str, seed: int, tables: Any) -> jsonl.Line:
    split = tables.split(table, seed=seed, **SETTINGS[setting])
    trial = Trial(split, labels(split, setting, seed), seed)
    ideas = (with_anomalies if (trial.y == 1).any() else without_verdicts)(trial)
    return {"figures": {name: trial.figures(scores) for name, scores in ideas.items()}}


def report(lines: list[jsonl.Line]) -> None:
    """Write what each idea changed, over the runs of this version."""
    lines = [line for line in lines if line["version"] == VERSION]
    seeds = sorted({line["seed"] for line in lines})
    gains: dict[str, dict[str, list[float]]] = {}
    counts: dict[str, int] = {}
    for setting in SETTINGS:
        runs = [line["figures"] for line in lines if line["setting"] == setting]
        for name in runs[0] if runs else ():
            change = np.array([one[name] for one in runs]) - [one["default"] for one in runs]
            error = float(change[:, 0].std(ddof=1) / np.sqrt(len(runs)))
            ap, roc = change.mean(0).round(4).tolist()
            gains.setdefault(name, {})[setting] = [ap, round(error, 4), roc]
            counts[setting] = len(runs)
    told = "runs: " + ", ".join(f"{setting} {n}" for setting, n in counts.items())
    with TRIED.open("w", encoding="utf-8") as out:
        for name, by_setting in gains.items():
            if name != "default":
                line = {"idea": name, "seeds": seeds, "gains": by_setting}
                print(json.dumps(line), file=out)
    print(f"{TRIED}: {len(gains) - 1} ideas; {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS)[:5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11])
    parser.add_argument("--tables", nargs="+")
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--report", action="store_true", help="write benchmarks/tried.jsonl")
    args = parser.parse_args()
    if args.report:
        report(jsonl.read(args.out))
        return
    if min(args.seeds) < 10:
        parser.error(f"seeds are {args.seeds}; those below 10 are for docs/results/quality.md")
    warnings.simplefilter("ignore")
    tables = panel()
    runs = jsonl.Runs(args.out, KEYS)
    for setting in args.settings:
        for seed in args.seeds:
            for name in args.tables or [name for name in tables.names() if name != LEFT_OUT]:
                make = partial(run, name, setting, seed, tables)
                runs.once(make, table=name, setting=setting, seed=seed, version=VERSION)
            print(f"{setting}, seed {seed}", flush=True)


if __name__ == "__main__":
    main()
