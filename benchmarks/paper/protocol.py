"""The papers' experiments as splits: which rows train, what is known of them, which test.

Verdicts: 1 known anomaly, 0 known normal, -1 not looked at. Truth: 1 anomaly, 0 normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from askew.labels import Label

MADE = -1  # in Split.rows: a row that a protocol makes up
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Training rows with what is known of them, and test rows."""

    x: Floats  # (n, *shape)
    label: Ints  # (n,) what a method sees
    truth: Ints  # (n,) for oracles and tests only
    rows: Ints  # (n,) where each row stood in the table; MADE for one that was made up
    x_test: Floats  # (m, *shape)
    truth_test: Ints  # (m,)
    rows_test: Ints  # (m,)


class Counts(NamedTuple):
    """How many rows of each kind Deep SAD's experiments train on."""

    known_normal: int
    unlabelled_normal: int
    unlabelled_anomaly: int
    known_anomaly: int


def counts(n: int, gamma_l: float, gamma_p: float = 0.0, gamma_n: float = 0.0) -> Counts:
    """Solve for the counts, given n normal training rows, all of which are used.

    Of all N rows gamma_l are known anomalies and gamma_n known normals; of the unlabelled rows
    gamma_p are anomalies. Fractions of a row are cut off.
    """
    if not (0 <= gamma_l < 1 and 0 <= gamma_p < 1 and 0 <= gamma_n < 1):
        raise ValueError(f"gammas are {gamma_l}, {gamma_p}, {gamma_n}; expected shares in [0, 1)")
    odds = gamma_p / (1 - gamma_p)
    # N = n + odds (n - gamma_n N) + gamma_l N
    total = n * (1 + odds) / (1 - gamma_l + odds * gamma_n)
    known_normal = _floor(gamma_n * total)
    if known_normal > n:
        raise ValueError(f"gamma_n is {gamma_n}: it asks for {known_normal} of {n} normal rows")
    pollution = _floor(odds * (n - gamma_n * total))
    return Counts(known_normal, n - known_normal, pollution, _floor(gamma_l * total))


def one_class(
    x: NDArray[Any],
    kinds: Ints,
    x_test: NDArray[Any],
    kinds_test: Ints,
    *,
    normal: int,
    known: Sequence[int],
    gamma_l: float,
    gamma_p: float = 0.0,
    gamma_n: float = 0.0,
    seed: int,
) -> Split:
    """Deep SAD's image experiment: one class is normal, the others are anomalies.

    Parameters
    ----------
    x, kinds, x_test, kinds_test
        Images (n, channels, height, width) of bytes with their classes (n,). Rows of the test part
        are numbered on from those of the training part.
    normal
        The class that is normal.
    known
        The classes of which some anomalies are known; none: gamma_l counts for nothing.
    gamma_l, gamma_p, gamma_n
        See ``counts``.
    seed
        Decides all draws.

    Notes
    -----
    The known anomalies are drawn first and the hidden ones from the rest, so that no row is both.
    The authors' code draws them apart, and trains on such a row twice.
    """
    if normal in known:
        raise ValueError(f"class {normal} is normal and among the known anomalies {list(known)}")
    rng = np.random.default_rng(seed)
    ours = np.flatnonzero(kinds == normal)
    n = counts(len(ours), gamma_l, gamma_p, gamma_n)
    flagged = np.empty(0, np.int64)
    if known:
        candidates = np.flatnonzero(np.isin(kinds, known))
        flagged = _draw(rng, candidates, n.known_anomaly, f"known anomalies of {list(known)}")
    others = np.setdiff1d(np.flatnonzero(kinds != normal), flagged)
    hidden = _draw(rng, others, n.unlabelled_anomaly, "hidden anomalies")
    label = np.full(len(kinds), Label.UNLABELED, np.int64)
    label[flagged] = Label.ANOMALY
    label[rng.permutation(ours)[: n.known_normal]] = Label.NORMAL
    rows = np.sort(np.concatenate([ours, flagged, hidden]))
    return Split(
        _unit(x[rows]),
        label[rows],
        (kinds[rows] != normal).astype(np.int64),
        rows,
        _unit(x_test),
        (kinds_test != normal).astype(np.int64),
        np.arange(len(kinds), len(kinds) + len(kinds_test)),
    )


def some_kinds(normal: int, count: int, seed: int) -> tuple[int, ...]:
    """Draw ``count`` of the nine classes that are not normal."""
    others = [kind for kind in range(10) if kind != normal]
    chosen = np.random.default_rng(seed).choice(others, count, replace=False)
    return tuple(sorted(int(kind) for kind in chosen))


def odds(x: NDArray[Any], y: NDArray[Any], *, gamma_l: float, seed: int) -> Split:
    """Deep SAD's tables: 60/40 inside each class, once; all training normals, few anomalies.

    Columns go to [0, 1] by the training part. (The authors' z-score before that changes nothing.)
    They make the split twice, with one generator, and so test on rows they trained on.
    """
    rng = np.random.default_rng(seed)
    train = stratified(y, 0.6, rng)
    scaled = _minmax(x, train)
    normal = np.flatnonzero(train & (y == 0))
    n = counts(len(normal), gamma_l)
    known = _draw(rng, np.flatnonzero(train & (y == 1)), n.known_anomaly, "known anomalies")
    return _pick(scaled, y, np.concatenate([normal, known]), ~train, known)


def deviation(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    known: int = 30,
    contamination: float = 0.02,
    seed: int = 42,
) -> Split:
    """DevNet's tables: 80/20, 30 known anomalies, the others deleted, made-up ones hidden.

    ``contamination`` of the unlabelled rows are made up: one anomaly with a twentieth of its
    columns (one at least, where the authors' code would copy the row) taken from another. As in
    that code the two may be any of the table's, those of the test part among them. The split is
    the same in all runs, which differ by the network alone. Columns go to [0, 1] by the training
    part.
    """
    rng = np.random.default_rng(seed)
    train = stratified(y, 0.8, rng)
    scaled = _minmax(x, train)
    flagged = _draw(rng, np.flatnonzero(train & (y == 1)), known, "known anomalies")
    normal = np.flatnonzero(train & (y == 0))
    split = _pick(scaled, y, np.concatenate([normal, flagged]), ~train, flagged)
    extra = _floor(len(normal) * contamination / (1 - contamination))
    return _hide(split, _swap(scaled[y == 1], extra, rng), truth=1)


def embeddings(x: NDArray[Any], y: NDArray[Any], *, share: float = 0.1, seed: int) -> Split:
    """AnoOnly's tables: 1,000 to 10,000 rows, 70/30, a tenth of the training anomalies known.

    A shorter table is filled up by drawing with replacement *before* it is split, as published: a
    test row may then have its twin in training. Other anomalies stay among the unlabelled rows.
    Row numbers count the drawn rows.
    """
    rng = np.random.default_rng(seed)
    if len(y) < 1_000:
        keep = rng.choice(len(y), 1_000, replace=True)
    else:
        keep = rng.choice(len(y), min(len(y), 10_000), replace=False)
    x, y = x[keep], y[keep]
    train = stratified(y, 0.7, rng)
    anomalies = np.flatnonzero(train & (y == 1))
    known = rng.permutation(anomalies)[: math.ceil(share * len(anomalies))]
    return _pick(_minmax(x, train), y, np.flatnonzero(train), ~train, known)


def guided(table: Any, *, target: str, noise: float = 0.01, seed: int = 42) -> Split:
    """Score-guided tables: 60/20/20, one column a level, z-scores by the training part, noise.

    ``table`` is a pandas frame with the truth in column ``target``. The middle fifth, meant for
    validation, is not used. ``noise`` of the training normals are made up: a normal row with a
    twentieth of its columns taken from another. (The authors take z-scores over all rows.)
    """
    import pandas as pd

    y = table[target].to_numpy(np.int64)
    rng = np.random.default_rng(seed)
    rest = stratified(y, 0.8, rng)
    train = rest.copy()
    train[rest] = stratified(y[rest], 0.75, rng)
    columns = table.drop(columns=target)
    numeric = columns.select_dtypes("number")
    mean, deviation = numeric[train].mean(), numeric[train].std(ddof=0)
    scaled = (numeric - mean) / deviation.where(deviation > 0, 1.0)
    levels = pd.get_dummies(columns.drop(columns=list(numeric.columns)), dtype=np.float32)
    x = np.hstack([scaled.to_numpy(np.float32), levels.to_numpy(np.float32)])
    split = _pick(x, y, np.flatnonzero(train), ~rest, np.empty(0, np.int64))
    normal = split.x[split.truth == 0]
    extra = _floor(len(normal) * noise / (1 - noise))
    return _hide(split, _swap(normal, extra, rng), truth=0)


def stratified(kinds: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark ``share`` of the rows of each kind (n,)."""
    marked = np.zeros(len(kinds), bool)
    for kind in np.unique(kinds):
        rows = rng.permutation(np.flatnonzero(kinds == kind))
        marked[rows[: round(share * len(rows))]] = True
    return marked


def _pick(x: Floats, y: NDArray[Any], rows: Ints, test: NDArray[np.bool_], known: Ints) -> Split:
    """Take the rows for training, with verdicts on the known ones, and those marked for test."""
    rows = np.sort(rows)
    label = np.full(len(y), Label.UNLABELED, np.int64)
    label[known] = Label.ANOMALY
    truth, held = y.astype(np.int64), np.flatnonzero(test)
    return Split(x[rows], label[rows], truth[rows], rows, x[held], truth[held], held)


def _hide(split: Split, made: Floats, *, truth: int) -> Split:
    """Add made-up rows that nobody has looked at."""
    k = len(made)
    return replace(
        split,
        x=np.concatenate([split.x, made]),
        label=np.concatenate([split.label, np.full(k, Label.UNLABELED, np.int64)]),
        truth=np.concatenate([split.truth, np.full(k, truth, np.int64)]),
        rows=np.concatenate([split.rows, np.full(k, MADE, np.int64)]),
    )


def _swap(seeds: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Make rows: a seed with a twentieth of its columns (one at least) taken from another."""
    made = np.empty((count, seeds.shape[1]), np.float32)
    columns = max(1, _floor(0.05 * seeds.shape[1]))
    for i in range(count):
        one, other = rng.choice(len(seeds), 2, replace=False)
        swapped = rng.choice(seeds.shape[1], columns, replace=False)
        made[i] = seeds[one]
        made[i, swapped] = seeds[other, swapped]
    return made


def _minmax(x: NDArray[Any], train: NDArray[np.bool_]) -> Floats:
    """Scale columns to [0, 1] by the training part; others may leave it."""
    x = x.astype(np.float64)
    low, high = x[train].min(0), x[train].max(0)
    scaled: Floats = ((x - low) / np.where(high > low, high - low, 1.0)).astype(np.float32)
    return scaled


def _unit(images: NDArray[Any]) -> Floats:
    return images.astype(np.float32) / np.float32(255)


def _draw(rng: np.random.Generator, rows: Ints, count: int, what: str) -> Ints:
    if count > len(rows):
        raise ValueError(f"{count} {what} are asked for, and there are {len(rows)}; ask for fewer")
    drawn: Ints = rng.choice(rows, count, replace=False)
    return drawn


def _floor(value: float) -> int:
    """Cut off the fraction, forgiving a whole number its rounding error."""
    return math.floor(value + 1e-9)
