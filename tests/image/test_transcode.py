"""Every image in a record is plain: upright, and decoded alike by everyone."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from edet.image.decode import decode_image
from edet.image.transcode import BadImage, make_plain

RNG = np.random.default_rng(0)
PIXELS = np.repeat(np.repeat(RNG.integers(0, 255, (3, 5, 3), np.uint8), 8, 0), 8, 1)  # 24 x 40


def encoded(kind: str, image=None, **options) -> bytes:
    file = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int, kind: str = "jpeg") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(kind, exif=exif, quality=95, subsampling=0)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_upright_jpeg_or_png_keeps_its_bytes(kind):
    data = encoded(kind)
    plain = make_plain(data)
    assert plain.encoded is data
    assert (plain.format, plain.height, plain.width, plain.changes) == (kind, 24, 40, ())


@pytest.mark.parametrize(
    ("kind", "image", "expected"),
    [
        ("bmp", Image.fromarray(PIXELS).quantize(16), None),
        ("gif", Image.fromarray(PIXELS).quantize(16), None),
        ("webp", Image.fromarray(PIXELS).convert("RGBA"), PIXELS),
        ("tiff", Image.fromarray(PIXELS), PIXELS),
        ("tiff", Image.fromarray(np.full((4, 6), 0x1234, np.uint16)), np.full((4, 6, 3), 0x12)),
    ],
)
def test_other_kinds_become_png_with_the_same_colours(kind, image, expected):
    options = {"lossless": True} if kind == "webp" else {}
    plain = make_plain(encoded(kind, image, **options))
    pixels = tf.io.decode_image(plain.encoded, channels=3).numpy()
    expected = np.asarray(image.convert("RGB")) if expected is None else expected
    np.testing.assert_array_equal(pixels, expected)
    assert plain.format == "png"
    assert plain.changes == (f"stored as PNG (was {kind})",)
    assert (plain.height, plain.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_exif_orientation_is_applied_to_the_pixels(orientation):
    data = turned(orientation)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    plain = make_plain(data)
    assert plain.changes == ("turned upright (EXIF orientation)",)
    assert (plain.height, plain.width) == upright.shape[:2]
    # Whoever honours EXIF and whoever does not now see the same; JPEG at quality 95 costs little.
    for pixels in (decode_image(plain.encoded), tf.io.decode_image(plain.encoded)):
        assert np.abs(pixels.numpy().astype(int) - upright).mean() < 3


def test_annotations_of_the_stored_pixels_keep_them():
    plain = make_plain(turned(6), height=24, width=40)
    assert plain.changes == ("EXIF orientation dropped (boxes fit the stored pixels)",)
    assert decode_image(plain.encoded).shape == (24, 40, 3)
    assert np.abs(decode_image(plain.encoded).numpy().astype(int) - PIXELS).mean() < 3


def test_annotations_of_the_upright_pixels_turn_it():
    assert make_plain(turned(6), height=40, width=24).height == 40


def test_a_size_that_fits_both_means_the_upright_photo():
    assert make_plain(turned(3), height=24, width=40).changes == (
        "turned upright (EXIF orientation)",
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty or of no known image format"),
        (b"<html>404</html>", "empty or of no known image format"),
        (encoded("jpeg")[:30], "cannot be opened"),
        (encoded("jpeg")[:-60], "damaged or cut off"),
        (encoded("png")[:-60], "damaged or cut off"),
        (encoded("bmp")[:-60], "does not decode: image file is truncated"),
        (encoded("tiff", Image.fromarray(np.zeros((2, 2), np.int32))), "unknown range"),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(data, words):
    with pytest.raises(BadImage, match=words):
        make_plain(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pillows_pixel_limit_holds(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 40 - 1)
    with pytest.raises(BadImage, match="has 40x24 pixels, over the 959 allowed"):
        make_plain(encoded("png"))


def test_odd_files_from_the_world_are_read_or_refused(shared):
    refused = set()
    for path in sorted((shared / "data" / "nasty").glob("*.*")):
        if path.suffix == ".md":
            continue
        try:
            plain = make_plain(path.read_bytes())
        except BadImage:
            refused.add(path.name)
            continue
        pixels = tf.io.decode_image(plain.encoded, channels=3, expand_animations=False)
        assert pixels.shape == (plain.height, plain.width, 3), path.name
    assert refused == {
        "broken.png", "empty.jpg", "garbage.jpg", "html_error.jpg", "truncated.bmp",
        "truncated.jpg", "truncated.png", "truncated_photo_half.jpg", "zero_width.gif",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["tiff", "png"])
def test_grey_of_16_bits_stays_so_that_the_white_level_can_scale_it(kind):
    values = np.arange(24, dtype=np.uint16).reshape(4, 6) * 150
    options = {}
    if kind == "png":  # lies on its side
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 3
    plain = make_plain(encoded(kind, Image.fromarray(values), **options))
    upright = values[::-1, ::-1] if kind == "png" else values
    assert plain.format == "png" and plain.changes
    np.testing.assert_array_equal(decode_image(plain.encoded, 4095)[..., 0], upright >> 4)
