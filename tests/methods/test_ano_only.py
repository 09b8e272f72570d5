"""AnoOnly: the specification's algebra and acceptance list."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import (
    DAGMM,
    ESAD,
    FEAWAD,
    UAI,
    VAE,
    AnoOnly,
    DeepSAD,
    DeepSVDD,
    DevNet,
    Method,
    PReNet,
    Reconstruct,
    RoSAS,
    ScoreGuided,
)
from askew.deep.draws import Size
from askew.deep.nets import BatchNorm, Net
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import FitError, MethodError
from tests.contract.cases import full_batch, prepared, table


def gradient_at_rows(method: Method, net: Net, x: Tensor, label: list[int]) -> Tensor:
    x = x.clone().requires_grad_()
    rows = Rows(x, torch.tensor([label]))
    sum(t.cost().sum() for t in method.terms(net, {"rows": rows}).values()).backward()  # type: ignore[union-attr]
    assert x.grad is not None
    return x.grad


class TestGradients:
    """Section 3: what batch normalization does to a loss on anomalies alone."""

    x = torch.rand(1, 20, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def of(self, label: list[int], **options: Any) -> Tensor:
        method = AnoOnly(DevNet(l2=0.0), **options)
        net = method.network((5,), spawn(0, 1)).double()
        return gradient_at_rows(method, net, self.x, label)

    def test_an_unlabelled_row_gets_a_gradient_through_the_norm_alone(self) -> None:
        label = [1] * 5 + [-1] * 15
        assert self.of(label)[0, 5:].abs().max() > 1e-4
        without = self.of(label, norm=False)
        assert (without[0, 5:] == 0).all()
        assert without[0, :5].abs().max() > 1e-4

    def test_a_batch_of_anomalies_alone_has_nothing_to_learn_from(self) -> None:
        assert self.of([1] * 20).abs().max() < 1e-9
        assert self.of([1] * 10 + [-1] * 10).abs().max() > 1e-4

    def test_the_anomalies_mean_after_the_norm_is_as_derived(self) -> None:
        """m_A = (1 - p) gap / sqrt(w + p (1 - p) gap^2), m_U = -p / (1 - p) m_A."""
        p, gap, n = 0.25, 3.0, 4000
        generator = torch.Generator().manual_seed(0)
        u = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        odd = torch.arange(n) < p * n
        for group in (odd, ~odd):
            u[group] = (u[group] - u[group].mean()) / u[group].std(correction=0) * 0.7
        u[odd] += gap
        out = BatchNorm(1, 1, eps=0.0).train()(u.unsqueeze(0).float()).double()[0, :, 0]
        wanted = (1 - p) * gap / math.sqrt(0.49 + p * (1 - p) * gap**2)
        assert out[odd].mean().item() == pytest.approx(wanted, abs=1e-4)
        assert out[~odd].mean().item() == pytest.approx(-p / (1 - p) * wanted, abs=1e-4)


class TestHandWrittenLosses:
    """Section 4, on a fixed batch, for the four bases of the paper."""

    def cost(self, method: Method, net: Net, batch: Any) -> Tensor:
        return torch.stack([t.cost() for t in method.terms(net, batch).values()]).sum(0)

    def test_dev_net(self) -> None:
        """Mean over the whole batch of y (5 - s): no hinge, no absolute value."""
        method = AnoOnly(DevNet(l2=0.0), reduce="batch")
        net, batch = prepared(method), full_batch(method)
        net.mu.zero_()
        net.sigma.fill_(1.0)
        s, y = net(batch["rows"].x).squeeze(-1), (batch["rows"].label == 1).double()
        torch.testing.assert_close(self.cost(method, net, batch), (y * (5 - s)).mean(-1))

    def test_dev_net_with_its_hinge_and_penalty(self) -> None:
        method = AnoOnly(DevNet(), hinge=True)
        net, batch = prepared(method), full_batch(method)
        with torch.no_grad():
            net.get_parameter("head.bias").add_(5)  # some scores beyond the margin
        s, known = net(batch["rows"].x).squeeze(-1), batch["rows"].label == 1
        below = (5 - (s - net.mu) / net.sigma).clamp(min=0)
        penalty = 0.01 * net.get_parameter("encoder.0.weight").square().sum((-2, -1))
        mean = torch.stack([b[k].mean() for b, k in zip(below, known, strict=True)])
        assert (below[known] == 0).any()
        torch.testing.assert_close(self.cost(method, net, batch), mean + penalty)

    def test_pre_net(self) -> None:
        """Mean |target - s| over (a, a) and (a, u) pairs; (u, u) pairs lose theirs."""
        method = AnoOnly(PReNet(l2=0.0))
        net, batch = prepared(method), full_batch(method)
        left, right = batch["left"], batch["right"]
        pair = torch.cat([net.encode(left.x), net.encode(right.x)], -1)
        odd = (left.label == 1).double() + (right.label == 1).double()
        error = (4 * odd - net.head(pair).squeeze(-1)).abs()
        wanted = torch.stack([e[o > 0].mean() for e, o in zip(error, odd, strict=True)])
        assert (odd == 0).any()
        torch.testing.assert_close(self.cost(method, net, batch), wanted)

    def test_fea_wad(self) -> None:
        """Mean over the whole batch of y max(0, 5 - s); its hinge stays, as in the code."""
        method = AnoOnly(FEAWAD(hidden=(8, 4), scorer=(8, 5), residual_term="none"), reduce="batch")
        net, batch = prepared(method), full_batch(method)
        with torch.no_grad():
            net.get_parameter("head.bias").add_(5)  # some scores beyond the margin
        s, y = net(batch["rows"].x).squeeze(-1), (batch["rows"].label == 1).double()
        assert (s[y == 1] > 5).any()
        torch.testing.assert_close(
            self.cost(method, net, batch), (y * (5 - s).clamp(min=0)).mean(-1)
        )

    def test_deep_sad(self) -> None:
        """Mean over the batch's anomalies of eta / (d + 1e-6)."""
        method = AnoOnly(DeepSAD(eta=2.0, hidden=(8, 4)))
        net, batch = prepared(method), full_batch(method)
        d = (net.encode(batch["rows"].x) - net.center).square().sum(-1)
        known = batch["rows"].label == 1
        wanted = [(2 / (e[k] + 1e-6)).mean() for e, k in zip(d, known, strict=True)]
        torch.testing.assert_close(self.cost(method, net, batch), torch.stack(wanted))


class TestBatches:
    def test_a_batch_without_an_anomaly_leaves_the_weights_bit_identical(self) -> None:
        """Two rows a batch of 100, one of them an anomaly: 49 of 50 batches hold none."""
        x, _ = table(100)
        label = torch.full((100,), -1)
        label[7] = 1
        method = AnoOnly(DeepSAD(hidden=(4,), pretrain=False))
        nets = []
        for k in range(12):
            generator = spawn(k, 1)
            before = method.network((6,), spawn(k, 1)).encoder.state_dict()
            net, _ = train(
                method, x, label, generators=generator, epochs=1, batch_size=2, steps_per_epoch=5
            )
            nets.append(torch.equal(net.encoder.state_dict()["0.weight"], before["0.weight"]))
        assert True in nets
        assert False in nets

    @pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
    def test_a_member_that_sits_out_is_as_it_is_alone(self) -> None:
        x, _ = table(100, dtype=torch.float64)
        label = torch.full((100,), -1)
        label[7] = 1
        method = AnoOnly(DeepSAD(hidden=(4,), pretrain=False))
        settings: dict[str, Any] = {"epochs": 3, "batch_size": 5}
        together, _ = train(method, x, label, generators=spawn(5, 4), **settings)
        for k in range(4):
            alone, _ = train(method, x, label, generators=spawn(5, 4)[k : k + 1], **settings)
            torch.testing.assert_close(
                score(method, together, x)[k], score(method, alone, x)[0], rtol=1e-9, atol=1e-9
            )

    def test_a_balanced_bases_batch_keeps_its_half_of_other_rows(self) -> None:
        _, label = table()
        drawn = AnoOnly(DevNet()).draw(label, Size(3, 20), spawn(0, 1)[0])["rows"]
        assert ((label[drawn] == 1).sum(1) == 10).all()


class TestNeck:
    def test_it_is_filled_only_where_the_encoder_has_no_norm(self) -> None:
        for base, filled in (
            (DevNet(), True),
            (PReNet(), True),
            (DeepSAD(hidden=(8, 4)), False),
            (DeepSAD(hidden=(8, 4), batch_norm=False), True),
        ):
            net = AnoOnly(base).network((6,), spawn(0, 2))
            assert isinstance(net.neck, BatchNorm) == filled
            if filled:
                assert net.neck.scale is not None
        assert not isinstance(
            AnoOnly(DevNet(), norm=False).network((6,), spawn(0, 1)).neck, BatchNorm
        )


class TestRefusals:
    @pytest.mark.parametrize("base", [Reconstruct(), VAE(), DeepSVDD(), DAGMM()])
    def test_a_base_without_a_loss_on_anomalies(self, base: Method) -> None:
        name = type(base).__name__
        with pytest.raises(MethodError, match=f"AnoOnly cannot wrap {name}: it has no loss on"):
            AnoOnly(base)

    def test_itself_and_what_nothing_goes_around(self) -> None:
        with pytest.raises(MethodError, match=r"ScoreGuided\(ESAD\)|alone already"):
            AnoOnly(AnoOnly(DevNet()))
        with pytest.raises(MethodError, match=r"cannot wrap UAI\(DeepSAD\): nothing goes around"):
            AnoOnly(UAI(DeepSAD()))
        with pytest.raises(MethodError, match="expected a method such as DeepSAD"):
            AnoOnly(DevNet()).set_params(base="DeepSAD").validate()

    def test_a_base_set_later_is_looked_at_too(self) -> None:
        method = AnoOnly(DevNet())
        method.set_params(base=Reconstruct())
        with pytest.raises(MethodError, match="AnoOnly cannot wrap Reconstruct"):
            train(method, *table(), generators=spawn(0, 1))

    def test_a_table_without_a_known_anomaly(self) -> None:
        x, label = table()
        with pytest.raises(FitError, match=r"AnoOnly\(DeepSAD\) needs at least one row labelled"):
            train(AnoOnly(DeepSAD()), x, label.clamp(max=0), generators=spawn(0, 1))

    @pytest.mark.parametrize("base", [ESAD(), RoSAS(), ScoreGuided(Reconstruct())])
    def test_what_has_such_a_loss_is_taken(self, base: Method) -> None:
        assert AnoOnly(base).needs == (1,)
