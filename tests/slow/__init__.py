"""Every objective once more, row by row in plain loops, written from the papers' equations.

Nothing here is fast or shares code with the package. A new method adds a file of its own, which
registers its loops on import.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tests.slow.core import slow_cost

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["dagmm", "rsrae", "slow_cost"]
