"""UAI: the specification's acceptance list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from askew.deep import UAI, AnoOnly, DeepSAD, DeepSVDD, Detector, Method, PReNet, Reconstruct
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from tests.contract.cases import D, full_batch, prepared, rolled, table

pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
BASE = Reconstruct(hidden=(8, 4))
QUICK: dict[str, Any] = {"epochs": 5, "batch_size": 60}


def test_the_unit_has_a_weight_a_code_one_for_the_score_and_a_bias() -> None:
    net = UAI(BASE).network((D,), spawn(0, 1))
    assert sum(p.numel() for p in net.unit.parameters()) == 4 + 2


class TestWithoutVerdicts:
    @pytest.mark.parametrize("frozen", [False, True])
    @pytest.mark.parametrize("base", [BASE, DeepSAD(hidden=(8, 4))])
    def test_it_is_the_base(self, base: Method, frozen: bool) -> None:
        x, label = table()
        nothing = torch.full_like(label, -1)
        plain, _ = train(base, x, nothing, generators=spawn(2, 2), **QUICK)
        method = UAI(base, freeze_base=frozen)
        net, _ = train(method, x, nothing, generators=spawn(2, 2), **QUICK)
        assert torch.equal(score(method, net, x), score(base, plain, x))

    def test_the_unit_begins_as_the_scores_own_order(self) -> None:
        x, label = table(dtype=torch.float64)
        method = UAI(BASE)
        net = method.network((D,), spawn(2, 1)).double().eval()
        rows = Rows(x.unsqueeze(0), label.unsqueeze(0))
        with torch.no_grad():
            method.before_fit(net, rows)
            method.before_epoch(net, rows, {})
            assert net.told.item() == 1
            order = score(method, net, x)[0].argsort()
            assert torch.equal(order, score(BASE, net, x)[0].argsort())


class TestLoss:
    def test_rows_without_a_verdict_add_nothing(self) -> None:
        method = UAI(BASE)
        net, batch = prepared(method), dict(full_batch(method))
        told = batch["told"]
        label = torch.where(torch.arange(told.label.shape[1]) % 2 == 0, told.label, -1)
        batch["told"] = Rows(told.x, label)
        half = method.terms(net, batch)["verdict"].mean()
        even = Rows(told.x[:, ::2], told.label[:, ::2])
        wanted = method.terms(net, {**batch, "told": even})["verdict"].mean()
        torch.testing.assert_close(half, wanted)

    def test_a_flipped_verdict_changes_the_layers_term_alone(self) -> None:
        method = UAI(BASE)
        net, batch = prepared(method), full_batch(method)
        before, after = method.terms(net, batch), method.terms(net, rolled(batch))
        changed = {name for name in before if not torch.equal(before[name].loss, after[name].loss)}
        assert changed == {"verdict"}

    @pytest.mark.parametrize("frozen", [False, True])
    def test_its_gradient_reaches_the_base_unless_it_is_frozen(self, frozen: bool) -> None:
        method = UAI(BASE, freeze_base=frozen)
        net = prepared(method)
        chosen = {id(p) for p in method.trainable(net)}
        assert all((id(p) in chosen) != frozen for p in net.encoder.parameters())
        method.terms(net, full_batch(method))["verdict"].mean().sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.unit.parameters())

    @pytest.mark.parametrize("label", [[], [0, 0, 0], [1]])
    def test_it_is_finite_without_verdicts_with_one_kind_and_at_wild_scores(
        self, label: list[int]
    ) -> None:
        x, _ = table()
        x[0] = 1e6  # a squared error of 1e12
        known = torch.full((len(x),), -1)
        known[: len(label)] = torch.tensor(label, dtype=torch.int64)
        method = UAI(Reconstruct(hidden=(4,)))
        net, history = train(method, x, known, generators=spawn(0, 1), epochs=3)
        assert all(value.isfinite().all() for epoch in history for value in epoch.values())
        assert score(method, net, x).isfinite().all()


class TestFrozen:
    def test_the_base_stays_as_it_was_trained(self) -> None:
        x, label = table()
        for base in (BASE, DeepSVDD(hidden=(8, 4)), AnoOnly(DeepSAD(hidden=(8, 4)))):
            plain, _ = train(base, x, label, generators=spawn(4, 2), **QUICK)
            method = UAI(base, freeze_base=True)
            net, _ = train(method, x, label, generators=spawn(4, 2), **QUICK)
            for name, value in plain.state_dict().items():
                assert torch.equal(net.state_dict()[name], value), (base, name)
            assert not torch.equal(score(method, net, x), score(base, plain, x))

    def test_a_joint_one_moves_the_base(self) -> None:
        x, label = table()
        plain, _ = train(BASE, x, label, generators=spawn(4, 1), **QUICK)
        net, _ = train(UAI(BASE), x, label, generators=spawn(4, 1), **QUICK)
        assert not torch.equal(
            net.encoder.state_dict()["0.weight"], plain.encoder.state_dict()["0.weight"]
        )


def found(method: Method, X: np.ndarray, truth: np.ndarray, budget: int, ask: int) -> int:
    """Ask for the highest rows, round by round; count the anomalies among them."""
    y = np.full(len(X), -1)
    while (y != -1).sum() < budget:
        left = budget - (y != -1).sum()
        scores = Detector(method, epochs=40, random_state=0).fit(X, y).decision_function(X)
        scores[y != -1] = -np.inf
        for row in np.argsort(-scores)[: min(ask, left)]:
            y[row] = truth[row]
    return int((y == 1).sum())


def test_a_cluster_that_is_rebuilt_well_is_found_by_asking() -> None:
    """Anomalies close together, where the base sees nothing odd; half the size of section 11's."""
    rng = np.random.default_rng(0)
    normal = rng.normal(0, 1, (1000, 2)) + rng.choice([-3.0, 3.0], (1000, 2))
    X = np.vstack([normal, rng.normal((3.2, -0.3), 0.12, (30, 2))])
    truth = (np.arange(len(X)) >= 1000).astype(int)
    base = Reconstruct(hidden=(8, 4))
    scores = Detector(base, epochs=40, random_state=0).fit(X).decision_function(X)
    static = int(truth[np.argsort(-scores)[:60]].sum())
    asked = found(UAI(base, freeze_base=True), X, truth, budget=60, ask=10)
    assert static <= 9, static
    assert asked >= 24, (static, asked)


def test_nothing_goes_around_it_and_any_base_fits() -> None:
    for base in (BASE, PReNet(), AnoOnly(PReNet())):
        assert UAI(base).uses[-1] == 1
    with pytest.raises(MethodError, match="nothing goes around it"):
        UAI(UAI(BASE))


def test_a_trained_base_need_not_be_trained_again() -> None:
    x, label = table()
    plain, _ = train(BASE, x, label, generators=spawn(4, 2), **QUICK)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    method = UAI(BASE, freeze_base=True)
    net, history = train(method, x, label, generators=spawn(9, 2), start=plain, **QUICK)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    assert all(torch.equal(plain.state_dict()[name], value) for name, value in before.items())
    assert len(history) == QUICK["epochs"]  # one stage
    assert not torch.equal(score(method, net, x), score(BASE, plain, x))
