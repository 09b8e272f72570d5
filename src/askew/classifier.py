"""What ``Askew`` and ``Detector`` share towards scikit-learn: tags, calls and score."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import average_precision_score
from sklearn.utils import Tags

from askew.labels import Label, read_labels


class RankingClassifier(ClassifierMixin):  # type: ignore[misc]
    """A classifier of few labels, as scikit-learn's semi-supervised ones are shaped.

    A subclass gives ``decision_function``, ``_keys`` and, once fitted, ``classes_``.
    """

    @abstractmethod
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score rows (n, d) -> (n,): higher is more anomalous, above 0 is called an anomaly."""

    @abstractmethod
    def _keys(self, X: Any) -> Any:
        """Give the keys by which verdicts find the rows of a table, or None."""

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Call rows (n, d) -> (n,): 1 anomaly, 0 normal."""
        above = self.decision_function(X) > 0
        called: NDArray[np.int64] = self.classes_[above.astype(int)]
        return called

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Average precision on the labelled rows."""
        scores = self.decision_function(X)
        label = read_labels(y, n_rows=len(scores), keys=self._keys(X)).values
        known = label != Label.UNLABELED
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(average_precision_score(label[known], scores[known], sample_weight=weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True
        tags.target_tags.required = False
        return tags
