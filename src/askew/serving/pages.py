"""What Parquet columns unpack to, by the headers of their pages.

The footer tells sizes too, but nothing holds a reader to them. A page's header does: its size is
what a reader sets aside and what a page may unpack to, and its encoding tells whether a few bytes
can stand for many. Footer and headers are read here, as pyarrow ends the whole process where it is
asked about columns of a damaged footer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from askew.errors import DataError
from askew.serving.faults import BrokenBodyError, TooLargeError

PAGES = 50_000  # of a body; 100,000 rows of 300 columns take some 3,000
FOOTER = 500_000  # fields and items of a footer; a column takes some 40 in each row group
HEADER = 100  # of a page's header; one with statistics takes some 20

_I32, _I64, _LIST, _STRUCT = 5, 6, 9, 12  # types of Thrift's compact form
_DICTIONARY = 2  # parquet.thrift's PageType
_HEADS = {0: 5, _DICTIONARY: 7, 3: 8}  # by type: the field of PageHeader that tells of the values
_DELTA_BYTES = {6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY"}
_TEXT = 16  # bytes that a reader spends on each entry of a dictionary, beside the text

Found = dict[tuple[int, int], Any]


@dataclass(frozen=True)
class Leaf:
    """A column as it is read.

    Parameters
    ----------
    name
    width
        Bytes of a value, but for what it points to.
    """

    name: str
    width: int


class Footer:
    """The footer of a Parquet body, as far as it tells where pages are.

    Parameters
    ----------
    body

    Raises
    ------
    BrokenBodyError
        A footer that cannot be read.
    TooLargeError
        One of more than ``FOOTER`` parts.

    Attributes
    ----------
    n_rows
        The most that it tells of.
    """

    def __init__(self, body: bytes) -> None:
        self._body, self._n_pages = body, 0
        start = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
        try:
            told = _Compact(body, max(start, 0), FOOTER).fields()
            # FileMetaData: 3 num_rows, 4 row_groups. RowGroup: 1 columns, 3 num_rows.
            self._groups = [(group[1, _LIST], group[3, _I64]) for group in told[4, _LIST]]
            self.n_rows = max(told[3, _I64], sum(n for _, n in self._groups))
        except (KeyError, IndexError) as error:
            raise _broken("a footer that lacks a part") from error

    def n_bytes(self, leaves: Mapping[int, Leaf]) -> int:
        """Tell what flat columns, by their place in the schema, take once they are unpacked.

        Raises
        ------
        BrokenBodyError
            Headers that cannot be read, or values that are not one a row.
        TooLargeError
            More than ``PAGES`` pages.
        DataError
            An encoding whose size no header tells.
        """
        try:
            return sum(
                self._unpacked(columns[i][3, _STRUCT], leaf, n_rows)
                for columns, n_rows in self._groups
                for i, leaf in leaves.items()
            )
        except (KeyError, IndexError) as error:
            raise _broken("a column or a page that lacks a part") from error

    def _unpacked(self, column: Found, leaf: Leaf, n_rows: int) -> int:
        # ColumnMetaData: 5 num_values, 9 data_page_offset, 11 dictionary_page_offset.
        n_values, at = column[5, _I64], column[9, _I64]
        if n_values != n_rows:
            raise _broken(f"{n_values:,} values in {n_rows:,} rows")
        if 0 < column.get((11, _I64), 0) < at:
            at = column[11, _I64]
        seen = pages = 0  # values, bytes
        while seen < n_rows:
            self._n_pages += 1
            if self._n_pages > PAGES:
                raise TooLargeError(
                    f"the body holds more than {PAGES:,} pages; write larger ones, or send fewer "
                    "rows in a request"
                )
            header = _Compact(self._body, at, HEADER)
            told = header.fields()
            # PageHeader: 1 type, 2 uncompressed and 3 compressed size. Then: 1 num_values,
            # 2 encoding, but 4 in the second kind of data page.
            kind, unpacked, stored = (told[i, _I32] for i in (1, 2, 3))
            head = told[_HEADS[kind], _STRUCT]
            n_values, encoding = head[1, _I32], head[4 if kind == 3 else 2, _I32]
            if min(at, unpacked, stored, n_values) < 0:
                raise _broken("a page of less than nothing")
            if encoding in _DELTA_BYTES:
                raise DataError(
                    f"column {leaf.name!r} is written as {_DELTA_BYTES[encoding]}, whose size "
                    "cannot be told before it is unpacked; write it with a dictionary or plain"
                )
            at, size = header.at + stored, max(unpacked, stored)
            if kind == _DICTIONARY:
                pages += max(size, _TEXT * n_values)
            else:
                seen, pages = seen + n_values, pages + size
        return max(pages, n_rows * leaf.width)


class _Compact:
    """Reads Thrift's compact form, as far as Parquet has it.

    What an ordinary reader would pass over or cut to fit is refused, so that both see the same.
    """

    def __init__(self, body: bytes, at: int, most: int) -> None:
        self._body, self.at, self._left = body, at, most

    def fields(self) -> Found:
        """Read a struct: its numbers, structs and lists of structs, by field and type."""
        found: Found = {}
        number = 0
        while kind := (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self._signed()
            if (number, kind) in found or not 0 < number < 1 << 15:
                raise _broken("a field that stands there twice, or has no number")
            value = None if kind in (1, 2) else self._value(kind)  # true and false have no bytes
            if value is not None:
                found[number, kind] = value
        return found

    def _value(self, kind: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooLargeError(
                "the body's footer, or the header of a page, holds too much; write fewer columns "
                "or larger row groups"
            )
        if kind in (_I32, _I64):
            value, bits = self._signed(), 31 if kind == _I32 else 63
            if not -1 << bits <= value < 1 << bits:
                raise _broken(f"a number of more than {bits + 1} bits")
            return value
        if kind == _STRUCT:
            try:
                return self.fields()
            except RecursionError as error:
                raise _broken("structs within structs without end") from error
        if kind == _LIST:
            head = self._byte()
            size = self._varint() if head >> 4 == 15 else head >> 4
            items = [self._value(head & 15) for _ in range(size)]
            return items if head & 15 == _STRUCT else None
        if kind == 4:
            self._varint()
        elif kind in (1, 2, 3, 7):
            self.at += 8 if kind == 7 else 1
        elif kind == 8:
            length = self._varint()
            self.at += length
        else:
            raise _broken(f"a field of type {kind}")
        return None

    def _byte(self) -> int:
        self.at += 1
        return self._body[self.at - 1]

    def _varint(self) -> int:
        found = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise _broken("a number of more than ten bytes")

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


def _broken(what: str) -> BrokenBodyError:
    return BrokenBodyError(f"the body cannot be read as Parquet: found {what}; write it anew")
