"""Masks drawn over their pictures, with a legend, in VOC's colours.

Shapes: H, W pixels of a picture.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from edet.config.labels import BACKGROUND
from edet.errors import UserError
from edet.evaluation.fonts import Letters
from edet.evaluation.pages import Row, save_page, scaled
from edet.evaluation.plots import drawing_side, enlarged
from edet.records.masks import IGNORED, color_map

_OPACITY = 0.55
_GAP = 8


def draw_overlay(
    image: np.ndarray, mask: np.ndarray, labels: dict[int, str], shows_all: bool = False
) -> np.ndarray:
    """Returns the picture tinted by its mask, and below it a legend of the classes it shows.

    The background and what does not count keep their own colours. A small picture comes back
    enlarged, so that the legend has room.

    Args:
      image: uint8 [H, W, 3].
      mask: uint8 [H, W], keys of the labels or 255.
      labels: {value: name}.
      shows_all: the legend has all classes, so that all frames of a video have one size.

    Returns:
      uint8 [H + legend, W, 3], H and W times a whole factor.

    Raises:
      UserError: the mask is of another size.
    """
    if image.shape[:2] != mask.shape:
        raise UserError(
            f"cannot draw a mask of {list(mask.shape)} over a picture of {list(image.shape[:2])} "
            "pixels; they must be of one size."
        )
    plain = [v for v, name in labels.items() if name == BACKGROUND] + [IGNORED]
    tint = color_map()[mask]
    opacity = np.where(np.isin(mask, plain), 0.0, _OPACITY)[..., None]
    drawn = enlarged(np.rint(image * (1 - opacity) + tint * opacity).astype(np.uint8))
    found = labels if shows_all else np.unique(mask).tolist()
    shown = {v: labels.get(v, str(v)) for v in found if v not in plain}
    return np.concatenate([drawn, _legend(shown, drawn)])


def _legend(shown: dict[int, str], drawn: np.ndarray) -> np.ndarray:
    """Returns white rows of coloured squares and names, as many as they need below a picture."""
    width = drawn.shape[1]
    letters = Letters(shown.values(), max(12, round(min(width, drawing_side(drawn)) / 50)))
    line = letters.height + 2
    places, x, y = [], _GAP, 2
    for value, whole in shown.items():
        name = letters.cut(whole, width - line - 2 * _GAP)
        length = line + letters.width(name) + 2 * _GAP
        if x > _GAP and x + length > width:
            x, y = _GAP, y + line
        places.append((x, y, value, name))
        x += length
    picture = Image.new("RGB", (width, y + line if shown else 0), "white")
    draw = ImageDraw.Draw(picture)
    colors = color_map()
    for x, y, value, name in places:
        color = tuple(colors[value].tolist())
        draw.rectangle((x, y + 2, x + line - 6, y + line - 4), fill=color, outline="black")
        letters.write(draw, x + line, y, name, "black")
    return np.asarray(picture).reshape(-1, width, 3)


class Masked(NamedTuple):
    """One picture with what its pixels are and what they were taken for."""

    title: str
    image: np.ndarray  # uint8 [H, W, 3]
    truth: np.ndarray  # uint8 [H, W]
    found: np.ndarray  # uint8 [H, W]


def save_mask_gallery(
    pictures: Iterable[Masked], labels: dict[int, str], path: str | os.PathLike
) -> None:
    """Writes one page: a row for each picture, the true mask on the left, the found one right.

    Raises:
      UserError: there is no picture, or the file cannot be written.
    """
    save_page((_row(picture, labels) for picture in pictures), path)


def _row(picture: Masked, labels: dict[int, str]) -> Row:
    image = scaled(picture.image)
    truth, found = (
        draw_overlay(image, scaled(mask, Image.Resampling.NEAREST), labels)
        for mask in (picture.truth, picture.found)
    )
    return Row(picture.title, {"mask": truth, "found": found})
