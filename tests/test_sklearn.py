"""scikit-learn's own checks, and its tools, on the two estimators a user meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from askew.deep import Detector

EXPECTED = {
    "check_classifiers_classes": "passes -1 as a class, which is 'not looked at' here; "
    "scikit-learn exempts its own semi-supervised classes from it by name",
}


@parametrize_with_checks(
    [Detector(random_state=0)], expected_failed_checks=lambda estimator: EXPECTED
)
# Two neighboring integers are read as classes with a warning, and some of the checks' tables are
# noise, on which a fit says that it learned nothing.
@pytest.mark.filterwarnings("ignore::askew.errors.AskewWarning")
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
