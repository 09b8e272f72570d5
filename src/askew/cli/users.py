"""``askew users FILE NAME``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from askew.cli.app import Json, app, give, say


@app.command()
def users(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The users file.", show_default=False)
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A reviewer; all are listed without one."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the reviewer out.")] = False,
    as_json: Json = False,
) -> None:
    """Say who may sign in to `askew review --users FILE`: add a reviewer, or list them.

    Asks for the reviewer's passphrase, twelve characters or more, and keeps a salted hash of it; a
    name that is there gets the new one. Where the input is no terminal, the passphrase is its first
    line. A server reads the file when it starts.
    """
    from askew.errors import DataError
    from askew.review.web.users import Hash, clean_name, fault_of, read_users, write_users

    if name is None:
        if remove:
            raise typer.BadParameter("say whom: askew users FILE NAME --remove")
        _list(list(read_users(file)), file, as_json)
        return
    name = clean_name(name)
    known = read_users(file) if Path(file).exists() else {}
    if remove:
        if name not in known:
            raise DataError(
                f"{file} does not name {name!r}; `askew users {file}` lists who is there"
            )
        del known[name]
        done = "removed"
    else:
        if fault := fault_of(name):
            raise DataError(f"{fault}. A name has letters, digits, spaces and signs but colons")
        done = "changed" if name in known else "added"
        known[name] = Hash.of(_passphrase())
    write_users(file, known)
    if as_json:
        give({"file": file, done: name, "users": list(known)})
        return
    say(f"{done.capitalize()}: {name}. {file} names {len(known):,} in all")


def _list(names: list[str], file: str, as_json: bool) -> None:
    if as_json:
        give({"file": file, "users": names})
        return
    for name in names:
        say(name)
    if not names:
        say(f"{file} names nobody")


def _passphrase() -> str:
    """Ask twice on a terminal; elsewhere read a line."""
    from askew.errors import DataError
    from askew.review.web.users import LONGEST, SHORTEST

    if sys.stdin.isatty():
        given: str = typer.prompt(
            "Passphrase", hide_input=True, confirmation_prompt="The same again", err=True
        )
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(given) <= LONGEST:
        raise DataError(
            f"the passphrase has {len(given):,} characters; give {SHORTEST} to {LONGEST:,}, such "
            "as four words that have nothing to do with one another"
        )
    return given
