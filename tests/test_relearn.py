"""Learning other verdicts on the same rows: the same as learning afresh, without the work."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.stats import norm, rankdata, zscore

from askew.rankers import ActiveBlend, Blend, Ranker
from askew.rankers.active_blend import _judged
from askew.rankers.isolation_trees import isolation_trees
from askew.rankers.rank_space import RankSpace


def rows(n: int = 300) -> NDArray[np.float32]:
    """Give rows with two clumps far off: 0 to 9 and 10 to 19."""
    X = np.random.default_rng(3).normal(size=(n, 4)).astype(np.float32)
    X[:10, 0] += 5
    X[10:20, 1] -= 5
    return X


def judged(n: int = 300, **verdicts: int) -> NDArray[np.int8]:
    label = np.full(n, -1, np.int8)
    for row, verdict in verdicts.items():
        label[int(row[1:])] = verdict
    return label


KINDS = [
    ActiveBlend(n_trees=20, random_state=0),
    Blend(random_state=0),
]


@pytest.mark.parametrize("ranker", KINDS, ids=lambda ranker: type(ranker).__name__)
def test_learning_anew_is_learning_afresh(ranker: Ranker) -> None:
    X = rows()
    X.flags.writeable = False
    first = ranker.learn(X, judged(r0=1, r100=0))
    later = judged(r0=1, r100=0, r10=0, r50=0, r3=1)
    kept = first.decision_function(X)
    again = first.relearn(X, later)
    fresh = type(ranker)(**ranker.get_params()).fit(X.copy(), later)
    np.testing.assert_array_equal(again.decision_function(X), fresh.decision_function(X))
    np.testing.assert_array_equal(again.decision_function(X.copy()), fresh.decision_function(X))
    np.testing.assert_array_equal(first.decision_function(X), kept)
    assert (kept != fresh.decision_function(X)).any()


def test_a_table_that_may_change_is_never_taken_for_the_one_before() -> None:
    X = rows()
    model = ActiveBlend(random_state=0).fit(X, judged(r0=1, r100=0))
    before = model.decision_function(X)
    X[:] = X[::-1].copy()
    np.testing.assert_array_equal(model.decision_function(X), before[::-1])
    model = model.relearn(X, judged(r0=1, r100=0))
    fresh = ActiveBlend(random_state=0).fit(X, judged(r0=1, r100=0))
    np.testing.assert_array_equal(model.decision_function(X), fresh.decision_function(X))


def test_the_default_keeps_what_no_verdict_moves_and_nothing_of_another_table() -> None:
    X = rows()
    X.flags.writeable = False
    first = Blend(random_state=0).learn(X, judged(r0=1))
    again = first.relearn(X, judged(r0=1, r50=0))
    kept = [a is b for (a, *_), (b, *_) in zip(first.members_, again.members_, strict=True)]
    assert kept == [True] * 3 + [False] * 9
    turned = X[::-1].copy()
    turned.flags.writeable = False
    other = again.relearn(turned, judged(r0=1))
    assert not {id(m) for m, *_ in other.members_} & {id(m) for m, *_ in again.members_}
    fresh = Blend(random_state=0).learn(turned.copy(), judged(r0=1))
    np.testing.assert_array_equal(other.decision_function(X), fresh.decision_function(X))


class TestActiveBlend:
    def test_without_verdicts_it_is_the_mean_of_forests_of_every_size(self) -> None:
        X = rows()
        model = ActiveBlend(n_trees=40, sizes=(16, 200), random_state=0).fit(X)
        scores = model.decision_function(X)
        seeds = np.random.default_rng(0).integers(2**31, size=2).tolist()
        total = np.zeros(len(X))
        for size, seed in zip((16, 200), seeds, strict=True):
            trees = isolation_trees(X, 40, size, seed)
            total += zscore(-trees.mean(X))
        np.testing.assert_allclose(scores, 0.05 * zscore(total), atol=1e-12)
        np.testing.assert_allclose(model.member_scores(X), np.tile(scores, (4, 1)).T, atol=1e-12)

    def test_the_posteriors_and_their_weights_by_hand(self) -> None:
        X = rows()
        prior = ActiveBlend(n_trees=30, random_state=0).learn(X, judged())
        at, verdict = [0, 55, 100, 7], np.array([1.0, 0.0, 0.0, 1.0])
        learned = ActiveBlend(n_trees=30, random_state=0).learn(
            X, judged(r0=1, r100=0, r55=0, r7=1)
        )
        order = [0, 3, 1, 2]  # known anomalies first
        at, verdict = [at[i] for i in order], verdict[order]
        mean = prior.decision_function(X)
        leaves = prior.trees_.leaves(X)
        same = (leaves[:, np.newaxis] == leaves[np.newaxis]).mean(-1)
        z = zscore(norm.ppf((rankdata(X, axis=0) - 0.5) / len(X)))
        length, width = prior.scale_
        np.testing.assert_allclose(length, (z**2).sum(1).mean(), rtol=1e-5)
        np.testing.assert_allclose(width, np.median(pdist(z) ** 2), rtol=0.1)
        near = np.exp(-(cdist(z, z) ** 2) / width)
        along = z @ z.T / length
        forest = 0.1**2 * np.outer(mean, mean) / 0.05**2
        scores, fits = [], []
        for extra in (0, near, along, near + along):
            kernel = same + forest + extra
            noisy = kernel[np.ix_(at, at)] + 0.1 * np.eye(4)
            gap = verdict - mean[at]
            scores.append(mean + kernel[:, at] @ np.linalg.solve(noisy, gap))
            fits.append(foretelling(noisy, gap))
        weight = np.exp(fits) / np.exp(fits).sum()
        np.testing.assert_allclose(learned.weights_, weight, atol=1e-5)
        np.testing.assert_allclose(learned.member_scores(X).T, scores, atol=1e-5)
        np.testing.assert_allclose(learned.decision_function(X), weight @ scores, atol=1e-5)

    def test_verdicts_move_what_the_forest_counts(self) -> None:
        X = rows()
        X.flags.writeable = False
        forest = ActiveBlend(random_state=0).learn(X, judged()).decision_function(X)
        top = judged()
        top[np.argsort(-forest)[:30]] = 0
        rest = np.argsort(-forest)[60:]
        slopes = [
            np.polyfit(forest[rest], model.decision_function(X)[rest], 1)[0]
            for leeway in (0.0, 0.1)
            for model in [ActiveBlend(leeway=leeway, random_state=0).fit(X, top)]
        ]
        assert slopes[1] < slopes[0] - 0.2

    def test_the_kernel_that_foretells_the_verdicts_counts_most(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(600, 6)).astype(np.float32)
        side = X @ rng.normal(size=6) > 0  # a plane between the kinds: no row stands out
        label = np.full(600, -1, np.int8)
        label[:60] = side[:60]
        model = ActiveBlend(n_trees=20, random_state=0).fit(X, label)
        assert model.weights_[2:].sum() > 0.9
        assert model.weights_[0] < 0.01

    def test_one_verdict_moves_its_twins(self) -> None:
        X = rows()
        X.flags.writeable = False
        prior = ActiveBlend(random_state=0).learn(X, judged())
        before = prior.decision_function(X)
        up = prior.relearn(X, judged(r0=1)).decision_function(X) - before
        down = prior.relearn(X, judged(r0=0)).decision_function(X) - before
        assert up[1:10].mean() > 3 * up[20:].mean() > 0
        assert down[1:10].mean() < 3 * down[20:].mean() < 0

    def test_a_hundred_normals_leave_a_useful_order(self) -> None:
        X = rows()
        label = judged()
        label[150:250] = 0
        found = [
            np.sum(np.argsort(-model.decision_function(X))[:20] < 20)
            for y in (None, label)
            for model in [ActiveBlend(random_state=0).fit(X, y)]
        ]
        assert found[1] >= 18 > found[0]

    def test_columns_that_never_change_are_no_trouble(self) -> None:
        X = rows()
        still = np.hstack([X, np.full((len(X), 2), 7, np.float32)])
        label = judged(r0=1, r100=0)
        assert np.isfinite(
            ActiveBlend(random_state=0).fit(still, label).decision_function(X=still)
        ).all()
        nothing = np.zeros((50, 3), np.float32)
        scores = ActiveBlend(random_state=0).fit(nothing, label[:50]).decision_function(nothing)
        assert np.ptp(scores) == 0

    def test_of_more_verdicts_than_it_can_weigh_a_sample_of_each_kind_is_taken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("askew.rankers.active_blend.MOST", 5)
        label = judged(r0=1, r1=1, r2=1)
        label[200:] = 0
        taken = _judged(label, np.random.default_rng(0))
        assert taken[:3].tolist() == [0, 1, 2]
        assert len(set(taken[3:].tolist())) == 5
        assert (label[taken[3:]] == 0).all()


def foretelling(noisy: NDArray[np.float64], gap: NDArray[np.float64]) -> float:
    """Log density of each gap given the others, one left out after the other."""
    expected, variance = np.empty(len(gap)), np.empty(len(gap))
    for i in range(len(gap)):
        rest = [j for j in range(len(gap)) if j != i]
        to = np.linalg.solve(noisy[np.ix_(rest, rest)], noisy[rest, i])
        expected[i], variance[i] = to @ gap[rest], noisy[i, i] - to @ noisy[rest, i]
    scale = (4 * 0.1 + ((gap - expected) ** 2 / variance).sum()) / (4 + len(gap))
    constant = 0.5 * len(gap) * np.log(2 * np.pi)  # the same for every kernel
    return float(norm.logpdf(gap, expected, np.sqrt(scale * variance)).sum() + constant)


class TestRankSpace:
    def test_a_column_becomes_normal_scores_of_its_ranks(self) -> None:
        X = np.array([[1, 5], [2, 5], [2, 5], [1000, 5]], np.float32)
        space = RankSpace.of(X, np.random.default_rng(0))
        expected = zscore(norm.ppf([0.125, 0.5, 0.5, 0.875]))
        np.testing.assert_allclose(space.place(X)[:, 0], expected, rtol=1e-6)
        assert space.columns.tolist() == [0]

    def test_what_was_never_seen_lies_between_its_neighbors_or_at_the_end(self) -> None:
        X = np.array([[1], [2], [4]], np.float32)
        space = RankSpace.of(X, np.random.default_rng(0))
        low, middle, high = space.place(X)[:, 0]
        placed = space.place(np.array([[3], [-9], [99]], np.float32))[:, 0]
        np.testing.assert_allclose(placed, [(middle + high) / 2, low, high], rtol=1e-6)

    def test_of_many_values_enough_are_kept_to_tell_any_two_ranks_nearly(self) -> None:
        X = np.random.default_rng(0).lognormal(size=(50_000, 1)).astype(np.float32)
        space = RankSpace.of(X, np.random.default_rng(0))
        assert space.values.shape == (1, 1000)
        exact = zscore(norm.ppf((rankdata(X[:, 0]) - 0.5) / len(X)))
        inner = np.abs(exact) < 3
        assert np.abs(space.place(X)[:, 0] - exact)[inner].max() < 0.1
