"""The data boundary: from what a user has to a float matrix, and back to files.

Files and frames come in through ``read_table`` and ``to_frame``; ``schema`` decides what each
column is; ``encode`` turns rows into numbers by that schema alone.
"""

from __future__ import annotations

from askew.table.content import content_keys
from askew.table.files import (
    SUFFIXES,
    check_target,
    is_csv,
    read_table,
    read_text,
    write_parts,
    write_table,
)
from askew.table.frames import array_frame, row_keys, to_frame
from askew.table.opened import Opened, open_frame
from askew.table.streams import read_parts

__all__ = [
    "SUFFIXES",
    "Opened",
    "array_frame",
    "check_target",
    "content_keys",
    "is_csv",
    "open_frame",
    "read_parts",
    "read_table",
    "read_text",
    "row_keys",
    "to_frame",
    "write_parts",
    "write_table",
]
