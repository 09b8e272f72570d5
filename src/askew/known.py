"""The verdicts that a model was fitted on, and which rows of a table they speak of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askew import persist
from askew.errors import DataError
from askew.labels import Label, read_labels
from askew.table import Opened


@dataclass(frozen=True)
class Known:
    """Verdicts of a fit.

    Keys that the user chose mean the same row anywhere; numbers only in the same table.

    Parameters
    ----------
    verdicts
        {row key: 1 or 0}.
    named
        Whether the user chose the keys.
    fingerprint
        Of the encoded rows of the fit.
    """

    verdicts: Mapping[Hashable, int]
    named: bool
    fingerprint: str

    def on(self, table: Opened, x: NDArray[np.float32], *, must: bool) -> Mapping[Hashable, int]:
        """Give the verdicts that speak of this table's rows, ``x`` (n, d) encoded.

        Raises
        ------
        DataError
            Nobody can tell, and somebody ``must``; else there is none.
        """
        if self.named and table.named:
            there = set(table.keys or ())
            return {key: label for key, label in self.verdicts.items() if key in there}
        if not self.verdicts or fingerprint(x) == self.fingerprint:
            return self.verdicts
        if must:
            raise DataError(
                f"the {len(self.verdicts):,} verdicts of this model know their rows by number, "
                "and this is another table than the one it was fitted on; fit with id_column= or "
                "a pandas index that names the rows, or fit anew with all verdicts"
            )
        return {}

    def labels(self, table: Opened, x: NDArray[np.float32]) -> NDArray[np.int8]:
        """Give a table's labels (n,), of the rows that are the same."""
        verdicts = self.on(table, x, must=False)
        keys = table.keys if table.keys is not None else range(len(x))
        return np.array([verdicts.get(key, Label.UNLABELED) for key in keys], np.int8)

    def all_labels(self, table: Opened, x: NDArray[np.float32]) -> NDArray[np.int8]:
        """Give a table's labels (n,), where all the verdicts are on its rows or none.

        Raises
        ------
        DataError
            Some of them are on other rows, or nobody can tell.
        """
        known = self.on(table, x, must=True)
        if known and len(known) < len(self.verdicts):
            raise DataError(
                f"the table holds {len(known):,} of the {len(self.verdicts):,} rows whose "
                "verdicts this model was fitted on; give the table of the fit, or one that holds "
                "none of them"
            )
        return read_labels(dict(known), n_rows=len(x), keys=table.keys).values


def fingerprint(x: NDArray[np.float32]) -> str:
    """Name encoded rows by what they hold and their order."""
    return persist.fingerprint({"x": x})
