"""``askew review``: what it prints, what it refuses, and a real server on a free port."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from askew import load
from askew.cli import listening
from askew.cli.main import app
from askew.errors import AskewError, FileError, SchemaError
from askew.review.session import Session
from askew.review.store import open_store
from tests.review.web import client_of, csrf_in, key_in


@pytest.fixture
def table(payments: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "payments.csv"
    payments.reset_index().to_csv(path, index=False)
    return path


def test_it_serves_judges_exports_and_stops(table: Path) -> None:
    command = [sys.executable, "-m", "askew", "review", str(table), "--id", "tx", "--no-browser"]
    with subprocess.Popen(
        [*command, "--reviewer", "ana"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            address = server.stdout.readline().removeprefix("Open ").strip()
            parts = urlsplit(address)
            assert parts.hostname == "127.0.0.1"
            assert len(parse_qs(parts.query)["token"][0]) >= 43
            assert f"{table}.verdicts.db" in server.stdout.readline()
            with httpx.Client(
                base_url=f"http://{parts.netloc}", follow_redirects=True, timeout=60
            ) as client:
                assert client.get("/").status_code == 403
                text = client.get(address).text
                assert "payments.csv" in text
                csrf, key = (
                    re.findall(rf'name="{name}" value="([^"]+)"', text)[0]
                    for name in ("csrf", "key")
                )
                fields = {"csrf": csrf, "key": key, "verdict": "anomaly"}
                assert client.post("/judge", data=fields).status_code == 200
                taken = client.get("/export/ranked.parquet")
                assert taken.status_code == 200
                (table.parent / "taken.parquet").write_bytes(taken.content)
                report = client.get("/export/report.html")
                assert report.text.lstrip().lower().startswith("<!doctype html>")
        finally:
            server.send_signal(signal.SIGINT)
        assert "Stopped." in server.stdout.read()
        assert server.stderr.read() == ""
        assert server.wait(30) == 0
    ranked = pq.read_table(table.parent / "taken.parquet").to_pandas().set_index("tx")
    assert ranked.loc[key, "askew_verdict"] == "anomaly"
    assert ranked["askew_verdict"].notna().sum() == 1
    assert list(ranked.index) == [f"tx-{i:04d}" for i in range(200)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "give --users FILE with the reviewers who may sign in, or"),
        (["--host", "review.example"], "or --token-file FILE with a token of 16 characters"),
        (["--users", "u", "--reviewer", "ana"], "leave --reviewer out"),
        (["--users", "u", "--token-file", "t"], "leave --token-file out"),
        (["--model", "m", "--kind", "a=number"], "are decided when a model is fitted"),
        (["--model", "m", "--id", "tx"], "are decided when a model is fitted"),
    ],
)
def test_it_refuses_what_cannot_be_served(table: Path, options: list[str], said: str) -> None:
    ran = CliRunner().invoke(
        app, ["review", str(table), "--no-browser", *options], env={"COLUMNS": "400"}
    )
    assert ran.exit_code == 2
    assert said in ran.output
    assert not Path(f"{table}.verdicts.db").exists()


def test_a_port_that_is_taken_is_said_before_the_table_is_read(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        given = ["review", str(tmp_path / "none.csv"), "--port", port, "--no-browser"]
        ran = CliRunner().invoke(app, given, env={"COLUMNS": "400"})
    assert ran.exit_code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in ran.output


def test_a_token_file_must_hold_a_token(table: Path, tmp_path: Path) -> None:
    for text, said in (
        ("", "has 0 characters; a token has 16 or more"),
        ("short\n", "has 5 characters; a token has 16 or more"),
        ("ünsafe-but-long-enough\n", "holds a character that is not ASCII; a token"),
    ):
        (tmp_path / "token").write_text(text, encoding="utf-8")
        given = ["review", str(table), "--token-file", str(tmp_path / "token")]
        ran = CliRunner().invoke(app, given)
        assert isinstance(ran.exception, FileError)
        assert f"the first line {said}" in str(ran.exception)
    ran = CliRunner().invoke(app, ["review", str(table), "--token-file", str(tmp_path / "none")])
    assert isinstance(ran.exception, FileError)


def test_a_users_file_must_name_somebody(table: Path, tmp_path: Path) -> None:
    for text, said in (("", "names nobody"), ("ana:secret\n", "line 1: it is no name with a hash")):
        (tmp_path / "users").write_text(text)
        given = ["review", str(table), "--host", "0.0.0.0", "--users", str(tmp_path / "users")]
        ran = CliRunner().invoke(app, given)
        assert isinstance(ran.exception, FileError)
        assert said in str(ran.exception)
        assert "secret" not in str(ran.exception)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[FastAPI], None]]:
    """Visit the page in the place of uvicorn's serving; add what is to be done there."""
    visits: list[Callable[[FastAPI], None]] = []

    def visiting(page: FastAPI, *_: object) -> None:
        for visit in visits:
            visit(page)

    monkeypatch.setattr(listening, "serve", visiting)
    return visits


def test_named_reviewers_sign_in_each_to_a_desk(
    table: Path, tmp_path: Path, served: list[Callable[[FastAPI], None]]
) -> None:
    users = str(tmp_path / "users")
    for name in ("ana", "bo"):
        ran = CliRunner().invoke(app, ["users", users, name], input="some long passphrase\n")
        assert ran.exit_code == 0

    def judge(page: FastAPI) -> None:
        keys = set()
        for name in ("ana", "bo"):
            client = client_of(page)
            form = {"name": name, "passphrase": "some long passphrase"}
            form["csrf"] = csrf_in(client.get("/").text)
            text = client.post("/sign-in", data=form).text
            keys.add(key_in(text))
            given = {"csrf": csrf_in(text), "key": key_in(text), "verdict": "normal"}
            assert client.post("/judge", data=given).status_code == 200
        assert len(keys) == 2

    served.append(judge)
    ran = CliRunner().invoke(
        app, ["review", str(table), "--id", "tx", "--users", users, "--no-browser"]
    )
    assert ran.exit_code == 0, ran.output
    assert re.match(r"Open http://127\.0\.0\.1:\d+/ and sign in\n", ran.output)
    with open_store(f"{table}.verdicts.db") as store:
        assert [line.reviewer for line in store.lines()] == ["ana", "bo"]
        assert store.leased() == {}


def test_it_starts_from_a_saved_model(
    table: Path, tmp_path: Path, served: list[Callable[[FastAPI], None]]
) -> None:
    saved = str(tmp_path / "m.askew")
    fitted = ["fit", str(table), "--id", "tx", "--kind", "items=ignore", "-o", saved]
    assert CliRunner().invoke(app, fitted).exit_code == 0
    model = load(saved)
    given = ["review", str(table), "--model", saved, "--no-browser"]
    seen: list[Session] = []

    def look(page: FastAPI) -> None:
        session: Session = page.state.desks.session
        seen.append(session)
        if len(seen) == 1:
            assert session.ranking.model.id_ == model.id_
            session.tell({"tx-0000": "anomaly", "tx-0100": "normal"})
            return
        # What the store holds already is learned at once, beside the reader.
        session._worker.submit(int).result()
        learned = session.ranking.model
        assert learned.parent_ == model.id_
        assert learned.verdicts_ == {"tx-0000": 1, "tx-0100": 0}
        assert not learned.schema_.column("items").used

    served.append(look)
    for _ in range(2):
        ran = CliRunner().invoke(app, given)
        assert ran.exit_code == 0, ran.output
    assert len(seen) == 2
    pd.read_csv(table).drop(columns="country").to_csv(table, index=False)
    ran = CliRunner().invoke(app, given)
    assert isinstance(ran.exception, SchemaError)
    assert "country" in str(ran.exception)
    assert len(seen) == 2


def test_a_missing_extra_is_one_sentence(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> object:
        return None if name == "uvicorn" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    ran = CliRunner().invoke(app, ["review", str(table)])
    assert isinstance(ran.exception, AskewError)
    assert str(ran.exception) == (
        "the server needs uvicorn, which is missing; run: pip install 'askew[review]'"
    )
