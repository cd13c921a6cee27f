"""What the first bytes of a picture say, read in graph ops before a decoder is let at the rest.

A kilobyte may claim 60,000 x 60,000 pixels, and decoders reserve memory for what is claimed. So the
size is read here and refused where it is too large. TensorFlow also reads every frame of a GIF to
give the first, and an animated WebP writes beyond its memory.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

MAX_PIXELS = 2**29 // 3  # of RGB in 512 MiB; twice Pillow's limit, which is where Pillow refuses
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"
_BYTES = 32  # that hold what is asked of any format but GIF
_GIF_EXTENSION, _GIF_FRAME, _GIF_END = 0x21, 0x2C, b"\x3b"


def starts_with(encoded: tf.Tensor, signature: bytes) -> tf.Tensor:
    """Whether the bytes, a string scalar, start like this: bool scalar."""
    return tf.equal(tf.strings.substr(encoded, 0, len(signature)), signature)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def checked(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the bytes of a picture, a string scalar, of a GIF only the first frame.

    Raises:
      tf.errors.InvalidArgumentError: when the op runs on more than MAX_PIXELS, an animated WebP, a
        GIF without a frame or a JPEG without a size; its message is a sentence without a subject.
    """
    return tf.case(
        [
            (starts_with(encoded, JPEG), lambda: _checked_jpeg(encoded)),
            (starts_with(encoded, b"GIF"), lambda: _first_frame(encoded)),
            (starts_with(encoded, b"RIFF"), lambda: _checked_webp(encoded)),
            (starts_with(encoded, PNG), lambda: _checked_png(encoded)),
            (starts_with(encoded, b"BM"), lambda: _checked_bmp(encoded)),
        ],
        default=lambda: tf.identity(encoded),
        exclusive=True,
    )


def stored_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns int32 [2], height and width of the stored pixels; -1 of what is no JPEG or PNG.

    Raises (in the graph):
      tf.errors.InvalidArgumentError: for a JPEG without a size.
    """

    def of_png() -> tf.Tensor:
        data = _first_bytes(encoded)
        return tf.cast([number_in(data, at, 4, "big") for at in (20, 16)], tf.int32)

    return tf.case(
        [
            (starts_with(encoded, JPEG), lambda: tf.image.extract_jpeg_shape(encoded)[:2]),
            (starts_with(encoded, PNG), of_png),
        ],
        default=lambda: tf.constant([-1, -1]),
        exclusive=True,
    )


def is_16_bit_png(encoded: tf.Tensor | bytes) -> tf.Tensor | bool:
    """Whether the bytes, a string scalar, are a PNG of 16 bits a channel: bool scalar."""
    if isinstance(encoded, bytes):
        return encoded.startswith(PNG) and encoded[24:25] == b"\x10"
    return starts_with(encoded, PNG) & (_first_bytes(encoded)[24] == 16)


def is_webp_with_exif(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the bytes, a string scalar, are a WebP that says it has EXIF: bool scalar."""
    data = _first_bytes(encoded)
    is_extended = tf.reduce_all(data[12:16] == list(b"VP8X"))
    return starts_with(encoded, b"RIFF") & is_extended & (data[20] // 8 % 2 == 1)


def _first_bytes(encoded: tf.Tensor) -> tf.Tensor:
    """int64 [_BYTES], with zeros behind the end."""
    data = tf.io.decode_raw(tf.strings.substr(encoded, 0, _BYTES), tf.uint8)
    return tf.cast(tf.pad(data, [[0, _BYTES - tf.size(data)]]), tf.int64)


def number_in(data: tf.Tensor, at: int | tf.Tensor, size: int, order: str = "little") -> tf.Tensor:
    """The whole number, int64, in `size` bytes."""
    weights = [256**i for i in range(size)]
    digits = tf.cast(data[at : at + size], tf.int64)
    return tf.reduce_sum(digits * (weights if order == "little" else weights[::-1]))


def _checked_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(encoded, tf.int64))
    return _within_limit(encoded, width, height)


def _checked_png(encoded: tf.Tensor) -> tf.Tensor:
    data = _first_bytes(encoded)
    return _within_limit(encoded, *(number_in(data, at, 4, "big") for at in (16, 20)))


def _checked_bmp(encoded: tf.Tensor) -> tf.Tensor:
    data = _first_bytes(encoded)
    sides = (number_in(data, at, 4) for at in (18, 22))
    # Of 32 bits with a sign: rows from top to bottom have a negative height.
    return _within_limit(encoded, *(tf.minimum(side, 2**32 - side) for side in sides))


def _checked_webp(encoded: tf.Tensor) -> tf.Tensor:
    data = _first_bytes(encoded)
    is_plain, is_lossless, is_extended = (
        tf.reduce_all(data[12:16] == list(name)) for name in (b"VP8 ", b"VP8L", b"VP8X")
    )
    bits = number_in(data, 21, 4)
    width, height = (
        tf.where(
            is_plain, number_in(data, 26 + 2 * i, 2) % 2**14,
            tf.where(
                is_lossless, bits // 2 ** (14 * i) % 2**14 + 1, number_in(data, 24 + 3 * i, 3) + 1
            ),
        )
        for i in range(2)
    )  # fmt: skip
    is_animated = is_extended & (data[20] // 2 % 2 == 1)
    encoded = _unless(is_animated, encoded, lambda: "is an animated WebP; only one picture is read")
    return _within_limit(encoded, width, height)


def _first_frame(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a GIF without the frames behind its first."""
    frame, width, height, end = _find_frame(encoded)
    encoded = _unless(frame < 0, encoded, lambda: "is a GIF without a picture")
    encoded = _within_limit(encoded, width, height)
    return tf.strings.join([tf.strings.substr(encoded, 0, end), _GIF_END])


# Outside of graphs its thousands of turns would be slow.
@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _find_frame(encoded: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns where the first frame of a GIF starts (-1: nowhere), its width, height and end."""
    length = tf.strings.length(encoded)
    data = tf.cast(tf.pad(tf.io.decode_raw(encoded, tf.uint8), [[0, _BYTES]]), tf.int32)

    def behind_table(flags: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        size = tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)
        return tf.minimum(at + size, length)

    def behind_parts(at: tf.Tensor) -> tf.Tensor:
        """Skips parts of data, each behind its length, up to the one without any."""
        at = tf.while_loop(
            lambda at: data[at] > 0, lambda at: [tf.minimum(at + 1 + data[at], length)], [at]
        )[0]
        return tf.minimum(at + 1, length)

    frame = tf.while_loop(
        lambda at: data[at] == _GIF_EXTENSION,
        lambda at: [behind_parts(tf.minimum(at + 2, length))],
        [behind_table(data[10], tf.constant(13))],
    )[0]
    width, height = (number_in(data, frame + at, 2) for at in (5, 7))
    table = behind_table(data[frame + 9], tf.minimum(frame + 10, length))
    end = behind_parts(tf.minimum(table + 1, length))
    return tf.where(data[frame] == _GIF_FRAME, frame, -1), width, height, end


def _within_limit(encoded: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    sentence = f"has {{}}x{{}} pixels, over the {MAX_PIXELS} allowed"
    is_over = width > MAX_PIXELS // tf.maximum(height, 1)  # of 32 bits each, their product has 64
    return _unless(is_over, encoded, lambda: tf.strings.format(sentence, (width, height)))


def _unless(
    fault: tf.Tensor, encoded: tf.Tensor, sentence: Callable[[], tf.Tensor | str]
) -> tf.Tensor:
    def fail() -> tf.Tensor:
        # tf.debugging.Assert shows tensors instead of the sentence outside of graphs.
        refusal = tf.raw_ops.Assert(condition=~fault, data=[sentence()])
        with tf.control_dependencies([refusal] if refusal is not None else []):
            return tf.identity(encoded)

    return tf.cond(fault, fail, lambda: encoded)
