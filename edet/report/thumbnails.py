"""Thumbnails of many pictures in few strips, which a page unpacks one at a time.

Shapes: H, W pixels of a picture.
"""

from __future__ import annotations

import base64
import concurrent.futures
import functools
import io
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from edet.ahead import in_order
from edet.errors import UserError
from edet.files import read_bytes
from edet.image.files import decode_picture
from edet.image.header import JPEG

SIDE = 320  # pixels of a thumbnail's longer side
_ROWS = 25  # thumbnails of a strip
_QUALITY = 72  # of JPEG, which is written three times as fast as WebP
_BYTES = 18 * 2**20  # of all strips: 24 MiB as base64
_GREY = (128, 128, 128)

Read = Callable[[], "bytes | np.ndarray"]


def thumbnail(read: Read, white_level: int) -> Image.Image:
    """Returns a small copy of a picture, upright; a grey one where it cannot be read or decoded.

    Args:
      read: returns an encoded picture, or uint8 [H, W, 3].
      white_level: see `edet.image.decode.decode_image`.
    """
    try:
        image = _opened(read(), white_level)
        image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
        return ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # of any kind: Pillow on damaged EXIF, a file that is gone; others say why
        return Image.new("RGB", (SIDE, SIDE * 3 // 4), _GREY)


def as_uri(path: str) -> str:
    """Returns a picture of ours as a JPEG that a page embeds; "" if there is none."""
    if not tf.io.gfile.exists(path):
        return ""
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(read_bytes(path, "picture"))) as picture:
            picture.convert("RGB").save(buffer, "jpeg", quality=_QUALITY)
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path} is a damaged picture; evaluate again, or delete it.") from error
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _opened(picture: bytes | np.ndarray, white_level: int) -> Image.Image:
    if isinstance(picture, np.ndarray):
        return Image.fromarray(picture)
    if picture[4:8] == b"ftyp":  # AVIF, which TensorFlow does not decode
        return Image.open(io.BytesIO(picture), formats=["AVIF"])
    if not picture.startswith(JPEG):
        return Image.fromarray(decode_picture(picture, white_level).numpy())
    image = Image.open(io.BytesIO(picture), formats=["JPEG"])
    # Decodes at 1/2, 1/4 or 1/8, four times as fast, where the longer side stays 240 or more.
    image.draft("RGB", [max(1, side * 3 * SIDE // (4 * max(image.size))) for side in image.size])
    return image


def strips_of(pictures: Iterable[Read], white_level: int = 65535) -> dict[str, Any]:
    """Makes the strips of pictures, read and scaled side by side.

    Args:
      pictures: what reads each, called in a thread.
      white_level: see `edet.image.decode.decode_image`.

    Returns:
      "strips": base64 of JPEGs, in each some thumbnails below one another; "places": for each
      picture [strip, y, width, height] in it. Beyond 24 MiB no more are made: "places" is shorter.
    """
    strips, places, rows, size = [], [], [], 0

    def close() -> int:
        """Encodes the strip of the thumbnails so far; returns its bytes."""
        sheet = Image.new("RGB", (SIDE, sum(row.height for row in rows)), _GREY)
        y = 0
        for row in rows:
            sheet.paste(row, (0, y))
            places.append([len(strips), y, row.width, row.height])
            y += row.height
        buffer = io.BytesIO()
        sheet.save(buffer, "jpeg", quality=_QUALITY)
        strips.append(base64.b64encode(buffer.getvalue()).decode())
        rows.clear()
        return len(buffer.getvalue())

    workers = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        make = functools.partial(thumbnail, white_level=white_level)
        for small in in_order(pool, make, pictures, 4 * workers):
            rows.append(small)
            if len(rows) == _ROWS:
                size += close()
                if size > _BYTES:
                    break
    if rows:
        close()
    return {"strips": strips, "places": places}
