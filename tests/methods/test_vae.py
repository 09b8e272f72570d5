"""The Gaussian autoencoder by hand: one column, one unit a layer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import VAE
from askew.deep.draws import Size
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import spawn, train
from askew.errors import MethodError
from tests.contract.cases import table

METHOD = VAE(hidden=(), code=1, beta=3.0, deviation=0.5)


def by_hand() -> Net:
    """Mean code 2x, variance 4 whatever x, and half of the code as output."""
    net = METHOD.network((1,), spawn(0, 1)).to(torch.float64)
    layers: list[Any] = [
        list(net.encoder.children())[1],
        net.log_variance,
        next(iter(net.head.children())),
    ]
    with torch.no_grad():
        for layer, weight, bias in zip(layers, (2, 0, 0.5), (0, math.log(4), 0), strict=True):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    return net


def batch(target: float | None = None) -> dict[str, Any]:
    x = torch.tensor([[[3.0], [3.0]]], dtype=torch.float64)
    clean = None if target is None else torch.full_like(x, target)
    noise = torch.tensor([[[1.0], [-0.5]]], dtype=torch.float64)
    return {"rows": Rows(x, torch.tensor([[-1, 1]]), clean), "code_noise": noise}


def test_worked_values() -> None:
    """Codes 6 + 2 and 6 - 1 are decoded as 4 and 2.5; the divergence is (36 + 4 - 1 - ln 4) / 2."""
    terms = METHOD.terms(by_hand(), batch())
    torch.testing.assert_close(terms["reconstruction"].loss[0], as_row(1.0, 0.25))
    kl = (39 - math.log(4)) / 2
    torch.testing.assert_close(terms["kl"].loss[0], as_row(kl, kl))
    assert terms["kl"].weight == pytest.approx(3.0 * 2 * 0.25)
    assert all(term.about is None and term.keep is None for term in terms.values())


def test_the_clean_row_is_what_is_rebuilt() -> None:
    terms = METHOD.terms(by_hand(), batch(target=2.0))
    torch.testing.assert_close(terms["reconstruction"].loss[0], as_row(4.0, 0.25))


def test_the_code_is_the_mean_and_the_score_its_error() -> None:
    net, x = by_hand(), batch()["rows"].x
    with torch.no_grad():
        assert METHOD.latent(net, x)[0, :, 0].tolist() == [6.0, 6.0]
        net.head[0].weight.fill_(1.0)  # type: ignore[index]
        assert METHOD.score(net, x)[0].tolist() == [9.0, 9.0]


def test_a_wild_log_variance_is_bounded() -> None:
    for wild in (1e4, -1e4):
        net = by_hand()
        with torch.no_grad():
            net.log_variance.bias.fill_(wild)
        terms = METHOD.terms(net, batch())
        assert all(term.loss.isfinite().all() for term in terms.values())


def test_the_objective_is_the_evidence_bound_but_for_a_constant_factor() -> None:
    """Times d / (2 deviation²) it is the squared error over 2 deviation², plus beta KL."""
    method = VAE(hidden=(4,), code=2, beta=1.5, deviation=0.2)
    net = method.network((6,), spawn(3, 1)).to(torch.float64)
    x = table(5, dtype=torch.float64)[0].unsqueeze(0)
    noise = torch.zeros(1, 5, 2, dtype=torch.float64)
    rows = Rows(x, torch.full((1, 5), -1))
    terms = method.terms(net, {"rows": rows, "code_noise": noise})
    ours = sum(term.cost() for term in terms.values()) * 6 / (2 * 0.2**2)
    bound = (net(x) - x).square().sum(-1) / (2 * 0.2**2) + 1.5 * terms["kl"].loss
    torch.testing.assert_close(ours, bound.mean(-1))


def test_noise_has_a_place_for_every_row_of_every_step_and_differs() -> None:
    _, label = table()
    drawn = VAE(code=3).draw(label, Size(4, 10), spawn(0, 1)[0])
    assert drawn["code_noise"].shape == (4, 10, 3)
    assert len(set(drawn["code_noise"].flatten().tolist())) == 120
    assert drawn["rows"].shape == (4, 10)


@pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
def test_unit_noise_forgets_columns_in_0_1_and_the_default_does_not() -> None:
    """What ``deviation`` is for: with 1 the divergence drives every code to zero."""
    x, label = table()
    x = (x - x.min(0).values) / (x.max(0).values - x.min(0).values)
    spread = {}
    for deviation in (0.1, 1.0):
        method = VAE(hidden=(16,), code=2, deviation=deviation)
        net, _ = train(method, x, label, generators=spawn(1, 1), epochs=300, batch_size=60)
        with torch.no_grad():
            spread[deviation] = method.latent(net, x.unsqueeze(0)).std(1).max()
    assert spread[1.0] < 0.1 < 0.3 < spread[0.1]


@pytest.mark.parametrize(
    "wrong", [{"hidden": (0,)}, {"code": 0}, {"beta": -1.0}, {"deviation": 0.0}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=next(iter(wrong))):
        VAE(**wrong).validate()


def as_row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
