"""FEAWAD: an autoencoder first, then a scorer on what it makes of a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from askew.deep import FEAWAD, Method
from askew.deep.draws import Size
from askew.deep.method import Batch
from askew.deep.methods.fea_wad import Rebuild
from askew.deep.nets import Linear, Net
from askew.deep.rows import Rows, Term
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from askew.labels import Label
from tests.contract.cases import D, full_batch, prepared, table
from tests.slow.core import slow_latent, slow_score

SMALL: dict[str, Any] = {"hidden": (8, 4), "scorer": (8, 4)}


def layers(part: Any) -> list[tuple[int, int]]:
    found = [m.weight.shape[1:] for m in part.modules() if isinstance(m, Linear)]
    return [(int(inputs), int(outputs)) for inputs, outputs in found]


class TestNetwork:
    def test_the_published_layers(self) -> None:
        """21 columns: the scorer sees 21 + 64 + 1 numbers, then 256 + 1, then 32 + 1."""
        net = FEAWAD().network((21,), spawn(0, 1))
        parts: Any = net.encoder
        assert layers(parts.coder) == [(21, 21), (21, 128), (128, 64)]
        assert layers(parts.decoder) == [(64, 128), (128, 21)]
        assert layers(parts.layers) == [(86, 256), (257, 32)]
        assert layers(net.head) == [(33, 1)]
        assert net.encode(torch.zeros(1, 2, 21)).shape == (1, 2, net.width)

    def test_weights_are_glorot_normal_and_biases_zero(self) -> None:
        net = FEAWAD().network((300,), spawn(0, 2))
        first: Any = net.encoder.get_submodule("coder.0")
        assert first.weight.std().item() == pytest.approx(math.sqrt(2 / 600), rel=0.02)
        share = (first.weight.abs() < math.sqrt(2 / 600)).double().mean().item()
        assert share == pytest.approx(0.683, abs=0.01)  # a uniform draw has 0.577 there
        assert all(not p.any() for name, p in net.named_parameters() if "bias" in name)
        assert (first.weight[0] != first.weight[1]).any()

    def test_it_takes_a_row_apart_as_a_slow_loop_does(self) -> None:
        x, _ = table(12, dtype=torch.float64)
        method = FEAWAD(**SMALL)
        net = prepared(method).eval()
        codes, scores = net.encode(x.expand(2, -1, -1)), method.score(net, x.expand(2, -1, -1))
        for k in range(2):
            slow = slow_latent(method, net, k, list(x))
            torch.testing.assert_close(codes[k], torch.stack(slow))
            torch.testing.assert_close(scores[k], torch.stack(slow_score(method, net, k, list(x))))
            error = (x - net.encoder.rebuild(x.expand(2, -1, -1))[k]).norm(dim=-1)  # type: ignore[operator]
            torch.testing.assert_close(codes[k, :, -1], error)  # the last entry of the code


class TestTerms:
    def perfect(self, bias: float) -> Net:
        """Give a network that rebuilds nothing and scores every row ``bias``."""
        net = FEAWAD(**SMALL).network((2,), spawn(0, 1)).to(torch.float64)
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
            head: Any = net.head
            head.bias.fill_(bias)
        return net

    def test_worked_values(self) -> None:
        """Score -1 everywhere; rows of length 0, 5, 5 and 13, two of them known anomalies."""
        x = torch.tensor([[[0.0, 0], [3, 4], [3, 4], [5, 12]]], dtype=torch.float64)
        rows = Rows(x, torch.tensor([[-1, 0, 1, 1]]))
        method = FEAWAD(margin=6.0, **SMALL)
        terms = method.terms(self.perfect(-1.0), {"rows": rows})
        assert terms["score"].loss.tolist() == [[1, 1, 7, 7]]
        assert terms["residual"].loss[0].tolist() == pytest.approx([0, 5, 1, 0], abs=2e-6)
        high = method.terms(self.perfect(9.0), {"rows": rows})["score"]
        assert high.loss.tolist() == [[9, 9, 0, 0]]

    def test_the_released_code_has_one_term(self) -> None:
        method = FEAWAD(residual_term="none", **SMALL)
        assert set(method.terms(prepared(method), full_batch(method))) == {"score"}

    def test_without_the_term_the_decoder_learns_through_the_score_alone(self) -> None:
        slopes = []
        for term in ("none", "error"):
            method = FEAWAD(residual_term=term, **SMALL)
            net, batch = prepared(method), full_batch(method)
            with torch.no_grad():
                net.head.get_parameter("weight").zero_()  # the score heeds nothing
            cost = torch.stack([t.cost() for t in method.terms(net, batch).values()]).sum()
            weight = net.encoder.get_parameter("decoder.2.weight")
            slopes.append(float(torch.autograd.grad(cost, weight)[0].abs().max()))
        assert slopes[0] == 0
        assert slopes[1] > 0

    @pytest.mark.parametrize("term", ["none", "error"])
    def test_a_row_that_is_rebuilt_exactly_has_a_slope(self, term: Any) -> None:
        method = FEAWAD(residual_term=term, **SMALL)
        net = method.network((D,), spawn(0, 1))  # zero biases: a row of zeros gives zeros
        rows = Rows(torch.zeros(1, 3, D), torch.tensor([[-1, 0, 1]]))
        assert not net.encoder.rebuild(rows.x).any()  # type: ignore[operator]
        cost = torch.stack([t.cost() for t in method.terms(net, {"rows": rows}).values()]).sum()
        grads = torch.autograd.grad(cost, list(net.parameters()))
        assert cost.isfinite()
        assert all(g.isfinite().all() for g in grads)


@pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
class TestStages:
    def test_the_first_learns_from_what_is_no_known_anomaly(self) -> None:
        _, label = table()
        drawn = Rebuild((8, 4), (8, 4)).draw(label, Size(5, 40), spawn(0, 1)[0])["rows"]
        assert drawn.shape == (5, 40)
        assert set(label[drawn].flatten().tolist()) == {-1, 0}
        first, second = FEAWAD().stages()
        assert (first.recipe().steps_per_epoch, second.recipe().steps_per_epoch) == (100, 30)
        for recipe in (first.recipe(), second.recipe()):
            assert (recipe.batch_size, recipe.epochs, recipe.keep) == (512, 20, "best")
            assert (recipe.optimizer, recipe.learning_rate) == ("adam", 1e-4)

    def test_its_error_falls_and_its_weights_are_where_the_second_begins(self) -> None:
        x, label = table()
        found: list[dict[str, Tensor]] = []

        @dataclass(eq=False, repr=False)
        class Looking(Method):
            """The second stage, which notes the weights it finds."""

            def stages(self) -> tuple[Method, ...]:
                return (FEAWAD(**SMALL).stages()[0], self)

            def network(self, shape: tuple[int, ...], generators: Sequence[Generator]) -> Net:
                return FEAWAD(**SMALL).network(shape, generators)

            def before_fit(self, net: Net, rows: Rows) -> None:
                found.append({name: v.clone() for name, v in net.state_dict().items()})

            def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
                return FEAWAD(**SMALL).terms(net, batch)

            def score(self, net: Net, x: Tensor) -> Tensor:
                return FEAWAD(**SMALL).score(net, x)

        start = FEAWAD(**SMALL).network((D,), spawn(1, 2)).state_dict()
        settings: dict[str, Any] = {"epochs": 3, "steps_per_epoch": 50, "learning_rate": 1e-2}
        _, history = train(Looking(), x, label, generators=spawn(1, 2), **settings)
        errors = [epoch["reconstruction"] for epoch in history if "reconstruction" in epoch]
        assert len(errors) == 3
        assert (errors[-1] < 0.9 * errors[0]).all()
        alone, _ = train(Rebuild(**SMALL), x, label, generators=spawn(1, 2), **settings)
        for name, value in alone.state_dict().items():
            assert torch.equal(value, found[0][name]), name
            moved = not torch.equal(value, start[name])
            assert moved == (name.startswith(("encoder.coder", "encoder.decoder"))), name

    def test_the_second_moves_the_autoencoder_too(self) -> None:
        x, label = table(60)
        method = FEAWAD(**SMALL)
        first, _ = train(Rebuild(**SMALL), x, label, generators=spawn(1, 1), epochs=1)
        both, _ = train(method, x, label, generators=spawn(1, 1), epochs=1)
        for name, value in first.encoder.state_dict().items():
            assert not torch.equal(value, both.encoder.state_dict()[name]), name

    def test_known_normals_count_as_not_looked_at(self) -> None:
        x, label = table(60)
        plain = torch.where(label == Label.NORMAL, int(Label.UNLABELED), label)
        scores = []
        for known in (label, plain):
            net, _ = train(FEAWAD(**SMALL), x, known, generators=spawn(0, 1), epochs=1)
            scores.append(score(FEAWAD(**SMALL), net, x))
        assert torch.equal(*scores)


def test_ranges() -> None:
    FEAWAD().validate()
    another = FEAWAD()
    another.residual_term = "norm"  # type: ignore[assignment]
    for bad in (FEAWAD(margin=0.0), FEAWAD(hidden=()), FEAWAD(scorer=(3, 0)), another):
        with pytest.raises(MethodError):
            bad.validate()
