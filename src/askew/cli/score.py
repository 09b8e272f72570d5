"""``askew score FILE -m MODEL -o OUT``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askew.cli.app import File, Json, app, busy, give, say

if TYPE_CHECKING:
    import pyarrow as pa

    from askew.model import Askew

COLUMNS = ("askew_score", "askew_percentile")


@app.command()
def score(
    file: File,
    model_file: Annotated[str, typer.Option("-m", "--model", metavar="MODEL", help="Score by it.")],
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="OUT", help="The table to write; its suffix counts."),
    ],
    as_json: Json = False,
) -> None:
    """Score a file of any length by a model, part after part.

    The rows stay in the file's order. The file's columns come first, untouched, then askew_score
    (above 0: called an anomaly) and askew_percentile (share of the training rows that score
    lower). Parquet and Arrow files are never held whole; CSV is. Ranks, reasons and verdicts
    need the whole table: `askew rank` gives them.
    """
    import numpy as np

    from askew.cli import tables
    from askew.table import write_parts

    with busy("Reading"):
        model = tables.load_model(model_file)
    scores: list[np.ndarray] = []
    with busy("Scoring"):
        write_parts(scored(model, file, out, scores), out, like=file)
    found = np.concatenate(scores)
    n_above = int((found > 0).sum())
    told, threshold = tables.told_again(model, found)
    if as_json:
        give({"written": out, "rows": len(found), "above": n_above, "threshold": threshold})
        return
    say(f"Rows: {len(found):,}, of which {n_above:,} with askew_score above 0")
    say(told)
    say(f"Written: {out}")


def scored(model: Askew, file: str, out: str, scores: list[Any]) -> Iterator[pa.Table]:
    """Give a file's parts with their scores behind them, and keep the scores."""
    import pyarrow as pa

    from askew.cli import views
    from askew.table import is_csv

    waiting: list[pa.Table] = []  # what is to be written of the part that is being scored

    def seen() -> Iterator[pa.Table]:
        for part, shown in _parts(file, as_text=is_csv(out)):
            views.check_free(part, COLUMNS)
            waiting.append(shown)
            yield part.drop_columns([n for n in part.column_names if n == model.labels_.column])

    for found in model.score_parts(seen()):
        scores.append(found)
        part = waiting.pop()
        for name, values in zip(COLUMNS, (found, model.percentile_of(found)), strict=True):
            part = part.append_column(name, pa.array(values))
        yield part


def _parts(file: str, *, as_text: bool) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Give a file's parts, and of each what is to be written: a CSV file's own text ``as_text``."""
    from askew.cli import views
    from askew.table import read_parts, read_text

    n = 0
    for part in read_parts(file):
        if not n:
            # Only now is it sure that the file can be read.
            text = read_text(file) if as_text else None
        yield part, part if text is None else views.with_text(part, text.slice(n, part.num_rows))
        n += part.num_rows
