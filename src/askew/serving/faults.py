"""What is wrong with a body, beyond what ``askew.errors`` tells of a table."""

from __future__ import annotations

from askew.errors import AskewError, DataError


class BrokenBodyError(DataError):
    """A body that is not of the kind that its content type says."""


class TooLargeError(DataError):
    """A body that holds, or would unpack to, more than is taken at once."""


class BusyError(AskewError, RuntimeError):
    """So much is waiting already that nothing more is taken."""
