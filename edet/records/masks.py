"""Masks: a class for every pixel, from the annotators' files to the records and back.

A mask holds the data set's own values, 0-253, and IGNORED where a pixel is of no class and counts
nowhere.

Shapes: H, W pixels of a mask.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from edet.errors import UserError
from edet.files import content_of, reason
from edet.globs import list_filled_folder
from edet.image.files import encode_png
from edet.image.header import checked
from edet.records.schema import Mask, parse_example
from edet.records.shards import open_records

IGNORED = 255


class BadMask(ValueError):
    """A mask that cannot be used; its message says why."""


def load_mask(mask: Mask) -> np.ndarray:
    """Returns uint8 [H, W], the values of a mask.

    Raises:
      BadMask: it cannot be read, or is no PNG of the kind that `Mask` describes.
    """
    try:
        with Image.open(io.BytesIO(content_of(mask.file))) as image:
            mode = image.mode
            if mask.segments is None and mode not in ("L", "P"):
                raise BadMask(f"is a PNG of mode {mode}; it must be grey or have a palette")
            pixels = np.asarray(image if mask.segments is None else image.convert("RGB"))
    except BadMask:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged files.
        raise BadMask(f"cannot be read: {reason(error)}") from error
    if mask.segments is None:
        return pixels
    ids = pixels.astype(np.int64) @ (1, 256, 65536)
    known, index = np.unique(ids, return_inverse=True)
    values = dict(mask.segments)
    table = np.array([values.get(int(segment), IGNORED) for segment in known], np.uint8)
    return table[index.reshape(ids.shape)]


def encode_mask(values: np.ndarray) -> bytes:
    """Returns a grey PNG of uint8 [H, W]; the same values always give the same bytes."""
    return encode_png(values)


def color_map() -> np.ndarray:
    """Returns VOC's colours of the values 0-255, uint8 [256, 3]; 0 is black and 255 nearly white.

    The bits of a value go to red, green and blue in turn, the lowest three becoming the highest.
    """
    values, colors = np.arange(256), np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            shown = values >> (3 * bit + channel) & 1
            colors[:, channel] |= (shown << max(0, 7 - bit)).astype(np.uint8)
    return colors


def encode_colored(values: np.ndarray) -> bytes:
    """Returns a PNG of uint8 [H, W] with VOC's palette: values for programs, colours for people."""
    image = Image.fromarray(values)
    image.putpalette(color_map().tobytes())  # makes it mode "P"
    return encode_png(image)


def find_masks(folder: str) -> dict[str, str]:
    """Returns {name without ending: path} of the PNGs in a folder.

    Raises:
      UserError: the folder is missing or holds none.
    """
    names = list_filled_folder(folder, "it should hold the masks as PNG files")
    found = {os.path.splitext(n)[0]: os.path.join(folder, n) for n in names}
    found = {name: path for name, path in found.items() if path.lower().endswith(".png")}
    if not found:
        raise UserError(f"{folder} holds no PNG; masks are PNG files named as their pictures.")
    return found


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a record's mask, uint8 [H, W]; "" is one ignored pixel, which stretches over all."""
    nothing = tf.fill([1, 1], tf.constant(IGNORED, tf.uint8))

    def decode() -> tf.Tensor:
        return tf.io.decode_png(checked(encoded), channels=1)[:, :, 0]

    mask = tf.cond(tf.equal(encoded, ""), lambda: nothing, decode)
    return tf.ensure_shape(mask, [None, None])


def read_masks(files: Sequence[str]) -> Iterator[np.ndarray]:
    """Yields the mask of each record, uint8 [H, W], in their order; see `decode_mask`."""
    records = open_records(files)
    masks = records.map(
        lambda record: decode_mask(parse_example(record, with_mask=True)["mask"]),
        num_parallel_calls=tf.data.AUTOTUNE, deterministic=True,
    )  # fmt: skip
    return masks.prefetch(4).as_numpy_iterator()
