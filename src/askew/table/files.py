"""Tables on disk: CSV, Parquet, Arrow and Feather, in and out.

The suffix names the format. Reading gives one `pyarrow.Table` with the types that pyarrow found;
writing goes to a neighbouring file first and takes the name only when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from askew.atomic import check_place, replacing
from askew.errors import FileError
from askew.table.checks import check_shape
from askew.table.dialect import Dialect

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


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a table from a file; its suffix says the format.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz``, ``.parquet``, ``.pq``, ``.arrow``, ``.ipc``
        or ``.feather``. CSV is UTF-8 with a header, which tells whether commas, semicolons, tabs
        or bars separate; a decimal comma is understood where commas don't. An empty cell is
        missing. A whole number that would lose digits (``007``, twenty-digit ids) stays a string.

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
    path = Path(path)
    with reading(path) as suffix:
        table = _reader(suffix)(path)
        check_shape(table, path)
    return table


@contextmanager
def reading(path: Path) -> Iterator[str]:
    """Give the suffix of a file that is read in the body, and name what is wrong with the file.

    Raises
    ------
    FileError
        As `read_table` says, but for what only the table itself can tell.
    """
    import pyarrow as pa

    suffix = _suffix(path)
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the path of a file ({', '.join(SUFFIXES)})")
    try:
        if path.stat().st_size == 0:
            raise FileError(f"{path} is empty; a table with a header and rows was expected")
        yield suffix
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


def write_table(
    table: pa.Table, path: str | os.PathLike[str], *, like: str | os.PathLike[str] | None = None
) -> None:
    """Write a table to a file; its suffix says the format.

    The file appears whole or not at all: it is written under another name in the same folder,
    then renamed. A file that stood there before stays as it was when the writing fails.

    Parameters
    ----------
    table : pyarrow.Table
        Written as it is. In CSV a missing value is a blank cell, a date is ISO 8601.
    path : str or path
        Suffixes as for `read_table`.
    like : str or path, optional
        A CSV file that `read_table` could read, whose separator and decimal mark a CSV file
        written takes over.

    Raises
    ------
    FileError
        An unknown suffix, no such folder, no permission, a full disk, a column that the format
        cannot hold (a list in CSV).
    """
    write_parts([table], path, like=like)


def write_parts(
    parts: Iterable[pa.Table],
    path: str | os.PathLike[str],
    *,
    like: str | os.PathLike[str] | None = None,
) -> None:
    """Write a table to a file, part after part, as `write_table` writes it at once.

    What the making of a part raises goes through, and then there is no file either.

    Parameters
    ----------
    parts : iterable of pyarrow.Table
        One or more, of the same columns and types; only one is held at a time.
    path : str or path
        Suffixes as for `read_table`.
    like : str or path, optional
        As for `write_table`.

    Raises
    ------
    FileError
        As `write_table`; a part that differs from the first in its columns; no part at all.

    Notes
    -----
    Where the dictionaries of an Arrow file's parts differ, they are written as they grow, which
    some readers other than pyarrow refuse.
    """
    import pyarrow as pa

    path = Path(path)
    writer = _writer(_suffix(path), like)
    with replacing(path) as place:
        try:
            with place.open("wb") as file:
                writer(_alike(parts, path), file)
        except pa.ArrowException as error:
            raise FileError(f"{path} was not written: {error}") from error


def _alike(parts: Iterable[pa.Table], path: Path) -> Iterator[pa.Table]:
    """Pass parts on; refuse one of another schema than the first, or that there is none."""
    schema = None
    for part in parts:
        if schema is None:
            schema = part.schema
        for was, found in zip_longest(schema, part.schema):
            if not (was and found and was.equals(found)):
                first, later = (f"{f.name!r} ({f.type})" if f else "none" for f in (was, found))
                raise FileError(
                    f"{path} was not written: where the first part has the column {first}, a later "
                    f"one has {later}; all need the same columns and types"
                )
        yield part
    if schema is None:
        raise FileError(f"{path} was not written: there is no part; one or more were expected")


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

    source = pa.BufferReader(path.read_bytes())
    opened = open_arrow(source)
    if opened is None:
        import pyarrow.feather as feather

        return feather.read_table(source)
    with opened as reader:
        table = reader.read_all()
    # Arrow trusts its own lengths and offsets; a damaged file must not be read out of bounds.
    table.validate(full=True)
    return table


def open_arrow(source: pa.NativeFile) -> Any:
    """Open an Arrow file or stream for reading; None where it is Feather of the first version."""
    import pyarrow as pa

    magic = source.read(6)
    source.seek(0)
    if magic[:4] == b"FEA1":
        return None
    return (pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream)(source)


def _writer(
    suffix: str, like: str | os.PathLike[str] | None
) -> Callable[[Iterator[pa.Table], IO[bytes]], None]:
    if suffix.startswith((".csv", ".tsv")):
        return lambda parts, file: _write_csv(parts, file, suffix, like)
    return _write_parquet if suffix in (".parquet", ".pq") else _write_arrow


def _dialect(suffix: str, like: str | os.PathLike[str] | None) -> Dialect:
    """Lay a text file out by another one of the same suffix, else by the suffix alone."""
    from askew.table.csv_file import read_dialect

    kind = suffix.removesuffix(".gz")
    if like is not None and _suffix(Path(like)).removesuffix(".gz") == kind:
        with reading(Path(like)):
            return read_dialect(Path(like))
    return Dialect("," if kind == ".csv" else "\t")


def _write_parquet(parts: Iterator[pa.Table], file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    schema, parts = _peek(parts)
    with pq.ParquetWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(part)


def _write_arrow(parts: Iterator[pa.Table], file: IO[bytes]) -> None:
    import pyarrow as pa

    schema, parts = _peek(parts)
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    # Uncompressed, as other readers of .arrow and .feather may lack the codecs.
    with pa.ipc.new_file(file, schema, options=options) as writer:
        for part in _growing(parts):
            writer.write_table(part)


def _growing(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Let dictionaries only grow from part to part: an Arrow file holds one for a column."""
    import pyarrow as pa

    before: list[pa.Table] = []
    for part in parts:
        grown = pa.concat_tables([*before, part]).unify_dictionaries()
        before = [grown.slice(0, 0)]
        held = [batch for batch in grown.to_batches() if batch.num_rows]
        yield pa.Table.from_batches(held, grown.schema)


def _write_csv(
    parts: Iterator[pa.Table],
    file: IO[bytes],
    suffix: str,
    like: str | os.PathLike[str] | None,
) -> None:
    from askew.table.csv_file import write_csv

    schema, parts = _peek(parts)  # what is wrong with the parts is told first
    write_csv(schema.names, parts, file, _dialect(suffix, like), zipped=suffix.endswith(".gz"))


def _peek(parts: Iterator[pa.Table]) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Give the schema of parts, one at least, and the same parts."""
    first = next(parts)
    # An iterator lets go of the first part once that is drawn; a list would keep it.
    return first.schema, chain(iter([first]), parts)
