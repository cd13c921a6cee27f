"""Headers that claim too much are refused before memory is reserved for the claim."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.errors import UserError
from edet.image.decode import decode_image
from edet.image.files import decode_picture
from edet.image.header import MAX_PIXELS, checked
from edet.image.transcode import BadImage, make_plain
from edet.records.masks import decode_mask

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8))
decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


def encoded(kind, image=PICTURE, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def png(width, height):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(50_000), 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + rows + chunk(b"IEND", b"")


def jpeg(width, height, **options):
    data = encoded("JPEG", **options)
    at = data.index(b"\xff\xc2" if options else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(width, height):
    data = encoded("GIF", PICTURE.quantize(8))
    at = data.index(b"\x2c", 13 + 24)
    data[at + 5 : at + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(width, height):
    data = encoded("BMP")
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def webp(width, height):
    data = encoded("WEBP")
    data[26:30] = struct.pack("<HH", width, height)
    return bytes(data)


def webp_lossless(width, height):
    data = encoded("WEBP", lossless=True)
    version = int.from_bytes(data[21:25], "little") >> 28 << 28
    data[21:25] = (version | (height - 1) << 14 | width - 1).to_bytes(4, "little")
    return bytes(data)


def webp_extended(width, height):
    image = PICTURE.copy()
    image.putalpha(PICTURE.convert("L"))
    data = encoded("WEBP", image)
    assert data[12:16] == b"VP8X"
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


BOMBS = {
    "PNG": png(60_000, 60_000),
    "PNG that TensorFlow would take": png(20_000, 20_000),
    "JPEG": jpeg(60_000, 60_000),
    "progressive JPEG": jpeg(60_000, 60_000, progressive=True),
    "GIF": gif(60_000, 60_000),
    "BMP": bmp(60_000, 60_000),
    "BMP from top to bottom": bmp(60_000, -60_000),
    "WebP": webp(16_383, 16_383),
    "lossless WebP": webp_lossless(16_383, 16_383),
    "extended WebP": webp_extended(60_000, 60_000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_claims_a_huge_picture_is_refused_by_its_header(kind):
    bomb = BOMBS[kind]
    assert len(bomb) < 1100
    with pytest.raises(
        UserError, match=r"cannot be decoded: has \d+x\d+ pixels, over the 178956970"
    ):
        decode_picture(bomb)
    with pytest.raises(tf.errors.InvalidArgumentError, match="over the 178956970 allowed"):
        decode(bomb)
    with pytest.raises(BadImage):  # Pillow's limit is lower still, or the decoder's turn comes
        make_plain(bomb)


def test_a_mask_that_claims_a_huge_picture_is_refused_too():
    with pytest.raises(tf.errors.InvalidArgumentError, match="over the 178956970 allowed"):
        decode_mask(tf.constant(BOMBS["PNG"]))


def test_pictures_up_to_the_limit_are_left_as_they_are():
    for data in (
        png(MAX_PIXELS, 1),
        jpeg(16, 12),
        jpeg(16, 12, progressive=True),
        bmp(16, 12),
        webp(16, 12),
        webp_lossless(16, 12),
        webp_extended(16, 12),
        b"",
        b"RIFF",
        b"BM",
    ):
        assert checked(tf.constant(bytes(data))).numpy() == data


def test_an_animated_webp_is_refused_in_a_sentence():
    """TensorFlow writes beyond its memory when it is asked for the first picture of one."""
    data = encoded("WEBP", save_all=True, append_images=[PICTURE.rotate(180)])
    with pytest.raises(UserError, match="cannot be decoded: is an animated WebP; only one picture"):
        decode_picture(bytes(data))
    assert make_plain(bytes(data)).format == "png"  # Pillow takes the first picture for records


def test_of_a_gif_only_the_first_frame_is_decoded():
    frames = [Image.fromarray(np.full((12, 16), value, np.uint8)) for value in (10, 60, 110)]
    data = encoded("GIF", frames[0], save_all=True, append_images=frames[1:], comment=b"x" * 700)
    first = checked(tf.constant(bytes(data))).numpy()
    assert len(first) < len(data) and data.startswith(first[:-1])
    assert Image.open(io.BytesIO(first)).n_frames == 1
    np.testing.assert_array_equal(decode(bytes(data)), np.full((12, 16, 3), 10))
    with pytest.raises(UserError, match="is a GIF without a picture"):
        decode_picture(bytes(data[:13]))
