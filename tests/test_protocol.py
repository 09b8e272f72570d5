"""The papers' splits: exact counts, no row twice, nothing of the test part in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from paper import protocol
from paper.protocol import MADE, Split

from askew.labels import Label


def no_overlap(split: Split) -> None:
    """No row stands twice among those of the table, in either part or in both."""
    rows = np.concatenate([split.rows[split.rows != MADE], split.rows_test])
    assert len(np.unique(rows)) == len(rows)


def count(split: Split, kind: Label, truth: int) -> int:
    return int(((split.label == kind) & (split.truth == truth)).sum())


def same(one: Split, other: Split) -> bool:
    return all(np.array_equal(a, vars(other)[name]) for name, a in vars(one).items())


def planted(n: int, anomalies: int, d: int = 4) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows whose first column is their number, so that a split can be traced back."""
    x = np.random.default_rng(0).uniform(size=(n, d))
    x[:, 0] = np.arange(n)
    return x, (np.arange(n) < anomalies).astype(np.int64)


# --- Deep SAD's counts: worked in its specification


@pytest.mark.parametrize(
    ("n", "gamma_l", "gamma_p", "known", "hidden"),
    [
        (5923, 0.01, 0.1, 66, 658),  # MNIST, digit 0
        (5923, 0.05, 0.1, 346, 658),
        (5923, 0.20, 0.1, 1645, 658),
        (6000, 0.01, 0.0, 60, 0),  # Fashion-MNIST
        (6000, 0.05, 0.0, 315, 0),
        (5000, 0.05, 0.1, 292, 555),  # CIFAR-10
        (5000, 0.0, 0.0, 0, 0),
        (900, 0.1, 0.0, 100, 0),  # a whole number stays one
    ],
)
def test_counts_as_worked(n: int, gamma_l: float, gamma_p: float, known: int, hidden: int) -> None:
    assert protocol.counts(n, gamma_l, gamma_p) == (0, n, hidden, known)


def test_counts_with_known_normals_keep_all_three_shares() -> None:
    n = protocol.counts(100_000, 0.05, 0.1, 0.2)
    total = sum(n)
    assert n.known_normal + n.unlabelled_normal == 100_000
    assert n.known_anomaly / total == pytest.approx(0.05, abs=1e-4)
    assert n.known_normal / total == pytest.approx(0.2, abs=1e-4)
    assert n.unlabelled_anomaly / (n.unlabelled_normal + n.unlabelled_anomaly) == pytest.approx(
        0.1, abs=1e-4
    )


def test_counts_refuse_shares_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"expected shares in \[0, 1\)"):
        protocol.counts(10, 1.0)
    with pytest.raises(ValueError, match="it asks for"):
        protocol.counts(10, 0.5, 0.0, 0.9)


# --- images


def images(each: int = 60) -> tuple[NDArray[Any], NDArray[Any]]:
    """Ten classes of 1 x 2 x 2 images, a class's pixels all at 20 times its number."""
    kinds = np.tile(np.arange(10), each)
    return (20 * kinds[:, None, None, None] * np.ones((1, 1, 2, 2))).astype(np.uint8), kinds


def one_class(**change: Any) -> Split:
    x, kinds = images()
    settings: dict[str, Any] = {"normal": 3, "known": [4], "gamma_l": 0.2, "gamma_p": 0.1}
    return protocol.one_class(x, kinds, x[:50], kinds[:50], **{**settings, "seed": 0, **change})


def test_one_class_holds_what_was_asked_for() -> None:
    split = one_class()
    # 60 normal; 60/9 = 6.67 hidden; (60 + 6.67)/4 = 16.67 known
    assert count(split, Label.UNLABELED, 0) == 60
    assert count(split, Label.UNLABELED, 1) == 6
    assert count(split, Label.ANOMALY, 1) == 16
    assert len(split.label) == 82
    no_overlap(split)
    known = split.x[split.label == Label.ANOMALY]
    np.testing.assert_allclose(known, 80 / 255)  # class 4 only
    assert split.x.dtype == np.float32
    assert split.x.shape[1:] == (1, 2, 2)
    np.testing.assert_array_equal(split.truth_test, np.arange(50) % 10 != 3)
    assert split.rows_test.min() == 600


def test_known_anomalies_are_drawn_first_and_are_not_hidden_as_well() -> None:
    # 60 normal, 15 hidden, 50 known of the 60 of class 4: drawn apart, two or so would be both.
    for seed in range(5):
        split = one_class(gamma_l=0.4, gamma_p=0.2, seed=seed)
        assert count(split, Label.ANOMALY, 1) == 50
        assert count(split, Label.UNLABELED, 1) == 15
        no_overlap(split)


def test_one_class_without_a_known_class_knows_nothing() -> None:
    split = one_class(known=[])
    assert count(split, Label.ANOMALY, 1) == 0
    assert count(split, Label.UNLABELED, 1) == 6


def test_one_class_with_known_normals() -> None:
    split = one_class(gamma_n=0.25, gamma_l=0.25, gamma_p=0.0)
    assert (count(split, Label.NORMAL, 0), count(split, Label.UNLABELED, 0)) == (20, 40)
    assert count(split, Label.ANOMALY, 1) == 20


def test_one_class_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="class 3 is normal and among"):
        one_class(known=[3])
    with pytest.raises(ValueError, match=r"240 known anomalies of \[4\] are asked for"):
        one_class(gamma_l=0.8, gamma_p=0.0)


def test_some_kinds_leave_the_normal_one_out() -> None:
    drawn = [protocol.some_kinds(7, 5, seed) for seed in range(30)]
    assert all(7 not in kinds and len(set(kinds)) == 5 for kinds in drawn)
    assert len(set(drawn)) > 10


# --- tables


def test_odds_trains_on_all_normals_of_its_part_and_a_percent_of_anomalies() -> None:
    x, y = planted(1000, 100)
    split = protocol.odds(x, y, gamma_l=0.01, seed=0)
    assert count(split, Label.UNLABELED, 0) == 540
    assert count(split, Label.ANOMALY, 1) == 5  # 540/99 = 5.45
    assert len(split.label) == 545
    assert len(split.truth_test) == 400
    assert split.truth_test.sum() == 40
    no_overlap(split)


def test_odds_scales_by_the_training_part() -> None:
    x, y = planted(1000, 100)
    x[:, 1] = 7.0  # a constant column
    x[999, 2] = 50.0
    seed = next(s for s in range(20) if 999 in protocol.odds(x, y, gamma_l=0.01, seed=s).rows_test)
    split = protocol.odds(x, y, gamma_l=0.01, seed=seed)
    assert split.x.min() >= 0
    assert split.x.max() <= 1
    assert split.x_test[:, 2].max() > 10
    assert not split.x[:, 1].any()


def test_deviation_keeps_thirty_and_deletes_the_other_anomalies() -> None:
    # The counts of DevNet's own annthyroid: 7,200 rows, 534 anomalies.
    x, y = planted(7200, 534, d=21)
    split = protocol.deviation(x, y)
    assert count(split, Label.ANOMALY, 1) == 30
    assert count(split, Label.UNLABELED, 0) == 5333
    assert int((split.rows == MADE).sum()) == 108
    assert len(split.label) == 30 + 5441
    assert count(split, Label.UNLABELED, 1) == 108  # the made-up ones, no other
    assert (len(split.truth_test), split.truth_test.sum()) == (1440, 107)
    no_overlap(split)


def test_made_up_anomalies_are_one_with_a_twentieth_of_another() -> None:
    x, y = planted(400, 40, d=40)
    split = protocol.deviation(x, y, known=5, contamination=0.2)
    made = split.x[split.rows == MADE]
    assert len(made) == 72  # 288 x 0.25
    everyone = protocol.deviation(x, y, known=32, contamination=0.0)
    anomalies = np.concatenate(
        [everyone.x[everyone.truth == 1], everyone.x_test[everyone.truth_test == 1]]
    )
    assert len(anomalies) == 40
    for row in made:
        same_cells = (row == anomalies).sum(1)
        assert same_cells.max() == 38  # all but 2 of 40
        assert ((row == anomalies).any(0)).all()  # and those 2 are anomalies' too


def test_narrow_tables_swap_one_column() -> None:
    x, y = planted(400, 40, d=6)
    split = protocol.deviation(x, y, known=5)
    anomalies = np.concatenate([split.x[split.truth == 1], split.x_test[split.truth_test == 1]])
    made = split.x[split.rows == MADE]
    assert all(((row == anomalies).sum(1) < 6).sum() >= len(anomalies) - 1 for row in made)


@pytest.mark.parametrize(("n", "rows"), [(615, 1000), (1000, 1000), (5263, 5263), (12000, 10000)])
def test_embeddings_are_brought_to_a_thousand_to_ten_thousand_rows(n: int, rows: int) -> None:
    x, y = planted(n, n // 20)
    split = protocol.embeddings(x, y, seed=0)
    assert len(split.label) + len(split.truth_test) == rows
    anomalies = int(split.truth.sum())
    assert count(split, Label.ANOMALY, 1) == int(np.ceil(0.1 * anomalies))
    assert count(split, Label.UNLABELED, 1) == anomalies - int(np.ceil(0.1 * anomalies))
    assert (split.label != Label.NORMAL).all()
    every = anomalies + int(split.truth_test.sum())
    assert anomalies == round(0.7 * every)
    no_overlap(split)
    if n >= 1000:  # nothing is drawn twice, so no test row has its twin in training
        rows_seen = np.concatenate([split.x, split.x_test])[:, 0]
        assert len(np.unique(rows_seen)) == rows


def marketing(n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "job": rng.choice(["clerk", "cook", "none"], n),
            "balance": rng.normal(0, 1000, n),
            "loan": rng.choice(["no", "yes"], n),
            "labels": (np.arange(n) < 200).astype(int),
        }
    )


def test_guided_splits_in_fifths_and_adds_a_percent_of_noise() -> None:
    split = protocol.guided(marketing(), target="labels")
    assert (len(split.truth_test), split.truth_test.sum()) == (400, 40)
    made = split.rows == MADE
    assert int(made.sum()) == 10  # 1,080 normals x 0.01/0.99
    assert int((~made).sum()) == 1200
    assert split.truth[~made].sum() == 120
    assert (split.label == Label.UNLABELED).all()
    assert not split.truth[made].any()
    assert split.x.shape[1] == 2 + 3 + 2
    no_overlap(split)


def test_guided_takes_z_scores_over_the_training_part_and_a_column_a_level() -> None:
    split = protocol.guided(marketing(), target="labels")
    train = split.x[split.rows != MADE]
    np.testing.assert_allclose(train[:, :2].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train[:, :2].std(0), 1, atol=1e-5)
    for levels in (train[:, 2:5], train[:, 5:7]):
        np.testing.assert_array_equal(levels.sum(1), 1)


def test_noise_is_a_normal_row_with_one_cell_of_another() -> None:
    split = protocol.guided(marketing(), target="labels")
    made = split.rows == MADE
    normal = split.x[~made & (split.truth == 0)]
    for row in split.x[made]:
        same_cells = (row == normal).sum(1)
        assert same_cells.max() >= 6
        assert (row == normal).any(0).all()


# --- all of them


def make(name: str, seed: int) -> Split:
    x, y = planted(1200, 120, d=10)
    if name == "one_class":
        return one_class(seed=seed)
    if name == "guided":
        return protocol.guided(marketing(), target="labels", seed=seed)
    settings: dict[str, Any] = {"gamma_l": 0.01} if name == "odds" else {}
    split: Split = getattr(protocol, name)(x, y, seed=seed, **settings)
    return split


@pytest.mark.parametrize("name", ["one_class", "odds", "deviation", "embeddings", "guided"])
def test_the_seed_decides_the_split(name: str) -> None:
    assert same(make(name, 0), make(name, 0))
    assert not same(make(name, 0), make(name, 1))
