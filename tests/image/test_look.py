"""64 bits of a picture: alike for copies, unlike for others, and nothing for flat ones."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from edet.image.look import ALIKE, look_of, nearest_looks


def scene(seed, height=240, width=320):
    """Some light and dark ellipses on a slope of light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / (height, width)[0]
    light = 120 + 80 * (rng.uniform(-1, 1) * y + rng.uniform(-1, 1) * x)
    for _ in range(12):
        cy, cx, ry, rx = rng.uniform((0, 0, 0.05, 0.05), (1, width / height, 0.3, 0.3))
        light[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = rng.uniform(20, 220)
    return np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)


def differing(first, second):
    return (look_of(np.asarray(first)) ^ look_of(np.asarray(second))).bit_count()


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return Image.open(stream)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 30),
        lambda image: image.resize((100, 75)),
        lambda image: image.resize((320, 320)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.15),
        lambda image: ImageEnhance.Brightness(image).enhance(0.7),
        lambda image: jpeg(image.resize((160, 120)), 50),
    ],
)
def test_changed_copies_are_alike(change):
    for seed in range(10):
        picture = scene(seed)
        assert differing(picture, change(Image.fromarray(picture))) <= ALIKE


def test_different_pictures_are_not():
    looks = np.array([look_of(scene(seed)) for seed in range(40)], np.uint64)
    assert nearest_looks(looks)[1][1:].min() > ALIKE


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 4), (33, 31)])
def test_pictures_of_any_size_have_a_look(size):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    look = look_of(pixels)
    assert look is None or 0 <= look < 2**64


def test_a_flat_picture_looks_like_nothing():
    assert look_of(np.full((40, 60, 3), 17, np.uint8)) is None


@pytest.mark.parametrize("m", [1, 7, 1000])
def test_the_nearest_is_that_of_all_pairs(m):
    """Against Python's own count of bits; 500 rows are several blocks where m is large."""
    rng = np.random.default_rng(0)
    looks, others = (rng.integers(0, 2**63, n).astype(np.uint64) for n in (500, m))
    nearest, bits = nearest_looks(looks, others)
    every = np.array([[(int(a) ^ int(b)).bit_count() for b in others] for a in looks])
    assert bits.tolist() == every.min(axis=1).tolist()
    assert nearest.tolist() == every.argmin(axis=1).tolist()


def test_without_others_each_is_compared_with_those_before_it():
    looks = np.array([0b1111, 0b0000, 0b1110, 0b1111], np.uint64)
    nearest, bits = nearest_looks(looks)
    assert bits.tolist() == [255, 4, 1, 0]
    assert nearest[1:].tolist() == [0, 0, 0]
    many = np.random.default_rng(1).integers(0, 2**63, 700).astype(np.uint64)
    _, bits = nearest_looks(many)
    every = np.array([[(int(a) ^ int(b)).bit_count() for b in many] for a in many])
    assert bits[1:].tolist() == [every[i, :i].min() for i in range(1, 700)]


def test_nothing_has_no_nearest():
    none, one = np.zeros(0, np.uint64), np.zeros(1, np.uint64)
    assert nearest_looks(none)[1].tolist() == nearest_looks(none, one)[1].tolist() == []
    assert nearest_looks(one)[1].tolist() == nearest_looks(one, none)[1].tolist() == [255]
