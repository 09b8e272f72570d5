"""A real server of the review page, and one who asks it over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

TOKEN = "a-token-for-benchmarks-only"
GONE = (OSError, HTTPException)  # what a visitor meets when the server is away


@dataclass
class Server:
    """A process of ``askew review``.

    Parameters
    ----------
    process
        It is killed when its context ends.
    port
        Of 127.0.0.1; taken some time after the start.
    said
        A file of what it wrote to its standard error.
    """

    process: subprocess.Popen[bytes]
    port: int
    said: Path


@contextmanager
def serving(table: Path, port: int, *options: str) -> Iterator[Server]:
    """Start a server on a table with the column ``id``; it may not answer yet."""
    token, said = table.with_name("token"), table.with_name("said")
    token.write_text(TOKEN)
    command = [sys.executable, "-m", "askew", "review", str(table), "--id", "id", "--no-browser"]
    command += ["--port", str(port), *options]
    if "--users" not in options:
        command += ["--token-file", str(token)]
    with (
        said.open("wb") as stderr,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr) as process,
    ):
        try:
            yield Server(process, port, said)
        finally:
            process.kill()


def free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Visitor:
    """One who asks over one connection that is kept.

    Every method raises one of `GONE` where the server is away or goes away before the reply is
    read whole.

    Parameters
    ----------
    port
        Of 127.0.0.1.
    headers
        Of every request; the token where None.
    """

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"authorization": f"Bearer {TOKEN}"} if headers is None else dict(headers)
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Give status and body of a reply; cookies are kept."""
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        sent = self.headers | headers | ({"cookie": cookie} if cookie else {})
        self._connection.request(method, path, body, sent)
        reply = self._connection.getresponse()
        for text in reply.headers.get_all("set-cookie", []):
            name, _, rest = text.partition("=")
            self._cookies[name] = rest.partition(";")[0]
        return reply.status, reply.read()

    def send(self, path: str, fields: Mapping[str, str]) -> str:
        """Send a form as the page's script does, and give the part of the page that comes back."""
        body = urlencode(fields).encode()
        form = {"content-type": "application/x-www-form-urlencoded", "hx-request": "true"}
        return _page(*self.ask("POST", path, body, **form))

    def open(self, path: str) -> str:
        """Open a page."""
        return _page(*self.ask("GET", path))

    def get(self, path: str) -> Any:
        """Give what the API says."""
        return _read(*self.ask("GET", path))

    def post(self, path: str, given: Mapping[str, object]) -> Any:
        """Send to the API, and give what it says."""
        body = json.dumps(given).encode()
        return _read(*self.ask("POST", path, body, **{"content-type": "application/json"}))

    def wait(self, server: Server, seconds: float = 120) -> None:
        """Wait until a server answers; raise `RuntimeError` where it ends or takes too long."""
        end = time.monotonic() + seconds
        while server.process.poll() is None and time.monotonic() < end:
            try:
                self.ask("GET", "/healthz")
                return
            except GONE:
                self.close()
                time.sleep(0.02)
        raise RuntimeError(f"no server came up: {server.said.read_text()}")

    def close(self) -> None:
        """End the connection; the next question opens another."""
        self._connection.close()


def _page(status: int, body: bytes) -> str:
    if status not in (200, 204, 303):
        raise RuntimeError(f"status {status}: {body[-600:]!r}")
    return body.decode()


def _read(status: int, body: bytes) -> Any:
    if status != 200:
        raise RuntimeError(f"status {status}: {body[:300]!r}")
    return json.loads(body)
