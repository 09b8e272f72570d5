"""The second stage by hand, and what it does to anomalies that a base rebuilds too well."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import VAE, AnomalyAware, DeepSAD, DeepSVDD, DevNet, Method, Reconstruct
from askew.deep.draws import Size
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from askew.labels import Label
from tests.contract.cases import D, table

BASE = DeepSVDD(hidden=(1,), batch_norm=False, pretrain=False)  # by hand: its score is x²

pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")


def by_hand(method: AnomalyAware) -> Net:
    net = method.network((1,), spawn(0, 1)).to(torch.float64)
    with torch.no_grad():
        next(net.encoder.parameters()).fill_(1.0)
    return net


def batch(x: list[float], label: list[int]) -> dict[str, Any]:
    return {"rows": rows(x, label), "aware": torch.ones(1, 1)}


def rows(x: list[float], label: list[int]) -> Rows:
    return Rows(torch.tensor([x], dtype=torch.float64).unsqueeze(-1), torch.tensor([label]))


def test_worked_values() -> None:
    """Under a cap of 5 the anomalies 2 and 3, of scores 4 and 9, cost 1 and nothing."""
    method = AnomalyAware(BASE, weight=2.0, ramp=4)
    net = by_hand(method)
    net.aware_cap.fill_(5.0)
    net.aware_epochs.fill_(1.0)
    terms = method.terms(net, batch([1.0, 2.0, 3.0, 2.0], [-1, 1, 1, 0]))
    assert terms["distance"].mean().tolist() == [2.5]  # of 1 and 4: the known normal stays
    assert terms["aware"].mean().tolist() == [0.5]
    assert terms["aware"].cost().tolist() == [2.0 * 0.25 * 0.5]
    assert terms["aware"].unbounded is None  # no wrapper may lift the cap


def test_an_anomaly_above_the_cap_pulls_no_more_and_one_below_is_raised() -> None:
    method = AnomalyAware(BASE, ramp=1)
    for x, slope in ((3.0, 0.0), (2.0, -8.0)):
        net = by_hand(method)
        net.aware_cap.fill_(5.0)
        net.aware_epochs.fill_(1.0)
        method.terms(net, batch([x], [1]))["aware"].cost().sum().backward()  # type: ignore[no-untyped-call]
        assert next(net.encoder.parameters()).grad.item() == slope  # type: ignore[union-attr]


def test_the_cap_leaves_known_anomalies_out() -> None:
    """Scores 0, 1, 4, ... 400: median 100, 95th percentile 361, cap 100 + 2 (361 - 100)."""
    method = AnomalyAware(BASE, margin=2.0)
    net = by_hand(method)
    with torch.no_grad():
        x = [float(i) for i in range(21)]
        method.before_fit(net, rows([*x, 1000.0, 1000.0], [-1] * 20 + [0, 1, 1]))
    assert net.aware_cap.tolist() == [[622.0]]


def test_the_weight_rises_and_stays_and_starts_anew() -> None:
    method = AnomalyAware(BASE, weight=2.0, ramp=4)
    net, some = by_hand(method), rows([1.0, 2.0, 3.0], [-1, -1, 1])
    for _ in range(2):
        weights = []
        with torch.no_grad():
            method.before_fit(net, some)
            for _ in range(6):
                method.before_epoch(net, some, {})
                weights.append(
                    method.terms(net, {"rows": some, "aware": torch.ones(1, 1)})["aware"].weight
                )
        assert [w.item() for w in weights] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]  # type: ignore[union-attr]


def test_a_quarter_more_rows_are_drawn_all_of_them_known_anomalies() -> None:
    _, label = table()
    method = AnomalyAware(VAE(code=2))
    drawn = method.draw(label, Size(7, 40, (D,)), spawn(3, 1)[0])
    assert drawn["rows"].shape == (7, 50)
    assert drawn["code_noise"].shape == (7, 50, 2)
    assert (label[drawn["rows"][:, 40:]] == Label.ANOMALY).all()
    known = (label == Label.ANOMALY).float().mean().item()
    found = (label[drawn["rows"][:, :40]] == Label.ANOMALY).float().mean().item()
    assert found == pytest.approx(known, abs=0.04)


def test_without_known_anomalies_the_base_is_trained_on() -> None:
    x, _ = table(dtype=torch.float64)
    nothing = torch.full((len(x),), -1)
    base = VAE(hidden=(8,), code=2)
    method = AnomalyAware(base)
    alone = base.draw(nothing, Size(2, 9, (D,)), spawn(3, 1)[0])
    ours = method.draw(nothing, Size(2, 9, (D,)), spawn(3, 1)[0])
    assert all(torch.equal(alone[name], ours[name]) for name in alone)
    _, history = train(method, x, nothing, generators=spawn(1, 2), epochs=40, batch_size=60)
    assert len(history) == 80
    assert set(history[79]) == {"reconstruction", "kl"}
    assert history[79]["reconstruction"].max() < 0.8 * history[39]["reconstruction"].min()


def test_the_base_s_own_first_hook_is_not_run_again() -> None:
    x, label = table(dtype=torch.float64)
    base = DeepSVDD(hidden=(4,), pretrain=False)
    alone, _ = train(base, x, label, generators=spawn(1, 2), epochs=3)
    both, history = train(AnomalyAware(base), x, label, generators=spawn(1, 2), epochs=3)
    assert len(history) == 6
    assert torch.equal(alone.center, both.center)
    assert not torch.equal(next(alone.encoder.parameters()), next(both.encoder.parameters()))


def clustered() -> tuple[Tensor, Tensor, Tensor]:
    """A plane in six columns, and a tight cluster within that plane, five of it known."""
    generator = torch.Generator().manual_seed(1)
    axes = torch.tensor([[1.0, -1, 1, 0, 1, 0], [0, 1, -1, 1, 0, 1]])
    at = torch.randn(600, 2, generator=generator)
    at[540:] = torch.tensor([1.5, -1.5]) + 0.1 * at[540:]
    x = 0.5 + 0.08 * at @ axes + 0.01 * torch.randn(600, 6, generator=generator)
    x = (x - x.min(0).values) / (x.max(0).values - x.min(0).values)
    label = torch.full((600,), -1)
    label[540:545] = 1
    return x, label, torch.arange(600) >= 545


@pytest.mark.parametrize(
    "base", [VAE(hidden=(32,), code=2, deviation=0.1), Reconstruct(hidden=(32, 2), bounded=True)]
)
def test_what_resembles_known_anomalies_is_rebuilt_worse_than_the_rest(base: Method) -> None:
    """The paper's point: a cluster that the base rebuilds like the rest comes to the top."""
    x, label, odd = clustered()
    rest = ~odd & (label == -1)
    settings: dict[str, Any] = {"epochs": 100, "batch_size": 100}
    plain, _ = train(base, x, label, generators=spawn(0, 1), **settings)
    method = AnomalyAware(base)
    aware, _ = train(method, x, label, generators=spawn(0, 1), **settings)
    before, after = score(base, plain, x)[0], score(method, aware, x)[0]

    def auc(scores: Tensor) -> float:
        return float((scores[odd].unsqueeze(1) > scores[rest]).float().mean())

    assert auc(after) > 0.95 > auc(before) + 0.2
    assert after[rest].median() < 4 * before[rest].median()


@pytest.mark.parametrize("base", [DeepSAD(hidden=(4,)), DevNet()])
def test_a_base_with_labels_is_refused_with_a_reason(base: Method) -> None:
    with pytest.raises(MethodError, match=f"cannot wrap {type(base).__name__}: it tells labels"):
        AnomalyAware(base)


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"ramp": 0}, {"margin": 0.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=next(iter(wrong))):
        AnomalyAware(BASE, **wrong).validate()
