"""Each loss and its gradient against a slow loop, row by row, written from the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from askew.deep import DeepSAD, DevNet, Method, Reconstruct
from askew.deep.draws import Size
from askew.deep.method import Batch
from askew.deep.nets import Net
from askew.deep.rows import Rows, Term
from askew.deep.train import spawn, train
from tests.contract.cases import CASES, PAIRS, D, full_batch, prepared, table
from tests.slow import slow_cost

EVERY = CASES | PAIRS


@pytest.mark.parametrize("name", EVERY)
def test_loss_and_gradient_equal_a_slow_loop(name: str) -> None:
    """Every method, every wrapper, every legal pair: the same sum, and the same slope of it."""
    method = EVERY[name]()
    net, batch = prepared(method), full_batch(method, rows=12)
    parameters = list(method.trainable(net))
    fast = torch.stack([t.cost() for t in method.terms(net, batch).values()]).sum(0)
    slow = torch.stack([slow_cost(method, net, k, batch) for k in range(2)])
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-11)
    got = torch.autograd.grad(fast.sum(), parameters, allow_unused=True)
    wanted = torch.autograd.grad(slow.sum(), parameters, allow_unused=True)
    moved = 0
    for p, g, w in zip(parameters, got, wanted, strict=True):
        nothing = torch.zeros_like(p)
        torch.testing.assert_close(
            nothing if g is None else g, nothing if w is None else w, rtol=1e-7, atol=1e-9
        )
        moved += int(g is not None and bool(g.abs().max() > 0))
    assert moved > 0


def part(module: nn.Module, i: int) -> Any:
    return list(module.children())[i]


class TestDeepSAD:
    """The specification's worked values: d = 4, eta = 2."""

    def net(self) -> Net:
        net = DeepSAD(hidden=(2,), batch_norm=False).network((2,), spawn(0, 1)).to(torch.float64)
        with torch.no_grad():
            part(net.encoder, 0).weight.copy_(torch.eye(2))
        return net

    def losses(self, label: list[int]) -> Tensor:
        x = torch.tensor([[[2.0, 0.0]] * 3], dtype=torch.float64)
        rows = Rows(x, torch.tensor([label]))
        return DeepSAD(eta=2.0, hidden=(2,)).terms(self.net(), {"rows": rows})["sad"].loss

    def test_worked_values(self) -> None:
        wanted = torch.tensor([[4.0, 2 * (4 + 1e-6), 2 / (4 + 1e-6)]], dtype=torch.float64)
        torch.testing.assert_close(self.losses([-1, 0, 1]), wanted)

    def test_an_anomaly_is_pushed_away_from_the_center(self) -> None:
        net = self.net()
        rows = Rows(torch.tensor([[[2.0, 0.0]]], dtype=torch.float64), torch.tensor([[1]]))
        method = DeepSAD(hidden=(2,))
        before = method.score(net, rows.x)
        method.terms(net, {"rows": rows})["sad"].mean().sum().backward()  # type: ignore[no-untyped-call]
        weight = part(net.encoder, 0).weight
        with torch.no_grad():
            weight -= 0.1 * weight.grad
        assert method.score(net, rows.x) > before

    def test_the_center_keeps_away_from_zero_leaves_anomalies_out_and_stays(self) -> None:
        x, label = table(dtype=torch.float64)
        method = DeepSAD(hidden=(5, 3))
        net = method.network((D,), spawn(1, 2)).to(torch.float64).eval()
        x = 20 * x + 40.0 * (label == 1).unsqueeze(-1)  # far enough for codes beyond 0.1
        rows = Rows(x.unsqueeze(0), label.unsqueeze(0))
        method.before_fit(net, rows)
        assert net.center.abs().min() >= 0.1
        plain = net.encode(x[label != 1].expand(2, -1, D)).mean(1, keepdim=True)
        big = plain.abs() >= 0.1
        assert big.any()
        assert not big.all()
        torch.testing.assert_close(net.center[big], plain[big])
        assert "center" not in dict(net.named_parameters())

    @pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
    def test_pretraining_reaches_the_encoder(self) -> None:
        x, label = table(dtype=torch.float64)
        pretraining = DeepSAD(hidden=(5, 3)).stages()[0]
        assert isinstance(pretraining, Reconstruct)
        alone, _ = train(pretraining, x, label, generators=spawn(1, 1), epochs=2)
        found: list[Tensor] = []

        @dataclass(eq=False, repr=False)
        class Looking(Method):
            """Deep SAD's second stage, which notes the weights it finds and leaves them."""

            def stages(self) -> tuple[Method, ...]:
                return (*DeepSAD(hidden=(5, 3)).stages()[:-1], self)

            def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
                return DeepSAD(hidden=(5, 3)).network(shape, generators)

            def before_fit(self, net: Net, rows: Rows) -> None:
                found.extend(value.clone() for value in net.encoder.state_dict().values())

            def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
                return DeepSAD(hidden=(5, 3)).terms(net, batch)

            def score(self, net: Net, x: Tensor) -> Tensor:
                return DeepSAD(hidden=(5, 3)).score(net, x)

        train(Looking(), x, label, generators=spawn(1, 1), epochs=2)
        for value, wanted in zip(found, alone.encoder.state_dict().values(), strict=True):
            assert torch.equal(value, wanted)

    def test_parameter_counts_of_the_published_networks(self) -> None:
        plans = {
            (274, (128, 64, 32)): 45_312,
            (21, (32, 16, 8)): 1_312,
            (36, (32, 16, 8)): 1_792,
            (9, (32, 16, 8)): 928,
            (6, (32, 16, 4)): 768,
        }
        for (d, hidden), count in plans.items():
            net = DeepSAD(hidden=hidden).network((d,), spawn(0, 1))
            assert sum(p.numel() for p in net.encoder.parameters()) == count
            assert not any("bias" in name or "shift" in name for name, _ in net.named_parameters())


class TestDevNet:
    def test_worked_values(self) -> None:
        """Scores (0, 0, 5, 3, -1) with labels (0, 1, 1, 1, 0) cost 1.6 at mu 0, sigma 1."""
        method = DevNet(hidden=(), l2=0.0)
        net = method.network((1,), spawn(0, 1)).to(torch.float64)
        with torch.no_grad():
            head: Any = net.head
            head.weight.fill_(1.0)
            head.bias.fill_(0.0)
        net.mu.zero_()
        net.sigma.fill_(1.0)
        x = torch.tensor([0.0, 0, 5, 3, -1], dtype=torch.float64).view(1, 5, 1)
        rows = Rows(x, torch.tensor([[0, 1, 1, 1, 0]]))
        (term,) = method.terms(net, {"rows": rows}).values()
        assert term.loss.tolist() == [[0, 5, 0, 2, 1]]
        assert term.mean().item() == pytest.approx(1.6)

    def test_half_of_every_batch_is_anomalous_and_steps_do_not_depend_on_the_table(self) -> None:
        _, label = table()
        drawn = DevNet().draw(label, Size(4, 10), spawn(0, 1)[0])["rows"]
        assert ((label[drawn] == 1).sum(1) == 5).all()
        assert (DevNet().recipe().epochs, DevNet().recipe().steps_per_epoch) == (50, 20)

    def test_the_reference_sample_is_standard_normal(self) -> None:
        net = DevNet().network((3,), spawn(0, 4))
        assert net.mu.abs().max() < 0.06
        assert (net.sigma - 1).abs().max() < 0.04
        assert len(net.mu.unique()) == 4
