"""``askew simulate FILE --label COLUMN``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askew.cli.app import File, IdColumn, Json, Kinds, Seed, app, busy, give, kinds_of, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from askew.review import Simulation

AFTER = (10, 20, 50, 100)  # verdicts after which the table has a line, beside the last
ORDERS = {"found": "Askew", "static": "isolation forest", "random": "random looking"}


@app.command()
def simulate(
    file: File,
    label: Annotated[
        str,
        typer.Option(
            "--label",
            metavar="COLUMN",
            help="The column with the truth: anomaly or normal, yes or no, 1 or 0. Rows without "
            "one take no part.",
            show_default=False,
        ),
    ],
    budget: Annotated[
        int, typer.Option("--budget", min=1, metavar="N", help="How many verdicts to play.")
    ] = 100,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="How rows are chosen: suspicious, uncertain, diverse, informative, mixed or "
            "random.",
        ),
    ] = "suspicious",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, metavar="N", help="How many runs to take the mean of.")
    ] = 5,
    id_column: IdColumn = None,
    kind: Kinds = None,
    seed: Seed = 0,
    svg: Annotated[
        str | None, typer.Option("--svg", metavar="SVG", help="Write a picture of the curves.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play the expert on a table that is already labelled: the curve before an expert is spent.

    Askew starts without a verdict and asks one row at a time; the truth column answers. Beside it
    stand an isolation forest's order, which learns nothing, and looking at rows at random.
    """
    import warnings

    from askew.atomic import check_place
    from askew.cli import tables
    from askew.errors import LabelWarning
    from askew.review import simulate as play
    from askew.table import to_frame
    from askew.table.encode import encode
    from askew.table.schema import infer_schema

    if svg is not None:
        check_place(Path(svg))
    kinds = kinds_of(kind)
    with busy("Reading"), warnings.catch_warnings():
        # It asks whether 0 means "not looked at"; here every row is meant to have a truth.
        warnings.simplefilter("ignore", LabelWarning)
        opened = tables.open_file(file, label=label, id_column=id_column)
        frame = to_frame(opened.table)
        frame = frame if id_column is None else frame.drop(id_column)
        schema = infer_schema(frame, kinds=kinds)
        x = encode(schema, frame)
    with busy(f"Playing {seeds} times"):
        runs = [
            play(x, opened.labels, budget=budget, random_state=seed + i, strategy=strategy)
            for i in range(seeds)
        ]
    if svg is not None:
        _write_picture(runs, file, svg)
    first = runs[0]
    if as_json:
        shown = {"written": svg, "strategy": strategy, "seed": seed, "rows": first.n_rows}
        shown |= {"anomalies": first.n_anomalies, "left_out": first.n_left_out}
        give(shown | {"table": _table(runs), "runs": [run.to_json() for run in runs]})
        return
    left_out = f"; {first.n_left_out:,} without a truth left out" if first.n_left_out else ""
    say(f"Rows: {first.n_rows:,}, {first.n_anomalies:,} of them anomalies{left_out}")
    for line in schema.describe():
        say(line[0].upper() + line[1:])
    _show(runs)
    say(_meaning(runs))
    if svg is not None:
        say(f"Written: {svg}")


def _curves(runs: Sequence[Simulation]) -> dict[str, Any]:
    """Give the counts found, (runs, budget), by order."""
    import numpy as np

    return {name: np.stack([getattr(run, name) for run in runs]) for name in ORDERS}


def _table(runs: Sequence[Simulation]) -> list[dict[str, Any]]:
    """Say what each order has found after some verdicts: mean, lowest and highest run."""
    curves = _curves(runs)
    budget = len(runs[0].found)
    return [
        {"verdicts": n}
        | {
            order: {"mean": float(at.mean()), "low": float(at.min()), "high": float(at.max())}
            for order, at in ((order, found[:, n - 1]) for order, found in curves.items())
        }
        for n in sorted({n for n in AFTER if n < budget} | {budget})
    ]


def _show(runs: Sequence[Simulation]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("verdicts", *ORDERS.values()):
        shown.add_column(name, justify="right")
    for line in _table(runs):
        shown.add_row(f"{line['verdicts']:,}", *(_cell(line[order]) for order in ORDERS))
    Console().print(shown)


def _cell(found: dict[str, float]) -> str:
    spread = f" ({found['low']:g} to {found['high']:g})" if found["low"] < found["high"] else ""
    return f"{found['mean']:.1f}{spread}"


def _meaning(runs: Sequence[Simulation]) -> str:
    """Say in a sentence what the curves mean for who would judge."""
    last = _table(runs)[-1]
    ours, static, chance = (last[order]["mean"] for order in ORDERS)
    times = "" if len(runs) == 1 else f", on average over {len(runs)} runs"
    found = f"{ours:.1f} of the {runs[0].n_anomalies:,} anomalies{times}"
    beside = f"{static:.1f} by the isolation forest's list and {chance:.1f} by chance"
    start = f"With {last['verdicts']:,} verdicts Askew finds {found}, against {beside}"
    if ours > static:
        return f"{start}."
    return f"{start}: on this table verdicts bring nothing beyond the list."


def _write_picture(runs: Sequence[Simulation], file: str, svg: str) -> None:
    from askew.atomic import replacing
    from askew.review.picture import Chart, Curve, draw

    curves = []
    for order, found in _curves(runs).items():
        band = (found.min(axis=0), found.max(axis=0)) if len(runs) > 1 else ((), ())
        mean, low, high = ([float(v) for v in values] for values in (found.mean(axis=0), *band))
        curves.append(Curve(ORDERS[order], mean, low, high))
    n_rows, n_anomalies = runs[0].n_rows, runs[0].n_anomalies
    picture = draw(
        [Chart("", curves)],
        title=f"{Path(file).name}: {n_anomalies:,} anomalies in {n_rows:,} rows",
        x_label="rows judged",
        y_label="anomalies found",
    )
    with replacing(svg) as temporary:
        temporary.write_text(picture, encoding="utf-8")
