"""Who may ask: the host's name, the page a request came from, the token, the size."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Collection
from time import perf_counter

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from askew import http
from askew.serving.metrics import Metrics

SCORE, HEALTH, METRICS, OPENAPI = "/api/score", "/healthz", "/metrics", "/api/openapi.json"
MIB = 1024 * 1024
HEADERS = {
    **http.HEADERS,
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}

_log = logging.getLogger(__name__)


class Gate:
    """Lets in who may ask, counts what is answered, and puts the headers on every reply.

    Parameters
    ----------
    app
        What stands behind it.
    metrics
        Where requests are counted.
    hosts
        By `askew.http.hosts_of`.
    token
        What ``Authorization: Bearer`` carries; None lets in everybody.
    largest
        Bytes of a body.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        hosts: Collection[str],
        token: str | None,
        largest: int,
    ) -> None:
        self.app, self.metrics, self.hosts, self.largest = app, metrics, hosts, largest
        self._token = None if token is None else token.encode()
        self.too_large = (
            f"the body is larger than {largest / MIB:g} MiB; send the rows in several requests"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began, headed = perf_counter(), http.Headed(send, HEADERS)
        self.metrics.begin()
        try:
            answer = self._refusal(scope)
            if answer is not None:
                await answer(scope, receive, headed)
            else:
                await self._pass(scope, receive, headed)
        finally:
            path = scope["path"]
            known = path if path in (SCORE, HEALTH, METRICS, OPENAPI) else "other"
            seconds = perf_counter() - began if path == SCORE else None
            self.metrics.end(known, headed.status, seconds)

    async def _pass(self, scope: Scope, receive: Receive, headed: http.Headed) -> None:
        try:
            await self.app(scope, http.limited(receive, self.largest, self.too_large), headed)
        except Exception:
            # Here, not in a handler of the framework's, which would answer without our headers.
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if headed.status:
                raise
            fault = JSONResponse({"detail": "a fault of Askew's own; see the server's log"}, 500)
            await fault(scope, receive, headed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not http.is_asked_for(headers, self.hosts):
            return _refused(400, "this server does not answer under that name")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers["host"]:
            return _refused(403, "pages of other sites may not ask this server")
        if scope["path"] != HEALTH and not self._opens(headers):
            reply = _refused(401, "send the header Authorization: Bearer with the server's token")
            reply.headers["www-authenticate"] = "Bearer"
            return reply
        if http.is_larger(headers, self.largest):
            return _refused(413, self.too_large)
        return None

    def _opens(self, headers: Headers) -> bool:
        return self._token is None or hmac.compare_digest(
            http.bearer_of(headers).encode(), self._token
        )


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"detail": why}, status)
