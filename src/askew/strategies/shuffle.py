"""The order in which rows are checked at random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def random_order(keys: Sequence[str], seed: int) -> NDArray[np.intp]:
    """Shuffle rows by a hash of seed and key: (n,) row numbers, whatever the order of the file."""
    salt = str(seed).encode()
    hashes = b"".join(
        hashlib.blake2b(key.encode(), digest_size=8, salt=salt[:16]).digest() for key in keys
    )
    order: NDArray[np.intp] = np.argsort(np.frombuffer(hashes, "<u8"), kind="stable")
    return order
