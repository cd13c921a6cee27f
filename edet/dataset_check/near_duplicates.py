"""Pictures that look alike though their bytes differ: copies that were compressed, resized, lit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edet.dataset_check.check import CheckedImage
from edet.image.look import ALIKE, nearest_looks


class Pair(NamedTuple):
    """A picture and one that looks like it."""

    image: CheckedImage
    other: CheckedImage
    bits: int  # that differ, see edet.image.look


def near_duplicates(sets: Mapping[str, Sequence[CheckedImage]]) -> dict[str, list[Pair]]:
    """Finds pictures that look like one before them in their set, or like one of training.

    Each comes once, with the one that is most like it. Copies to the byte are left out.

    Args:
      sets: "train" and, if there is one, "eval".

    Returns:
      {"train", and where there is an "eval" that and "train and eval": pairs, closest first}.
    """
    looks = {
        name: [image for image in images if image.look is not None] for name, images in sets.items()
    }
    found = {name: _pairs(images, None) for name, images in looks.items()}
    if "eval" in looks:
        found["train and eval"] = _pairs(looks["eval"], looks["train"])
    return found


def _pairs(images: list[CheckedImage], others: list[CheckedImage] | None) -> list[Pair]:
    """Pairs each image with its nearest of `others`, or of those before it, if that is alike."""
    bits_of = [
        None if part is None else np.array([image.look for image in part], np.uint64)
        for part in (images, others)
    ]
    nearest, bits = nearest_looks(*bits_of)
    others = images if others is None else others
    pairs = [
        Pair(images[row], others[nearest[row]], int(bits[row]))
        for row in np.flatnonzero(bits <= ALIKE)
    ]
    return sorted((p for p in pairs if p.image.digest != p.other.digest), key=lambda p: p.bits)
