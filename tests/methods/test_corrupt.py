"""What is spoilt, with what, and what stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from askew.deep import VAE, Corrupt, DeepSVDD, Reconstruct, Term
from askew.deep.draws import Size
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from tests.contract.cases import D, full_batch, prepared, table

BASE = Reconstruct(hidden=(4,))


class Looking(Reconstruct):
    """Notes what it is given."""

    seen: Any = None

    def terms(self, net: Net, batch: Mapping[str, Any]) -> dict[str, Term]:
        type(self).seen = batch
        return {}


def given_to_the_base(method: Corrupt, batch: Mapping[str, Any], net: Net) -> Rows:
    method.base = Looking()
    method.terms(net, batch)
    rows: Rows = Looking.seen["rows"]
    return rows


def by_hand(**more: Any) -> dict[str, Any]:
    """Three rows; the first two are to be spoilt, the second of them in its last cell only."""
    x = torch.arange(6.0, dtype=torch.float64).view(1, 3, 2)
    return {
        "rows": Rows(x, torch.tensor([[1, 0, -1]])),
        "spoilt": torch.tensor([[0.1, 0.49, 0.5]]),
        "where": torch.tensor([[[0.0, 0.2], [0.3, 0.1], [0.0, 0.0]]]),
        **more,
    }


def net_with_mean_row() -> Net:
    net = Corrupt(BASE, how="mask").network((2,), spawn(0, 1)).to(torch.float64)
    net.mean_row.copy_(torch.tensor([[[-7.0, -8.0]]]))
    return net


def test_worked_values() -> None:
    """A share of 1/2 takes rows 0 and 1; 3 in 10 cells takes draws under 0.3."""
    donor = Rows(
        torch.full((1, 3, 2), 9.0, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.int64)
    )
    noise = torch.full((1, 3, 2), 0.25)
    wanted = {
        "swap": [[9.0, 9.0], [2.0, 9.0], [4.0, 5.0]],
        "noise": [[0.25, 1.25], [2.0, 3.25], [4.0, 5.0]],
        "mask": [[-7.0, -8.0], [2.0, -8.0], [4.0, 5.0]],
    }
    net, batch = net_with_mean_row(), by_hand(donor=donor, noise=noise)
    for how, x in wanted.items():
        rows = given_to_the_base(Corrupt(BASE, share=0.5, how=how), batch, net)  # type: ignore[arg-type]
        assert rows.x[0].tolist() == x, how
        assert torch.equal(rows.target, batch["rows"].x), how
        assert torch.equal(rows.label, batch["rows"].label), how
        assert Looking.seen["donor"] is donor


def test_a_target_that_is_clean_already_stays_the_target() -> None:
    batch = by_hand(noise=torch.ones(1, 3, 2))
    first = torch.full_like(batch["rows"].x, 0.5)
    batch["rows"] = Rows(batch["rows"].x, batch["rows"].label, clean=first)
    rows = given_to_the_base(Corrupt(BASE, how="noise"), batch, net_with_mean_row())
    assert torch.equal(rows.target, first)


def test_an_image_gets_a_rectangle_of_another() -> None:
    x, other = torch.zeros(1, 2, 3, 8, 4), torch.ones(1, 2, 3, 8, 4)
    label = torch.full((1, 2), -1)
    # Half the height and width, from the lower right; a quarter of each, from the upper left.
    where = torch.tensor([[[1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.0, 0.0]]])
    batch = {
        "rows": Rows(x, label),
        "donor": Rows(other, label),
        "spoilt": torch.zeros(1, 2),
        "where": where,
    }
    got = given_to_the_base(Corrupt(BASE), batch, net_with_mean_row()).x
    lower, upper = torch.zeros(8, 4), torch.zeros(8, 4)
    lower[4:, 2:] = 1
    upper[:2, :1] = 1
    for channel in range(3):
        assert torch.equal(got[0, 0, channel], lower)
        assert torch.equal(got[0, 1, channel], upper)


def test_shares_and_sizes_of_what_is_drawn() -> None:
    _, label = table()
    generator = spawn(0, 1)[0]
    drawn = Corrupt(BASE, how="noise", sigma=0.3).draw(label, Size(50, 100, (6,)), generator)
    assert drawn["noise"].shape == drawn["where"].shape == (50, 100, 6)
    assert drawn["noise"].std().item() == pytest.approx(0.3, rel=0.02)
    assert (drawn["spoilt"] < 0.2).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert (drawn["where"] < 0.3).float().mean().item() == pytest.approx(0.3, abs=0.02)
    images = Corrupt(BASE).draw(label, Size(50, 100, (3, 8, 8)), generator)
    assert images["where"].shape == (50, 100, 4)
    assert images["donor"].dtype == torch.int64
    assert images["donor"].max() == len(label) - 1
    assert images["donor"].min() == 0
    assert set(Corrupt(BASE, how="mask").draw(label, Size(2, 4, (6,)), generator)) == {
        "rows", "spoilt", "where",
    }  # fmt: skip


def test_the_base_draws_as_it_does_alone() -> None:
    _, label = table()
    alone = VAE(code=2).draw(label, Size(3, 8, (D,)), spawn(4, 1)[0])
    within = Corrupt(VAE(code=2)).draw(label, Size(3, 8, (D,)), spawn(4, 1)[0])
    assert all(torch.equal(alone[name], within[name]) for name in alone)


def test_the_mean_row_is_that_of_all_rows() -> None:
    net = prepared(Corrupt(BASE, how="mask"))
    x, _ = table(dtype=torch.float64)
    torch.testing.assert_close(net.mean_row, x.mean(0).expand(2, 1, D))
    assert "mean_row" in net.state_dict()


def test_scores_and_codes_are_the_base_s_on_rows_as_they_are() -> None:
    method = Corrupt(BASE, share=1.0, cells=1.0)
    net = prepared(method).eval()
    x = full_batch(method)["rows"].x
    assert torch.equal(method.score(net, x), BASE.score(net, x))
    assert torch.equal(method.latent(net, x), BASE.latent(net, x))


def test_a_base_that_rebuilds_nothing_is_refused_by_name() -> None:
    with pytest.raises(MethodError, match=r"Corrupt cannot wrap DeepSVDD: .*rebuild"):
        Corrupt(DeepSVDD(hidden=(4,)))


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.1}, {"cells": 0.0}, {"sigma": 0.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=next(iter(wrong))):
        Corrupt(BASE, **wrong).validate()


def test_a_wide_autoencoder_no_longer_copies_what_is_odd() -> None:
    """With a code wider than the table plain training learns to copy; the plane is lost on it."""
    x, label = table(480)
    x = (x - x.mean(0)) / x.std(0)
    odd = (torch.arange(480) % 12 == 0).numpy()
    plain = Reconstruct(hidden=(32,))

    def auc(method: Any) -> float:
        net, _ = train(method, x, label, generators=spawn(2, 3), epochs=200, batch_size=60)
        scores: Tensor = score(method, net, x)
        return sum(float(roc_auc_score(odd, member.numpy())) for member in scores) / 3

    assert auc(Corrupt(plain)) > auc(plain) + 0.05
