"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from askew.errors import FileError


def check_place(path: Path) -> Path:
    """Find where a file would be written: through a link, so that the link itself stays.

    Raises
    ------
    FileError
        It is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise FileError(f"{path} is a folder; give the path of a file to write")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileError(f"no such folder: {target.parent}; make it before writing {path.name}")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the target's folder; put it in the target's place at the end.

    If the body raises, the temporary file goes and what stood there before stays as it was.

    Raises
    ------
    FileError
        The folder is missing or cannot be written to, the disk is full, the target is a folder.
    """
    path = Path(path)
    target = check_place(path)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"{path} was not written: {error.strerror or error}; check the folder's permissions "
            "and the free space"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
