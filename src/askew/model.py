"""Askew: a table as it is, ranked with the help of a few verdicts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from askew import persist, reasons
from askew.classifier import RankingClassifier
from askew.errors import DataError, LabelWarning, ModelFileError
from askew.labels import Label, Labels, Reading, read_labels
from askew.rankers import Blend, Ranker
from askew.ranking import COLUMNS, order_of, shared_ranks, with_columns
from askew.table import array_frame, row_keys, to_frame
from askew.table.encode import encode
from askew.table.schema import Schema, check_columns, infer_schema
from askew.threshold import default_cut

GRID = np.linspace(0, 1, 1001)
EXPLAINED = 1000  # rows that rank() explains unless told otherwise


@dataclass(frozen=True)
class Opened:
    """A user's table, opened: its frame without the id column, and its rows' keys."""

    frame: nw.DataFrame[Any]  # as given, the id column included; what rank() gives back
    columns: nw.DataFrame[Any]  # what the schema sees
    keys: list[Hashable] | None
    named: bool  # whether keys were chosen by the user, and so mean the same in another table
    from_array: bool = False


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
        known = self._verdicts_on(table, encode(self.schema_, table.columns), must=True)
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
        return self._score(prepared.x)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n,): higher is more anomalous, above 0 is called an anomaly."""
        check_is_fitted(self)
        return self._score(encode(self.schema_, self._open(X).columns))

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
        scores = self._score(x)
        order = order_of(scores, x)
        rank = np.empty(len(scores), np.int64)
        rank[order] = shared_ranks(scores[order])
        said = self._said(table, x, order[:explained])
        new = dict.fromkeys(COLUMNS)
        values: dict[str, Any] = {
            "askew_score": scores,
            "askew_percentile": self._percentile(scores),
            "askew_rank": rank,
            "askew_verdict": self._shown_verdicts(table, x, verdicts),
        }
        for i in range(3):
            values[f"askew_reason_{i + 1}"] = [r[i] if len(r) > i else None for r in said]
        return with_columns(
            table.frame, {name: values[name] for name in new}, order if sort else None
        )

    def explain(self, X: Any, *, top: int = 3) -> list[list[reasons.Reason]]:
        """Say for each row of (n, d) which columns make it stand out, the strongest first."""
        check_is_fitted(self)
        table = self._open(X)
        return self._reasons(table.columns, encode(self.schema_, table.columns), top)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file; ``askew.load`` reads it. No row of the table is in it."""
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
        self.labels_ = Reading.from_json(state["labels"])
        self.verdicts_ = dict(zip(*state["verdicts"], strict=True))
        self.keys_named_ = bool(state["keys_named"])
        self.fingerprint_, self.id_, self.parent_ = (
            state[name] for name in ("fingerprint", "id", "parent")
        )
        self._set_columns()

    # -- inside ------------------------------------------------------------------------------------

    def _open(self, X: Any, *, reset: bool = False) -> Opened:
        """Open a table, check its columns against those of the fit unless this is one."""
        if not nw.dependencies.is_into_dataframe(nw.to_native(X, pass_through=True)):
            return self._open_array(X, reset)
        frame = to_frame(X)
        keys = self._keys(X)
        columns = frame if self.id_column is None else frame.drop(self.id_column)
        if not reset:
            check_columns(self.schema_, columns)
        named = self.id_column is not None or (
            keys is not None and type(frame.to_native().index).__name__ != "RangeIndex"
        )
        return Opened(frame, columns, keys, named)

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
        return Prepared(table, schema, x, _fingerprint(x))

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
                self.ranker_ = self._new_ranker().fit(x, labels.values)
        scores = self.ranker_.decision_function(x)
        self.quantiles_ = np.quantile(scores, GRID)
        self.offset_ = default_cut(scores, labels.values, self.contamination)
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

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self.ranker_.decision_function(x) - self.offset_
        return scores

    def _percentile(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 * np.interp(scores + self.offset_, self.quantiles_, GRID)

    def _reasons(
        self, frame: nw.DataFrame[Any], x: NDArray[np.float32], top: int = 3
    ) -> list[list[reasons.Reason]]:
        if frame.columns != list(self.schema_.names):  # an array, matched by position
            frame = frame.rename(dict(zip(frame.columns, self.schema_.names, strict=True)))
        return reasons.explain(self._score, self.schema_, frame, x, top=top)

    def _said(
        self, table: Opened, x: NDArray[np.float32], rows: NDArray[np.intp]
    ) -> list[list[str]]:
        """Word the reasons of some rows; the others have none."""
        said: list[list[str]] = [[] for _ in range(len(x))]
        found = self._reasons(table.columns[rows.tolist()], x[rows])
        for row, why in zip(rows, found, strict=True):
            said[row] = [reason.text for reason in why]
        return said

    def _shown_verdicts(self, table: Opened, x: NDArray[np.float32], verdicts: Any) -> Any:
        if verdicts is None:
            verdicts = dict(self._verdicts_on(table, x, must=False))
            keys = table.keys if table.keys is not None else range(len(x))
            at = [verdicts.get(key) for key in keys]
            return read_labels(at, n_rows=len(x)).words()
        return read_labels(verdicts, n_rows=len(x), keys=table.keys).words()

    def _verdicts_on(
        self, table: Opened, x: NDArray[np.float32], *, must: bool
    ) -> Mapping[Hashable, int]:
        """Give the verdicts of the fit where they speak of this table's rows.

        Keys that the user chose mean the same row anywhere; numbers only in the same table.
        """
        if self.keys_named_ and table.named:
            there = set(table.keys or ())
            return {key: label for key, label in self.verdicts_.items() if key in there}
        if not self.verdicts_ or _fingerprint(x) == self.fingerprint_:
            return self.verdicts_
        if must:
            raise DataError(
                f"the {len(self.verdicts_):,} verdicts of this model know their rows by number, "
                "and this is another table than the one it was fitted on; fit with id_column= or "
                "a pandas index that names the rows, or fit anew with all verdicts"
            )
        return {}


def _fingerprint(x: NDArray[np.float32]) -> str:
    return persist.fingerprint({"x": x})
