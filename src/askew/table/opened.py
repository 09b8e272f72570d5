"""A user's table, opened: what its columns are taken from, and what its rows are called."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from askew.table.content import content_keys
from askew.table.frames import row_keys, to_frame

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


@dataclass(frozen=True)
class Opened:
    """A table and its rows' keys.

    Parameters
    ----------
    frame
        As given, the id column included.
    columns
        Without it: what a schema sees.
    keys
        Of the rows; None where nothing names them.
    named
        Whether keys were chosen by the user, and so mean the same in another table.
    from_array
        Whether the columns had no names.
    """

    frame: nw.DataFrame[Any]
    columns: nw.DataFrame[Any]
    keys: list[Hashable] | None
    named: bool
    from_array: bool = False

    def names(self, rows: list[int] | None = None) -> list[str]:
        """Name rows (all where None) as text: by the user's keys, else by what they hold."""
        if self.named and self.keys is not None:
            chosen = range(len(self.keys)) if rows is None else rows
            return [str(self.keys[row]) for row in chosen]
        return content_keys(self.columns if rows is None else self.columns[rows])


def open_frame(table: Any, id_column: str | None) -> Opened:
    """Open a frame of any kind; its id column names the rows, else a pandas index that is given.

    Raises
    ------
    DataError
        It is no frame, or has no such column.
    """
    frame, keys = to_frame(table), row_keys(table, id_column)
    columns = frame if id_column is None else frame.drop(id_column)
    named = id_column is not None or (
        keys is not None and type(frame.to_native().index).__name__ != "RangeIndex"
    )
    return Opened(frame, columns, keys, named)
