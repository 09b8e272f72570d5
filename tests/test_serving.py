"""The scoring service: what goes in and comes out, what it refuses, how it holds up."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from askew import Askew
from askew.cli import listening
from askew.cli.main import app as commands
from askew.errors import DataError
from askew.labels import read_labels
from askew.rankers import IsolationTrees
from askew.serving import app as service_module
from askew.serving import batching, bodies, pages, unpacking
from askew.serving.app import Service
from askew.serving.batching import Batcher
from askew.serving.bodies import FILE, JSON, PARQUET, STREAM, Reader
from askew.serving.faults import BusyError, TooLargeError

with warnings.catch_warnings():
    # Starlette would rather have httpx's successor; both will do.
    warnings.simplefilter("ignore", UserWarning)
    from starlette.testclient import TestClient

BASE = "http://127.0.0.1:8000"
TOKEN = "a-token-for-tests-only"
ROW = {"amount": 9850.0, "country": "PA", "booked": "2026-03-08T03:12:00", "note": "x", "items": 1}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """300 payments with an id, a column that is left out, gaps and a verdict column."""
    rng = np.random.default_rng(0)
    n = 300
    made = pd.DataFrame(
        {
            "tx": [f"tx-{i:04d}" for i in range(n)],
            "amount": np.round(rng.lognormal(4, 0.4, n), 2),
            "country": rng.choice(["DE", "FR", "IT"], n),
            "booked": pd.Timestamp("2026-03-02") + pd.to_timedelta(rng.integers(0, 1440, n), "h"),
            "note": ["order " + "x" * int(k) for k in rng.integers(3, 9, n)],
            "items": rng.integers(1, 6, n),
            "currency": "EUR",
            "verdict": None,
        }
    )
    made.loc[:7, "amount"] = 9000.0
    made.loc[:2, "verdict"] = "anomaly"
    made.loc[100:110, "verdict"] = "normal"
    made.loc[20:29, "country"] = None
    return made


def fitted(table: pd.DataFrame, ranker: Any = None) -> Askew:
    """Fit as the command line does: with id, verdicts, left-out columns."""
    labels = read_labels(
        table["verdict"].tolist(), n_rows=len(table), keys=table["tx"].tolist(), column="verdict"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Askew(ranker, id_column="tx", random_state=0)
        return model.fit(table.drop(columns="verdict"), labels)


@pytest.fixture(scope="module")
def default(table: pd.DataFrame) -> Askew:
    """A model of every ranker that the default blends."""
    return fitted(table)


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> Askew:
    """A model that is quick to ask."""
    return fitted(table, IsolationTrees(50, random_state=0))


@pytest.fixture(scope="module")
def service(model: Askew) -> Iterator[Service]:
    with Service(model) as made:
        yield made


@pytest.fixture
def client(service: Service) -> TestClient:
    return client_of(service)


def client_of(service: Service, **headers: str) -> TestClient:
    return TestClient(
        service.app, base_url=BASE, raise_server_exceptions=False, headers=headers or None
    )


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give rows as a JSON caller would."""
    columns = table.drop(columns=["verdict", "currency", "tx"], errors="ignore")
    rows: list[dict[str, Any]] = json.loads(columns.to_json(orient="records", date_format="iso"))
    for row in rows:
        row["booked"] = row["booked"] and row["booked"].removesuffix("Z").removesuffix(".000")
    return rows


def packed(
    table: pa.Table,
    content_type: str,
    compression: str | None = None,
    max_chunksize: int | None = None,
) -> bytes:
    sink = io.BytesIO()
    if content_type == PARQUET:
        pq.write_table(table, sink, compression=compression or "snappy")
        return sink.getvalue()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    opened = pa.ipc.new_stream if content_type == STREAM else pa.ipc.new_file
    with opened(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=max_chunksize)
    return sink.getvalue()


def post(client: TestClient, body: bytes, content_type: str = JSON, **query: int) -> httpx.Response:
    reply: httpx.Response = client.post(
        "/api/score", content=body, params=query, headers={"content-type": content_type}
    )
    return reply


def scored(client: TestClient, rows: list[dict[str, Any]], **query: Any) -> Any:
    reply = post(client, json.dumps({"rows": rows}).encode(), **query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def ranked(model: Askew, table: pd.DataFrame) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: pd.DataFrame = model.rank(
            table.drop(columns="verdict"), sort=False, explained=None
        ).reset_index(drop=True)
    return found


# -- what comes out --------------------------------------------------------------------------------


def test_rows_as_json_score_as_rank_scores_them(default: Askew, table: pd.DataFrame) -> None:
    want = ranked(default, table)
    with Service(default) as service:
        reply = scored(client_of(service), rows_of(table))
    assert reply["model"] == default.id_
    assert [row["score"] for row in reply["rows"]] == want["askew_score"].tolist()
    assert [row["percentile"] for row in reply["rows"]] == want["askew_percentile"].tolist()
    assert [row["is_anomaly"] for row in reply["rows"]] == (want["askew_score"] > 0).tolist()
    assert 0 < sum(row["is_anomaly"] for row in reply["rows"]) < 300
    for i in (1, 2, 3):
        said = [dict(enumerate(row["reasons"], 1)).get(i, {}) for row in reply["rows"]]
        texts = [text if isinstance(text, str) else None for text in want[f"askew_reason_{i}"]]
        assert [one.get("text") for one in said] == texts
    first = reply["rows"][0]["reasons"][0]
    assert first["column"] == "amount"
    assert first["gain"] > 0


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("content_type", [STREAM, FILE, PARQUET])
def test_rows_as_columns_score_alike_in_any_order(
    client: TestClient, table: pd.DataFrame, content_type: str, compression: str | None
) -> None:
    given = pa.Table.from_pandas(table[table.columns[::-1]], preserve_index=False)
    reply = post(client, packed(given, content_type, compression, 70), content_type)
    assert reply.status_code == 200, reply.text
    assert reply.json() == scored(client, rows_of(table))


@pytest.mark.parametrize("kind", ["dictionary", "view"])
def test_text_that_is_shared_scores_alike(
    client: TestClient, table: pd.DataFrame, kind: str
) -> None:
    given = pa.Table.from_pandas(table[["amount", "country", "booked", "note", "items"]])
    given = given.select(["amount", "country", "booked", "note", "items"])
    for name in ("country", "note"):
        text = given.column(name).cast(pa.string())
        text = text.dictionary_encode() if kind == "dictionary" else text.cast(pa.string_view())
        given = given.set_column(given.schema.get_field_index(name), name, text)
    reply = post(client, packed(given, STREAM), STREAM)
    assert reply.status_code == 200, reply.text
    assert reply.json() == scored(client, rows_of(table))


def test_an_arrow_stream_comes_back_where_it_is_asked_for(
    client: TestClient, model: Askew, table: pd.DataFrame
) -> None:
    reply = client.post("/api/score", json={"rows": rows_of(table[:9])}, headers={"accept": STREAM})
    assert (reply.status_code, reply.headers["content-type"]) == (200, STREAM)
    back = pa.ipc.open_stream(reply.content).read_all()
    assert back.schema.metadata == {b"model": model.id_.encode(), b"notes": b"[]"}
    assert back.to_pylist() == scored(client, rows_of(table[:9]))["rows"]


def test_so_many_reasons_as_asked(client: TestClient, table: pd.DataFrame) -> None:
    three = scored(client, rows_of(table[:40]))["rows"]
    assert max(len(row["reasons"]) for row in three) == 3
    one = scored(client, rows_of(table[:40]), reasons=1)["rows"]
    assert [row["reasons"] for row in one] == [row["reasons"][:1] for row in three]
    assert all(row["reasons"] == [] for row in scored(client, rows_of(table), reasons=0)["rows"])
    assert post(client, b"{}", reasons=11).status_code == 422


def test_gaps_that_the_fit_had_not_seen_are_noted(client: TestClient) -> None:
    reply = scored(client, [ROW | {"amount": None}])
    assert len(reply["notes"]) == 1
    assert "'amount'" in reply["notes"][0]
    assert scored(client, [ROW | {"country": None}])["notes"] == []


def test_names_verdicts_and_what_was_left_out_may_be_there(client: TestClient) -> None:
    more = {"tx": [1, {"a": 2}], "verdict": "anomaly", "currency": None}
    assert scored(client, [ROW | more]) == scored(client, [ROW])


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("booked", ["2026-03-08T03:12:00", "2026-03-08 03:12", "2026-03-08T03:12:00Z"]),
        ("amount", [2, 2.0, 2e0]),
        ("items", [1, True, 1.0]),
        ("note", ["12", 12, 12.0]),
        ("country", ["", None]),
        ("country", ["true", True]),
    ],
)
def test_values_that_mean_the_same(client: TestClient, column: str, values: list[Any]) -> None:
    found = [scored(client, [ROW | {column: value}]) for value in values]
    assert all(one == found[0] for one in found)


def test_dates_with_an_offset_and_without_may_stand_side_by_side(client: TestClient) -> None:
    dates = ["2026-03-08T03:12:00", "2026-03-08T05:12:00+02:00", None, "2026-03-08", "2026-03-09"]
    rows = [ROW | {"booked": date} for date in dates]
    alone = [scored(client, [row])["rows"][0]["score"] for row in rows]
    assert [row["score"] for row in scored(client, rows)["rows"]] == alone
    assert alone[0] == alone[1]
    assert alone[2] != alone[3]


def test_a_time_of_day_is_hours() -> None:
    table = pa.table(
        {
            "at": pa.array([s * 977 for s in range(80)], pa.time32("s")),
            "n": [float(i % 7) for i in range(80)],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Askew(random_state=0).fit(table)
    with Service(model) as service:
        client = client_of(service)
        rows = [{"at": str(v["at"]), "n": v["n"]} for v in table.to_pylist()]
        want = model.decision_function(table).tolist()
        assert [row["score"] for row in scored(client, rows)["rows"]] == want
        reply = post(client, b'{"rows": [{"at": "24:00", "n": 1}]}')
        assert (reply.status_code, "time of day" in reply.text) == (422, True)


# -- what is refused -------------------------------------------------------------------------------


def row(**cells: Any) -> bytes:
    return json.dumps({"rows": [ROW, ROW | cells]}).encode()


def without(name: str) -> bytes:
    return json.dumps({"rows": [ROW, {k: v for k, v in ROW.items() if k != name}]}).encode()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b'{"rows": "\xff"}', 400, "UTF-8"),
        ('{"rows": []}'.encode("utf-16"), 400, "UTF-8"),
        (b"[]", 422, 'of the form {"rows":'),
        (b"{}", 422, 'of the form {"rows":'),
        (b'{"rows": [], "more": 1}', 422, 'of the form {"rows":'),
        (b'{"rows": {}}', 422, 'of the form {"rows":'),
        (b'{"rows": []}', 422, "no rows"),
        (b'{"rows": [1]}', 422, "row 1 is 1, not an object"),
        (b'{"rows": [[]]}', 422, "row 1 is a list, not an object"),
        (without("amount"), 422, "row 2 lacks 'amount'"),
        (row(amuont=1), 422, "row 2 has 'amuont', which the model does not know"),
        (row(**{"x" * 10**6: 1}), 422, "xxx..."),
        (row(amount="12"), 422, "'amount', row 2 (counted from 1): found '12', where a number"),
        (row(amount=[1]), 422, "found a list, where a number"),
        (row(amount={"a": 1}), 422, "found an object, where a number"),
        (row(country=["DE"]), 422, "'country', row 2 (counted from 1): found a list"),
        (row(booked=20260308), 422, "found 20260308, where a date"),
        (row(booked="yesterday"), 422, "found 'yesterday', where dates were expected"),
        (row(booked="2026-02-30"), 422, "found '2026-02-30', where dates were expected"),
        (row(note=["a", "b"]), 422, "found a list, where text"),
        (row(amount=float("nan")), 422, "holds NaN, which is no JSON"),
        (row(amount=float("-inf")), 422, "holds -Infinity, which is no JSON"),
        (row(amount=1).replace(b'"amount": 1,', b'"amount": 1e999,'), 422, "found inf"),
        (row(country=1).replace(b'"country": 1,', b'"country": -1e999,'), 422, "found -inf"),
        (row(amount=1e39), 422, "beyond what can be computed with"),
        (row(amount=10**400), 422, "a whole number of more than twenty digits"),
        (b'{"rows": [{"amount": ' + b"9" * 5000 + b"}]}", 422, "thousands of digits"),
        (b'{"rows": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 422, "nested too deeply"),
        (row(note=1).replace(b'"note": 1', rb'"note": "\ud800"'), 422, "text in Unicode"),
    ],
)
def test_a_json_body_that_cannot_be_scored_is_one_sentence(
    client: TestClient, body: bytes, status: int, said: str
) -> None:
    reply = post(client, body)
    assert reply.status_code == status, reply.text
    assert list(reply.json()) == ["detail"]
    detail = reply.json()["detail"]
    assert said in detail
    assert "\n" not in detail
    assert len(detail) < 400
    assert "Traceback" not in detail


def column(name: str, values: Any) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values)


@pytest.mark.parametrize("content_type", [STREAM, FILE, PARQUET])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["amount"]), "lacks 'amount'"),
        (lambda t: t.append_column("odd", t.column("note")), "knows no column 'odd'"),
        (lambda t: t.append_column("note", t.column("note")), "'note' stands in the body more"),
        (lambda t: t.slice(0, 0), "no rows"),
        (column("amount", [["a", "b"]]), "found 'a', where numbers were expected"),
        (column("amount", [[float("inf"), 1.0]]), "inf is an infinite number"),
        (column("amount", [[[1.0], [2.0]]]), "'amount' holds list<"),
        (column("note", [[b"a", b"b"]]), "'note' holds binary"),
        (column("booked", [[1, 2]]), "where dates were expected"),
        (
            column("booked", [pa.array([1 << 60, 1], pa.timestamp("us"))]),
            "outside the years 1 to 9999",
        ),
        (
            column("booked", [pa.array([1, 2], pa.timestamp("us", "Nowhere/Atall"))]),
            "'booked'",
        ),
    ],
)
def test_columns_that_cannot_be_scored_are_one_sentence(
    client: TestClient,
    table: pd.DataFrame,
    content_type: str,
    change: Callable[[pa.Table], pa.Table],
    said: str,
) -> None:
    given = pa.Table.from_pandas(table[:2].drop(columns="verdict"), preserve_index=False)
    reply = post(client, packed(change(given), content_type), content_type)
    assert reply.status_code == 422, reply.text
    assert said in reply.json()["detail"]
    assert "\n" not in reply.json()["detail"]


@pytest.mark.parametrize("content_type", [STREAM, FILE, PARQUET])
def test_a_damaged_body_is_refused(
    client: TestClient, table: pd.DataFrame, content_type: str
) -> None:
    whole = packed(pa.Table.from_pandas(table[:40]), content_type, "zstd")
    cut = len(whole) // 2
    for body in (b"", b"PAR1", b"ARROW1\0\0ARROW1", whole[:cut], whole[cut:], b"\0" * 99):
        reply = post(client, body, content_type)
        assert reply.status_code == 400, (body[:20], reply.text)
        assert list(reply.json()) == ["detail"]


@pytest.mark.parametrize("content_type", [STREAM, FILE, PARQUET])
def test_bytes_turned_over_are_never_a_fault_of_the_servers(
    client: TestClient, table: pd.DataFrame, content_type: str
) -> None:
    rng = np.random.default_rng(1)
    given = pa.Table.from_pandas(table[:20].drop(columns="verdict"), preserve_index=False)
    whole = np.frombuffer(packed(given, content_type, "zstd"), np.uint8)
    for _ in range(120):
        body = whole.copy()
        body[rng.integers(0, len(body), 3)] = rng.integers(0, 256, 3)
        reply = post(client, body.tobytes(), content_type, reasons=1)
        assert reply.status_code in (200, 400, 413, 422), reply.text
        assert "Error" not in reply.text


def test_what_unpacks_to_too_much_is_refused_before_it_is(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "ROWS", 5_000)
    monkeypatch.setattr(bodies, "UNPACKED", 2**20)
    one = pa.table({name: [value] for name, value in ROW.items()})
    rows = one.take(pa.array([0] * 5_001))
    text = pa.array(["x" * 2_000] * 1_000)
    long = column("note", [text])(rows.slice(0, 1_000))
    shared = column("note", [text.dictionary_encode()])(long)
    view = struct.pack("<i4sii", 2_000, b"xxxx", 0, 0)
    buffers = [None, pa.py_buffer(view * 1_000), pa.py_buffer(b"x" * 2_000)]
    views = pa.Array.from_buffers(pa.string_view(), 1_000, buffers)
    with Service(model) as service:
        client = client_of(service)
        for content_type in (STREAM, FILE, PARQUET):
            for bomb, said in ((rows, "5,001 rows"), (long, "1,048,576"), (shared, "1,048,576")):
                body = packed(bomb, content_type, "zstd")
                assert len(body) < 2**17
                reply = post(client, body, content_type)
                assert (reply.status_code, said in reply.text) == (413, True), reply.text
        # Views of one text: nothing declares how long they are together.
        reply = post(client, packed(column("note", [views])(long), STREAM), STREAM)
        assert (reply.status_code, "1,048,576" in reply.text) == (413, True)
        assert post(client, b'{"rows": [' + b"{}," * 5_000 + b"{}]}").status_code == 413


def test_compressed_buffers_are_measured_by_what_they_declare(
    client: TestClient, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The length before a compressed buffer is what is allocated for it.
    note = pa.array(["x" * 5_000] * 300)
    given = column("note", [note])(
        pa.Table.from_pandas(table.drop(columns="verdict"), preserve_index=False)
    )
    body = packed(given, STREAM, "zstd", 70)
    length = struct.pack("<q", 350_016)  # 70 cells, padded to 64 bytes
    assert length in body
    read = pa.ipc.open_stream
    opened: list[dict[str, Any]] = []

    def watched(*args: Any, **options: Any) -> Any:
        opened.append(options)
        return read(*args, **options)

    monkeypatch.setattr(pa.ipc, "open_stream", watched)
    reply = post(client, body.replace(length, struct.pack("<q", 1 << 40)), STREAM)
    assert (reply.status_code, "unpacks to" in reply.text) == (413, True)
    assert opened == [{}]  # for the schema alone


def plain_parquet(**options: Any) -> bytes:
    """Write 1,000 rows whose notes are 2 MB together and pack to little."""
    rows = pa.table({name: [value] for name, value in ROW.items()}).take(pa.array([0] * 1_000))
    long = column("note", [pa.array(["x" * 2_000] * 1_000)])(rows)
    sink = io.BytesIO()
    made = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    pq.write_table(long, sink, **(made | options))
    return sink.getvalue()


def varint(value: int, size: int = 0) -> bytes:
    """Write a number as Thrift's compact form does, in so many bytes at the least."""
    value <<= 1
    digits = [value & 127]
    while value := value >> 7:
        digits.append(value & 127)
    digits += [0] * (size - len(digits))
    return bytes([*(digit | 128 for digit in digits[:-1]), digits[-1]])


def test_a_footer_that_lies_about_sizes_is_not_believed(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "UNPACKED", 2**20)

    def unpacked(*_: Any, **__: Any) -> Any:
        raise AssertionError("the body was unpacked")

    monkeypatch.setattr(pq.ParquetFile, "read", unpacked)
    body = plain_parquet()
    group = pq.read_metadata(io.BytesIO(body)).row_group(0)
    for size in (group.total_byte_size, group.column(3).total_uncompressed_size):
        true = varint(size)
        body = body.replace(true, varint(1, len(true)))
    group = pq.read_metadata(io.BytesIO(body)).row_group(0)
    assert (group.total_byte_size, group.column(3).total_uncompressed_size) == (1, 1)
    with Service(model) as service:
        reply = post(client_of(service), body, PARQUET)
    assert (reply.status_code, "unpacks to 2,0" in reply.text) == (413, True)


def test_rows_and_dictionaries_are_counted_before_they_are_unpacked(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "UNPACKED", 2**20)
    monkeypatch.setattr(bodies, "ROWS", 999)
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    with Service(model) as service:
        assert "1,000 rows" in post(client_of(service), plain_parquet(), PARQUET).text
    monkeypatch.setattr(bodies, "ROWS", 1_000)
    rows = pa.table({name: [value] for name, value in ROW.items()}).take(pa.array([0] * 1_000))
    sink = io.BytesIO()
    long = column("note", [[f"{i:2000}" for i in range(1_000)]])(rows)
    pq.write_table(long, sink, compression="zstd", dictionary_pagesize_limit=2**22)
    with Service(model) as service:
        assert "unpacks to 2,0" in post(client_of(service), sink.getvalue(), PARQUET).text


def test_each_entry_of_a_dictionary_counts() -> None:
    body = packed(pa.table({"a": [f"{i:03}" for i in range(1_000)]}), PARQUET)
    n_bytes = pages.Footer(body).n_bytes({0: pages.Leaf("a", 4)})
    assert 16 * 1_000 < n_bytes < 16 * 1_000 + 2_000  # 10 bits an index


def test_fields_of_every_type_are_passed_over() -> None:
    fields = (
        b"\x11\x12\x13\x7f\x14\x05\x17" + b"\x00" * 8 + b"\x18\x02ab\x19\x21\x01\x02\x16\x05\x00"
    )
    assert pages._Compact(fields, 0, 20).fields() == {(8, 6): -3}


def test_a_column_of_more_values_than_rows_is_not_unpacked(client: TestClient) -> None:
    # Room for as many values as the footer says is set aside before a page is read.
    body = plain_parquet()
    true = b"\x16" + varint(1_000)  # a field of 64 bits: rows of the file, values of a column, ...
    first = body.index(true, body.index(true) + 1)
    lying = body[:first] + b"\x16" + varint(8_000) + body[first + len(true) :]
    group = pq.read_metadata(io.BytesIO(lying)).row_group(0)
    assert (group.column(0).num_values, group.num_rows) == (8_000, 1_000)
    reply = post(client, lying, PARQUET)
    assert (reply.status_code, "8,000 values in 1,000 rows" in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("encoding", "version"), [("DELTA_BYTE_ARRAY", "1.0"), ("DELTA_LENGTH_BYTE_ARRAY", "2.0")]
)
def test_an_encoding_that_hides_sizes_is_refused(
    client: TestClient, encoding: str, version: str
) -> None:
    rows = pa.table({"currency": ["EUR"]} | {name: [value] for name, value in ROW.items()})
    for names, status in ((["currency"], 200), (["currency", "note"], 422)):
        sink = io.BytesIO()
        wanted = dict.fromkeys(names, encoding)
        pq.write_table(
            rows, sink, use_dictionary=False, column_encoding=wanted, data_page_version=version
        )
        reply = post(client, sink.getvalue(), PARQUET)
        assert reply.status_code == status, reply.text
    assert f"'note' is written as {encoding}," in reply.text


def test_a_footer_that_contradicts_itself_ends_no_process(client: TestClient) -> None:
    # pyarrow calls terminate() where it is asked about a column whose statistics do not fit.
    body = packed(pa.table({name: [value] for name, value in ROW.items()}), PARQUET)
    optional, required = (b"\x25" + varint(kind) + b"\x18\x06amount" for kind in (1, 0))
    assert optional in body
    reply = post(client, body.replace(optional, required), PARQUET)
    assert (reply.status_code, "as Parquet" in reply.text) == (400, True), reply.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (b"\x15\x02\x05\x02\x02\x00", "twice"),
        (b"\x15\x82\x80\x80\x80\x20\x00", "more than 32 bits"),
        (b"\x1b\x00", "a field of type 11"),
        (b"\x1c" * 5_000, "without end"),
        (b"\xff" * 20, "a field of type 15"),
    ],
)
def test_what_readers_could_read_differently_is_refused(fields: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        pages._Compact(fields, 0, 10_000).fields()
    with pytest.raises(TooLargeError, match="holds too much"):
        pages._Compact(b"\x19\xfc\x80\x01" + b"\x00" * 128 + b"\x00", 0, 99).fields()


def test_columns_that_are_read_with_another_are_refused(client: TestClient) -> None:
    rows = pa.table({name: [value] for name, value in ROW.items()})
    beside = rows.append_column("currency", [[{"a": 1}]])
    assert post(client, packed(beside, PARQUET), PARQUET).status_code == 200
    limits = unpacking.Limits(10, 1_000)
    for other in (pa.table({"a": [1], "a.b": [2]}), pa.table({"a.b": [1], "a": [{"b": 2}]})):
        with pytest.raises(DataError, match=r"'a\.b' cannot be told from another"):
            unpacking.parquet_table(packed(other, PARQUET), lambda names: names[:1], limits)


def test_decimals_count_by_their_width_and_have_one(client: TestClient) -> None:
    rows = pa.table({name: [value] for name, value in ROW.items()})
    amount = pa.array([Decimal("9850")], pa.decimal128(30, 2))
    reply = post(client, packed(column("amount", [amount])(rows), PARQUET), PARQUET)
    assert reply.json() == scored(client, [ROW])

    class Schema:
        def __init__(self, kind: str) -> None:
            self.kind = kind

        def __len__(self) -> int:
            return 1

        def column(self, i: int) -> Any:
            return SimpleNamespace(path="a", physical_type=self.kind, length=2_000)

    types = pa.schema({"a": pa.decimal128(30, 2)})
    assert unpacking._leaves(Schema("FIXED_LEN_BYTE_ARRAY"), types, ["a"])[0].width == 2_000
    with pytest.raises(DataError, match="decimals of any length"):
        unpacking._leaves(Schema("BYTE_ARRAY"), types, ["a"])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_of_either_kind_and_any_number_score_alike(
    client: TestClient, table: pd.DataFrame, version: str
) -> None:
    given = pa.Table.from_pandas(table.drop(columns="verdict"), preserve_index=False)
    sink = io.BytesIO()
    pq.write_table(
        given,
        sink,
        data_page_version=version,
        data_page_size=64,
        write_batch_size=10,
        row_group_size=90,
    )
    reply = post(client, sink.getvalue(), PARQUET)
    assert reply.status_code == 200, reply.text
    assert reply.json() == scored(client, rows_of(table))


def test_a_body_of_too_many_pages_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGES", 6)
    assert post(client, plain_parquet(), PARQUET).status_code == 200  # five columns
    monkeypatch.setattr(pages, "PAGES", 4)
    reply = post(client, plain_parquet(), PARQUET)
    assert (reply.status_code, "more than 4 pages" in reply.text) == (413, True)


def test_types_that_are_not_read_are_refused(client: TestClient) -> None:
    body = row()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = post(client, body, content_type)
        assert reply.status_code == 415
        assert PARQUET in reply.json()["detail"]
    assert post(client, body, "application/json; charset=utf-8").status_code == 200
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    assert client.post("/api/score", content=body, headers=headers).status_code == 415


# -- who may ask -----------------------------------------------------------------------------------


def test_a_body_that_says_it_is_too_large_is_not_read(model: Askew) -> None:
    async def never() -> Any:
        raise AssertionError("the body was read")

    async def ask(service: Service, length: bytes) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/score",
            "raw_path": b"/api/score",
            "query_string": b"",
            "scheme": "http",
            "headers": [*headers, (b"content-length", length)],
        }
        await service.app(scope, never, send)
        return sent

    with Service(model, largest=1000) as service:
        for length in (b"1001", b"9" * 30, b"-1", b"many"):
            sent = asyncio.run(ask(service, length))
            assert sent[0]["status"] == 413
        assert b"larger than" in sent[1]["body"]


def test_a_body_of_unknown_length_is_counted_while_it_comes(model: Askew) -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for i in range(100):
            taken.append(i)
            yield b"x" * 100

    with Service(model, largest=1000) as service:
        reply = client_of(service).post(
            "/api/score", content=chunks(), headers={"content-type": JSON}
        )
        assert reply.status_code == 413
        small = json.dumps({"rows": [ROW]}).encode()
        reply = client_of(service).post(
            "/api/score",
            content=(small[i : i + 9] for i in range(0, len(small), 9)),
            headers={"content-type": JSON},
        )
        assert reply.status_code == 200


def test_a_token_is_asked_for_where_there_is_one(model: Askew) -> None:
    with Service(model, token=TOKEN) as service:
        for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            client = client_of(service, authorization=given)
            for path in ("/metrics", "/api/openapi.json", "/nowhere"):
                reply = client.get(path)
                assert reply.status_code == 401
                assert reply.headers["www-authenticate"] == "Bearer"
            assert post(client, row()).status_code == 401
            assert client.get("/healthz").json() == {"status": "ok", "model": model.id_}
        client = client_of(service, authorization=f"Bearer {TOKEN}")
        assert post(client, row()).status_code == 200
        schema = client.get("/api/openapi.json").json()
        assert schema["paths"]["/api/score"]["post"]["security"] == [{"bearer": []}]
        assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_other_names_and_pages_of_other_sites_are_refused(client: TestClient) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", ""):
        reply = client.get("/healthz", headers={"host": host})
        assert reply.status_code == 400, host
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9", "http://localhost:8000"):
        reply = client.post(
            "/api/score", content=row(), headers={"content-type": JSON, "origin": origin}
        )
        assert reply.status_code == 403, origin
        assert not [name for name in reply.headers if name.startswith("access-control")]
    headers = {"content-type": JSON, "origin": BASE}
    assert client.post("/api/score", content=row(), headers=headers).status_code == 200


def test_every_reply_has_the_headers(client: TestClient) -> None:
    replies = [
        client.get("/healthz"),
        client.get("/nowhere"),
        client.get("/api/score"),
        post(client, b""),
        post(client, row()),
        client.get("/healthz", headers={"host": "evil.example"}),
    ]
    assert [reply.status_code for reply in replies] == [200, 404, 405, 400, 200, 400]
    assert replies[2].headers["allow"] == "POST"
    for reply in replies:
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")


def test_a_fault_is_no_trace(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(service.reader, "read", broken)
    reply = post(client, row())
    assert (reply.status_code, list(reply.json())) == (500, ["detail"])
    assert "secret" not in reply.text
    assert reply.headers["x-content-type-options"] == "nosniff"


# -- together --------------------------------------------------------------------------------------


class Held:
    """A model that waits before it scores, until it is let go."""

    def __init__(self, model: Askew, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.begun = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        score = model.ranker_.decision_function

        def waiting(x: NDArray[np.float32]) -> NDArray[np.float64]:
            self.begun.set()
            assert self.go.wait(30)
            self.sizes.append(len(x))
            found: NDArray[np.float64] = score(x)
            return found

        monkeypatch.setattr(model.ranker_, "decision_function", waiting)


def test_what_waits_together_is_scored_together_and_alike(
    default: Askew, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = default
    reader = Reader(model)
    asked = [(table[i : i + 1 + i % 3], i % 4) for i in range(12)]
    rows = [
        (reader.read(json.dumps({"rows": rows_of(part)}).encode(), JSON), n) for part, n in asked
    ]
    with Batcher(model) as batcher:
        alone = [batcher.submit(*one).result() for one in rows]
    held = Held(model, monkeypatch)
    told: list[int] = []
    with Batcher(model, told.append) as batcher:
        first = batcher.submit(*rows[0])
        held.begun.wait(30)
        waiting = [batcher.submit(*one) for one in rows[1:]]
        held.go.set()
        together = [first.result(), *(future.result() for future in waiting)]
    assert told == [1, sum(len(one) for one, _ in rows[1:])]
    for one, other in zip(alone, together, strict=True):
        assert one.score.tolist() == other.score.tolist()
        assert one.percentile.tolist() == other.percentile.tolist()
        assert one.reasons == other.reasons


def test_whole_days_and_hours_are_explained_together(monkeypatch: pytest.MonkeyPatch) -> None:
    days = pd.Timestamp("2026-03-02") + pd.to_timedelta(np.arange(60) % 7, "D")
    table = pd.DataFrame({"day": days, "n": np.arange(60) % 5})
    model = Askew(IsolationTrees(50, random_state=0)).fit(table)
    reader = Reader(model)
    rows = [
        reader.read(json.dumps({"rows": [{"day": day, "n": 30}]}).encode(), JSON)
        for day in ("2027-03-02", "2027-03-02T05:00", "2027-03-03")
    ]
    held = Held(model, monkeypatch)
    with Batcher(model) as batcher:
        futures = [batcher.submit(rows[0], 0)]
        held.begun.wait(30)
        futures += [batcher.submit(one, 3) for one in rows]
        held.go.set()
        found = [future.result().reasons[0] for future in futures[1:]]
    said = [next(one.text for one in reasons if one.column == "day") for reasons in found]
    assert [text.partition(": ")[0] for text in said] == [
        "day 2027-03-02",
        "day 2027-03-02 05:00:00",
        "day 2027-03-03",
    ]


def test_a_long_request_leaves_room_for_others(
    model: Askew, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BATCH", 40)
    reader = Reader(model)
    long = reader.read(json.dumps({"rows": rows_of(table)}).encode(), JSON)
    short = reader.read(row(), JSON)
    held = Held(model, monkeypatch)
    ended: list[str] = []
    with Batcher(model) as batcher:
        futures = [batcher.submit(long, 0)]
        held.begun.wait(30)
        futures.append(batcher.submit(short, 0))
        for future, name in zip(futures, ("long", "short"), strict=True):
            future.add_done_callback(partial(lambda name, _: ended.append(name), name))
        held.go.set()
        found = futures[0].result()
    assert ended == ["short", "long"]
    assert held.sizes[:2] == [40, 22]
    want = ranked(model, table)
    assert found.score.tolist() == want["askew_score"].tolist()
    assert found.percentile.tolist() == want["askew_percentile"].tolist()


def test_a_fault_in_one_request_leaves_the_others(
    model: Askew, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(model)
    good, bad = (
        reader.read(json.dumps({"rows": rows_of(table[i : i + 1])}).encode(), JSON) for i in (0, 1)
    )
    held = Held(model, monkeypatch)
    waiting = model.ranker_.decision_function

    def failing(x: NDArray[np.float32]) -> NDArray[np.float64]:
        if (x == bad.x[0]).all(1).any():
            raise RuntimeError("this row")
        found: NDArray[np.float64] = waiting(x)
        return found

    monkeypatch.setattr(model.ranker_, "decision_function", failing)
    with Batcher(model) as batcher:
        first = batcher.submit(good, 0)
        held.begun.wait(30)
        futures = [batcher.submit(rows, 1) for rows in (good, bad, good)]
        held.go.set()
        want = first.result().score.tolist()
        assert futures[0].result().score.tolist() == want
        with pytest.raises(RuntimeError, match="this row"):
            futures[1].result()
        assert futures[2].result().score.tolist() == want


def test_where_too_much_waits_it_says_so(model: Askew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "IN_FLIGHT", 2)
    held = Held(model, monkeypatch)
    with Service(model) as service, ThreadPoolExecutor(2) as pool:
        client = client_of(service)
        futures = [pool.submit(post, client_of(service), row()) for _ in range(2)]
        while service._room._free:
            time.sleep(0.01)
        reply = post(client, row())
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert client.get("/healthz").status_code == 200
        held.go.set()
        assert [future.result().status_code for future in futures] == [200, 200]
        assert post(client, row()).status_code == 200


def test_rows_are_held_until_they_are_released(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Reader(model).read(row(), JSON)
    monkeypatch.setattr(batching, "HELD", rows.n_bytes + 1)
    with Batcher(model) as batcher:
        batcher.submit(rows, 0).result()
        with pytest.raises(BusyError, match="too many rows"):
            batcher.submit(rows, 0)
        batcher.release(rows, 0)
        assert len(batcher.submit(rows, 0).result().score) == 2


def test_reasons_count_as_much_as_there_can_be(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two rows of a model that uses five columns.
    n_bytes = Reader(model).read(row(), JSON).n_bytes
    with Service(model) as service:
        client = client_of(service)
        for n_reasons, counted in ((0, 0), (2, 4), (5, 10), (10, 10)):
            cost = n_bytes + 256 * counted
            monkeypatch.setattr(batching, "HELD", cost)
            for _ in range(2):  # what was held is let go
                assert post(client, row(), reasons=n_reasons).status_code == 200
            monkeypatch.setattr(batching, "HELD", cost - 1)
            reply = post(client, row(), reasons=n_reasons)
            assert (reply.status_code, "ask for fewer reasons" in reply.text) == (413, True)


def test_a_request_is_held_until_its_reply_is_written(
    model: Askew, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    written = service_module._as_json
    with Service(model) as service:

        def writing(*given: Any) -> Any:
            held.append(service.batcher._held)
            return written(*given)

        monkeypatch.setattr(service_module, "_as_json", writing)
        assert post(client_of(service), row(), reasons=1).status_code == 200
        want = Reader(model).read(row(), JSON).n_bytes + 2 * 256
        assert (held, service.batcher._held) == ([want], 0)


def test_bodies_on_their_way_are_bounded() -> None:
    room = service_module._Room(9, 100)
    room.enter(60)
    with pytest.raises(BusyError):
        room.enter(41)
    room.leave(60)
    room.enter(100)


def test_a_body_in_chunks_takes_the_room_of_the_largest(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[int] = []
    monkeypatch.setattr(service._room, "enter", entered.append)
    monkeypatch.setattr(service._room, "leave", lambda size: None)
    for headers in (
        {"content-length": "0", "transfer-encoding": "chunked"},
        {"transfer-encoding": "chunked"},
        {"content-length": str(len(row()))},
    ):
        reply = client.post("/api/score", content=row(), headers={"content-type": JSON, **headers})
        assert reply.status_code == 200
    assert entered == [service.largest, service.largest, len(row())]


def test_a_fault_in_handing_out_is_that_request_s_alone(model: Askew) -> None:
    rows = Reader(model).read(row(), JSON)
    told: list[int] = []
    with Batcher(model, told.append) as batcher:
        jobs = [batching._Job(rows, 0) for _ in range(3)]
        jobs[1].future.set_result(batching.Scored(np.zeros(0), np.zeros(0), []))
        batcher._score([job.piece(2) for job in jobs])
        assert [len(job.parts) for job in jobs] == [1, 1, 1]
        assert [len(jobs[i].future.result(0).score) for i in (0, 2)] == [2, 2]
        assert len(batcher.submit(rows, 0).result(30).score) == 2


def test_where_scoring_has_stopped_nobody_waits_and_health_says_so(model: Askew) -> None:
    def broken(n_rows: int) -> None:
        raise SystemExit

    with Service(model) as service:
        client = client_of(service)
        assert client.get("/healthz").status_code == 200
        service.batcher._told = broken
        assert post(client, row()).status_code == 500
        service.batcher._thread.join(30)
        reply = client.get("/healthz")
        assert (reply.status_code, "scoring has stopped" in reply.text) == (503, True)
        reply = post(client, row())
        assert (reply.status_code, "scoring has stopped" in reply.text) == (503, True)


def test_a_batcher_that_was_closed_takes_nothing(model: Askew) -> None:
    rows = Reader(model).read(row(), JSON)
    batcher = Batcher(model)
    future = batcher.submit(rows, 0)
    batcher.close()
    assert len(future.result(0).score) == 2
    with pytest.raises(BusyError):
        batcher.submit(rows, 0)


# -- for operators ---------------------------------------------------------------------------------


def figures_in(text: str) -> dict[str, float]:
    """Read Prometheus' text form, strictly: HELP, TYPE, then samples, family after family."""
    found: dict[str, float] = {}
    family = kind = ""
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            family, kind = line.split(" ")[2], ""
            assert not [name for name in found if name.partition("{")[0] == family]
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert kind in ("counter", "gauge", "histogram")
            continue
        sample = re.fullmatch(
            r'([a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? (\S+)',
            line,
        )
        assert sample is not None, line
        suffix = sample[1].removeprefix(family)
        assert suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",)), line
        assert sample[1] + (sample[2] or "") not in found
        found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def test_the_figures_are_those_of_what_was_answered(model: Askew) -> None:
    with Service(model) as service:
        client = client_of(service)
        post(client, row())
        post(client, row(), reasons=0)
        post(client, b"")
        client.get("/nowhere/else")
        reply = client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = figures_in(reply.text)
    assert found[f'askew_model_info{{model="{model.id_}"}}'] == 1
    assert found['askew_requests_total{path="/api/score",status="200"}'] == 2
    assert found['askew_requests_total{path="/api/score",status="400"}'] == 1
    assert found['askew_requests_total{path="other",status="404"}'] == 1
    assert found["askew_requests_in_flight"] == 1
    assert found["askew_rows_scored_total"] == 4
    assert found['askew_batch_rows_bucket{le="1"}'] == 0
    assert found['askew_batch_rows_bucket{le="2"}'] == 2
    assert found['askew_batch_rows_bucket{le="+Inf"}'] == 2
    assert (found["askew_batch_rows_sum"], found["askew_batch_rows_count"]) == (4, 2)
    assert found["askew_score_seconds_count"] == 3
    assert found["askew_score_seconds_sum"] > 0


def test_the_schema_tells_of_everything(client: TestClient, model: Askew) -> None:
    schema = client.get("/api/openapi.json").json()
    assert set(schema["paths"]) == {"/api/score", "/healthz", "/metrics"}
    asked = schema["paths"]["/api/score"]["post"]
    assert set(asked["requestBody"]["content"]) == {JSON, STREAM, FILE, PARQUET}
    assert set(asked["responses"]) == {
        *("200", "400", "401", "403", "408", "413", "415", "422", "500", "503")
    }
    assert {JSON, STREAM} == set(asked["responses"]["200"]["content"])
    (reasons,) = asked["parameters"]
    assert (reasons["schema"]["default"], reasons["schema"]["maximum"]) == (3, 10)
    rows = asked["requestBody"]["content"][JSON]["schema"]["properties"]["rows"]
    assert rows["items"]["required"] == ["amount", "country", "booked", "note", "items"]
    assert set(rows["items"]["properties"]) == {
        *rows["items"]["required"],
        "currency",
        "tx",
        "verdict",
    }
    for told in schema["paths"].values():
        for operation in told.values():
            assert {"200", "400", "401", "403", "413", "500"} <= set(operation["responses"])


# -- the command -----------------------------------------------------------------------------------


def test_it_answers_what_is_under_way_and_stops(
    model: Askew, tmp_path: Path, table: pd.DataFrame
) -> None:
    path = tmp_path / "m.askew"
    model.save(path)
    with subprocess.Popen(
        [sys.executable, "-m", "askew", "serve", str(path), "--port", "0", "--reasons", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            assert server.stdout.readline().startswith(f"Model {model.id_}: ")
            sent = server.stdout.readline()
            address = re.findall(r"http://127\.0\.0\.1:\d+", sent)[0]
            with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=address, timeout=60) as http:
                large = {"rows": rows_of(table)}
                waiting = pool.submit(httpx.post, f"{address}/api/score", json=large, timeout=60)
                while not re.search(r"batch_rows_count [1-9]", http.get("/metrics").text):
                    time.sleep(0.01)
                server.send_signal(signal.SIGTERM)
                reply = waiting.result()
            assert reply.status_code == 200
            assert len(reply.json()["rows"]) == 300
            assert {len(one["reasons"]) for one in reply.json()["rows"]} == {0, 1}
        finally:
            server.send_signal(signal.SIGTERM)
        assert "Every request that had come was answered." in server.stdout.read()
        assert server.stderr.read() == ""
        assert server.wait(30) == 0


@pytest.mark.parametrize(
    ("n_stops", "said"),
    [
        (1, "Every request that had come was answered."),
        (2, "1 request that had come got no answer"),
    ],
)
def test_what_it_says_when_it_stops_is_so(
    model: Askew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_stops: int, said: str
) -> None:
    model.save(tmp_path / "m.askew")
    ports: Queue[int] = Queue()
    listen = listening.listen

    def listened(host: str, port: int) -> socket.socket:
        listener = listen(host, port)
        ports.put(listener.getsockname()[1])
        return listener

    def stop() -> bytes:
        with socket.create_connection(("127.0.0.1", ports.get(timeout=30)), 30) as caller:
            head = f"POST /api/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\n"
            whole = json.dumps({"rows": [ROW]}).encode()
            caller.sendall(
                f"{head}Content-Length: {len(whole)}\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            caller.recv(100)  # it waits for the body
            for _ in range(n_stops):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)  # two at once would be one
            if n_stops == 1:
                caller.sendall(whole)
            return caller.recv(1000)

    monkeypatch.setattr(listening, "listen", listened)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(stop)
        ran = CliRunner().invoke(commands, ["serve", str(tmp_path / "m.askew"), "--port", "0"])
        assert stopped.result().startswith(b"HTTP/1.1 200" if n_stops == 1 else b"")
    assert (ran.exit_code, said in ran.output) == (0, True), ran.output


def test_it_refuses_to_open_to_others_without_a_token(tmp_path: Path) -> None:
    given = ["serve", str(tmp_path / "none.askew"), "--host", "0.0.0.0"]
    ran = CliRunner().invoke(commands, given, env={"COLUMNS": "400"})
    assert ran.exit_code == 2
    assert "give --token-file FILE" in ran.output


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.askew").write_text("no model")
    ran = CliRunner().invoke(commands, ["serve", str(tmp_path / "m.askew"), "--port", "0"])
    assert ran.exit_code != 0
    assert isinstance(ran.exception, ValueError)


def test_a_model_of_a_matrix_takes_its_columns_by_name() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    model = Askew(random_state=0).fit(x)
    with Service(model) as service:
        rows = [dict(zip(("x0", "x1", "x2"), row.tolist(), strict=True)) for row in x]
        found = scored(client_of(service), rows)["rows"]
    assert [one["score"] for one in found] == model.decision_function(x).tolist()


def test_a_request_of_a_very_wide_model_is_bounded_by_its_features(model: Askew) -> None:
    reader = Reader(model)
    with pytest.raises(DataError, match="100,001 rows"):
        reader.limits.check(100_001)
    assert reader.limits.n_rows == 100_000


def test_a_caller_that_fails_ends_the_benchmark() -> None:
    bench = pytest.importorskip("serving")

    def ask(http: httpx.Client) -> None:
        raise AssertionError("status 500")

    with pytest.raises(AssertionError, match="status 500"):
        bench.called(ask, BASE, 0.0, 2)
