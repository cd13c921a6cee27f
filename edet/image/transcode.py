"""Makes any image file a plain one: an upright JPEG or PNG that TensorFlow decodes right.

JPEG and PNG files that lie upright keep their bytes. TensorFlow reads the others wrongly, or not
at all: a palette BMP gives the palette's indices as grey, WebP with alpha and AVIF give errors.
Pillow reads those, and they are stored as PNG. An EXIF orientation is applied to the pixels and
dropped, so that a record means the same to every reader.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, UnidentifiedImageError

from edet.files import reason
from edet.image.decode import decode_stored_pixels, exif_orientation, turn_upright
from edet.image.header import is_16_bit_png

# `make_plain` refuses above the limit; between one and two times of it Pillow would only warn.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


_EXIF_BYTES = 2**18  # more than `exif_orientation` looks at
TURNED = "turned upright (EXIF orientation)"
STORED = "EXIF orientation dropped (boxes fit the stored pixels)"


class BadImage(ValueError):
    """An image that cannot be used; its message says why."""


@dataclass(frozen=True)
class PlainImage:
    """Encoded bytes and what they decode to."""

    encoded: bytes
    format: str  # "jpeg" or "png"
    height: int
    width: int
    changes: tuple[str, ...] = ()  # what was done to the file, for the report
    turned: int = 1  # the EXIF orientation that was undone


def make_plain(
    encoded: bytes, height: int = -1, width: int = -1, stored: bool | None = None
) -> PlainImage:
    """Returns an upright JPEG or PNG of an image file, decoded once to be sure of it.

    Annotations of a photo with an EXIF orientation may mean the stored pixels or the upright
    ones; the annotated size tells, or one that it was resized from. Where it fits both, the
    upright ones are meant: viewers, the annotation tools of today and `Detector` show the photo
    that way.

    Args:
      encoded: the bytes of the file.
      height, width: the annotated size; -1 where unknown.
      stored: whether the stored pixels are meant; None: the size tells.

    Raises:
      BadImage: the file is no image, is damaged, or has more pixels than Pillow's limit.
    """
    kind, orientation, mode, size = _inspect(encoded)
    is_plain = kind in ("jpeg", "png")
    changes = [] if is_plain else [f"stored as PNG (was {kind})"]
    turned, pixels = 1, None
    try:
        if kind == "jpeg":
            orientation = _check_jpeg(encoded)
        if orientation > 1:
            upright = size[::-1] if orientation >= 5 else size
            if stored is None:
                annotated = (height, width)
                stored = is_resized(annotated, size) and not is_resized(annotated, upright)
            turned = 1 if stored else orientation
            changes.append(STORED if stored else TURNED)
        if kind != "jpeg" or changes:
            pixels = _plain_pixels(encoded) if is_plain else _pillow_pixels(encoded, mode)
    except tf.errors.OpError as error:
        raise BadImage("its pixels are damaged or cut off") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for damaged files.
        raise BadImage(f"does not decode: {reason(error)}") from error
    if changes:
        if turned > 1:
            pixels = turn_upright(pixels, tf.constant(turned)).numpy()
        kind, encoded = _encode(pixels, "jpeg" if kind == "jpeg" else "png")
    height, width = size if pixels is None else pixels.shape[:2]
    return PlainImage(encoded, kind, height, width, tuple(changes), turned)


def is_resized(annotated: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether one factor makes a size of the other, to within a rounding of each side.

    Args:
      annotated: height and width in pixels; -1 where unknown, which nothing is made of.
      size: height and width of the file.
    """
    if min(annotated) <= 0:
        return False
    least, most = (
        [(side + off) / of for side, of in zip(size, annotated, strict=True)] for off in (-1, 1)
    )
    return max(least) <= min(most)


def _inspect(encoded: bytes) -> tuple[str, int, str, tuple[int, int]]:
    """Returns format, EXIF orientation 1-8, Pillow's mode, and (height, width), of the header."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            size, mode = image.size, image.mode
            # A JPEG with further pictures behind the first, as phones write them, is "MPO".
            kind = {"MPO": "jpeg"}.get(image.format, image.format.lower())
            orientation = 1 if kind == "jpeg" else _orientation(image)
    except UnidentifiedImageError as error:
        raise BadImage("is empty or of no known image format") from error
    except Exception as error:  # As above.
        raise BadImage(f"cannot be opened: {reason(error)}") from error
    if size[0] * size[1] > Image.MAX_IMAGE_PIXELS:
        raise BadImage(f"has {size[0]}x{size[1]} pixels, over the {Image.MAX_IMAGE_PIXELS} allowed")
    return kind, orientation, mode, size[::-1]


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation; 1 where the EXIF block is missing or damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged metadata says nothing about the pixels.
        return 1
    return value if value in range(1, 9) else 1


def _check_jpeg(encoded: bytes) -> int:
    """Returns the orientation that the input pipeline sees.

    Every bit of the file is read, but pixels are made of each block's mean alone, which is faster.

    Raises:
      tf.errors.InvalidArgumentError: the file is damaged or cut off.
    """
    tf.raw_ops.DecodeJpeg(contents=encoded, channels=3, ratio=8)  # tf.io's takes a tenth more
    return int(exif_orientation(encoded)) if b"Exif" in encoded[:_EXIF_BYTES] else 1


def _plain_pixels(encoded: bytes) -> np.ndarray:
    """Returns [height, width, 3] of a JPEG or PNG as stored, uint16 of a PNG in 16 bits."""
    if is_16_bit_png(encoded):
        return tf.io.decode_png(encoded, channels=3, dtype=tf.uint16).numpy()
    return decode_stored_pixels(tf.constant(encoded)).numpy()


def _pillow_pixels(encoded: bytes, mode: str) -> np.ndarray:
    """Returns [height, width, 3] of the first frame, alpha dropped; uint16 of grey in 16 bits."""
    if mode in ("I", "F"):
        raise ValueError("32-bit pixels of an unknown range; convert it to 8 or 16 bits")
    with Image.open(io.BytesIO(encoded)) as image:
        if mode.startswith("I;16"):  # convert("RGB") would clip at 255 instead
            grey = np.asarray(image).astype(np.uint16)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.asarray(image.convert("RGB"))


def _encode(pixels: np.ndarray, kind: str) -> tuple[str, bytes]:
    if pixels.dtype == np.uint16:  # kept, so that model.white_level can still choose the range
        return "png", tf.io.encode_png(pixels).numpy()
    file = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if kind == "jpeg" else {}
    Image.fromarray(pixels).save(file, kind, **options)
    return kind, file.getvalue()
