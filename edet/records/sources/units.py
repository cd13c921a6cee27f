"""Which four numbers a box is, and whether a set's boxes can be what they are said to be.

People give corners where a width belongs, or shares of the picture where pixels belong. One box
does not tell, the set does. Shapes: n boxes of all pictures of a set.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edet.errors import UserError
from edet.geometry.boxes import xywh_to_yxyx

BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx"]
_WORDS = {
    "xyxy": "corners [xmin, ymin, xmax, ymax]",
    "xywh": "[x, y, width, height]",
    "cxcywh": "[x, y, width, height] of the centre",
    "yxyx": "corners [ymin, xmin, ymax, xmax]",
}
_USUAL: tuple[BoxFormat, ...] = ("xyxy", "xywh")  # what sets are mistaken for
_GRACE = 2.0  # pixels that a box may stick out, for rounding
_FEW = 5  # areas of fewer masks may be those of other boxes by chance
_SOME = 0.2  # of the boxes: more than mistakes of single ones


def to_yxyx(boxes: np.ndarray, box_format: BoxFormat) -> np.ndarray:
    """Returns [n, 4] float64 ymin, xmin, ymax, xmax; sides of negative length stay negative."""
    if box_format == "xywh":
        return xywh_to_yxyx(boxes)
    if box_format == "cxcywh":
        return xywh_to_yxyx(np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], 1))
    return boxes if box_format == "yxyx" else boxes[:, [1, 0, 3, 2]]


def check_units(
    boxes: np.ndarray, sizes: np.ndarray, areas: np.ndarray, box_format: BoxFormat,
    relative: bool, where: str,
) -> None:  # fmt: skip
    """Refuses a set whose boxes are corners for sizes, pixels for shares, or the other way round.

    Args:
      boxes: [n, 4] float64, the numbers of the file.
      sizes: [n, 2] width and height of each box's picture in pixels; -1 where unknown.
      areas: [n] as the file gives them; 0 where it does not.
      box_format: what the four numbers should be.
      relative: they should be shares of the sides, 0-1, not pixels.
      where: the file or folder, for the sentence.

    Raises:
      UserError: they are something else; it says what they look like.
    """
    finite = np.isfinite(boxes).all(axis=1)
    boxes, sizes, areas = boxes[finite], sizes[finite].astype(np.float64), areas[finite]
    if not len(boxes):
        return

    def refuse(found: str, advice: str = "convert them") -> None:
        raise UserError(
            f"{where}: the boxes, such as {boxes[0].round(4).tolist()}, look like {found}, where "
            f"this format has {_WORDS[box_format]}"
            f"{' as shares of the picture, 0-1' if relative else ' in pixels'}; {advice}."
        )

    if relative and np.mean((np.abs(boxes) > 1.5).any(axis=1)) > 0.5:
        refuse("pixels")
    if not relative and np.abs(boxes).max() <= 1:
        refuse("shares of the picture, 0-1")
    known = (sizes > 0).all(axis=1) | relative
    limit, grace = (np.ones_like(sizes), 0.01) if relative else (sizes, _GRACE)
    for other in (*_USUAL, "cxcywh", "yxyx"):
        if other != box_format and _is_rather(boxes, box_format, other, limit, known, grace, areas):
            # A side is exceeded by as much either way.
            sides = ", or exchange width and height of the pictures if those are the wrong ones"
            refuse(_WORDS[other], f"convert them{sides if other == 'yxyx' else ''}")


def _is_rather(
    boxes: np.ndarray, box_format: BoxFormat, other: BoxFormat, limit: np.ndarray,
    known: np.ndarray, grace: float, areas: np.ndarray,
) -> bool:  # fmt: skip
    """Whether all boxes make sense in another format and many do not in their own."""
    own, others = to_yxyx(boxes, box_format), to_yxyx(boxes, other)
    if not _fits(others, limit, known, grace).all():
        return False
    flipped = own[:, 2:] < own[:, :2]
    if (flipped.any(axis=1) == flipped.all(axis=1)).all() and flipped.any():
        return False  # drawn from the lower right, as single boxes are in any format
    # Where no size is known, boxes that stick out upwards or to the left are all that tells.
    wrong, least = ~_fits(own, limit, known, grace), _SOME if known.any() else 0.5
    # A few boxes that do reach beyond the picture may well fit where a centre or y were first.
    if wrong.mean() >= least and (other in _USUAL or wrong.sum() >= _FEW):
        return True
    given = areas > 0
    as_own, as_other = (np.prod(b[given, 2:] - b[given, :2], axis=1) for b in (own, others))
    is_others = np.isclose(areas[given], as_other, 0.01) & ~np.isclose(areas[given], as_own, 0.01)
    # Equal boxes agree or differ together, by one and the same chance.
    return len(np.unique(boxes[given], axis=0)) >= _FEW and bool(is_others.mean() > 0.5)


def _fits(yxyx: np.ndarray, limit: np.ndarray, known: np.ndarray, grace: float) -> np.ndarray:
    """[n] whether a box has two positive sides and lies in its picture, as far as known."""
    begins = (yxyx[:, :2] >= -grace).all(axis=1)
    ends = (yxyx[:, 2:] <= limit[:, ::-1] + grace).all(axis=1)
    return (yxyx[:, 2:] > yxyx[:, :2]).all(axis=1) & begins & (ends | ~known)
