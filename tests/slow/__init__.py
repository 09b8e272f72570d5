"""Every objective once more, row by row in plain loops, written from the papers' equations.

Nothing here is fast or shares code with the package. A new method adds a file of its own.
"""

from __future__ import annotations

from tests.slow import deep_sad, deep_svdd, dev_net, reconstruct
from tests.slow.core import slow_cost

__all__ = ["deep_sad", "deep_svdd", "dev_net", "reconstruct", "slow_cost"]
