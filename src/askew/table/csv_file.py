"""CSV to a typed table, by pyarrow's reader, and back.

pyarrow finds the columns' types. What stands here is around it: faults are named with their row
or line, and a column whose digits would not survive as numbers stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from askew.errors import FileError
from askew.table.checks import check_shape
from askew.table.dialect import NAMES, Dialect, dialect_of

if TYPE_CHECKING:
    import pyarrow as pa

# A row has to fit into one block; pyarrow's own 1 MiB is short for tables of 100,000 columns.
_BLOCK = 8 << 20

_LINES = 1 << 16  # lines of CSV put together at a time

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# A number that is longer than float64 is exact, or that begins with a zero, somewhere in the
# file: cheap to look for, and only then are the columns compared with their text.
_MAY_LOSE_DIGITS = re.compile(rb'[\r\n,;|\t"][+-]?(?:0[0-9]|[0-9]{16})')


def read_csv(path: Path) -> pa.Table:
    """Read one CSV or TSV file; see `askew.table.read_table`.

    Raises
    ------
    FileError
        Text that is not UTF-8, rows that differ in length, no rows, an unclosed quote, a header
        that leaves open what separates it.
    """
    data, dialect = _load(path)
    _check_text(path, data)
    _check_utf8(path, data)
    table = _parse(path, data, dialect)
    _check_separator(path, data, table, dialect)
    if table.num_columns == 1:
        # In a table of one column a blank line is a row whose cell is missing.
        table = _parse(path, data.lstrip(b"\r\n"), dialect, ignore_empty_lines=False)
    check_shape(table, path)
    _check_quotes(path, data, table)
    return _blank_is_missing(_keep_digits(data, table, dialect))


def read_csv_text(path: Path) -> pa.Table:
    """Read a file that `read_csv` could read, every cell as the text that stands there."""
    data, dialect = _load(path)
    names = _run(data, dialect).column_names
    one = len(names) == 1
    return _run(
        data.lstrip(b"\r\n") if one else data,
        dialect,
        ignore_empty_lines=not one,
        text=names,
        missing=False,
    )


def read_dialect(path: Path) -> Dialect:
    """Tell how a file that `read_csv` could read is laid out."""
    return _load(path)[1]


def _load(path: Path) -> tuple[bytes, Dialect]:
    """Read a file's bytes, unzipped, and tell its layout."""
    import pyarrow as pa

    name = path.name.lower()
    with pa.input_stream(str(path), compression="gzip" if name.endswith(".gz") else None) as stream:
        data: bytes = stream.read()
    return data, dialect_of(data, "\t" if name.endswith((".tsv", ".tsv.gz")) else ",")


def _parse(path: Path, data: bytes, dialect: Dialect, ignore_empty_lines: bool = True) -> pa.Table:
    import pyarrow as pa

    try:
        return _run(data, dialect, ignore_empty_lines=ignore_empty_lines)
    except pa.ArrowInvalid as error:
        _raise_if_ragged(path, data, dialect)
        if "straddling" in str(error):
            raise FileError(f"{path}: a quote is opened and never closed; close it") from error
        raise


def _run(
    data: bytes,
    dialect: Dialect,
    *,
    ignore_empty_lines: bool = True,
    threads: bool = True,
    on_invalid: Any = None,
    text: list[str] | None = None,
    missing: bool = True,
) -> pa.Table:
    """Call pyarrow's reader.

    ``text`` names the only columns to read, as strings; ``missing`` says whether a word such as
    NA is then a missing cell.
    """
    import pyarrow as pa
    import pyarrow.csv as pv

    return pv.read_csv(
        pa.BufferReader(data),
        read_options=pv.ReadOptions(block_size=_BLOCK, use_threads=threads),
        parse_options=pv.ParseOptions(
            delimiter=dialect.separator,
            newlines_in_values=True,
            ignore_empty_lines=ignore_empty_lines,
            invalid_row_handler=on_invalid,
        ),
        convert_options=pv.ConvertOptions(
            decimal_point=dialect.decimal,
            include_columns=text,
            column_types=None if text is None else dict.fromkeys(text, pa.string()),
            # Only of columns that are numbers after all: elsewhere "NA" is a word like others.
            strings_can_be_null=text is not None and missing,
        ),
    )


def _check_text(path: Path, data: bytes) -> None:
    if data[:2] in _UTF16_MARKS or b"\0" in data[:4096]:
        raise FileError(
            f"{path} is not UTF-8 text (it looks like UTF-16 or a binary file); "
            "save it as UTF-8 CSV, or give it its right suffix"
        )
    header = re.search(rb"\S", data)
    if header is None:
        raise FileError(f"{path} is empty; a table with a header and rows was expected")
    line_end = re.compile(rb"[\r\n]").search(data, header.start())
    if line_end is None or re.compile(rb"[^\r\n]").search(data, line_end.end()) is None:
        raise FileError(f"{path} holds a header and no rows; at least one row was expected")


def _check_utf8(path: Path, data: bytes) -> None:
    """Refuse what is not UTF-8: pyarrow turns such columns to bytes and leaves the header."""
    if data.isascii():
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path}, line {line:,}: not UTF-8 text (byte 0x{data[error.start]:02x}); save the "
            "file as UTF-8 (in a spreadsheet: the format 'CSV UTF-8')"
        ) from error


def _raise_if_ragged(path: Path, data: bytes, dialect: Dialect) -> None:
    import pyarrow as pa

    found: list[Any] = []

    def note(row: Any) -> str:
        found.append(row)
        return "error"

    try:
        # Row numbers are known only when one thread reads.
        _run(data, dialect, threads=False, on_invalid=note)
    except pa.ArrowInvalid:
        if not found:
            return
        row = found[0]
        raise FileError(
            f"{path}, row {row.number - 1:,} (the header not counted): {row.actual_columns} values "
            f"where the header names {row.expected_columns}; quote values that hold a "
            f"{NAMES[dialect.separator]}, and close every quote"
        ) from None


def _check_separator(path: Path, data: bytes, table: pa.Table, dialect: Dialect) -> None:
    if table.num_columns > 1 or data.lstrip().startswith(b'"'):
        return
    (name,) = table.column_names
    held = [f"{said}s" for mark, said in NAMES.items() if mark in name]
    if held:
        raise FileError(
            f"{path} has one name for a header, {name!r}, with {' and '.join(held)} in it; put it "
            f"in quotes if it is one column, else put {NAMES[dialect.separator]}s between columns"
        )


def _check_quotes(path: Path, data: bytes, table: pa.Table) -> None:
    """Refuse a quote that swallows the rest of the file, as after a cut in mid-value."""
    last = table.column(table.num_columns - 1)[-1].as_py()
    if not isinstance(last, str) or data.count(b'"') % 2 == 0:
        return
    if data.endswith(b'"' + last.encode()):
        raise FileError(
            f"{path}, row {table.num_rows:,} (the header not counted): a quote is opened and never "
            "closed; the file is cut off, or the quote belongs to the text and has to be doubled"
        )


def _keep_digits(data: bytes, table: pa.Table, dialect: Dialect) -> pa.Table:
    """Turn number columns back to text where ``007`` or a twenty-digit id would be altered."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _MAY_LOSE_DIGITS.search(data) is None:
        return table
    numbers = [
        field.name
        for field in table.schema
        if pa.types.is_int64(field.type) or pa.types.is_float64(field.type)
    ]
    if not numbers:
        return table
    text = _run(data, dialect, text=numbers, ignore_empty_lines=table.num_columns > 1)
    for name in numbers:
        column = text.column(name)
        if pa.types.is_int64(table.schema.field(name).type):
            altered = pc.any(pc.match_substring_regex(column, r"^[+-]?0[0-9]")).as_py()
        else:
            # Whole numbers throughout, yet too long for 64 bits: neighbors would become equal.
            altered = pc.all(pc.match_substring_regex(column, r"^[+-]?[0-9]+$")).as_py()
        if altered:
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _blank_is_missing(table: pa.Table) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(i)
            blank = pc.equal(column, "")
            if pc.any(blank).as_py():
                filled = pc.if_else(blank, pa.scalar(None, field.type), column)
                table = table.set_column(i, field.name, filled)
    return table


def write_csv(
    names: Sequence[str],
    parts: Iterable[pa.Table],
    file: IO[bytes],
    dialect: Dialect,
    *,
    zipped: bool,
) -> None:
    """Write a header and the rows of all parts.

    Raises
    ------
    pyarrow.ArrowTypeError
        A column that a CSV cell cannot hold.
    """
    import pyarrow as pa

    sink = pa.CompressedOutputStream(file, "gzip") if zipped else file
    try:
        sink.write((dialect.separator.join(map(_header_cell, names)) + "\n").encode())
        for part in parts:
            _write_lines(part, sink, dialect)
    finally:
        if zipped:
            sink.close()


def _write_lines(table: pa.Table, sink: Any, dialect: Dialect) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pa.table(
        [_csv_cells(name, table.column(name), dialect) for name in table.column_names],
        names=table.column_names,
    )
    for batch in cells.to_batches(max_chunksize=_LINES):
        lines = pc.binary_join_element_wise(
            *batch.columns, pa.scalar(dialect.separator, pa.large_string()), null_handling="replace"
        )
        sink.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _header_cell(name: str) -> str:
    # More than a cell needs: a header alone tells a reader what separates the columns.
    quoted = '"' + name.replace('"', '""') + '"'
    return quoted if re.search(r'[",;|\t\r\n]|^\s|\s$|^$', name) else name


def _csv_cells(name: str, column: pa.ChunkedArray, dialect: Dialect) -> pa.ChunkedArray:
    """Turn a column into the text of its cells, in quotes where the cell needs them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise pa.ArrowTypeError(
            f"column {name!r} holds {kind}, which a CSV cell cannot; "
            "write .parquet or .arrow, or drop the column"
        )
    text = column.cast(pa.large_string())
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or "view" in str(kind)
    if is_text:
        return _quoted(text, dialect.separator)
    fractions = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if fractions and dialect.decimal != ".":
        return pc.replace_substring(text, ".", dialect.decimal)
    return text


def _quoted(text: Any, separator: str) -> Any:
    """Put quotes around the cells that hold a quote, a separator or a line break."""
    import pyarrow as pa
    import pyarrow.compute as pc

    needed = pc.match_substring_regex(text, f'["\r\n{separator}]')
    if not pc.any(needed).as_py():
        return text
    quote, nothing = (pa.scalar(t, pa.large_string()) for t in ('"', ""))
    inner = pc.replace_substring(text, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise(quote, inner, quote, nothing), text)
