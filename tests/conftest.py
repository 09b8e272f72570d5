"""Tables small enough to print."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def payments() -> pd.DataFrame:
    """200 payments with ids as index; the first eight are odd in amount, country and hour."""
    rng = np.random.default_rng(0)
    n = 200
    table = pd.DataFrame(
        {
            "amount": np.round(rng.lognormal(4, 0.4, n), 2),
            "country": rng.choice(["DE", "FR", "IT"], n, p=[0.7, 0.2, 0.1]),
            "booked": pd.Timestamp("2026-03-02 12:00")
            + pd.to_timedelta(rng.integers(0, 60, n) * 24 + rng.integers(-3, 4, n), unit="h"),
            "note": ["order " + "x" * int(k) for k in rng.integers(3, 9, n)],
            "items": rng.integers(1, 6, n),
        },
        index=pd.Index([f"tx-{i:04d}" for i in range(n)], name="tx"),
    )
    odd = table.index[:8]
    table.loc[odd, "amount"] = [9850, 7200, 8800, 9100, 6900, 8000, 7700, 9400]
    table.loc[odd[:4], "country"] = "PA"
    table.loc[odd, "booked"] = pd.Timestamp("2026-03-08 03:12")
    return table


@pytest.fixture
def verdicts() -> pd.Series:
    """Two anomalies and four normals, by id."""
    return pd.Series(
        {"tx-0000": "anomaly", "tx-0003": "anomaly"}
        | {f"tx-{i:04d}": "normal" for i in (20, 50, 80, 110)},
        name="verdict",
    )
