"""The default's members and their blend."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    IsolationForest,
)
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from askew.errors import FitError, MethodError, ModelFileError
from askew.persist import _lift, _lower
from askew.rankers import (
    RANKERS,
    ActiveBlend,
    BaggedBoosting,
    BaggedTrees,
    Blend,
    ExtraTrees,
    IsolationTrees,
    KernelLogistic,
    Mahalanobis,
    NeighborRatio,
    Ranker,
)
from askew.rankers.bags import LEAST, draw_bags
from askew.rankers.base import balanced_weights
from askew.rankers.flat_trees import FlatTrees
from askew.rankers.isolation_trees import isolation_trees
from askew.rankers.kernel_logistic import orthogonal_directions
from askew.rankers.whitened_space import WhitenedSpace

SMALL: dict[str, Ranker] = {
    "BaggedTrees": BaggedTrees(n_bags=4, n_trees=5, random_state=0),
    "BaggedBoosting": BaggedBoosting(n_bags=4, n_trees=5, random_state=0),
    "KernelLogistic": KernelLogistic(n_directions=60, random_state=0),
    "NeighborRatio": NeighborRatio(max_rows=100, random_state=0),
    "NeighborRatio, whitened": NeighborRatio(space="whitened", max_rows=100, random_state=0),
    "NeighborRatio on ranks": NeighborRatio(space="ranks", max_rows=100, random_state=0),
    "ExtraTrees": ExtraTrees(n_trees=30, max_rows=300, random_state=0),
    "IsolationTrees": IsolationTrees(n_trees=30, random_state=0),
    "Mahalanobis": Mahalanobis(max_rows=300, random_state=0),
    "Blend": Blend(random_state=0),
    "ActiveBlend": ActiveBlend(n_trees=20, random_state=0),
}
rankers = pytest.mark.parametrize("name", SMALL)


def table(n: int = 400, d: int = 6) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Give rows of which the first 30 lie off in two columns; ten of them and 20 others judged."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d)).astype(np.float32)
    X[:30, :2] += 3.5
    y = np.full(n, -1, np.int8)
    y[:10] = 1
    y[200:220] = 0
    return X, y


def truth(n: int = 400) -> NDArray[np.bool_]:
    return np.arange(n) < 30


def known(labels: dict[int, int], n: int = 400) -> NDArray[np.int64]:
    """Label so many rows of a kind: anomalies from the start, normals from the end."""
    y = np.full(n, -1)
    y[: labels.get(1, 0)] = 1
    y[n - labels.get(0, 0) :] = 0
    return y


def test_every_registered_ranker_is_a_case() -> None:
    assert {type(ranker).__name__ for ranker in SMALL.values()} == set(RANKERS)


@rankers
def test_hidden_anomalies_are_ranked_high(name: str) -> None:
    X, y = table()
    scores = clone(SMALL[name]).fit(X, y).decision_function(X)
    open_rows = y == -1
    assert roc_auc_score(truth()[open_rows], scores[open_rows]) > 0.93


@rankers
def test_a_row_scores_alike_alone_in_any_order_and_on_any_number_of_threads(name: str) -> None:
    X, y = table()
    model = clone(SMALL[name]).fit(X, y)
    many = np.random.default_rng(0).normal(size=(2500, X.shape[1])).astype(np.float32)
    scores = model.decision_function(many)
    order = np.random.default_rng(1).permutation(len(many))
    np.testing.assert_array_equal(model.decision_function(many[order]), scores[order])
    np.testing.assert_array_equal(model.decision_function(many[:1]), scores[:1])
    np.testing.assert_array_equal(model.decision_function(many[77:400]), scores[77:400])
    with threadpool_limits(2):
        np.testing.assert_array_equal(model.decision_function(many), scores)


@rankers
def test_the_seed_alone_decides(name: str) -> None:
    X, y = table()
    before = X.copy(), y.copy()
    np.random.seed(0)  # noqa: NPY002  # the global state is what is looked at
    state = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    first = clone(SMALL[name]).fit(X, y).decision_function(X)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]  # noqa: NPY002
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
    np.testing.assert_array_equal(clone(SMALL[name]).fit(X, y).decision_function(X), first)
    other = clone(SMALL[name]).set_params(random_state=1).fit(X, y).decision_function(X)
    assert (other != first).any()


@rankers
def test_a_saved_state_scores_alike(name: str) -> None:
    X, y = table()
    model = clone(SMALL[name]).fit(X, y)
    arrays: dict[str, Any] = {}
    text = json.dumps(_lift(model, arrays, ""))
    again = _lower(json.loads(text), arrays)
    np.testing.assert_array_equal(again.decision_function(X), model.decision_function(X))


@rankers
def test_a_state_that_is_not_its_own_is_refused(name: str) -> None:
    X, y = table()
    model = clone(SMALL[name]).fit(X, y)
    state = model.get_state()
    for key in state:
        with pytest.raises(ModelFileError):
            clone(model).set_state({k: v for k, v in state.items() if k != key})
        with pytest.raises(ModelFileError):
            clone(model).set_state({**state, key: object()})
    with pytest.raises(ModelFileError):
        clone(model).set_state({**state, "n_features_in_": 2})


@pytest.mark.parametrize("name", [n for n, r in SMALL.items() if r.needs_anomalies])
def test_without_an_anomaly_the_learners_refuse(name: str) -> None:
    X, y = table()
    with pytest.raises(
        FitError, match=f"{type(SMALL[name]).__name__} needs at least one known anomaly"
    ):
        clone(SMALL[name]).fit(X, np.where(y == 1, -1, y))


@rankers
def test_a_state_out_of_range_is_refused(name: str) -> None:
    X, y = table()
    state = clone(SMALL[name]).fit(X, y).get_state()
    bad: list[dict[str, Any]] = [{"n_features_in_": value} for value in (0, -1, np.inf)]
    if name == "KernelLogistic":
        bad += [{"intercept": np.nan}, {"scale": np.zeros(6)}]
    if name.startswith("NeighborRatio"):
        bad += [{"floor": 0.0}, {"rows": state["rows"][:, :5]}, {"anomalies": np.zeros((0, 6))}]
    if name == "NeighborRatio, whitened":
        bad += [{"whitening": np.zeros((6, 5))}, {"center": np.zeros(5)}]
    if name == "NeighborRatio on ranks":
        bad += [{"columns": np.arange(1, 7)}, {"values": -state["values"]}]
    if name == "Mahalanobis":
        bad += [{"whitening": np.zeros((6, 5))}, {"scale": np.zeros(6)}]
    if name == "Blend":
        member, *_ = state["members"][0]
        bad += [{"members": [[member, *rest]]} for rest in ((1, 0, 0), (np.nan, 0, 1), (1, 0, -1))]
    if "trees" in state:
        bad += [{"trees": {**state["trees"], "child": 10**30}}]
    for change in bad:
        with pytest.raises(ModelFileError):
            clone(SMALL[name]).set_state({**state, **change})


@rankers
def test_rows_left_out_are_told_and_kept(name: str) -> None:
    X, y = table(9000)
    model = clone(SMALL[name]).fit(X, y)
    assert model.subsampled_ is not None
    assert "of 9,000 rows" in model.subsampled_
    again = clone(model)
    again.set_state(model.get_state())
    assert again.subsampled_ == model.subsampled_
    few = clone(SMALL[name]).fit(X[:20], np.r_[[1] * 10, [0] * 10])
    assert few.subsampled_ is None


@pytest.mark.parametrize("name", [n for n, r in SMALL.items() if r.needs_anomalies])
def test_with_nothing_but_anomalies_the_learners_refuse(name: str) -> None:
    with pytest.raises(FitError, match="20 rows, every one a known anomaly"):
        clone(SMALL[name]).fit(table()[0][:20], np.ones(20, int))


class TestBlend:
    def test_with_nothing_but_anomalies_it_isolates(self) -> None:
        model = Blend(random_state=0).fit(table()[0][:20], np.ones(20, int))
        kinds = [type(member) for member, *_ in model.members_]
        assert kinds == [IsolationTrees, IsolationTrees, Mahalanobis]

    def test_known_normals_alone_raise_no_warning_of_labels(self) -> None:
        # Inside, the other rows stand for anomalies: no reader of labels may meet that.
        X, _ = table(1100)
        y = np.r_[np.full(100, -1), np.zeros(1000, int)]
        assert len(Blend(random_state=0).fit(X, y).members_) == 12

    @pytest.mark.parametrize(
        ("labels", "members"),
        [
            ({}, 3),
            ({1: 1}, 12),
            ({1: 10}, 12),
            ({0: 20}, 12),
            ({1: 5, 0: 20}, 12),
            ({1: 30, 0: 370}, 12),
        ],
    )
    def test_every_kind_of_labelling_ranks_anomalies_high(
        self, labels: dict[int, int], members: int
    ) -> None:
        X, y = table()[0], known(labels)
        model = Blend(random_state=0).fit(X, y)
        assert len(model.members_) == members
        open_rows = y != 1
        if labels.get(1) == 30:
            open_rows = np.ones(400, bool)
        assert roc_auc_score(truth()[open_rows], model.decision_function(X)[open_rows]) > 0.9

    def test_it_is_the_weighted_sum_of_its_members(self) -> None:
        X, y = table()
        model = Blend(random_state=0).fit(X, y)
        z = model.member_scores(X)
        np.testing.assert_allclose(z[y != 1].mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(z[y != 1].std(0), 1)
        weights = np.array([weight for _, weight, _, _ in model.members_])
        np.testing.assert_allclose(z @ weights, model.decision_function(X))

    def test_a_verdict_moves_its_row(self) -> None:
        X, y = table()
        more = y.copy()
        more[300] = 1
        ranks = [
            (-Blend(random_state=0).fit(X, labels).decision_function(X)).argsort().argsort()[300]
            for labels in (y, more)
        ]
        assert ranks[1] < ranks[0]

    def test_odd_shapes_work(self) -> None:
        rng = np.random.default_rng(0)
        for n, d in ((2, 1), (3, 500), (50, 1), (30, 200)):
            X = rng.normal(size=(n, d))
            y = np.r_[1, np.full(n - 1, -1)]
            assert np.isfinite(Blend(random_state=0).fit(X, y).decision_function(X)).all()


class TestBags:
    @given(
        anomalies=st.integers(1, 60),
        normals=st.integers(0, 300),
        others=st.integers(0, 300),
        seed=st.integers(0, 100),
    )
    @settings(max_examples=60, deadline=None)
    def test_a_bag_holds_the_anomalies_and_a_few_others_once_each(
        self, anomalies: int, normals: int, others: int, seed: int
    ) -> None:
        label = np.repeat([1, 0, -1], [anomalies, normals, others]).astype(np.int8)
        for rows, anomaly in draw_bags(label, 3, np.random.default_rng(seed)):
            assert len(set(rows)) == len(rows)
            assert set(rows[anomaly]) == set(range(anomalies))
            assert (label[rows[~anomaly]] != 1).all()
            size = max(LEAST, 4 * anomalies)
            assert (~anomaly).sum() == min(size, normals + others)
            if others >= size:
                assert (label[rows] == 0).sum() == min(size, normals // 2)


class TestFlatTrees:
    def test_walks_of_any_length_end_where_scikit_learns_do(self) -> None:
        # A chain: one cut takes a single row away, so some walks are short and some long.
        X = (2.0 ** np.arange(40, dtype=np.float32))[:, np.newaxis]
        tree = DecisionTreeRegressor(random_state=0).fit(X, X[:, 0])
        trees = FlatTrees.of([(tree.tree_, tree.tree_.value[:, 0, 0])])
        assert trees._depth > 20
        np.testing.assert_array_equal(trees.mean(X), tree.predict(X))
        np.testing.assert_array_equal(trees.mean(X[[3]]), tree.predict(X[[3]]))

    def test_extra_trees_vote_as_scikit_learns_do(self) -> None:
        X, y = table()
        forest = ExtraTreesClassifier(20, random_state=0).fit(X, y == 1)
        share = [t.tree_.value[:, 0, 1] / t.tree_.value[:, 0].sum(1) for t in forest.estimators_]
        flat = FlatTrees.of(zip((t.tree_ for t in forest.estimators_), share, strict=True))
        np.testing.assert_allclose(flat.mean(X), forest.predict_proba(X)[:, 1], rtol=1e-12)

    def test_boosted_trees_add_up_as_scikit_learns_do(self) -> None:
        X, y = table()
        boosted = GradientBoostingClassifier(n_estimators=15, random_state=0, init="zero")
        boosted.fit(X, y == 1)
        flat = FlatTrees.of((t.tree_, t.tree_.value[:, 0, 0]) for t in boosted.estimators_[:, 0])
        np.testing.assert_allclose(15 * 0.1 * flat.mean(X), boosted.decision_function(X), rtol=1e-9)

    def test_damaged_trees_are_refused(self) -> None:
        X, y = table()
        state = BaggedTrees(n_bags=2, n_trees=3, random_state=0).fit(X, y).trees_.state()
        n = len(state["value"])
        leaf = int(np.flatnonzero(state["child"] == np.arange(n))[0])
        inner = int(np.flatnonzero(state["child"] != np.arange(n))[1])
        width = 6 + 8

        def changed(name: str, at: int, value: float) -> dict[str, Any]:
            array = state[name].copy()
            array[at] = value
            return {**state, name: array}

        assert FlatTrees.from_state(state, width).roots.shape == (6,)
        for bad in (
            changed("child", inner, n - 1),  # its sibling would lie outside
            changed("child", inner, 2**31 - 1),
            changed("child", inner, -5),
            changed("child", inner, 0),  # a circle
            changed("child", inner, inner),  # a leaf with a finite threshold
            changed("threshold", leaf, 0.5),  # walks on to what is no child
            changed("threshold", inner, np.nan),
            changed("feature", inner, width),
            changed("feature", inner, -1),
            changed("roots", 0, n),
            changed("value", leaf, np.nan),
            {**state, "roots": state["roots"][:0]},
            {**state, "value": state["value"][:-1]},
            {**state, "child": state["child"].astype(float)},
        ):
            with pytest.raises(ModelFileError):
                FlatTrees.from_state(bad, width)


class TestIsolationTrees:
    def test_paths_are_as_long_as_scikit_learns(self) -> None:
        X, _ = table()
        X[:, 3] = X[:, 3] > 1.5  # constant in most of the nodes
        X[:, 4] = 7.0  # in all of them
        ours = -IsolationTrees(n_trees=2000, random_state=0).fit(X).decision_function(X)
        theirs = IsolationForest(n_estimators=2000, max_samples=256, random_state=0).fit(X)
        # Theirs is 2 ** (-path / c), where c is the expected path among 256 rows.
        c = 2 * (np.log(255) + np.euler_gamma) - 2 * 255 / 256
        np.testing.assert_allclose(ours, -c * np.log2(-theirs.score_samples(X)), rtol=0.04)

    def test_every_row_of_a_draw_has_a_path_of_its_own(self) -> None:
        X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
        trees = isolation_trees(X, 5, 64, 0)
        # Grown on all rows: a leaf's path is its depth, and what its rows would still need.
        leaves, depth = trees.leaves(X), np.zeros(len(trees.value))
        for node in range(len(depth)):
            if trees.child[node] != node:
                depth[trees.child[node] + np.arange(2)] = depth[node] + 1
        assert depth.max() == 6
        for column in leaves.T:
            nodes, count = np.unique(column, return_counts=True)
            still = np.array([0, 0, 1.0, 2 * (np.log(2) + np.euler_gamma) - 4 / 3])
            few = count < 4
            np.testing.assert_allclose(
                trees.value[nodes][few], depth[nodes][few] + still[count[few]]
            )

    def test_rows_that_do_not_differ_are_not_told_apart(self) -> None:
        trees = isolation_trees(np.ones((20, 4), np.float32), 3, 16, 0)
        assert len(trees.value) == 3
        np.testing.assert_allclose(
            trees.value, 2 * (np.log(15) + np.euler_gamma) - 2 * 15 / 16, rtol=1e-12
        )

    def test_a_column_that_varies_is_found_among_thousands_that_do_not(self) -> None:
        X = np.zeros((40, 3000), np.float32)
        X[:, 1234] = np.arange(40)
        trees = isolation_trees(X, 4, 32, 0)
        assert set(trees.feature[trees.child != np.arange(len(trees.child))]) == {1234}
        scores = IsolationTrees(n_trees=200, random_state=0).fit(X).decision_function(X)
        assert set(scores.argsort()[-2:]) == {0, 39}


class TestBlendWeights:
    @pytest.mark.parametrize(
        ("labels", "outlying", "shown", "trust"),
        [
            ({}, 1, 0, 0),
            ({1: 3}, 1, 0, 1),
            ({1: 3, 0: 50}, 0.5, 0.5, 1),
            ({1: 3, 0: 150}, 0.25, 0.75, 1),
            ({0: 50}, 1, 0.5, 0.5),
            ({0: 150}, 1, 0.75, 0.75),
        ],
    )
    def test_known_normals_move_weight_to_what_learns_from_them(
        self, labels: dict[int, int], outlying: float, shown: float, trust: float
    ) -> None:
        X, y = table()[0], known(labels)
        model = Blend(random_state=0).fit(X, y)
        weights = [weight for _, weight, *_ in model.members_]
        assert weights[:3] == pytest.approx([0.25 * outlying, 0.25 * outlying, 0.2 * outlying])
        few = np.array([0.25, 0.25, 1, 1, 1, 0.7, 0.7, 0.7, 0.7])
        many = np.array([0.5, 0.5, 1, 1, 0.5, 0.5, 0, 0, 0])
        learners = (trust * ((1 - shown) * few + shown * many))[: 9 * bool(trust)]
        assert weights[3:] == pytest.approx(learners)


class TestBlendSuspects:
    def test_clean_learners_do_not_see_the_rows_that_stand_out_most(self) -> None:
        X, y = table()
        seen = {type(m): m for m, *_ in Blend(random_state=0).fit(X, y).members_}
        # 370 rows were not looked at, 37 of them are suspects: the 20 hidden anomalies among them.
        rows = seen[NeighborRatio].rows_
        assert len(rows) == 400 - 10 - 37
        hidden = seen[NeighborRatio].space_.place(X[10:30])
        away = np.abs(rows[:, np.newaxis] - hidden).max(2).min(0)
        assert (away > 1e-9).sum() >= 15

    def test_hidden_anomalies_harm_less(self) -> None:
        # Fifty of four hundred: without the two steps they would be taken for normal.
        rng = np.random.default_rng(3)
        X = rng.normal(size=(400, 6)).astype(np.float32)
        X[:50, 2] += 4
        y = np.r_[[1] * 3, np.full(397, -1)]
        model = Blend(random_state=0).fit(X, y)
        alone = NeighborRatio(random_state=0).fit(X, y)
        within = next(m for m, *_ in model.members_ if isinstance(m, NeighborRatio))
        hidden = np.arange(397) < 47
        aucs = [roc_auc_score(hidden, m.decision_function(X)[3:]) for m in (alone, within)]
        assert aucs[1] > aucs[0]

    def test_a_big_table_is_learnt_from_a_sample_that_is_told(self) -> None:
        X, y = table(21_000)
        model = Blend(random_state=0).fit(X, y)
        assert model.subsampled_ is not None
        assert model.subsampled_.startswith("Blend: 20,030 of 21,000 rows")


class TestMahalanobis:
    def test_it_is_the_log_distance_by_the_shrunk_covariance(self) -> None:
        X, _ = table()
        z = (X.astype(float) - X.mean(0, dtype=float)) / X.std(0, dtype=float)
        theirs = LedoitWolf().fit(z).mahalanobis(z)
        ours = Mahalanobis().fit(X).decision_function(X)
        np.testing.assert_allclose(ours, np.log1p(theirs), rtol=1e-5)

    def test_a_column_that_says_nothing_changes_nothing(self) -> None:
        X, _ = table()
        wide = np.hstack([X, np.full((len(X), 1), 5, np.float32)])
        plain, more = (Mahalanobis().fit(x).decision_function(x) for x in (X, wide))
        assert spearmanr(plain, more)[0] > 0.999


class TestNeighborRatio:
    def test_it_compares_the_mean_distances(self) -> None:
        X, y = table()
        ours = NeighborRatio(n_rows=4, n_anomalies=2).fit(X, y)
        new = np.random.default_rng(5).normal(size=(30, 6)).astype(np.float32) + 1
        z, at = ((x - X.mean(0, dtype=float)) / X.std(0, dtype=float) for x in (X, new))
        away = np.sort(cdist(at, z[y != 1]), 1)[:, :5].mean(1)
        near = np.sort(cdist(at, z[y == 1]), 1)[:, :2].mean(1)
        expected = np.log((away + ours.floor_) / (near + ours.floor_))
        np.testing.assert_allclose(ours.decision_function(new), expected, rtol=1e-9)
        typical = np.median(pdist(z))
        assert ours.floor_ == pytest.approx(0.1 * typical, rel=1e-6)

    def test_whitened_it_takes_mahalanobis_distances(self) -> None:
        X, y = table()
        X[:, 3] = X[:, 2] + 0.3 * X[:, 3]
        ours = NeighborRatio(space="whitened", n_rows=4, n_anomalies=2).fit(X, y)
        new = np.random.default_rng(5).normal(size=(30, 6)).astype(np.float32) + 1
        z, at = ((x - X.mean(0, dtype=float)) / X.std(0, dtype=float) for x in (X, new))
        inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(z).covariance_)
        away = np.sort(cdist(at, z[y != 1], "mahalanobis", VI=inverse), 1)[:, :5].mean(1)
        near = np.sort(cdist(at, z[y == 1], "mahalanobis", VI=inverse), 1)[:, :2].mean(1)
        expected = np.log((away + ours.floor_) / (near + ours.floor_))
        np.testing.assert_allclose(ours.decision_function(new), expected, rtol=1e-5)

    def test_on_ranks_the_scale_of_a_column_plays_no_part(self) -> None:
        X, y = table()
        bent = X.copy()
        bent[:, 2] = np.exp(3 * X[:, 2])
        plain, other = (
            NeighborRatio(space="ranks", random_state=0).fit(x, y).decision_function(x)
            for x in (X, bent)
        )
        np.testing.assert_allclose(plain, other, rtol=1e-5)

    def test_an_unknown_space_is_refused(self) -> None:
        X, y = table()
        with pytest.raises(MethodError, match="space is 'round'; expected one of standard, whit"):
            NeighborRatio(space="round").fit(X, y)  # type: ignore[arg-type]


class TestWhitenedSpace:
    def test_its_columns_are_uncorrelated_and_stay_nearest_to_those_they_come_from(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(4000, 3)).astype(np.float32)
        X[:, 1] = 0.8 * X[:, 0] + 0.6 * X[:, 1]
        X = np.hstack([X, np.full((4000, 1), 7, np.float32)])
        placed = WhitenedSpace.of(X).place(X)
        np.testing.assert_allclose(np.cov(placed[:, :3].T), np.eye(3), atol=0.02)
        np.testing.assert_array_equal(placed[:, 3], 0)
        # The symmetric root: both of a pair keep the same share of themselves.
        own = [np.corrcoef(placed[:, j], X[:, j])[0, 1] for j in range(3)]
        assert own[0] == pytest.approx(own[1], abs=0.01)
        assert own[0] == pytest.approx((np.sqrt(1.8) + np.sqrt(0.2)) / 2, abs=0.01)

    def test_columns_without_any_spread_place_every_row_alike(self) -> None:
        space = WhitenedSpace.of(np.ones((5, 2), np.float32))
        np.testing.assert_array_equal(space.place(np.ones((3, 2), np.float32)), 0)


class TestExtraTrees:
    def test_it_votes_as_scikit_learns_forest_of_weighed_kinds(self) -> None:
        X, y = table(1500)
        y[y == 0] = -1
        ours = ExtraTrees(n_trees=200, max_features=0.5, random_state=0).fit(X, y)
        theirs = ExtraTreesClassifier(
            200, min_samples_leaf=2, max_features=3, class_weight="balanced", random_state=1
        ).fit(X, y == 1)
        votes = np.exp(ours.decision_function(X)) - 0.01
        assert np.corrcoef(votes, theirs.predict_proba(X)[:, 1])[0, 1] > 0.98

    def test_wide_tables_have_so_many_columns_looked_at_and_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[Any] = []

        def spied(**settings: Any) -> Any:
            looked.append(settings["max_features"])
            return ExtraTreesRegressor(**settings)

        monkeypatch.setattr("askew.rankers.extra_trees.ExtraTreesRegressor", spied)
        for d, share in ((7, 0.5), (300, 0.5), (300, "sqrt")):
            X, y = table(60, d)
            ExtraTrees(n_trees=2, max_features=share, random_state=0).fit(X, y[:60])  # type: ignore[arg-type]
        assert looked == [4, 50, "sqrt"]


class TestKernelLogistic:
    def test_directions_are_orthogonal_and_as_long_as_gaussian_ones(self) -> None:
        W = orthogonal_directions(30, 90, np.random.default_rng(0))
        assert W.shape == (30, 90)
        block = W[:, :30].T @ W[:, :30]
        np.testing.assert_allclose(block - np.diag(np.diag(block)), 0, atol=1e-9)
        assert (W**2).sum(0).mean() == pytest.approx(30, rel=0.1)

    def test_features_approximate_the_gaussian_kernel(self) -> None:
        X, y = table()
        model = KernelLogistic(n_directions=4000, bandwidths=(0.5,), random_state=0).fit(X, y)
        z = model.space_.place(X[:40])
        features = model._features(z)
        square = ((z[:, None] - z[None]) ** 2).sum(-1)
        rows = model.space_.place(X)
        median = np.median(((rows[:, None] - rows[None]) ** 2).sum(-1)[np.triu_indices(400, 1)])
        np.testing.assert_allclose(features @ features.T, np.exp(-0.5 * square / median), atol=0.05)

    def test_rare_anomalies_count_as_much_as_all_others(self) -> None:
        X, y = table()
        scores = KernelLogistic(n_directions=300, random_state=0).fit(X, y).decision_function(X)
        # Unweighted, ten rows in four hundred would never be more likely than not.
        assert (scores[y == 1] > 0).mean() >= 0.8
        assert (scores[100:] < 0).mean() > 0.9

    def test_kinds_are_weighed_evenly_and_known_normals_up_to_half(self) -> None:
        label = np.repeat([1, 0, -1], [5, 10, 985]).astype(np.int8)
        weight = balanced_weights(label)
        sums = [weight[label == kind].sum() for kind in (1, 0, -1)]
        assert sums == pytest.approx([500, 500 * 0.25, 500 * 0.75])
        all_judged = np.repeat([1, 0], [5, 95]).astype(np.int8)
        weight = balanced_weights(all_judged)
        assert weight[all_judged == 1].sum() == pytest.approx(weight[all_judged == 0].sum())


HELD = """
from contextlib import ExitStack

import numpy
from threadpoolctl import threadpool_info, threadpool_limits

from askew.rankers.threads import one_thread


def threads():
    return sorted({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})


first, second = ExitStack(), ExitStack()
with threadpool_limits(2, user_api="blas"):
    print(threads())
    first.enter_context(one_thread())
    print(threads())
    second.enter_context(one_thread())
    first.close()
    print(threads())
    second.close()
    print(threads())
"""


def test_libraries_are_held_to_one_thread_until_the_last_has_left() -> None:
    # In a process of its own: a ranking that another test left running would hold them too.
    ran = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["[2]", "[1]", "[1]", "[2]"]
