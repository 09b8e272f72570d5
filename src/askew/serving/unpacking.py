"""Parquet and Arrow bodies as tables, measured before they are unpacked.

A body of a few kilobytes can say that it holds a billion rows, or one cell of a megabyte a million
times. Rows and bytes are therefore counted beforehand, by the lengths that whoever unpacks them
goes by: those before Arrow's compressed buffers, those in the headers of Parquet's pages. Columns
that nobody asks for are not unpacked, and cells that share their text stay shared until their
whole length is known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from askew.errors import DataError
from askew.serving.faults import BrokenBodyError, TooLargeError
from askew.serving.pages import Footer, Leaf
from askew.table.cells import is_number, is_string

MAGIC = b"ARROW1"  # an Arrow file: these letters, two zeros, a stream, an index, the letters again

_BROKEN = (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, struct.error)

_WIDE = {"INT64": 8, "DOUBLE": 8, "INT96": 12}  # bytes of Parquet's numbers; of the others 4

Chosen = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Limits:
    """What one body may hold.

    Parameters
    ----------
    n_rows
    n_bytes
        Once unpacked.
    """

    n_rows: int
    n_bytes: int

    def check(self, n_rows: int, n_bytes: int = 0) -> None:
        """Raise where a body holds more."""
        if n_rows > self.n_rows:
            raise TooLargeError(
                f"the body holds {n_rows:,} rows, and {self.n_rows:,} are taken at once; send "
                "them in several requests"
            )
        if n_bytes > self.n_bytes:
            raise TooLargeError(
                f"the body unpacks to {n_bytes:,} bytes, and {self.n_bytes:,} are taken at once; "
                "send fewer rows in a request"
            )


def parquet_table(body: bytes, chosen: Chosen, limits: Limits) -> pa.Table:
    """Read columns of a Parquet body.

    Parameters
    ----------
    body
    chosen
        Given the body's column names, checks them and gives those to be read.
    limits

    Raises
    ------
    BrokenBodyError
        No Parquet, or a damaged one.
    TooLargeError
        More rows, pages or bytes than the limits, by its footer and the headers of its pages.
    DataError
        A chosen column of a type that cannot be ranked, or an encoding whose size nothing tells.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
        types = file.schema_arrow
    except _BROKEN as error:
        raise _broken("Parquet", error) from error
    footer = Footer(body)
    limits.check(footer.n_rows)
    names = chosen(types.names)
    _check_types(types, names)
    limits.check(0, footer.n_bytes(_leaves(file.schema, types, names)))
    texts = [name for name in names if is_string(types.field(name).type)]
    try:
        file = pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts)
        table = file.read(columns=names, use_threads=False).select(names)
    except _BROKEN as error:
        raise _broken("Parquet", error) from error
    return _measured(table, limits)


def arrow_table(body: bytes, chosen: Chosen, limits: Limits, *, is_file: bool) -> pa.Table:
    """Read columns of an Arrow body: a stream, or a file, which holds a stream.

    Parameters, errors: as ``parquet_table``.
    """
    if is_file and not (body.startswith(MAGIC) and body.endswith(MAGIC)):
        raise BrokenBodyError(
            "the body is no Arrow file, or one cut off; send a whole one, or a stream as "
            "application/vnd.apache.arrow.stream"
        )
    stream = pa.py_buffer(body).slice(8 if is_file else 0)
    try:
        types = pa.ipc.open_stream(stream).schema
        n_rows = n_bytes = 0
        for message in _messages(stream):
            rows, unpacked = _declared(message)
            n_rows, n_bytes = n_rows + rows, n_bytes + unpacked
        limits.check(n_rows, n_bytes)
        names = chosen(types.names)
        _check_types(types, names)
        wanted = [types.get_field_index(name) for name in names]
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        table = pa.ipc.open_stream(stream, options=options).read_all().select(names)
    except _BROKEN as error:
        raise _broken("Arrow", error) from error
    return _measured(table, limits)


def _messages(stream: pa.Buffer) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(stream)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _declared(message: Any) -> tuple[int, int]:
    """Tell how many rows a message declares, and how many bytes its buffers unpack to."""
    if message.type not in ("record batch", "dictionary"):
        return 0, 0
    metadata = memoryview(message.metadata)
    if b"experimental_compression" in bytes(metadata):
        raise BrokenBodyError("the Arrow body is packed in a way given up long ago; send it anew")
    # Message: version, header type, header; DictionaryBatch: id, data; RecordBatch: length,
    # nodes, buffers, compression (Arrow's format/Message.fbs).
    batch = _followed(metadata, _field(metadata, _followed(metadata, 0), 2))
    is_record = message.type == "record batch"
    if not is_record:
        batch = _followed(metadata, _field(metadata, batch, 1))
    at = _field(metadata, batch, 0)
    length = 0 if at is None else struct.unpack_from("<q", metadata, at)[0]
    n_bytes = message.body.size
    if _field(metadata, batch, 3) is not None:
        n_bytes = _unpacked(metadata, _field(metadata, batch, 2), memoryview(message.body))
    return (length if is_record else 0), n_bytes


def _unpacked(metadata: memoryview, at: int | None, body: memoryview) -> int:
    """Add up what compressed buffers say they unpack to: each begins with its length."""
    vector = _followed(metadata, at)
    (count,) = struct.unpack_from("<I", metadata, vector)
    found = 0
    for i in range(count):
        offset, size = struct.unpack_from("<qq", metadata, vector + 4 + 16 * i)
        if size:
            (length,) = struct.unpack_from("<q", body, offset)
            found += size if length < 0 else length
    return found


def _followed(buffer: memoryview, at: int | None) -> int:
    """Follow a flatbuffer's offset."""
    if at is None:
        raise BrokenBodyError("the Arrow body lacks a part; send it anew")
    return at + int(struct.unpack_from("<I", buffer, at)[0])


def _field(buffer: memoryview, table: int, number: int) -> int | None:
    """Find a field of a flatbuffer's table; None where it has its default."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", buffer, vtable)[0]:
        return None
    (offset,) = struct.unpack_from("<H", buffer, vtable + 4 + 2 * number)
    return table + int(offset) if offset else None


def _check_types(types: pa.Schema, names: list[str]) -> None:
    for name in names:
        kind = types.field(name).type
        inner = kind.value_type if pa.types.is_dictionary(kind) else kind
        flat = pa.types.is_null(inner) or pa.types.is_boolean(inner) or pa.types.is_temporal(inner)
        if pa.types.is_interval(inner) or not (flat or is_number(inner) or is_string(inner)):
            raise DataError(
                f"column {name!r} holds {str(kind)[:60]}; numbers, text, dates or booleans were "
                "expected"
            )


def _leaves(schema: pq.ParquetSchema, types: pa.Schema, names: list[str]) -> dict[int, Leaf]:
    """Find columns by their place among all that are no structs."""
    wanted, lengths = set(names), {len(name) for name in names}
    found: dict[str, tuple[int, Leaf]] = {}
    for i in range(len(schema)):
        column = schema.column(i)
        path = column.path
        # Arrow's reader, asked for "a", reads "a.b" too, and what is called b within a struct a.
        below = any(path[n : n + 1] == "." and path[:n] in wanted for n in lengths)
        if path in found or (below and path not in wanted):
            raise DataError(
                f"column {path[:60]!r} cannot be told from another one; leave it out, or give it "
                "another name"
            )
        if path in wanted:
            decimal = pa.types.is_decimal(types.field(path).type)
            if decimal and column.physical_type == "BYTE_ARRAY":
                raise DataError(
                    f"column {path!r} holds decimals of any length; write them with a fixed one"
                )
            width = types.field(path).type.byte_width if decimal else 0
            width = max(width, column.length, _WIDE.get(column.physical_type, 4))
            found[path] = i, Leaf(path, width)
    return dict(found.values())


def _measured(table: pa.Table, limits: Limits) -> pa.Table:
    """Check every value, and the size of the cells when none shares its text with another."""
    try:
        table.validate(full=True)
        chunks = [chunk for column in table.columns for chunk in column.chunks]
        limits.check(table.num_rows, sum(map(_size, chunks)))
    except _BROKEN as error:
        raise _broken("Arrow or Parquet", error) from error
    return table


def _size(array: pa.Array) -> int:
    """Give the bytes of an array's cells, each with a text of its own."""
    if pa.types.is_dictionary(array.type) and is_string(array.type.value_type):
        lengths = pc.binary_length(array.dictionary.cast(pa.large_string()))
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_string_view(array.type):
        # The first four of a view's sixteen bytes are its length.
        views = np.frombuffer(array.buffers()[1], np.int32).reshape(-1, 4)
        return int(views[array.offset : array.offset + len(array), 0].sum(dtype=np.int64))
    return int(array.nbytes)


def _broken(what: str, error: Exception) -> BrokenBodyError:
    first = (str(error).splitlines() or [""])[0][:120]
    return BrokenBodyError(
        f"the body cannot be read as {what}: it is damaged, cut off or of another kind ({first})"
    )
