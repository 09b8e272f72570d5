"""``askew labels export FILE OUT`` and ``askew labels import FILE IN``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from askew.cli.app import (
    File,
    IdColumn,
    Json,
    LabelColumn,
    StorePlace,
    app,
    busy,
    give,
    say,
)

labels = typer.Typer(
    name="labels",
    help="Carry the verdicts of a table from one store to another, as CSV.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(labels)


@labels.command("export")
def export(
    file: File,
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="The CSV file to write.", show_default=False)
    ],
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Write every verdict, taken back or not, to a CSV file that `import` reads.

    One line each: who said what of which row, when, and why the row was asked.
    """
    from askew.cli import loop

    place = loop.place_of(file, store)
    loop.check_there(place)
    with busy("Writing"):
        from askew.review.store import open_store

        with open_store(place) as kept:
            n = kept.export_csv(out)
            known = loop.Known.on(kept.standings(), None, place)
    if as_json:
        give({"written": out, "lines": n, "verdicts": asdict(known)})
        return
    say(str(known))
    say(f"Written: {out} ({n:,} lines)")


@labels.command("import")
def import_(
    file: File,
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="The CSV file: key and verdict, perhaps reviewer, at and note.",
            show_default=False,
        ),
    ],
    label: LabelColumn = None,
    id_column: IdColumn = None,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Add the verdicts of a CSV file that the store does not have yet, all or none.

    Importing a file twice changes nothing. Keys are what the --id column says, else those that
    `askew next` prints. Verdicts on rows that the table lacks are kept and counted.
    """
    from askew.cli import loop, tables

    place = loop.place_of(file, store)
    with busy("Reading"):
        from askew.review.store import open_store
        from askew.review.store.csv_file import read_rows

        opened = tables.open_file(file, label=label, id_column=id_column)
        keys = loop.keys_of(opened)
        named = list(dict.fromkeys(row.key for row in read_rows(source)))
        loop.check_known(named, keys, opened, source)
    with open_store(place) as kept:
        added, known_already = kept.import_csv(source)
        known = loop.Known.on(kept.standings(), keys, place)
    gone = len(set(named) - set(keys))
    if as_json:
        give({"added": added, "already_there": known_already, "rows_not_in_table": gone,
              "verdicts": asdict(known)})  # fmt: skip
        return
    say(f"Added: {added:,} lines; {known_already:,} were there already")
    if gone:
        say(f"On rows that {file} does not have: {gone:,} of {len(named):,}")
    say(str(known))
