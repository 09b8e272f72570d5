"""What a server counts, in Prometheus' text form 0.0.4."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Histogram:
    """Counts values by the first bound that they don't exceed."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str) -> list[str]:
        """Write it: each bucket holds what the ones before it hold."""
        said, total = [], 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            said.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*said, f"{name}_sum {self.sum!r}", f"{name}_count {total}"]


class Metrics:
    """The figures of one server. Methods may be called from several threads.

    Parameters
    ----------
    model
        The model's name.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._n_rows = 0
        self._in_flight = 0
        self._seconds, self._batches = Histogram(SECONDS), Histogram(ROWS)

    def begin(self) -> None:
        """Count a request that has come."""
        with self._lock:
            self._in_flight += 1

    def end(self, path: str, status: int, seconds: float | None) -> None:
        """Count a request that was answered; its time where it was to score."""
        with self._lock:
            self._in_flight -= 1
            self._requests[path, status] += 1
            if seconds is not None:
                self._seconds.add(seconds)

    def scored(self, n_rows: int) -> None:
        """Count the rows of a reply."""
        with self._lock:
            self._n_rows += n_rows

    def batch(self, n_rows: int) -> None:
        """Count a batch."""
        with self._lock:
            self._batches.add(n_rows)

    @property
    def unanswered(self) -> int:
        """Requests that have come and got no reply, or have none yet."""
        with self._lock:
            gone = sum(n for (_, status), n in self._requests.items() if not status)
            return self._in_flight + gone

    def text(self) -> str:
        """Write all figures."""
        with self._lock:
            requests = [
                f'askew_requests_total{{path="{path}",status="{status}"}} {count}'
                for (path, status), count in sorted(self._requests.items())
            ]
            families = [
                (
                    "model_info",
                    "gauge",
                    "The model that scores; always 1.",
                    [f'askew_model_info{{model="{_escaped(self.model)}"}} 1'],
                ),
                ("requests_total", "counter", "Requests answered, by path and status.", requests),
                (
                    "requests_in_flight",
                    "gauge",
                    "Requests being answered, this one too.",
                    [f"askew_requests_in_flight {self._in_flight}"],
                ),
                (
                    "rows_scored_total",
                    "counter",
                    "Rows in replies.",
                    [f"askew_rows_scored_total {self._n_rows}"],
                ),
                (
                    "batch_rows",
                    "histogram",
                    "Rows scored at a time.",
                    self._batches.lines("askew_batch_rows"),
                ),
                (
                    "score_seconds",
                    "histogram",
                    "Time of a request to score, from head to reply.",
                    self._seconds.lines("askew_score_seconds"),
                ),
            ]
        lines = []
        for name, kind, told, samples in families:
            lines += [f"# HELP askew_{name} {told}", f"# TYPE askew_{name} {kind}", *samples]
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
