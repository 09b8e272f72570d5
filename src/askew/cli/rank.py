"""``askew rank FILE -o OUT``."""

from __future__ import annotations

from typing import Annotated

import typer

from askew.cli.app import (
    File,
    IdColumn,
    Json,
    Kinds,
    LabelColumn,
    NoStore,
    Seed,
    StorePlace,
    ZeroUnlabeled,
    app,
    busy,
    give,
    kinds_of,
    say,
)


@app.command()
def rank(
    file: File,
    model_file: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="MODEL", help="Rank by this model, not a new one."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="OUT", help="The table to write; its suffix counts."),
    ] = None,
    label: LabelColumn = None,
    id_column: IdColumn = None,
    zero_unlabeled: ZeroUnlabeled = False,
    kind: Kinds = None,
    store: StorePlace = None,
    no_store: NoStore = False,
    sort: Annotated[
        bool, typer.Option("--sort", help="Write the most anomalous row first.")
    ] = False,
    top: Annotated[
        int | None, typer.Option("--top", min=1, metavar="N", help="Write the first N ranks only.")
    ] = None,
    reasons: Annotated[
        str,
        typer.Option("--reasons", metavar="N|all", help="How many rows get reasons, from the top."),
    ] = "1000",
    report: Annotated[
        str | None,
        typer.Option("--report", metavar="HTML", help="Write a report of one HTML file as well."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Rank a table's rows and say why.

    The rows stay in the file's order unless --sort is given. The file's columns come first,
    untouched, then askew_score (above 0: called an anomaly), askew_percentile, askew_rank,
    askew_reason_1 to 3 and askew_verdict. Verdicts that `askew label` wrote down for this file
    are picked up; they count before those of the verdict column.
    """
    from askew.cli import loop, tables, views

    explained = _explained(reasons, top)
    views.check_targets(out, report)
    if model_file is not None and (kind or id_column):
        raise typer.BadParameter("--kind and --id are decided when a model is fitted")
    kinds = kinds_of(kind)
    with busy("Reading"):
        model = None if model_file is None else tables.load_model(model_file)
        opened = tables.open_file(
            file, label=label, id_column=id_column, zero_unlabeled=zero_unlabeled, model=model
        )
        opened, known = loop.with_verdicts(opened, store, without=no_store)
    if model is None:
        with busy("Fitting"):
            model = tables.fit_model(opened, kinds=kinds, seed=seed)
    with busy("Ranking"):
        ranked = views.rank_file(model, opened, explained=explained)
        views.write(ranked, out, report, model, opened, sort=sort, top=top)
    again = None
    if model_file is not None:
        again = tables.told_again(model, ranked.column("askew_score").to_numpy())
    if as_json:
        summary = tables.summary(model) | ({} if again is None else {"threshold": again[1]})
        first = views.first_rows(ranked, 10)
        give({"written": out, **summary, **loop.kept(known), "first": first})
        return
    for line in tables.told(model):
        say(line)
    if known is not None:
        say(str(known))
    if again is not None:
        say(again[0])
    views.show(ranked, opened.id_column, n=min(top or 10, 20))
    n = opened.whole.num_rows
    if explained is not None and explained < n and out is not None:
        say(f"Reasons: for the first {explained:,} of {n:,} rows; --reasons all for every row")
    for name in (out, report):
        if name is not None:
            say(f"Written: {name}")


def _explained(reasons: str, top: int | None) -> int | None:
    if reasons == "all":
        return top
    if not reasons.isdecimal():
        raise typer.BadParameter(f"{reasons!r} is not a number or 'all'", param_hint="--reasons")
    return int(reasons) if top is None else min(int(reasons), top)
