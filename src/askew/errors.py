"""What Askew raises and what it warns of.

::

    AskewError
    ├── DataError (ValueError)          a table that cannot be used as it is
    │   ├── FileError (OSError)         a file that cannot be read or written
    │   ├── LabelError                  a verdict that cannot be read
    │   └── SchemaError                 not the columns the model was fitted on
    ├── ModelFileError (ValueError)     a model file that is refused
    ├── MethodError (ValueError)        a parameter or a combination that makes no sense
    ├── StoreError (RuntimeError)       a store that cannot be opened, read or written
    ├── FitError (RuntimeError)         a fit that cannot go on
    └── ThresholdError (RuntimeError)   verdicts that don't carry what was asked of them

    AskewWarning (UserWarning)
    ├── LabelWarning                    verdicts that may not mean what they say
    ├── TableWarning                    a column left out, a table of an odd shape
    └── ConvergenceWarning              a fit that ended without learning

Every message says what was found, what was expected and what to do.
"""

from __future__ import annotations


class AskewError(Exception):
    """Root of everything Askew raises on purpose."""


class DataError(AskewError, ValueError):
    """A table that cannot be used as it is."""


class FileError(DataError, OSError):
    """A file that cannot be read or written."""


class LabelError(DataError):
    """A verdict that cannot be read, or that belongs to no row."""


class SchemaError(DataError):
    """A table whose columns are not the ones the model was fitted on."""


class ModelFileError(AskewError, ValueError):
    """A model file that is truncated, altered, foreign or newer than this version."""


class MethodError(AskewError, ValueError):
    """A parameter out of its range, or a combination of methods that makes no sense."""


class StoreError(AskewError, RuntimeError):
    """A store of verdicts that cannot be opened, read or written."""


class FitError(AskewError, RuntimeError):
    """A fit that cannot go on: no label of the kind it needs, a loss that is not a number."""


class ThresholdError(AskewError, RuntimeError):
    """A cut or a probability that the verdicts so far don't carry.

    Parameters
    ----------
    message
        What was found, and what is missing.
    n_needed
        Verdicts that are missing at least.
    """

    def __init__(self, message: str, n_needed: int = 0) -> None:
        super().__init__(message)
        self.n_needed = n_needed


class AskewWarning(UserWarning):
    """Root of everything Askew warns of."""


class LabelWarning(AskewWarning):
    """Verdicts that are usable but may not mean what they say."""


class TableWarning(AskewWarning):
    """A column that was left out, or a table of an odd shape."""


class ConvergenceWarning(AskewWarning):
    """A fit that ended, but did not learn."""
