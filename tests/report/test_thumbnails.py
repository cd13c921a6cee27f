"""Strips of thumbnails: the right picture at the right place, upright, and not too many."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, features

from edet.report import thumbnails
from edet.report.thumbnails import SIDE, strips_of, thumbnail


def jpeg(image: np.ndarray, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", exif=exif)
    return buffer.getvalue()


def test_each_place_shows_its_picture():
    """Thirty grey pictures, more than a strip has, each a little lighter than the last."""
    found = strips_of([lambda k=k: np.full((40, 64, 3), 8 * k, np.uint8) for k in range(30)])
    assert len(found["strips"]) == 2 and len(found["places"]) == 30
    for k, (strip, y, width, height) in enumerate(found["places"]):
        sheet = Image.open(io.BytesIO(base64.b64decode(found["strips"][strip])))
        assert (width, height) == (64, 40)  # what is small stays so
        assert abs(sheet.getpixel((width // 2, y + height // 2))[0] - 8 * k) <= 2


def test_a_photo_that_lies_on_its_side_stands_upright():
    photo = np.zeros((640, 1280, 3), np.uint8)
    photo[:, :640] = 255  # the left half is light
    turned = thumbnail(lambda: jpeg(photo, orientation=6), 65535)  # turned by a quarter, clockwise
    assert turned.size == (SIDE // 2, SIDE)
    assert turned.getpixel((80, 20))[0] > 200 and turned.getpixel((80, 300))[0] < 50


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_shown_small_and_upright():
    """TensorFlow does not decode it. The upper half is red, and 6 turns it to the right side."""
    photo = np.zeros((640, 1280, 3), np.uint8)
    photo[:320, :, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "avif", exif=exif)
    turned = thumbnail(buffer.getvalue, 65535)
    assert turned.size == (SIDE // 2, SIDE)
    assert turned.getpixel((140, 160))[0] > 200 and turned.getpixel((20, 160))[0] < 50


def _gone() -> bytes:
    raise FileNotFoundError("the picture was moved")


@pytest.mark.parametrize(
    "broken", [lambda: b"", lambda: b"\xff\xd8\xff but no JPEG", lambda: b"no picture", _gone]
)
def test_what_cannot_be_read_or_decoded_is_grey(broken):
    assert thumbnail(broken, 65535).getcolors() == [(SIDE * SIDE * 3 // 4, (128, 128, 128))]


def test_no_more_than_fit_the_page(monkeypatch):
    monkeypatch.setattr(thumbnails, "_BYTES", 100)
    found = strips_of([lambda: np.zeros((8, 8, 3), np.uint8)] * 80)
    assert len(found["strips"]) == 1 and len(found["places"]) == 25
