"""Tables on disk: CSV, Parquet, Arrow and Feather, in and out.

The suffix names the format. Reading gives one `pyarrow.Table` with the types that pyarrow found;
writing goes to a neighbouring file first and takes the name only when it is whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from askew.atomic import check_place, replacing
from askew.errors import DataError, FileError
from askew.table.checks import check_shape

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (
    ".csv",
    ".csv.gz",
    ".tsv",
    ".tsv.gz",
    ".parquet",
    ".pq",
    ".arrow",
    ".ipc",
    ".feather",
)


_LINES = 1 << 16  # lines of CSV put together at a time


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a table from a file; its suffix says the format.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz``, ``.parquet``, ``.pq``, ``.arrow``, ``.ipc``
        or ``.feather``. CSV is UTF-8 with a header; an empty cell is missing. A whole number
        that would lose digits (``007``, twenty-digit ids) stays a string.

    Returns
    -------
    pyarrow.Table
        At least one row and one column, column names all different.

    Raises
    ------
    FileError
        No such file, a folder, an unknown suffix, an empty or damaged file, a CSV that is not
        UTF-8 or whose rows differ in length, a header without rows, a repeated column name.
    """
    import pyarrow as pa

    path = Path(path)
    suffix = _suffix(path)
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the path of a file ({', '.join(SUFFIXES)})")
    try:
        size = path.stat().st_size
        if size == 0:
            raise FileError(f"{path} is empty; a table with a header and rows was expected")
        table = _reader(suffix)(path)
        check_shape(table, path)
    except FileNotFoundError as error:
        raise FileError(f"no such file: {path}; check the name and the folder") from error
    except PermissionError as error:
        raise FileError(f"{path} may not be read; check the file's permissions") from error
    except FileError:
        raise
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise FileError(
            f"{path} could not be read as {suffix}: it is damaged, cut off or of another format "
            f"({_first_line(error)}); make the file again or give it its right suffix"
        ) from error
    return table


def read_text(path: str | os.PathLike[str]) -> pa.Table | None:
    """Read a CSV file's cells as the text that stands there, blank ones as empty strings.

    For giving a file's columns back untouched: ``1.50`` stays ``1.50``.

    Parameters
    ----------
    path : str or path
        A file that `read_table` could read.

    Returns
    -------
    pyarrow.Table or None
        The same rows and columns, all strings; None where the file is not CSV or TSV.
    """
    path = Path(path)
    if not is_csv(path):
        return None
    from askew.table.csv_file import read_csv_text

    return read_csv_text(path)


def is_csv(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix says CSV or TSV."""
    return _suffix(Path(path)).startswith((".csv", ".tsv"))


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse early what `write_table` would refuse: an unknown suffix, a missing folder.

    Raises
    ------
    FileError
    """
    path = Path(path)
    _suffix(path)
    check_place(path)


def write_table(table: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write a table to a file; its suffix says the format.

    The file appears whole or not at all: it is written under another name in the same folder,
    then renamed. A file that stood there before stays as it was when the writing fails.

    Parameters
    ----------
    table : pyarrow.Table
        Written as it is. In CSV a missing value is a blank cell, a date is ISO 8601.
    path : str or path
        Suffixes as for `read_table`.

    Raises
    ------
    FileError
        An unknown suffix, no such folder, no permission, a full disk, a column that the format
        cannot hold (a list in CSV).
    """
    import pyarrow as pa

    path = Path(path)
    writer = _writer(_suffix(path))
    with replacing(path) as part:
        try:
            with part.open("wb") as file:
                writer(table, file)
        except (pa.ArrowException, DataError) as error:
            raise FileError(f"{path} was not written: {error}") from error


def _suffix(path: Path) -> str:
    name = path.name.lower()
    # Longest first, so that .csv.gz is not taken for a bare .gz.
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    found = path.suffix or "no suffix"
    raise FileError(
        f"{path}: {found} is not a known table format; one of {', '.join(SUFFIXES)} was expected"
    )


def _first_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__


def _reader(suffix: str) -> Callable[[Path], pa.Table]:
    if suffix.startswith((".csv", ".tsv")):
        from askew.table.csv_file import read_csv

        return read_csv
    return _read_parquet if suffix in (".parquet", ".pq") else _read_arrow


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    # Opened by hand: from a path pyarrow would add columns for folders named `key=value`.
    with path.open("rb") as file:
        table = pq.read_table(file)
    # A damaged page can hold text that is no UTF-8.
    table.validate(full=True)
    return table


def _read_arrow(path: Path) -> pa.Table:
    import pyarrow as pa

    data = pa.py_buffer(path.read_bytes())
    magic = data[:6].to_pybytes()
    if magic[:4] == b"FEA1":
        import pyarrow.feather as feather

        return feather.read_table(pa.BufferReader(data))
    opened = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
    with opened(data) as reader:
        table = reader.read_all()
    # Arrow trusts its own lengths and offsets; a damaged file must not be read out of bounds.
    table.validate(full=True)
    return table


def _writer(suffix: str) -> Callable[[pa.Table, IO[bytes]], None]:
    if suffix.startswith((".csv", ".tsv")):
        delimiter = "," if suffix.startswith(".csv") else "\t"
        zipped = suffix.endswith(".gz")
        return lambda table, file: _write_csv(table, file, delimiter, zipped)
    return _write_parquet if suffix in (".parquet", ".pq") else _write_arrow


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file)


def _write_arrow(table: pa.Table, file: IO[bytes]) -> None:
    import pyarrow as pa

    # Uncompressed, as other readers of .arrow and .feather may lack the codecs.
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _write_csv(table: pa.Table, file: IO[bytes], delimiter: str, zipped: bool) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pa.table(
        [_csv_cells(name, table.column(name), delimiter) for name in table.column_names],
        names=table.column_names,
    )
    sink = pa.CompressedOutputStream(file, "gzip") if zipped else file
    try:
        sink.write((delimiter.join(map(_header_cell, table.column_names)) + "\n").encode())
        for batch in cells.to_batches(max_chunksize=_LINES):
            lines = pc.binary_join_element_wise(
                *batch.columns, pa.scalar(delimiter, pa.large_string()), null_handling="replace"
            )
            sink.write(("\n".join(lines.to_pylist()) + "\n").encode())
    finally:
        if zipped:
            sink.close()


def _header_cell(name: str) -> str:
    # More than a cell needs: a header alone tells a reader what separates the columns.
    quoted = '"' + name.replace('"', '""') + '"'
    return quoted if re.search(r'[",;\t\r\n]|^\s|\s$|^$', name) else name


def _csv_cells(name: str, column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray:
    """Turn a column into the text of its cells, in quotes where the cell needs them."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise DataError(
            f"column {name!r} holds {kind}, which a CSV cell cannot; "
            "write .parquet or .arrow, or drop the column"
        )
    text = column.cast(pa.large_string())
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or "view" in str(kind)
    return _quoted(text, delimiter) if is_text else text


def _quoted(text: Any, delimiter: str) -> Any:
    """Put quotes around the cells that hold a quote, a separator or a line break."""
    import pyarrow as pa
    import pyarrow.compute as pc

    needed = pc.match_substring_regex(text, f'["\r\n{delimiter}]')
    if not pc.any(needed).as_py():
        return text
    quote, nothing = (pa.scalar(t, pa.large_string()) for t in ('"', ""))
    inner = pc.replace_substring(text, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise(quote, inner, quote, nothing), text)
