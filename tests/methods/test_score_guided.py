"""Score guidance: the specification's acceptance list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from askew.deep import AnoOnly, DeepSVDD, Detector, DevNet, Method, Reconstruct, ScoreGuided
from askew.deep.methods.reconstruct import ladder
from askew.deep.methods.score_guided import highest
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from tests.contract.cases import full_batch, prepared, table

pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")


class TestLayers:
    @pytest.mark.parametrize(
        ("columns", "widths"),
        [
            (14, (10,)),
            (20, (10,)),
            (21, (10,)),
            (22, (20,)),
            (30, (20,)),
            (43, (20,)),
            (44, (40, 20)),
            (51, (40, 20)),
            (87, (40, 20)),
            (88, (80, 40, 20)),
            (115, (80, 40, 20)),
            (191, (80, 40, 20)),
            (281, (80, 40, 20)),
            (282, (256, 80, 40, 20)),
            (784, (256, 80, 40, 20)),
            (1536, (256, 80, 40, 20)),
            (26147, (1024, 256, 80, 40, 20)),
        ],
    )
    def test_widths_follow_the_ladder(self, columns: int, widths: tuple[int, ...]) -> None:
        assert ladder(columns) == widths

    def test_the_network_for_market_has_6052_parameters(self) -> None:
        net = ScoreGuided(Reconstruct()).network((51,), spawn(0, 1))
        assert sum(p.numel() for p in net.parameters()) == 6052


class TestLoss:
    def batch(self, method: Method) -> dict[str, Any]:
        return dict(full_batch(method))

    def test_it_equals_a_numpy_reference(self) -> None:
        method = ScoreGuided(Reconstruct(hidden=(4,)), margin=2.0, weight=0.5)
        net = prepared(method)
        batch = self.batch(method)
        rows = batch["rows"]
        batch["rows"] = Rows(rows.x, torch.full_like(rows.label, -1))
        with torch.no_grad():
            net.quantile[:] = method.base.score(net, rows.x).median(-1, keepdim=True).values
            terms = method.terms(net, batch)
            x, rebuilt = rows.x.numpy(), net(rows.x).numpy()
            s = net.guide(net.encode(rows.x)).squeeze(-1).numpy()
        flag = ((rebuilt - x) ** 2).mean(-1) >= net.quantile.numpy()
        guide = (np.where(flag, 20 * np.maximum(2 - s, 0), np.abs(s))).mean(-1)
        wanted = ((rebuilt - x) ** 2).mean((1, 2)) + 0.5 * guide
        got = sum(t.cost() for t in terms.values()).numpy()  # type: ignore[union-attr]
        np.testing.assert_allclose(got, wanted, atol=1e-9)
        assert 0 < flag.mean() < 1

    def test_the_guidance_reaches_the_encoder_and_never_the_decoder(self) -> None:
        method = ScoreGuided(Reconstruct(hidden=(8, 4)))
        net = prepared(method)
        method.terms(net, full_batch(method))["guide"].mean().sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is None for p in net.head.parameters())
        assert all(p.grad is not None and p.grad.any() for p in net.encoder.parameters())

    def test_verdicts_override_the_guess(self) -> None:
        method = ScoreGuided(Reconstruct(hidden=(4,)))
        net = prepared(method)
        x = full_batch(method)["rows"].x
        for quantile in (torch.inf, -torch.inf):
            net.quantile.fill_(quantile)
            label = torch.arange(48).expand(2, 48) % 3 - 1
            about = method.terms(net, {"rows": Rows(x, label)})["guide"].about
            assert about is not None
            guess = 1 if quantile < 0 else -1
            assert about.equal(torch.where(label == -1, guess, label))


class TestQuantile:
    def test_a_tenth_of_the_rows_lies_at_or_above_it(self) -> None:
        evidence = torch.randperm(200, generator=torch.Generator().manual_seed(0)).double()
        assert (evidence >= highest(evidence.view(1, -1), 0.1)[0]).sum() == 20

    def test_ties_never_make_more_of_them(self) -> None:
        tied = torch.tensor([[0.0] * 85 + [3.0] * 10 + [7.0] * 5])
        assert highest(tied, 0.1).item() == 7
        assert highest(tied, 0.15).item() == 3
        assert highest(torch.zeros(1, 50), 0.1).item() == torch.inf

    def test_it_is_frozen_within_an_epoch_and_falls_as_rebuilding_gets_better(self) -> None:
        seen: list[list[float]] = []

        class Watched(ScoreGuided):
            """Note the quantile at every step."""

            def before_epoch(self, *args: Any) -> None:
                super().before_epoch(*args)
                seen.append([])

            def terms(self, net: Any, batch: Any) -> Any:
                seen[-1].append(net.quantile.item())
                return super().terms(net, batch)

        x, label = table()
        train(
            Watched(Reconstruct(hidden=(6,))),
            x,
            torch.full_like(label, -1),
            generators=spawn(0, 1),
            epochs=12,
            batch_size=40,
            learning_rate=3e-3,
        )
        assert all(len(epoch) == 6 and len(set(epoch)) == 1 for epoch in seen)
        assert seen[0][0] > seen[4][0] > seen[11][0]


class TestTraining:
    @pytest.mark.parametrize("base", [Reconstruct(hidden=(8, 4)), DeepSVDD(hidden=(8, 4))])
    def test_without_weight_it_is_the_base_bit_for_bit(self, base: Method) -> None:
        x, label = table()
        settings: dict[str, Any] = {"epochs": 4, "batch_size": 50, "learning_rate": 1e-3}
        settings |= {"clip_value": 1.0, "weight_decay": 0.0}
        plain, _ = train(base, x, label, generators=spawn(3, 2), **settings)
        guided, _ = train(
            ScoreGuided(base, weight=0.0), x, label, generators=spawn(3, 2), **settings
        )
        for name, value in plain.state_dict().items():
            assert torch.equal(guided.state_dict()[name], value), name

    def test_flagged_scores_approach_the_margin_and_others_zero(self) -> None:
        """Two clouds and 5 % far points."""
        rng = np.random.default_rng(0)
        clouds = rng.normal(0, 0.3, (570, 4)) + rng.integers(0, 2, (570, 1)) * 2
        X = np.vstack([clouds, rng.uniform(-8, 8, (30, 4))])
        detector = Detector(
            ScoreGuided(Reconstruct(hidden=(2,)), weight=1.0, share=0.05),
            learning_rate=3e-3,
            batch_size=100,
            random_state=0,
        ).fit(X)
        s = detector._member_scores(X.astype(np.float32))[0]
        base = detector.method.base  # type: ignore[union-attr]
        evidence = score(base, detector.net_, detector._tensor(X.astype(np.float32)))[0].numpy()
        odd = evidence >= np.sort(evidence)[-30]
        assert s[odd].mean() > 4
        assert abs(s[~odd].mean()) < 1

    def test_each_member_stops_when_its_mean_score_passes_half_the_margin(
        self,
    ) -> None:
        x, label = table(dtype=torch.float64)
        method = ScoreGuided(Reconstruct(hidden=(8, 4)), margin=0.3, weight=1.0)
        settings: dict[str, Any] = {"epochs": 60, "batch_size": 60, "learning_rate": 3e-3}
        net, history = train(method, x, label, generators=spawn(1, 3), **settings)
        epochs = (~torch.stack([epoch["guide"] for epoch in history]).isnan()).sum(0)
        assert len(set(epochs.tolist())) > 1
        assert len(history) == epochs.max() < 60
        scores = score(method, net, x)
        assert (scores.mean(1) > 0.15).all()
        for k in range(3):
            alone, short = train(method, x, label, generators=spawn(1, 3)[k : k + 1], **settings)
            assert len(short) == epochs[k]
            torch.testing.assert_close(score(method, alone, x)[0], scores[k], rtol=1e-9, atol=1e-9)


def test_bases_that_find_nothing_by_themselves_are_refused() -> None:
    for base in (DevNet(), AnoOnly(DevNet())):
        with pytest.raises(MethodError, match="nothing to be guided by"):
            ScoreGuided(base)
    with pytest.raises(MethodError, match="guided already"):
        ScoreGuided(ScoreGuided(Reconstruct()))
