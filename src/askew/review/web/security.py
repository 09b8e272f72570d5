"""Who may come in: token, sign-in and cookie, the host that was asked, what a browser may do."""

from __future__ import annotations

import hmac
import logging
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from askew import http

LARGEST = 256 * 1024  # bytes of a request: a verdict and a note
OPEN = ("/static/", "/healthz")  # nothing of the table is there
SIGN_IN = "/sign-in"

_log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"content-security-policy": POLICY, **http.HEADERS}


@dataclass(frozen=True)
class Keys:
    """The secret of a server, and what follows from it.

    A visitor's cookie is a random name signed with the token, so that it outlives a restart that
    keeps the token; the CSRF token of their forms follows from the name. Behind it stands the
    reviewer, once they have signed in.

    Parameters
    ----------
    token
        What the printed address carries.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _gone: set[str] = field(default_factory=set, init=False, repr=False)

    def opens(self, token: str) -> bool:
        """Whether a token is the right one; takes as long for any."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def new_cookie(self, reviewer: str | None = None) -> str:
        """Make a cookie for a new visitor, or for a reviewer who has signed in."""
        name = secrets.token_urlsafe(16)
        if reviewer is not None:
            name += f"~{urlsafe_b64encode(reviewer.encode()).decode().rstrip('=')}"
        return f"{name}.{self._signed('cookie', name)}"

    def visitor(self, cookie: str) -> str | None:
        """Name the visitor whose cookie it is; None where it is no cookie of this server."""
        name, _, signature = cookie.partition(".")
        right = hmac.compare_digest(signature.encode(), self._signed("cookie", name).encode())
        return name if right and name not in self._gone else None

    def reviewer(self, visitor: str) -> str | None:
        """Name the reviewer who signed in as this visitor; None where nobody did."""
        _, mark, told = visitor.partition("~")
        return urlsafe_b64decode(told + "=" * (-len(told) % 4)).decode() if mark else None

    def sign_out(self, visitor: str) -> None:
        """Refuse the visitor's cookie from now on, wherever it is kept."""
        self._gone.add(visitor)

    def csrf(self, visitor: str) -> str:
        """Give the token that the visitor's forms carry."""
        return self._signed("form", visitor)

    def is_csrf(self, visitor: str, given: str) -> bool:
        """Whether a form's token is its visitor's."""
        return hmac.compare_digest(given.encode(), self.csrf(visitor).encode())

    def _signed(self, use: str, text: str) -> str:
        return hmac.digest(self.token.encode(), f"{use}:{text}".encode(), "sha256").hex()


class Gate:
    """Lets in who has the token or has signed in, and puts the headers on every reply.

    Parameters
    ----------
    app
        What stands behind it.
    keys
        Of the server.
    hosts
        By `hosts_of`.
    refuse
        Writes the page that says how to get in, given a status and a sentence.
    named
        Whether reviewers sign in by name; no token opens then.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        hosts: Collection[str],
        refuse: Callable[[Request, int, str], Response],
        named: bool = False,
    ) -> None:
        self.app, self.keys, self.hosts = app, keys, hosts
        self.refuse, self.named = refuse, named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        kept = "no-cache" if scope["path"].startswith("/static/") else "no-store"
        headed = http.Headed(send, {**HEADERS, "cache-control": kept})
        answer = self._answer(scope)
        if answer is not None:
            await answer(scope, receive, headed)
            return
        try:
            await self.app(scope, http.limited(receive, LARGEST, TOO_LARGE), headed)
        except Exception:
            # Here, not in a handler of the framework's, which would answer without our headers.
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if headed.status:
                raise
            await self._refused(scope, 500, FAULT)(scope, receive, headed)

    def _answer(self, scope: Scope) -> Response | None:
        """Refuse or redirect; None where the request may pass."""
        request = Request(scope)
        if not http.is_asked_for(request.headers, self.hosts):
            return self._refused(
                scope, 400, "This server does not answer under that name. Open the printed address."
            )
        if http.is_larger(request.headers, LARGEST):
            return self._refused(scope, 413, TOO_LARGE)
        if request.url.path.startswith(OPEN):
            return None
        visitor = self.keys.visitor(_cookie(request.headers, cookie_name(scope)))
        if self.named:
            return self._answer_named(request, visitor)
        if self.keys.opens(http.bearer_of(request.headers)):
            scope["askew_visitor"] = None
            return None
        given = request.query_params.get("token")
        if visitor is None:
            if given is None or not self.keys.opens(given):
                return self._refused(scope, 403, NO_TOKEN if given is None else WRONG_TOKEN)
            return self._let_in(request)
        if given is not None and request.method == "GET":
            return RedirectResponse(_without_token(request), 303)
        return self._pass(request, visitor, NO_CSRF)

    def _answer_named(self, request: Request, visitor: str | None) -> Response | None:
        """Do the same where reviewers sign in by name."""
        reviewer = None if visitor is None else self.keys.reviewer(visitor)
        if request.url.path == SIGN_IN:
            request.scope["askew_reviewer"] = reviewer
            request.scope["askew_visitor"] = self.keys.visitor(
                _cookie(request.headers, start_cookie_name(request.scope))
            )
            return None
        if visitor is None or reviewer is None:
            # A script must not be led to another page, nor what was sent be taken for saved.
            opened = request.method == "GET" and "hx-request" not in request.headers
            if opened and not request.url.path.startswith("/api/"):
                return RedirectResponse(SIGN_IN, 303)
            return self._refused(request.scope, 403, SIGNED_OUT)
        request.scope["askew_reviewer"] = reviewer
        return self._pass(request, visitor, NO_CSRF_NAMED)

    def _pass(self, request: Request, visitor: str, no_csrf: str) -> Response | None:
        request.scope["askew_visitor"] = visitor
        if (
            request.url.path.startswith("/api/")
            and request.method not in ("GET", "HEAD", "OPTIONS")
            and not self.keys.is_csrf(visitor, request.headers.get("x-csrf-token", ""))
        ):
            return JSONResponse({"detail": no_csrf}, 403)
        return None

    def _let_in(self, request: Request) -> Response:
        answer = RedirectResponse(_without_token(request), 303)
        set_cookie(request, answer, self.keys.new_cookie())
        return answer

    def _refused(self, scope: Scope, status: int, why: str) -> Response:
        if scope["path"].startswith("/api/"):
            return JSONResponse({"detail": why}, status)
        return self.refuse(Request(scope), status, why)


NO_TOKEN = (
    "This page is private. Open the whole address that askew review printed when it started, with "
    "?token= and the letters behind it."
)
WRONG_TOKEN = (
    "The token in this address is not the right one. It changes with every start: open the address "
    "that askew review printed last."
)
SIGNED_OUT = (
    "You are not signed in, and nothing of this was saved. Open the page anew and sign in; what "
    "was saved before is safe."
)
NO_CSRF = "send the header X-CSRF-Token, or Authorization: Bearer TOKEN"
NO_CSRF_NAMED = "send the header X-CSRF-Token, which /api/card tells"
TOO_LARGE = f"The request is larger than {LARGEST // 1024} KiB; nothing was saved."
FAULT = "A fault of Askew's own. Verdicts that were saved before are safe; reload and go on."


def csrf_of(request: Request) -> str:
    """Give the CSRF token for the forms of a reply; empty where no cookie was needed."""
    visitor = visitor_of(request)
    keys: Keys = request.app.state.keys
    return "" if visitor is None else keys.csrf(visitor)


def checks_out(request: Request, given: str) -> bool:
    """Whether a form was sent from a page of ours."""
    visitor = visitor_of(request)
    keys: Keys = request.app.state.keys
    return visitor is None or keys.is_csrf(visitor, given)


def visitor_of(request: Request) -> str | None:
    """Name the visitor whose cookie came along; None where none did, or a bearer token."""
    visitor: str | None = request.scope.get("askew_visitor")
    return visitor


def reviewer_of(request: Request) -> str | None:
    """Name the reviewer who has signed in; None where reviewers don't sign in by name."""
    reviewer: str | None = request.scope.get("askew_reviewer")
    return reviewer


def set_cookie(request: Request, answer: Response, cookie: str, name: str = "") -> None:
    """Give the visitor a cookie that no script and no other site can use."""
    answer.set_cookie(
        name or cookie_name(request.scope),
        cookie,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )


def cookie_name(scope: Mapping[str, object]) -> str:
    """Name the cookie by the port: cookies of one host are seen by all its ports."""
    server = scope.get("server")
    port = server[1] if isinstance(server, list | tuple) else 0
    return f"askew-{port}"


def start_cookie_name(scope: Mapping[str, object]) -> str:
    """Name the cookie of the sign-in page, whose form needs a CSRF token as well.

    Not the other one: a link from another site brings no cookie (SameSite=Strict), and a new one
    in its place would sign out who came by it.
    """
    return f"{cookie_name(scope)}-start"


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _without_token(request: Request) -> str:
    query = [pair for pair in parse_qsl(request.url.query) if pair[0] != "token"]
    # One slash at the front: two would be another host.
    path = "/" + request.url.path.lstrip("/")
    return path + (f"?{urlencode(query)}" if query else "")
