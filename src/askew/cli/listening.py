"""What the commands that listen share: the extra, the token, the port, the server."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from askew.errors import AskewError, FileError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from askew.review.web.users import Users

SHORTEST = 16  # characters of a token from a file


def check_extra() -> None:
    """Raise where the packages that serve pages are not installed."""
    from importlib.util import find_spec

    for module in ("fastapi", "jinja2", "uvicorn", "python_multipart"):
        if find_spec(module) is None:
            raise AskewError(
                f"the server needs {module}, which is missing; run: pip install 'askew[review]'"
            )


def token_in(path: str) -> str:
    """Read the token in a file's first line."""
    try:
        token = (Path(path).read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"the token file {path} cannot be read: {error}") from error
    fault = ""
    if len(token) < SHORTEST:
        fault = f"has {len(token)} characters"
    elif not token.isascii():
        fault = "holds a character that is not ASCII"
    if fault:
        raise FileError(
            f"{path}: the first line {fault}; a token has {SHORTEST} or more, letters without "
            "accents, digits and signs. `openssl rand -hex 24` makes one"
        )
    return token


def users_in(path: str) -> Users:
    """Read who may sign in; a file that names nobody is refused."""
    from askew.review.web.users import Users, read_users

    found = read_users(path)
    if not found:
        raise FileError(f"{path} names nobody; `askew users {path} NAME` adds a reviewer")
    return Users(found)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before the table is read, so that nobody waits in vain."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise typer.BadParameter(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; give another --port"
        ) from error
    return listener


def origin_of(host: str, port: int) -> str:
    """Give the address without a path."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def address_of(host: str, port: int, token: str) -> str:
    """Give the address that lets in who opens it."""
    from urllib.parse import quote

    return f"{origin_of(host, port)}/?token={quote(token, safe='')}"


def serve(page: FastAPI, listener: socket.socket, browser_at: str | None = None) -> None:
    """Answer until Ctrl-C or SIGTERM; open the browser at an address where one is given."""
    import uvicorn

    config = uvicorn.Config(
        page, log_level="warning", access_log=False, server_header=False, ws="none", lifespan="off"
    )
    if browser_at is not None:
        from threading import Thread
        from webbrowser import open as show

        Thread(target=show, args=[browser_at], daemon=True).start()
    # uvicorn hands either on once every request is answered.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
