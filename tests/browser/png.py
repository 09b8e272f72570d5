"""Small PNG files from a browser's screenshots: 256 colours, without a library for pictures."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

_DECODE = """async ([png, shrunk]) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const [width, height] = [image.width, image.height].map((it) => Math.floor(it / shrunk));
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(image, 0, 0, width, height);
  const reader = new FileReader();
  reader.readAsDataURL(new Blob([canvas.getImageData(0, 0, width, height).data]));
  await new Promise((done) => { reader.onload = done; });
  return [width, height, reader.result.split(",")[1]];
}"""


def pixels_of(png: bytes, blank: Page, shrunk: int = 1) -> NDArray[np.uint8]:
    """Let a blank page decode a picture, made smaller so many times; (height, width, 3)."""
    width, height, data = blank.evaluate(_DECODE, [base64.b64encode(png).decode(), shrunk])
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[:, :, :3]


def written(pixels: NDArray[np.uint8]) -> bytes:
    """Write a picture in 256 colors at most; the others become the nearest of them."""
    height, width, _ = pixels.shape
    whole = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colors, at, counts = np.unique(whole, return_inverse=True, return_counts=True)
    rgb = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1).astype(np.float64)
    # One after another, the color that is wronged most by those before it: rare hues stay.
    kept, index = np.empty((256, 3)), np.zeros(len(rgb), np.uint8)
    away = np.full(len(rgb), np.inf)
    for i in range(256):
        kept[i] = rgb[np.argmax(away * counts if i else counts)]
        apart = ((rgb - kept[i]) ** 2).sum(axis=1)
        index[apart < away] = i
        away = np.minimum(away, apart)
    lines = np.hstack([np.zeros((height, 1), np.uint8), index[at.reshape(height, width)]])
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", kept.astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
