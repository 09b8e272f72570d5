"""Curves against the number of verdicts, as one SVG: no script, nothing from another host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif; --ink: #1d2430; --soft: #5b6577;
  --line: #d7dce4; --paper: #fff; --c0: #b3261e; --c1: #1f5fae; --c2: #7a7f87; --c3: #1b6e3c;
  --c4: #8a4fb0; --c5: #b26a00; }
@media (prefers-color-scheme: dark) { svg { --ink: #e8ebf1; --soft: #a7b0c0; --line: #3a4252;
  --paper: #171b22; --c0: #ff8a80; --c1: #8ab8ff; --c2: #9aa1ad; --c3: #7fd6a2; --c4: #d3a4f0;
  --c5: #ffc166; } }
.paper { fill: var(--paper); } .grid { stroke: var(--line); } text { fill: var(--soft); }
.title { fill: var(--ink); font-weight: 600; } .curve { fill: none; stroke-width: 2; }
.band { stroke: none; opacity: 0.18; }
"""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")  # told apart without colors as well
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 30, 26  # around the axes of a chart
ENTRY = 190  # width of an entry of the legend


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Parameters
    ----------
    name
        For the legend.
    values
        After 1, 2, ... verdicts; the line starts at 0 before the first.
    low, high
        Of the same length: a band around it, such as the spread over runs.
    """

    name: str
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Chart:
    """Curves on one pair of axes; their order gives their colors, six at most."""

    title: str
    curves: Sequence[Curve]


def draw(
    charts: Sequence[Chart],
    *,
    title: str,
    x_label: str,
    y_label: str,
    columns: int = 1,
    size: tuple[int, int] = (640, 360),
) -> str:
    """Draw charts of the same curves under one title and one legend.

    Parameters
    ----------
    charts
        One or more; the first one's curves give the legend.
    title, x_label, y_label
        Of the whole.
    columns
        Charts side by side.
    size
        Width and height of a chart.
    """
    wide, high = size
    width = wide * min(columns, len(charts))
    a_line = max(1, (width - LEFT) // ENTRY)
    names = [curve.name for curve in charts[0].curves]
    head = 52 + 20 * math.ceil(len(names) / a_line)
    height = head + high * math.ceil(len(charts) / columns) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{head - 4}">{escape(y_label)}</text>',
        f'<text x="{width - RIGHT}" y="{height - 8}" text-anchor="end">{escape(x_label)}</text>',
    ]
    for i, name in enumerate(names):
        x, y = LEFT + ENTRY * (i % a_line), 44 + 20 * (i // a_line)
        parts.append(f'<path d="M{x} {y - 4}h26" {_stroke(i)}/>')
        parts.append(f'<text x="{x + 32}" y="{y}">{escape(name)}</text>')
    for i, chart in enumerate(charts):
        x, y = wide * (i % columns), head + high * (i // columns)
        parts.append(f'<g transform="translate({x} {y})">')
        parts += [*_chart(chart, wide, high), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart, width: int, height: int) -> Iterator[str]:
    most_x = max(len(curve.values) for curve in chart.curves)
    most_y = max(max([0, *curve.values, *curve.high]) for curve in chart.curves)
    step_x, step_y = step_of(most_x), step_of(most_y)
    top_y = step_y * max(1, math.ceil(most_y / step_y))

    def at(x: float, y: float) -> str:
        across = LEFT + (width - LEFT - RIGHT) * x / most_x
        return f"{across:.1f} {height - BOTTOM - (height - TOP - BOTTOM) * y / top_y:.1f}"

    yield f'<text class="title" x="{LEFT}" y="{TOP - 10}">{escape(chart.title)}</text>'
    for i in range(round(top_y / step_y) + 1):
        x, y = at(0, i * step_y).split()
        yield f'<path class="grid" d="M{x} {y}H{width - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{i * step_y:g}</text>'
    for i in range(math.floor(most_x / step_x) + 1):
        x, y = at(i * step_x, 0).split()
        yield f'<path class="grid" d="M{x} {y}v4"/>'
        yield f'<text x="{x}" y="{height - BOTTOM + 17}" text-anchor="middle">{i * step_x:g}</text>'
    # The first curve is what the picture is about: drawn last, it lies above the others.
    for i, curve in reversed(list(enumerate(chart.curves))):
        if curve.high:
            there = [at(t, v) for t, v in enumerate([0, *curve.high])]
            back = [at(t, v) for t, v in enumerate([0, *curve.low])][::-1]
            line = "L".join(there + back)
            yield f'<path class="band" d="M{line}Z" style="fill: var(--c{i})"/>'
        line = "L".join(at(t, v) for t, v in enumerate([0, *curve.values]))
        yield f'<path d="M{line}" {_stroke(i)}/>'


def _stroke(i: int) -> str:
    dashes = f' stroke-dasharray="{DASHES[i]}"' if DASHES[i] else ""
    return f'class="curve" style="stroke: var(--c{i})"{dashes}'


def step_of(most: float) -> float:
    """Give the step of 1, 2 or 5 times a power of ten that makes three to six ticks.

    >>> [step_of(most) for most in (100, 40, 7, 0.8)]
    [20, 10, 2, 0.2]
    """
    rough = max(most, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    return int(step) if step == int(step) else round(step, 12)
