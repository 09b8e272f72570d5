"""The same as the pages, for programs: JSON under ``/api``, errors as ``{"detail": ...}``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from askew.review.estimates import Estimate
from askew.review.web.curves import curve_of
from askew.review.web.desk import View
from askew.review.web.history import Entry
from askew.review.web.pages import Alerts, Asked, BusyDesk, TheDesk, ranked_of
from askew.review.web.rail import rail_of
from askew.review.web.security import csrf_of
from askew.review.web.thresholds import START, threshold_of

Word = Literal["anomaly", "normal", "unsure"]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "asked under a name that is not this server's"},
    403: {"model": Problem, "description": "no token, or no X-CSRF-Token beside a cookie"},
    413: {"model": Problem, "description": "a body that is too large"},
    500: {"model": Problem, "description": "a fault of Askew's own"},
    503: {"model": Problem, "description": "the store of verdicts cannot be used"},
}
MISSING: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "no row has this key"}
}
NO_COLUMN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "the table has no such column"}
}
router = APIRouter(prefix="/api", tags=["review"], responses=REFUSALS)


class SentenceOut(BaseModel):
    """Why a row stands out: one column's share."""

    column: str
    text: str
    gain: float = Field(description="what the score loses were the column typical; above 0")


class FieldOut(BaseModel):
    """A cell of a row."""

    name: str
    text: str | None = Field(description="null where nothing stands; cut to 300 characters")
    n_characters: int
    odd: bool


class NeighborOut(BaseModel):
    """A judged row near the card's."""

    key: str
    title: str
    verdict: Word
    fields: list[FieldOut]


class CardOut(BaseModel):
    """A row to be judged."""

    key: str
    title: str
    row: int = Field(description="place in the table, from 0")
    asked: str = Field(description="why it is asked; empty where nobody asked")
    under_hand: bool = Field(description="whether it is the card that waits for a verdict")
    model: str
    score: float
    rank: int
    sentences: list[SentenceOut]
    fields: list[FieldOut]
    nearest: list[NeighborOut]
    verdict: Word | None = Field(description="what holds of the row already")
    mine: Word | None = Field(description="what this reviewer said of it already")
    note: str


class CardReply(BaseModel):
    """The card, or null where every row is judged, left unsure or before somebody else."""

    card: CardOut | None
    csrf: str = Field(description="for the header X-CSRF-Token; empty with a bearer token")


class VerdictIn(BaseModel):
    """A verdict."""

    key: str = Field(min_length=1, max_length=10_000)
    verdict: Word
    note: str = Field(default="", max_length=2_000)


class VerdictReply(BaseModel):
    """What was written, and the next card."""

    written: bool = Field(description="false where the same verdict stood already")
    number: int | None = Field(description="of the line in the store")
    card: CardOut | None


class UndoReply(BaseModel):
    """What was taken back, and its card."""

    key: str | None = Field(description="null where nothing is left to take back")
    verdict: Word | None
    card: CardOut | None


class EstimateOut(BaseModel):
    """A figure with its interval; null where the verdicts don't carry it."""

    value: float | None
    low: float | None
    high: float | None
    level: float
    n_checks: int
    n_needed: int
    text: str


class LearningOut(BaseModel):
    """What the background does."""

    running: bool
    failed: str
    n_rankings: int
    model: str
    n_behind: int = Field(description="lines of the store that the ranking does not know")


class Status(BaseModel):
    """How far the reviewing is."""

    n_anomaly: int
    n_normal: int
    n_unsure: int
    n_judged: int
    n_rows: int
    n_disputed: int
    remaining: EstimateOut
    rate: EstimateOut
    precision: EstimateOut
    k: int
    hint: str
    strategy: str
    learning: LearningOut


class EntryOut(BaseModel):
    """A judged row."""

    key: str
    verdict: Word
    mine: Word | None
    by: dict[str, Word]
    disputed: bool
    note: str
    at: datetime
    number: int


class History(BaseModel):
    """Judged rows, newest first."""

    n: int
    entries: list[EntryOut]


class RowOut(BaseModel):
    """A row of the ranked table."""

    key: str
    row: int = Field(description="place in the table, from 0")
    rank: int = Field(description="1 is the most anomalous; equal scores share a rank")
    score: float
    verdict: Word | None
    disputed: bool
    cells: list[str | None]


class TableReply(BaseModel):
    """A page of the ranked table."""

    rows: list[RowOut]
    columns: list[str] = Field(description="of the cells: the first eight at most")
    number: int
    n_pages: int
    n_rows: int = Field(description="that pass the filters")
    sort: str
    descending: bool


class StopOut(BaseModel):
    """Precision and recall of so many rows with the highest scores."""

    alerts: int
    precision: EstimateOut
    recall: EstimateOut


class ThresholdReply(BaseModel):
    """What a number of alerts costs and brings."""

    alerts: int = Field(description="as asked for; the number of rows where it is higher")
    cut: float = Field(description="rows that score higher are alerts")
    n_rows: int
    n_alerts: int = Field(description="rows above the cut; fewer than asked for where scores tie")
    n_tied: int = Field(description="rows that score the same as the cut and stay below it")
    share: float = Field(description="of the rows above the cut, in [0, 1]")
    precision: EstimateOut | None = Field(description="null where no row is above the cut")
    recall: EstimateOut | None = Field(description="null where no row is above the cut")
    n_judged: int = Field(description="rows above the cut known to be anomaly or normal")
    n_anomaly: int = Field(description="of these")
    text: str = Field(description="what it rests on")
    command: str = Field(description="that cuts a model so")
    stops: list[StopOut] = Field(description="along the whole table, 15 at most")


class PointOut(BaseModel):
    """A point of the curve."""

    n_judged: int
    n_found: int


class HistogramOut(BaseModel):
    """Rows by score and verdict; each list of counts has one entry fewer than there are edges."""

    edges: list[float]
    anomaly: list[int]
    normal: list[int]
    unsure: list[int]
    open: list[int] = Field(description="not judged")


class CurveReply(BaseModel):
    """How the judging went."""

    n_judged: int = Field(description="rows whose verdict stands")
    n_found: int = Field(description="anomalies among them")
    n_given: int = Field(description="rows that came with a verdict; not part of the curve")
    points: list[PointOut] = Field(description="in the order of judging, 500 at most")
    rate: EstimateOut = Field(description="share of anomalies among all rows: random looking")
    histogram: HistogramOut


@router.get("/card", responses=MISSING)
def get_card(
    request: Request, desk: BusyDesk, key: Annotated[str | None, Query(max_length=10_000)] = None
) -> CardReply:
    """Give the card under the hand, or that of a row."""
    return CardReply(card=card_out(desk.view(key)), csrf=csrf_of(request))


@router.post("/verdicts", responses=MISSING)
def post_verdict(desk: BusyDesk, given: VerdictIn) -> VerdictReply:
    """Save a verdict, durably, and give the next card."""
    line = desk.judge(given.key, given.verdict, given.note)
    return VerdictReply(
        written=line is not None,
        number=None if line is None else line.number,
        card=card_out(desk.view()),
    )


@router.post("/undo")
def post_undo(desk: BusyDesk) -> UndoReply:
    """Take the reviewer's last verdict back."""
    line = desk.undo()
    card = card_out(desk.view())
    if line is None or line.verdict is None:
        return UndoReply(key=None, verdict=None, card=card)
    return UndoReply(key=line.key, verdict=line.verdict.value, card=card)


@router.get("/status")
def get_status(desk: TheDesk) -> Status:
    """Tell how far it is, what may be left, and what the background does."""
    rail = rail_of(desk)
    return Status(
        n_anomaly=rail.n_anomaly,
        n_normal=rail.n_normal,
        n_unsure=rail.n_unsure,
        n_judged=rail.n_judged,
        n_rows=rail.n_rows,
        n_disputed=len(rail.disputed),
        remaining=_estimate_out(rail.remaining),
        rate=_estimate_out(rail.rate),
        precision=_estimate_out(rail.precision),
        k=rail.k,
        hint=rail.hint,
        strategy=rail.strategy,
        learning=LearningOut(**vars(rail.learning)),
    )


@router.get("/history")
def get_history(
    desk: TheDesk,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> History:
    """Give judged rows, newest first, by a part of key, note, verdict or reviewer."""
    found = desk.history.search(q)
    return History(n=len(found), entries=[_entry_out(entry) for entry in found[:limit]])


@router.get("/table", responses=NO_COLUMN)
def get_table(request: Request, asked: Annotated[Asked, Query()]) -> TableReply:
    """Give a page of the ranked table, 50 rows at most; beyond the last page, the last."""
    page = ranked_of(request).page(**asked.told())
    return TableReply.model_validate(
        vars(page)
        | {
            "rows": [
                vars(row) | {"cells": [None if one.missing else one.text for one in row.cells]}
                for row in page.rows
            ]
        }
    )


@router.get("/threshold")
def get_threshold(desk: TheDesk, alerts: Alerts = START) -> ThresholdReply:
    """Tell what a number of alerts costs and brings, by the verdicts so far."""
    view = threshold_of(desk, alerts)
    told, estimates = view.told, view.estimates
    return ThresholdReply(
        alerts=view.alerts,
        cut=told.cut,
        n_rows=told.n_rows,
        n_alerts=told.n_alerts,
        n_tied=told.n_tied,
        share=told.share,
        precision=None if estimates is None else _estimate_out(estimates.precision),
        recall=None if estimates is None else _estimate_out(estimates.recall),
        n_judged=view.n_judged,
        n_anomaly=view.n_anomaly,
        text=told.describe(),
        command=view.command,
        stops=[
            StopOut(
                alerts=stop.alerts,
                precision=_estimate_out(stop.precision),
                recall=_estimate_out(stop.recall),
            )
            for stop in view.drawn
        ],
    )


@router.get("/curve")
def get_curve(desk: TheDesk) -> CurveReply:
    """Tell how the judging went, and how the scores spread by verdict."""
    curve = curve_of(desk)
    counts = {name: count.tolist() for name, count in curve.histogram.counts.items()}
    return CurveReply(
        n_judged=curve.n_judged,
        n_found=curve.n_found,
        n_given=curve.n_given,
        points=[PointOut(n_judged=judged, n_found=found) for judged, found in curve.points()],
        rate=_estimate_out(curve.rate),
        histogram=HistogramOut(edges=curve.histogram.edges.tolist(), **counts),
    )


def card_out(view: View) -> CardOut | None:
    """Write a card for a program."""
    card, held = view.card, view.held
    if card is None:
        return None
    return CardOut.model_validate(
        {
            "key": card.key,
            "title": card.title,
            "row": card.row,
            "asked": card.asked,
            "under_hand": view.asked,
            "model": card.model,
            "score": card.score,
            "rank": card.rank,
            "sentences": [
                {"column": one.column, "text": one.text, "gain": one.gain} for one in card.sentences
            ],
            "fields": [_field_out(one) for one in card.fields],
            "nearest": [
                {
                    "key": near.key,
                    "title": near.title,
                    "verdict": near.verdict,
                    "fields": [_field_out(one) for one in near.fields],
                }
                for near in view.nearest
            ],
            "verdict": None if held is None else held.verdict,
            "mine": None if held is None else held.mine,
            "note": "" if held is None else held.note,
        }
    )


def _field_out(field: Any) -> dict[str, Any]:
    cell = field.cell
    return {
        "name": field.name,
        "text": None if cell.missing else cell.text,
        "n_characters": cell.n_characters,
        "odd": field.odd,
    }


def _estimate_out(one: Estimate) -> EstimateOut:
    return EstimateOut(
        value=one.value,
        low=one.low,
        high=one.high,
        level=one.level,
        n_checks=one.n_checks,
        n_needed=one.n_needed,
        text=one.describe(),
    )


def _entry_out(entry: Entry) -> EntryOut:
    return EntryOut.model_validate(vars(entry) | {"by": dict(entry.by)})
