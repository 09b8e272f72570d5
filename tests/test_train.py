"""The loop, its draws and its layers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from askew.deep import DeepSAD, Detector, DevNet, Method, Recipe, Reconstruct, Term, draws
from askew.deep.combine import combine, yardstick
from askew.deep.descent import clipped
from askew.deep.method import Batch
from askew.deep.nets import CHUNK, BatchNorm, Linear, Net, apart, in_chunks
from askew.deep.train import score, spawn, torch_threads, train
from askew.errors import ConvergenceWarning, FitError, MethodError
from tests.contract.cases import table


@dataclass(eq=False, repr=False)
class Line(Method):
    """One linear unit per member; its loss is read off a script, times the output's square."""

    script: tuple[float, ...] = (1.0,)
    keep: str = "last"

    def recipe(self) -> Recipe:
        return Recipe(epochs=4, keep=self.keep)  # type: ignore[arg-type]

    def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
        net = Net(Linear(generators, shape[-1], 1), nn.Identity(), width=1)
        net.register_buffer("step", torch.zeros(len(generators)))
        net.register_buffer("factor", torch.ones(len(generators), 1))
        return net

    def draw(self, label: Tensor, size: draws.Size, generator: Generator) -> dict[str, Tensor]:
        return draws.uniform(label, size, generator)

    def before_epoch(self, net: Net, rows: object, means: object) -> None:
        net.factor.fill_(self.script[min(int(net.step[0]), len(self.script) - 1)])
        net.step += 1

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        rows = batch["rows"]
        loss = (net(rows.x).squeeze(-1).square() + 1) * net.factor
        return {"line": Term(loss, about=rows.label)}

    def score(self, net: Net, x: Tensor) -> Tensor:
        out: Tensor = net(x).squeeze(-1)
        return out


def weight(net: Net) -> Tensor:
    return next(net.encoder.parameters()).detach()


def go(method: Method, **settings: object) -> tuple[Net, list[dict[str, Tensor]]]:
    x, label = table(60)
    return train(method, x, label, generators=spawn(0, 2), **settings)  # type: ignore[arg-type]


class TestTrain:
    def test_a_loss_that_is_not_a_number_names_term_epoch_and_member(self) -> None:
        with pytest.raises(FitError, match=r"Line: the loss term 'line' .* epoch 3, member 0"):
            go(Line(script=(1.0, 1.0, float("nan"))))

    def test_a_loss_that_does_not_fall_is_told(self) -> None:
        with pytest.warns(ConvergenceWarning, match="did not fall .* in 2 of 2 members"):
            go(Line(script=(1.0, 2.0, 3.0, 4.0)))

    def test_the_best_epoch_is_restored(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            best, history = go(Line(script=(3.0, 1.0, 2.0, 4.0), keep="best"))
            last, _ = go(Line(script=(3.0, 1.0, 2.0, 4.0)))
            two, _ = go(Line(script=(3.0, 1.0)), epochs=2)
        losses = torch.stack([h["line"] for h in history])
        assert (losses.argmin(0) == 1).all()
        assert torch.equal(weight(best), weight(two))
        assert not torch.equal(weight(best), weight(last))

    def test_threads_are_put_back_also_after_a_failure(self) -> None:
        before = torch.get_num_threads()
        with pytest.raises(FitError):
            go(Line(script=(float("nan"),)), threads=before + 1)
        assert torch.get_num_threads() == before
        with torch_threads(before + 2):
            assert torch.get_num_threads() == before + 2
        assert torch.get_num_threads() == before

    def test_the_learning_rate_falls_at_a_milestone(self) -> None:
        early, _ = go(Reconstruct(hidden=(3,)), epochs=3, milestones=(1,))
        plain, _ = go(Reconstruct(hidden=(3,)), epochs=3)
        one, _ = go(Reconstruct(hidden=(3,)), epochs=1)
        moved = [(weight(net) - weight(one)).abs().mean() for net in (early, plain)]
        assert moved[0] < 0.35 * moved[1]

    def test_settings_out_of_range_are_refused(self) -> None:
        for name, value in (("epochs", 0), ("learning_rate", -1.0), ("clip_norm", 0.0)):
            with pytest.raises(MethodError, match=name):
                go(Line(), **{name: value})
        with pytest.raises(MethodError, match=r"eta is 0\.0; expected greater than 0"):
            go(DeepSAD(eta=0.0))
        with pytest.raises(MethodError, match="hidden"):
            go(DeepSAD(hidden=()))
        with pytest.raises(MethodError, match="margin"):
            go(DevNet(margin=-1.0))

    def test_coarse_products_rank_alike_and_are_for_training_alone(self) -> None:
        x, label = table(600)
        for method in (Reconstruct(hidden=(8, 4)), DevNet()):
            nets = [
                train(method, x, label, generators=spawn(0, 4), epochs=5, precision=precision)[0]
                for precision in ("float32", "bf16")
            ]
            assert not torch.equal(weight(nets[0]), weight(nets[1]))
            scores = [score(method, net, x).mean(0) for net in nets]
            ranks = [s.argsort().argsort().double() for s in scores]
            assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 1 - 1e-3
            assert all(p.dtype == torch.float32 for p in nets[1].parameters())
            fresh = method.network((6,), spawn(0, 4))
            fresh.load_state_dict(nets[1].state_dict())
            assert torch.equal(score(method, fresh, x), score(method, nets[1], x))
            assert torch.equal(
                fresh.train()(x.expand(4, -1, -1)), nets[1].train()(x.expand(4, -1, -1))
            )

    def test_each_members_slope_is_clipped_by_itself(self) -> None:
        a = torch.tensor([[3.0, 0, 0], [0.1, 0, 0]])
        b = torch.tensor([[[4.0, 0, 0, 0]], [[0, 0.2, 0, 0]]])
        short, none, long = clipped([a, None, b], norm=1.0, value=None)
        assert none is None
        assert short is not None
        assert long is not None
        assert short[0, 0].item() == pytest.approx(0.6, abs=1e-5)
        assert long[0, 0, 0].item() == pytest.approx(0.8, abs=1e-5)
        assert short[1, 0].item() == pytest.approx(0.1)

    def test_each_entry_of_a_slope_is_clipped(self) -> None:
        (cut,) = clipped([torch.tensor([[3.0, -0.2], [-2.0, 0.5]])], norm=None, value=0.5)
        assert cut is not None
        torch.testing.assert_close(cut, torch.tensor([[0.5, -0.2], [-0.5, 0.5]]))

    @pytest.mark.parametrize("setting", ["clip_norm", "clip_value"])
    def test_clipping_reaches_the_step(self, setting: str) -> None:
        free, _ = go(Line(script=(100.0,)), epochs=2, optimizer="rmsprop")
        cut, _ = go(Line(script=(100.0,)), epochs=2, optimizer="rmsprop", **{setting: 1e-9})
        start = weight(Line().network((6,), spawn(0, 2)))
        assert (weight(cut) - start).abs().max() < 0.5 * (weight(free) - start).abs().max()

    def test_a_stage_moves_what_it_says_and_gives_gradients_back_their_place(self) -> None:
        @dataclass(eq=False, repr=False)
        class Half(Line):
            """Leaves the bias alone."""

            def trainable(self, net: Net) -> list[nn.Parameter]:
                return [p for name, p in net.named_parameters() if name.endswith("weight")]

        start = Half().network((6,), spawn(0, 2))
        net, _ = go(Half(), epochs=2)
        assert not torch.equal(weight(net), weight(start))
        assert torch.equal(net.get_parameter("encoder.bias"), start.get_parameter("encoder.bias"))
        assert all(p.requires_grad and p.grad is None for p in net.parameters())


class TestTerm:
    def test_mean_is_over_kept_rows_and_ignores_an_infinity_elsewhere(self) -> None:
        about = torch.zeros(2, 3, dtype=torch.int64)
        loss = torch.tensor([[1.0, torch.inf, 3.0], [5.0, 6.0, 7.0]])
        keep = torch.tensor([[True, False, True], [False, False, False]])
        term = Term(loss, about, weight=torch.tensor([2.0, 1.0]), keep=keep)
        assert term.mean().tolist() == [2.0, 0.0]
        assert term.cost().tolist() == [4.0, 0.0]


class TestDraws:
    @given(
        n=st.integers(2, 60), steps=st.integers(1, 5), batch=st.integers(1, 40), seed=st.integers(0)
    )
    @settings(max_examples=60, deadline=None)
    def test_uniform_visits_every_row_before_any_row_again(
        self, n: int, steps: int, batch: int, seed: int
    ) -> None:
        label = torch.full((n,), -1)
        rows = draws.uniform(label, draws.Size(steps, batch), spawn(seed, 1)[0])["rows"]
        assert rows.shape == (steps, batch)
        counts = torch.bincount(rows.flatten(), minlength=n)
        assert counts.max() - counts.min() <= 1

    @given(
        labels=st.lists(st.sampled_from([-1, 0, 1]), min_size=2, max_size=50),
        batch=st.integers(1, 20),
        seed=st.integers(0),
    )
    @settings(max_examples=60, deadline=None)
    def test_balanced_never_puts_another_row_in_an_anomaly_slot(
        self, labels: list[int], batch: int, seed: int
    ) -> None:
        label = torch.tensor([1, -1, *labels])
        rows = draws.balanced(label, draws.Size(3, batch), spawn(seed, 1)[0])["rows"]
        assert (label[rows[:, 1::2]] == 1).all()
        assert (label[rows[:, 0::2]] != 1).all()


class TestNets:
    def test_within_a_step_a_batch_is_passed_and_counted_once(self) -> None:
        net = DeepSAD(hidden=(4, 3)).network((6,), spawn(0, 1)).train()
        norm = next(m for m in net.encoder.modules() if isinstance(m, BatchNorm))
        x = torch.rand(1, 20, 6, generator=Generator().manual_seed(0)) + 3
        with net.once():
            first = net.encode(x)
            assert net.encode(x) is first
            assert net(x) is net(x)
            assert net.encode(x.clone()) is not first
        twice = norm.mean.clone()
        norm.mean.zero_()
        net.encode(x)
        net.encode(x)
        torch.testing.assert_close(twice, norm.mean)  # x and its copy above
        assert net.encode(x) is not first

    def test_an_attachments_generators_take_nothing_from_the_members(self) -> None:
        given = spawn(3, 2)
        one, again, other = apart(given, "a"), apart(given, "a"), apart(given, "b")
        values = [[torch.rand(4, generator=g) for g in gs] for gs in (one, again, other)]
        assert torch.equal(values[0][1], values[1][1])
        assert not torch.equal(values[0][0], values[0][1])
        assert not torch.equal(values[0][0], values[2][0])
        fresh = [torch.rand(4, generator=g) for g in spawn(3, 2)]
        assert all(
            torch.equal(torch.rand(4, generator=g), f) for g, f in zip(given, fresh, strict=True)
        )
        assert not torch.equal(values[0][0], fresh[0])

    def test_batch_norm_equals_torchs_a_member_at_a_time(self) -> None:
        x = torch.randn(3, 20, 5, generator=Generator().manual_seed(0))
        ours = BatchNorm(3, 5, affine=True, eps=1e-3, momentum=0.2)
        theirs = [nn.BatchNorm1d(5, eps=1e-3, momentum=0.2) for _ in range(3)]
        for _ in range(2):
            out = ours(x)
            wanted = torch.stack([bn(x[k]) for k, bn in enumerate(theirs)])
            torch.testing.assert_close(out, wanted)
        ours.eval()
        wanted = torch.stack([bn.eval()(x[k]) for k, bn in enumerate(theirs)])
        torch.testing.assert_close(ours(x), wanted)

    def test_a_chunk_is_mapped_as_few_rows_are_and_each_row_by_itself(self) -> None:
        layer = Linear(spawn(0, 2), 40, 60).eval()
        x = torch.randn(2, CHUNK, 40, generator=Generator().manual_seed(0))
        with torch.no_grad():
            whole = layer(x)
            assert layer.bias is not None
            torch.testing.assert_close(whole, x @ layer.weight + layer.bias)
            torch.testing.assert_close(whole[:, :10], layer(x[:, :10]))
            order = torch.randperm(CHUNK, generator=Generator().manual_seed(1))
            assert torch.equal(layer(x[:, order]), whole[:, order])

    @pytest.mark.parametrize("members", [1, 3])
    def test_wide_networks_score_a_row_alike_whatever_its_company(self, members: int) -> None:
        X, y = (np.tile(t.numpy(), (1, 5) if t.dim() > 1 else 1) for t in table())
        detector = Detector(DeepSAD(pretrain=False), members=members, epochs=1, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            detector.fit(X, y)
        many = np.tile(X, (40, 1))
        scores = detector.decision_function(many)
        order = np.random.default_rng(1).permutation(len(many))
        np.testing.assert_array_equal(detector.decision_function(many[order]), scores[order])
        np.testing.assert_array_equal(detector.decision_function(many[7:8]), scores[7:8])
        np.testing.assert_array_equal(detector.decision_function(many[-99:]), scores[-99:])

    def test_linear_starts_like_torchs_or_kerass(self) -> None:
        plain = Linear(spawn(0, 2), 400, 100)
        assert 0.049 < plain.weight.abs().max().item() <= 0.05
        assert plain.bias is not None
        assert 0.04 < plain.bias.abs().max().item() <= 0.05
        glorot = Linear(spawn(0, 2), 400, 200, init="glorot")
        assert 0.099 < glorot.weight.abs().max().item() <= 0.1
        assert glorot.bias is not None
        assert (glorot.bias == 0).all()

    def test_every_chunk_has_one_shape(self) -> None:
        shapes = []

        def look(part: Tensor) -> Tensor:
            shapes.append(tuple(part.shape))
            return part.sum(-1)

        x = torch.arange(2 * (CHUNK + 3), dtype=torch.float32).view(1, CHUNK + 3, 2)
        out = in_chunks(look, x, 4)
        assert shapes == [(4, CHUNK, 2)] * 2
        assert torch.equal(out, x.sum(-1).expand(4, -1))


class TestCombine:
    def test_mean_of_z_scores(self) -> None:
        train_scores = np.array([[0.0, 2.0, 4.0], [10.0, 10.0, 10.0]])
        measure = yardstick(train_scores, "mean")
        got = combine(np.array([[4.0], [11.0]]), measure, "mean")
        assert got[0] == pytest.approx((2 / train_scores[0].std() + 1) / 2)

    def test_mean_rank(self) -> None:
        train_scores = np.stack([np.arange(101.0), np.arange(101.0) ** 2])
        measure = yardstick(train_scores, "rank")
        got = combine(np.array([[50.0], [10_000.0]]), measure, "rank")
        assert got[0] == pytest.approx(0.75)


class TestDetector:
    def test_columns_are_scaled_as_the_paper_has_it_unless_told(self) -> None:
        X = np.array([[0.0, 5], [4, 5], [8, 11]])
        wanted: dict[tuple[str, Any], list[int]] = {
            ("Reconstruct", "auto"): [4, 7],  # its mean
            ("DeepSAD", "auto"): [0, 5],  # its least
            ("Reconstruct", "minmax"): [0, 5],
            ("DeepSAD", "standard"): [4, 7],
            ("DeepSAD", None): [0, 0],
        }
        for (name, scale), shift in wanted.items():
            method = Reconstruct() if name == "Reconstruct" else DeepSAD(hidden=(2,))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                detector = Detector(method, scale=scale, epochs=1, random_state=0).fit(X)
            assert detector.shift_.tolist() == shift

    def test_predict_is_one_exactly_where_the_score_is_above_zero(self) -> None:
        X, y = (t.numpy() for t in table())
        detector = Detector(DeepSAD(hidden=(8, 4)), epochs=5, random_state=0).fit(X, y)
        np.testing.assert_array_equal(detector.predict(X), detector.decision_function(X) > 0)
        assert 0 < detector.predict(X).mean() < 1

    @pytest.mark.parametrize("scale", ["minmax", "standard"])
    def test_units_of_a_column_do_not_matter(self, scale: str) -> None:
        X, y = (t.numpy().astype(np.float64) for t in table())
        other = X * np.array([1, 10, 100, 0.1, 1, 2]) + np.array([0, 5, -300, 1, 7, 0])
        make = DeepSAD(hidden=(8, 4), pretrain=False)
        one, two = (
            Detector(make, epochs=5, scale=scale, random_state=0).fit(x, y).decision_function(x)  # type: ignore[arg-type]
            for x in (X, other)
        )
        np.testing.assert_allclose(one, two, atol=0.02)

    def test_arrays_of_any_kind_are_read_and_left_alone(self) -> None:
        X, y = (t.numpy() for t in table())
        detector = Detector(DeepSAD(hidden=(8, 4), pretrain=False), epochs=5, random_state=0)
        scores = detector.fit(X, y).decision_function(X)
        fixed = X.copy()
        fixed.flags.writeable = False
        np.testing.assert_array_equal(detector.decision_function(fixed), scores)
        np.testing.assert_array_equal(detector.decision_function(X[::-1]), scores[::-1])
        np.testing.assert_array_equal(detector.decision_function(np.asfortranarray(X)), scores)
        np.testing.assert_array_equal(detector.fit(fixed, y).decision_function(X), scores)

    def test_contamination_is_the_share_called_anomalous(self) -> None:
        X, _ = (t.numpy() for t in table())
        detector = Detector(Reconstruct(hidden=(4,)), epochs=30, contamination=0.1, random_state=0)
        assert detector.fit(X).predict(X).mean() == pytest.approx(0.1)
        with pytest.raises(MethodError, match="contamination"):
            detector.set_params(contamination=0.7).fit(X)

    def test_rows_that_are_all_alike_are_told(self) -> None:
        X = np.ones((40, 3))
        with pytest.warns(ConvergenceWarning) as caught:
            Detector(Reconstruct(hidden=(2,)), epochs=2, random_state=0).fit(X)
        assert any("all 40 training rows score alike" in str(w.message) for w in caught)

    def test_parameters_that_make_no_sense_are_refused(self) -> None:
        X, _ = (t.numpy() for t in table())
        for name, value in (
            ("members", 0),
            ("combine", "best"),
            ("scale", "log"),
            ("precision", "float16"),
            ("method", "DeepSAD"),
            ("epochs", -1),
        ):
            with pytest.raises(MethodError, match=name):
                Detector(**{name: value}).fit(X)  # type: ignore[arg-type]

    def test_a_setting_reaches_inside_and_is_used(self) -> None:
        X, y = (t.numpy() for t in table())
        detector = Detector(DeepSAD(hidden=(4,)), epochs=8, random_state=0)
        plain = detector.fit(X, y).decision_function(X)
        detector.set_params(method__eta=50.0)
        assert (detector.fit(X, y).decision_function(X) != plain).any()
        assert len(detector.history_) == 16  # two stages of eight epochs
