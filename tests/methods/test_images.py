"""Networks for images: the published layers, and rows that are images all the way through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import askew
from askew.deep import (
    ESAD,
    UAI,
    AnoOnly,
    Corrupt,
    DeepSAD,
    DeepSVDD,
    Detector,
    DevNet,
    Method,
    Reconstruct,
    ScoreGuided,
)
from askew.deep.convnets import Conv
from askew.deep.nets import BatchNorm, Linear
from askew.deep.train import score, spawn, train
from askew.errors import MethodError

SMALL: dict[str, Any] = {"channels": (3, 2), "dense": (16,)}
IMAGES: dict[str, Method] = {
    "Reconstruct": Reconstruct(**SMALL),
    "DeepSVDD": DeepSVDD(**SMALL),
    "DeepSAD": DeepSAD(channels=(3, 2), dense=(32, 5)),
    "ESAD": ESAD(**SMALL),
    "AnoOnly(DeepSAD)": AnoOnly(DeepSAD(batch_norm=False, **SMALL)),
    "ScoreGuided(Reconstruct)": ScoreGuided(Reconstruct(**SMALL), weight=1.0),
    "UAI(DeepSAD)": UAI(DeepSAD(**SMALL)),
    "Corrupt(Reconstruct)": Corrupt(Reconstruct(**SMALL)),
}
images = pytest.mark.parametrize("name", IMAGES)
pytestmark = pytest.mark.filterwarnings("ignore::askew.errors.ConvergenceWarning")


def pictures(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Bright squares; every tenth a bright cross. Half of the crosses are known."""
    rng = np.random.default_rng(0)
    x = 20 * rng.random((n, 1, 12, 12))
    odd = np.arange(n) % 10 == 0
    x[~odd, :, 3:9, 3:9] += 200
    x[odd, :, 5:7, :] += 200
    x[odd, :, :, 5:7] += 35
    y = np.where(odd & (np.arange(n) % 20 == 0), 1, -1)
    return x.astype(np.uint8), y


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class TestPublishedNetworks:
    @pytest.mark.parametrize(
        ("shape", "channels", "dense", "encoder", "decoder"),
        [
            ((1, 28, 28), (8, 4), (32,), 7_272, 1_200),
            ((1, 28, 28), (16, 32), (128, 64), 222_096, 27_792),
            ((3, 32, 32), (32, 64, 128), (128,), 520_544, 284_000),
        ],
        ids=["MNIST", "Fashion-MNIST", "CIFAR-10"],
    )
    def test_parameter_counts_and_the_size_of_what_is_rebuilt(
        self,
        shape: tuple[int, ...],
        channels: tuple[int, ...],
        dense: tuple[int, ...],
        encoder: int,
        decoder: int,
    ) -> None:
        net = DeepSAD(channels=channels, dense=dense).network(shape, spawn(0, 1))
        assert count(net.encoder) == encoder
        assert count(net.head) == decoder
        assert not any("bias" in name or "shift" in name for name, _ in net.named_parameters())
        x = torch.rand(1, 2, *shape)
        assert net.encode(x).shape == (1, 2, dense[-1])
        assert net(x).shape == x.shape

    def test_the_sizes_on_the_way_back_are_the_authors(self) -> None:
        """4 -> 8 -> 16, cut to 14 -> 28; and 4, 4 -> 8 -> 16 -> 32."""
        for shape, channels, dense, sizes in (
            ((1, 28, 28), (8, 4), (32,), [8, 14, 28]),
            ((3, 32, 32), (32, 64, 128), (128,), [4, 8, 16, 32]),
        ):
            net = DeepSAD(channels=channels, dense=dense).network(shape, spawn(0, 1))
            x, seen = torch.rand(1, 2, dense[-1]), []
            for layer in net.head:  # type: ignore[attr-defined]
                x = layer(x)
                if isinstance(layer, Conv):
                    seen.append(x.shape[-1])
            assert seen == sizes

    @pytest.mark.parametrize("size", [(15, 15), (20, 30), (40, 24), (9, 64), (101, 7)])
    def test_images_of_any_size_come_back_in_their_size(self, size: tuple[int, int]) -> None:
        for method in (Reconstruct(), ESAD(profile="B")):
            net = method.network((2, *size), spawn(0, 1))
            assert net(torch.rand(1, 3, 2, *size)).shape == (1, 3, 2, *size)

    def test_an_encoder_equals_torchs_layers(self) -> None:
        net = DeepSAD().network((1, 28, 28), spawn(3, 2)).double()
        x = torch.rand(2, 5, 1, 28, 28, dtype=torch.float64)
        for k in range(2):
            parts = [m for m in net.encoder.modules() if not isinstance(m, nn.Sequential)]
            twin = nn.Sequential(*[torchs(layer, k) for layer in parts]).double()
            torch.testing.assert_close(net.train().encode(x)[k], twin(x[k]))


def torchs(layer: nn.Module, k: int) -> nn.Module:
    """Give torch's own layer with one member's weights."""
    twin: Any
    if isinstance(layer, Conv):
        outputs, inputs = layer.weight.shape[1:3]
        twin = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        twin.weight = nn.Parameter(layer.weight[k])
        return twin  # type: ignore[no-any-return]
    if isinstance(layer, Linear):
        inputs, outputs = layer.weight.shape[1:]
        twin = nn.Linear(inputs, outputs, bias=False)
        twin.weight = nn.Parameter(layer.weight[k].T)
        return twin  # type: ignore[no-any-return]
    if isinstance(layer, BatchNorm):
        return nn.BatchNorm2d(layer.mean.shape[-1], eps=1e-4, affine=False)
    if isinstance(layer, nn.Flatten):
        return nn.Flatten()
    return nn.LeakyReLU(0.01) if isinstance(layer, nn.LeakyReLU) else nn.MaxPool2d(2)


@images
def test_a_detector_takes_images_learns_and_comes_back_from_a_file(
    name: str, tmp_path: Path
) -> None:
    X, y = pictures()
    detector = Detector(
        IMAGES[name], epochs=25, batch_size=30, learning_rate=3e-3, members=2, random_state=0
    ).fit(X, y)
    scores = detector.decision_function(X)
    crosses = np.arange(60) % 10 == 0
    assert scores[crosses & (y == -1)].mean() > np.median(scores[~crosses])
    many = np.concatenate([X] * 5)
    order = np.random.default_rng(0).permutation(len(many))
    np.testing.assert_array_equal(
        detector.decision_function(many[order]), np.tile(scores, 5)[order]
    )
    np.testing.assert_array_equal(detector.decision_function(X[:1]), scores[:1])
    askew.save(detector, tmp_path / "m.askew")
    again = askew.load(tmp_path / "m.askew")
    np.testing.assert_array_equal(again.decision_function(X), scores)
    with pytest.raises(ValueError, match=r"found rows of shape \(1, 12, 10\)"):
        again.decision_function(X[..., :10])


@images
def test_members_of_images_trained_together_equal_members_alone(name: str) -> None:
    X, y = pictures(40)
    x, label = torch.from_numpy(X / 255.0), torch.from_numpy(y)
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 20}
    both, _ = train(IMAGES[name], x, label, generators=spawn(5, 2), **settings)
    alone, _ = train(IMAGES[name], x, label, generators=spawn(5, 2)[1:], **settings)
    torch.testing.assert_close(
        score(IMAGES[name], both, x)[1], score(IMAGES[name], alone, x)[0], rtol=1e-9, atol=1e-9
    )


def test_images_are_scaled_as_a_whole_and_a_table_by_columns() -> None:
    X, y = pictures()
    detector = Detector(DeepSAD(**SMALL), epochs=1, random_state=0).fit(X, y)
    assert detector.shift_.tolist() == [X.min()]
    np.testing.assert_allclose(detector.factor_, 1 / np.ptp(X.astype(float)))


def test_a_method_for_tables_refuses_images_by_name() -> None:
    X, y = pictures()
    for method, name in ((DevNet(), "DevNet"), (AnoOnly(DevNet()), r"AnoOnly\(DevNet\)")):
        with pytest.raises(MethodError, match=rf"{name} takes tables .*\(60, 1, 12, 12\).*reshape"):
            Detector(method).fit(X, y)


def test_three_dimensions_are_refused() -> None:
    X, y = pictures()
    with pytest.raises(ValueError, match="dim 3"):
        Detector(DeepSAD(**SMALL)).fit(X[:, 0], y)
