"""Detector: the scikit-learn face of one method."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from askew.classifier import RankingClassifier
from askew.deep import combine, train
from askew.deep.method import Method, Recipe, Scale, describe
from askew.deep.methods import DeepSAD
from askew.deep.nets import CHUNK
from askew.errors import ConvergenceWarning, MethodError, ModelFileError
from askew.labels import Label, read_labels
from askew.table import row_keys
from askew.threshold import default_cut

BLOCK = 2**20  # bytes scaled at once


class Detector(RankingClassifier, BaseEstimator):  # type: ignore[misc]
    """One deep method on a numeric matrix or on images, as an estimator.

    Labels are 1 anomaly, 0 normal, -1 not looked at; scores are higher for what is more anomalous.

    Parameters
    ----------
    method
        The method; ``DeepSAD()`` where None.
    members
        Networks trained side by side, 1 or more; their scores are combined.
    epochs, batch_size, learning_rate, steps_per_epoch, weight_decay, clip_norm, clip_value
        Training settings, for every stage of the method; None takes the method's own, those of
        its paper (``method.recipe()``).
    combine
        How members make one score: the ``"mean"`` of z-scores, or the mean ``"rank"`` among the
        training rows, which levels off beyond the highest training score.
    scale
        By the training rows, each column of a table by itself and images as a whole:
        ``"minmax"`` to [0, 1], ``"standard"`` to mean 0 and deviation 1, None not at all;
        ``"auto"`` as the method's paper has it (``method.recipe()``).
    contamination
        Where ``predict`` cuts: the share of training rows called anomalous, in (0, 0.5], or
        ``"auto"`` (see ``askew.threshold.default_cut``).
    device
        ``"auto"`` is CUDA where there is one, else the CPU; or a torch device.
    threads
        Torch threads during the fit, put back afterwards; scoring takes one.
    precision
        Of the products in training: ``"float32"``, or ``"bf16"``, which several members together
        gain by where the processor multiplies such numbers. Scores are worked out in float32.
    random_state
        Decides every draw; no global seed is read or set.

    Attributes
    ----------
    net_
        The trained network, with a leading member axis.
    history_
        One dictionary an epoch: each term's mean loss by member.
    labels_
        How ``y`` was read.
    offset_
        The cut on the combined score that ``decision_function`` subtracts.

    Examples
    --------
    >>> import numpy as np
    >>> from askew.deep import Detector, DeepSAD
    >>> rng = np.random.default_rng(0)
    >>> X = np.vstack([rng.normal(0, 1, (200, 3)), rng.normal(6, 1, (5, 3))])
    >>> y = np.full(205, -1)
    >>> y[200] = 1
    >>> scores = Detector(DeepSAD(), epochs=20, random_state=0).fit(X, y).decision_function(X)
    >>> bool(scores[200:].min() > np.median(scores[:200]))
    True
    """

    def __init__(
        self,
        method: Method | None = None,
        *,
        members: int = 1,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        steps_per_epoch: int | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        combine: combine.How = "mean",
        scale: Scale | Literal["auto"] | None = "auto",
        contamination: float | Literal["auto"] = "auto",
        device: str = "auto",
        threads: int = 1,
        precision: train.Precision = "float32",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.method = method
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.steps_per_epoch = steps_per_epoch
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.combine = combine
        self.scale = scale
        self.contamination = contamination
        self.device = device
        self.threads = threads
        self.precision = precision
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Train on all rows and what is known of some.

        Parameters
        ----------
        X
            (n, d), or (n, channels, height, width) for a method that takes images; finite
            numbers, two rows at least.
        y
            (n,) in {1, 0, -1}; None where nothing is known. A pandas Series is aligned by index.

        Raises
        ------
        DataError
            Labels that cannot be read. (A matrix that cannot be is scikit-learn's ValueError.)
        MethodError
            A parameter is out of its range.
        FitError
            The labels lack a kind that the method needs, or training diverged.
        """
        self._check_settings()
        keys = row_keys(X)
        images = len(getattr(X, "shape", ())) == 4
        if images and not self._method().takes_images:
            raise MethodError(
                f"{describe(self._method())} takes tables (n, d); found images of shape "
                f"{np.shape(X)}. Flatten them, X.reshape(len(X), -1), or take a method for images"
            )
        x: NDArray[np.float32] = validate_data(
            self, X, dtype=np.float32, ensure_min_samples=2, allow_nd=images
        )
        self.shape_ = tuple(x.shape[1:])
        self.labels_ = read_labels(y, n_rows=len(x), keys=keys)
        self.labels_.check_trainable()
        self.classes_ = np.array([Label.NORMAL, Label.ANOMALY], dtype=np.int64)
        scale = self._method().recipe().scale if self.scale == "auto" else self.scale
        self.shift_, self.factor_ = _fit_scale(x, scale)
        self.net_, history = train.train(
            self._method(),
            self._tensor(x),
            torch.from_numpy(self.labels_.values.astype(np.int64)),
            generators=train.spawn(self.random_state, self.members),
            device=self._device(),
            threads=self.threads,
            precision=self.precision,
            **self._settings(),
        )
        self.history_ = [{k: v.cpu().numpy() for k, v in epoch.items()} for epoch in history]
        members = self._member_scores(x)
        self.yardstick_ = combine.yardstick(members, self.combine)
        scores = combine.combine(members, self.yardstick_, self.combine)
        if np.ptp(scores) == 0:
            warnings.warn(
                f"{self._method()}: all {len(x):,} training rows score alike; the network has "
                "collapsed or the rows do not differ. Look at the columns, train less, or turn "
                "batch_norm on",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.offset_ = default_cut(scores, self.labels_.values, self.contamination)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n,): higher is more anomalous, above 0 is called an anomaly."""
        check_is_fitted(self)
        x = self._checked(X)
        scores = np.empty(len(x))
        for part in _blocks(x):
            members = self._member_scores(x[part])
            scores[part] = combine.combine(members, self.yardstick_, self.combine)
        scores -= self.offset_
        return scores

    def member_scores(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n, members), all members on one scale (see ``combine``)."""
        check_is_fitted(self)
        members = self._member_scores(self._checked(X))
        return combine.levelled(members, self.yardstick_, self.combine).T

    def _checked(self, X: ArrayLike) -> NDArray[np.float32]:
        images = len(self.shape_) > 1
        x: NDArray[np.float32] = validate_data(
            self, X, dtype=np.float32, reset=False, allow_nd=images
        )
        if x.shape[1:] != self.shape_:
            raise ValueError(f"found rows of shape {x.shape[1:]}; the fit saw {self.shape_}")
        return x

    def _keys(self, X: ArrayLike) -> Any:
        return row_keys(X)

    def get_state(self) -> dict[str, Any]:
        """Give everything learned, as plain values and arrays."""
        check_is_fitted(self)
        state = {
            name: getattr(self, name) for name in ("shift_", "factor_", "yardstick_", "offset_")
        }
        state["shape_"] = list(self.shape_)
        net = {name: value.cpu().numpy() for name, value in self.net_.state_dict().items()}
        names = getattr(self, "feature_names_in_", None)
        return state | {"net": net, "feature_names": None if names is None else list(names)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what ``get_state`` gave, on an estimator with the same parameters.

        Raises
        ------
        ModelFileError
            The state does not fit the parameters.
        """
        try:
            # Earlier files knew tables only, and their columns by number.
            shape = tuple(int(n) for n in state.get("shape_", [state.get("n_features_in_", 0)]))
            net = self._method().network(shape, train.spawn(0, self.members))
            net.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state["net"].items()})
            shift, factor = (np.asarray(state[k], np.float32) for k in ("shift_", "factor_"))
            yardstick, offset = np.asarray(state["yardstick_"]), float(state["offset_"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as e:
            raise ModelFileError(f"{type(self).__name__}: the saved state does not fit: {e}") from e
        columns = shape if len(shape) == 1 else (1,)
        if not shift.shape == factor.shape == columns or yardstick.shape[0] != self.members:
            raise ModelFileError(f"{type(self).__name__}: the saved arrays have other lengths")
        self.classes_ = np.array([Label.NORMAL, Label.ANOMALY], dtype=np.int64)
        self.shape_, self.n_features_in_ = shape, shape[0]
        self.offset_, self.yardstick_ = offset, yardstick
        self.shift_, self.factor_ = shift, factor
        self.net_ = net.to(self._device()).eval()
        if state["feature_names"] is not None:
            self.feature_names_in_ = np.array(state["feature_names"], dtype=object)

    def _method(self) -> Method:
        return DeepSAD() if self.method is None else self.method

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)

    def _settings(self) -> dict[str, Any]:
        names = {field.name for field in fields(Recipe)} - {"scale"}  # not the loop's concern
        return {n: v for n in names if (v := getattr(self, n, None)) is not None}

    def _check_settings(self) -> None:
        if not isinstance(self._method(), Method):
            raise MethodError(f"method is {self.method!r}; expected a method such as DeepSAD()")
        if self.members < 1:
            raise MethodError(f"members is {self.members!r}; expected 1 or more")
        if self.combine not in ("mean", "rank"):
            raise MethodError(f"combine is {self.combine!r}; expected 'mean' or 'rank'")
        if self.precision not in ("float32", "bf16"):
            raise MethodError(f"precision is {self.precision!r}; expected 'float32' or 'bf16'")
        if self.scale not in ("auto", "minmax", "standard", None):
            raise MethodError(
                f"scale is {self.scale!r}; expected 'auto', 'minmax', 'standard' or None"
            )

    def _tensor(self, X: NDArray[np.float32]) -> torch.Tensor:
        # Torch scales in half of numpy's time, but warns of arrays that may not be written.
        x = torch.from_numpy(np.require(X, requirements=["C", "W"]))
        return (x - torch.tensor(self.shift_)).mul_(torch.tensor(self.factor_))

    def _member_scores(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score rows (n, *shape) -> (members, n), never scaling more than a block at once."""
        scores = np.empty((self.members, len(X)), dtype=np.float32)
        for part in _blocks(X):
            x = self._tensor(X[part]).to(self._device())
            scores[:, part] = train.score(self._method(), self.net_, x).cpu().numpy()
        return scores


def _blocks(x: NDArray[np.float32]) -> Iterator[slice]:
    """Cut rows into whole chunks of ``BLOCK`` bytes or so."""
    step = CHUNK * max(1, BLOCK // (CHUNK * x[:1].nbytes))
    return (slice(start, start + step) for start in range(0, len(x), step))


def _fit_scale(
    X: NDArray[np.float32], scale: Scale | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find shift and factor such that (X - shift) * factor is scaled.

    (d,) for a table, whose columns have nothing to do with one another; (1,) for images.
    """
    if X.ndim > 2:
        X = X.reshape(-1, 1)
    if scale is None:
        return np.zeros(X.shape[1], np.float32), np.ones(X.shape[1], np.float32)
    if scale == "minmax":
        shift, span = X.min(0), np.ptp(X.astype(np.float64), axis=0)
    else:
        shift, span = X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
    factor = 1 / np.where(span > 0, span, 1.0)
    return shift.astype(np.float32), factor.astype(np.float32)
