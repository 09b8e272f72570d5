"""Many trees as a few flat arrays: scored by NumPy alone, saved as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import ModelFileError

CELLS = 1 << 16  # row-tree pairs walked at a time: they stay in cache
STEPS, FEWER = 4, 0.7  # so often ended walks are looked for, and left out where so few go on


@dataclass(frozen=True)
class FlatTrees:
    """Binary trees, node after node; two siblings stand side by side, behind their parent.

    Parameters
    ----------
    roots : (trees,) int32
        Node numbers.
    feature, child : (nodes,) int32
        A row goes to ``child`` where its feature is at most the threshold, else to the next node.
        A leaf is its own child, at an infinite threshold.
    threshold, value : (nodes,) float64
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    child: NDArray[np.int32]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]

    @classmethod
    def of(cls, trees: Iterable[tuple[Any, NDArray[np.float64]]]) -> FlatTrees:
        """Copy scikit-learn's trees: pairs of a ``tree_`` and a value for each of its nodes."""
        parts = []
        roots = [0]
        for tree, value in trees:
            order, child = _side_by_side(tree)
            leaf = tree.children_left[order] < 0
            feature = np.where(leaf, 0, tree.feature[order])
            threshold = np.where(leaf, np.inf, tree.threshold[order])
            parts.append((feature, roots[-1] + child, threshold, value[order]))
            roots.append(roots[-1] + len(order))
        feature, child, threshold, value = (np.concatenate(p) for p in zip(*parts, strict=True))
        return cls(
            np.array(roots[:-1], np.int32),
            feature.astype(np.int32),
            child.astype(np.int32),
            threshold.astype(np.float64),
            value.astype(np.float64),
        )

    @classmethod
    def joined(cls, forests: Iterable[FlatTrees]) -> FlatTrees:
        """Put forests side by side, in their order."""
        parts = list(forests)
        start = np.cumsum([0, *(len(part.value) for part in parts[:-1])]).astype(np.int32)
        return cls(
            np.concatenate([part.roots + at for part, at in zip(parts, start, strict=True)]),
            np.concatenate([part.feature for part in parts]),
            np.concatenate([part.child + at for part, at in zip(parts, start, strict=True)]),
            np.concatenate([part.threshold for part in parts]),
            np.concatenate([part.value for part in parts]),
        )

    @cached_property
    def _depth(self) -> int:
        """Steps after which every walk stands on a leaf."""
        reach, depth = self.roots, 0
        while True:
            inner = reach[self.child[reach] != reach]
            if not len(inner):
                return depth
            reach, depth = np.concatenate([self.child[inner], self.child[inner] + 1]), depth + 1

    def mean(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean value of the leaves that each row (n, d) falls into, (n,)."""
        out = np.empty(len(X))
        for part in self._parts(len(X)):
            out[part] = self._at(self._walk(X[part]))
        return out

    def leaves(self, X: NDArray[np.float32]) -> NDArray[np.integer]:
        """Give the number of the leaf that each row (n, d) falls into, tree by tree: (n, trees)."""
        narrow = len(self.value) <= 1 << 16  # half the memory
        out = np.empty((len(X), len(self.roots)), np.uint16 if narrow else np.int32)
        for part in self._parts(len(X)):
            out[part] = self._walk(X[part])
        return out

    def mean_at(self, leaves: NDArray[np.integer]) -> NDArray[np.float64]:
        """Give what ``mean`` gives for the rows of these leaves (n, trees), to the last bit."""
        out = np.empty(len(leaves))
        for part in self._parts(len(leaves)):
            out[part] = self._at(leaves[part])
        return out

    def with_value(self, value: NDArray[np.float64]) -> FlatTrees:
        """Give the same trees with other values (nodes,)."""
        return replace(self, value=value)

    def _parts(self, n: int) -> Iterator[slice]:
        step = max(1, CELLS // len(self.roots))
        return (slice(start, start + step) for start in range(0, n, step))

    def _at(self, node: NDArray[Any]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.take(self.value, node, mode="clip").mean(axis=1)
        return mean

    def _walk(self, X: NDArray[np.float32]) -> NDArray[np.intp]:
        # `take` with "clip" skips a check of bounds, which `_sound` and `of` made: twice as fast.
        cells = np.ascontiguousarray(X).ravel()
        start = np.repeat(np.arange(len(X)) * X.shape[1], len(self.roots))
        node: NDArray[Any] = np.tile(self.roots.astype(np.intp), len(X))
        ends, walking = node.copy(), np.arange(len(node))
        for step in range(1, self._depth + 1):
            cell = np.take(cells, start + np.take(self.feature, node, mode="clip"), mode="clip")
            above = cell > np.take(self.threshold, node, mode="clip")
            node = np.take(self.child, node, mode="clip") + above
            if step % STEPS == 0:
                # Few walks are long: those at their end need not go along.
                inner = np.flatnonzero(np.take(self.child, node, mode="clip") != node)
                if len(inner) < FEWER * len(node):
                    ends[walking] = node
                    node, start, walking = node[inner], start[inner], walking[inner]
        ends[walking] = node
        return ends.reshape(len(X), -1)

    def state(self) -> dict[str, Any]:
        """Give the arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_state(cls, state: Any, n_features: int) -> FlatTrees:
        """Take up arrays that a file gave, trusting nothing of them.

        Raises
        ------
        ModelFileError
            They are no trees: a walk could leave the arrays or never end.
        """
        try:
            whole = [np.asarray(state[name]) for name in ("roots", "feature", "child")]
            kinds = {array.dtype.kind for array in whole}
            roots, feature, child = (array.astype(np.int32) for array in whole)
            threshold, value = (np.asarray(state[k], np.float64) for k in ("threshold", "value"))
            trees = cls(roots, feature, child, threshold, value)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelFileError(f"the trees of the model cannot be read ({error!r})") from error
        if kinds != {"i"} or not trees._sound(n_features):
            raise ModelFileError("the trees of the model are damaged; fit again")
        return trees

    def _sound(self, n_features: int) -> bool:
        nodes = self.value.shape
        one_each = (self.feature, self.child, self.threshold)
        if len(nodes) != 1 or any(a.shape != nodes for a in one_each) or self.roots.ndim != 1:
            return False
        own = np.arange(nodes[0])
        leaf = (self.child == own) & np.isposinf(self.threshold)
        # Children behind their parents, and room for the second: every walk ends, and inside.
        inner = (self.child > own) & (self.child < nodes[0] - 1) & np.isfinite(self.threshold)
        roots = (self.roots >= 0) & (self.roots < nodes[0])
        features = (self.feature >= 0) & (self.feature < n_features)
        return bool(
            len(self.roots)
            and (leaf | inner).all()
            and roots.all()
            and features.all()
            and np.isfinite(self.value).all()
        )


def _side_by_side(tree: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order a tree's nodes level by level; give the order and each node's child in it."""
    order: list[int] = [0]
    child: list[int] = []
    for node in order:  # grows on the way
        if tree.children_left[node] < 0:
            child.append(len(child))
        else:
            child.append(len(order))
            order += [int(tree.children_left[node]), int(tree.children_right[node])]
    return np.array(order), np.array(child)
