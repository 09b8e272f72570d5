"""ESAD: the specification's acceptance list."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from askew.deep import ESAD
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import spawn
from tests.contract.cases import D, full_batch, prepared


def toy(**options: Any) -> tuple[ESAD, Net]:
    """Encoders that are the identity, a decoder that doubles: x = z -> 2x -> second code 2x."""
    method = ESAD(hidden=(2,), batch_norm=False, noise="none", norm=3.0, agreement=5.0, **options)
    net = method.network((2,), spawn(0, 1)).double()
    net.head = nn.Sequential(next(iter(net.head.children())))  # without the sigmoid
    with torch.no_grad():
        for part, factor in ((net.encoder, 1.0), (net.head, 2.0), (net.second, 1.0)):
            next(part.parameters()).copy_(factor * torch.eye(2))
    return method, net


def rows(label: list[int]) -> Rows:
    return Rows(torch.tensor([[[3.0, 4.0]] * len(label)]).double(), torch.tensor([label]))


class TestWorkedValues:
    def test_terms_of_a_normal_row_and_an_anomaly(self) -> None:
        """Residual (3, 4), second code (6, 8) of length 10, codes that differ by (3, 4)."""
        method, net = toy()
        terms = method.terms(net, {"rows": rows([-1, 1])})
        assert terms["reconstruction"].loss[0].tolist() == pytest.approx([25, 25])
        assert terms["norm"].loss[0].tolist() == pytest.approx([10, 1 / (10 + 1e-6)])
        assert terms["agreement"].loss[0].tolist() == pytest.approx([12.5, 12.5])
        total = torch.stack([term.cost() for term in terms.values()]).sum().detach()
        wanted = 25 + 3 * (10 + 1 / (10 + 1e-6)) / 2 + 5 * 12.5
        assert float(total) == pytest.approx(wanted, abs=1e-6)
        assert method.score(net, rows([0]).x).item() == pytest.approx(12.5 + 10)

    def test_the_mean_over_columns_where_asked(self) -> None:
        method, net = toy(reduction="mean")
        terms = method.terms(net, {"rows": rows([-1])})
        assert terms["reconstruction"].loss.item() == pytest.approx(12.5)

    def test_an_anomaly_is_to_be_rebuilt_as_a_noisy_copy_of_itself(self) -> None:
        method, net = toy()
        method.noise, method.sigma = "gaussian", 0.5
        x = torch.tensor([[[0.2, 0.9]] * 2]).double()
        noise = torch.tensor([[[1.0, 1.0]] * 2]).double()
        batch = {"rows": Rows(x, torch.tensor([[0, 1]])), "noise": noise}
        normal, odd = method.terms(net, batch)["reconstruction"].loss[0].tolist()
        assert normal == pytest.approx(0.2**2 + 0.9**2)
        assert odd == pytest.approx((0.4 - 0.7) ** 2 + (1.8 - 1) ** 2)  # 0.9 + 0.5, cut to 1

    def test_by_default_images_are_permuted_and_tables_get_gaussian_noise(self) -> None:
        x = torch.linspace(0, 1, 16).double()
        for shape in ((16,), (1, 4, 4)):
            rows = Rows(x.view(1, 1, *shape), torch.tensor([[1]]))
            noise = torch.zeros(1, 1, *shape)  # no noise, or an order that is kept
            target = ESAD()._target(rows, {"rows": rows, "noise": noise + 0.25}).flatten()
            wanted = x if len(shape) > 1 else (x + 0.25).clamp(max=1)
            torch.testing.assert_close(target, wanted)


def second_length(method: ESAD, net: Net, x: Tensor) -> Tensor:
    return net.second(net(x)).square().sum(-1).sqrt()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("label", "grows"), [(1, True), (0, False), (-1, False)])
def test_a_step_makes_an_anomalys_second_code_longer_and_a_normal_ones_shorter(
    label: int, grows: bool
) -> None:
    method, net = toy()
    batch = {"rows": rows([label])}
    before = second_length(method, net, batch["rows"].x)
    method.terms(net, batch)["norm"].mean().sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for p in net.second.parameters():
            p -= 0.1 * p.grad
    assert (second_length(method, net, batch["rows"].x) > before).item() == grows


def test_loss_and_gradient_are_finite_at_a_code_of_zero() -> None:
    method, net = toy()
    batch = {"rows": Rows(torch.zeros(1, 3, 2).double(), torch.tensor([[-1, 0, 1]]))}
    cost = torch.stack([term.cost() for term in method.terms(net, batch).values()]).sum()
    cost.backward()  # type: ignore[no-untyped-call]
    assert math.isfinite(cost.item())
    for p in net.parameters():
        assert p.grad is not None
        assert p.grad.isfinite().all()


def test_encoders_share_nothing_unless_tied() -> None:
    for tied in (False, True):
        net = ESAD(hidden=(4, 3), tie_encoders=tied).network((D,), spawn(0, 2))
        first, second = ({id(p) for p in half.parameters()} for half in (net.encoder, net.second))
        assert (first == second) == tied
        assert bool(first & second) == tied


@pytest.mark.parametrize(
    ("term", "reaches"),
    [
        ("reconstruction", {"encoder", "head"}),
        ("norm", {"encoder", "head", "second"}),
        ("agreement", {"encoder", "head", "second"}),
    ],
)
def test_each_term_reaches_the_modules_it_should(term: str, reaches: set[str]) -> None:
    method = ESAD(hidden=(5, 3))
    net = prepared(method)
    loss = method.terms(net, full_batch(method))[term].mean().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    touched = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
    assert touched == reaches


def test_a_known_normal_row_counts_as_one_not_looked_at() -> None:
    method = ESAD(hidden=(5, 3))
    net, batch = prepared(method), dict(full_batch(method))
    part: Rows = batch["rows"]
    losses = []
    for label in (-1, 0):
        batch["rows"] = Rows(part.x, torch.full_like(part.label, label))
        losses.append([t.loss for t in method.terms(net, batch).values()])
    assert all(torch.equal(a, b) for a, b in zip(*losses, strict=True))


def test_permuted_targets_hold_the_rows_own_values() -> None:
    method = ESAD(hidden=(5,), noise="permute")
    batch = full_batch(method)
    target = method._target(batch["rows"], batch)
    known = batch["rows"].label == 1
    x = batch["rows"].x
    torch.testing.assert_close(target[known].sort(-1).values, x[known].sort(-1).values)
    assert (target[known] != x[known]).any()
    assert torch.equal(target[~known], x[~known])
