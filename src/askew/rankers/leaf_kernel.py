"""The kernel of an isolation forest's leaves, and the forest's own score as its prior mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askew.rankers.flat_trees import FlatTrees
from askew.rankers.isolation_trees import isolation_trees


@dataclass(frozen=True)
class LeafKernel:
    """Two rows are alike by the share of trees in whose leaves they lie together.

    Source: Ting, Zhu and Zhou, "Isolation kernel and its effect on SVM", KDD 2018. Here over
    forests of several sizes: trees grown on few rows have wide leaves, where a verdict reaches
    far; those grown on many have narrow ones, where it speaks of its nearest rows alone.

    Parameters
    ----------
    trees : FlatTrees
        Their mean value is the forests' score of a row, standardised on the training rows.
    leaves : (n, trees) int
        Of the training rows.
    """

    trees: FlatTrees
    leaves: NDArray[np.integer]

    @classmethod
    def grow(
        cls, X: NDArray[np.float32], n_trees: int, sizes: Sequence[int], seeds: Sequence[int]
    ) -> LeafKernel:
        """Grow ``n_trees`` of each size on rows (n, d); every size counts alike in the score."""
        trees = FlatTrees.joined(
            isolation_trees(X, n_trees, size, seed) for size, seed in zip(sizes, seeds, strict=True)
        )
        leaves = trees.leaves(X)
        value = np.empty_like(trees.value)
        for first in range(0, len(trees.roots), n_trees):
            of_size = slice(first, first + n_trees)
            nodes = slice(trees.roots[first], [*trees.roots, len(value)][first + n_trees])
            value[nodes] = _standardized(-trees.value, leaves[:, of_size], trees)[nodes]
        return cls(trees.with_value(_standardized(value, leaves, trees)), leaves)

    def between(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """Give the kernel among some training rows, (m, m)."""
        leaves = self.leaves[rows]
        kernel = np.zeros((len(rows), len(rows)))
        for leaf in leaves.T:
            kernel += leaf[:, np.newaxis] == leaf
        return kernel / len(leaves.T)

    def spread(self, rows: NDArray[np.intp], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give values (nodes,) whose mean over a row's leaves is the kernel to ``rows`` @ weight.

        ``weight`` is (m,), one for each of the rows.
        """
        leaves = self.leaves[rows]
        n_trees, n_nodes = len(leaves.T), len(self.trees.value)
        value = np.bincount(leaves.T.ravel(), np.tile(weight, n_trees), n_nodes)
        return value.astype(np.float64)


def _standardized(
    value: NDArray[np.float64], leaves: NDArray[np.integer], trees: FlatTrees
) -> NDArray[np.float64]:
    """Shift and scale values so that the mean over these leaves (n, trees) is standardised."""
    scores = trees.with_value(value).mean_at(leaves)
    scaled: NDArray[np.float64] = (value - scores.mean()) / (float(scores.std()) or 1.0)
    return scaled
