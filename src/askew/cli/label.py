"""``askew label FILE KEY anomaly|normal|unsure``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from askew.cli.app import (
    File,
    IdColumn,
    Json,
    LabelColumn,
    Reviewer,
    StorePlace,
    ZeroUnlabeled,
    app,
    busy,
    give,
    say,
)
from askew.errors import LabelError

if TYPE_CHECKING:
    from askew.review.verdicts import Line


@app.command()
def label(
    file: File,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY... VERDICT",
            help="The row's key as `askew next` prints it, or several, then anomaly, normal or "
            "unsure. A key is what the --id column says, else a hash, of which six letters do.",
            show_default=False,
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="In your own words.")] = "",
    reviewer: Reviewer = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Take back the reviewer's last verdict instead.")
    ] = False,
    label_column: LabelColumn = None,
    id_column: IdColumn = None,
    zero_unlabeled: ZeroUnlabeled = False,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Write down a verdict on a row, or on several; it is on the disk when this returns.

    Give the same --id and --label as `askew next`, whose last line has the whole command. A later
    verdict replaces an earlier one; nothing is ever erased, and --undo goes back one by one.
    """
    from askew.cli import loop, tables

    place, who = loop.place_of(file, store), loop.reviewer_of(reviewer)
    if undo:
        if words:
            raise typer.BadParameter("--undo takes no key; it takes back your last verdict")
        _take_back(place, who, as_json)
        return
    given, verdict = _split(words or [])
    with busy("Reading"):
        opened = tables.open_file(
            file, label=label_column, id_column=id_column, zero_unlabeled=zero_unlabeled
        )
    with loop.seat(opened, place, reviewer=who) as session:
        keys = loop.find_keys(given, session.keys, opened)
        lines = session.tell(dict.fromkeys(keys, verdict), note=note)
        if not as_json:
            for line in lines:
                say(f"Written: {_told(line)}")
        state = loop.tell_state(session, place, quiet=as_json)
    if as_json:
        give({"written": [_plain(line) for line in lines], **state})


def _split(words: list[str]) -> tuple[list[str], str]:
    """Part the keys from the verdict behind them."""
    if len(words) < 2:
        raise typer.BadParameter("give the key of a row, then anomaly, normal or unsure")
    from askew.review.verdicts import Verdict

    *keys, verdict = words
    if verdict.lower() not in set(Verdict):
        raise LabelError(
            f"{verdict!r} is no verdict; after the key of the row say one of {', '.join(Verdict)}"
        )
    return keys, verdict.lower()


def _take_back(place: str, reviewer: str, as_json: bool) -> None:
    from dataclasses import asdict

    from askew.cli import loop
    from askew.review.store import open_store

    loop.check_there(place)
    with open_store(place) as store:
        line = store.undo(reviewer)
        known = loop.Known.on(store.standings(), None, place)
    if as_json:
        give({"taken_back": None if line is None else _plain(line), "verdicts": asdict(known)})
        return
    say(
        f"Nothing to take back: no verdict of {reviewer or 'nobody'} stands"
        if line is None
        else f"Taken back: {_told(line)}"
    )
    say(str(known))


def _told(line: Line) -> str:
    return f"{line.key} {line.verdict}" + (f" ({line.reviewer})" if line.reviewer else "")


def _plain(line: Line) -> dict[str, Any]:
    return {
        "key": line.key,
        "verdict": line.verdict,
        "reviewer": line.reviewer,
        "note": line.note,
        "at": line.at.isoformat(),
        "number": line.number,
    }
