"""Each loss and its gradient against a slow loop, row by row, written from the equations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from askew.deep import DeepSAD, DeepSVDD, DevNet, Method, Reconstruct
from askew.deep.method import Batch
from askew.deep.nets import BatchNorm, Linear, Net
from askew.deep.rows import Rows, Term
from askew.deep.train import spawn, train
from tests.contract.cases import D, table

MEMBERS, ROWS = 2, 12


def slow_forward(layers: Any, member: int, rows: list[Tensor]) -> list[Tensor]:
    """Pass one member's rows through, one row and one unit at a time."""
    for layer in layers:
        if isinstance(layer, Linear):
            w = layer.weight[member]
            b = None if layer.bias is None else layer.bias[member, 0]
            out = []
            for row in rows:
                units = [(row * w[:, j]).sum() for j in range(w.shape[1])]
                out.append(torch.stack(units) + (0 if b is None else b))
            rows = out
        elif isinstance(layer, BatchNorm):
            columns = torch.stack(rows).unbind(1)
            normal = []
            for column in columns:
                mean = sum(column) / len(column)
                var = sum((v - mean) ** 2 for v in column) / len(column)
                normal.append(torch.stack([(v - mean) / (var + 1e-4) ** 0.5 for v in column]))
            rows = list(torch.stack(normal, 1))
        elif isinstance(layer, nn.LeakyReLU):
            rows = [torch.where(row > 0, row, 0.01 * row) for row in rows]
        elif isinstance(layer, nn.ReLU):
            rows = [torch.where(row > 0, row, 0 * row) for row in rows]
        elif isinstance(layer, nn.Sigmoid):
            rows = [1 / (1 + torch.exp(-row)) for row in rows]
        else:
            raise AssertionError(f"no slow form of {layer}")
    return rows


def part(module: nn.Module, i: int) -> Any:
    return list(module.children())[i]


def slow_reconstruct(net: Net, k: int, x: list[Tensor], label: list[int]) -> Tensor:
    rebuilt = slow_forward(net.head, k, slow_forward(net.encoder, k, x))
    errors = [
        sum((a - b) ** 2 for a, b in zip(r, row, strict=True)) / D
        for r, row in zip(rebuilt, x, strict=True)
    ]
    return torch.stack(errors).sum() / len(x)


def distances(net: Net, k: int, x: list[Tensor]) -> list[Tensor]:
    codes = slow_forward(net.encoder, k, x)
    return [((code - net.center[k, 0]) ** 2).sum() for code in codes]


def slow_svdd(net: Net, k: int, x: list[Tensor], label: list[int]) -> Tensor:
    return torch.stack(distances(net, k, x)).sum() / len(x)


def slow_sad(net: Net, k: int, x: list[Tensor], label: list[int]) -> Tensor:
    eta, total = 3.0, torch.zeros((), dtype=torch.float64)
    for d, y in zip(distances(net, k, x), label, strict=True):
        if y == -1:
            total = total + d
        elif y == 0:
            total = total + eta * (d + 1e-6)
        else:
            total = total + eta / (d + 1e-6)
    return total / len(x)


def slow_deviation(net: Net, k: int, x: list[Tensor], label: list[int]) -> Tensor:
    codes = slow_forward(net.encoder, k, x)
    head: Any = net.head
    weight, bias = head.weight[k, :, 0], head.bias[k, 0, 0]
    total = torch.zeros((), dtype=torch.float64)
    for code, y in zip(codes, label, strict=True):
        dev = ((code * weight).sum() + bias - net.mu[k, 0]) / net.sigma[k, 0]
        if y == 1:
            total = total + (4.0 - dev if dev < 4.0 else 0 * dev)
        else:
            total = total + (dev if dev > 0 else -dev)
    penalty = sum(
        (layer.weight[k] ** 2).sum()
        for layer in net.encoder.children()
        if isinstance(layer, Linear)
    )
    return total / len(x) + 0.02 * penalty


SLOW: dict[str, tuple[Method, Callable[[Net, int, list[Tensor], list[int]], Tensor]]] = {
    "Reconstruct": (Reconstruct(hidden=(5, 3)), slow_reconstruct),
    "DeepSVDD": (DeepSVDD(hidden=(5, 3)), slow_svdd),
    "DeepSAD": (DeepSAD(eta=3.0, hidden=(5, 3)), slow_sad),
    "DevNet": (DevNet(margin=4.0, hidden=(7, 5), l2=0.02), slow_deviation),
}


@pytest.mark.parametrize("name", SLOW)
def test_loss_and_gradient_equal_a_slow_loop(name: str) -> None:
    method, slow = SLOW[name]
    net = method.network((D,), spawn(2, MEMBERS)).to(torch.float64)
    x, _ = table(MEMBERS * ROWS, dtype=torch.float64)
    x = x.view(MEMBERS, ROWS, D)
    label = (torch.arange(MEMBERS * ROWS) % 3 - 1).view(MEMBERS, ROWS)
    with torch.no_grad():
        every = Rows(x.view(1, -1, D), label.view(1, -1))
        method.before_fit(net.eval(), every)
    net.train()
    parameters = [p for p in net.parameters()]
    fast = torch.stack(
        [t.mean() for t in method.terms(net, {"rows": Rows(x, label)}).values()]
    ).sum(0)
    slow_loss = torch.stack([slow(net, k, list(x[k]), label[k].tolist()) for k in range(MEMBERS)])
    torch.testing.assert_close(fast, slow_loss, rtol=1e-10, atol=1e-12)
    got = torch.autograd.grad(fast.sum(), parameters, allow_unused=True)
    wanted = torch.autograd.grad(slow_loss.sum(), parameters, allow_unused=True)
    moved = 0
    for g, w in zip(got, wanted, strict=True):
        assert (g is None) == (w is None)
        if g is not None and w is not None:
            torch.testing.assert_close(g, w, rtol=1e-8, atol=1e-10)
            moved += int(g.abs().max() > 0)
    assert moved > 0


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
        alone, _ = train(Reconstruct(hidden=(5, 3)), x, label, generators=spawn(1, 1), epochs=2)
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
        drawn = DevNet().draw(label, (4, 10), spawn(0, 1)[0])["rows"]
        assert ((label[drawn] == 1).sum(1) == 5).all()
        assert (DevNet().recipe().epochs, DevNet().recipe().steps_per_epoch) == (50, 20)

    def test_the_reference_sample_is_standard_normal(self) -> None:
        net = DevNet().network((3,), spawn(0, 4))
        assert net.mu.abs().max() < 0.06
        assert (net.sigma - 1).abs().max() < 0.04
        assert len(net.mu.unique()) == 4
