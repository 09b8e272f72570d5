"""The application: pages, the same as JSON, and the gate before both."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles

from askew.errors import AskewError, StoreError
from askew.http import hosts_of
from askew.review.web import api, pages, signing
from askew.review.web.desk import NoSuchRowError
from askew.review.web.desks import Desks
from askew.review.web.export import Export
from askew.review.web.ranked import NoSuchColumnError, RankedTable
from askew.review.web.rendering import HERE, message
from askew.review.web.security import Gate, Keys
from askew.review.web.users import Attempts, Users
from askew.review.web.words import told


def create_app(
    desks: Desks,
    keys: Keys,
    *,
    users: Users | None = None,
    table: str = "the table",
    hosts: Collection[str] | None = None,
    export: Export | None = None,
) -> FastAPI:
    """Make the application of a session's reviewers.

    Parameters
    ----------
    desks
        Stay open when the application ends.
    keys
        The token that lets in.
    users
        Reviewers who sign in by name, each with a desk of their own; the token lets nobody in
        then. Without them everybody judges as the session's own reviewer.
    table
        Its name for a reader.
    hosts
        Names under which it may be asked for (see `hosts_of`); loopback's where None.
    export
        Writes the ranked table; without it nothing is offered to take away.
    """
    app = FastAPI(
        title="Askew review",
        version="1",
        description=f"Judge the rows that Askew asks about. Sign in with {_BY[users is not None]}.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.desks, app.state.keys, app.state.table = desks, keys, table
    app.state.ranked, app.state.export = RankedTable(desks.session), export
    app.state.users, app.state.attempts = users, Attempts()
    if users is not None:
        app.include_router(signing.router)
    app.include_router(pages.router)
    app.include_router(api.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_api_route("/healthz", _alive, include_in_schema=False)
    app.add_exception_handler(AskewError, _refused)
    app.add_exception_handler(HTTPException, _unfound)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_middleware(
        Gate,
        keys=keys,
        hosts=hosts_of("127.0.0.1") if hosts is None else hosts,
        refuse=message,
        named=users is not None,
    )
    return app


_BY = {
    False: "`Authorization: Bearer TOKEN`, or with the page's cookie and its `X-CSRF-Token`",
    True: "name and passphrase on the page `/sign-in`, and send its cookie and `X-CSRF-Token`",
}


def _alive() -> Response:
    return PlainTextResponse("ok")


async def _refused(request: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, StoreError) else 422
    if isinstance(error, NoSuchRowError | NoSuchColumnError):
        status = 404
    return _said(request, status, told(error))


async def _unfound(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reply = _said(request, error.status_code, str(error.detail))
    reply.headers.update(error.headers or {})  # Allow, beside a 405
    return reply


async def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"loc": list(one["loc"]), "msg": str(one["msg"]), "type": str(one["type"])}
        for one in error.errors()
    ]
    if _is_api(request):
        return JSONResponse({"detail": found}, 422)
    where = ", ".join(f"{one['loc'][-1]}: {one['msg']}" for one in found)
    return _said(request, 422, f"The form cannot be read ({where}). Nothing was saved.")


def _said(request: Request, status: int, text: str) -> Response:
    if _is_api(request):
        return JSONResponse({"detail": text}, status)
    return message(request, status, text)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")
