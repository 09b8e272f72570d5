"""Askew: a table as it is, ranked with the help of a few verdicts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from askew import persist, reasons
from askew.classifier import RankingClassifier
from askew.errors import DataError, FitError, LabelWarning, MethodError, ModelFileError
from askew.known import Known, fingerprint
from askew.labels import Label, Labels, Reading, read_labels
from askew.rankers import Blend, Ranker
from askew.ranking import COLUMNS, order_of, reason_columns, shared_ranks, with_columns
from askew.strategies import Pool, choose, explain, random_order
from askew.table import Opened, array_frame, open_frame, row_keys
from askew.table.encode import encode
from askew.table.schema import Schema, check_columns, infer_schema
from askew.threshold import (
    Calibration,
    Evidence,
    Threshold,
    asked_for,
    by_alerts,
    default_cut,
    held_out,
)

GRID = np.linspace(0, 1, 1001)
EXPLAINED = 1000  # rows that rank() explains unless told otherwise
KEPT = 10_000  # highest training scores that a model keeps: alerts are then set without the table


@dataclass(frozen=True)
class Prepared:
    """A table, encoded once for many fits.

    Parameters
    ----------
    table
        What was opened.
    schema
        What was decided of its columns.
    x
        (n, d) float32, read-only.
    fingerprint
        Of ``x``.
    """

    table: Opened
    schema: Schema
    x: NDArray[np.float32]
    fingerprint: str


def _calibrated(model: Askew) -> bool:
    if getattr(model, "calibration_", None) is None:
        raise AttributeError(
            "this model gives no probabilities yet; call calibrate(X) with the table that it was "
            "fitted on, once ten rows of each kind are judged"
        )
    return True


class Askew(RankingClassifier, BaseEstimator):  # type: ignore[misc]
    r"""Rank the rows of a table by how much they stand out, learning from verdicts on some.

    Takes numbers, categories, dates, text and blanks as they are. Labels are 1 anomaly, 0 normal,
    missing not looked at (see ``askew.labels.read_labels``); none at all works too. Scores are
    higher for what is more anomalous.

    Parameters
    ----------
    ranker
        What ranks the encoded rows: an estimator with ``fit(X, y)`` and ``decision_function``, as
        those of ``askew.rankers`` and ``askew.deep.Detector``; ``rankers.Blend()`` where None.
    id_column
        The column that names the rows. Without it a pandas index does, else the row's number.
    kinds
        Columns whose kind you know better than ``askew.table.schema.infer_schema``: a mapping to
        ``number``, ``category``, ``date``, ``text``, ``identifier`` or ``ignore``.
    contamination
        Where ``predict`` cuts: the share of training rows called anomalous, in (0, 0.5], or
        ``"auto"`` (see ``askew.threshold.default_cut``).
    random_state
        Decides every draw.

    Attributes
    ----------
    schema_
        What was decided of each column; ``print(*model.schema_.describe(), sep="\n")``.
    labels_
        How the verdicts were read; ``print(model.labels_)``.
    ranker_
        The fitted ranker.
    verdicts_
        {row key: 1 or 0} of the rows that were judged.
    threshold_
        Where ``predict`` cuts and what that rests on; ``print(model.threshold_.describe())``.
    calibration_
        From scores to probabilities, by ``calibrate``; None before it.
    id_, parent_
        Twelve letters that name this model, and the one it was refitted from, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> from askew import Askew
    >>> table = pd.DataFrame({"amount": [12.0, 15, 11, 14, 13, 900], "day": list("abcabc")})
    >>> model = Askew(random_state=0).fit(table, pd.Series({5: "anomaly", 0: "normal"}))
    >>> int(model.rank(table).index[0])
    5
    """

    def __init__(
        self,
        ranker: Any = None,
        *,
        id_column: str | None = None,
        kinds: Mapping[str, str] | None = None,
        contamination: float | Literal["auto"] = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.ranker = ranker
        self.id_column = id_column
        self.kinds = kinds
        self.contamination = contamination
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is usual in a table, and what the verdicts say is not.

        Parameters
        ----------
        X
            (n, d): a pandas or polars DataFrame, a pyarrow Table, or an array of numbers; two
            rows at least.
        y
            Verdicts: (n,) in the table's order, or by key as a pandas Series or a mapping.

        Raises
        ------
        DataError
            A table or verdicts that cannot be used; the message says where and what to do.
        """
        table = self._open(X, reset=True)
        labels = read_labels(y, n_rows=len(table.frame), keys=table.keys)
        return self._fit(table, labels, parent=None)

    def refit(self, X: Any, verdicts: Mapping[Hashable, Any]) -> Askew:
        """Fit anew on a table, with the verdicts so far and some more.

        The new model cuts by default and gives no probabilities, as its scores have another
        scale: call ``set_threshold`` and ``calibrate`` on it.

        Parameters
        ----------
        X
            The table; its columns are those of the fit.
        verdicts
            {row key: verdict}; a later verdict on a row replaces the earlier one. Keys are those
            of the id column or the pandas index, or row numbers where there is neither.

        Returns
        -------
        Askew
            A new model; this one stays as it is and is its parent.

        Raises
        ------
        LabelError
            A key that no row has.
        DataError
            The rows are known by number only, and this is another table than the one fitted.
        """
        check_is_fitted(self)
        model = clone(self)
        table = model._open(X, reset=True)
        check_columns(self.schema_, table.columns)
        known = self._known.on(table, encode(self.schema_, table.columns), must=True)
        both = dict(known) | dict(verdicts)
        keys = table.keys if table.keys is not None else list(range(len(table.frame)))
        labels = read_labels(both, n_rows=len(table.frame), keys=keys, column=self.labels_.column)
        refitted: Askew = model._fit(table, labels, parent=self.id_)
        return refitted

    def prepare(self, X: Any) -> Prepared:
        """Open and encode a table for ``learn``, which may then be called again and again."""
        return self._prepare(self._open(X, reset=True))

    def learn(self, prepared: Prepared, labels: Labels, *, before: Askew | None = None) -> Askew:
        """Fit a new model on a prepared table, one verdict after another without delay.

        It equals what ``fit`` makes of the same rows and verdicts. This model stays as it is.

        Parameters
        ----------
        prepared
            By ``prepare``.
        labels
            Of its rows (see ``askew.labels.read_labels``).
        before
            The model before it, which becomes its parent; what no verdict touches is kept of it.
        """
        model = clone(self)
        learned: Askew = model._learn(
            prepared, labels, before and before.id_, before and before.ranker_
        )
        return learned

    def score_prepared(self, prepared: Prepared) -> NDArray[np.float64]:
        """Give what ``decision_function`` gives for the rows of a prepared table."""
        return self.score_encoded(prepared.x)

    def members_prepared(self, prepared: Prepared) -> NDArray[np.float64] | None:
        """Score the rows of a prepared table by each of the ranker's members.

        Returns
        -------
        (n, members), on one scale, or None where there are not several.
        """
        return self._members(prepared.x)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n,): higher is more anomalous, above 0 is called an anomaly."""
        check_is_fitted(self)
        return self.score_encoded(encode(self.schema_, self._open(X).columns))

    def score_parts(self, parts: Iterable[Any]) -> Iterator[NDArray[np.float64]]:
        """Score a table of any length, part after part, in the memory that one part takes.

        A row's score is what ``decision_function`` gives it among all the others.

        Parameters
        ----------
        parts
            Tables as ``decision_function`` takes them, each of one row at least, such as
            ``askew.table.read_parts`` reads from a file.

        Yields
        ------
        (rows of the part,)

        Raises
        ------
        DataError
            As ``decision_function``, once the part is asked for. Ids that stand there more than
            once are found only within a part.
        """
        check_is_fitted(self)
        n_before = 0
        for part in parts:
            try:
                scores = self.decision_function(part)
            except DataError as error:
                if not n_before:
                    raise
                said = f"counted from 1 after the first {n_before:,} rows, {error}"
                raise type(error)(said) from error
            yield scores
            n_before += len(scores)

    def rank(
        self,
        X: Any,
        *,
        verdicts: Any = None,
        explained: int | None = EXPLAINED,
        sort: bool = True,
    ) -> Any:
        """Rank a table's rows and say why.

        Parameters
        ----------
        X
            The table of the fit, or a later one with the same columns.
        verdicts
            To show beside the rows; where None, those of the fit, on the rows that are the same.
        explained
            Rows that get reasons, from the top; None for all. Reasons cost as much as scoring the
            row once for each column.
        sort
            Whether the most anomalous row comes first; otherwise the table's order is kept.

        Returns
        -------
        DataFrame or Table
            Of the kind given (a pyarrow Table for an array), pandas' index kept: the table's
            columns, then ``askew_score`` (above 0: called an anomaly), ``askew_percentile``
            (share of the training rows that score lower, 0 to 100), ``askew_rank`` (1 is the most
            anomalous; equal scores share a rank), ``askew_reason_1`` to ``_3`` and
            ``askew_verdict`` (anomaly, normal, unsure or missing).
        """
        check_is_fitted(self)
        table = self._open(X)
        x = encode(self.schema_, table.columns)
        scores = self.score_encoded(x)
        order = order_of(scores, x)
        rank = np.empty(len(scores), np.int64)
        rank[order] = shared_ranks(scores[order])
        said: list[list[str]] = [[] for _ in range(len(x))]
        first = order[:explained]
        worded = self._worded(table.columns[first.tolist()], x[first])
        for row, why in zip(first, worded, strict=True):
            said[row] = why
        values: dict[str, Any] = {
            "askew_score": scores,
            "askew_percentile": self.percentile_of(scores),
            "askew_rank": rank,
            "askew_verdict": self._shown_verdicts(table, x, verdicts),
            **reason_columns(said),
        }
        return with_columns(
            table.frame, {name: values[name] for name in COLUMNS}, order if sort else None
        )

    def next(self, X: Any, n: int = 10, *, strategy: str = "mixed") -> Any:
        """Give the rows whose verdict helps most, best first.

        Each call chooses anew. For judging with others, undo and honest estimates of what
        remains see ``askew.review.session.Session``, which keeps what was asked.

        Parameters
        ----------
        X
            The table of the fit, or a later one with the same columns.
        n
            How many, 1 or more; fewer come where fewer are not judged.
        strategy
            A name in ``askew.strategies.STRATEGIES``.

        Returns
        -------
        DataFrame or Table
            Of the kind given (a pyarrow Table for an array), pandas' index kept: the rows as they
            are, then ``askew_score``, ``askew_rank`` (among the rows of X), ``askew_asked`` (why
            it is asked) and ``askew_reason_1`` to ``_3`` (why it stands out).

        Raises
        ------
        MethodError
            ``n`` is below 1, or there is no such strategy.
        """
        check_is_fitted(self)
        table = self._open(X)
        x = encode(self.schema_, table.columns)
        scores, label = self.score_encoded(x), self._known.labels(table, x)
        seed = self.random_state if isinstance(self.random_state, int | np.integer) else 0
        pool = Pool(
            scores=scores,
            members=self._members(x),
            label=label,
            x=x,
            cut=0.0,
            order=random_order(table.names(), int(seed)),
            passed=np.zeros(len(x), np.bool_),
            asked=int((label != Label.UNLABELED).sum()),
        )
        generator = np.random.default_rng([int(seed), pool.asked])
        picks = choose(pool, n, strategy=strategy, generator=generator)
        rows = [pick.row for pick in picks]
        said = self._worded(table.columns[rows], x[rows]) if rows else []
        values: dict[str, Any] = {
            "askew_score": scores[rows],
            "askew_rank": [1 + int((scores > scores[row]).sum()) for row in rows],
            "askew_asked": [explain(pool, pick) for pick in picks],
            **reason_columns(said),
        }
        return with_columns(table.frame[rows], values, None)

    def explain(self, X: Any, *, top: int = 3) -> list[list[reasons.Reason]]:
        """Say for each row of (n, d) which columns make it stand out, the strongest first."""
        check_is_fitted(self)
        table = self._open(X)
        return self.explain_encoded(table.columns, encode(self.schema_, table.columns), top=top)

    def score_encoded(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give what ``decision_function`` gives for encoded rows (n, n_features) -> (n,)."""
        known: NDArray[np.float64] | None = getattr(self, "_scores", None)
        if known is not None and len(known) == len(x) and fingerprint(x) == self.fingerprint_:
            return known - self.offset_
        scores: NDArray[np.float64] = self.ranker_.decision_function(x) - self.offset_
        return scores

    def percentile_of(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the share of the training rows that score lower (n,) -> (n,), 0 to 100."""
        return 100 * np.interp(scores + self.offset_, self.quantiles_, GRID)

    def explain_encoded(
        self, columns: nw.DataFrame[Any], x: NDArray[np.float32], *, top: int = 3
    ) -> list[list[reasons.Reason]]:
        """Give what ``explain`` gives for rows that are encoded already.

        Parameters
        ----------
        columns
            The rows, (n, d): the columns of the fit in their order.
        x
            The same encoded, (n, n_features).
        top
            Reasons a row, at the most.
        """
        if columns.columns != list(self.schema_.names):  # an array, matched by position
            columns = columns.rename(dict(zip(columns.columns, self.schema_.names, strict=True)))
        return reasons.explain(self.score_encoded, self.schema_, columns, x, top=top)

    def set_threshold(
        self,
        X: Any = None,
        verdicts: Any = None,
        *,
        alerts: int | None = None,
        precision: float | None = None,
        fdr: float | None = None,
    ) -> Self:
        """Cut in units of your own: ``decision_function`` and ``predict`` follow.

        Precision and false discovery rate rest on verdicts held out: the ranker is fitted five
        times more, each time with a fifth of the verdicts hidden, which then are what it has not
        seen. Verdicts that this model was not fitted on are held out as they are.

        Parameters
        ----------
        X
            The table of the fit, or another one with new verdicts alone. ``alerts`` does without;
            given one, its rows are counted, and the precision is told where verdicts allow.
        verdicts
            To be added to those of the fit, as ``fit`` takes them; a later one on a row counts.
        alerts
            Rows that can be looked at, 1 or more: no more of them than these are called
            anomalies; fewer where scores tie.
        precision
            Least share of anomalies among the rows called so, in (0, 1): the lower end of its
            interval, not only the estimate.
        fdr
            Highest share of normal rows among the rows called anomalies, in (0, 1), on average
            over tables. It holds of the rows of X that nobody has judged; for later rows see
            ``threshold_on``.

        Returns
        -------
        Askew
            This model; ``threshold_`` says what the cut rests on. A refused call changes nothing.

        Raises
        ------
        ThresholdError
            The verdicts don't carry it; ``n_needed`` says how many more at least.
        MethodError
            Not one of the three is given, it is out of its range, or the table is missing.
        DataError
            X is not the table that the verdicts of the fit are about.
        """
        check_is_fitted(self)
        kind, asked = asked_for(alerts, precision, fdr)
        if X is not None:
            evidence = self._evidence(X, verdicts, must=kind != "alerts")
            self.threshold_ = evidence.threshold(kind, asked)
        elif kind == "alerts" and len(self.top_scores_):
            self.threshold_ = by_alerts(self.top_scores_, asked, self.schema_.n_rows)
        else:
            why = (
                "this model was saved by an Askew that did not keep its highest scores"
                if kind == "alerts"
                else f"{kind} rests on scores of judged rows by models that are fitted without them"
            )
            raise MethodError(
                f"{why}; give the table: set_threshold(table, {kind}=...) in Python, --table on "
                "the command line"
            )
        self.offset_ = self.threshold_.cut
        return self

    def threshold_on(self, scores: NDArray[np.floating]) -> Threshold:
        """Tell the threshold again of another table's rows.

        Parameters
        ----------
        scores
            (n,) as ``decision_function`` or ``rank`` give them.

        Returns
        -------
        Threshold
            On the scale of those scores: its cut is 0, but for a false discovery rate, which
            holds of the rows it is told of, so that its cut moves with them.

        Raises
        ------
        ThresholdError
            No row can be called at the false discovery rate asked for.
        """
        check_is_fitted(self)
        normal = tuple(score - self.offset_ for score in self.threshold_.calibration)
        return replace(self.threshold_, cut=0.0, calibration=normal).on(scores)

    def calibrate(self, X: Any, verdicts: Any = None) -> Self:
        """Fit probabilities to verdicts held out; then there is ``predict_proba``.

        Parameters
        ----------
        X, verdicts
            As ``set_threshold`` takes them.

        Raises
        ------
        ThresholdError
            Fewer than ten verdicts of a kind, or held-out scores that don't rise with them.
        DataError
            X is not the table that the verdicts of the fit are about.
        """
        check_is_fitted(self)
        evidence = self._evidence(X, verdicts, must=True)
        self.calibration_: Calibration | None = evidence.calibrate()
        return self

    @available_if(_calibrated)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give (n, 2): the probabilities of normal and of anomaly; only once calibrated.

        Of a row that was judged before the fit it says too much, as the model knows its verdict.
        """
        assert self.calibration_ is not None
        p = self.calibration_(self.decision_function(X) + self.offset_)
        return np.stack([1 - p, p], axis=1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; ``askew.load`` reads it.

        Rows of the table are in it, as numbers and without their names, where the ranker measures
        how near they are: of the default's, up to 3,000 of a kind once an anomaly or a normal is
        known; of an ``ActiveBlend``'s, the judged ones.
        """
        check_is_fitted(self)
        persist.save(self, path)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _keys(self, X: Any) -> list[Hashable] | None:
        return row_keys(X, self.id_column)

    def get_state(self) -> dict[str, Any]:
        """Give everything learned, as plain values and arrays."""
        check_is_fitted(self)
        return {
            "schema": self.schema_.to_json(),
            "ranker": self.ranker_,
            "quantiles": self.quantiles_,
            "offset": self.offset_,
            "top_scores": self.top_scores_,
            "threshold": self.threshold_.to_json(),
            "calibration": self.calibration_ and self.calibration_.to_json(),
            "labels": self.labels_.to_json(),
            "verdicts": [list(self.verdicts_), list(self.verdicts_.values())],
            "keys_named": self.keys_named_,
            "fingerprint": self.fingerprint_,
            "id": self.id_,
            "parent": self.parent_,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``get_state`` gave.

        Raises
        ------
        ModelFileError
            The state is not one of ``Askew``.
        """
        self.schema_ = Schema.from_json(state["schema"])
        self.ranker_ = state["ranker"]
        if not hasattr(self.ranker_, "decision_function"):
            raise ModelFileError("the model's ranker is none")
        self.quantiles_ = np.asarray(state["quantiles"], np.float64)
        if self.quantiles_.shape != GRID.shape:
            raise ModelFileError("the score quantiles of the model have another length")
        self.offset_ = float(state["offset"])
        self._set_cut(state)
        self.labels_ = Reading.from_json(state["labels"])
        self.verdicts_ = dict(zip(*state["verdicts"], strict=True))
        self.keys_named_ = bool(state["keys_named"])
        self.fingerprint_, self.id_, self.parent_ = (
            state[name] for name in ("fingerprint", "id", "parent")
        )
        self._set_columns()

    def _set_cut(self, state: dict[str, Any]) -> None:
        """Take up threshold and probabilities; a file of before they were kept has none of them."""
        n_rows = self.schema_.n_rows
        self.top_scores_ = np.asarray(state.get("top_scores", ()), np.float64)
        if "threshold" in state:
            self.threshold_ = Threshold.from_json(state["threshold"])
        else:
            above = 1 - float(np.interp(self.offset_, self.quantiles_, GRID))
            self.threshold_ = Threshold(
                "default", None, self.offset_, n_rows, round(above * n_rows)
            )
        kept = state.get("calibration")
        self.calibration_ = None if kept is None else Calibration.from_json(kept)
        falling = self.top_scores_.ndim == 1 and (np.diff(self.top_scores_) <= 0).all()
        if not falling or len(self.top_scores_) not in (0, min(n_rows, KEPT)):
            raise ModelFileError("the highest scores of the model are not as they were written")
        if self.threshold_.cut != self.offset_:
            raise ModelFileError("the model's threshold is damaged at cut; set it again")

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _known(self) -> Known:
        return Known(self.verdicts_, self.keys_named_, self.fingerprint_)

    def _open(self, X: Any, *, reset: bool = False) -> Opened:
        """Open a table, check its columns against those of the fit unless this is one."""
        if not nw.dependencies.is_into_dataframe(nw.to_native(X, pass_through=True)):
            return self._open_array(X, reset)
        table = open_frame(X, self.id_column)
        if not reset:
            check_columns(self.schema_, table.columns)
        return table

    def _open_array(self, X: Any, reset: bool) -> Opened:
        # Not finite: the schema says which cell it is.
        X = check_array(
            X, dtype=None, ensure_all_finite=False, ensure_min_samples=2 if reset else 1
        )
        validate_data(self, X, skip_check_array=True, reset=reset)
        frame = array_frame(X)
        if not reset and not self.schema_.from_array:
            frame = frame.rename(dict(zip(frame.columns, self.schema_.names, strict=True)))
        return Opened(frame, frame, None, named=False, from_array=True)

    def _fit(self, table: Opened, labels: Labels, parent: str | None) -> Self:
        labels.check_trainable()
        return self._learn(self._prepare(table), labels, parent)

    def _prepare(self, table: Opened) -> Prepared:
        schema = infer_schema(table.columns, kinds=self.kinds, from_array=table.from_array)
        x = encode(schema, table.columns)
        x.flags.writeable = False
        return Prepared(table, schema, x, fingerprint(x))

    def _new_ranker(self) -> Any:
        if self.ranker is not None:
            return clone(self.ranker)
        seed = self.random_state
        if not isinstance(seed, int | np.integer | None):
            seed = int(check_random_state(seed).randint(2**31))
        return Blend(random_state=seed)

    def _learn(
        self, prepared: Prepared, labels: Labels, parent: str | None, before: Any = None
    ) -> Self:
        table, x = prepared.table, prepared.x
        self.schema_ = prepared.schema
        with warnings.catch_warnings():
            # What the verdicts may mean was told when they were read; a ranker would tell again.
            warnings.simplefilter("ignore", LabelWarning)
            if isinstance(before, Ranker):
                self.ranker_ = before.relearn(x, labels.values)
            else:
                self.ranker_ = self._new_ranker().fit(x, _unmistakable(labels.values))
        scores = np.asarray(self.ranker_.decision_function(x), np.float64)
        self._scores = scores  # so that ranking the table of the fit need not score it again
        self.quantiles_ = np.quantile(scores, GRID)
        self.offset_ = default_cut(scores, labels.values, self.contamination)
        told = Threshold("default", None, self.offset_, len(scores), 0)
        self.threshold_, self.calibration_ = told.on(scores), None
        n_kept = min(len(scores), KEPT)
        self.top_scores_ = np.sort(np.partition(scores, -n_kept)[-n_kept:])[::-1]
        self.labels_ = labels.reading
        self.keys_named_ = table.named
        self.fingerprint_ = prepared.fingerprint
        judged = np.flatnonzero(labels.values != Label.UNLABELED).tolist()
        self.verdicts_ = {
            (row if table.keys is None else table.keys[row]): int(labels.values[row])
            for row in judged
        }
        self.parent_ = parent
        self._set_columns()
        self.id_ = persist.fingerprint(
            {"rows": self.fingerprint_, "labels": labels.values, "scores": self.quantiles_}
        )
        return self

    def _set_columns(self) -> None:
        self.classes_ = np.array([Label.NORMAL, Label.ANOMALY], dtype=np.int64)
        self.n_features_in_ = len(self.schema_.columns)
        if not self.schema_.from_array:
            self.feature_names_in_ = np.array(self.schema_.names, dtype=object)

    def _members(self, x: NDArray[np.float32]) -> NDArray[np.float64] | None:
        members = getattr(self.ranker_, "member_scores", None)
        several: NDArray[np.float64] | None = None if members is None else members(x)
        return None if several is None or several.shape[1] < 2 else several

    def _evidence(self, X: Any, verdicts: Any, *, must: bool) -> Evidence:
        """Score a table's rows, the judged ones by models that have not seen their verdicts.

        Where that is not possible there is no verdict to be told of, unless there ``must`` be.
        """
        table = self._open(X)
        x = encode(self.schema_, table.columns)
        x.flags.writeable = False
        scores = np.asarray(self.ranker_.decision_function(x), np.float64)
        given = read_labels(verdicts, n_rows=len(x), keys=table.keys)
        try:
            learned = self._known.all_labels(table, x)
            judged = np.flatnonzero(learned != Label.UNLABELED).tolist()
            keys = table.names(judged)
            held = held_out(scores, learned, keys, lambda label: self._scored_anew(x, label))
        except (DataError, FitError):
            if must:
                raise
            return Evidence(scores, scores, np.full(len(x), Label.UNLABELED, np.int8))
        label = np.where(given.values == Label.UNLABELED, learned, given.values)
        return Evidence(scores, held, np.where(given.unsure, Label.UNLABELED, label))

    def _scored_anew(self, x: NDArray[np.float32], label: NDArray[np.int8]) -> NDArray[np.float64]:
        """Score the rows (n, d) by another fit of the ranker, on other labels."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LabelWarning)
            if isinstance(self.ranker_, Ranker) and not self.ranker_.needs_anomalies:
                ranker = self.ranker_.relearn(x, label)
            else:
                ranker = clone(self.ranker_).fit(x, _unmistakable(label))
        scores: NDArray[np.float64] = ranker.decision_function(x)
        return scores

    def _worded(self, columns: nw.DataFrame[Any], x: NDArray[np.float32]) -> list[list[str]]:
        """Give rows' reasons in words."""
        return [[reason.text for reason in why] for why in self.explain_encoded(columns, x)]

    def _shown_verdicts(self, table: Opened, x: NDArray[np.float32], verdicts: Any) -> Any:
        if verdicts is None:
            return Labels(self._known.labels(table, x), np.zeros(len(x), np.bool_)).words()
        return read_labels(verdicts, n_rows=len(x), keys=table.keys).words()


def _unmistakable(label: NDArray[np.int8]) -> NDArray[np.float64] | None:
    """Say "not looked at" as NaN: whole numbers with many a 0 could be another convention's."""
    unknown = label == Label.UNLABELED
    return None if unknown.all() else np.where(unknown, np.nan, label.astype(np.float64))
