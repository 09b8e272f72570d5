"""``askew explain MODEL FILE ID``."""

from __future__ import annotations

from typing import Annotated

import typer

from askew.cli.app import File, Json, app, busy, give, say


@app.command()
def explain(
    model_file: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model file.", show_default=False)
    ],
    file: File,
    row_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The row: its id, or its number from 1 up where the model has no id column.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="Reasons at the most.")] = 10,
    as_json: Json = False,
) -> None:
    """Say why one row of a table stands out, or does not."""
    from askew.cli import tables, views
    from askew.reasons import percent

    with busy("Reading"):
        model = tables.load_model(model_file)
        opened = tables.open_file(file, model=model)
        row = views.find_row(opened.whole, opened.id_column, row_id)
    with busy("Explaining"):
        one = opened.table.slice(row, 1)
        ranked = model.rank(opened.table, explained=0, sort=False).slice(row, 1).to_pylist()[0]
        (why,) = model.explain(one, top=top)
    score, rank, percentile = (ranked[f"askew_{k}"] for k in ("score", "rank", "percentile"))
    if as_json:
        found = [{"column": r.column, "gain": r.gain, "text": r.text} for r in why]
        give(
            {"id": row_id, "score": score, "rank": rank, "percentile": percentile, "reasons": found}
        )
        return
    called = "an anomaly" if score > 0 else "normal"
    say(
        f"Row {row_id}: rank {rank:,} of {opened.whole.num_rows:,}, score {score:.3f}, above "
        f"{percent(percentile / 100)} of the training rows; called {called}"
    )
    for reason in why:
        say(f"  {reason.gain:+.3f}  {reason.text}")
    if not why:
        say("  No single column raises its score above that of a typical row.")
