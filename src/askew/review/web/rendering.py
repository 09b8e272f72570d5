"""Templates: every value is made printable and escaped, and an undefined one is a fault."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from askew.review.web.security import csrf_of, reviewer_of
from askew.review.web.words import printable

HERE = Path(__file__).parent

_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: printable(value) if type(value) is str else value,
)


def moment(at: datetime) -> str:
    """Write an instant as the page does, in UTC to the minute.

    >>> moment(datetime(2026, 3, 2, 9, 5, tzinfo=UTC))
    '2026-03-02 09:05'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


_environment.filters["moment"] = moment
_environment.filters["whole"] = lambda number: f"{number:,}"
_environment.filters["quoted"] = lambda text: quote(text, safe="")


def page(request: Request, template: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """Render a template."""
    known = {
        "csrf": csrf_of(request),
        "table": request.app.state.table,
        "reviewer": reviewer_of(request),
    } | shown
    return HTMLResponse(_environment.get_template(template).render(known), status)


def message(request: Request, status: int, text: str, title: str = "") -> HTMLResponse:
    """Render a page that says one thing."""
    titles = {403: "Not let in", 404: "Nothing here", 413: "Too large"}
    title = title or titles.get(status, "That did not work")
    template = _environment.get_template("message.html")
    # Who signs in by name gets from there to the form; a token is asked for nowhere.
    inside = status != 403 or request.app.state.users is not None
    return HTMLResponse(template.render(title=title, text=text, inside=inside), status)
