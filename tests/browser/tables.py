"""Tables that look like real life, the same in every run."""

from __future__ import annotations

import numpy as np
import pandas as pd

VERDICTS = {"a": "anomaly", "n": "normal", "s": "unsure"}


def payments(n: int = 400, n_odd: int = 30) -> pd.DataFrame:
    """Card payments of a shop.

    Two of three odd ones are large, and some of these from abroad or by a new customer; the others
    are small, of many items, from abroad and at night.
    """
    rng = np.random.default_rng(5)
    day = pd.Timestamp("2026-03-02")
    hour = np.clip(rng.normal(14, 3, n), 7, 22)
    booked = day + pd.to_timedelta(rng.integers(0, 60, n), unit="D")
    booked += pd.to_timedelta((hour * 60).astype(int), unit="min")
    goods = ["shoes", "a coat", "books", "a lamp", "garden chairs", "coffee", "toys"]
    table = pd.DataFrame(
        {
            "payment": [f"pay-{i:05d}" for i in 20_000 + 7 * np.arange(n)],
            "booked": booked,
            "amount": np.round(rng.lognormal(4, 0.5, n), 2),
            "country": rng.choice(["DE", "FR", "IT", "NL"], n, p=[0.6, 0.2, 0.1, 0.1]),
            "card": rng.choice(["debit", "credit", "prepaid"], n, p=[0.6, 0.35, 0.05]),
            "items": rng.integers(1, 6, n),
            "customer_days": rng.integers(30, 2_000, n).astype(float),
            "purpose": [
                f"{word} for {what}"
                for word, what in zip(
                    rng.choice(["order", "order", "refund"], n), rng.choice(goods, n), strict=True
                )
            ],
        }
    )
    table.loc[rng.choice(n, 12, replace=False), "customer_days"] = np.nan
    odd = rng.choice(n, n_odd, replace=False)
    n_large = n_odd * 2 // 3
    large, many = odd[:n_large], odd[n_large:]
    table.loc[large, "amount"] = np.round(rng.uniform(1_500, 9_900, n_large), 2)
    table.loc[large[: n_large // 2], "country"] = rng.choice(["PA", "BZ"], n_large // 2)
    table.loc[large[n_large // 4 :], "customer_days"] = 1.0
    table.loc[many, "items"] = rng.integers(20, 60, len(many))
    table.loc[many, "country"] = "KY"
    table.loc[many, "booked"] = table.loc[many, "booked"].dt.normalize() + pd.Timedelta("3h12min")
    return table


def key_for(fields: dict[str, str]) -> str:
    """Say with which key an expert would judge a row whose fields they read."""
    if float(fields["amount"]) > 1_000 or int(fields["items"]) > 10:
        return "a"
    return "s" if fields["customer_days"] == "missing" else "n"
