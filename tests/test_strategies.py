"""Every strategy keeps the same promises, and on a small pool its rows are worked out by hand."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import askew.strategies.choosing
from askew.errors import MethodError
from askew.strategies.choosing import (
    CANDIDATES,
    CYCLE,
    REASONS,
    STRATEGIES,
    Pick,
    Pool,
    choose,
    explain,
)

BY_CONTENT = [name for name in STRATEGIES if name != "random"]


def test_examples_are_true() -> None:
    outcome = doctest.testmod(askew.strategies.choosing)
    assert outcome.attempted > 0
    assert outcome.failed == 0


def made(
    scores: Sequence[float] | NDArray[np.float64],
    *,
    members: Any = None,
    judged: dict[int, int] | None = None,
    x: Any = None,
    cut: float = 0.0,
    order: Any = None,
    passed: Sequence[int] = (),
    asked: int = 0,
) -> Pool:
    """Build a pool; unless told otherwise every row lies far from every other."""
    n = len(scores)
    label = np.full(n, -1, dtype=np.int8)
    for row, verdict in (judged or {}).items():
        label[row] = verdict
    away = np.zeros(n, dtype=bool)
    away[list(passed)] = True
    return Pool(
        scores=np.asarray(scores, dtype=np.float64),
        members=None if members is None else np.asarray(members, dtype=np.float64),
        label=label,
        x=np.eye(n, dtype=np.float32) if x is None else np.asarray(x, dtype=np.float32),
        cut=cut,
        order=np.arange(n) if order is None else np.asarray(order),
        passed=away,
        asked=asked,
    )


def rows(pool: Pool, k: int, strategy: str, seed: int = 0) -> list[int]:
    generator = np.random.default_rng(seed)
    return [pick.row for pick in choose(pool, k, strategy=strategy, generator=generator)]


def sampled(seed: int, n: int = 60, *, coarse: bool = False) -> Pool:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n)
    members = scores[:, None] + rng.normal(size=(n, 3))
    x = rng.normal(size=(n, 4)) * [1, 100, 0.01, 5]
    if coarse:  # many equal scores, doubts and rows
        scores, members, x = scores.round(), members.round(), (x / [1, 100, 0.01, 5]).round()
    pool = made(scores, members=members, x=x, cut=1.0, order=rng.permutation(n))
    label = rng.choice(np.array([-1, 0, 1], dtype=np.int8), size=n, p=[0.7, 0.2, 0.1])
    asked = int(rng.integers(0, 30))
    return replace(pool, label=label, passed=rng.random(n) < 0.1, asked=asked)


def moved(pool: Pool, to: NDArray[np.intp]) -> Pool:
    """Put row i at place ``to[i]`` of the file."""
    back = np.argsort(to)
    return replace(
        pool,
        scores=pool.scores[back],
        members=None if pool.members is None else pool.members[back],
        label=pool.label[back],
        x=pool.x[back],
        passed=pool.passed[back],
        order=to[pool.order],
    )


# What every strategy promises.


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    k=st.integers(1, 50),
    coarse=st.booleans(),
    strategy=st.sampled_from(list(STRATEGIES)),
)
def test_as_many_rows_as_there_are_none_twice_none_judged_none_passed(
    seed: int, n: int, k: int, coarse: bool, strategy: str
) -> None:
    pool = sampled(seed, n, coarse=coarse)
    free = {i for i in range(n) if pool.label[i] == -1 and not pool.passed[i]}
    found = rows(pool, k, strategy, seed)
    assert len(found) == len(set(found)) == min(k, len(free))
    assert set(found) <= free


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_place_of_a_row_in_the_file_does_not_matter(strategy: str, coarse: bool) -> None:
    for seed in range(5):
        pool = sampled(seed, coarse=coarse)
        to = np.random.default_rng(100 + seed).permutation(len(pool.scores))
        for k in (1, 9):
            found = rows(pool, k, strategy, seed)
            assert [int(to[row]) for row in found] == rows(moved(pool, to), k, strategy, seed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_generator_gives_the_same_picks_and_nothing_else_is_touched(strategy: str) -> None:
    pool = sampled(3, coarse=True)
    before = [
        a.copy()
        for a in (pool.scores, pool.members, pool.label, pool.x, pool.order, pool.passed)
        if a is not None
    ]
    state = np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    first = choose(pool, 7, strategy=strategy, generator=np.random.default_rng(1))
    again = choose(pool, 7, strategy=strategy, generator=np.random.default_rng(1))
    assert first == again
    after = (pool.scores, pool.members, pool.label, pool.x, pool.order, pool.passed)
    for a, b in zip(before, after, strict=True):
        assert b is not None
        np.testing.assert_array_equal(a, b)
    now = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    np.testing.assert_array_equal(state, now)


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s != "mixed"])
def test_a_pick_names_the_strategy_that_wanted_it(strategy: str) -> None:
    picks = choose(sampled(0), 5, strategy=strategy, generator=np.random.default_rng(0))
    assert [pick.why for pick in picks] == [strategy] * 5


@pytest.mark.parametrize("strategy", BY_CONTENT)
def test_among_equal_rows_the_generator_decides(strategy: str) -> None:
    pool = made([1.0] * 30, x=np.zeros((30, 2)))
    found = {rows(pool, 1, strategy, seed)[0] for seed in range(20)}
    assert len(found) > 5


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_is_asked_of_an_empty_pool(strategy: str) -> None:
    assert rows(made([0.4, 0.2], judged={0: 1}, passed=[1]), 3, strategy) == []


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_a_number_of_rows_below_one_is_refused(k: Any) -> None:
    with pytest.raises(MethodError, match=rf"k is {k}; expected .* from 1 up"):
        choose(made([1.0]), k, generator=np.random.default_rng(0))


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    known = "suspicious, uncertain, diverse, informative, mixed, random"
    with pytest.raises(MethodError, match=f"no strategy 'best'; give one of {known}"):
        choose(made([1.0]), 1, strategy="best", generator=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": np.array([-1, -1], dtype=np.int8)}, r"label has shape \(2,\); .* 3 rows"),
        ({"x": np.zeros((3, 0), dtype=np.float32)}, r"x has shape \(3, 0\); .* one column"),
        ({"members": np.zeros(3)}, r"members has shape \(3,\); expected 2 dimension"),
        ({"scores": np.array([0, np.nan, 1])}, "scores holds a value that is not finite"),
        ({"members": np.full((3, 2), np.inf)}, "members holds a value that is not finite"),
        ({"order": np.array([0, 0, 2])}, "order names 2 of the 3 rows"),
        ({"order": np.array([0, -2, 2])}, "order names 2 of the 3 rows"),
        ({"asked": -1}, "asked is -1"),
    ],
)
def test_a_pool_that_does_not_hold_together_is_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        replace(made([0.0, 1.0, 2.0]), **change)


# Each strategy on a pool worked out by hand.


def test_suspicious_takes_the_highest_scores_left() -> None:
    pool = made([0.1, 0.9, 0.5, 0.8, 0.7], judged={1: 1}, passed=[4])
    assert rows(pool, 1, "suspicious") == [3]
    assert rows(pool, 3, "suspicious") == [3, 2, 0]


def test_uncertain_weighs_disagreement_against_the_distance_from_the_cut() -> None:
    # Standard deviations 1, 3, 1, 0; distances 0, 6, 1, 0; median deviation 1:
    # doubts 1/1, 3/7, 1/2, 0/1.
    members = [[-1, 1], [3, 9], [0, 2], [0, 0]]
    pool = made([0.0, 6.0, 1.0, 0.0], members=members)
    np.testing.assert_allclose(pool.doubt, [1, 3 / 7, 1 / 2, 0])
    assert rows(pool, 4, "uncertain") == [0, 2, 1, 3]


@pytest.mark.parametrize("members", [None, [[5.0], [1.0], [2.0], [3.0]]], ids=["none", "one"])
def test_uncertain_takes_what_is_nearest_the_cut_where_no_members_disagree(members: Any) -> None:
    pool = made([0.0, 0.3, 0.55, 0.9], members=members, cut=0.5)
    assert rows(pool, 4, "uncertain") == [2, 1, 3, 0]


def test_diverse_takes_one_row_of_each_place() -> None:
    # Three places with ten copies each; the top row lies in the third.
    x = np.repeat([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0]], 10, axis=0)
    order = np.random.default_rng(0).permutation(30)
    pool = made(np.arange(30.0), x=x, order=order)
    for seed in range(10):
        found = rows(pool, 3, "diverse", seed)
        assert found[0] == 29
        assert sorted(row // 10 for row in found) == [0, 1, 2]


def test_diverse_leaves_out_what_is_judged_already() -> None:
    x = np.repeat([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0]], 10, axis=0)
    order = np.random.default_rng(0).permutation(30)
    pool = made(np.arange(30.0), x=x, judged={29: 0, 0: 1}, order=order)
    for seed in range(10):
        assert rows(pool, 1, "diverse", seed)[0] // 10 == 1


@pytest.mark.parametrize("judged", [{0: 1}, {}], ids=["judged", "chosen"])
def test_diverse_draws_by_the_squared_distance(judged: dict[int, int]) -> None:
    # Row 0 is judged, or chosen first; quartiles 0.5 and 1.5, median 1: width 1 / 1.349.
    x = np.array([[0.0], [1.0], [2.0]])
    pool = made([2.0, 1.0, 0.0], x=x, judged=judged)
    z = np.arcsinh((x[:, 0] - 1) * 1.349)
    near, far = (z[1] - z[0]) ** 2, (z[2] - z[0]) ** 2
    k = 2 - len(judged)
    drawn = [rows(pool, k, "diverse", seed)[-1] for seed in range(600)]
    assert drawn.count(2) / 600 == pytest.approx(far / (near + far), abs=0.06)


def test_diverse_covers_the_top_slice_only() -> None:
    # Of 300 rows the top 30 are the slice; far places below it are never drawn.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    x[:270] += 50
    pool = made(np.arange(300.0), x=x, judged={299: 1}, order=rng.permutation(300))
    assert all(rows(pool, 1, "diverse", seed)[0] >= 269 for seed in range(30))


def test_informative_adds_suspicion_to_half_the_uncertainty() -> None:
    # Ranks of suspicion 1 to 5; of closeness to the cut 5, 1, 2, 3, 4. Merit falls with suspicion's
    # rank times the root of the other: 2.2, 2, 4.2, 6.9, 10. No row is nearer than is typical.
    pool = made([5.0, 3.0, 2.5, 2.0, 1.5], cut=3.1)
    np.testing.assert_allclose(pool.doubt, [-1.9, -0.1, -0.6, -1.1, -1.6])
    assert rows(pool, 5, "informative") == [1, 0, 2, 3, 4]


def test_informative_keeps_away_from_what_is_judged() -> None:
    # Rows 1 and 2 are worth the same, but row 1 lies beside the judged one.
    x = [[0.0, 0], [0.1, 0], [5.0, 5], [5.1, 5], [0, 5], [5, 0], [0, -5], [-5, 0]]
    scores = [9.0, 8.0, 8.0, 6.0, 1.0, 0.9, 0.8, 0.7]
    pool = made(scores, x=x, judged={0: 0}, cut=100.0)
    assert {rows(pool, 1, "suspicious", seed)[0] for seed in range(10)} == {1, 2}
    assert {rows(pool, 1, "informative", seed)[0] for seed in range(10)} == {2}


@pytest.mark.parametrize(("rank", "first"), [(3, 1), (4, 150)])
def test_nearness_falls_to_nothing_at_the_typical_distance(rank: int, first: int) -> None:
    # Rows at 0 and 1 in turn, so 0 to 1 is the typical distance; row 150 lies halfway, row 0 is
    # judged. Equal scores: of the 150 candidates only doubt and nearness differ.
    # Row 150, of rank 1: 1 + 0.5 - 0.25 / 2 = 1.375. Row 1, of rank r, not near: 1.5 less half of
    # log r / log 151, 1.391 at rank 3 and 1.362 at rank 4. Rows at 0 have the ranks between.
    x = np.concatenate([np.arange(150) % 2, [0.5]])[:, None]
    spread = np.arange(151) / 1000
    spread[150] = 1.0
    spread[1] = 0.8
    spread[2 : 2 * (rank - 1) : 2] += 0.8
    pool = made(np.ones(151), members=np.outer(spread, [-1, 1]), x=x, judged={0: 0})
    assert np.count_nonzero(pool.doubt > pool.doubt[1]) + 1 == rank
    assert rows(pool, 1, "informative") == [first]


def test_informative_finds_the_doubtful_rows_of_a_large_pool() -> None:
    # Equal scores: suspicion alone would make any rows candidates.
    n = 2 * CANDIDATES
    rng = np.random.default_rng(0)
    spread = rng.random(n)
    spread[7] = 2.0
    members = np.outer(spread, [-1, 1])
    pool = made(np.ones(n), members=members, x=rng.normal(size=(n, 2)), order=rng.permutation(n))
    assert rows(pool, 1, "informative") == [7]


def test_informative_where_most_rows_are_equal() -> None:
    # The typical distance is 0: only copies of a judged row, such as row 1, are near it. In 300
    # columns the matrix product leaves some rounding of a copy's distance.
    rng = np.random.default_rng(0)
    x = np.zeros((20, 300))
    x[:3], x[18:] = rng.normal(size=300), rng.normal(size=(2, 300))
    x[2, 0] += 0.1
    pool = made([20.0, 20.0, 20.0, *range(17)], x=x, judged={0: 0}, cut=100.0)
    assert {rows(pool, 1, "informative", seed)[0] for seed in range(10)} == {2}


def test_random_is_the_next_of_the_order_whatever_the_rows_hold() -> None:
    pool = made([9.0, 8.0, 7.0, 6.0, 5.0, 4.0], order=[4, 0, 5, 2, 1, 3], judged={0: 1}, passed=[2])
    assert rows(pool, 3, "random") == [4, 5, 1]
    turned = replace(pool, scores=-pool.scores, x=np.zeros((6, 1), dtype=np.float32), cut=7.0)
    assert rows(turned, 3, "random", seed=9) == [4, 5, 1]


# The mix.


def test_every_fifth_question_of_the_mix_is_a_random_check() -> None:
    assert CYCLE.count("random") == 1
    assert CYCLE[4] == "random"
    picks = choose(sampled(1), 12, generator=np.random.default_rng(0))
    start = sampled(1).asked
    assert [pick.why for pick in picks] == [CYCLE[(start + i) % 5] for i in range(12)]


def test_the_mix_takes_what_its_parts_would() -> None:
    # 0 and 1 are the top. Informative is left with rows 2 to 5: ranks of suspicion 3 to 6, of
    # closeness to the cut 4, 3, 1, 2; the first times the root of the second is 6, 6.9, 5, 8.5.
    # The random check finds rows 1, 0, 4 and 2 taken.
    pool = made([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], cut=1.6, order=[1, 0, 4, 2, 3, 5])
    picks = choose(pool, 6, generator=np.random.default_rng(0))
    assert [(pick.row, pick.why) for pick in picks] == [
        (0, "suspicious"),
        (1, "suspicious"),
        (4, "informative"),
        (2, "suspicious"),
        (3, "random"),
        (5, "suspicious"),
    ]


def test_one_question_at_a_time_gives_the_mix_of_a_batch() -> None:
    pool = replace(sampled(2, 50), asked=3)
    batch = choose(pool, 11, generator=np.random.default_rng(0))
    single = []
    for _ in range(11):
        (pick,) = choose(pool, 1, generator=np.random.default_rng(0))
        if pick.why == "random":
            assert [pick.row] == rows(pool, 1, "random")
        single.append(pick.why)
        label = pool.label.copy()
        label[pick.row] = 0
        pool = replace(pool, label=label, asked=pool.asked + 1)
    assert single == [pick.why for pick in batch]


# Near-duplicates.


def with_copies(shift: float) -> Pool:
    """200 rows; the top one stands there 50 times, each copy a little apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    x[:50] = x[0] + shift * rng.normal(size=(50, 3))
    scores = np.concatenate([np.full(50, 9.0) + shift * rng.normal(size=50), np.arange(150) / 150])
    return made(scores, x=x, order=rng.permutation(200), cut=0.5)


@pytest.mark.parametrize("shift", [0.0, 0.01])
@pytest.mark.parametrize("strategy", ["suspicious", "informative", "mixed"])
def test_a_batch_holds_one_copy_of_a_row(strategy: str, shift: float) -> None:
    pool = with_copies(shift)
    picks = choose(pool, 5, strategy=strategy, generator=np.random.default_rng(0))
    by_content = [pick.row for pick in picks if pick.why != "random"]
    assert sum(row < 50 for row in by_content) == 1


def test_suspicious_goes_on_below_the_copies_in_order() -> None:
    first, *others = rows(with_copies(0.0), 5, "suspicious")
    assert first < 50
    assert others == [199, 198, 197, 196]


def test_of_one_row_the_nearest_duplicates_do_not_matter() -> None:
    pool = with_copies(0.01)
    assert rows(pool, 1, "suspicious") == [int(np.argmax(pool.scores))]


def test_copies_come_last_rather_than_not_at_all() -> None:
    pool = made([3.0, 3.0, 3.0, 2.0, 1.0], x=[[5], [5], [5], [9], [0]])
    found = rows(pool, 5, "suspicious")
    assert found[0] in {0, 1, 2}
    assert found[1:3] == [3, 4]
    assert set(found[3:]) == {0, 1, 2} - {found[0]}


@pytest.mark.parametrize("strategy", ["suspicious", "diverse", "informative"])
def test_more_copies_than_candidates_leave_room_for_others(strategy: str) -> None:
    n = CANDIDATES + 500
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2 * n, 2))
    x[:n] = 7.0
    scores = np.concatenate([np.full(n, 9.0), rng.random(n)])
    pool = made(scores, x=x, order=rng.permutation(2 * n), cut=0.5)
    assert sum(row < n for row in rows(pool, 4, strategy)) == 1


def test_a_wide_column_does_not_hide_the_others() -> None:
    # Rows 0 and 1 differ by a whole width in the narrow column; 0 and 2 are near-duplicates.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2)) * [1e6, 1e-3]
    x[:3] = [[0.0, 0.0], [0.0, 2e-3], [100.0, 0.0]]
    scores = np.concatenate([[9.0, 7.0, 8.0], rng.random(97)])
    assert rows(made(scores, x=x, order=rng.permutation(100)), 2, "suspicious") == [0, 1]


def test_far_out_a_difference_counts_relative_to_how_far() -> None:
    # 1,000 and 1,010 widths out are near-duplicates, 0 and 5 are not.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    x[:3] = [[1000.0, 0.0], [1010.0, 0.0], [0.0, 5.0]]
    scores = np.concatenate([[9.0, 8.0, 7.0], rng.random(97)])
    assert rows(made(scores, x=x, order=rng.permutation(100)), 2, "suspicious") == [0, 2]


# Words.


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(STRATEGIES) - {"mixed"}


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("suspicious", "ranked 2nd"),
        ("uncertain", "close to the threshold"),
        ("diverse", "unlike the rows judged so far"),
        ("informative", "ranked 2nd, and its verdict teaches much"),
        ("random", "random check"),
    ],
)
def test_a_pick_is_explained(why: str, words: str) -> None:
    # Judged rows keep their ranks, and equal scores share one.
    pool = made([0.9, 0.7, 0.7, 0.1], judged={0: 1})
    assert explain(pool, Pick(2, why)) == words


def test_disagreement_is_told_where_there_is_some() -> None:
    pool = made([0.9, 0.7], members=[[0, 1], [1, 1]])
    assert explain(pool, Pick(0, "uncertain")) == "the members disagree"


def test_a_reason_of_another_kind_is_refused() -> None:
    with pytest.raises(MethodError, match="'mixed' is none of suspicious"):
        explain(made([1.0]), Pick(0, "mixed"))
