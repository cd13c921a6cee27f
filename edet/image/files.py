"""Picture files: read and decoded, or why they cannot be; and written as PNG.

Shapes: H, W pixels of a picture.
"""

from __future__ import annotations

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from edet.errors import UserError
from edet.files import content_of, reason, write_bytes
from edet.image.decode import WHITE_LEVEL, decode_image


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


def encode_png(image: np.ndarray | Image.Image, level: int = 6) -> bytes:
    """Returns the PNG of uint8 [H, W, 3], of grey [H, W] or of Pillow's image, always the same.

    Args:
      level: of zlib's compression, 0 to 9.
    """
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, "png", compress_level=level)
    return buffer.getvalue()


def save_png(image: np.ndarray | Image.Image, path: str) -> None:
    """Writes `encode_png` of a drawing aside, then renames it.

    Level 2 takes a fifth to a third of the time of 6, for files of the same size within a tenth.
    """
    write_bytes(path, encode_png(image, level=2))
