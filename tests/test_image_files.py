"""The image sets' own formats, on files of a few pixels made here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from paper import image_files
from paper.image_files import ImageFileError


def idx(array: NDArray[np.uint8]) -> bytes:
    """Write an array as the format is described: magic number, sizes, bytes; all big-endian."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.tobytes()


IMAGES = np.arange(3 * 2 * 5, dtype=np.uint8).reshape(3, 2, 5)
LABELS = np.array([7, 0, 9], np.uint8)


def mnist(folder: Path, *, packed: bool = False) -> Path:
    for stem in ("train", "t10k"):
        for name, array in (
            (f"{stem}-images-idx3-ubyte", IMAGES),
            (f"{stem}-labels-idx1-ubyte", LABELS),
        ):
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("part", ["train", "test"])
def test_mnist_is_read_plain_and_gzipped(
    tmp_path: Path, packed: bool, part: image_files.Part
) -> None:
    images, labels = image_files.read_mnist(mnist(tmp_path, packed=packed), part)
    assert images.dtype == np.uint8
    assert images.shape == (3, 1, 2, 5)
    np.testing.assert_array_equal(images[:, 0], IMAGES)
    assert images[1, 0, 1, 2] == 10 + 5 + 2  # by rows: the second image begins at 10
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, 0, 9]


def test_idx_says_what_was_found_when_the_magic_number_is_another(tmp_path: Path) -> None:
    path = tmp_path / "floats"
    path.write_bytes(b"\x00\x00\x0d\x03" + bytes(40))
    with pytest.raises(ImageFileError, match=r"found magic number 0x00000d03, expected 0x00000801"):
        image_files.read_idx(path)
    path.write_bytes(b"\x00\x00")
    with pytest.raises(ImageFileError, match="found 2 bytes"):
        image_files.read_idx(path)


@pytest.mark.parametrize(("change", "found"), [(-1, "found 29 bytes"), (1, "found 31 bytes")])
def test_idx_of_another_length_than_it_says_is_refused(
    tmp_path: Path, change: int, found: str
) -> None:
    path = tmp_path / "images"
    data = idx(IMAGES)
    path.write_bytes(data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(ImageFileError, match=rf"{found} of data, expected 30"):
        image_files.read_idx(path)


def test_idx_cut_off_in_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx(IMAGES)[:9])
    with pytest.raises(ImageFileError, match="found 9 bytes, expected a header of 16"):
        image_files.read_idx(path)


def test_torn_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:-12])
    with pytest.raises(ImageFileError, match="broken gzip file"):
        image_files.read_idx(path)


def test_missing_mnist_file_is_named(tmp_path: Path) -> None:
    (mnist(tmp_path) / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-labels-idx1-ubyte: found neither"):
        image_files.read_mnist(tmp_path, "train")


def test_images_and_labels_must_be_as_many_and_in_their_places(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:2]))
    with pytest.raises(ImageFileError, match="found 3 images and 2 labels"):
        image_files.read_mnist(tmp_path, "train")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(ImageFileError, match="found 3 dimensions, expected 1"):
        image_files.read_mnist(tmp_path, "test")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2, 10], np.uint8)))
    with pytest.raises(ImageFileError, match="found class 10, expected 0 to 9"):
        image_files.read_mnist(tmp_path, "train")


def record(label: int, red: int, green: int, blue: int) -> bytes:
    """One CIFAR-10 record: the label, then 1,024 bytes of each color."""
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def cifar(folder: Path) -> Path:
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(record(i, 10 * i, 0, 1) + record(0, 2, 3, 4))
    corner = bytearray(record(9, 0, 0, 0))
    corner[1 + 1024 + 32 * 5 + 7] = 200  # green plane, sixth row, eighth column
    (folder / "test_batch.bin").write_bytes(bytes(corner))
    return folder


def test_cifar_is_read_in_order(tmp_path: Path) -> None:
    images, labels = image_files.read_cifar10(cifar(tmp_path), "train")
    assert images.shape == (10, 3, 32, 32)
    assert images.dtype == np.uint8
    assert labels.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert (images[4, 0] == 30).all()
    assert (images[5, :, 0, 0] == [2, 3, 4]).all()
    images, labels = image_files.read_cifar10(tmp_path, "test")
    assert labels.tolist() == [9]
    assert np.argwhere(images).tolist() == [[0, 1, 5, 7]]


def test_cifar_of_broken_records_is_refused(tmp_path: Path) -> None:
    path = cifar(tmp_path) / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageFileError, match="found 3,072 bytes, expected a multiple of 3,073"):
        image_files.read_cifar10(tmp_path, "test")
    path.write_bytes(b"")
    with pytest.raises(ImageFileError, match="found 0 bytes"):
        image_files.read_cifar10(tmp_path, "test")
    path.write_bytes(record(10, 0, 0, 0))
    with pytest.raises(ImageFileError, match="found class 10"):
        image_files.read_cifar10(tmp_path, "test")


def test_pickled_cifar_is_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    # Loading this would make the file: os.mkdir(marker).
    pickled = b"cos\nmkdir\n(V" + str(marker).encode() + b"\ntR."
    (tmp_path / "test_batch").write_bytes(pickled)
    with pytest.raises(ImageFileError, match="pickled version"):
        image_files.read_cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(pickled)
    with pytest.raises(ImageFileError, match="multiple"):
        image_files.read_cifar10(tmp_path, "test")
    assert not marker.exists()


def test_missing_cifar_file_is_named(tmp_path: Path) -> None:
    (cifar(tmp_path) / "data_batch_3.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3.bin: found no such file"):
        image_files.read_cifar10(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name, (places, _) in image_files.SETS.items() for place in places],
)
def test_sets_are_found_under_the_data_folder(tmp_path: Path, name: str, place: str) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (cifar if name == "cifar10" else mnist)(folder)
    images, labels = image_files.read_set(name, tmp_path, "test")
    assert len(images) == len(labels) > 0


def test_missing_set_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"mnist: found no folder .*mnist or .*MNIST/raw"):
        image_files.read_set("mnist", tmp_path, "train")
