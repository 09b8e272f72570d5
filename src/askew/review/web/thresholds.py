"""The threshold view: what a number of alerts costs and brings, by the verdicts so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from askew.labels import Label
from askew.review.estimates import Estimate, Estimates
from askew.review.session import Session
from askew.review.web.desk import Desk
from askew.threshold import Precision, Threshold, by_alerts

START = 20  # alerts, before a number is chosen
DRAWN = 15  # stops in the picture, at most


@dataclass(frozen=True)
class Stop:
    """Precision and recall of so many rows with the highest scores."""

    alerts: int
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class ThresholdView:
    """What is told of a number of alerts.

    Parameters
    ----------
    alerts
        As asked for; the number of rows where it is higher.
    told
        The cut and what it rests on.
    estimates
        Of the rows above the cut; None where equal scores leave no row above it.
    n_judged, n_anomaly
        Rows above the cut that are known to be one or the other, and anomalies among them.
    stops
        Numbers for a slider, rising.
    drawn
        Estimates at some of them.
    """

    alerts: int
    told: Threshold
    estimates: Estimates | None
    n_judged: int
    n_anomaly: int
    stops: Sequence[int]
    drawn: Sequence[Stop]

    @property
    def at(self) -> int:
        """Index of the stop that is nearest from below."""
        return max(i for i, stop in enumerate(self.stops) if stop <= self.alerts)

    @property
    def known(self) -> list[Stop]:
        """Those that are drawn and have an estimate."""
        return [s for s in self.drawn if not (s.precision.withheld and s.recall.withheld)]

    @property
    def share(self) -> str:
        """Share of the rows above the cut, in percent."""
        percent = 100 * self.told.share
        return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"

    @property
    def command(self) -> str:
        """The command that cuts a model there."""
        return f"askew threshold MODEL --alerts {self.alerts}"


def stops_of(n_rows: int) -> list[int]:
    """Give numbers from 1 to that of the rows, in steps of 1, 2 and 5 times a power of ten.

    >>> stops_of(130)
    [1, 2, 5, 10, 20, 50, 100, 130]
    """
    below = [f * 10**power for power in range(len(str(n_rows))) for f in (1, 2, 5)]
    return [*(stop for stop in below if stop < n_rows), n_rows]


def threshold_of(desk: Desk, alerts: int = START) -> ThresholdView:
    """Tell of a number of alerts, 1 or more; one beyond the rows is all of them."""
    n_rows = len(desk.session.keys)
    alerts = min(alerts, n_rows)
    stops = stops_of(n_rows)
    chosen = np.unique(np.linspace(0, len(stops) - 1, DRAWN).round().astype(int))
    told, n_judged, n_anomaly = desk.kept(("cut", alerts), lambda: _cut(desk.session, alerts))
    estimates = _estimates(desk, told.n_alerts) if told.n_alerts else None
    if estimates is not None and not estimates.precision.withheld:
        told = replace(told, precision=_as_precision(estimates.precision, n_judged))
    return ThresholdView(
        alerts=alerts,
        told=told,
        estimates=estimates,
        n_judged=n_judged,
        n_anomaly=n_anomaly,
        stops=stops,
        drawn=[_stop(desk, stops[i]) for i in chosen],
    )


def _cut(session: Session, alerts: int) -> tuple[Threshold, int, int]:
    scores, label = session.ranking.scores, session.label
    told = by_alerts(scores, alerts)
    above = label[scores > told.cut]
    return told, int((above != Label.UNLABELED).sum()), int((above == Label.ANOMALY).sum())


def _estimates(desk: Desk, k: int) -> Estimates:
    return desk.kept(("estimates", k), lambda: desk.session.estimate(k))


def _stop(desk: Desk, alerts: int) -> Stop:
    estimates = _estimates(desk, alerts)
    return Stop(alerts, estimates.precision, estimates.recall)


def _as_precision(one: Estimate, n_verdicts: int) -> Precision:
    assert one.value is not None
    assert one.low is not None
    assert one.high is not None
    return Precision(one.value, one.low, one.high, one.level, n_verdicts)
