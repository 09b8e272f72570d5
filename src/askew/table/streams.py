"""Tables too long to hold: a file, part after part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from askew.table.checks import check_shape
from askew.table.files import open_arrow, read_table, reading

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 16
"""Rows in a part: enough for every core, little beside a table that has to be read in parts."""

_BUFFER = 1 << 16  # bytes of a Parquet column read at a time; a row group may be the whole file


def read_parts(path: str | os.PathLike[str], rows: int = ROWS) -> Iterator[pa.Table]:
    """Read a table from a file, part after part, in the order of its rows.

    Joined, the parts are what `read_table` gives: the same cells, the same types. Of Parquet and
    Arrow files one part is held at a time; an Arrow file is mapped into memory, not copied, so it
    must not be written to meanwhile. CSV is read whole and then cut, as a column's type follows
    from all its cells; so is Feather of the first version.

    Parameters
    ----------
    path : str or path
        As for `read_table`.
    rows : int
        In each part, 1 or more; fewer in the last.

    Yields
    ------
    pyarrow.Table
        At least one, of at least one row.

    Raises
    ------
    FileError
        As `read_table`, yet not before the damaged part is asked for.
    """
    path = Path(path)
    with reading(path) as suffix:
        if suffix.startswith((".csv", ".tsv")):
            tables = _from_table(read_table(path))
        else:
            tables = (_from_parquet if suffix in (".parquet", ".pq") else _from_arrow)(path, rows)
        for part in _cut(tables, rows):
            # A damaged page can hold text that is no UTF-8, and Arrow trusts its own offsets.
            part.validate(full=True)
            check_shape(part, path)
            yield part


# Each source begins with a table without rows, for the columns of a file that has none.


def _from_table(table: pa.Table) -> Iterator[pa.Table]:
    yield table.slice(0, 0)
    yield table


def _from_parquet(path: Path, rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Buffering ahead would hold the whole file, and each thread the pages of its columns.
    with (
        path.open("rb") as file,
        pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened,
    ):
        yield opened.schema_arrow.empty_table()
        for batch in opened.iter_batches(rows, use_threads=False):
            yield pa.Table.from_batches([batch])


def _from_arrow(path: Path, rows: int) -> Iterator[pa.Table]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        opened = open_arrow(source)
        if opened is None:
            yield from _from_table(read_table(path))
            return
        with opened as reader:
            yield reader.schema.empty_table()
            batches = reader  # a stream's; a file's are fetched by number
            if isinstance(reader, pa.RecordBatchFileReader):
                batches = map(reader.get_batch, range(reader.num_record_batches))
            for batch in batches:
                yield pa.Table.from_batches([batch])


def _cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut and join tables so that each has so many rows, and the last one what is left."""
    import pyarrow as pa

    empty = next(tables)
    waiting: list[pa.Table] = []
    n = n_cut = 0
    for table in tables:
        waiting.append(table)
        n += table.num_rows
        if n < rows:
            continue
        joined = pa.concat_tables(waiting)
        for start in range(0, n - rows + 1, rows):
            yield joined.slice(start, rows)
        n_cut += n - n % rows
        n %= rows
        waiting = [joined.slice(joined.num_rows - n)] if n else []
    if n or not n_cut:
        yield pa.concat_tables(waiting or [empty])
