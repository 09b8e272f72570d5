"""The three parts by hand, the layer's start, and what "robust" is about."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import RSRAE
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import spawn
from askew.errors import MethodError
from tests.contract.cases import D, table

METHOD = RSRAE(hidden=(2,), code=1, recovery=0.5, orthogonality=2.0)


def by_hand(direction: tuple[float, float]) -> Net:
    """Nothing is bent: z is x, the code its product with one direction, the output a constant."""
    net = METHOD.network((2,), spawn(0, 1)).to(torch.float64)
    layers: list[Any] = list(net.encoder.children())
    net.encoder = torch.nn.Sequential(torch.nn.Identity(), layers[1])
    head: list[Any] = list(net.head.children())
    with torch.no_grad():
        layers[1].weight.copy_(torch.tensor(direction).view(1, 2, 1))
        for layer in (head[0], head[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        head[2].bias.copy_(torch.tensor([[[0.0, 1.0]]]))
    return net


def rows(clean: list[float] | None = None) -> Rows:
    x = torch.tensor([[[3.0, 5.0], [0.0, 1.0]]], dtype=torch.float64)
    target = None if clean is None else torch.tensor(clean, dtype=torch.float64).expand(1, 2, 2)
    return Rows(x, torch.tensor([[-1, 1]]), target)


def test_worked_values() -> None:
    """(3, 5) is rebuilt as (0, 1), 5 away; along (1, 0) it loses its 5, and a row its all."""
    terms = METHOD.terms(by_hand((1.0, 0.0)), {"rows": rows()})
    torch.testing.assert_close(terms["reconstruction"].loss[0], as_row(5.0, 0.0))
    torch.testing.assert_close(terms["recovery"].loss[0], as_row(5.0, 1.0))
    torch.testing.assert_close(terms["orthogonality"].loss[0], as_row(0.0, 0.0))
    assert (terms["recovery"].weight, terms["orthogonality"].weight) == (0.5, 2.0)
    assert all(term.about is None and term.keep is None for term in terms.values())


def test_a_direction_of_length_2_is_no_projection() -> None:
    """A' A (3, 5) is then (12, 0), which leaves (-9, 5); A A' - 1 is 3."""
    terms = METHOD.terms(by_hand((2.0, 0.0)), {"rows": rows()})
    torch.testing.assert_close(terms["recovery"].loss[0], as_row(106**0.5, 1.0))
    torch.testing.assert_close(terms["orthogonality"].loss[0], as_row(9.0, 9.0))


def test_the_clean_row_is_what_is_rebuilt() -> None:
    terms = METHOD.terms(by_hand((1.0, 0.0)), {"rows": rows(clean=[0.0, 3.0])})
    torch.testing.assert_close(terms["reconstruction"].loss[0], as_row(2.0, 2.0))
    torch.testing.assert_close(terms["recovery"].loss[0], as_row(5.0, 1.0))


def test_the_code_is_that_in_the_subspace_and_the_score_an_unsquared_length() -> None:
    net, x = by_hand((2.0, 0.0)), rows().x
    with torch.no_grad():
        assert METHOD.latent(net, x)[0, :, 0].tolist() == [6.0, 0.0]
        torch.testing.assert_close(METHOD.score(net, x)[0], as_row(5.0, 0.0))


def test_a_row_that_is_rebuilt_exactly_has_a_slope() -> None:
    net = by_hand((1.0, 0.0))
    x = torch.tensor([[[0.0, 1.0]]], dtype=torch.float64)
    terms = METHOD.terms(net, {"rows": Rows(x, torch.tensor([[-1]]))})
    torch.stack([t.cost() for t in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_the_layer_starts_orthonormal_each_member_by_itself() -> None:
    net = RSRAE(hidden=(16, 8), code=5).network((D,), spawn(0, 3))
    weight: Tensor = list(net.encoder.children())[1].weight  # type: ignore[assignment]
    assert weight.shape == (3, 8, 5)
    torch.testing.assert_close(weight.mT @ weight, torch.eye(5).expand(3, 5, 5))
    assert (weight[0] != weight[1]).any()
    alone = RSRAE(hidden=(16, 8), code=5).network((D,), spawn(0, 3)[1:2])
    assert torch.equal(list(alone.encoder.children())[1].weight[0], weight[1])  # type: ignore[index]


def test_far_rows_pull_no_harder_than_near_ones() -> None:
    """The slope of a length does not grow with it; that of its square would, ten thousandfold."""
    x = table(1, dtype=torch.float64)[0].view(1, 1, D)
    method = RSRAE(hidden=(8,), code=2)
    norms = []
    for far in (10.0, 1e5):
        net = method.network((D,), spawn(0, 1)).to(torch.float64)
        target = Rows(x, torch.tensor([[-1]]), clean=torch.full_like(x, far))
        loss = method.terms(net, {"rows": target})["reconstruction"].cost().sum()
        norms.append(torch.cat([g.flatten() for g in _slopes(loss, net)]).norm())
    assert norms[1] < 1.5 * norms[0]


def _slopes(loss: Tensor, net: Net) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    return [slope for slope in found if slope is not None]


@pytest.mark.parametrize(
    "wrong",
    [{"hidden": ()}, {"hidden": (4, 0)}, {"code": 0}, {"hidden": (8, 4), "code": 5},
     {"recovery": 0.0}, {"orthogonality": 0.0}],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=list(wrong)[-1]):
        RSRAE(**wrong).validate()


def as_row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
