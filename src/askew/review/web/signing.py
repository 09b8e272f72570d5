"""Signing in by name and passphrase, and out again: a plain form."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from askew.review.web import users
from askew.review.web.pages import check_csrf
from askew.review.web.rendering import page
from askew.review.web.security import (
    SIGN_IN,
    Keys,
    cookie_name,
    reviewer_of,
    set_cookie,
    start_cookie_name,
    visitor_of,
)
from askew.review.web.users import Attempts, Users

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

# Hashing costs a core for a moment: one at a time, and never on the thread that answers everybody.
_hashing = ThreadPoolExecutor(1, thread_name_prefix="askew-sign-in")

WRONG = "Name or passphrase is not right. Whoever keeps the users file can give a new passphrase."
OLD = "This page was open for too long, or cookies are turned off. Sign in once more."


@router.get(SIGN_IN)
def asking(request: Request) -> Response:
    """Show the form."""
    if reviewer_of(request) is not None:
        return RedirectResponse("/", 303)
    return _form(request, 200, "")


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=2 * users.LONGEST_NAME)],
    passphrase: Annotated[str, Form(max_length=users.LONGEST)],
    csrf: Annotated[str, Form()] = "",
) -> Response:
    """Let a reviewer in whose passphrase is right."""
    keys: Keys = request.app.state.keys
    known: Users = request.app.state.users
    attempts: Attempts = request.app.state.attempts
    visitor, name = visitor_of(request), users.clean_name(name)
    if visitor is None or not keys.is_csrf(visitor, csrf):
        return _form(request, 403, OLD, name)
    wait = ceil(attempts.begin(name))
    if wait:
        seconds = "1 second" if wait == 1 else f"{wait} seconds"
        answer = _form(request, 429, f"Too many wrong attempts. Try again in {seconds}.", name)
        answer.headers["retry-after"] = str(wait)
        return answer
    loop = asyncio.get_running_loop()
    if not await loop.run_in_executor(_hashing, known.are, name, passphrase):
        return _form(request, 403, WRONG, name)
    attempts.succeed(name)
    answer = RedirectResponse("/", 303)
    set_cookie(request, answer, keys.new_cookie(name))
    answer.delete_cookie(start_cookie_name(request.scope))
    return answer


@router.post("/sign-out", dependencies=[Depends(check_csrf)])
def sign_out(request: Request) -> Response:
    """Let nobody in by this cookie any more."""
    keys: Keys = request.app.state.keys
    visitor = visitor_of(request)
    if visitor is not None:
        keys.sign_out(visitor)
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(cookie_name(request.scope))
    return answer


def _form(request: Request, status: int, said: str, name: str = "") -> Response:
    """Show the form with what is wrong, and with a cookie where none came along."""
    keys: Keys = request.app.state.keys
    visitor, cookie = visitor_of(request), ""
    if visitor is None:
        cookie = keys.new_cookie()
        visitor = keys.visitor(cookie)
        request.scope["askew_visitor"] = visitor
    answer = page(request, "sign_in.html", status, said=said, name=name)
    if cookie:
        set_cookie(request, answer, cookie, start_cookie_name(request.scope))
    return answer
