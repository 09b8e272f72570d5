"""PReNet: its pairs, its targets and the average partner."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from askew.deep import PReNet, draws
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.train import score, spawn, train
from askew.errors import MethodError
from askew.labels import Label
from tests.contract.cases import prepared, table
from tests.slow.core import slow_score
from tests.slow.pre_net import relation


def drawn(label: Tensor, steps: int, batch: int) -> tuple[Tensor, Tensor]:
    pairs = draws.pairs(label, draws.Size(steps, batch), spawn(0, 1)[0])
    assert pairs["left"].shape == pairs["right"].shape == (steps, batch)
    return pairs["left"], pairs["right"]


def some(unlabelled: int, anomalies: int, normals: int = 0) -> Tensor:
    return torch.tensor([-1] * unlabelled + [1] * anomalies + [0] * normals)


def in_line(*codes: float) -> Tensor:
    return torch.tensor(codes, dtype=torch.float64).view(1, -1, 1)


class TestPairs:
    def test_half_without_a_quarter_with_one_a_quarter_with_two_anomalies(self) -> None:
        label = some(20_000, 30, 500)
        left, right = drawn(label, 20, 512)
        kinds = 2 * (label[left] == 1).long() + (label[right] == 1)
        for step in kinds:
            assert torch.bincount(step, minlength=4).tolist() == [256, 128, 0, 128]
        others = torch.cat([left[label[left] != 1], right[label[right] != 1]])
        assert len(others) == 20 * 640
        assert len(set(others.tolist())) == 20 * 640  # no row twice while there are enough
        assert (label[others] == 0).any()

    @pytest.mark.parametrize("anomalies", [2, 3])
    def test_no_anomaly_is_its_own_partner_and_every_pair_of_them_comes(
        self, anomalies: int
    ) -> None:
        label = some(5, anomalies)
        left, right = drawn(label, 40, 20)
        both = (label[left] == 1) & (label[right] == 1)
        assert (left[both] != right[both]).all()
        seen = set(zip(left[both].tolist(), right[both].tolist(), strict=True))
        assert len(seen) == anomalies * (anomalies - 1)

    def test_a_single_anomaly_meets_others_only(self) -> None:
        label = some(50, 1)
        left, right = drawn(label, 3, 16)
        assert (label[left] != 1).all()
        assert ((label[right] == 1).sum(1) == 8).all()

    @pytest.mark.parametrize("batch", [1, 2, 3, 5, 7])
    def test_every_batch_is_full(self, batch: int) -> None:
        left, right = drawn(some(4, 2), 6, batch)
        assert int(left.max()) < 6
        assert int(right.max()) < 6


class TestTerms:
    def linear(self) -> Net:
        """Give s(l, r) = 2 l + 3 r + 1."""
        net = PReNet(hidden=()).network((1,), spawn(0, 1)).to(torch.float64)
        head: Any = net.head
        with torch.no_grad():
            head.weight.copy_(torch.tensor([[[2.0], [3.0]]]))
            head.bias.fill_(1.0)
        return net

    def test_worked_values(self) -> None:
        """Outputs 1, 6, 3, 6, 3, 8 meet targets 0, 4, 4, 8, 0, 4."""
        left, right = in_line(0, 1, 1, 1, 1, 2), in_line(0, 1, 0, 1, 0, 1)
        batch = {
            "left": Rows(left, torch.tensor([[-1, -1, 1, 1, 0, 0]])),
            "right": Rows(right, torch.tensor([[-1, 1, -1, 1, -1, 1]])),
        }
        (term,) = PReNet(hidden=()).terms(self.linear(), batch).values()
        assert term.loss.tolist() == [[1, 2, 1, 2, 3, 4]]
        assert term.about is not None
        assert term.about.tolist() == [[-1, 1, 1, 1, -1, 1]]

    def test_score_by_hand(self) -> None:
        """Others at 1 and 3, an anomaly at 10: s(2, x) = 5 + 3x and s(x, 10) = 31 + 2x."""
        method, net = PReNet(hidden=()), self.linear()
        rows = Rows(in_line(1, 3, 10), torch.tensor([[-1, 0, 1]]))
        method.after_fit(net.eval(), rows)
        assert method.score(net, in_line(0, 4)).tolist() == [[18, 28]]


@pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")
class TestScore:
    def test_the_average_partner_stands_for_all_partners(self) -> None:
        x, label = table(96, dtype=torch.float64)
        method = PReNet(hidden=(5,))
        net, _ = train(method, x, label, generators=spawn(2, 1), epochs=2)
        fast = score(method, net, x)[0]
        with torch.no_grad():
            codes = net.encode(x.unsqueeze(0))[0]
            loop = []
            for code in codes:
                left = [relation(net, 0, u, code) for u in codes[label != 1]]
                right = [relation(net, 0, code, a) for a in codes[label == 1]]
                loop.append(torch.stack(left).mean() / 2 + torch.stack(right).mean() / 2)
            one = [
                (relation(net, 0, codes[1], c) + relation(net, 0, c, codes[0])) / 2 for c in codes
            ]
        assert (int(label[1]), int(label[0])) == (-1, 1)
        torch.testing.assert_close(fast, torch.stack(loop), rtol=0, atol=1e-10)
        apart = torch.stack(one) - fast  # one partner of each kind: another level, no other order
        torch.testing.assert_close(apart, apart[:1].expand_as(apart), rtol=0, atol=1e-10)

    def test_it_equals_the_slow_score(self) -> None:
        x, _ = table(12, dtype=torch.float64)
        method = PReNet(hidden=(5,))
        net = prepared(method).eval()
        net.mean_other.fill_(0.3)
        net.mean_anomaly.fill_(-0.7)
        fast = method.score(net, x.expand(2, -1, -1))
        for k in range(2):
            torch.testing.assert_close(fast[k], torch.stack(slow_score(method, net, k, list(x))))

    def test_what_is_normal_lies_near_two_and_known_anomalies_near_six(self) -> None:
        x, label = table()
        net, history = train(PReNet(), x, label, generators=spawn(0, 2), epochs=100)
        scores = score(PReNet(), net, x)
        assert scores[:, label != 1].mean(1).sub(2).abs().max() < 1
        assert scores[:, label == 1].mean(1).sub(6).abs().max() < 1
        assert set(history[0]) == {"relation", "l2"}


def test_known_normals_count_as_not_looked_at() -> None:
    x, label = table(60)
    plain = torch.where(label == Label.NORMAL, int(Label.UNLABELED), label)
    found = []
    for known in (label, plain):
        net, _ = train(PReNet(l2=0.0), x, known, generators=spawn(0, 1), epochs=2)
        found.append(score(PReNet(), net, x))
    assert torch.equal(*found)


def test_recipe_and_ranges() -> None:
    recipe = PReNet().recipe()
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("rmsprop", 1e-3, 512)
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.clip_norm) == (50, 20, 1.0)
    assert recipe.keep == "best"
    for bad in (PReNet(l2=-1.0), PReNet(hidden=(3, 0))):
        with pytest.raises(MethodError):
            bad.validate()
