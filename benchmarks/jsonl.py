"""Runs in a file, one JSON line each: lines are only added; what stands is not repeated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    """Read a file's lines; none where there is no file.

    A line cut short, by a kill or a full disk, is told on stderr and left out.
    """
    lines = []
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for number, one in enumerate(text.splitlines(), 1):
        try:
            lines.append(json.loads(one))
        except json.JSONDecodeError:
            print(f"{path}, line {number}: not whole, left out", file=sys.stderr)
    return lines


class Runs:
    """The runs in a file.

    Parameters
    ----------
    path
        The file; it and its folder are made with the first run.
    keys
        Names of the entries that tell one run from another.
    elsewhere
        Lines that stand already though they are not in the file.
    """

    def __init__(self, path: Path, keys: Sequence[str], elsewhere: Sequence[Line] = ()) -> None:
        self.path = path
        self.keys = keys
        self.lines = [*elsewhere, *read(path)]
        self._done = {tuple(line[k] for k in keys): line for line in self.lines}

    def once(self, make: Callable[[], Line], **key: Any) -> Line:
        """Give the run of a key; make it and add its line where it does not stand."""
        whole = tuple(key[k] for k in self.keys)
        if whole not in self._done:
            line = key | make()
            self._done[whole] = line
            self.lines.append(line)
            self._add(json.dumps(line) + "\n")
        return self._done[whole]

    def _add(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                text = text if file.read() == b"\n" else "\n" + text  # after a line cut short
            file.write(text.encode())  # one write, at the end: others may add at the same time
