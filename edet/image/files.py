"""Picture files: read and decoded, or why they cannot be; and written.

Shapes: H, W pixels of a picture.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from edet.errors import UserError
from edet.files import content_of, reason, write_bytes
from edet.image.decode import WHITE_LEVEL, decode_image

# How Pillow writes a drawing. By themselves, JPEG and lossy WebP halve the pixels of colours, which
# blurs thin lines. Lossless WebP of the least effort (quality, method) is as small as PNG.
_JPEG = {"format": "jpeg", "quality": 95, "subsampling": 0}
_WRITTEN = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": {"format": "png", "compress_level": 2},
    ".webp": {"format": "webp", "lossless": True, "quality": 0, "method": 0},
}


def decode_picture(encoded: bytes | tf.Tensor, white_level: int = WHITE_LEVEL) -> tf.Tensor:
    """Decodes a picture file's bytes to uint8 [H, W, 3], upright; see `decode_image`.

    Raises:
      UserError: they cannot be decoded; the message is the decoder's own words, without a name.
    """
    try:
        return decode_image(tf.convert_to_tensor(encoded), white_level)
    except tf.errors.OpError as error:
        raise UserError(f"cannot be decoded: {reason(error)}") from error


def read_picture(path: str, white_level: int = WHITE_LEVEL) -> tf.Tensor:
    """Reads a picture file (gs:// works) to uint8 [H, W, 3], upright; see `decode_image`.

    Raises:
      UserError: it cannot be read or decoded; the message says why, and leaves the name to the
        caller, who may go on with other pictures.
    """
    try:
        return decode_picture(content_of(path), white_level)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(reason(error)) from error


def pillow_pixels(image: Image.Image) -> np.ndarray:
    """Returns a picture of Pillow as `read_picture` its file: uint8 [H, W, 3], upright, no alpha.

    One of more than 8 bits comes as it is: nothing says which of its values is white.

    Raises:
      UserError: its pixels, which Pillow reads when they are asked for, cannot be read.
    """
    try:
        image = ImageOps.exif_transpose(image)
        is_deep = image.mode[0] in "IF"
        return np.asarray(image if is_deep else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"cannot be decoded: {reason(error)}") from error


def encode_png(image: np.ndarray | Image.Image, level: int = 6) -> bytes:
    """Returns the PNG of uint8 [H, W, 3], of grey [H, W] or of Pillow's image, always the same.

    Args:
      level: of zlib's compression, 0 to 9.
    """
    return _encoded(image, format="png", compress_level=level)


def _encoded(image: np.ndarray | Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, **options)
    return buffer.getvalue()


def save_png(image: np.ndarray | Image.Image, path: str) -> None:
    """Writes `encode_png` of a drawing aside, then renames it.

    Level 2 takes a fifth to a third of the time of 6, for files of the same size within a tenth.
    """
    write_bytes(path, _encoded(image, **_WRITTEN[".png"]), is_one_of_many=True)


def save_drawing(image: np.ndarray, path: str) -> None:
    """Writes a drawing, uint8 [H, W, 3], aside in the format of its name's ending, then renames it.

    Raises:
      UserError: as `check_ending`; the format holds no picture of this size.
    """
    check_ending(path)
    try:
        encoded = _encoded(image, **_WRITTEN[_ending(path)])
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot write {path}: {reason(error)}; end its name in .png, which holds any size."
        ) from error
    write_bytes(path, encoded, is_one_of_many=True)


def check_ending(path: str) -> None:
    """Refuses a name for a drawing that names no format to write it in.

    Raises:
      UserError: it ends in none of .jpg, .jpeg, .png and .webp, of small or large letters.
    """
    if _ending(path) not in _WRITTEN:
        endings = ", ".join(_WRITTEN)
        raise UserError(f"cannot draw to {path}: end its name in one of {endings}, as its format.")


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()
