"""Pages of pictures: rows of drawings beside each other, each below its caption.

Shapes: H, W pixels of a picture. A page is a PNG.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from edet.errors import UserError
from edet.evaluation.fonts import Letters
from edet.image.files import save_png

PANEL_SIDE = 480  # longer side of one image in a gallery, in pixels
_GAP = 8


class Row(NamedTuple):
    """One picture of a page: drawings of it side by side, each below its caption."""

    title: str
    panels: dict[str, np.ndarray]  # {caption: uint8 [H, W, 3]}, of PANEL_SIDE


def scaled(image: np.ndarray, method: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """Returns a picture or mask with PANEL_SIDE as its longer side."""
    scale = PANEL_SIDE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def save_page(rows: Iterable[Row], path: str | os.PathLike) -> None:
    """Writes rows of two panels below each other as one PNG.

    Raises:
      UserError: there is no row, or the file cannot be written.
    """
    drawn = [_draw_row(row) for row in rows]
    if not drawn:
        raise UserError(f"there is no picture for {os.fspath(path)}; the data holds no image.")
    save_png(np.concatenate(drawn), path)


def _draw_row(row: Row) -> np.ndarray:
    header = 24
    height = max(len(panel) for panel in row.panels.values()) + header + _GAP
    drawn = Image.new("RGB", (2 * PANEL_SIDE + 3 * _GAP, height), "white")
    draw, letters = ImageDraw.Draw(drawn), Letters([row.title, *row.panels], 13)
    for column, (caption, panel) in enumerate(row.panels.items()):
        left = _GAP + column * (PANEL_SIDE + _GAP)
        title = letters.cut(row.title, PANEL_SIDE - letters.width(f": {caption}"))
        letters.write(draw, left, 4, f"{title}: {caption}", "black")
        drawn.paste(Image.fromarray(panel), (left, header))
    return np.asarray(drawn)
