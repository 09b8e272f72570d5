"""RoSAS: triplets, mixtures, and weights that heed the last epoch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from askew.deep import RoSAS, draws
from askew.deep.method import Batch
from askew.deep.nets import Linear, Net
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from askew.labels import Label
from tests.contract.cases import D, full_batch, prepared, table


def identity(method: RoSAS) -> Net:
    """Give a network on (n, 1) tables whose code and score are the row itself."""
    net = method.network((1,), spawn(0, 1)).to(torch.float64)
    encoder, head = Linear(spawn(0, 1), 1, 1, bias=False), Linear(spawn(0, 1), 1, 1, bias=False)
    net.encoder, net.head = encoder.to(torch.float64), nn.Sequential(head.to(torch.float64))
    with torch.no_grad():
        encoder.weight.fill_(1.0)
        head.weight.fill_(1.0)
    return net


def batch(anchor: float, positive: float, negative: float, mix: list[float]) -> Batch:
    def row(value: float, label: int) -> Rows:
        return Rows(torch.full((1, 1, 1), value, dtype=torch.float64), torch.tensor([[label]]))

    # The order 2, 0, 1: the anchor's partner is the negative, the positive's the anchor.
    return {
        "anchor": row(anchor, -1),
        "positive": row(positive, 0),
        "negative": row(negative, 1),
        "mix": torch.tensor([mix], dtype=torch.float64),
        "order": torch.tensor([[0.5, 0.9, 0.1]]),
    }


def tanh(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).tanh())


class TestDraw:
    def test_two_of_three_are_no_known_anomalies(self) -> None:
        _, label = table()
        triplets = draws.triplets(label, draws.Size(5, 20), spawn(0, 1)[0])
        assert set(label[triplets["anchor"]].flatten().tolist()) == {-1, 0}
        assert set(label[triplets["positive"]].flatten().tolist()) == {-1, 0}
        assert (label[triplets["negative"]] == 1).all()
        for name in ("anchor", "positive"):
            assert len(set(triplets[name].flatten().tolist())) == 100
        assert (triplets["anchor"] != triplets["positive"]).any()

    def test_shares_follow_the_arcsine_law(self) -> None:
        """Beta(1/2, 1/2): mean 1/2, variance 1/8, a third of it below 1/4."""
        _, label = table()
        drawn = RoSAS().draw(label, draws.Size(500, 32), spawn(1, 1)[0])
        mix = drawn["mix"].double()
        assert mix.shape == drawn["order"].shape == (500, 96)
        assert float(mix.mean()) == pytest.approx(1 / 2, abs=0.01)
        assert float(mix.var()) == pytest.approx(1 / 8, abs=0.002)
        assert float((mix < 1 / 4).double().mean()) == pytest.approx(1 / 3, abs=0.01)


class TestTerms:
    def test_worked_values(self) -> None:
        """Codes 0, 2 and 1/2: the triplet costs 2 - 1/2 + 1; every mixture is worked below."""
        method = RoSAS(embedding=1, scorer=1, margin=1.0, norm=0.01)
        terms = method.terms(identity(method), batch(0.0, 2.0, 0.5, [0.5, 0.25, 1.0]))
        assert terms["embedding"].loss.item() == pytest.approx(2.5)
        assert terms["norm"].loss.item() == pytest.approx(2.5)
        first = (tanh(0.25) - 0.0) ** 2 / 2 + (tanh(0.25) - tanh(0.5) / 2) ** 2 / 2
        # A quarter of the positive (2) and three of the anchor (0): 0.5, target -1.
        second = (tanh(0.5) + 1 - 0.5) + (tanh(0.5) - tanh(2.0) / 4) ** 2 / 2
        third = (tanh(0.5) - 1) ** 2 / 2
        assert terms["score"].loss[0].tolist() == pytest.approx([first, second, third])
        assert terms["score"].about is not None
        assert terms["score"].about.tolist() == [[1, -1, 1]]

    def test_a_share_of_one_or_none_is_plain_regression(self) -> None:
        method = RoSAS(embedding=1, scorer=1)
        for share, rows, targets in (
            (1.0, (0.3, -0.4, 0.5), (-1, -1, 1)),
            (0.0, (0.5, 0.3, -0.4), (1, -1, -1)),  # the partners
        ):
            loss = method.terms(identity(method), batch(0.3, -0.4, 0.5, [share] * 3))["score"].loss
            gaps = [abs(tanh(x) - t) for x, t in zip(rows, targets, strict=True)]
            assert loss[0].tolist() == pytest.approx([g**2 / 2 if g < 1 else g - 0.5 for g in gaps])

    def test_a_linear_score_is_consistent_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without tanh only the distance from the targets is left: here both targets are met."""
        monkeypatch.setattr(Tensor, "tanh", lambda value: value)
        method = RoSAS(embedding=1, scorer=1)
        loss = method.terms(identity(method), batch(-1.0, -1.0, 1.0, [0.3, 0.6, 0.9]))["score"].loss
        assert loss[0].tolist() == pytest.approx([0, 0, 0], abs=1e-15)

    def test_equal_rows_have_a_slope(self) -> None:
        method = RoSAS(embedding=1, scorer=1)
        net = identity(method)
        terms = method.terms(net, batch(0.0, 0.0, 0.0, [0.5] * 3))
        torch.stack([term.cost() for term in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


class TestWeights:
    def weights(self, losses: list[float], last: list[float]) -> list[float]:
        method = RoSAS()
        net = method.network((D,), spawn(0, 1)).to(torch.float64)
        net.last_embedding.fill_(last[0])
        net.last_score.fill_(last[1])
        found = method._weights(net, [torch.tensor([v], dtype=torch.float64) for v in losses])
        assert found.shape == (2, 1)
        return found[:, 0].tolist()

    def test_by_hand(self) -> None:
        assert self.weights([1, 1], [1, 1]) == [0.5, 0.5]
        assert self.weights([2, 2], [2, 2]) == [0.5, 0.5]
        e = float(torch.tensor(0.5).exp())  # exponents 2/1/2 and 1/1/2
        assert self.weights([2, 1], [1, 1]) == pytest.approx([e / (1 + e), 1 / (1 + e)])
        assert self.weights([2, 1], [4, 1]) == pytest.approx(
            [1 / (1 + e**0.5), e**0.5 / (1 + e**0.5)]
        )

    def test_a_solved_loss_does_no_harm(self) -> None:
        assert self.weights([0, 0], [0, 0]) == [0.5, 0.5]
        assert self.weights([1e30, 1], [0, 1]) == pytest.approx([1, 0], abs=1e-4)
        assert self.weights([1e30, 1e29], [0, 0]) == [0.5, 0.5]  # both as far as they go

    def test_they_take_the_last_epochs_means(self) -> None:
        method = RoSAS(embedding=8, scorer=4)
        net, nothing = prepared(method), Rows(torch.zeros(1, 2, D), torch.zeros(1, 2).long())
        assert net.last_embedding.tolist() == [1, 1]
        means = {"embedding": torch.tensor([2.0, 3]), "score": torch.tensor([0.5, 0.25])}
        method.before_epoch(net, nothing, means)
        assert net.last_embedding.tolist() == [2, 3]
        assert net.last_score.tolist() == [0.5, 0.25]
        method.before_epoch(net, nothing, {})
        assert net.last_score.tolist() == [1, 1]

    def test_the_gradient_goes_through_them(self) -> None:
        method = RoSAS(embedding=8, scorer=4)
        net, drawn = prepared(method), full_batch(method)
        terms = method.terms(net, drawn)
        whole = torch.autograd.grad(
            sum(t.cost() for t in terms.values()).sum(),  # type: ignore[union-attr]
            list(net.parameters()),
            retain_graph=True,
        )
        fixed = [
            (t.weight.detach() if isinstance(t.weight, Tensor) else t.weight) * t.mean()
            for t in terms.values()
        ]
        part = torch.autograd.grad(torch.stack(fixed).sum(), list(net.parameters()))
        assert not any(torch.allclose(a, b) for a, b in zip(whole, part, strict=True))


def test_the_published_network() -> None:
    """21 columns: 21 x 74, 74 x 128, 128 x 64, 64 x 1 and one bias."""
    net = RoSAS().network((21,), spawn(0, 1))
    assert sum(p.numel() for p in net.parameters()) == 21 * 74 + 74 * 128 + 128 * 64 + 64 + 1
    assert RoSAS().network((200,), spawn(0, 1)).width == 128


def test_what_is_normal_lies_below_zero_and_known_anomalies_above() -> None:
    x, label = table()
    net, _ = train(RoSAS(), x, label, generators=spawn(0, 2), epochs=30)
    scores = score(RoSAS(), net, x)
    assert scores[:, label != 1].mean(1).max() < 0
    assert scores[:, label == 1].mean(1).min() > 0
    assert len(scores[0].unique()) == len(x)  # type: ignore[no-untyped-call]


@pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
def test_known_normals_count_as_not_looked_at() -> None:
    x, label = table(60)
    plain = torch.where(label == Label.NORMAL, int(Label.UNLABELED), label)
    found = []
    for known in (label, plain):
        net, _ = train(RoSAS(), x, known, generators=spawn(0, 1), epochs=2)
        found.append(score(RoSAS(), net, x))
    assert torch.equal(*found)


def test_recipe_and_ranges() -> None:
    recipe = RoSAS().recipe()
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adam", 0.005, 1e-4)
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size) == (200, 16, 32)
    assert recipe.keep == "last"
    for bad in (RoSAS(margin=0.0), RoSAS(norm=-1.0), RoSAS(embedding=0), RoSAS(temperature=0.0)):
        with pytest.raises(MethodError):
            bad.validate()
