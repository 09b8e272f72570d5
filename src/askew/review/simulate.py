"""Playing the expert on a table whose truth is known: what the loop would find, and how soon."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from askew.errors import DataError, FitError, LabelError, LabelWarning, MethodError
from askew.labels import Label, read_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from askew.strategies import Pool


@dataclass(frozen=True, eq=False)
class Simulation:
    """What was found, verdict by verdict, and what other orders would have found.

    Parameters
    ----------
    found
        (budget,) anomalies found after each verdict.
    order
        (budget,) numbers of the rows asked, from 0, in the order of asking.
    static
        (budget,) anomalies among as many rows from the top of an isolation forest's order.
    random
        (budget,) anomalies among as many rows looked at in random order, on average.
    n_rows
        Rows that could be asked.
    n_anomalies
        Anomalies among them.
    n_left_out
        Rows without a truth, which took no part.
    """

    found: NDArray[np.int64]
    order: NDArray[np.intp]
    static: NDArray[np.int64]
    random: NDArray[np.float64]
    n_rows: int
    n_anomalies: int
    n_left_out: int = 0

    @property
    def area(self) -> float:
        """Area under ``found`` over that of finding every anomaly first, in [0, 1]."""
        return self._area(self.found)

    @property
    def area_static(self) -> float:
        """The same for ``static``."""
        return self._area(self.static)

    @property
    def area_random(self) -> float:
        """The same for ``random``."""
        return self._area(self.random)

    def _area(self, found: NDArray[Any]) -> float:
        return area(found, self.n_anomalies)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, areas included."""
        return {
            "n_rows": self.n_rows,
            "n_anomalies": self.n_anomalies,
            "n_left_out": self.n_left_out,
            "found": self.found.tolist(),
            "static": self.static.tolist(),
            "random": self.random.tolist(),
            "order": self.order.tolist(),
            "area": self.area,
            "area_static": self.area_static,
            "area_random": self.area_random,
        }


def area(found: NDArray[Any], n_anomalies: int) -> float:
    """Area under a curve of anomalies found, (budget,), over that of finding every one first.

    Examples
    --------
    >>> area(np.array([0, 1, 2, 2]), n_anomalies=2)  # ideal: 1, 2, 2, 2
    0.7142857142857143
    """
    ideal = np.minimum(np.arange(1, len(found) + 1), n_anomalies)
    return float(found.sum() / ideal.sum())


def simulate(
    X: Any,
    truth: Any,
    *,
    budget: int = 100,
    random_state: int | None = 0,
    ranker: Any = None,
    strategy: str = "suspicious",
) -> Simulation:
    """Play the expert: ask one row at a time, tell its truth, learn from it, ask again.

    It starts without a verdict. A ranker that needs verdicts of a kind not seen yet waits, and
    the isolation forest chooses for it so long.

    Parameters
    ----------
    X
        (n, d): a matrix of finite numbers, taken as it is; or a pandas or polars DataFrame or a
        pyarrow Table, encoded as ``Askew`` does.
    truth
        (n,) as ``askew.labels.read_labels`` reads it: 1 anomaly, 0 normal. Rows without a truth
        take no part.
    budget
        Verdicts, 1 or more; no more than there are rows are asked.
    random_state
        Decides every draw; a ranker that is given keeps its own.
    ranker
        A ranker of ``askew.rankers``, or an estimator with ``fit(X, y)`` and
        ``decision_function(X)`` such as ``askew.deep.Detector``; ``ActiveBlend()`` where None.
    strategy
        How rows are chosen: a name in ``askew.strategies.STRATEGIES``.

    Raises
    ------
    DataError
        A table that cannot be used.
    LabelError
        The truth cannot be read, or holds no anomaly or nothing else.
    MethodError
        There is no such strategy, or the budget is no whole number from 1 up.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> x = generator.normal(size=(200, 3))
    >>> x[:5] += 4
    >>> played = simulate(x, [1] * 5 + [0] * 195, budget=10)
    >>> played.found.tolist()
    [1, 2, 3, 4, 5, 5, 5, 5, 5, 5]
    """
    from askew.rankers import ActiveBlend, IsolationTrees
    from askew.strategies import BY_SCORE

    if not isinstance(budget, int | np.integer) or budget < 1:
        raise MethodError(f"budget is {budget!r}; expected how many rows to ask, 1 or more")
    whole, odd, rows = _read(X, truth)
    x = whole[rows]  # a copy of its own; read-only, rankers keep what they know of it
    x.flags.writeable = False
    if ranker is None:
        ranker = ActiveBlend(random_state=random_state)
    generator = np.random.default_rng(random_state)
    stream = generator.permutation(len(x))
    unknown = np.full(len(x), Label.UNLABELED, np.int8)
    forest = IsolationTrees(random_state=random_state).learn(x, unknown).decision_function(x)
    player = _Player(ranker, x, forest, members=strategy not in BY_SCORE)
    asked = _play(player, odd, stream, min(int(budget), len(x)), strategy, generator)
    listed = np.lexsort((np.argsort(stream), -forest))[: len(asked)]
    return Simulation(
        found=np.cumsum(odd[asked]),
        order=rows[asked],
        static=np.cumsum(odd[listed]),
        random=np.arange(1, len(asked) + 1) * odd.mean(),
        n_rows=len(x),
        n_anomalies=int(np.count_nonzero(odd)),
        n_left_out=len(whole) - len(x),
    )


def _read(X: Any, truth: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.intp]]:
    """Give all rows (n, d), which of the m judged ones are anomalies (m,), and their numbers (m,).

    Raises
    ------
    DataError
        No finite matrix, no usable table.
    LabelError
        One kind only, or none.
    """
    from askew.table import row_keys

    x = _matrix(X)
    with warnings.catch_warnings():
        # That every row is judged is what a simulation needs.
        warnings.simplefilter("ignore", LabelWarning)
        labels = read_labels(truth, n_rows=len(x), keys=row_keys(X))
    rows = np.flatnonzero(labels.values != Label.UNLABELED)
    odd = labels.values[rows] == Label.ANOMALY
    if not odd.any() or odd.all():
        found = "every one an anomaly" if len(odd) and odd.all() else "no anomaly among them"
        place = "truth" if labels.column is None else f'column "{labels.column}"'
        raise LabelError(
            f"{place} has a truth for {len(rows):,} of {len(x):,} rows, {found}; a simulation "
            "needs anomalies to find and normal rows beside them: 1 is anomaly, 0 is normal"
        )
    return x, odd, rows


def _matrix(X: Any) -> NDArray[np.float32]:
    import narwhals.stable.v2 as nw

    if nw.dependencies.is_into_dataframe(nw.to_native(X, pass_through=True)):
        from askew.table import to_frame
        from askew.table.encode import encode
        from askew.table.schema import infer_schema

        frame = to_frame(X)
        return encode(infer_schema(frame), frame)
    try:
        with np.errstate(over="ignore"):  # what is beyond float32 is told below
            x = np.asarray(X, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"found {type(X).__name__}, which is no matrix of numbers ({error}); put words, dates "
            "and blanks into a pandas or polars DataFrame"
        ) from error
    if x.ndim != 2 or not x.shape[1]:
        raise DataError(f"X has shape {x.shape}; expected (n, d), rows of at least one number")
    if not np.isfinite(x).all():
        n = np.count_nonzero(~np.isfinite(x))
        raise DataError(
            f"X holds {n:,} cells that are missing, infinite or beyond float32; fill them, or give "
            "a DataFrame, whose blanks are read as missing"
        )
    return x


class _Player:
    """What ranks the rows (n, d) anew after each verdict; ``forest`` (n,) stands in for it."""

    def __init__(
        self, ranker: Any, x: NDArray[np.float32], forest: NDArray[np.float64], *, members: bool
    ) -> None:
        self.x = x
        self._members = members
        self._forest = forest
        self._start = ranker
        self._learned: Any = None

    def learn(self, label: NDArray[np.int8]) -> None:
        """Fit to the verdicts so far, unless they are too few for the ranker."""
        try:
            self._learned = self._fitted(label)
        except FitError:
            if all((label == kind).any() for kind in (Label.ANOMALY, Label.NORMAL)):
                raise

    def _fitted(self, label: NDArray[np.int8]) -> Any:
        from sklearn.base import clone

        from askew.rankers import Ranker

        if not isinstance(self._start, Ranker):
            return clone(self._start).fit(self.x, _plain(label))
        if self._learned is not None:
            return self._learned.relearn(self.x, label)
        if self._start.needs_anomalies and Label.ANOMALY not in label:
            return None
        return clone(self._start).learn(self.x, label)

    def pool(self, label: NDArray[np.int8], stream: NDArray[np.intp]) -> Pool:
        """Rank the rows as things stand."""
        from askew.strategies import Pool
        from askew.threshold import default_cut

        scores, members = self._forest, None
        if self._learned is not None:
            scores = np.ravel(self._learned.decision_function(self.x))
            if self._members and hasattr(self._learned, "member_scores"):
                members = self._learned.member_scores(self.x)
        judged = label != Label.UNLABELED
        return Pool(
            scores=scores,
            members=members,
            label=label,
            x=self.x,
            cut=default_cut(scores, label),
            order=stream,
            passed=np.zeros(len(label), dtype=bool),
            asked=int(np.count_nonzero(judged)),
        )


def _plain(label: NDArray[np.int8]) -> NDArray[Any]:
    """Code labels for an estimator's ``fit`` so that they have one reading.

    -1 beside mostly 0 or 1 could be another tool's code, which ``read_labels`` refuses.
    """
    unknown = label == Label.UNLABELED
    if 2 * np.count_nonzero(unknown) >= len(label):
        return label
    return np.where(unknown, np.nan, label)


def _play(
    player: _Player,
    odd: NDArray[np.bool_],
    stream: NDArray[np.intp],
    budget: int,
    strategy: str,
    generator: np.random.Generator,
) -> NDArray[np.intp]:
    """Ask and tell ``budget`` times; give the rows asked, (budget,)."""
    from askew.strategies import choose

    label = np.full(len(odd), Label.UNLABELED, np.int8)
    asked = np.empty(budget, np.intp)
    for turn in range(budget):
        player.learn(label)
        (pick,) = choose(player.pool(label, stream), 1, strategy=strategy, generator=generator)
        asked[turn] = pick.row
        label[pick.row] = Label.ANOMALY if odd[pick.row] else Label.NORMAL
    return asked
