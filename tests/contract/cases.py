"""Every method, odd cases included. A new entry here is asked all the questions of the suite."""

from __future__ import annotations

from collections.abc import Callable

import torch

from askew.deep import (
    DAGMM,
    ESAD,
    FEAWAD,
    RSRAE,
    UAI,
    VAE,
    AnomalyAware,
    AnoOnly,
    Corrupt,
    DeepSAD,
    DeepSVDD,
    DevNet,
    Method,
    PReNet,
    Reconstruct,
    RoSAS,
    ScoreGuided,
)
from askew.deep.draws import Size
from askew.deep.method import Batch
from askew.deep.nets import Net
from askew.deep.rows import Rows
from askew.deep.steps import gather
from askew.deep.train import _draw, spawn
from askew.labels import Label

CASES: dict[str, Callable[[], Method]] = {
    "Reconstruct": lambda: Reconstruct(hidden=(8, 4)),
    "Reconstruct, one layer": lambda: Reconstruct(hidden=(3,), batch_norm=False, bounded=False),
    "DeepSVDD": lambda: DeepSVDD(hidden=(8, 4)),
    "DeepSVDD, not pretrained": lambda: DeepSVDD(hidden=(8,), pretrain=False),
    "DeepSAD": lambda: DeepSAD(hidden=(8, 4)),
    "DeepSAD, plain": lambda: DeepSAD(eta=3.0, hidden=(8, 4), batch_norm=False, pretrain=False),
    "DeepSAD, balanced": lambda: DeepSAD(hidden=(8, 4), batch_norm=False, balanced=True),
    "ESAD": lambda: ESAD(hidden=(8, 4), batch_norm=True),
    "ESAD, tied": lambda: ESAD(hidden=(8,), tie_encoders=True, noise="permute", reduction="mean"),
    "ESAD, no noise": lambda: ESAD(hidden=(8, 4), noise="none", batch_norm=True, norm=2.0),
    "DevNet": lambda: DevNet(),
    "DevNet, linear": lambda: DevNet(hidden=()),
    "DevNet, deep": lambda: DevNet(hidden=(16, 8), margin=3.0),
    "Reconstruct, ladder": lambda: Reconstruct(),
    "AnoOnly(DevNet)": lambda: AnoOnly(DevNet()),
    "AnoOnly(DevNet), hinged": lambda: AnoOnly(DevNet(), hinge=True, reduce="batch"),
    "AnoOnly(DeepSAD)": lambda: AnoOnly(DeepSAD(hidden=(8, 4), pretrain=False)),
    "AnoOnly(DeepSAD), neck": lambda: AnoOnly(DeepSAD(hidden=(8, 4), batch_norm=False)),
    "ScoreGuided(Reconstruct)": lambda: ScoreGuided(Reconstruct()),
    "ScoreGuided(DeepSVDD)": lambda: ScoreGuided(DeepSVDD(hidden=(8, 4)), weight=0.1, share=0.2),
    "UAI(Reconstruct)": lambda: UAI(Reconstruct(hidden=(8, 4))),
    "UAI(DeepSAD), frozen": lambda: UAI(DeepSAD(hidden=(8, 4)), freeze_base=True),
    "UAI(AnoOnly(DeepSAD))": lambda: UAI(AnoOnly(DeepSAD(hidden=(8, 4)))),
    "AnoOnly(ScoreGuided(Reconstruct))": lambda: AnoOnly(ScoreGuided(Reconstruct(hidden=(8, 4)))),
    "VAE": lambda: VAE(hidden=(8, 6), code=3),
    "VAE, one layer": lambda: VAE(hidden=(5,), code=2, beta=0.5, deviation=0.3),
    "PReNet": lambda: PReNet(),
    "PReNet, linear": lambda: PReNet(hidden=()),
    "PReNet, deep": lambda: PReNet(hidden=(16, 8), l2=0.0),
    "Corrupt(Reconstruct)": lambda: Corrupt(Reconstruct(hidden=(8, 4))),
    "Corrupt(VAE), noise": lambda: Corrupt(VAE(hidden=(8, 6), code=3), how="noise", share=0.5),
    "Corrupt(Reconstruct), mask": lambda: Corrupt(Reconstruct(hidden=(5,)), how="mask", cells=0.5),
    "RoSAS": lambda: RoSAS(embedding=8, scorer=4),
    "RoSAS, hard": lambda: RoSAS(embedding=4, scorer=3, margin=5.0, temperature=0.5, norm=0.0),
    "AnomalyAware(VAE)": lambda: AnomalyAware(VAE(hidden=(8, 6), code=3)),
    "AnomalyAware(Reconstruct), batch norm": lambda: AnomalyAware(
        Reconstruct(hidden=(8, 4), batch_norm=True), weight=0.5
    ),
    "AnomalyAware(DeepSVDD)": lambda: AnomalyAware(DeepSVDD(hidden=(8, 4)), ramp=1),
    "AnomalyAware(Corrupt(Reconstruct))": lambda: AnomalyAware(Corrupt(Reconstruct(hidden=(8, 4)))),
    "FEAWAD": lambda: FEAWAD(hidden=(8, 4), scorer=(8, 4)),
    "FEAWAD, as released": lambda: FEAWAD(residual_term="none", hidden=(5,), scorer=(6,)),
    "DAGMM": lambda: DAGMM(hidden=(8, 4)),
    "DAGMM, one part": lambda: DAGMM(hidden=(5,), code=2, mixtures=1, dropout=0.0),
    "RSRAE": lambda: RSRAE(hidden=(8, 6), code=2),
    "RSRAE, square": lambda: RSRAE(hidden=(4,), code=4, recovery=0.5),
}

# The smallest of each method, to be wrapped; and every wrapper.
BASES: dict[str, Callable[[], Method]] = {
    "Reconstruct": lambda: Reconstruct(hidden=(5, 3)),
    "VAE": lambda: VAE(hidden=(5,), code=3),
    "DeepSVDD": lambda: DeepSVDD(hidden=(5, 3)),
    "DAGMM": lambda: DAGMM(hidden=(5,), code=2, mixtures=2),
    "RSRAE": lambda: RSRAE(hidden=(6, 5), code=2),
    "DeepSAD": lambda: DeepSAD(hidden=(5, 3)),
    "ESAD": lambda: ESAD(hidden=(5, 3)),
    "DevNet": lambda: DevNet(hidden=(5,)),
    "PReNet": lambda: PReNet(hidden=(5,)),
    "RoSAS": lambda: RoSAS(embedding=4, scorer=3),
    "FEAWAD": lambda: FEAWAD(hidden=(5, 3), scorer=(5, 4)),
}
WRAPPERS: dict[str, Callable[[Method], Method]] = {
    "AnoOnly": lambda base: AnoOnly(base),
    "ScoreGuided": lambda base: ScoreGuided(base, weight=0.5),
    "UAI": lambda base: UAI(base),
    "AnomalyAware": lambda base: AnomalyAware(base),
    "Corrupt": lambda base: Corrupt(base, share=0.5),
}
LABEL_FREE = {"Reconstruct", "VAE", "DeepSVDD", "DAGMM", "RSRAE"}
REBUILDING = {"Reconstruct", "VAE", "DAGMM", "RSRAE", "ESAD"}
# What each wrapper is to take; it refuses the rest.
TAKES: dict[str, set[str]] = {
    "AnoOnly": set(BASES) - LABEL_FREE,
    "ScoreGuided": LABEL_FREE | {"DeepSAD", "ESAD"},
    "UAI": set(BASES),
    "AnomalyAware": LABEL_FREE,
    "Corrupt": REBUILDING,
}


def _pair(wrapper: str, base: str) -> Callable[[], Method]:
    return lambda: WRAPPERS[wrapper](BASES[base]())


PAIRS: dict[str, Callable[[], Method]] = {
    f"{wrapper}({base})": _pair(wrapper, base)
    for wrapper, bases in TAKES.items()
    for base in BASES
    if base in bases
}
PAIRS |= {
    "UAI(DAGMM), frozen": lambda: UAI(BASES["DAGMM"](), freeze_base=True),
    "UAI(AnoOnly(PReNet))": lambda: UAI(AnoOnly(BASES["PReNet"]())),
    "UAI(Corrupt(Reconstruct))": lambda: UAI(Corrupt(BASES["Reconstruct"]())),
    "UAI(ScoreGuided(RSRAE))": lambda: UAI(ScoreGuided(BASES["RSRAE"]())),
    "UAI(AnomalyAware(VAE))": lambda: UAI(AnomalyAware(BASES["VAE"]())),
    "AnoOnly(ScoreGuided(DAGMM))": lambda: AnoOnly(ScoreGuided(BASES["DAGMM"](), weight=1.0)),
    "AnoOnly(Corrupt(ESAD))": lambda: AnoOnly(Corrupt(BASES["ESAD"]())),
    "AnoOnly(AnomalyAware(VAE))": lambda: AnoOnly(AnomalyAware(BASES["VAE"]())),
    "ScoreGuided(AnomalyAware(VAE))": lambda: ScoreGuided(AnomalyAware(BASES["VAE"]()), weight=1.0),
    "ScoreGuided(Corrupt(VAE))": lambda: ScoreGuided(Corrupt(BASES["VAE"]()), weight=1.0),
    "Corrupt(ScoreGuided(VAE))": lambda: Corrupt(ScoreGuided(BASES["VAE"](), weight=1.0)),
    "Corrupt(AnoOnly(ESAD))": lambda: Corrupt(AnoOnly(BASES["ESAD"]())),
    "AnomalyAware(Corrupt(VAE))": lambda: AnomalyAware(Corrupt(BASES["VAE"]())),
    "UAI(AnoOnly(ScoreGuided(Corrupt(Reconstruct))))": lambda: UAI(
        AnoOnly(ScoreGuided(Corrupt(BASES["Reconstruct"]()), weight=1.0))
    ),
}

# What a case needs to learn the planted rows in seconds; its paper's settings are for long tables.
QUICK: dict[str, dict[str, float]] = {
    "FEAWAD": {"learning_rate": 1e-3, "steps_per_epoch": 10},
    "FEAWAD, as released": {"learning_rate": 1e-3, "steps_per_epoch": 10},
    "ESAD, tied": {"epochs": 150},
    "ESAD, no noise": {"epochs": 150},
    "ScoreGuided(Reconstruct)": {"learning_rate": 3e-3, "batch_size": 64, "epochs": 60},
    "ScoreGuided(DeepSVDD)": {"learning_rate": 1e-3, "batch_size": 64, "epochs": 60},
    "AnoOnly(ScoreGuided(Reconstruct))": {"learning_rate": 3e-3, "batch_size": 64, "epochs": 60},
}

D = 6


def table(n: int = 240, *, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Give (n, 6) rows near a plane, every twelfth off it, and labels of all three kinds."""
    generator = torch.Generator().manual_seed(7)
    plane = torch.tensor([[1, -1, 1, 0, 1, 0], [0, 1, -1, 1, 0, 1]], dtype=torch.float64)
    x = 0.5 + 0.06 * torch.randn(n, 2, generator=generator, dtype=torch.float64) @ plane
    x += 0.01 * torch.randn(n, D, generator=generator, dtype=torch.float64)
    odd = torch.arange(n) % 12 == 0
    x[odd, :3] += 0.2 + 0.2 * torch.rand(n, 3, generator=generator, dtype=torch.float64)[odd]
    label = torch.full((n,), int(Label.UNLABELED))
    label[odd & (torch.arange(n) % 24 == 0)] = int(Label.ANOMALY)
    label[~odd & (torch.arange(n) % 5 == 0)] = int(Label.NORMAL)
    return x.clamp(0, 1).to(dtype), label


def truth(n: int = 240) -> torch.Tensor:
    return torch.arange(n) % 12 == 0


def full_batch(method: Method, members: int = 2, *, rows: int = 48, seed: int = 3) -> Batch:
    """Draw a batch of the method's own kind from rows of which a third has each label."""
    x, label = thirds(rows)
    size, running = Size(1, rows, (D,)), torch.ones(members, dtype=torch.bool)
    drawn = _draw(method, label, size, spawn(seed, members), running, {})
    return gather(Rows(x.unsqueeze(0), label.unsqueeze(0)), drawn, 0)


def thirds(rows: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    x, _ = table(rows, dtype=torch.float64)
    return x, torch.arange(rows) % 3 - 1


def prepared(method: Method, members: int = 2) -> Net:
    """Give a network on which the method's hooks have looked at the table, a nudge from its start.

    For a term may have its least value just there: what holds weights where they began.
    """
    net = method.network((D,), spawn(11, members)).to(torch.float64).eval()
    x, label = table(dtype=torch.float64)
    rows = Rows(x.unsqueeze(0), label.unsqueeze(0))
    with torch.no_grad():
        method.before_fit(net, rows)
        method.before_epoch(net, rows, {})
        generator = torch.Generator().manual_seed(5)
        for p in net.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    method.set_training(net)
    return net


def rolled(batch: Batch) -> Batch:
    """Give the same rows with their labels moved on by one place, from one block to the next."""
    blocks = {name: part for name, part in batch.items() if isinstance(part, Rows)}
    labels = torch.cat([part.label for part in blocks.values()], -1).roll(1, -1)
    moved = torch.split(labels, [part.label.shape[-1] for part in blocks.values()], -1)
    return {
        **batch,
        **{
            name: Rows(part.x, label, part.clean)
            for (name, part), label in zip(blocks.items(), moved, strict=True)
        },
    }
