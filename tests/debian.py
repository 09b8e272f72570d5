"""Programs of Debian's that tests need: found, else installed where that is allowed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

Found = TypeVar("Found")


class NotHereError(Exception):
    """A program is missing and cannot be had, or it failed."""


def found_or_installed(find: Callable[[], Found | None], package: str, wanted: str) -> Found:
    """Find programs; install the package that brings them where there are none.

    Raises
    ------
    NotHereError
        They are ``wanted`` and missing, and only root on Debian may install.
    """
    found = find()
    if found is not None:
        return found
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise NotHereError(f"{wanted} missing, and only root on Debian may install {package}")
    with (Path(tempfile.gettempdir()) / f"askew-{package}-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find() is None:
            quiet: dict[str, Any] = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
            try:
                run(["apt-get", "update", "-q"], quiet)
                run(["apt-get", "install", "-qy", "--no-install-recommends", package], quiet)
            except NotHereError as error:
                raise NotHereError(f"{wanted} missing; {error}") from error
    found = find()
    if found is None:
        raise NotHereError(f"{wanted} missing still, though the package {package} is installed")
    return found


def skip_or_fail(words: str) -> NoReturn:
    """Skip a test loudly; in CI, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def run(command: list[str], options: dict[str, Any]) -> None:
    """Run a program quietly.

    Raises
    ------
    NotHereError
        It failed; with the end of what it said.
    """
    # Into a file, not a pipe: a server keeps what it inherits open.
    with tempfile.TemporaryFile("w+") as said:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": said, "stderr": said}
        if subprocess.run(command, cwd="/", **streams, **options).returncode:
            said.seek(0)
            raise NotHereError(
                f"{' '.join(command)} failed: {' '.join(said.read().split())[-400:]}"
            )
