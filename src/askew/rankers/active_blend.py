"""The loop's ranker: learns from the first verdict on, and anew within a moment."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone

from askew.labels import Label
from askew.rankers.base import CHUNK, Ranker, checked, median_square_distance, product, stays
from askew.rankers.flat_trees import FlatTrees
from askew.rankers.leaf_kernel import LeafKernel
from askew.rankers.rank_space import RankSpace

MOST = 1000  # judged rows of a kind that are learnt from, at most
SUPPOSED = 4, 0.1  # the variance of verdicts is weighed as if so many had shown this one


class ActiveBlend(Ranker):
    """Gaussian processes on the verdicts, around what an isolation forest says, averaged.

    A verdict moves the rows that are like its row: up from what the forest alone would say of
    them, or down. So one verdict of either kind is enough to learn from, and without any the
    forest ranks alone. How much the forest counts is learnt as well: a table whose anomalies lie
    inside teaches that it says little. What is alike differs from table to table. Each process
    has its own kernel: shared leaves of isolation forests, and beside them a Gaussian or a linear
    kernel or both, on the ranks of the columns. A process counts by how well it foretells each
    verdict from the others.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2 for
    the posterior mean, 2.7 for a mean whose weight is learnt and 5.4.2 for leave-one-out; Geisser
    and Eddy, "A predictive approach to model selection", JASA 1979, for weights by foretelling;
    Das et al., "Incorporating expert feedback into active anomaly discovery", ICDM 2016, for
    learning on an isolation forest.

    Parameters
    ----------
    n_trees : int
        Trees at each size.
    sizes : tuple of int
        Rows drawn for a tree (see ``LeafKernel``).
    kernels : tuple of (float, float)
        One process each: weight of a Gaussian and of a linear kernel beside the leaves' 1.
    prior : float
        What a standard deviation of the forest's score counts before any verdict, where 1 is the
        step from a known normal to a known anomaly; 0 or greater.
    leeway : float
        Standard deviation of that count around ``prior``: how far verdicts may move it; 0 or
        greater.
    noise : float
        Variance of a verdict around what is learnt, greater than 0.
    random_state : int, RandomState or None

    Attributes
    ----------
    weights_ : (processes,)
        How much each process counts; they add up to 1.
    """

    needs_anomalies = False

    def __init__(
        self,
        n_trees: int = 90,
        sizes: tuple[int, ...] = (16, 64, 256),
        kernels: tuple[tuple[float, float], ...] = ((0, 0), (1, 0), (0, 1), (1, 1)),
        prior: float = 0.05,
        leeway: float = 0.1,
        noise: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.sizes = sizes
        self.kernels = kernels
        self.prior = prior
        self.leeway = leeway
        self.noise = noise
        self.random_state = random_state

    def relearn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Fit other verdicts on the same rows; what knows of no verdict is kept."""
        fresh: Self = clone(self)
        if self._knows(x):
            for name in ("_rows", "_leaf", "_placed", "space_", "scale_"):
                setattr(fresh, name, getattr(self, name))
        return fresh.learn(x, label)

    def member_scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n, processes), as each process alone would."""
        members = np.stack([self._leaf_part(X, value) for value in self.values_], axis=1)
        if len(self.points_):
            members += self._smooth_part(X, *self._support(np.eye(len(self.kernels))))
        return members

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        seeds = rng.integers(2**31, size=len(self.sizes)).tolist()
        once = np.random.default_rng(rng.integers(2**31))  # draws that no verdict touches
        if not self._knows(X):
            self._rows = X
            self._leaf = LeafKernel.grow(X, self.n_trees, self.sizes, seeds)
            self.space_ = RankSpace.of(X, once)
            self._placed = self.space_.place(X)
            self.scale_ = _scales(self._placed, once)
        judged = _judged(label, rng)
        target = (label[judged] == Label.ANOMALY).astype(np.float64)
        self.points_ = self._placed[judged]
        forest = self._leaf.trees.mean_at(self._leaf.leaves[judged])
        self.weights_, self.alpha_ = self._posteriors(judged, forest, target)
        counts = self.prior + self.leeway**2 * (self.alpha_ @ forest)
        self.values_ = np.array(
            [
                count * self._leaf.trees.value + self._leaf.spread(judged, a)
                for count, a in zip(counts, self.alpha_, strict=True)
            ]
        )
        self.trees_ = self._leaf.trees.with_value(self.weights_ @ self.values_)
        if max(self.sizes) < len(X):
            self.subsampled_ = f"ActiveBlend: {max(self.sizes):,} of {len(X):,} rows a tree"
        if not stays(X):
            del self._rows, self._leaf, self._placed

    def _posteriors(
        self, judged: NDArray[np.intp], forest: NDArray[np.float64], target: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give each process's weight, and what it gives to each judged row, (processes, m).

        ``forest`` (m,) is what the forest says of the judged rows, ``target`` (m,) their verdicts.
        """
        n = len(self.kernels)
        if not len(judged):
            return np.full(n, 1 / n), np.zeros((n, 0))
        leaf = self._leaf.between(judged) + self.noise * np.eye(len(judged))
        leaf += self.leeway**2 * np.outer(forest, forest)
        gaussian, linear = self._smooth(self.points_, self.points_)
        gap = target - self.prior * forest
        alpha, fits = [], []
        for a, b in self.kernels:
            inverse = cho_solve(
                cho_factor(leaf + a * gaussian + b * linear), np.eye(len(judged)), overwrite_b=True
            )
            alpha.append(inverse @ gap)
            fits.append(_foretelling(alpha[-1], np.diag(inverse)))
        weight = np.exp(np.array(fits) - max(fits))
        return weight / weight.sum(), np.array(alpha)

    def _smooth(
        self, placed: NDArray[np.float32], points: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the Gaussian and the linear kernel between places (n, k) and (m, k)."""
        z: NDArray[np.float64] = placed.astype(np.float64)
        p: NDArray[np.float64] = points.astype(np.float64)
        inner = product(z, p.T)
        away = (z**2).sum(1)[:, np.newaxis] + (p**2).sum(1) - 2 * inner
        length, width = self.scale_
        return np.exp(-np.maximum(away, 0) / width), inner / length

    def _support(
        self, weights: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mix processes by weights (processes, k): the judged rows' part (m, k) in each kernel."""
        kernel = np.array(self.kernels, np.float64)
        gaussian, linear = (self.alpha_.T @ (kernel[:, i, np.newaxis] * weights) for i in (0, 1))
        return gaussian, linear

    def _leaf_part(self, X: NDArray[np.float32], value: NDArray[np.float64]) -> NDArray[np.float64]:
        trees = self.trees_.with_value(value)
        return trees.mean_at(self._leaf.leaves) if self._knows(X) else trees.mean(X)

    def _smooth_part(
        self, X: NDArray[np.float32], gaussian: NDArray[np.float64], linear: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        out = np.empty((len(X), gaussian.shape[1]))
        for start in range(0, len(X), CHUNK):
            part = slice(start, start + CHUNK)
            z = self._placed[part] if self._knows(X) else self.space_.place(X[part])
            near, along = self._smooth(z, self.points_)
            out[part] = product(near, gaussian) + product(along, linear)
        return out

    def _knows(self, X: NDArray[np.float32]) -> bool:
        return X is getattr(self, "_rows", None)

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self._leaf_part(X, self.trees_.value)
        if len(self.points_):
            scores += self._smooth_part(X, *self._support(self.weights_[:, np.newaxis]))[:, 0]
        return scores

    def _state(self) -> dict[str, Any]:
        return {
            "trees": self.trees_.state(),
            "space": self.space_.state(),
            "values": self.values_,
            "points": self.points_,
            "alpha": self.alpha_,
            "weights": self.weights_,
            "scale": list(self.scale_),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)
        self.space_ = RankSpace.from_state(state["space"], self.n_features_in_)
        n, m = len(self.kernels), len(np.asarray(state["points"]))
        self.values_ = checked(state, "values", (n, len(self.trees_.value)))
        points = checked(state, "points", (m, len(self.space_.columns)))
        self.points_ = points.astype(np.float32)
        self.alpha_ = checked(state, "alpha", (n, m))
        self.weights_ = checked(state, "weights", (n,))
        length, width = checked(state, "scale", (2,)).tolist()
        if min(length, width) <= 0:
            raise ValueError("scale holds numbers that are not above 0")
        self.scale_ = length, width


def _foretelling(alpha: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Log density of the verdicts, each as the others foretell it, under one scale for all."""
    missed = alpha**2 / precision  # squared, over the variance that was foretold
    n_before, before = SUPPOSED
    scale = (n_before * before + missed.sum()) / (n_before + len(alpha))
    return float(-0.5 * (np.log(scale / precision) + missed / scale).sum())


def _scales(placed: NDArray[np.float32], rng: np.random.Generator) -> tuple[float, float]:
    """Give the mean squared length of the rows and the median squared distance of two."""
    length = float(np.einsum("ij,ij->", placed, placed, dtype=np.float64)) / len(placed)
    width = median_square_distance(placed.astype(np.float64), rng)
    return length or 1.0, max(width, 1e-9)


def _judged(label: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.intp]:
    """Take all judged rows, ``MOST`` of a kind at random where there are more."""
    kinds = (np.flatnonzero(label == kind) for kind in (Label.ANOMALY, Label.NORMAL))
    taken = [
        rows if len(rows) <= MOST else np.sort(rng.choice(rows, MOST, replace=False))
        for rows in kinds
    ]
    return np.concatenate(taken)
