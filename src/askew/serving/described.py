"""The service for programs: what goes in and comes out, as OpenAPI tells it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from askew.serving.bodies import FILE, JSON, PARQUET, STREAM, Reader
from askew.table.columns import FLOAT32_MAX, Column, Kind

CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?$"
# Without what no calendar has, but for the 29th of February.
DATE = (
    "^([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
    "(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?)?$"
)


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str


class ReasonOut(BaseModel):
    """One column's share in a row's score."""

    column: str
    text: str = Field(description="the value, and where it lies among the training rows")
    gain: float = Field(description="what the score loses were the column typical; above 0")


class RowOut(BaseModel):
    """What was found of a row."""

    score: float = Field(description="higher is more anomalous")
    percentile: float = Field(
        ge=0, le=100, description="share of the training rows that score lower"
    )
    is_anomaly: bool = Field(description="whether the score is above 0, the model's cut")
    reasons: list[ReasonOut] = Field(description="the strongest first")


class ScoreReply(BaseModel):
    """The rows' scores, in the order in which they were sent."""

    model: str
    notes: list[str] = Field(description="what to know of how the rows were read")
    rows: list[RowOut]


class Health(BaseModel):
    """That it runs, and by which model."""

    status: str
    model: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare refusals."""
    return {status: {"model": Problem, "description": _REFUSALS[status]} for status in statuses}


_REFUSALS = {
    400: "a body that is not what its type says, or a request under another host's name",
    401: "no token, or not the right one",
    403: "sent by a page of another site",
    408: "a body that did not come in time",
    413: "a body that is too large, or that would take too much once unpacked and explained",
    415: "a content type, or a content encoding, that is not read",
    422: "rows that the model cannot read",
    500: "a fault of Askew's own",
    503: "too much is waiting: try again after the seconds in Retry-After; or scoring has stopped",
}

COMMON = (400, 401, 403, 413, 500)
SCORING = (*COMMON, 408, 415, 422, 503)


def body_of(reader: Reader) -> dict[str, Any]:
    """Describe the body of a request to score: the very columns of the model."""
    cells = {column.name: _cell(column) for column in reader.schema.used}
    rows = {
        "type": "array",
        "minItems": 1,
        "maxItems": reader.limits.n_rows,
        "items": {
            "type": "object",
            "properties": cells | {name: {} for name in reader.unused},
            "required": reader.used,
            "additionalProperties": False,
        },
    }
    whole = {
        "type": "object",
        "properties": {"rows": rows},
        "required": ["rows"],
        "additionalProperties": False,
    }
    packed = {"schema": {"type": "string", "format": "binary"}}
    return {
        "required": True,
        "description": "Rows with the columns of the model's table; those that it leaves out need "
        "not be there.",
        "content": {JSON: {"schema": whole}, STREAM: packed, FILE: packed, PARQUET: packed},
    }


def _cell(column: Column) -> dict[str, Any]:
    number = {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
    either: list[dict[str, Any]] = [{"type": "null"}]
    if column.kind is Kind.DATE:
        text = "ISO 8601, such as 2026-03-08T03:12:00"
        either.append({"type": "string", "pattern": DATE, "description": text})
    elif column.kind is not Kind.NUMBER:
        either += [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
    elif column.parts[0].name == "hours":
        either += [number, {"type": "string", "pattern": CLOCK}]
    else:
        either += [number, {"type": "boolean"}]
    return {"anyOf": either}
