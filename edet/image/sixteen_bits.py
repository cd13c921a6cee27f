"""Pictures of 16 bits a channel: how bright they are, and whether `model.white_level` fits them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from edet.image.decode import WHITE_LEVEL
from edet.image.header import is_16_bit_png


def brightest_value(encoded: bytes) -> int:
    """Returns the largest value in a PNG of 16 bits a channel; -1 of any other picture."""
    if not is_16_bit_png(encoded):
        return -1
    return int(tf.reduce_max(tf.io.decode_png(encoded, channels=3, dtype=tf.uint16)))


def white_level_advice(brightest: Sequence[int], white_level: int = WHITE_LEVEL) -> str:
    """Says what `model.white_level` should be for some pictures of 16 bits; "" where it fits.

    Cameras of 10, 12 or 14 bits write such pictures; at face value they are nearly black.

    Args:
      brightest: the largest value of each.
      white_level: as it is set.
    """
    if not brightest:
        return ""
    top, count = max(brightest), len(brightest)
    fitting = 2 ** max(8, top.bit_length()) - 1
    if top > white_level:
        over = sum(value > white_level for value in brightest)
        return (
            f"{over} of {count} pictures of 16 bits have values up to {top}, and all above "
            f"model.white_level={white_level} become white; set model.white_level={fitting}."
        )
    if 2 * fitting < white_level:
        return (
            f"the {count} pictures of 16 bits hold no value above {top}, a "
            f"{(white_level + 1) // (fitting + 1)}th of their range, so they become nearly black; "
            f"set model.white_level={fitting}."
        )
    dim = [value for value in brightest if 4 * value < white_level]
    if 2 * len(dim) <= count:
        return ""
    return (
        f"{len(dim)} of {count} pictures of 16 bits hold no value above {max(dim)}, others reach "
        f"{top}; if they come from cameras of different ranges, scale them to one before."
    )
