"""What every way into a table checks, and how messages list names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from askew.errors import FileError

if TYPE_CHECKING:
    import pyarrow as pa


def listed(names: list[str], most: int = 5, *, quoted: bool = True) -> str:
    """Name a few, count the rest: ``'a', 'b' and 3 more``.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    shown = ", ".join(repr(name) if quoted else name for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def shortened(text: str, most: int = 60) -> str:
    """Cut a text for a message where it is longer than ``most`` characters.

    Examples
    --------
    >>> shortened("abcdefghij", most=8)
    'abcde...'
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def check_shape(table: pa.Table, path: Path) -> None:
    """Refuse a table without rows or columns, or with two columns of one name."""
    repeated = repeated_names(table.column_names)
    if repeated:
        raise FileError(
            f"{path}: the column name {listed(repeated)} stands there more than once; "
            "every column needs a name of its own"
        )
    if table.num_columns == 0:
        raise FileError(f"{path} holds no columns; a table with a header and rows was expected")
    if table.num_rows == 0:
        raise FileError(f"{path} holds a header and no rows; at least one row was expected")


def repeated_names(names: list[str]) -> list[str]:
    """Names that stand there more than once, in order of appearance."""
    seen: set[str] = set()
    repeated: dict[str, None] = {}
    for name in names:
        if name in seen:
            repeated[name] = None
        seen.add(name)
    return list(repeated)
