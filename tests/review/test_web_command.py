"""``askew review``: what it prints, what it refuses, and a real server on a free port."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from askew.cli.main import app
from askew.errors import AskewError, FileError


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
        (["--host", "0.0.0.0"], "give --token-file FILE"),
        (["--host", "review.example"], "give --token-file FILE"),
        (["--users", "users.txt"], "named users are not there yet"),
    ],
)
def test_it_refuses_to_open_to_others_without_a_token(
    table: Path, options: list[str], said: str
) -> None:
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
    for text in ("", "short\n", "ünsafe-but-long-enough\n"):
        (tmp_path / "token").write_text(text, encoding="utf-8")
        given = ["review", str(table), "--token-file", str(tmp_path / "token")]
        ran = CliRunner().invoke(app, given)
        assert isinstance(ran.exception, FileError)
        assert "16 or more" in str(ran.exception)
    ran = CliRunner().invoke(app, ["review", str(table), "--token-file", str(tmp_path / "none")])
    assert isinstance(ran.exception, FileError)


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
