"""Encoded bytes -> uint8 RGB pixels, upright, in graph ops alone.

The same function runs in the input pipeline and inside an exported SavedModel, so nothing here
calls back into Python. Shapes: H, W pixels of the upright image.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from edet.config.schema import Fit
from edet.image.header import (
    JPEG,
    PNG,
    checked,
    is_16_bit_png,
    is_webp_with_exif,
    number_in,
    starts_with,
)
from edet.image.letterbox import fit

_EXIF_MARK = b"Exif\0\0"
# An EXIF block is one of the first segments of a JPEG and no segment is longer than 64 KiB.
_EXIF_SEARCH_BYTES = 3 * 65536
_MOST_CHUNKS = 100  # of a PNG or WebP that are looked at; ordinary ones have ten
_ORIENTATION_TAG = 0x0112
_TYPE_SHORT = 3
WHITE_LEVEL = 65535  # the 16-bit value that becomes 255, if not `model.white_level` says otherwise


def decode_image(encoded: tf.Tensor, white_level: int = WHITE_LEVEL) -> tf.Tensor:
    """Decodes an image as a person sees it: three channels, 8 bits, turned upright.

    JPEG (grey, CMYK and progressive too), PNG (palette, alpha, 1 to 16 bits), BMP, WebP and the
    first frame of a GIF. Alpha is dropped, as Pillow's convert("RGB") does. TensorFlow's default
    JPEG decoder is kept (fast integer DCT), because the reference's numbers come from it.

    16-bit values v become v * 256 // (white_level + 1), at most 255: the range is one number for
    all pictures. A range of each file's own would make the same light another pixel value as soon
    as something brighter is in view, and noise of dark pictures as bright as daylight.

    Args:
      encoded: string scalar, the bytes of the file.
      white_level: of PNGs with 16 bits, such as 4095 for a camera of 12 bits.

    Returns:
      uint8 [H, W, 3].

    Raises:
      tf.errors.InvalidArgumentError: when the op runs on bytes that are no readable image, or one
        that `header.checked` refuses.
    """
    encoded = tf.convert_to_tensor(encoded)  # of Python's bytes a graph would be kept each
    stored = decode_stored_pixels(encoded, white_level=white_level)
    return turn_upright(stored, exif_orientation(encoded))


# Traced once, whoever calls it: its cases are a tenth of all the ops of a training's graphs.
@tf.function(autograph=False)
def decode_stored_pixels(
    encoded: tf.Tensor,
    target: tf.Tensor | None = None,
    white_level: int = WHITE_LEVEL,
    how: Fit = "letterbox",
) -> tf.Tensor:
    """Decodes like `decode_image` but leaves the pixels as they are stored in the file.

    Args:
      encoded: string scalar, the bytes of the file.
      target: int32 [2], the height and width that the image will be fitted into. Given it, a
        JPEG is decoded at a half, a quarter or an eighth of its size (sides rounded up) where that
        still fills the target. Such pixels are means of those that they stand for, so a later
        bilinear resize passes fewer over: they are not the pixels of the whole image resized.
      white_level: as of `decode_image`.
      how: `model.fit`.
    """
    encoded = checked(encoded)
    image = tf.case(
        [
            (starts_with(encoded, JPEG), lambda: _decode_jpeg(encoded, target, how)),
            (starts_with(encoded, b"BM"), lambda: _decode_bmp(encoded)),
            # TensorFlow refuses channels=3 for a WebP with alpha, and gives 3 or 4 when not asked.
            (starts_with(encoded, b"RIFF"), lambda: _decode_any(encoded, channels=0)[..., :3]),
        ],
        default=lambda: _decode_others(encoded, white_level),
        exclusive=True,
    )
    return tf.ensure_shape(image, [None, None, 3])


def _decode_jpeg(encoded: tf.Tensor, target: tf.Tensor | None, how: Fit) -> tf.Tensor:
    if target is None:
        return tf.io.decode_jpeg(encoded, channels=3)
    shape = tf.image.extract_jpeg_shape(encoded)[:2]
    # The largest scale of both orientations is small enough whatever EXIF says.
    sides = tf.stack([shape, shape[::-1]], axis=1)
    scale = tf.reduce_max(fit(sides[0], sides[1], target, how)[0])
    branches = [
        functools.partial(tf.io.decode_jpeg, encoded, channels=3, ratio=ratio)
        for ratio in (1, 2, 4, 8)
    ]
    return tf.switch_case(tf.reduce_sum(tf.cast(scale * [2.0, 4.0, 8.0] <= 1, tf.int32)), branches)


def _decode_any(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels=channels, expand_animations=False)


def _decode_others(encoded: tf.Tensor, white_level: int) -> tf.Tensor:
    def scaled() -> tf.Tensor:
        values = tf.cast(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16), tf.int32)
        return tf.cast(tf.minimum(values * 256 // (white_level + 1), 255), tf.uint8)

    if white_level == WHITE_LEVEL:  # TensorFlow's own scaling is this, by the upper byte
        return _decode_any(encoded, channels=3)
    return tf.cond(is_16_bit_png(encoded), scaled, lambda: _decode_any(encoded, channels=3))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP; TensorFlow returns the indices of a palette image as if they were grey."""
    # Bytes of the header: 14 size of its second part, 28 bits per pixel, 30 compression.
    words = tf.io.decode_raw(tf.strings.substr(encoded, 0, 54), tf.uint16)
    header_size, bits, compression = (tf.cast(words[i // 2], tf.int32) for i in (14, 28, 30))
    is_plain = (compression == 0) | (compression == 3)
    readable = tf.debugging.Assert(is_plain, ["a run-length encoded BMP is not supported"])
    with tf.control_dependencies([readable]):
        image = _decode_any(encoded, channels=3)

    def through_palette() -> tf.Tensor:
        palette = tf.strings.substr(encoded, 14 + header_size, 4 * 256)
        entries = tf.io.decode_raw(palette, tf.uint8)
        entries = tf.reshape(entries[: tf.size(entries) // 4 * 4], [-1, 4])  # blue green red 0
        return tf.gather(entries[:, 2::-1], tf.cast(image[..., 0], tf.int32))

    return tf.cond(bits == 8, through_palette, lambda: image)


@tf.function(autograph=False, reduce_retracing=True)  # of each size a graph would be kept
def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undoes an EXIF orientation.

    Args:
      image: [H, W, C] as stored.
      orientation: int32 scalar, 1 (already upright) to 8.

    Returns:
      [H, W, C], or [W, H, C] for the orientations 5-8.
    """

    def turn() -> tf.Tensor:
        # Each of the eight is a transposition, a mirroring left-right, one top-bottom, or none.
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        mirror = tf.stack(
            [_is_one_of(orientation, 3, 4, 7, 8), _is_one_of(orientation, 2, 3, 6, 7)]
        )
        return tf.raw_ops.Reverse(tensor=upright, dims=tf.concat([mirror, [False]], 0))

    return tf.ensure_shape(tf.cond(orientation > 1, turn, lambda: image), [None, None, 3])


def _is_one_of(value: tf.Tensor, *choices: int) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(choices))


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the orientation that a camera wrote into a JPEG, PNG or WebP.

    Args:
      encoded: string scalar, any bytes.

    Returns:
      int32 scalar in 1..8; 1 for a file without EXIF, a malformed block and other formats.
    """

    length = tf.strings.length(encoded)
    is_jpeg, is_png = starts_with(encoded, JPEG), starts_with(encoded, PNG)
    # The files without EXIF that nearly all programs write: one JFIF segment and then the tables.
    after_jfif = tf.strings.substr(encoded, tf.minimum(20, length), 2)
    is_plain = starts_with(encoded, JPEG + b"\xe0\0\x10") & (after_jfif == b"\xff\xdb")
    # To go from chunk to chunk takes longer than to decode a small picture, and few PNGs have EXIF.
    head = tf.strings.substr(encoded, 0, tf.where(is_png, _EXIF_SEARCH_BYTES, 0))
    is_named = tf.strings.regex_replace(head, "eXIf", "", replace_global=False) != head
    is_extended_webp = tf.strings.substr(encoded, tf.minimum(12, length), 4) == b"VP8X"

    def find_in_jpeg() -> tf.Tensor:
        data = tf.io.decode_raw(tf.strings.substr(encoded, 0, _EXIF_SEARCH_BYTES), tf.uint8)
        return _find_exif(data)

    def search() -> tf.Tensor:
        find_in_chunks = functools.partial(_chunked_exif, encoded, is_png)
        return _orientation_of_tiff(tf.cond(is_jpeg, find_in_jpeg, find_in_chunks))

    may_have = (is_jpeg & ~is_plain) | is_named | is_extended_webp
    return tf.cond(may_have, search, lambda: tf.constant(1))


def _chunked_exif(encoded: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Returns the TIFF part of the EXIF chunk of a PNG, before its pixels, or of a WebP.

    A PNG's chunk is its size, first byte highest, its name, the data and a checksum; a WebP's is
    its name, its size, first byte lowest, and the data to an even number of bytes.

    Returns:
      uint8 [n]; no bytes where there is none.
    """
    end = tf.cast(tf.strings.length(encoded), tf.int64)
    first, name_at, size_at = tf.unstack(
        tf.where(is_png, tf.constant([8, 4, 0], tf.int64), tf.constant([12, 0, 4], tf.int64))
    )
    name = tf.where(is_png, b"eXIf", b"EXIF")

    def part(at: tf.Tensor, size: tf.Tensor | int) -> tf.Tensor:
        return tf.strings.substr(encoded, tf.minimum(at, end), tf.cast(size, tf.int64))

    def name_of(at: tf.Tensor) -> tf.Tensor:
        return part(at + name_at, 4)

    def size_of(at: tf.Tensor) -> tf.Tensor:
        data = tf.io.decode_raw(part(at + size_at, 4), tf.uint8)
        data = tf.pad(data, [[0, 4 - tf.size(data)]])
        return tf.where(is_png, number_in(data, 0, 4, "big"), number_in(data, 0, 4))

    at = tf.while_loop(
        lambda at: (at < end) & tf.reduce_all(name_of(at) != [name, b"IDAT"]),
        lambda at: [at + 8 + size_of(at) + tf.where(~is_png, size_of(at) % 2, 4)],
        [first],
        maximum_iterations=_MOST_CHUNKS,
    )[0]
    is_there = (name_of(at) == name) & (is_png | is_webp_with_exif(encoded))
    size = tf.where(is_there, tf.minimum(size_of(at), _EXIF_SEARCH_BYTES), 0)
    data = tf.io.decode_raw(part(at + 8, size), tf.uint8)
    has_mark = tf.reduce_all(tf.pad(data, [[0, 6]])[:6] == list(_EXIF_MARK))  # some writers' WebP
    return data[tf.where(has_mark, 6, 0) :]


def _find_exif(data: tf.Tensor) -> tf.Tensor:
    """Returns the TIFF part of the first EXIF segment of a JPEG's bytes, or no bytes."""
    size = tf.size(data)
    data = tf.pad(data, [[0, 10]])  # a segment's header can be read wherever it is said to be
    name = tf.constant(list(_EXIF_MARK), tf.uint8)

    def header(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        words = tf.reshape(tf.cast(data[start : start + 4], tf.int32), [2, 2])
        marker, length = tf.unstack(256 * words[:, 0] + words[:, 1])
        return marker, length

    def is_exif(start: tf.Tensor) -> tf.Tensor:
        return (header(start)[0] == 0xFFE1) & tf.reduce_all(data[start + 4 : start + 10] == name)

    def is_before_exif(start: tf.Tensor) -> tf.Tensor:
        # APP0-APP15 and comments may stand before it; anything else ends the search.
        marker, length = header(start)
        is_skippable = ((marker >= 0xFFE0) & (marker <= 0xFFEF)) | (marker == 0xFFFE)
        return is_skippable & (length >= 2) & ~is_exif(start)

    start = tf.while_loop(
        is_before_exif,
        lambda start: [tf.minimum(start + 2 + header(start)[1], size)],
        [tf.minimum(2, size)],
    )[0]
    end = tf.where(is_exif(start), tf.minimum(start + 2 + header(start)[1], size), 0)
    return data[start + 10 : end]


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in the first directory (IFD0) of a TIFF block, 1 when unreadable."""
    size = tf.size(tiff)
    tiff = tf.cast(tf.pad(tiff, [[0, 10]]), tf.int32)
    is_little = tf.reduce_all(tiff[:4] == list(b"II*\0"))
    is_big = tf.reduce_all(tiff[:4] == list(b"MM\0*"))
    weights = tf.where(is_little, [1, 256], [256, 1])
    # The offset of the directory has 32 bits, but it lies within the 16 bits of a segment.
    offset = tf.reduce_sum(tf.where(is_little, tiff[4:6], tiff[6:8]) * weights)
    start = tf.minimum(offset, size)
    num_fields = tf.reduce_sum(tiff[start : start + 2] * weights)
    num_fields = tf.clip_by_value(num_fields, 0, tf.maximum(size - start - 2, 0) // 12)
    fields = tf.reshape(tiff[start + 2 : start + 2 + 12 * num_fields], [-1, 6, 2])
    fields = tf.reduce_sum(fields * weights, axis=2)
    tag, kind, value = fields[:, 0], fields[:, 1], fields[:, 4]
    is_orientation = (tag == _ORIENTATION_TAG) & (kind == _TYPE_SHORT)
    is_found = (is_little | is_big) & is_orientation & (value >= 1) & (value <= 8)
    return tf.concat([tf.boolean_mask(value, is_found), [1]], 0)[0]
