"""What can be taken away: which forms there are, and text that a spreadsheet would run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

Export = Callable[[Path, bool], None]
"""Writes the ranked table to a path, whose suffix counts; True keeps formulas from running."""

FORMS: dict[str, tuple[str, bool, str]] = {
    "ranked.csv": (".csv", False, "CSV, every cell as in the file"),
    "spreadsheet.csv": (
        ".csv",
        True,
        "CSV for a spreadsheet: an apostrophe before text that it would run as a formula",
    ),
    "ranked.parquet": (".parquet", False, "Parquet"),
    "report.html": (".html", False, "report, one HTML file"),
}

# Spreadsheets run text with such a beginning; what reads as a number may stay.
_FORMULA = r"^\s*[=+\-@\t\r\n]"
_NUMBER = r"^\s*[+\-]?[0-9][0-9.,]*([eE][+\-]?[0-9]+)?\s*%?\s*$"


def neutral(table: pa.Table) -> pa.Table:
    """Put an apostrophe before each text, names of columns too, that a spreadsheet would run."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(i, field.name, _neutral(table.column(i)))
    names = _neutral(pa.chunked_array([pa.array(table.column_names, pa.string())]))
    return table.rename_columns(names.to_pylist())


def _neutral(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    runs = pc.and_(
        pc.match_substring_regex(texts, _FORMULA),
        pc.invert(pc.match_substring_regex(texts, _NUMBER)),
    )
    kind = texts.type
    guarded = pc.binary_join_element_wise(pa.scalar("'", kind), texts, pa.scalar("", kind))
    return pc.if_else(runs, guarded, texts)
