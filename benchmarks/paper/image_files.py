"""Readers of the image sets' own files: IDX (MNIST, Fashion-MNIST) and CIFAR-10's binary version.

Nothing here unpickles: CIFAR-10's "python version" is refused, for loading a pickle runs what its
maker wrote into it.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "test"]
Images = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (n, channels, height, width), (n,)

IDX_LABELS, IDX_IMAGES = 0x00000801, 0x00000803  # unsigned bytes, of one and of three dimensions
IDX_NAMES = {"train": "train", "test": "t10k"}
CIFAR_NAMES = {
    "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("test_batch.bin",),
}
CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then the red, green and blue plane by rows
GZIP = b"\x1f\x8b"


class ImageFileError(ValueError):
    """A file is not what it should be: says what was found, expected, and what to do."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one IDX file of unsigned bytes, plain or gzipped: labels (n,) or images (n, h, w).

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImageFileError
        It is no IDX file of labels or images, or shorter or longer than it says.
    """
    data = _bytes(path)
    found = struct.unpack(">I", data[:4])[0] if len(data) >= 4 else None
    if found not in (IDX_LABELS, IDX_IMAGES):
        seen = f"magic number 0x{found:08x}" if found is not None else f"{len(data)} bytes"
        raise ImageFileError(
            f"{path}: found {seen}, expected 0x{IDX_LABELS:08x} (labels) or "
            f"0x{IDX_IMAGES:08x} (images); give MNIST's or Fashion-MNIST's own IDX file"
        )
    dimensions = found & 0xFF
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise ImageFileError(
            f"{path}: found {len(data)} bytes, expected a header of {start}; download it again"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    _check_length(path, len(data) - start, int(np.prod(shape, dtype=np.int64)), f"shape {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_mnist(folder: Path, part: Part) -> Images:
    """Read MNIST or Fashion-MNIST: (n, 1, height, width) and the classes (n,).

    Raises
    ------
    FileNotFoundError
        A file is missing, plain and gzipped.
    ImageFileError
        A file is not what it should be, or images and labels differ in number.
    """
    stem = IDX_NAMES[part]
    images = _idx(folder, f"{stem}-images-idx3-ubyte", 3)
    labels = _idx(folder, f"{stem}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ImageFileError(
            f"{folder}: found {len(images):,} images and {len(labels):,} labels for {stem}, "
            "expected as many; take both files from one download"
        )
    _check_classes(folder / f"{stem}-labels-idx1-ubyte", labels)
    return images[:, None], labels.astype(np.int64)


def read_cifar10(folder: Path, part: Part) -> Images:
    """Read CIFAR-10's binary version: (n, 3, 32, 32) and the classes (n,).

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ImageFileError
        A file is no whole number of records, or a class is beyond 9.
    """
    parts = []
    for name in CIFAR_NAMES[part]:
        path = folder / name
        if not path.is_file() and path.with_suffix("").is_file():
            raise ImageFileError(
                f"{path.with_suffix('')}: found the pickled version of CIFAR-10, expected "
                f"{name}; download the binary version (cifar-10-binary.tar.gz): loading a "
                "pickle would run whatever is in it"
            )
        data = _bytes(path)
        if not data or len(data) % CIFAR_RECORD:
            raise ImageFileError(
                f"{path}: found {len(data):,} bytes, expected a multiple of {CIFAR_RECORD:,} (a "
                "label and 3 x 32 x 32 pixels a record); download it again"
            )
        records = np.frombuffer(data, np.uint8).reshape(-1, CIFAR_RECORD)
        _check_classes(path, records[:, 0])
        parts.append(records)
    table = np.concatenate(parts)
    return table[:, 1:].reshape(-1, *CIFAR_SHAPE), table[:, 0].astype(np.int64)


# Where the sets lie under the folder given by --data, and how they are read.
SETS: dict[str, tuple[tuple[str, ...], Callable[[Path, Part], Images]]] = {
    "mnist": (("mnist", "MNIST/raw"), read_mnist),
    "fashion-mnist": (("fashion-mnist", "FashionMNIST/raw"), read_mnist),
    "cifar10": (("cifar-10-batches-bin",), read_cifar10),
}


def find_set(name: str, data: Path) -> Path:
    """Find the folder of an image set under ``data``.

    Raises
    ------
    FileNotFoundError
        None of the places is there.
    """
    places = SETS[name][0]
    for place in places:
        if (data / place).is_dir():
            return data / place
    expected = " or ".join(str(data / place) for place in places)
    raise FileNotFoundError(f"{name}: found no folder {expected}; put the set's files there")


def read_set(name: str, data: Path, part: Part) -> Images:
    """Read one part of an image set (a key of ``SETS``) from under ``data``."""
    return SETS[name][1](find_set(name, data), part)


def _idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    plain, packed = folder / name, folder / f"{name}.gz"
    if not plain.is_file() and not packed.is_file():
        raise FileNotFoundError(
            f"{plain}: found neither this file nor {packed.name}; download the set's four IDX "
            f"files into {folder}"
        )
    path = plain if plain.is_file() else packed
    array = read_idx(path)
    if array.ndim != dimensions:
        raise ImageFileError(
            f"{path}: found {array.ndim} dimensions, expected {dimensions}; images and labels "
            "seem to have changed names"
        )
    return array


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: found no such file; download the set into {path.parent}")
    data = path.read_bytes()
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as e:
        raise ImageFileError(f"{path}: found a broken gzip file ({e}); download it again") from e


def _check_length(path: Path, found: int, expected: int, why: str) -> None:
    if found != expected:
        raise ImageFileError(
            f"{path}: found {found:,} bytes of data, expected {expected:,} for {why}; "
            "download it again"
        )


def _check_classes(path: Path, classes: NDArray[np.uint8]) -> None:
    if classes.max(initial=0) > 9:
        raise ImageFileError(
            f"{path}: found class {classes.max()}, expected 0 to 9; give the ten-class set"
        )
