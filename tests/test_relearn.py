"""Learning other verdicts on the same rows: the same as learning afresh, without the work."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import zscore

from askew.rankers import ActiveBlend, Blend, IsolationKernel, JudgedForest, Ranker
from askew.rankers.isolation_kernel import _judged
from askew.rankers.isolation_trees import isolation_trees


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
    IsolationKernel(n_trees=20, random_state=0),
    ActiveBlend(random_state=0),
    JudgedForest(random_state=0),
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


@pytest.mark.parametrize("kind", [IsolationKernel, ActiveBlend])
def test_a_table_that_may_change_is_never_taken_for_the_one_before(
    kind: type[IsolationKernel | ActiveBlend],
) -> None:
    X = rows()
    model = kind(random_state=0).fit(X, judged(r0=1, r100=0))
    before = model.decision_function(X)
    X[:] = X[::-1].copy()
    np.testing.assert_array_equal(model.decision_function(X), before[::-1])
    model = model.relearn(X, judged(r0=1, r100=0))
    fresh = kind(random_state=0).fit(X, judged(r0=1, r100=0))
    np.testing.assert_array_equal(model.decision_function(X), fresh.decision_function(X))


class TestIsolationKernel:
    def test_without_verdicts_it_is_the_mean_of_forests_of_every_size(self) -> None:
        X = rows()
        model = IsolationKernel(n_trees=40, sizes=(16, 200), random_state=0).fit(X)
        scores = model.decision_function(X)
        seeds = np.random.default_rng(0).integers(2**31, size=2).tolist()
        total = np.zeros(len(X))
        for size, seed in zip((16, 200), seeds, strict=True):
            trees = isolation_trees(X, 40, size, seed)
            total += zscore(-trees.mean(X))
        np.testing.assert_allclose(scores, 0.05 * zscore(total), atol=1e-12)

    def test_the_posterior_mean_by_hand(self) -> None:
        X = rows()
        X.flags.writeable = False
        prior = IsolationKernel(n_trees=30, random_state=0).learn(X, judged())
        label = judged(r0=1, r100=0, r55=0)
        leaves = prior.trees_.leaves(X)
        same = (leaves[:, np.newaxis] == leaves[np.newaxis]).mean(-1)
        at = [0, 55, 100]
        mean = prior.decision_function(X)
        gap = np.array([1.0, 0.0, 0.0]) - mean[at]
        expected = mean + same[:, at] @ np.linalg.solve(same[np.ix_(at, at)] + 0.1 * np.eye(3), gap)
        learned = prior.relearn(X, label).decision_function(X)
        np.testing.assert_allclose(learned, expected, atol=1e-12)

    def test_one_verdict_moves_its_twins(self) -> None:
        X = rows()
        X.flags.writeable = False
        prior = IsolationKernel(random_state=0).learn(X, judged())
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
            for model in [IsolationKernel(random_state=0).fit(X, y)]
        ]
        assert found[1] >= 18 > found[0]

    def test_of_more_verdicts_than_it_can_weigh_a_sample_of_each_kind_is_taken(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("askew.rankers.isolation_kernel.MOST", 5)
        label = judged(r0=1, r1=1, r2=1)
        label[200:] = 0
        taken = _judged(label, np.random.default_rng(0))
        assert taken[:3].tolist() == [0, 1, 2]
        assert len(set(taken[3:].tolist())) == 5
        assert (label[taken[3:]] == 0).all()


def test_the_active_blend_has_its_forest_once_both_kinds_are_known() -> None:
    X = rows()
    kinds = [
        [type(member) for member, *_ in ActiveBlend(random_state=0).fit(X, label).members_]
        for label in (judged(), judged(r0=1), judged(r100=0), judged(r0=1, r100=0))
    ]
    assert kinds == [[IsolationKernel]] * 3 + [[IsolationKernel, JudgedForest]]
