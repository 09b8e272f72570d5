"""A Gaussian process whose mean is an isolation forest's score and whose kernel is its leaves."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone

from askew.labels import Label
from askew.rankers.base import Ranker, stays
from askew.rankers.flat_trees import FlatTrees
from askew.rankers.isolation_trees import isolation_trees

MOST = 2000  # judged rows of a kind that are learnt from, at most


class IsolationKernel(Ranker):
    """Regress verdicts on leaves shared with judged rows, around the isolation forest's score.

    Two rows are alike by the share of trees in whose leaves they lie together. A verdict moves
    the rows that are like its row: up from what the forest alone would say of them, or down. So
    one verdict of either kind is enough to learn from, and without any the forest ranks alone.

    Source: Ting, Zhu and Zhou, "Isolation kernel and its effect on SVM", KDD 2018, for the kernel;
    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2, for the
    posterior mean; Das et al., "Incorporating expert feedback into active anomaly discovery",
    ICDM 2016, for learning the leaves' weights from verdicts.

    Parameters
    ----------
    n_trees : int
        Trees at each size.
    sizes : tuple of int
        Rows drawn for a tree: with few, leaves are wide and a verdict reaches far; with many it
        speaks of its nearest rows alone.
    prior : float
        What a standard deviation of the forest's score counts, where 1 is the step from a known
        normal to a known anomaly; 0 or greater.
    noise : float
        Variance of a verdict around what is learnt, greater than 0.
    random_state : int, RandomState or None
    """

    needs_anomalies = False

    def __init__(
        self,
        n_trees: int = 90,
        sizes: tuple[int, ...] = (16, 64, 256),
        prior: float = 0.05,
        noise: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.sizes = sizes
        self.prior = prior
        self.noise = noise
        self.random_state = random_state

    def relearn(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> Self:
        """Fit other verdicts on the same rows; the forest, which knows of none, is kept."""
        fresh: Self = clone(self)
        if self._knows(x):
            fresh._rows, fresh._leaves, fresh._forest = self._rows, self._leaves, self._forest
        return fresh.learn(x, label)

    def _fit(
        self, X: NDArray[np.float32], label: NDArray[np.int8], rng: np.random.Generator
    ) -> None:
        seeds = rng.integers(2**31, size=len(self.sizes)).tolist()
        draws = np.random.default_rng(rng.integers(2**31))
        if not self._knows(X):
            self._grow(X, seeds)
        if max(self.sizes) < len(X):
            self.subsampled_ = f"IsolationKernel: {max(self.sizes):,} of {len(X):,} rows a tree"
        value = self.prior * self._forest.value
        judged = _judged(label, draws)
        if len(judged):
            leaves = self._leaves[judged]
            target = (label[judged] == Label.ANOMALY) - value[leaves].mean(1)
            kernel = np.zeros((len(judged), len(judged)))
            for leaf in leaves.T:
                kernel += leaf[:, np.newaxis] == leaf
            kernel /= len(leaves.T)
            kernel[np.diag_indices_from(kernel)] += self.noise
            weight = cho_solve(cho_factor(kernel, overwrite_a=True), target)
            # The mean over trees of the judged rows' weights that lie in the same leaf.
            value += np.bincount(leaves.T.ravel(), np.tile(weight, len(leaves.T)), len(value))
        self.trees_ = self._forest.with_value(value)
        if not stays(X):
            del self._rows, self._leaves, self._forest

    def _grow(self, X: NDArray[np.float32], seeds: list[int]) -> None:
        """Grow the forests; a row's mean value, over all trees, has mean 0 and deviation 1."""
        trees = FlatTrees.joined(
            isolation_trees(X, self.n_trees, size, seed)
            for size, seed in zip(self.sizes, seeds, strict=True)
        )
        self._rows, self._leaves = X, trees.leaves(X)
        value = np.empty_like(trees.value)
        for first in range(0, len(trees.roots), self.n_trees):
            of_size = slice(first, first + self.n_trees)
            nodes = slice(trees.roots[first], [*trees.roots, len(value)][first + self.n_trees])
            value[nodes] = _standardized(-trees.value, self._leaves[:, of_size], trees)[nodes]
        self._forest = trees.with_value(_standardized(value, self._leaves, trees))

    def _knows(self, X: NDArray[np.float32]) -> bool:
        return X is getattr(self, "_rows", None)

    def _score(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        if self._knows(X):
            return self.trees_.mean_at(self._leaves)
        return self.trees_.mean(X)

    def _state(self) -> dict[str, Any]:
        return {"trees": self.trees_.state()}

    def _restore(self, state: dict[str, Any]) -> None:
        self.trees_ = FlatTrees.from_state(state["trees"], self.n_features_in_)


def _standardized(
    value: NDArray[np.float64], leaves: NDArray[np.integer], trees: FlatTrees
) -> NDArray[np.float64]:
    """Shift and scale values so that the mean over these leaves (n, trees) is standardised."""
    scores = trees.with_value(value).mean_at(leaves)
    scaled: NDArray[np.float64] = (value - scores.mean()) / (float(scores.std()) or 1.0)
    return scaled


def _judged(label: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.intp]:
    """Take all judged rows, ``MOST`` of a kind at random where there are more."""
    kinds = (np.flatnonzero(label == kind) for kind in (Label.ANOMALY, Label.NORMAL))
    taken = [
        rows if len(rows) <= MOST else np.sort(rng.choice(rows, MOST, replace=False))
        for rows in kinds
    ]
    return np.concatenate(taken)
