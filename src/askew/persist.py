"""One model file: a manifest of JSON and the tensors, both inside one safetensors file.

Nothing in the file is ever executed. A class is found by its name in a list that stands here, its
parameters are plain values, and what it learned goes through its ``set_state``, which checks it.
The manifest stands in the header's metadata under ``askew``, a SHA-256 of manifest and tensors
beside it; so any safetensors reader can look into a model.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from askew.atomic import replacing
from askew.errors import AskewError, FileError, ModelFileError

FORMAT = 1  # raised when a file of this version can no longer be read by the one before

# Classes that a file may name; methods and rankers are found in their own registries.
KINDS = {
    "Askew": "askew.model",
    "Detector": "askew.deep",
}

# Dictionaries, lists, strings, numbers, None; at the leaves NumPy arrays and fitted estimators.
Tree = Any


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted ``Askew`` or ``Detector`` to one file, whole or not at all.

    Parameters
    ----------
    estimator
        Fitted; its rows are not stored.
    path
        Where to; an existing file is replaced.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    manifest = {
        "format": FORMAT,
        "askew": version("askew"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "estimator": _lift(pack(estimator), arrays, "estimator"),
    }
    text = json.dumps(manifest, allow_nan=False, ensure_ascii=False)
    metadata = {"askew": text, "sha256": _digest(text, arrays)}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata=metadata)


def load(path: str | os.PathLike[str]) -> Any:
    """Read what ``save`` wrote.

    Raises
    ------
    FileError
        There is no such file, or it cannot be read.
    ModelFileError
        It is truncated, altered, of another program, or of a newer version of Askew.
    """
    manifest, arrays = _read(Path(path))
    try:
        return unpack(_lower(manifest["estimator"], arrays))
    except ModelFileError as e:
        raise ModelFileError(f"{path}: {e}") from e
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        raise ModelFileError(f"{path}: the manifest is not one that Askew writes ({e!r})") from e


def manifest_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read format, version and date of a model file, after the same checks as ``load``."""
    manifest, _ = _read(Path(path))
    return {name: manifest.get(name) for name in ("format", "askew", "created")}


def pack(value: Any) -> Tree:
    """Turn a fitted estimator into a tree: its class's name, parameters and state.

    Raises
    ------
    AskewError
        It is of a class that a model file cannot hold.
    """
    if not hasattr(value, "get_state"):
        raise _unknown(value)
    tree: dict[str, Tree] = {
        "kind": _name(value),
        "params": {name: _plain(v) for name, v in value.get_params(deep=False).items()},
        "state": value.get_state(),
    }
    return tree


def unpack(tree: Tree) -> Any:
    """Make again what ``pack`` took apart."""
    if not isinstance(tree, dict) or not isinstance(tree.get("kind"), str):
        raise ModelFileError("an estimator was expected, and something else found")
    params = {name: _rich(v) for name, v in tree["params"].items()}
    made = _class_of(tree["kind"])(**params)
    if "state" in tree:
        made.set_state(tree["state"])
    return made


def fingerprint(tree: Tree) -> str:
    """Hash a packed estimator: the same learned state has the same twelve letters."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_lift(tree, arrays, ""), allow_nan=False, sort_keys=True)
    return _digest(text, arrays)[:12]


def _name(value: Any) -> str:
    """Give the name under which a class stands in the lists, so that it is found again."""
    kind = type(value).__name__
    if _known(kind) is not type(value):
        raise _unknown(value)
    return kind


def _unknown(value: Any) -> AskewError:
    return AskewError(
        f"a {type(value).__name__} cannot be saved: a model file names the classes of Askew only; "
        "fit with one of askew.rankers or askew.deep, or enter a method of your own in "
        "askew.deep.METHODS, before saving and before loading"
    )


def _class_of(kind: str) -> Any:
    found = _known(kind)
    if found is None:
        raise ModelFileError(f"it names the class {kind!r}, which this Askew does not have")
    return found


def _known(kind: str) -> Any:
    """Find a class in the lists; None where it stands in none."""
    if kind in KINDS:
        return getattr(import_module(KINDS[kind]), kind)
    from askew.deep.methods import METHODS
    from askew.rankers import RANKERS

    return RANKERS.get(kind, METHODS.get(kind))


def _plain(value: Any) -> Tree:
    """Turn a parameter into plain values; tuples, methods and estimators are marked."""
    if value is None or isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"$tuple": [_plain(v) for v in value]}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {"$dict": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if isinstance(value, np.random.RandomState):
        return None  # a generator has moved on since; what it decided is in the state
    if hasattr(value, "get_params"):
        params = {name: _plain(v) for name, v in value.get_params(deep=False).items()}
        return {"$made": {"kind": _name(value), "params": params}}
    raise AskewError(f"a parameter of type {type(value).__name__} cannot be saved: {value!r}")


def _rich(value: Tree) -> Any:
    """Undo ``_plain``."""
    if isinstance(value, list):
        return [_rich(v) for v in value]
    if not isinstance(value, dict):
        return value
    ((mark, inner),) = value.items()
    if mark == "$tuple":
        return tuple(_rich(v) for v in inner)
    if mark == "$dict":
        return {_rich(k): _rich(v) for k, v in inner}
    if mark == "$made":
        return unpack(inner)
    raise ModelFileError(f"it holds the unknown mark {mark!r}")


def _lift(tree: Tree, arrays: dict[str, np.ndarray], path: str) -> Tree:
    """Move arrays out, under their paths; pack estimators; mark numbers that JSON does not know."""
    if hasattr(tree, "get_params"):
        return {"$estimator": _lift(pack(tree), arrays, path)}
    if isinstance(tree, np.ndarray):
        # A copy where needed: safetensors writes the buffer, and a view has another one.
        arrays[path] = np.ascontiguousarray(tree)
        return {"$array": path}
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, dict):
        return {str(k): _lift(v, arrays, f"{path}.{k}") for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [_lift(v, arrays, f"{path}.{i}") for i, v in enumerate(tree)]
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"$float": repr(tree)}
    return tree


def _lower(tree: Tree, arrays: Mapping[str, np.ndarray]) -> Tree:
    """Undo ``_lift``."""
    if isinstance(tree, list):
        return [_lower(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    if set(tree) == {"$array"}:
        return arrays[tree["$array"]]
    if set(tree) == {"$estimator"}:
        return unpack(_lower(tree["$estimator"], arrays))
    if set(tree) == {"$float"}:
        return float(tree["$float"])
    return {k: _lower(v, arrays) for k, v in tree.items()}


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # no copy
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise FileError(f"{path}: {what}; give the model file that `askew fit -o` or save wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if "askew" not in metadata:
                raise ModelFileError(f"{path}: is a safetensors file, but not a model of Askew's")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise ModelFileError(
            f"{path}: is not a model file, or was cut short ({e}); copy it again, or fit anew"
        ) from e
    except OSError as e:
        raise FileError(f"{path}: cannot be read ({e.strerror or e})") from e
    text = metadata["askew"]
    try:
        manifest = json.loads(text)
        newer = int(manifest["format"]) > FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise ModelFileError(f"{path}: the manifest cannot be read ({e!r})") from e
    if newer:
        raise ModelFileError(
            f"{path}: was written by a newer Askew ({manifest.get('askew')}, format "
            f"{manifest['format']}; this one reads up to {FORMAT}); upgrade Askew"
        )
    if metadata.get("sha256") != _digest(text, arrays):
        raise ModelFileError(
            f"{path}: was altered after it was written (the checksum differs); "
            "copy it again, or fit anew"
        )
    return manifest, arrays
