"""The pages: plain forms that work without a script, and the parts that htmx swaps."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from fastapi import APIRouter, BackgroundTasks, Depends, Form, HTTPException, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, Field
from starlette.background import BackgroundTask
from starlette.datastructures import URL

from askew.review.web.charts import curve_chart, histogram_chart, threshold_chart
from askew.review.web.curves import GROUPS, curve_of
from askew.review.web.desk import Desk
from askew.review.web.desks import Desks
from askew.review.web.export import FORMS, Export
from askew.review.web.rail import rail_of
from askew.review.web.ranked import FILTERS, RANK, RankedTable
from askew.review.web.rendering import page
from askew.review.web.security import checks_out, reviewer_of
from askew.review.web.thresholds import START, stops_of, threshold_of
from askew.strategies import STRATEGIES

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MODES = {
    "mixed": "mixed: suspicious rows, every fifth at random",
    "suspicious": "most suspicious first",
    "informative": "most informative: what teaches most",
    "uncertain": "most uncertain: where the model doubts",
    "diverse": "diverse: unlike what is judged",
    "random": "random check: keeps the estimates honest",
}
assert set(MODES) == set(STRATEGIES)

# Quoted in the form: a browser would alter a line break or a zero byte on its way.
Key = Annotated[str, Form(min_length=1, max_length=30_000), AfterValidator(unquote)]
Note = Annotated[str, Form(max_length=2_000)]
Alerts = Annotated[
    int, Query(ge=1, le=10**9, description="rows that can be looked at; at most all of them")
]


def desk_of(request: Request) -> Desk:
    """Find the desk of a request's reviewer."""
    desks: Desks = request.app.state.desks
    return desks.of(reviewer_of(request))


def ranked_of(request: Request) -> RankedTable:
    """Find the ranked table."""
    ranked: RankedTable = request.app.state.ranked
    return ranked


class Asked(BaseModel):
    """Which page of the ranked table, as an address says it."""

    page: int = Field(default=1, ge=1, le=10**9, description="from 1")
    sort: str = Field(default=RANK, max_length=10_000, description=f"{RANK} or a column")
    descending: bool = False
    verdict: Literal["all", "anomaly", "normal", "unsure", "judged", "open", "disputed"] = "all"
    column: str = Field(default="", max_length=10_000, description="of which `holds` speaks")
    holds: str = Field(default="", max_length=200, description="text that the cell must hold")

    def told(self) -> dict[str, Any]:
        """Give it as `RankedTable.page` takes it."""
        asked = self.model_dump()
        return {"number": asked.pop("page"), **asked}


def check_csrf(request: Request, csrf: Annotated[str, Form()] = "") -> None:
    """Refuse a form that was not sent from a page of ours."""
    if not checks_out(request, csrf):
        raise HTTPException(
            403, "This form is from another page or an older start; reload and judge again."
        )


def desk_of_then(request: Request, after: BackgroundTasks) -> Desk:
    """Find the desk, and let it go on in the background once the reply is sent."""
    desk = desk_of(request)
    after.add_task(desk.go_on)
    return desk


TheDesk = Annotated[Desk, Depends(desk_of)]
BusyDesk = Annotated[Desk, Depends(desk_of_then)]
CHECKED = [Depends(check_csrf)]


@router.get("/")
def review(request: Request, desk: BusyDesk, key: str | None = None) -> Response:
    """Show the card under the hand, or that of a row."""
    return page(request, "review.html", **_shown(desk, key))


@router.post("/judge", dependencies=CHECKED)
def judge(
    request: Request,
    desk: BusyDesk,
    key: Key,
    verdict: Annotated[str, Form(max_length=20)],
    note: Note = "",
) -> Response:
    """Save a verdict and show the next card."""
    line = desk.judge(key, verdict, note.strip())
    said = f"{desk.maker.title(desk.maker.row[key])}: {verdict}, saved"
    return _onward(request, desk, said if line else f"{said} before")


@router.post("/undo", dependencies=CHECKED)
def undo(request: Request, desk: BusyDesk) -> Response:
    """Take the last verdict back and show its card."""
    line = desk.undo()
    return _onward(
        request, desk, f"Taken back: {line.verdict}" if line else "There is nothing to take back"
    )


@router.post("/note", dependencies=CHECKED)
def note(request: Request, desk: BusyDesk, key: Key, note: Note = "") -> Response:
    """Save a note on a judged row, and stay with it."""
    desk.note(key, note.strip())
    return _onward(request, desk, "Note saved", key)


@router.post("/mode", dependencies=CHECKED)
def mode(
    request: Request, desk: BusyDesk, strategy: Annotated[str, Form(max_length=20)]
) -> Response:
    """Choose how rows are asked from the next card on."""
    desk.set_mode(strategy)
    return _onward(request, desk, f"From the next card on: {MODES[strategy]}")


@router.post("/retry", dependencies=CHECKED)
def retry(request: Request, desk: BusyDesk) -> Response:
    """Refit once more after one that failed."""
    desk.retry()
    return _onward(request, desk, "Refitting again")


@router.get("/state")
def state(request: Request, desk: TheDesk, after: BackgroundTasks, seen: str = "") -> Response:
    """Give the rail's figures where they differ from those that are shown."""
    after.add_task(desk.keep)
    rail = rail_of(desk)
    if rail.mark == seen:
        return Response(status_code=204)
    return page(request, "_state.html", rail=rail)


@router.get("/history")
def history(
    request: Request,
    desk: TheDesk,
    q: Annotated[str, Query(max_length=200)] = "",
    disputed: bool = False,
) -> Response:
    """Show what was judged, newest first."""
    found = desk.history.search(q)
    if disputed:
        found = [entry for entry in found if entry.disputed]
    titles = {entry.key: _title(desk, entry.key) for entry in found[:500]}
    return page(
        request, "history.html", entries=found, q=q, disputed=disputed, titles=titles, most=500
    )


@router.get("/table")
def table(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Show the ranked table."""
    desk, ranked = desk_of(request), ranked_of(request)
    shown = ranked.page(**asked.told())
    return page(
        request,
        "table.html",
        page=shown,
        columns=ranked.columns,
        filters=FILTERS,
        titles={row.key: desk.maker.title(row.row) for row in shown.rows},
        exports={} if request.app.state.export is None else _forms(),
    )


@router.get("/threshold")
def threshold(
    request: Request,
    desk: TheDesk,
    alerts: Alerts = START,
    stop: Annotated[int | None, Query(ge=0, le=100)] = None,
) -> Response:
    """Show what a number of alerts brings: the number itself, or a stop of the slider."""
    if stop is not None:
        stops = stops_of(len(desk.session.keys))
        alerts = stops[min(stop, len(stops) - 1)]
    view = threshold_of(desk, alerts)
    shown: dict[str, Any] = {"view": view, "chart": threshold_chart(view)}
    if request.headers.get("hx-request") != "true":
        return page(request, "threshold.html", **shown)
    answer = page(request, "_threshold.html", **shown)
    answer.headers["HX-Replace-Url"] = f"/threshold?alerts={view.alerts}"
    return answer


@router.get("/curve")
def curve(request: Request, desk: TheDesk) -> Response:
    """Show how the judging went, and the scores by verdict."""
    found = curve_of(desk)
    return page(
        request,
        "curve.html",
        curve=found,
        groups=GROUPS,
        chart=curve_chart(found) if found.n_judged else None,
        spread=histogram_chart(found.histogram),
    )


@router.get("/export/{name}")
def export(request: Request, name: str) -> Response:
    """Give the ranked table as a file."""
    write: Export | None = request.app.state.export
    if write is None or name not in FORMS:
        raise HTTPException(404, "There is no such file to take away.")
    suffix, guarded, _ = FORMS[name]
    folder = TemporaryDirectory(prefix="askew-")
    try:
        path = Path(folder.name) / f"ranked{suffix}"
        write(path, guarded)
    except BaseException:
        folder.cleanup()
        raise
    stem = Path(request.app.state.table).stem
    return FileResponse(path, filename=f"{stem}.{name}", background=BackgroundTask(folder.cleanup))


def _forms() -> dict[str, str]:
    return {name: words for name, (_, _, words) in FORMS.items()}


def _title(desk: Desk, key: str) -> str | None:
    """Name a judged row; None where this table does not have it."""
    row = desk.maker.row.get(key)
    return None if row is None else desk.maker.title(row)


def _shown(desk: Desk, key: str | None, said: str = "") -> dict[str, Any]:
    view, rail = desk.view(key), rail_of(desk)
    titles = {entry.key: _title(desk, entry.key) for entry in [*rail.recent, *rail.disputed[:20]]}
    return {"view": view, "rail": rail, "modes": MODES, "said": said, "titles": titles}


def _onward(request: Request, desk: Desk, said: str, key: str | None = None) -> Response:
    """After a form: the new card for htmx, else a redirect to it."""
    address = "/" if key is None else f"/?key={quote(key, safe='')}"
    if request.headers.get("hx-request") != "true":
        return RedirectResponse(str(URL(address)), 303)
    answer = page(request, "_desk.html", **_shown(desk, key, said))
    answer.headers["HX-Push-Url"] = address
    return answer
