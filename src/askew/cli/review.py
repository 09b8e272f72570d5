"""``askew review FILE``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askew.cli import listening
from askew.cli.app import (
    File,
    IdColumn,
    Kinds,
    LabelColumn,
    Reviewer,
    Seed,
    StorePlace,
    ZeroUnlabeled,
    app,
    busy,
    kinds_of,
    say,
)

if TYPE_CHECKING:
    from askew.cli.tables import Opened
    from askew.review.session import Session
    from askew.review.web.export import Export

HELD = 900  # seconds that a card is kept for the reader; a page that was left frees its rows
EXPLAINED = 1000  # rows of an export that get reasons, from the top


@app.command()
def review(
    file: File,
    label: LabelColumn = None,
    id_column: IdColumn = None,
    zero_unlabeled: ZeroUnlabeled = False,
    kind: Kinds = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Where to listen; another than loopback needs --users or --token-file.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 0,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file", metavar="FILE", help="Take the token from this file's first line."
        ),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option(
            "--users",
            metavar="FILE",
            help="Let the reviewers of this file sign in by name, instead of a token; "
            "`askew users` makes it.",
        ),
    ] = None,
    model_file: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Start from this model's ranking, and refit its ranker on this file's verdicts.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only.")
    ] = False,
    store: StorePlace = None,
    reviewer: Reviewer = None,
    seed: Seed = 0,
) -> None:
    """Judge rows on a page in the browser, one after another, and watch the ranking learn.

    Listens on this machine alone, and prints an address with a token that lets you in. A verdict
    is kept as soon as it is given; stop with Ctrl-C and go on another day with the same command.
    With --users several reviewers judge at once: no row is before two of them.
    """
    listening.check_extra()
    from askew.cli import loop, tables
    from askew.http import hosts_of, is_loopback
    from askew.review.web.security import Keys

    if users is not None and (reviewer is not None or token_file is not None):
        given = "--reviewer" if token_file is None else "--token-file"
        raise typer.BadParameter(
            f"with --users reviewers sign in by name and passphrase; leave {given} out"
        )
    if not is_loopback(host) and token_file is None and users is None:
        raise typer.BadParameter(
            f"{host} can be reached from other machines; give --users FILE with the reviewers who "
            "may sign in, or --token-file FILE with a token of "
            f"{listening.SHORTEST} characters or more, or leave --host out",
            param_hint="--host",
        )
    if model_file is not None and (kind or id_column):
        raise typer.BadParameter("--kind and --id are decided when a model is fitted")
    keys = Keys() if token_file is None else Keys(listening.token_in(token_file))
    named = None if users is None else listening.users_in(users)
    kinds = kinds_of(kind)
    with closing(listening.listen(host, port)) as listener:
        with busy("Reading"):
            model = None if model_file is None else tables.load_model(model_file)
            opened = tables.open_file(
                file, label=label, id_column=id_column, zero_unlabeled=zero_unlabeled, model=model
            )
        place = loop.place_of(file, store)
        who = loop.reviewer_of(reviewer) if named is None else ""
        with loop.seat(opened, place, reviewer=who, kinds=kinds, seed=seed, model=model) as session:
            from askew.review.web.app import create_app
            from askew.review.web.desks import Desks

            session.lease = HELD
            with Desks(session) as desks:
                with busy("Learning and choosing"):
                    desks.catch_up()  # a model's ranking knows of no verdict here
                    if named is None:
                        desks.of().view()
                port = listener.getsockname()[1]
                if named is None:
                    address = listening.address_of(host, port, keys.token)
                    say(f"Open {address}")
                else:
                    address = f"{listening.origin_of(host, port)}/"
                    say(f"Open {address} and sign in")
                say(f"Verdicts are kept in {loop.name_of(place)} as they are given.")
                say("Stop with Ctrl-C.")
                page = create_app(
                    desks,
                    keys,
                    users=named,
                    table=Path(file).name,
                    hosts=hosts_of(host),
                    export=_export_of(session, opened, place),
                )
                listening.serve(page, listener, None if no_browser else address)
        say(f"Stopped. Go on with the same command; verdicts are kept in {loop.name_of(place)}.")


def _export_of(session: Session, opened: Opened, place: str) -> Export:
    """Give what writes the table by the ranking in force, as `askew rank` writes it."""
    from askew.cli import loop, views
    from askew.review.web.export import neutral
    from askew.table import is_csv, write_table

    def export(path: Path, guarded: bool) -> None:
        model = session.ranking.model
        known, _ = loop.with_verdicts(opened, place)
        ranked = views.rank_file(model, known, explained=EXPLAINED)
        if path.suffix == ".html":
            views.write(ranked, None, str(path), model, known, sort=False, top=None)
            return
        if is_csv(str(path)):
            ranked = views.untouched(ranked, known)
        write_table(neutral(ranked) if guarded else ranked, str(path), like=opened.path)

    return export
