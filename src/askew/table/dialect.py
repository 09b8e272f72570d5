"""How a text table is laid out: what separates its cells, and its decimal mark."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}

_QUOTED = re.compile(rb'"[^"]*"')
_HEADER = re.compile(rb'[\r\n]*((?:"[^"]*"|[^"\r\n]++)++)')


@dataclass(frozen=True)
class Dialect:
    """A layout.

    Parameters
    ----------
    separator
        One of ``NAMES``.
    decimal
        ``"."``, or ``","`` as where people write 1,5.
    """

    separator: str = ","
    decimal: str = "."


def dialect_of(data: bytes, separator: str) -> Dialect:
    """Tell a text table's layout from its header and its numbers.

    The header separates its names by what alone stands between them, else by ``separator``. A
    decimal comma is looked for where a comma separates nothing; it holds where at least half of
    the cells with a fraction have it.
    """
    header = _HEADER.match(data)
    names = b"" if header is None else _QUOTED.sub(b"", header[1])
    found = [mark for mark in NAMES if mark.encode() in names]
    if len(found) == 1:
        (separator,) = found
    if separator == ",":
        return Dialect()
    commas, points = (_fractions(data, separator, mark) for mark in (",", "."))
    return Dialect(separator, "," if commas and commas >= points else ".")


def _fractions(data: bytes, separator: str, mark: str) -> int:
    """Count the cells that are a number with a fraction behind this mark."""
    edge = rf'[{re.escape(separator)}"\r\n]'
    cell = rf"{edge}[+-]?[0-9]+{re.escape(mark)}[0-9]+(?={edge}|\Z)"
    return sum(1 for _ in re.finditer(cell.encode(), data))
