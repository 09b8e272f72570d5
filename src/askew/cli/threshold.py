"""``askew threshold MODEL --alerts N | --precision P | --fdr Q``."""

from __future__ import annotations

from typing import Annotated

import typer

from askew.cli.app import Json, LabelColumn, NoStore, StorePlace, app, busy, give, say


@app.command()
def threshold(
    model_file: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model file.", show_default=False)
    ],
    alerts: Annotated[
        int | None,
        typer.Option("--alerts", metavar="N", help="As many rows as can be looked at."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            "--precision", metavar="P", help="At least this share of the alerts are anomalies."
        ),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option("--fdr", metavar="Q", help="At most this share of the alerts is normal."),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="The table of the fit, with its verdicts and any that came since; --precision "
            "and --fdr need it.",
        ),
    ] = None,
    label: LabelColumn = None,
    store: StorePlace = None,
    no_store: NoStore = False,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="MODEL", help="Write another file and leave MODEL as it is."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Set where a model calls a row an anomaly, and say what that rests on.

    Give one of --alerts, --precision and --fdr. The two last are told from verdicts that a model
    has not seen, so the ranker is fitted again on the table, five times, each time with a fifth of
    the verdicts hidden. Where the verdicts don't carry what is asked, nothing is written, and the
    number that is missing at least is told.
    """
    if sum(unit is not None for unit in (alerts, precision, fdr)) != 1:
        raise typer.BadParameter("give one of --alerts, --precision and --fdr")
    if table is None and (label is not None or store is not None):
        raise typer.BadParameter("--label and --store are of a table; give it with --table")
    from askew.cli import loop, tables

    with busy("Reading"):
        model = tables.load_model(model_file)
        opened = None
        if table is not None:
            opened = tables.open_file(table, label=label, model=model)
            opened, _ = loop.with_verdicts(opened, store, without=no_store)
    with busy("Setting the threshold"):
        model.set_threshold(
            opened and opened.table,
            opened and opened.labels,
            alerts=alerts,
            precision=precision,
            fdr=fdr,
        )
        model.save(out or model_file)
    if as_json:
        give({"written": out or model_file, **tables.summary(model)})
        return
    say(tables.told_threshold(model.threshold_))
    say(f"Written: {out or model_file} (model {model.id_})")
