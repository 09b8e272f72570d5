"""Cuts: by default, by a number of alerts, by precision, by false discovery rate."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from askew.errors import DataError, MethodError, ThresholdError
from askew.labels import Label
from askew.threshold.checks import (
    check_alerts,
    check_share,
    is_count,
    is_number,
    is_share,
    members,
    require,
)
from askew.threshold.precision import (
    LEVEL,
    Precision,
    Verdicts,
    jeffreys,
    n_above,
    n_looks,
    precision_above,
)

Kind = Literal["default", "alerts", "precision", "fdr"]
KINDS: tuple[Kind, ...] = ("default", "alerts", "precision", "fdr")

SHARE = 0.05  # of the rows are called anomalous while nothing else is known


@dataclass(frozen=True)
class Threshold:
    """A cut, what was asked for, and what it rests on.

    Parameters
    ----------
    kind : str
        ``"default"``, ``"alerts"``, ``"precision"`` or ``"fdr"``.
    asked : float or None
        Number of alerts, least precision or highest false discovery rate; None by default.
    cut : float
        Rows that score higher are alerts.
    n_rows, n_alerts : int
        Rows it was told of, and those of them above the cut.
    n_tied : int
        Rows that share the score at the cut and so could not be among the alerts asked for.
    precision : Precision or None
        None where the verdicts don't tell.
    calibration : tuple of float
        For ``"fdr"``: held-out scores of the known normals, rising; else empty.
    """

    kind: Kind
    asked: float | None
    cut: float
    n_rows: int
    n_alerts: int
    n_tied: int = 0
    precision: Precision | None = None
    calibration: tuple[float, ...] = ()

    @property
    def share(self) -> float:
        """Share of the rows above the cut, in [0, 1]."""
        return self.n_alerts / self.n_rows if self.n_rows else 0.0

    def on(self, scores: NDArray[np.floating]) -> Threshold:
        """Tell it again of another table's scores (n,).

        A false discovery rate holds of the rows it is told of, so its cut moves; other cuts stay.

        Raises
        ------
        ThresholdError
            No row of the table can be called at the false discovery rate asked for.
        """
        if self.kind == "fdr" and self.asked is not None:
            return by_fdr(scores, np.array(self.calibration), self.asked)
        return replace(self, n_rows=len(scores), n_alerts=n_above(scores, self.cut), n_tied=0)

    def with_precision(
        self, scores: NDArray[np.floating], label: NDArray[np.int8], level: float = LEVEL
    ) -> Threshold:
        """Add the precision that the verdicts tell; parameters as ``precision_above``."""
        return replace(self, precision=precision_above(self.cut, scores, label, level))

    def describe(self) -> str:
        """Word it: ``top 0.4 %, about 12 rows, precision 0.6 [0.4, 0.8] from 31 verdicts``."""
        percent = 100 * self.share
        said = [
            f"top {percent:.0f} %" if percent >= 10 else f"top {percent:.2g} %",
            f"about {_plural(self.n_alerts, 'row')}",
        ]
        if self.n_tied:
            said[1] += f" of {self.asked:,.0f} asked for (the next {self.n_tied:,} score the same)"
        if self.kind == "fdr":
            said.append(
                f"false discovery rate at most {self.asked:.2g} "
                f"from {len(self.calibration):,} known normals"
            )
        if self.precision is None:
            said.append("precision not known")
        else:
            p = self.precision
            verdicts = _plural(p.n_verdicts, "verdict")
            said.append(f"precision {p.value:.2g} [{p.low:.2g}, {p.high:.2g}] from {verdicts}")
        return ", ".join(said)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return asdict(self) | {"calibration": list(self.calibration)}

    @classmethod
    def from_json(cls, data: object) -> Threshold:
        """Read what ``to_json`` wrote.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        values = members(data, cls)
        if values["precision"] is not None:
            p = members(values["precision"], Precision)
            ends = [p["low"], p["value"], p["high"]]
            require(all(is_share(end) for end in [*ends, p["level"]]), "precision")
            require(ends == sorted(ends), "precision")
            require(is_count(p["n_verdicts"]), "n_verdicts")
            values["precision"] = Precision(**p)
        require(values["kind"] in KINDS, "kind")
        require(is_number(values["cut"]), "cut")
        require(_is_asked(values["kind"], values["asked"]), "asked")
        require(is_count(values["n_rows"]) and is_count(values["n_alerts"]), "n_rows")
        require(values["n_alerts"] <= values["n_rows"], "n_alerts")
        require(is_count(values["n_tied"]), "n_tied")
        calibration = values["calibration"]
        require(isinstance(calibration, list) and all(map(is_number, calibration)), "calibration")
        require(bool(calibration) == (values["kind"] == "fdr"), "calibration")
        require(calibration == sorted(calibration), "calibration")
        return cls(**values | {"calibration": tuple(calibration)})


def default_cut(
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    contamination: float | Literal["auto"] = "auto",
) -> float:
    """Find the cut above which a row is called an anomaly.

    Parameters
    ----------
    scores
        (n,) of the training rows, higher = more anomalous.
    label
        (n,) in {1, 0, -1}.
    contamination
        Share of the training rows above the cut, in (0, 0.5]; or ``"auto"``: where both kinds
        are known, the cut with the best balanced accuracy on them; otherwise ``SHARE`` of the
        rows, or the share of known anomalies where that is greater.

    Raises
    ------
    MethodError
        The share is out of its range.
    """
    if contamination == "auto":
        if (label == Label.ANOMALY).any() and (label == Label.NORMAL).any():
            return _balanced(scores, label)
        share = max(SHARE, float((label == Label.ANOMALY).mean()))
    elif isinstance(contamination, str) or not 0 < contamination <= 0.5:
        raise MethodError(f"contamination is {contamination!r}; expected 'auto' or (0, 0.5]")
    else:
        share = float(contamination)
    return float(np.quantile(scores, 1 - min(share, 1.0)))


def by_alerts(scores: NDArray[np.floating], n: float, n_rows: int | None = None) -> Threshold:
    """Cut so that as many rows are alerts as can be looked at.

    Never more: rows that share the score at which the cut would fall all stay below it. For a
    later table the cut stays, and so about the share of its rows.

    Parameters
    ----------
    scores
        (n_rows,) of the training rows, or the highest of them alone.
    n
        Rows that can be looked at, a whole number, 1 or more.
    n_rows
        How many rows there are, where not all of their scores are given.

    Raises
    ------
    MethodError
        ``n`` is out of its range, or the scores given don't reach down to it.
    """
    n = check_alerts(n)
    falling = _falling(scores)
    n_rows = len(falling) if n_rows is None else n_rows
    # Rows that tie with the last one kept may go on below it, and then nobody knows how many.
    if len(falling) < n_rows and (n >= len(falling) or falling[n - 1] == falling[-1]):
        raise MethodError(
            f"alerts is {n:,}, and of {n_rows:,} scores only the highest {len(falling):,} are "
            "kept; give the table: set_threshold(table, alerts=...) in Python, --table on the "
            "command line"
        )
    cut = falling[n] if n < len(falling) else np.nextafter(falling[-1], -np.inf)
    n_alerts = n_above(falling, cut)
    n_tied = int((falling == cut).sum()) if n_alerts < min(n, len(falling)) else 0
    return Threshold("alerts", float(n), float(cut), n_rows, n_alerts, n_tied)


def by_precision(
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    p: float,
    level: float = LEVEL,
) -> Threshold:
    """Find the lowest cut above which the precision is at least ``p``.

    At least means: the lower end of the interval is ``p`` or more (see ``precision_above``), not
    only the estimate, so that the promise holds where the verdicts are few. The interval is widened
    for the cuts that were tried, since the luckiest of many looks better than it is.

    Parameters
    ----------
    scores
        (n,) of the training rows: of judged rows held out, of the others by the model as it is.
    label
        (n,) in {1, 0, -1}.
    p
        Least share of anomalies among the alerts, in (0, 1).
    level
        Of the interval, in (0, 1).

    Raises
    ------
    ThresholdError
        No cut is known to be as precise; ``n_needed`` more verdicts could show it, if all of them
        were anomalies.
    MethodError
        ``p`` or ``level`` out of its range.
    """
    check_share("precision", p)
    check_share("level", level)
    order = np.argsort(-scores, kind="stable")
    s, falling = np.asarray(scores, np.float64)[order], label[order]
    verdicts = Verdicts.of(falling)
    # Cuts at each judged row that the next one does not tie with, the strictest first.
    ends = np.flatnonzero((falling != Label.UNLABELED) & (np.diff(s, append=-np.inf) < 0)) + 1
    strict = 1 - (1 - level) / n_looks(len(ends))
    told = [(n, verdicts.precision(n, strict)) for n in ends.tolist()]
    known = [(n, found) for n, found in told if found is not None]
    enough = [(n, found) for n, found in known if found.low >= p]
    if not enough:
        raise _imprecise(known, int((label == Label.ANOMALY).sum()), p, strict)
    n, found = enough[-1][0], replace(enough[-1][1], level=float(level))
    cut = s[n] if n < len(s) else np.nextafter(s[-1], -np.inf)
    return Threshold("precision", float(p), float(cut), len(s), n, precision=found)


def by_fdr(
    scores: NDArray[np.floating], normal_scores: NDArray[np.floating], q: float
) -> Threshold:
    """Cut so that at most a share ``q`` of the alerts is normal, on average over tables.

    Each row's conformal p-value is the share of known normals that score at least as high, the
    row itself counted in; Benjamini and Hochberg's procedure decides which are alerts. It asks of
    the known normals that they score no lower than normal rows at large do: those that a random
    check or the queue asked do, examples picked as typical don't.

    Parameters
    ----------
    scores
        (n,) of the rows to be called; best those that nobody has judged.
    normal_scores
        (m,) held-out scores of rows judged normal.
    q
        Highest share of normal rows among the alerts, in (0, 1).

    Raises
    ------
    ThresholdError
        No row can be called at that rate; ``n_needed`` more known normals could do, if all of
        them scored below the rows that stand out now.
    MethodError
        ``q`` is out of its range.
    """
    check_share("fdr", q)
    falling, normal = _falling(scores), np.sort(np.asarray(normal_scores, np.float64))
    m = len(normal)
    n_higher = m - np.searchsorted(normal, falling, side="left")
    p_values = (1 + n_higher) / (m + 1)
    called = stats.false_discovery_control(p_values, method="bh") <= q
    if not called.any():
        n_out = max(int((n_higher == 0).sum()), 1)
        # The smallest p-value is 1 / (m + 1), and n_out rows with it pass at q n_out / n.
        n_needed = max(math.ceil(len(falling) / (q * n_out)) - 1 - m, 1)
        raise ThresholdError(
            f"no row can be called at a false discovery rate of {q:g} with {m:,} known normals: "
            f"{int((n_higher == 0).sum()):,} of {len(falling):,} rows score above all of them. At "
            f"least {n_needed:,} more verdicts of normal are needed; allow a higher rate or ask "
            "for a number of alerts",
            n_needed,
        )
    return Threshold(
        kind="fdr",
        asked=float(q),
        cut=float(normal[m - 1 - n_higher[called].max()]),
        n_rows=len(falling),
        n_alerts=int(called.sum()),
        calibration=tuple(normal.tolist()),
    )


def _imprecise(
    known: list[tuple[int, Precision]], n_anomaly: int, p: float, level: float
) -> ThresholdError:
    """Word that no cut is known to be precise enough, and count what is missing at least."""
    best = max((found for _, found in known), key=lambda found: found.low, default=None)
    n, right = (0, 0.0) if best is None else (best.n_verdicts, best.value * best.n_verdicts)

    def shown(more: int) -> bool:
        return jeffreys((right + more) / (n + more), n + more, level)[0] >= p

    above = 1
    while not shown(above):
        above *= 2
    n_needed = bisect_left(range(above), True, lo=1, key=shown)
    found = (
        "no cut has verdicts throughout its alerts"
        if best is None
        else f"the best cut has {best.value:.2g} [{best.low:.2g}, {best.high:.2g}] "
        f"from {best.n_verdicts:,} verdicts"
    )
    return ThresholdError(
        f"a precision of {p:g} is not shown by the verdicts ({n_anomaly:,} anomalies): {found}. At "
        f"least {n_needed:,} more verdicts on the highest rows are needed, all of them anomalies; "
        "judge more, or ask for less",
        n_needed,
    )


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _falling(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    if not len(scores):
        raise DataError("no scores to cut; give those of one row at least")
    return np.sort(np.asarray(scores, np.float64))[::-1]


def _is_asked(kind: Kind, value: Any) -> bool:
    if kind == "default":
        return value is None
    if kind == "alerts":
        return is_number(value) and value >= 1
    return is_number(value) and 0 < value < 1


def _balanced(scores: NDArray[np.floating], label: NDArray[np.int8]) -> float:
    """Cut halfway between the two neighboring scores where balanced accuracy is best."""
    known = label != Label.UNLABELED
    order = np.argsort(scores[known], kind="stable")
    s = scores[known][order].astype(np.float64)
    anomaly = label[known][order] == Label.ANOMALY
    # Everything above position i is called an anomaly, i = -1 (all of it) to the last (none).
    missed = np.concatenate([[0], np.cumsum(anomaly)]) / anomaly.sum()
    cleared = np.concatenate([[0], np.cumsum(~anomaly)]) / (~anomaly).sum()
    between = np.concatenate([[s[0] - 1], (s[1:] + s[:-1]) / 2, [s[-1]]])
    possible = np.concatenate([[True], s[1:] > s[:-1], [True]])
    return float(between[np.argmax(np.where(possible, cleared - missed, -np.inf))])
