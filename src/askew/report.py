"""The ranked table as one HTML file: no script, no other file, nothing from another host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.atomic import replacing
from askew.reasons import number
from askew.table.parts import parts_of
from askew.table.schema import Column, Kind

if TYPE_CHECKING:
    import pyarrow as pa

    from askew.model import Askew

SHOWN = 50  # rows in the report
FIELDS = 12  # fields of a row shown beside its reasons

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6577; --line: #d7dce4; --paper: #fff;
  --band: #dfe7f3; --core: #9db4d8; --mark: #b3261e; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf1; --soft: #a7b0c0; --line: #3a4252;
  --paper: #171b22; --band: #2a3547; --core: #55709f; --mark: #ff8a80; --good: #7fd6a2; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, ul { margin: .25rem 0; } .soft { color: var(--soft); }
article { border-top: 1px solid var(--line); padding: .9rem 0; display: grid; gap: .25rem 1.5rem;
  grid-template-columns: 5.5rem minmax(0, 1fr) minmax(0, 18rem); }
.rank { font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
.why { list-style: none; padding: 0; margin: 0; } .why li { margin-bottom: .5rem; }
.why svg { display: block; width: 100%; max-width: 24rem; height: 14px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0 .75rem; margin: 0;
  font-size: .85rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.anomaly { color: var(--mark); font-weight: 600; } .normal { color: var(--good); font-weight: 600; }
.histogram { width: 100%; height: auto; max-width: 40rem; }
.band { fill: var(--band); } .core { fill: var(--core); } .tick { fill: var(--mark); }
.axis { stroke: var(--line); } text { fill: var(--soft); font-size: 11px; }
@media (max-width: 48rem) { article { grid-template-columns: 1fr; } }
"""


def write_report(
    model: Askew, table: pa.Table, ranked: pa.Table, path: str | os.PathLike[str]
) -> None:
    """Write the first rows of a ranked table, with reasons and pictures, as one HTML file.

    Parameters
    ----------
    model
        That ranked the table.
    table
        (n, d): the rows as the model sees them.
    ranked
        The same rows in the same order, with the columns of ``Askew.rank``.
    path
        Where to; an existing file is replaced.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    page = "\n".join(_page(model, table, ranked))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _page(model: Askew, table: pa.Table, ranked: pa.Table) -> Iterator[str]:
    scores = ranked.column("askew_score").to_numpy()
    order = np.argsort(ranked.column("askew_rank").to_numpy(), kind="stable")[:SHOWN]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Askew: ranked rows</title><style>{STYLE}</style></head><body>"
    called = int((scores > 0).sum())
    yield "<h1>Rows that stand out</h1>"
    yield f"<p>{len(scores):,} rows ranked; {called:,} lie above the cut at score 0.</p>"
    told = [*model.schema_.describe(), str(model.labels_), model.labels_.remark()]
    yield "<ul class=soft>" + "".join(f"<li>{escape(t)}</li>" for t in told if t) + "</ul>"
    yield "<h2>Scores</h2>"
    yield histogram(scores)
    yield f"<h2>The first {len(order)} rows</h2>"
    yield (
        "<p class=soft>Each bar shows where a column's training values lie: the pale band holds "
        "the middle 80 %, the darker one the middle half; the mark is this row.</p>"
    )
    rows = table.take(order)
    pictures = {c.name: _Strip(c, rows) for c in model.schema_.used}
    explained = model.explain(rows)
    for place, row in enumerate(ranked.take(order).to_pylist()):
        why = [(reason.text, pictures[reason.column].draw(place)) for reason in explained[place]]
        yield from _article(row, model.id_column, why)
    yield f"<p class=soft>Model {escape(model.id_)}, made by Askew.</p></body></html>"


def _article(
    row: dict[str, Any], id_column: str | None, why: list[tuple[str, str]]
) -> Iterator[str]:
    name = "" if id_column is None else escape(str(row[id_column]))
    verdict = row["askew_verdict"]
    judged = "" if verdict is None else f"<p class={escape(verdict)}>{escape(verdict)}</p>"
    yield f"<article><div><p class=rank>{row['askew_rank']:,}</p><p>{name}</p>{judged}"
    yield f"<p class=soft>score {row['askew_score']:.2f}</p></div><ul class=why>"
    for text, picture in why:
        yield f"<li>{escape(text)}{picture}</li>"
    if not why:
        yield "<li class=soft>No single column raises its score: it is the combination.</li>"
    yield "</ul><dl>"
    fields = [n for n in row if not n.startswith("askew_") and n != id_column]
    for field in fields[:FIELDS]:
        value = row[field]
        shown = "" if value is None else number(value) if isinstance(value, float) else str(value)
        yield f"<dt>{escape(field)}</dt><dd>{escape(shown[:200])}</dd>"
    if len(fields) > FIELDS:
        yield f"<dt>and</dt><dd>{len(fields) - FIELDS:,} more fields</dd>"
    yield "</dl></article>"


def histogram(scores: np.ndarray, bins: int = 40) -> str:
    """Draw scores (n,) as an inline SVG with a line at the cut; counts on a root scale."""
    counts, edges = np.histogram(scores, bins=bins)
    width, height = 640.0, 140.0
    tall = np.sqrt(counts / max(counts.max(), 1)) * (height - 24)
    step = width / bins
    bars = "".join(
        f'<rect class=core x="{i * step + 1:.1f}" y="{height - 18 - h:.1f}" '
        f'width="{step - 2:.1f}" height="{h:.1f}"><title>{n:,} rows</title></rect>'
        for i, (h, n) in enumerate(zip(tall, counts, strict=True))
    )
    span = edges[-1] - edges[0]
    cut = -edges[0] / span * width
    line = f'<rect class=tick x="{cut:.1f}" y="0" width="1.5" height="{height - 18:.0f}"/>'
    labels = (
        f'<text x="0" y="{height - 4:.0f}">{number(edges[0])}</text>'
        f'<text x="{width:.0f}" y="{height - 4:.0f}" text-anchor="end">{number(edges[-1])}</text>'
        f'<text x="{cut + 5:.1f}" y="11">cut</text>'
    )
    return (
        f'<svg class=histogram viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="Histogram of scores">{bars}{line}{labels}</svg>'
        "<p class=soft>Bar heights are the root of the counts, so that few rows still show.</p>"
    )


class _Strip:
    """The picture of one column, a mark for each of some rows; empty for categories."""

    def __init__(self, column: Column, rows: pa.Table) -> None:
        self.part = column.parts[0] if column.kind is Kind.NUMBER else None
        if self.part is not None:
            (self.values,) = parts_of(column, rows.column(column.name).combine_chunks()).values()

    def draw(self, row: int) -> str:
        if self.part is None or np.isnan(self.values[row]):
            return ""
        q, value = self.part.quantiles, self.values[row]
        # From the 1 % to the 99 % quantile, wider where the row lies outside: a wild training
        # value must not squeeze the rest into a line.
        low, high = min(q[1], value), max(q[99], value)
        span = (high - low) or 1.0

        def at(v: float) -> float:
            return 4 + 292 * float((min(max(v, low), high) - low) / span)

        def bar(name: str, a: float, b: float, y: int, h: int) -> str:
            width = max(at(b) - at(a), 1.5)
            return f'<rect class={name} x="{at(a):.1f}" y="{y}" width="{width:.1f}" height="{h}"/>'

        bars = bar("band", q[10], q[90], 3, 8) + bar("core", q[25], q[75], 3, 8)
        line = '<line class=axis x1="4" x2="296" y1="7" y2="7"/>'
        tick = f'<rect class=tick x="{at(value) - 1.5:.1f}" y="0" width="3" height="14"/>'
        return (
            '<svg viewBox="0 0 300 14" preserveAspectRatio="none" aria-hidden="true">'
            f"{line}{bars}{tick}</svg>"
        )
