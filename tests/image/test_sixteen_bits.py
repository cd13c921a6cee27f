"""Twelve bits in sixteen are told, with the setting that scales them."""

import re

import numpy as np
import pytest

from edet.image.sixteen_bits import brightest_value, white_level_advice
from tests.pictures import encoded


def test_the_brightest_value_of_16_bits_alone():
    assert brightest_value(encoded(np.array([[7, 3520], [0, 12]], np.uint16))) == 3520
    assert brightest_value(encoded(np.array([[7, 200]], np.uint8))) == -1
    assert brightest_value(encoded(np.array([[7, 200]], np.uint8), "JPEG")) == -1
    assert brightest_value(b"") == -1


@pytest.mark.parametrize(
    ("brightest", "white_level", "words"),
    [
        ([], 65535, ""),
        ([40_000, 30_000], 65535, ""),
        ([3520], 4095, ""),
        (
            [3520, 12],
            65535,
            "no value above 3520, a 16th of their range.*set model.white_level=4095",
        ),
        ([9000, 12_000], 65535, "a 4th of their range.*white_level=16383"),
        (
            [5000, 900],
            4095,
            "1 of 2 pictures.* up to 5000.*become white; set model.white_level=8191",
        ),
        ([3520, 3000, 65_535], 65535, "2 of 3 pictures of 16 bits hold no value above 3520"),
        ([3520, 50_000, 65_535], 65535, ""),  # a dark one among others
    ],
)
def test_the_advice(brightest, white_level, words):
    advice = white_level_advice(brightest, white_level)
    assert bool(advice) == bool(words)
    assert re.search(words, advice)
