"""Recordings: what is played gives the same bits, and what cannot be played is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

from askew.deep import Reconstruct, Rows, Term
from askew.deep.method import Batch
from askew.deep.nets import BatchNorm, Net
from askew.deep.steps import _agree
from askew.deep.tape import Tape
from askew.deep.train import score, spawn, train
from tests.contract.cases import CASES, table

pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many calls each play makes."""
    made: list[int] = []
    play = Tape.play

    def noted(tape: Tape[object]) -> None:
        made.append(len(tape._plays))
        play(tape)

    monkeypatch.setattr(Tape, "play", noted)
    return made


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


class TestTape:
    def test_playing_works_out_what_the_inputs_hold_now(self) -> None:
        x, y = row(1, 2, 3), row(10, 20, 30)
        tape = Tape(lambda: [(x * y).sum(), x.view(3, 1) - 1])
        total, less = tape.result
        assert (float(total), less.flatten().tolist()) == (140, [0, 1, 2])
        x.copy_(row(0, 0, 5))
        assert float(total) == 140
        tape.play()
        assert (float(total), less.flatten().tolist()) == (150, [-1, -1, 4])

    def test_slopes_are_played_too(self) -> None:
        x, w = row(1, 2), row(3, 4).requires_grad_()
        tape = Tape(lambda: torch.autograd.grad((x * w.square()).sum(), [w]))
        x.copy_(row(5, 6))
        with torch.no_grad():
            w.copy_(row(7, 8))
        tape.play()
        assert tape.result[0].tolist() == [70, 96]

    def test_what_comes_out_the_same_is_not_worked_out_again(self) -> None:
        x = row(1, 2)
        tape = Tape(lambda: x * torch.ones(2).exp().log())
        x.copy_(row(3, 4))
        tape.play()
        assert len(tape._plays) == 1
        torch.testing.assert_close(tape.result, row(3, 4))

    def test_what_nobody_asks_for_is_left_out(self) -> None:
        x = row(1, 2)

        def function() -> Tensor:
            x.exp().sum()
            return x + 1

        assert len(Tape(function)._plays) == 1

    def test_memory_that_is_written_over_is_set_up_anew(self) -> None:
        x = row(1, 2)

        def function() -> Tensor:
            total = torch.zeros(2)
            before = total + x
            total += 5
            return before + total

        tape = Tape(function)
        tape.play()
        assert tape.result.tolist() == [6, 7]
        tape.play()
        assert tape.result.tolist() == [6, 7]

    def test_what_is_kept_outside_goes_on(self) -> None:
        x, kept = row(1, 2), row(0, 0)

        def function() -> Tensor:
            kept.add_(x)
            return x * 2

        tape = Tape(function)
        tape.play()
        tape.play()
        assert kept.tolist() == [3, 6]

    def test_several_results_are_played(self) -> None:
        x, y = row(3, 1, 2), row(1, 1, 1)
        tape = Tape(lambda: [*x.sort(), *torch._foreach_mul([x, y], 2), *x.max(0), x.double()])
        x.copy_(row(1, 5, 4))
        tape.play()
        wanted = [[1, 4, 5], [0, 2, 1], [2, 10, 8], [2, 2, 2], 5, 1, [1, 5, 4]]
        assert [value.tolist() for value in tape.result] == wanted

    def test_a_number_stays_as_exact_as_it_was(self) -> None:
        number = torch.tensor([3, 2**53 + 1])
        single = row(0.1, 0.3)
        tape = Tape(lambda: [number.eq(2**53 + 1), number * 0.5, single * 0.1, single[0] / 3])
        wanted = [value.clone() for value in tape.result]
        for value in tape.result:
            value.zero_()
        tape.play()
        assert all(torch.equal(a, b) for a, b in zip(tape.result, wanted, strict=True))

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: x * float(x.sum()),
            lambda x: x + 1 if (x > 0).any() else x,
            lambda x: x[x > 1],
            lambda x: torch.bernoulli(x / 3),
        ],
        ids=["reads", "branches", "picks", "draws"],
    )
    def test_what_depends_on_values_or_chance_is_not_playable(
        self, function: Callable[[Tensor], Tensor]
    ) -> None:
        assert not Tape(lambda: function(row(1, 2))).playable


@pytest.mark.parametrize("name", CASES)
def test_every_method_is_trained_alike_by_playing_and_by_autograd(
    name: str, plays: list[int]
) -> None:
    x, label = table()
    settings = {"epochs": 4, "batch_size": 64}
    nets, histories = [], []
    for recorded in (True, False):
        net, history = train(
            CASES[name](),
            x,
            label,
            generators=spawn(2, 2),
            recorded=recorded,
            **settings,  # type: ignore[arg-type]
        )
        nets.append(net)
        histories.append(history)
        if recorded:
            assert len(plays) >= 10
            plays.clear()
    assert not plays
    for one, other in zip(*histories, strict=True):
        assert one.keys() == other.keys()
        for term, losses in one.items():
            torch.testing.assert_close(losses, other[term], rtol=0, atol=0, equal_nan=True)
    for value, other_value in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(value, other_value)
    scores = [score(CASES[name](), net, x) for net in nets]
    assert torch.equal(*scores)


@dataclass(eq=False, repr=False)
class Counting(Reconstruct):
    """An autoencoder whose loss grows by what Python has counted, against the rules."""

    count: int = 0
    by_epoch: bool = False

    def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
        self.count += self.by_epoch

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        self.count += not self.by_epoch
        terms = super().terms(net, batch)
        return {name: replace(term, loss=term.loss + self.count) for name, term in terms.items()}


@dataclass(eq=False, repr=False)
class Reading(Reconstruct):
    """An autoencoder that looks at a value."""

    def terms(self, net: Net, batch: Batch) -> dict[str, Term]:
        terms = super().terms(net, batch)
        scale = 1.0 if float(batch["rows"].x.sum()) > 0 else 2.0
        return {name: replace(term, weight=scale) for name, term in terms.items()}


class TestWork:
    def losses(self, method: Reconstruct, recorded: bool = True) -> list[float]:
        x, label = table(60)
        settings = {"generators": spawn(0, 1), "epochs": 4, "batch_size": 20}
        _, history = train(method, x, label, recorded=recorded, **settings)  # type: ignore[arg-type]
        return [float(epoch["reconstruction"]) for epoch in history]

    def test_what_counts_steps_in_python_is_trained_by_autograd(self, plays: list[int]) -> None:
        played = self.losses(Counting((4,)))
        assert len(plays) == 1  # to be compared
        wanted = self.losses(Counting((4,)), recorded=False)
        # Comparing took no step of its own: what was counted is the same.
        assert played == wanted
        assert wanted[1] - wanted[0] == pytest.approx(3, abs=0.5)

    def test_what_counts_epochs_in_python_is_found_out_in_the_second(
        self, plays: list[int]
    ) -> None:
        assert self.losses(Counting((4,), by_epoch=True)) == self.losses(
            Counting((4,), by_epoch=True), recorded=False
        )
        assert len(plays) == 3

    def test_what_gives_other_slopes_than_before_does_not_agree(self) -> None:
        x, y = row(1, 2), row(3)
        assert _agree([x, y], [x * (1 + 1e-6), y])
        assert _agree([x * 1e-9, row(float("nan"))], [x * 1e-9, row(float("nan"))])
        assert not _agree([x, y], [x * 1.01, y])
        assert not _agree([x * 1e-9], [x * 1.01e-9])
        assert not _agree([x, y], [x])
        assert not _agree([x], [x.view(2, 1)])

    def test_what_reads_a_value_is_trained_by_autograd(self, plays: list[int]) -> None:
        assert self.losses(Reading((4,))) == self.losses(Reading((4,)), recorded=False)
        assert not plays

    def test_comparing_counts_a_batch_once_in_the_running_statistics(
        self, plays: list[int]
    ) -> None:
        x, label = table(60)
        nets = [
            train(
                Reconstruct((4,), batch_norm=True),
                x,
                label,
                generators=spawn(0, 1),
                epochs=1,
                batch_size=30,
                recorded=recorded,
            )[0]
            for recorded in (True, False)
        ]
        assert len(plays) == 1
        for one, other in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
            assert torch.equal(one, other)

    def test_another_mode_or_memory_is_recorded_anew(self, plays: list[int]) -> None:
        @dataclass(eq=False, repr=False)
        class Moving(Reconstruct):
            """Puts its running mean elsewhere and stops counting after two epochs."""

            epoch: int = 0

            def set_training(self, net: Net) -> None:
                self.epoch += 1
                net.train(self.epoch < 3)

            def before_epoch(self, net: Net, rows: Rows, means: Mapping[str, Tensor]) -> None:
                norm = next(m for m in net.modules() if isinstance(m, BatchNorm))
                if self.epoch == 1:
                    norm.mean = norm.mean + 1

        make = partial(Moving, (4,), batch_norm=True)
        assert self.losses(make()) == self.losses(make(), recorded=False)
        assert plays
