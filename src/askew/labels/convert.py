"""Converters from the codes of other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from askew.errors import LabelError
from askew.labels.given import is_missing, open_verdicts, tally


def labels_from_outlier(y: Any) -> Any:
    """Convert the code of scikit-learn's outlier detectors: 1 inlier, -1 outlier.

    Parameters
    ----------
    y : (n,) array, list, Series or mapping of 1 and -1
        Missing stays missing.

    Returns
    -------
    (n,) float64 array of 1 (anomaly) and 0 (normal)
        A Series comes back with its index and a mapping with its keys: they are still matched.

    Raises
    ------
    LabelError
        For any other value.

    Examples
    --------
    >>> labels_from_outlier([1, 1, -1])
    array([0., 0., 1.])
    """
    return _convert(y, {1: 0.0, -1: 1.0}, "1 (inlier) and -1 (outlier)")


def labels_from_deep_sad(y: Any) -> Any:
    """Convert the code of Deep SAD and coniferest: -1 anomaly, 0 unknown, 1 normal.

    Parameters
    ----------
    y : (n,) array, list, Series or mapping of -1, 0 and 1
        Missing stays missing.

    Returns
    -------
    (n,) float64 array of 1 (anomaly), 0 (normal) and NaN (not looked at)
        NaN has one reading, where -1 among numbers has two. Keys are kept.

    Raises
    ------
    LabelError
        For any other value.

    Examples
    --------
    >>> labels_from_deep_sad([1, 0, -1])
    array([ 0., nan,  1.])
    """
    return _convert(
        y, {1: 0.0, 0: np.nan, -1: 1.0}, "-1 (anomaly), 0 (not looked at) and 1 (normal)"
    )


def labels_from_positives(y: Any) -> Any:
    """Convert found anomalies among rows that nobody judged: 1 anomaly, 0 not looked at.

    Parameters
    ----------
    y : (n,) array, list, Series or mapping of 1 and 0, or of bools
        Missing stays missing.

    Returns
    -------
    (n,) float64 array of 1 (anomaly) and NaN (not looked at)
        Keys are kept.

    Raises
    ------
    LabelError
        For any other value.

    Examples
    --------
    >>> labels_from_positives([1, 0, 0])
    array([ 1., nan, nan])
    """
    return _convert(y, {1: 1.0, 0: np.nan}, "1 (anomaly) and 0 (not looked at)")


def _convert(y: Any, meanings: Mapping[int, float], expected: str) -> Any:
    given = open_verdicts(y)
    numbers = np.fromiter(map(_number, given.values), np.float64, len(given.values))
    out = np.full(len(numbers), np.nan)
    known = np.fromiter(map(is_missing, given.values), np.bool_, len(numbers))
    for code, meaning in meanings.items():
        out[numbers == code] = meaning
        known |= numbers == code
    if not known.all():
        bad = tally(given.values, ~known, given.ids)
        raise LabelError(f"y holds {bad}; this converter reads {expected}.")
    if isinstance(y, Mapping):
        return dict(zip(y, out.tolist(), strict=True))
    if given.pandas is not None:
        return type(given.pandas)(out, index=given.pandas.index, name=given.pandas.name)
    return out


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
