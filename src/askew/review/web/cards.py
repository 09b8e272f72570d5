"""What a card shows of a row: why it stands out, its fields, its nearest judged rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from askew.review.session import Ranking, Session
from askew.review.web.pictures import picture_of_category, picture_of_part
from askew.review.web.words import Cell, cell
from askew.table.encode import parts_of
from askew.table.schema import Kind, share_above, share_below

TOP = 5  # sentences
NEAREST = 2
SAMPLE = 5_000  # rows that tell how wide a column is


@dataclass(frozen=True)
class Sentence:
    """A reason: a column, what it adds to the score, and the words with their picture."""

    column: str
    text: str
    gain: float
    picture: Markup


@dataclass(frozen=True)
class Field:
    """A cell of the row under the column's name."""

    name: str
    cell: Cell
    odd: bool


@dataclass(frozen=True)
class Shown:
    """A card, ready to be shown.

    Parameters
    ----------
    key
        By which its verdict is told.
    row
        Its place in the table, from 0.
    title
        Its name for a reader.
    asked
        Why it is asked, in words; empty where the reader came to it.
    model
        Of the ranking that the rest is about.
    score, rank
        In that ranking; 1 is the most anomalous.
    sentences, fields
        As above; fields in the user's order.
    """

    key: str
    row: int
    title: str
    asked: str
    model: str
    score: float
    rank: int
    sentences: tuple[Sentence, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Neighbor:
    """A judged row near the card's: its verdict, and its cells where the card's row is odd."""

    key: str
    title: str
    verdict: str
    fields: tuple[Field, ...]


class CardMaker:
    """Makes cards of a session's rows. Threads may share it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._table = session.prepared.table
        self.row = {key: row for row, key in enumerate(session.keys)}

    def make(self, ranking: Ranking, wanted: Sequence[tuple[int, str]]) -> list[Shown]:
        """Make the cards of some rows, each given with why it is asked.

        Asks the model again once for each column that is not typical: tens of milliseconds.
        """
        if not wanted:
            return []
        rows = [row for row, _ in wanted]
        found = ranking.model.explain(self._table.frame[rows].to_native(), top=TOP)
        columns = self._table.columns[rows]
        cards = []
        for i, (row, asked) in enumerate(wanted):
            score = float(ranking.scores[row])
            sentences = tuple(
                Sentence(
                    one.column,
                    one.text,
                    one.gain,
                    self._picture(one.column, columns, i),
                )
                for one in found[i]
            )
            cards.append(
                Shown(
                    key=self.session.keys[row],
                    row=row,
                    title=self.title(row),
                    asked=asked,
                    model=ranking.model.id_,
                    score=score,
                    rank=1 + int((ranking.scores > score).sum()),
                    sentences=sentences,
                    fields=self.fields(row, {one.column for one in found[i]}),
                )
            )
        return cards

    def title(self, row: int) -> str:
        """Name a row: by what the user calls it, else by its place in the file."""
        if self._table.named:
            return cell(self.session.keys[row]).text
        return f"row {row + 1:,}"

    def fields(self, row: int, odd: Iterable[str] = (), only: bool = False) -> tuple[Field, ...]:
        """Give the cells of a row in the user's order; those of the odd columns alone if asked."""
        marked = set(odd)
        names = [name for name in self._table.frame.columns if not only or name in marked]
        cells = self._table.frame[[row]].select(names).rows()[0] if names else ()
        return tuple(
            Field(name, cell(value), name in marked)
            for name, value in zip(names, cells, strict=True)
        )

    def nearest(self, shown: Shown) -> list[Neighbor]:
        """Find the judged rows that are most alike, nearest first; unsure ones count as judged."""
        said = {
            row: str(held.verdict)
            for key, held in self.session.standing.items()
            if (row := self.row[key]) != shown.row
        }
        if not said:
            return []
        rows = np.fromiter(said, np.intp, len(said))
        x = self.session.prepared.x
        apart = (x[rows] - x[shown.row]) / self._width
        away = np.einsum("ij,ij->i", apart, apart)
        odd = [field.name for field in shown.fields if field.odd]
        return [
            Neighbor(
                self.session.keys[row], self.title(row), said[row], self.fields(row, odd, only=True)
            )
            for row in rows[np.argsort(away, kind="stable")[:NEAREST]].tolist()
        ]

    @cached_property
    def _width(self) -> NDArray[np.float32]:
        x = self.session.prepared.x
        step = max(1, len(x) // SAMPLE)
        width = x[::step].std(axis=0)
        return np.where(width > 0, width, 1).astype(np.float32)

    def _picture(self, name: str, columns: object, i: int) -> Markup:
        column = self.session.prepared.schema.column(name)
        cells = columns.get_column(name)  # type: ignore[attr-defined]
        if column.kind is Kind.CATEGORY:
            return picture_of_category(column, cells[i])
        values = {part: found[i] for part, found in parts_of(column, cells).items()}
        if any(np.isnan(value) for value in values.values()):
            return picture_of_part(column.parts[0], None)
        # The part that the sentence speaks of: where the value lies furthest out.
        part = max(
            column.parts,
            key=lambda one: max(
                share_below(one, values[one.name]), share_above(one, values[one.name])
            ),
        )
        return picture_of_part(part, float(values[part.name]))
