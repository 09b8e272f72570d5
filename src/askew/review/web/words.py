"""What stands in a cell, as text for the page; whatever it holds."""

from __future__ import annotations

from dataclasses import dataclass

from askew.errors import AskewError

LONGEST = 300  # characters of a cell that are shown

# Characters that no page can show stand as their pictures: ␀ for a zero byte.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {127: 0x2421}


@dataclass(frozen=True)
class Cell:
    """A value for reading.

    Parameters
    ----------
    text
        As it stands in the file, its first ``LONGEST`` characters at most.
    n_characters
        Of the whole value.
    missing
        Nothing stands there.
    """

    text: str
    n_characters: int
    missing: bool = False

    @property
    def shortened(self) -> bool:
        """Whether more stands there than is shown."""
        return self.n_characters > LONGEST


def cell(value: object) -> Cell:
    r"""Write a value down.

    >>> cell("a\0b").text, cell(3.0).text, cell(float("nan")).missing
    ('a␀b', '3.0', True)
    """
    if value is None or value != value:  # NaN, and pandas' NaT
        return Cell("", 0, missing=True)
    text = value if isinstance(value, str) else str(value)
    return Cell(printable(text[:LONGEST]), len(text))


def printable(text: str) -> str:
    """Replace what no page can show."""
    return text.translate(_PICTURES).encode("utf-8", "replace").decode()


def told(error: BaseException) -> str:
    """Say what failed in a sentence that a reader can use."""
    if isinstance(error, AskewError):
        return printable(str(error))[:1000]
    return f"a fault of Askew's own ({type(error).__name__})"
