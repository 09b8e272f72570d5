"""A real server: ``askew review`` in a process of its own, on a free port of loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pandas as pd

from askew.review.store import open_store
from askew.review.verdicts import Standing
from tests.browser.tables import VERDICTS, key_for

TEAM = {"ana": "four quiet green boats", "bob": "nine loud red trains"}
NOTES = {"a": "the owner says the card was stolen", "n": "a known customer", "s": "ask the shop"}


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Parameters
    ----------
    address
        What it printed, with the token where one lets in.
    base
        The same without a path.
    table
        The file that it serves.
    store
        Where the verdicts are kept.
    process
        To be killed, where that is what is tested.
    """

    address: str
    base: str
    table: Path
    store: Path
    process: subprocess.Popen[str]

    def standings(self) -> dict[str, Standing]:
        """Read from the store what holds of each row."""
        with open_store(self.store) as store:
            return store.standings()

    def verdicts(self) -> dict[str, str]:
        """Read from the store which verdict holds of each row."""
        return {key: str(held.verdict) for key, held in self.standings().items()}


def write(table: pd.DataFrame, folder: Path, name: str = "payments.csv") -> Path:
    """Write a table for a server to read."""
    path = folder / name
    table.to_csv(path, index=False)
    return path


@contextmanager
def serving(table: Path, *options: str, said: Sequence[str] = ()) -> Iterator[Server]:
    """Serve a file, and stop at the end.

    Parameters
    ----------
    table
        Its verdicts are kept beside it.
    options
        More of the command's.
    said
        Parts of what it may write to standard error; anything else is a failure.
    """
    store = Path(f"{table}.verdicts.db")
    command = [sys.executable, "-m", "askew", "review", str(table), "--store", str(store)]
    with (
        (table.parent / "errors.txt").open("w+") as errors,
        subprocess.Popen(
            [*command, "--no-browser", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            address = next(iter(process.stdout.readline().split()[1:2]), "")
            assert address.startswith("http://127.0.0.1:"), _text(errors.name)
            parts = urlsplit(address)
            base = f"{parts.scheme}://{parts.netloc}"
            yield Server(address, base, table, store, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        strange = [line for line in _text(errors.name).splitlines() if not _is_in(line, said)]
        assert strange == []


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _is_in(line: str, said: Sequence[str]) -> bool:
    return any(part in line for part in said)


def judge_many(server: Server, n: int) -> None:
    """Judge ``n`` rows or some more as an expert would, by JSON, until an odd one waits.

    The ranking knows of all on return.
    """
    token = parse_qs(urlsplit(server.address).query)["token"][0]
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.base, headers=headers, timeout=60) as client:
        card = client.get("/api/card").json()["card"]
        for i in range(3 * n):
            fields = {one["name"]: one["text"] or "missing" for one in card["fields"]}
            key = key_for(fields)
            if i >= n and key == "a":
                break
            given = {
                "key": card["key"],
                "verdict": VERDICTS[key],
                "note": NOTES[key] if i % 8 == 2 else "",
            }
            reply = client.post("/api/verdicts", json=given)
            assert reply.status_code == 200, reply.text
            card = reply.json()["card"]
        while (learning := client.get("/api/status").json()["learning"])["n_behind"]:
            assert not learning["failed"]
            time.sleep(0.1)
