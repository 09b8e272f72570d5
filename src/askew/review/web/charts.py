"""Charts of the threshold and the curve view, as SVG with classes only: a policy forbids styles.

Whatever a chart shows stands in a table beside it, for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from markupsafe import Markup

from askew.review.estimates import Estimate
from askew.review.picture import step_of
from askew.review.web.curves import GROUPS, Curve, Histogram
from askew.review.web.ranked import FILTERS
from askew.review.web.thresholds import ThresholdView

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 32, 46  # around the axes
STRIP = 62  # height of one group of the histogram

Place = Callable[[float], float]


def threshold_chart(view: ThresholdView) -> Markup:
    """Draw precision and recall with their intervals against the alerts, on a log axis."""
    n = view.stops[-1]
    across = _along(0, math.log10(max(n, 2)), LEFT + 10, WIDTH - RIGHT - 10)
    up = _along(0, 1, HEIGHT - BOTTOM, TOP)
    decades = range(len(str(n)))
    every = 1 if len(decades) <= 5 else 2
    parts = [
        *_rows(up, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        *_columns(across, [(d, f"{10**d:,}") for d in decades[::every]]),
        _named("alerts", "share"),
    ]
    at = across(math.log10(view.alerts))
    parts.append(f'<path class="chosen" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    for name, aside in (("precision", -3), ("recall", 3)):
        told = [
            (across(math.log10(stop.alerts)) + aside, getattr(stop, name)) for stop in view.drawn
        ]
        parts += _series(name, told, up)
    return _framed(parts, HEIGHT, "Precision and recall against alerts")


def curve_chart(curve: Curve) -> Markup:
    """Draw the anomalies found against rows judged, and what random looking would find."""
    n, rate = curve.n_judged, curve.rate
    most = max(1.0, curve.n_found, n * (rate.high or 0))
    step_x, step_y = max(1, step_of(n)), max(1, step_of(most))
    across = _along(0, max(n, 1), LEFT, WIDTH - RIGHT)
    up = _along(0, step_y * math.ceil(most / step_y), HEIGHT - BOTTOM, TOP)
    parts = [
        *_rows(up, _ticks(step_y, step_y * math.ceil(most / step_y))),
        *_columns(across, [(x, f"{x:,.0f}") for x in _ticks(step_x, n)]),
        _named("rows judged", "anomalies found"),
    ]
    if rate.value is not None and rate.low is not None and rate.high is not None:
        start, end = f"{across(0):.1f} {up(0):.1f}", f"{across(n):.1f}"
        ends = [f"{end} {up(n * share):.1f}" for share in (rate.low, rate.high)]
        parts.append(f'<path class="unsure-band" d="M{start}L{ends[0]}L{ends[1]}Z"/>')
        parts.append(f'<path class="at-random" d="M{start}L{end} {up(n * rate.value):.1f}"/>')
    points = [(0, 0), *curve.points()]
    parts.append(_line("found", [(across(x), up(y)) for x, y in points]))
    return _framed(parts, HEIGHT, "Anomalies found against rows judged")


def histogram_chart(histogram: Histogram) -> Markup:
    """Draw a strip for each verdict, each as high as its own tallest bar: few rows show too."""
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    across = _along(low, high, LEFT / 2, WIDTH - RIGHT)
    height = STRIP * len(GROUPS) + 46
    base = STRIP * len(GROUPS)
    parts = []
    if low < 0 < high:
        parts.append(f'<path class="chosen" d="M{across(0):.1f} 6V{base}"/>')
    for i, group in enumerate(GROUPS):
        counts, foot = histogram.counts[group].tolist(), STRIP * (i + 1)
        most, total = max(counts), histogram.total(group)
        told = f"{FILTERS[group]}: {total:,} {'row' if total == 1 else 'rows'}"
        if total:
            told += f", tallest bar {most:,}"
        parts.append(f'<text x="{LEFT / 2}" y="{foot - STRIP + 15}">{told}</text>')
        bars = _bars(counts, histogram.edges.tolist(), across, foot, STRIP - 22)
        parts.append(f'<path class="of-{group}" d="{bars}"/>')
        parts.append(f'<path class="line" d="M{LEFT / 2} {foot}H{WIDTH - RIGHT}"/>')
    step = step_of(high - low)
    ticks = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    parts += _columns(across, [(tick, f"{tick:,.6g}") for tick in ticks], foot=base)
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{height - 6}" text-anchor="end">score</text>')
    return _framed(parts, height, "Scores by verdict")


# -- parts -----------------------------------------------------------------------------------------


def _along(low: float, high: float, start: float, end: float) -> Place:
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _ticks(step: float, most: float) -> list[float]:
    return [step * i for i in range(math.floor(most / step + 1e-9) + 1)]


def _rows(up: Place, values: Iterable[float]) -> Iterator[str]:
    for value in values:
        y = up(value)
        yield f'<path class="line" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.6g}</text>'


def _columns(
    across: Place, values: Iterable[tuple[float, str]], foot: int = HEIGHT - BOTTOM
) -> Iterator[str]:
    for value, text in values:
        x = across(value)
        yield f'<path class="line" d="M{x:.1f} {foot}v5"/>'
        # A label at the right edge would be cut off were it in the middle.
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        yield f'<text x="{x:.1f}" y="{foot + 19}" text-anchor="{anchor}">{text}</text>'


def _named(x: str, y: str) -> str:
    return (
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{x}</text>'
        f'<text x="{LEFT}" y="{TOP - 14}">{y}</text>'
    )


def _line(name: str, points: Iterable[tuple[float, float]]) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="of-{name}-line" d="M{path}"/>'


def _series(name: str, told: Sequence[tuple[float, Estimate]], up: Place) -> Iterator[str]:
    """Draw points with their intervals; neighbors are joined where both are known."""
    points = [None if one.value is None else (x, up(one.value)) for x, one in told]
    for pair in pairwise(points):
        if None not in pair:
            yield _line(name, [point for point in pair if point is not None])
    for point, (_, one) in zip(points, told, strict=True):
        if point is None or one.low is None or one.high is None:
            continue
        x, y = point
        yield f'<path class="of-{name}-range" d="M{x:.1f} {up(one.low):.1f}V{up(one.high):.1f}"/>'
        if name == "precision":
            yield f'<circle class="of-{name}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        else:
            yield f'<path class="of-{name}" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8Z"/>'


def _bars(
    counts: Sequence[int], edges: Sequence[float], across: Place, foot: int, tall: int
) -> str:
    most = max(counts) or 1
    path = []
    for count, (left, right) in zip(counts, pairwise(map(across, edges)), strict=True):
        if count:
            up = max(tall * count / most, 1.5)
            wide = max(right - left - 1, 1)
            path.append(f"M{left:.1f} {foot}v-{up:.1f}h{wide:.1f}v{up:.1f}Z")
    return "".join(path)


def _framed(parts: Iterable[str], height: int, label: str) -> Markup:
    # Numbers and names of ours alone are in it.
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )
