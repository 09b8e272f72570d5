"""Features, mixture and energy by hand; where the mixture that scores comes from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import DAGMM
from askew.deep.draws import Size
from askew.deep.methods.dagmm import energy, mixture
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import spawn, train
from askew.errors import MethodError
from tests.contract.cases import D, full_batch, prepared, table

METHOD = DAGMM(hidden=(), code=1, mixtures=2)


def by_hand() -> Net:
    """Code: the first column; reconstruction: the code and a zero."""
    net = METHOD.network((2,), spawn(0, 1)).to(torch.float64)
    with torch.no_grad():
        for part, weight in ((net.encoder, [[1.0], [0.0]]), (net.head, [[1.0, 0.0]])):
            layer: Any = next(part.children())
            layer.weight.copy_(torch.tensor([weight]))
            layer.bias.zero_()
    return net


def test_features_of_a_row() -> None:
    """(3, 4) becomes (3, 0): code 3, distance 4 of length 5, cosine 9 / (5 · 3)."""
    z = METHOD.latent(by_hand(), torch.tensor([[[3.0, 4.0], [-2.0, 0.0]]], dtype=torch.float64))
    wanted = torch.tensor([[[3.0, 0.8, 0.6], [-2.0, 0.0, 1.0]]], dtype=torch.float64)
    torch.testing.assert_close(z, wanted, atol=1e-6, rtol=0)


def test_a_row_at_the_origin_has_features_and_slopes() -> None:
    net, x = by_hand(), torch.zeros(1, 1, 2, dtype=torch.float64, requires_grad=True)
    z = METHOD.latent(net, x)
    z.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(z[0, 0], as_row(0.0, 0.0, 0.0), atol=1e-3, rtol=0)
    assert x.grad is not None
    assert x.grad.isfinite().all()
    with torch.no_grad():
        last: Any = next(net.head.children())
        last.bias[..., 1] = 0.3
        z = METHOD.latent(net, x)
    torch.testing.assert_close(z[0, 0], as_row(0.0, 0.3 / 0.01, 0.0), atol=1e-6, rtol=0)


def test_a_mixture_by_hand() -> None:
    """Rows 0, 2 and 10, the last one alone in the second component and half in the first."""
    z = torch.tensor([[[0.0], [2.0], [10.0]]], dtype=torch.float64)
    share = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]], dtype=torch.float64)
    level, mean, whiten, variance = mixture(z, share)
    first = (0 + 2 + 5) / 2.5
    spread = ((0 - first) ** 2 + (2 - first) ** 2 + (10 - first) ** 2 / 2) / 2.5
    close: Any = {"rtol": 1e-5, "atol": 1e-9}
    torch.testing.assert_close(mean[0, :, 0], as_row(first, 10.0), **close)
    torch.testing.assert_close(variance[0, :, 0], as_row(spread, 1e-6), **close)
    torch.testing.assert_close(whiten[0, 0, 0, 0], as_row(spread**-0.5)[0], **close)
    norm = math.log(2.5 / 3) - math.log(2 * math.pi * spread) / 2
    torch.testing.assert_close(level[0, 0], as_row(norm)[0], **close)


def test_the_energy_of_a_standard_normal() -> None:
    z = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
    level = torch.full((1, 2), -math.log(2) - math.log(2 * math.pi), dtype=torch.float64)
    whiten = torch.eye(2, dtype=torch.float64).repeat(1, 2, 1, 1)
    found = energy(z, level, torch.zeros(1, 2, 2, dtype=torch.float64), whiten)
    base = math.log(2 * math.pi)
    torch.testing.assert_close(found[0], as_row(base, base + 12.5))


def test_the_energy_is_that_of_torch_s_own_mixture() -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, 50, 3, generator=generator, dtype=torch.float64)
    z = z @ torch.randn(3, 3, generator=generator, dtype=torch.float64)
    share = torch.randn(1, 50, 4, generator=generator, dtype=torch.float64).softmax(-1)
    level, mean, whiten, _ = mixture(z, share)
    weight = share[0].mean(0)
    factors = [torch.linalg.inv(w).tril() for w in whiten[0]]
    parts = torch.distributions.MultivariateNormal(mean[0], scale_tril=torch.stack(factors))
    blend = torch.distributions.Categorical(weight)
    theirs = torch.distributions.MixtureSameFamily(blend, parts).log_prob(z[0])  # type: ignore[no-untyped-call]
    torch.testing.assert_close(energy(z, level, mean, whiten)[0], -theirs)


def test_rows_that_are_all_alike_leave_everything_finite() -> None:
    method = DAGMM(hidden=(4,))
    net = method.network((D,), spawn(0, 2))
    batch = {
        "rows": Rows(torch.full((2, 9, D), 0.5), torch.full((2, 9), -1)),
        "dropped": torch.rand(2, 9, 10, generator=torch.Generator().manual_seed(0)),
    }
    terms = method.terms(net, batch)
    torch.stack([t.cost() for t in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(t.loss.isfinite().all() for t in terms.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_half_of_the_assigning_units_are_dropped_and_the_others_doubled() -> None:
    _, label = table()
    drawn = METHOD.draw(label, Size(40, 30, (D,)), spawn(0, 1)[0])["dropped"]
    assert drawn.shape == (40, 30, 10)
    assert (drawn >= 0.5).float().mean().item() == pytest.approx(0.5, abs=0.02)
    method = DAGMM(hidden=(4,), dropout=0.5)
    net, batch = prepared(method), full_batch(method)
    seen: list[Tensor] = []
    handle = net.component.register_forward_hook(lambda m, i, o: seen.append(i[0]))
    method.terms(net, batch)
    handle.remove()
    whole = net.assign(method.latent(net, batch["rows"].x))
    torch.testing.assert_close(seen[0], whole * 2 * (batch["dropped"] >= 0.5))


@pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
def test_rows_are_scored_by_the_whole_table_s_mixture_under_the_last_weights() -> None:
    x, label = table(2600, dtype=torch.float64)  # more than one chunk
    method = DAGMM(hidden=(4,), mixtures=2)
    net, _ = train(method, x, label, generators=spawn(0, 2), epochs=2)
    with torch.no_grad():
        z = method.latent(net, x.expand(2, -1, -1))
        share = net.component(net.assign(z)).softmax(-1)
        level, mean, whiten, _ = mixture(z, share)
    torch.testing.assert_close(net.mixture_level, level)
    torch.testing.assert_close(net.mixture_mean, mean)
    torch.testing.assert_close(net.mixture_whiten, whiten)
    assert (net.mixture_level != net.mixture_level[:, :1]).any()


def test_energy_and_covariance_shape_the_code() -> None:
    method = DAGMM(hidden=(4,))
    net, batch = prepared(method), full_batch(method)
    first = next(net.encoder.parameters())
    for name in ("energy", "covariance"):
        (slope,) = torch.autograd.grad(method.terms(net, batch)[name].cost().sum(), [first])
        assert (slope != 0).any(), name


def test_the_clean_row_is_rebuilt_and_the_features_are_of_what_was_given() -> None:
    method = DAGMM(hidden=(4,))
    net, batch = prepared(method), dict(full_batch(method))
    plain = method.terms(net, batch)
    rows = batch["rows"]
    batch["rows"] = Rows(rows.x, rows.label, clean=rows.x + 1)
    clean = method.terms(net, batch)
    rebuilt = net(rows.x)
    wanted = (rebuilt - rows.x - 1).square().sum(-1)
    torch.testing.assert_close(clean["reconstruction"].loss, wanted)
    assert torch.equal(clean["energy"].loss, plain["energy"].loss)


@pytest.mark.parametrize(
    "wrong",
    [{"hidden": (0,)}, {"code": 0}, {"mixtures": 0}, {"energy": 0.0}, {"covariance": -1.0},
     {"dropout": 1.0}],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=next(iter(wrong))):
        DAGMM(**wrong).validate()


def as_row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
