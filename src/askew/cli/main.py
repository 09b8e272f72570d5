"""The command line: thin commands over the library.

Exit codes: 0 done; 1 a fault of Askew's own; 2 input or usage that cannot be used.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

# Each command registers itself with the application.
from askew.cli import (  # noqa: F401
    demo,
    explain,
    fit,
    info,
    label,
    labels,
    methods,
    next,
    rank,
    review,
    score,
    serve,
    simulate,
    threshold,
    users,
)
from askew.cli.app import app
from askew.errors import AskewError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; every error of Askew's is one message and exit code 2."""
    warnings.showwarning = _note
    try:
        app()
    except AskewError as error:
        print(f"askew: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        print("askew: stopped", file=sys.stderr)
        sys.exit(130)


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"askew: note: {message}", file=sys.stderr)
