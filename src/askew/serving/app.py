"""The application: rows in, scores and reasons out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Self

import pyarrow as pa
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, Response

from askew.errors import DataError
from askew.http import hosts_of
from askew.model import Askew
from askew.serving import metrics as counting
from askew.serving.batching import STOPPED, Batcher, Scored
from askew.serving.bodies import STREAM, TYPES, Reader, Rows
from askew.serving.described import COMMON, SCORING, Health, ScoreReply, body_of, problems
from askew.serving.faults import BrokenBodyError, BusyError, TooLargeError
from askew.serving.gate import HEALTH, METRICS, MIB, OPENAPI, SCORE, Gate

MOST_REASONS = 10
IN_FLIGHT = 256  # requests to score
BODIES = 4  # bodies of the largest size held at a time
SECONDS = 60  # for a body to come


class Service:
    """A model behind an application; closes what scores when it is closed.

    Parameters
    ----------
    model
        Fitted.
    hosts
        Names under which it may be asked for (see `hosts_of`); loopback's where None.
    token
        What callers must send; None asks for none.
    largest
        Bytes of a body.
    n_reasons
        A row, unless a request says otherwise; 0 to 10.

    Attributes
    ----------
    app
        To be served.
    """

    def __init__(
        self,
        model: Askew,
        *,
        hosts: Collection[str] | None = None,
        token: str | None = None,
        largest: int = 16 * MIB,
        n_reasons: int = 3,
    ) -> None:
        self.metrics = counting.Metrics(model.id_)
        self.batcher = Batcher(model, self.metrics.batch)
        self.reader = Reader(model)
        self.largest = largest
        self._model = model.id_
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="askew-reading")
        self._room = _Room(IN_FLIGHT, BODIES * largest)
        self.app = self._made(token, n_reasons)
        self.app.add_middleware(
            Gate,
            metrics=self.metrics,
            hosts=hosts_of("127.0.0.1") if hosts is None else hosts,
            token=token,
            largest=largest,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what was begun."""
        self._reading.shutdown()
        self.batcher.close()

    def _made(self, token: str | None, n_reasons: int) -> FastAPI:
        app = FastAPI(
            title="Askew scoring",
            version="1",
            description=f"Scores rows by the model {self._model}.",
            docs_url=None,
            redoc_url=None,
            openapi_url=OPENAPI,
        )

        async def score(
            request: Request, reasons: Annotated[int, Query(ge=0, le=MOST_REASONS)] = n_reasons
        ) -> Response:
            """Score rows, and say why they stand out: so many reasons a row at the most."""
            return await self._score(request, reasons)

        async def healthz() -> Health:
            """Tell that the service runs, and scores."""
            if not self.batcher.is_running:
                raise HTTPException(503, STOPPED)
            return Health(status="ok", model=self._model)

        async def metrics() -> Response:
            """Give the figures in Prometheus' text form."""
            return Response(self.metrics.text(), media_type=counting.CONTENT_TYPE)

        guarded: dict[str, Any] = {} if token is None else {"security": [{"bearer": []}]}
        app.add_api_route(
            SCORE,
            score,
            methods=["POST"],
            responses={
                200: {
                    "model": ScoreReply,
                    "description": "scores, as an Arrow stream where Accept names it",
                    "content": {STREAM: {"schema": {"type": "string", "format": "binary"}}},
                },
                **problems(*SCORING),
            },
            openapi_extra={"requestBody": body_of(self.reader), **guarded},
        )
        app.add_api_route(HEALTH, healthz, responses=problems(*COMMON, 503))
        app.add_api_route(
            METRICS,
            metrics,
            response_class=PlainTextResponse,
            responses=problems(*COMMON),
            openapi_extra=guarded,
        )
        if token is not None:
            schemes = app.openapi().setdefault("components", {})
            schemes["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        app.add_exception_handler(DataError, _refused)
        app.add_exception_handler(BusyError, _refused)
        app.add_exception_handler(HTTPException, _unfound)
        app.add_exception_handler(RequestValidationError, _unreadable)
        return app

    async def _score(self, request: Request, n_reasons: int) -> Response:
        content_type = _content_type(request)
        size = self._size_of(request)
        self._room.enter(size)
        try:
            body = await _body_of(request)
            loop = asyncio.get_running_loop()
            rows = await loop.run_in_executor(self._reading, self.reader.read, body, content_type)
            del body
            waiting = self.batcher.submit(rows, n_reasons)
            try:
                scored = await asyncio.wrap_future(waiting)
                self.metrics.scored(len(rows))
                written = _as_arrow if STREAM in request.headers.get("accept", "") else _as_json
                return await loop.run_in_executor(None, written, self._model, rows, scored)
            finally:
                self.batcher.release(rows, n_reasons)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        finally:
            self._room.leave(size)

    def _size_of(self, request: Request) -> int:
        """Give the bytes that a body may have, before it is there."""
        if "transfer-encoding" in request.headers:  # then a length that is told holds nobody to it
            return self.largest
        return int(request.headers.get("content-length", self.largest))


class _Room:
    """Bounds what is held at a time: requests, and the bytes of their bodies."""

    def __init__(self, n_requests: int, n_bytes: int) -> None:
        self._free, self._free_bytes = n_requests, n_bytes

    def enter(self, n_bytes: int) -> None:
        if self._free < 1 or self._free_bytes < n_bytes:
            raise BusyError("too many requests are waiting; try again in a second")
        self._free, self._free_bytes = self._free - 1, self._free_bytes - n_bytes

    def leave(self, n_bytes: int) -> None:
        self._free, self._free_bytes = self._free + 1, self._free_bytes + n_bytes


def _content_type(request: Request) -> str:
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise HTTPException(
            415, f"found the content type {kind[:60]!r}; one of {', '.join(TYPES)} was expected"
        )
    packed = request.headers.get("content-encoding", "identity")
    if packed.strip().lower() != "identity":
        raise HTTPException(415, "the body is compressed; send it as it is, or as Parquet")
    return kind


async def _body_of(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
    except TimeoutError as error:
        raise HTTPException(408, f"the body did not come within {SECONDS} seconds") from error
    return bytes(body)


def _as_json(model: str, rows: Rows, scored: Scored) -> Response:
    found = [
        {
            "score": score,
            "percentile": percentile,
            "is_anomaly": score > 0,
            "reasons": [vars(reason) for reason in reasons],
        }
        for score, percentile, reasons in zip(
            scored.score.tolist(), scored.percentile.tolist(), scored.reasons, strict=True
        )
    ]
    return JSONResponse({"model": model, "notes": rows.notes, "rows": found})


def _as_arrow(model: str, rows: Rows, scored: Scored) -> Response:
    text, real = pa.string(), pa.float64()
    reason = pa.struct([("column", text), ("text", text), ("gain", real)])
    table = pa.table(
        {
            "score": scored.score,
            "percentile": scored.percentile,
            "is_anomaly": scored.score > 0,
            "reasons": pa.array(
                [[vars(one) for one in reasons] for reasons in scored.reasons], pa.list_(reason)
            ),
        }
    ).replace_schema_metadata({"model": model, "notes": json.dumps(rows.notes)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=STREAM)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, BusyError):
        return JSONResponse({"detail": str(error)}, 503, {"retry-after": "1"})
    status = 422
    if isinstance(error, BrokenBodyError | TooLargeError):
        status = 400 if isinstance(error, BrokenBodyError) else 413
    return JSONResponse({"detail": str(error)}, status)


async def _unfound(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": str(error.detail)}, error.status_code, error.headers)


async def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = ", ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    return JSONResponse({"detail": f"the query cannot be read ({found})"}, 422)
