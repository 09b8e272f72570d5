"""The model file: data, never code; whole or not at all."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import askew
from askew import Askew
from askew.deep import METHODS, DeepSAD, Detector, Reconstruct
from askew.errors import AskewError, FileError, ModelFileError
from askew.persist import manifest_of


@pytest.fixture
def model(payments: pd.DataFrame, verdicts: pd.Series) -> Askew:
    return Askew(kinds={"items": "category"}, random_state=0).fit(payments, verdicts)


@pytest.fixture
def file(model: Askew, tmp_path: Path) -> Path:
    path = tmp_path / "payments.askew"
    model.save(path)
    return path


def test_a_loaded_model_is_the_same_model(model: Askew, file: Path, payments: pd.DataFrame) -> None:
    loaded = askew.load(file)
    np.testing.assert_array_equal(
        loaded.decision_function(payments), model.decision_function(payments)
    )
    pd.testing.assert_frame_equal(loaded.rank(payments), model.rank(payments))
    assert str(loaded.labels_) == str(model.labels_)
    assert loaded.verdicts_ == model.verdicts_
    assert loaded.get_params() == model.get_params()
    assert (loaded.id_, loaded.parent_) == (model.id_, None)
    assert loaded.refit(payments, {"tx-0001": 1}).parent_ == model.id_
    assert loaded.schema_ == model.schema_


def test_a_fresh_process_scores_alike(model: Askew, file: Path, payments: pd.DataFrame) -> None:
    payments.to_parquet(file.parent / "t.parquet")
    script = (
        "import askew, pandas as pd, sys; m = askew.load(sys.argv[1]);"
        "print(*map(repr, m.decision_function(pd.read_parquet(sys.argv[2])).tolist()))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(file), str(file.parent / "t.parquet")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [float(v) for v in ran.stdout.split()] == model.decision_function(payments).tolist()


def test_no_row_of_the_table_is_in_the_file(
    file: Path, payments: pd.DataFrame, model: Askew
) -> None:
    from askew.table import to_frame
    from askew.table.encode import encode

    content = file.read_bytes()
    x = encode(model.schema_, to_frame(payments))
    for row in x:
        assert row.tobytes() not in content
        assert row.astype(np.float64).tobytes() not in content


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_a_truncated_file_is_refused(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelFileError, match=r"payments\.askew: .*(cut short|not a model)"):
        askew.load(file)


def test_an_altered_file_is_refused_wherever_it_was_altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    for at in np.linspace(8, len(content) - 1, 60).astype(int):
        changed = bytearray(content)
        changed[at] ^= 0x15
        file.write_bytes(bytes(changed))
        with pytest.raises(ModelFileError):
            askew.load(file)


def rewritten(file: Path, change: Any) -> None:
    """Write the file again with another manifest and a checksum that fits it."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    from askew.persist import _digest

    with safe_open(file, framework="numpy") as f:
        manifest = json.loads(f.metadata()["askew"])
        arrays = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
    change(manifest)
    text = json.dumps(manifest)
    save_file(arrays, file, metadata={"askew": text, "sha256": _digest(text, arrays)})


def test_a_newer_file_is_refused_by_name(file: Path) -> None:
    rewritten(file, lambda m: m.update(format=99, askew="7.1"))
    with pytest.raises(
        ModelFileError, match=r"newer Askew \(7\.1, format 99; .* up to 1\); upgrade"
    ):
        askew.load(file)


@pytest.mark.parametrize("kind", ["os.system", "Popen", "IsolationForest", "eval", ""])
def test_a_class_that_is_not_in_the_list_is_never_made(file: Path, kind: str) -> None:
    rewritten(file, lambda m: m["estimator"]["state"]["ranker"]["$estimator"].update(kind=kind))
    with pytest.raises(ModelFileError, match="which this Askew does not have"):
        askew.load(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("estimator"),
        lambda m: m["estimator"].pop("params"),
        lambda m: m["estimator"]["params"].update(nothing=1),
        lambda m: m["estimator"]["state"].pop("schema"),
        lambda m: m["estimator"]["state"].update(schema=[1, 2]),
        lambda m: m["estimator"]["state"].update(quantiles=[0.0]),
        lambda m: m["estimator"]["state"].update(offset="high"),
        lambda m: m["estimator"]["state"].update(ranker=None),
        lambda m: m["estimator"]["state"]["ranker"]["$estimator"].update(state={}),
        lambda m: m["estimator"]["state"].update(labels={"n_anomaly": 1}),
        lambda m: m["estimator"]["state"].update(verdicts=[["a"], [1, 0]]),
        lambda m: m["estimator"]["state"].update(quantiles={"$array": "gone"}),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(file: Path, change: Any) -> None:
    rewritten(file, change)
    with pytest.raises(ModelFileError, match=r"payments\.askew"):
        askew.load(file)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    foreign = tmp_path / "other.safetensors"
    save_file({"a": np.ones(3)}, foreign)
    with pytest.raises(ModelFileError, match="not a model of Askew's"):
        askew.load(foreign)
    for content in (b"", b"PK\x03\x04 zip", b"\x80\x04\x95 a stream of opcodes", b"a,b\n1,2\n"):
        foreign.write_bytes(content)
        with pytest.raises(ModelFileError, match="not a model file"):
            askew.load(foreign)
    foreign.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(ModelFileError):
        askew.load(foreign)
    with pytest.raises(FileError, match="there is no such file"):
        askew.load(tmp_path / "gone.askew")
    with pytest.raises(FileError, match="is a folder"):
        askew.load(tmp_path)


def test_a_failed_save_leaves_what_was_there(file: Path, model: Askew) -> None:
    before = file.read_bytes()
    with pytest.raises(FileError, match="no such folder"):
        model.save(file.parent / "none" / "m.askew")
    broken = Askew(random_state=0)
    broken.__dict__.update(model.__dict__)
    broken.quantiles_ = object()  # type: ignore[assignment]
    with pytest.raises(TypeError):
        broken.save(file)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_the_manifest_can_be_read_alone(file: Path) -> None:
    manifest = manifest_of(file)
    assert manifest["format"] == 1
    assert manifest["created"].endswith("+00:00")


def test_a_detectors_parameters_come_back(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    made = Detector(
        DeepSAD(eta=2.5, hidden=(4, 2), pretrain=False), members=2, epochs=5, random_state=1
    ).fit(X)
    askew.save(made, tmp_path / "d.askew")
    loaded = askew.load(tmp_path / "d.askew")
    assert repr(loaded) == repr(made)
    assert loaded.method.hidden == (4, 2)


def test_a_method_of_ones_own_is_refused_until_it_is_in_the_list(tmp_path: Path) -> None:
    @dataclass(eq=False, repr=False)
    class Own(Reconstruct):
        """An autoencoder under another name."""

    X = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    made = Detector(Own(hidden=(2,)), epochs=5, random_state=1).fit(X)
    with pytest.raises(AskewError, match=r"an? Own cannot be saved: .* askew.deep.METHODS"):
        askew.save(made, tmp_path / "own.askew")
    assert os.listdir(tmp_path) == []
    with patch.dict(METHODS, {"Own": Own}):
        askew.save(made, tmp_path / "own.askew")
        again = askew.load(tmp_path / "own.askew")
    np.testing.assert_array_equal(again.decision_function(X), made.decision_function(X))
    with pytest.raises(ModelFileError, match="'Own', which this Askew does not have"):
        askew.load(tmp_path / "own.askew")
