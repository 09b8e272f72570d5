"""Folds that test on judged rows only."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import LabelError, MethodError
from askew.labels.given import as_list, open_verdicts
from askew.labels.reading import Label, read_labels


@dataclass(frozen=True)
class LabelledKFold:
    """Cross-validation that tests on judged rows and trains on all the others.

    Only rows with a verdict are ever tested on, each of them once, with both kinds spread evenly.
    Every row not looked at is in every training part, as it is when a model is used.

    Parameters
    ----------
    n_splits : int, default=5
        At least 2.
    random_state : int or None, default=None
        Seed of the shuffle. None deals the rows out in the table's order, so that folds are the
        same on every call either way.

    Examples
    --------
    >>> y = np.array([1, 0, 1, 0, -1])
    >>> for train, test in LabelledKFold(2).split(y, y):
    ...     print(train, test)
    [2 3 4] [0 1]
    [0 1 4] [2 3]
    """

    n_splits: int = 5
    random_state: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.n_splits, Integral) or self.n_splits < 2:
            raise MethodError(f"n_splits is {self.n_splits!r}; give a whole number from 2 up.")

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are there for scikit-learn."""
        return int(self.n_splits)

    def split(
        self, X: Any, y: Any, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the row numbers of each training and test part, sorted.

        Parameters
        ----------
        X : (n, ...) table
        y : (n,) verdicts, as `read_labels` takes them
        groups : ignored

        Yields
        ------
        train, test : arrays of row numbers

        Raises
        ------
        LabelError
            For fewer than `n_splits` known anomalies or known normals, or for a pandas y whose
            rows stand in another order than those of X.
        """
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        label = read_labels(y, n_rows=n_rows, keys=_shared_index(X, y)).values
        kinds = [np.flatnonzero(label == kind) for kind in (Label.ANOMALY, Label.NORMAL)]
        if min(map(len, kinds)) < self.n_splits:
            self._refuse_few(*map(len, kinds))
        if self.random_state is not None:
            generator = np.random.default_rng(self.random_state)
            kinds = [generator.permutation(rows) for rows in kinds]
        judged = np.concatenate(kinds)
        # Dealt like cards, one kind after the other: within a fold neither the size nor the count
        # of a kind is off by more than one.
        fold = np.arange(len(judged)) % self.n_splits
        for number in range(self.n_splits):
            tested = np.zeros(n_rows, np.bool_)
            tested[judged[fold == number]] = True
            yield np.flatnonzero(~tested), np.flatnonzero(tested)

    def _refuse_few(self, n_anomaly: int, n_normal: int) -> None:
        fewest = min(n_anomaly, n_normal)
        remedy = f"use n_splits={fewest} or judge" if fewest >= 2 else "judge"
        raise LabelError(
            f"{self.n_splits} folds need {self.n_splits} known anomalies and {self.n_splits} known "
            f"normals, one of each to test on; y holds {n_anomaly} and {n_normal}: {remedy} more "
            "rows of the rarer kind."
        )


def _shared_index(X: Any, y: Any) -> list[Hashable] | None:
    """Return the keys of X and y, once it is sure that both have their rows in one order.

    scikit-learn cuts X and y by position, so matching by key, as `read_labels` does, would here
    yield parts that do not fit the rows they are taken from.
    """
    from narwhals.stable.v2 import from_native, maybe_get_index
    from narwhals.stable.v2.dependencies import is_into_dataframe

    ids = None if y is None or isinstance(y, Mapping) else open_verdicts(y).ids
    index = maybe_get_index(from_native(X)) if is_into_dataframe(X) else None
    keys = None if index is None else as_list(index)
    if ids is not None and keys is not None and ids != keys:
        raise LabelError(
            "the index of y is not that of X, row for row, and cross-validation cuts both by "
            "position: bring y into the order of X first, with y.reindex(X.index)."
        )
    return keys if ids is None else ids
