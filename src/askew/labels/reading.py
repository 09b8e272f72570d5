"""The reader: whatever verdicts come in, one int8 array of labels goes out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askew.errors import LabelError, LabelWarning, ModelFileError
from askew.labels.given import Given, as_list, is_missing, open_verdicts, some, tally, times

# Zeros that were meant as "not looked at" usually fill nearly the whole column, but a share of
# 90 % would stay silent on bank marketing, a table of everyday imbalance: 88 % of its rows are 0.
MOSTLY_ZERO = 0.8
# Few people judge more rows than this by hand, so a longer column that is fully judged is suspect.
MANY_ROWS = 1_000


class Label(IntEnum):
    """What is known of a row."""

    UNLABELED = -1
    NORMAL = 0
    ANOMALY = 1


@dataclass(frozen=True)
class Reading:
    """How verdicts were read: what a model keeps of them and tells.

    Parameters
    ----------
    n_anomaly, n_normal, n_unsure, n_unlabeled : int
        Rows judged anomalous, judged normal, looked at and left open, not looked at.
    column : str or None
        Where they were read from.
    zero_is_unlabeled : bool
        Whether 0, "false" and "no" were read as "not looked at".
    """

    n_anomaly: int
    n_normal: int
    n_unsure: int
    n_unlabeled: int
    column: str | None = None
    zero_is_unlabeled: bool = False

    def remark(self) -> str | None:
        """One sentence on what it means that only one kind is known, else None."""
        if self.n_anomaly and not self.n_normal:
            return "Only anomalies are known: rows not looked at are taken as mostly normal."
        if self.n_normal and not self.n_anomaly:
            return (
                "Only normal rows are known: rows are ranked by their distance from them, "
                "and nothing is known of what an anomaly looks like."
            )
        return None

    def to_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Reading:
        """Read what `to_json` wrote.

        Raises
        ------
        ModelFileError
            It is something else.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or set(data) != names:
            raise ModelFileError("the reading of the labels is damaged; fit again")
        return cls(**data)

    def __str__(self) -> str:
        unsure = f", {self.n_unsure:,} unsure" if self.n_unsure else ""
        column = "" if self.column is None else f' (column "{self.column}")'
        if not self.n_anomaly and not self.n_normal:
            return f"Labels: none{unsure}; ranks without verdicts{column}"
        known = f"{self.n_anomaly:,} anomaly, {self.n_normal:,} normal"
        return f"Labels: {known}{unsure}, {self.n_unlabeled:,} not looked at{column}"


@dataclass(frozen=True, eq=False)
class Labels:
    """Verdicts as they were read, one per row of the table.

    Parameters
    ----------
    values : (n,) int8 array of `Label` codes
    unsure : (n,) bool array
        Which rows are judged "unsure". They are stored and shown and never train: their value
        is -1.
    column : str or None
        Where they were read from.
    zero_is_unlabeled : bool
        Whether 0, "false" and "no" were read as "not looked at".

    Examples
    --------
    >>> print(read_labels([1, 0, -1, -1], n_rows=4, column="verdict"))
    Labels: 1 anomaly, 1 normal, 2 not looked at (column "verdict")
    """

    values: NDArray[np.int8]
    unsure: NDArray[np.bool_]
    column: str | None = None
    zero_is_unlabeled: bool = False

    @cached_property
    def reading(self) -> Reading:
        """How many of each kind, and from where."""
        anomaly, normal = (
            int(np.count_nonzero(self.values == kind)) for kind in (Label.ANOMALY, Label.NORMAL)
        )
        unsure = int(np.count_nonzero(self.unsure))
        rest = len(self.values) - anomaly - normal - unsure
        return Reading(anomaly, normal, unsure, rest, self.column, self.zero_is_unlabeled)

    def words(self) -> list[str | None]:
        """Say each row's verdict: anomaly, normal, unsure, or None."""
        said: list[str | None] = [_SAYS[code] for code in self.values.tolist()]
        for row in np.flatnonzero(self.unsure):
            said[row] = "unsure"
        return said

    def check_trainable(self) -> None:
        """Raise ``LabelError`` where nothing is left that an anomaly could differ from."""
        if self.reading.n_anomaly == len(self.values):
            raise LabelError(
                f"all {len(self.values):,} rows are labelled anomaly, a single class: there is "
                "nothing to tell them from. Label some rows normal, or add rows not looked at."
            )

    def __str__(self) -> str:
        return str(self.reading)


_SAYS: dict[int, str | None] = {
    Label.UNLABELED: None,
    Label.NORMAL: "normal",
    Label.ANOMALY: "anomaly",
}


def read_labels(
    y: Any,
    *,
    n_rows: int,
    keys: Sequence[Hashable] | NDArray[Any] | None = None,
    column: str | None = None,
    zero_is_unlabeled: bool = False,
) -> Labels:
    """Read verdicts, whatever they come in, as one int8 array.

    In a pandas, polars or pyarrow column, a mapping, text and objects, missing (None, NaN, NaT,
    NA, blank) is not looked at; anomaly/normal, true/false, yes/no, 1/0, 1.0/0.0 and "unsure"
    are read in any case; -1 is refused. In an array or a list of numbers -1 is not looked at,
    unless it holds NaN: then NaN is, and -1 is refused.

    Parameters
    ----------
    y : None, Labels, list, array, Series, pyarrow array, frame of one column, or mapping
        None is "no verdicts". A pandas Series and a mapping {key: verdict} are matched with the
        table by key, and rows they do not name are not looked at; all others are read in order
        and have ``n_rows`` entries.
    n_rows : int
        Rows of the table.
    keys : (n_rows,) keys of the table's rows, or None
        A pandas index or an id column. With None, mappings name rows by number, and so does a
        pandas Series unless its index is the default one, which is read in order.
    column : str or None
        Name of the column, for messages; the name of a Series or frame column if not given.
    zero_is_unlabeled : bool, default=False
        Read 0, "false" and "no" as "not looked at". The word "normal" stays normal: who writes it
        has looked.

    Returns
    -------
    Labels

    Raises
    ------
    LabelError
        For a value that is no verdict or has two readings, a key that no row has or that stands
        twice, a wrong length or shape.

    Warns
    -----
    LabelWarning
        If every one of more than 1,000 rows is judged and over 80 % are 0; if an array of
        integers holds two neighbors such as 1 and 2, of which the greater is then taken for
        the anomaly, as scikit-learn's classifiers take it.
    """
    if isinstance(y, Labels):
        _check_length(len(y.values), n_rows, "y")
        return y
    if y is None:
        nothing = np.full(n_rows, Label.UNLABELED, np.int8)
        return Labels(nothing, np.zeros(n_rows, np.bool_), column, zero_is_unlabeled)
    given = open_verdicts(y)
    if keys is None and given.in_order:
        given = replace(given, ids=None)
    column = given.name if column is None else column
    place = "y" if column is None else f'column "{column}"'
    row_keys = None if keys is None else as_list(keys)
    rows = _rows(given, n_rows, row_keys, place)
    raw = _codes(_two_classes(given, place))
    _refuse(raw, given.values, row_keys if given.ids is None else given.ids, place)
    if given.is_numeric:
        _refuse_other_codes(given.values, place, zero_is_unlabeled)

    zeros = int(np.count_nonzero(raw == _ZERO))
    unsure = np.zeros(n_rows, np.bool_)
    unsure[rows] = raw == _UNSURE
    raw[raw == _ZERO] = Label.UNLABELED if zero_is_unlabeled else Label.NORMAL
    raw[raw == _UNSURE] = Label.UNLABELED
    values = np.full(n_rows, Label.UNLABELED, np.int8)
    values[rows] = raw
    labels = Labels(values, unsure, column, zero_is_unlabeled)
    if n_rows > MANY_ROWS and Label.UNLABELED not in values and zeros > MOSTLY_ZERO * n_rows:
        told = labels.reading
        warnings.warn(
            f"{place}: all {n_rows:,} rows are taken as judged, {told.n_anomaly:,} anomaly and "
            f'{told.n_normal:,} normal ({zeros / n_rows:.0%} are 0). If 0 means "not looked at", '
            "say so: labels_from_positives(y) in Python, --zero-unlabeled on the command line.",
            LabelWarning,
            stacklevel=2,
        )
    return labels


def _rows(
    given: Given, n_rows: int, keys: list[Hashable] | None, place: str
) -> NDArray[np.intp] | slice:
    """Return the row of the table that each verdict belongs to."""
    if keys is not None and len(keys) != n_rows:
        raise LabelError(f"the table has {n_rows:,} rows and {len(keys):,} keys; one each is due.")
    if given.ids is None:
        _check_length(len(given.values), n_rows, place)
        return slice(None)
    keys = list(range(n_rows)) if keys is None else keys
    row = {key: number for number, key in enumerate(keys)}
    _refuse_repeated(given.ids, f"{place} holds more than one verdict for an id", "keep one each")
    absent = [key for key in given.ids if key not in row]
    if absent:
        types = sorted({type(key).__name__ for key in (*absent, *keys[:1])})
        hint = f" The ids are of different types ({' and '.join(types)})." if len(types) > 1 else ""
        raise LabelError(
            f"{place} holds a label for an id that is not there: {some(absent)} "
            f"({len(absent):,} of {len(given.ids):,}).{hint} The index of a Series and the keys of "
            "a mapping are matched with the table's ids: use those, or pass the values of the "
            "Series alone (y.to_numpy()) if they stand in the table's order."
        )
    if len(row) < n_rows:
        wanted = set(given.ids)
        _refuse_repeated(
            [key for key in keys if key in wanted],
            f"{place} holds a verdict for an id that several rows of the table have",
            "give the table an id column without repeats",
        )
    return np.fromiter((row[key] for key in given.ids), np.intp, len(given.ids))


def _check_length(found: int, n_rows: int, place: str) -> None:
    if found != n_rows:
        raise LabelError(
            f"{place} holds {found:,} verdicts and the table has {n_rows:,} rows; "
            "give one for each row, or a mapping {row key: verdict} for some."
        )


def _refuse_repeated(ids: list[Hashable], found: str, remedy: str) -> None:
    if len(set(ids)) < len(ids):
        repeated = [key for key, times in Counter(ids).items() if times > 1]
        raise LabelError(f"{found}: {some(repeated)}; {remedy}.")


# Besides the codes of Label, what a value can turn out to be before the whole column is known.
_ZERO, _UNSURE, _MINUS_ONE, _NO_VERDICT = 2, 3, 4, 5

_WORDS = (
    dict.fromkeys(("anomaly", "true", "yes", "1", "1.0"), int(Label.ANOMALY))
    | {"normal": int(Label.NORMAL), "unsure": _UNSURE}
    | dict.fromkeys(("false", "no", "0", "0.0", "-0.0"), _ZERO)
    | dict.fromkeys(("-1", "-1.0"), _MINUS_ONE)
)


def _code(value: Any) -> int:
    if is_missing(value):
        return Label.UNLABELED
    return _WORDS.get(str(value).strip().lower(), _NO_VERDICT)


def _codes(values: NDArray[Any]) -> NDArray[np.int8]:
    """Return what each value says; -1 in an array of numbers without NaN is `UNLABELED`."""
    if values.dtype.kind not in "biuf":
        return np.fromiter(map(_code, values), np.int8, len(values))
    raw = np.full(len(values), _NO_VERDICT, np.int8)
    missing = np.isnan(values)
    raw[missing] = Label.UNLABELED
    raw[values == 1] = Label.ANOMALY
    raw[values == 0] = _ZERO
    raw[values == -1] = _MINUS_ONE if missing.any() else Label.UNLABELED
    return raw


def _two_classes(given: Given, place: str) -> NDArray[Any]:
    """Turn two neighboring integers (1 and 2) into 0 and 1, with a warning; leave all else."""
    values = given.values
    dtype = values.dtype if given.pandas is None else given.pandas.dtype
    if not isinstance(dtype, np.dtype) or dtype.kind not in "iu":
        return values
    kinds = np.unique(values)
    if len(kinds) != 2 or kinds[0] + 1 != kinds[1] or kinds[0] in (-2, -1, 0):
        return values
    warnings.warn(
        f"{place} holds the integers {kinds[0]} and {kinds[1]}: {kinds[1]} is taken for anomaly "
        f"and {kinds[0]} for normal, as scikit-learn's classifiers take them. Write 1 and 0 to "
        "say so yourself, or 0 and 1 the other way round.",
        LabelWarning,
        stacklevel=3,
    )
    codes: NDArray[np.int8] = (values == kinds[1]).astype(np.int8)
    return codes


def _refuse(
    raw: NDArray[np.int8], values: NDArray[Any], ids: list[Hashable] | None, place: str
) -> None:
    """Refuse values that are no verdict, or that have two readings."""
    if (raw == _MINUS_ONE).any():
        raise LabelError(
            f"{place} holds {tally(values, raw == _MINUS_ONE, ids)}, which has two readings. If "
            'it means "not looked at", leave those cells blank (NaN in Python). If it means '
            '"anomaly", as in scikit-learn\'s outlier detectors, write the words anomaly and '
            "normal, or convert with askew.labels.labels_from_outlier(y)."
        )
    strange = raw == _NO_VERDICT
    if not strange.any():
        return
    found = f"{place} holds {tally(values, strange, ids)}, which Askew does not read"
    if values.dtype.kind in "biuf":
        # The last two sentences are those that scikit-learn's checks of estimators look for.
        raise LabelError(
            f"{found}: give 1 (anomaly), 0 (normal) and -1 or NaN (not looked at). Unknown label "
            "type: verdicts are of two kinds. Only binary classification is supported."
        )
    raise LabelError(
        f"{found}: write anomaly or normal, true or false, yes or no, 1 or 0, or unsure, and "
        "leave blank what was not looked at."
    )


def _refuse_other_codes(values: NDArray[Any], place: str, zero_is_unlabeled: bool) -> None:
    """Refuse an array of numbers that is most likely written in another tool's code."""
    if values.size and np.isnan(values).all():
        raise LabelError(
            f"{place} is an array of NaN alone, as a failed join leaves it; for no verdicts at all "
            "give y=None."
        )
    one, zero, minus = (int(np.count_nonzero(values == code)) for code in (1, 0, -1))
    unknown = f", 0 ({times(zero)})" if zero else ""
    counts = f"{place} holds -1 ({times(minus)}){unknown} and 1 ({times(one)})"
    really = (
        'If -1 does mean "not looked at" and 1 "anomaly", say so with NaN instead of -1: '
        "np.where(y == -1, np.nan, y)."
    )
    if minus and not zero and one > minus:
        raise LabelError(
            f"{counts}, as scikit-learn's outlier detectors write outlier and inlier: convert with "
            f"askew.labels.labels_from_outlier(y). {really}"
        )
    if minus and one and zero and (zero_is_unlabeled or 2 * zero > len(values)):
        raise LabelError(
            f"{counts}, as Deep SAD writes anomaly, unknown and normal: convert with "
            f"askew.labels.labels_from_deep_sad(y). {really}"
        )
