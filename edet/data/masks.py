"""Masks: a class for every pixel, from the annotators' files to what the loss compares with.

In files and records a mask holds the data set's own values, 0-253, and IGNORED where a pixel is of
no class and counts nowhere; in batches it holds indices of logits, and IGNORED.

Letters: H, W pixels of a mask · h, w pixels of the network input.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from edet.data.augment import Geometry
from edet.errors import UserError
from edet.files import list_filled_folder, reason

IGNORED = 255
_UNKNOWN = 254  # among indices: a value that no logit stands for
FEATURE = "image/segmentation/class/encoded"  # of a record: a grey PNG


class BadMask(ValueError):
    """A mask that cannot be used; its message says why."""


@dataclass(frozen=True)
class Mask:
    """Where the mask of an image is.

    Attributes:
      file: path of the PNG (gs:// works), or its bytes. Grey or palette: a pixel's number is its
        value.
      segments: of COCO's panoptic PNGs, whose colours are segments' ids (red + 256 green + 65536
        blue): the pairs (segment id, value). Pixels of other segments are ignored.
    """

    file: str | bytes
    segments: tuple[tuple[int, int], ...] | None = None


def load_mask(mask: Mask) -> np.ndarray:
    """Returns uint8 [H, W], the values of a mask.

    Raises:
      BadMask: it cannot be read, or is no PNG of the kind that `Mask` describes.
    """
    try:
        content = mask.file if isinstance(mask.file, bytes) else _read(mask.file)
        with Image.open(io.BytesIO(content)) as image:
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


def _read(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()


def encode_mask(values: np.ndarray) -> bytes:
    """Returns a grey PNG of uint8 [H, W]; the same values always give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "png")
    return buffer.getvalue()


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
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


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


def parse_mask(serialized: tf.Tensor) -> tf.Tensor:
    """Returns the PNG in a record, a string scalar; "" where it has none."""
    feature = tf.io.FixedLenFeature([], tf.string, "")
    return tf.io.parse_single_example(serialized, {FEATURE: feature})[FEATURE]


def decode_mask(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a record's mask, uint8 [H, W]; "" is one ignored pixel, which stretches over all."""
    nothing = tf.fill([1, 1], tf.constant(IGNORED, tf.uint8))

    def decode() -> tf.Tensor:
        return tf.io.decode_png(encoded, channels=1)[:, :, 0]

    mask = tf.cond(tf.equal(encoded, ""), lambda: nothing, decode)
    return tf.ensure_shape(mask, [None, None])


def read_masks(files: Sequence[str]) -> Iterator[np.ndarray]:
    """Yields the mask of each record, uint8 [H, W], in their order; see `decode_mask`."""
    records = tf.data.TFRecordDataset(list(files))
    masks = records.map(
        lambda record: decode_mask(parse_mask(record)),
        num_parallel_calls=tf.data.AUTOTUNE, deterministic=True,
    )  # fmt: skip
    return masks.prefetch(4).as_numpy_iterator()


def check_masks(files: Sequence[str], what: str) -> None:
    """Raises UserError if no record has a mask; `what` names the setting."""
    masks = tf.data.TFRecordDataset(list(files)).map(parse_mask)
    for _ in masks.filter(lambda mask: tf.not_equal(mask, "")).take(1):
        return
    raise UserError(
        f"no record of {what} has a mask; write them with --masks of tools/create_tfrecords.py, or "
        "leave segmentation out of model.heads."
    )


def place_mask(
    mask: tf.Tensor, image_size: tf.Tensor, geometry: Geometry, output_size: tuple[int, int]
) -> tf.Tensor:
    """Moves a mask with the pixels of its image: nearest value, the padding ignored.

    Args:
      mask: uint8 [H, W]. Its size may be another one than the image's, which may have been decoded
        at a fraction of its own.
      image_size: int32 [2], of the image that `geometry` counts pixels of.
      geometry: of `augment.make_geometry`.
      output_size: (h, w).

    Returns:
      uint8 [h, w].
    """
    for axis in range(2):
        first, last = geometry.window[axis], geometry.window[2 + axis]
        count, sides = geometry.size[axis], tf.shape(mask)[axis]
        place = tf.range(count)
        place = tf.where(geometry.is_flipped[axis], count - 1 - place, place)
        # Centres of the input's pixels, in pixels of the image, in those of the mask.
        center = (tf.cast(place, tf.float32) + 0.5) / tf.cast(count, tf.float32)
        center = tf.cast(first, tf.float32) + center * tf.cast(last - first, tf.float32)
        center *= tf.cast(sides, tf.float32) / tf.cast(image_size[axis], tf.float32)
        index = tf.clip_by_value(tf.cast(center, tf.int32), 0, sides - 1)
        mask = tf.gather(mask, index, axis=axis)
    room = tf.constant(output_size) - geometry.size
    padded = tf.pad(mask, [[0, room[0]], [0, room[1]]], constant_values=IGNORED)
    return tf.ensure_shape(padded, output_size)


def index_mask(
    mask: tf.Tensor, values: Sequence[int], name_image: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Turns the values of a mask into indices of logits.

    Args:
      mask: uint8 [h, w].
      values: that of each logit, rising.
      name_image: gives a string scalar that names the image in the error.

    Returns:
      uint8 [h, w]; IGNORED stays.

    Raises:
      tf.errors.InvalidArgumentError: in the graph, for a value that no logit stands for.
    """
    table = index_table(values)
    indices = tf.gather(tf.constant(table), tf.cast(mask, tf.int32))
    is_known = tf.reduce_all(indices != _UNKNOWN)

    def name_the_strange() -> tf.Tensor:
        """Returns the sentence for the unknown values, a scalar string."""
        strange = tf.unique(tf.boolean_mask(mask, indices == _UNKNOWN)).y
        listed = tf.strings.reduce_join(
            tf.strings.as_string(tf.cast(strange, tf.int32)), separator=", "
        )
        sentence = tf.strings.join(
            [
                "the mask of ", name_image(), " has values that model.segmentation.labels lacks (",
                listed, "); set them to those of the data set",
            ]
        )  # fmt: skip
        with tf.control_dependencies([tf.debugging.Assert(is_known, [sentence])]):
            return tf.identity(indices)

    return tf.cond(is_known, lambda: indices, name_the_strange)


def index_table(values: Sequence[int]) -> np.ndarray:
    """Returns uint8 [256], the index of each value; 254 where there is none, IGNORED for itself."""
    table = np.full(256, _UNKNOWN, np.uint8)
    table[list(values)] = np.arange(len(values))
    table[IGNORED] = IGNORED
    return table
