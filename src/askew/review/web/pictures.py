"""How a column's training values spread, as a small drawing with a tick where a row lies.

Only attributes and classes, no style: the page's policy forbids inline ones. The sentence beside
a picture says the same in words, so it is hidden from screen readers.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise

from markupsafe import Markup

from askew.table.schema import Column, Part, category_text, share_below, typical_range

WIDTH, HEIGHT = 168, 36
EDGE = 14  # on both sides: room for a tick beyond the middle 98 % of the rows
BINS = 28
SHOWN = 9  # categories with a bar of their own


def picture_of_part(part: Part, value: float | None) -> Markup:
    """Draw the middle 98 % of the values, the typical range, and where ``value`` lies."""
    low, high = _ends(part)
    bars = _bars(part)
    first, last = (_across(end, low, high) for end in typical_range(part))
    band = (
        f'<rect class="band" x="{first:.1f}" y="0" width="{max(last - first, 1):.1f}" '
        f'height="{HEIGHT}"/>'
    )
    if value is None:
        return _framed(band + bars)
    at = _across(value, low, high)
    tick = f'<path class="tick" d="M{at:.1f} 1V{HEIGHT}"/>'
    if value < low or value > high:
        # An arrow head: it lies further out than the picture goes.
        way = 5 if value > high else -5
        tick += f'<path class="arrow" d="M{at + way:.1f} 6L{at:.1f} 1V11Z"/>'
    return _framed(band + bars + tick)


def picture_of_category(column: Column, value: object) -> Markup:
    """Draw how often each of the frequent values stands, the row's own marked."""
    shown = column.categories[:SHOWN]
    names = [name for name, _ in shown]
    counts = [count for _, count in shown]
    others = sum(count for _, count in column.categories[SHOWN:])
    text = None if value is None or value != value else category_text(value)
    own = names.index(text) if text in names else None
    counts += [others] * (others > 0)
    step = (WIDTH - 2 * EDGE) / (SHOWN + 1)
    most = max(counts) or 1
    drawn = []
    for i, count in enumerate(counts):
        tall = max((HEIGHT - 4) * count / most, 1)
        kind = "bar own" if i == own else "bar"
        drawn.append(
            f'<rect class="{kind}" x="{EDGE + i * step:.1f}" y="{HEIGHT - tall:.1f}" '
            f'width="{step - 2:.1f}" height="{tall:.1f}"/>'
        )
    if own is None and text is not None:  # among the others, or never seen
        at = EDGE + (SHOWN + 0.5) * step - 1
        drawn.append(f'<path class="tick" d="M{at:.1f} 1V{HEIGHT}"/>')
    return _framed("".join(drawn))


@lru_cache(maxsize=4096)
def _bars(part: Part) -> str:
    low, high = _ends(part)
    edges = [low + (high - low) * i / BINS for i in range(BINS + 1)]
    below = [share_below(part, edge) for edge in edges[:-1]]
    below.append(bisect_right(part.quantiles, high) / len(part.quantiles))  # those at the end too
    shares = [max(b - a, 0.0) for a, b in pairwise(below)]
    most = max(shares) or 1.0
    wide = (WIDTH - 2 * EDGE) / BINS
    path = []
    for i, share in enumerate(shares):
        if share:
            tall = max((HEIGHT - 4) * share / most, 1)
            path.append(f"M{EDGE + i * wide:.1f} {HEIGHT}v-{tall:.1f}h{wide:.1f}v{tall:.1f}Z")
    return f'<path class="bar" d="{"".join(path)}"/>'


def _ends(part: Part) -> tuple[float, float]:
    low, high = part.quantiles[1], part.quantiles[99]
    return (low, high) if high > low else (part.low, part.high)


def _across(value: float, low: float, high: float) -> float:
    if value < low:
        return EDGE / 2
    if value > high:
        return WIDTH - EDGE / 2
    share = (value - low) / (high - low) if high > low else 0.5
    return EDGE + (WIDTH - 2 * EDGE) * share


def _framed(inner: str) -> Markup:
    # Numbers and names of ours alone are in it.
    return Markup(
        f'<svg class="spread" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'aria-hidden="true" focusable="false">{inner}'
        f'<path class="base" d="M0 {HEIGHT - 0.5}H{WIDTH}"/></svg>'
    )
