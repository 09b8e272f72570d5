"""Where to cut the scores: by default, or in the units that a user thinks in.

Scores are higher for what is more anomalous; a row above the cut is an alert. What a cut is worth
is told from *held-out* scores only: those of judged rows by a model that has not seen their
verdicts, as from folds. On the rows it learned from, a model looks right.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from askew.errors import DataError, MethodError, ModelFileError, ThresholdError
from askew.labels import Label

Kind = Literal["default", "alerts", "precision", "fdr"]
KINDS: tuple[Kind, ...] = ("default", "alerts", "precision", "fdr")

SHARE = 0.05  # of the rows are called anomalous while nothing else is known
LEVEL = 0.9  # of intervals
# The queue judges the top of the alerts first; each fourth of them must speak for itself.
STRATA = 4
MIN_EACH = 10  # verdicts of each kind, below which two coefficients say little


@dataclass(frozen=True)
class Precision:
    """The share of anomalies among the alerts, from verdicts.

    Parameters
    ----------
    value, low, high : float
        Estimate and the ends of its interval, in [0, 1].
    level : float
        Probability that the interval covers.
    n_verdicts : int
        Judged rows above the cut that it rests on.
    """

    value: float
    low: float
    high: float
    level: float
    n_verdicts: int


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
        return replace(self, n_rows=len(scores), n_alerts=_n_above(scores, self.cut), n_tied=0)

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
        values = _members(data, cls)
        if values["precision"] is not None:
            p = _members(values["precision"], Precision)
            ends = [p["low"], p["value"], p["high"]]
            _require(all(_is_share(end) for end in [*ends, p["level"]]), "precision")
            _require(ends == sorted(ends), "precision")
            _require(_is_count(p["n_verdicts"]), "n_verdicts")
            values["precision"] = Precision(**p)
        _require(values["kind"] in KINDS, "kind")
        _require(_is_number(values["cut"]), "cut")
        _require(_is_asked(values["kind"], values["asked"]), "asked")
        _require(_is_count(values["n_rows"]) and _is_count(values["n_alerts"]), "n_rows")
        _require(values["n_alerts"] <= values["n_rows"], "n_alerts")
        _require(_is_count(values["n_tied"]), "n_tied")
        calibration = values["calibration"]
        _require(isinstance(calibration, list) and all(map(_is_number, calibration)), "calibration")
        _require(bool(calibration) == (values["kind"] == "fdr"), "calibration")
        _require(calibration == sorted(calibration), "calibration")
        return cls(**values | {"calibration": tuple(calibration)})


@dataclass(frozen=True)
class Calibration:
    """A rising map from scores to probabilities: 1 / (1 + exp(-(slope * score + intercept))).

    Parameters
    ----------
    slope, intercept : float
        The slope is above 0.
    n_anomaly, n_normal : int
        Verdicts that it was fitted on.
    """

    slope: float
    intercept: float
    n_anomaly: int
    n_normal: int

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the probability of being an anomaly for scores of any shape."""
        p: NDArray[np.float64] = special.expit(
            self.slope * np.asarray(scores, np.float64) + self.intercept
        )
        return p

    def to_json(self) -> dict[str, Any]:
        """Give it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Calibration:
        """Read what ``to_json`` wrote.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        values = _members(data, cls)
        _require(_is_number(values["slope"]) and values["slope"] > 0, "slope")
        _require(_is_number(values["intercept"]), "intercept")
        _require(_is_count(values["n_anomaly"]) and _is_count(values["n_normal"]), "n_anomaly")
        return cls(**values)


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


def by_alerts(scores: NDArray[np.floating], n: int) -> Threshold:
    """Cut so that as many rows are alerts as can be looked at.

    Never more: rows that share the score at which the cut would fall all stay below it. For a
    later table the cut stays, and so about the share of its rows.

    Parameters
    ----------
    scores
        (n_rows,) of the training rows.
    n
        Rows that can be looked at, 1 or more.

    Raises
    ------
    MethodError
        ``n`` is out of its range.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise MethodError(f"alerts is {n!r}; expected a whole number, 1 or more")
    falling = _falling(scores)
    cut = falling[n] if n < len(falling) else np.nextafter(falling[-1], -np.inf)
    n_alerts = _n_above(falling, cut)
    n_tied = int((falling == cut).sum()) if n_alerts < min(n, len(falling)) else 0
    return Threshold("alerts", float(n), float(cut), len(falling), n_alerts, n_tied)


def precision_above(
    cut: float,
    scores: NDArray[np.floating],
    label: NDArray[np.int8],
    level: float = LEVEL,
) -> Precision | None:
    """Estimate the share of anomalies among the rows above a cut.

    Verdicts are no random sample of the alerts, as the queue asks the most suspicious first. So
    the alerts are split by score into ``STRATA`` equal parts, the precision of each is taken from
    its own verdicts, and their mean is the estimate. The interval is Jeffreys', with as many
    verdicts as a random sample of equal variance would have (Kish's effective number).

    Parameters
    ----------
    cut
        Rows that score higher are alerts.
    scores
        (n,): of judged rows held out, of the others by the model as it is.
    label
        (n,) in {1, 0, -1}.
    level
        Probability that the interval should cover, in (0, 1).

    Returns
    -------
    Precision or None
        None where a part of the alerts holds no verdict, or nothing is above the cut.
    """
    _check_share("level", level)
    falling = label[np.argsort(-scores, kind="stable")]
    return _Verdicts.of(falling).precision(_n_above(scores, cut), level)


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
    _check_share("precision", p)
    _check_share("level", level)
    order = np.argsort(-scores, kind="stable")
    s, falling = np.asarray(scores, np.float64)[order], label[order]
    verdicts = _Verdicts.of(falling)
    # Cuts at each judged row that the next one does not tie with, the strictest first.
    ends = np.flatnonzero((falling != Label.UNLABELED) & (np.diff(s, append=-np.inf) < 0)) + 1
    strict = 1 - (1 - level) / _n_looks(len(ends))
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
    _check_share("fdr", q)
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


def calibrate(scores: NDArray[np.floating], label: NDArray[np.int8]) -> Calibration:
    """Fit a map from scores to probabilities.

    A logistic curve, for verdicts come by the dozen and an isotonic one would follow each of them.
    The targets are smoothed, so that verdicts which a score tells apart do not give certainty.
    That the queue chose by score does no harm, as the curve is conditional on the score.

    Parameters
    ----------
    scores
        (n,) held out; only those of judged rows are read.
    label
        (n,) in {1, 0, -1}.

    Raises
    ------
    ThresholdError
        Fewer than ``MIN_EACH`` verdicts of a kind, or scores that do not rise with the verdicts.

    Notes
    -----
    **Source**: Platt, Probabilistic outputs for support vector machines (1999), section 2.2.
    """
    n_anomaly = int((label == Label.ANOMALY).sum())
    n_normal = int((label == Label.NORMAL).sum())
    n_needed = max(MIN_EACH - n_anomaly, 0) + max(MIN_EACH - n_normal, 0)
    if n_needed:
        raise ThresholdError(
            f"{n_anomaly:,} anomalies and {n_normal:,} normals are judged; probabilities need "
            f"{MIN_EACH} of each: {n_needed} more verdicts of the rarer kind",
            n_needed,
        )
    s = np.asarray(scores, np.float64)[label != Label.UNLABELED]
    anomaly = label[label != Label.UNLABELED] == Label.ANOMALY
    center, scale = float(s.mean()), float(s.std())
    if not s[anomaly].mean() > s[~anomaly].mean():
        raise ThresholdError(
            "held out, anomalies do not score higher than normals, so a score tells no "
            "probability; more verdicts may make a ranking that does",
            1,
        )
    target = np.where(anomaly, (n_anomaly + 1) / (n_anomaly + 2), 1 / (n_normal + 2))
    z = (s - center) / scale

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = w[0] * z + w[1]
        excess = special.expit(logit) - target
        value = np.logaddexp(0, logit) - target * logit
        return float(value.sum()), np.array([(excess * z).sum(), excess.sum()])

    slope, intercept = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Calibration(
        float(slope / scale), float(intercept - slope * center / scale), n_anomaly, n_normal
    )


@dataclass(frozen=True)
class _Verdicts:
    """Verdicts along falling scores, summed up: of the first 0, 1, ... n rows."""

    judged: NDArray[np.int64]  # (n + 1,)
    anomalies: NDArray[np.int64]  # (n + 1,)

    @classmethod
    def of(cls, falling: NDArray[np.int8]) -> _Verdicts:
        kinds = (falling != Label.UNLABELED, falling == Label.ANOMALY)
        return cls(*(np.concatenate([[0], np.cumsum(kind)]) for kind in kinds))

    def precision(self, n: int, level: float) -> Precision | None:
        """Estimate the share of anomalies among the first n rows."""
        if n == 0:
            return None
        bounds = np.rint(np.linspace(0, n, min(STRATA, n) + 1)).astype(np.int64)
        weight = np.diff(bounds) / n
        judged, anomalies = np.diff(self.judged[bounds]), np.diff(self.anomalies[bounds])
        if not judged.all():
            return None
        value = float((weight * anomalies / judged).sum())
        effective = float(1 / (weight**2 / judged).sum())
        low, high = _jeffreys(value, effective, level)
        return Precision(value, low, high, level, int(judged.sum()))


def _jeffreys(value: float, n: float, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    a, b = value * n + 0.5, (1 - value) * n + 0.5
    low, high = float(special.betaincinv(a, b, tail)), float(special.betaincinv(a, b, 1 - tail))
    return min(low, value), max(high, value)  # of 0 and 1 the middle part would leave them out


def _n_looks(n: int) -> int:
    """Count looks for which an interval is widened when n nested cuts are tried.

    Precisions above neighboring cuts rest on nearly the same verdicts: about each doubling of
    their number is a new look.
    """
    return max(n, 1).bit_length()


def _imprecise(
    known: list[tuple[int, Precision]], n_anomaly: int, p: float, level: float
) -> ThresholdError:
    """Word that no cut is known to be precise enough, and count what is missing at least."""
    best = max((found for _, found in known), key=lambda found: found.low, default=None)
    n, right = (0, 0.0) if best is None else (best.n_verdicts, best.value * best.n_verdicts)

    def shown(more: int) -> bool:
        return _jeffreys((right + more) / (n + more), n + more, level)[0] >= p

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


def _n_above(scores: NDArray[np.floating], cut: float) -> int:
    return int((np.asarray(scores, np.float64) > cut).sum())


def _check_share(name: str, value: float) -> None:
    if not _is_number(value) or not 0 < value < 1:
        raise MethodError(f"{name} is {value!r}; expected a number between 0 and 1")


def _members(data: object, cls: type[Any]) -> dict[str, Any]:
    names = [field.name for field in fields(cls)]
    if not isinstance(data, dict) or set(data) != set(names):
        raise ModelFileError(
            f"the {cls.__name__.lower()} of the model is damaged: expected {', '.join(names)}; "
            "set the threshold again"
        )
    return dict(data)


def _require(right: bool, name: str) -> None:
    if not right:
        raise ModelFileError(f"the model's threshold is damaged at {name}; set it again")


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_asked(kind: Kind, value: Any) -> bool:
    if kind == "default":
        return value is None
    if kind == "alerts":
        return _is_number(value) and value >= 1
    return _is_number(value) and 0 < value < 1


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
