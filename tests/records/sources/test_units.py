"""Boxes that are another format's are refused by the set, not by the single box."""

import numpy as np
import pytest

from edet.errors import UserError
from edet.records.sources.units import check_units, to_yxyx

RNG = np.random.default_rng(0)
# Corners in pictures of 160 x 120 pixels.
X0, Y0 = RNG.uniform(0, 100, 50), RNG.uniform(0, 70, 50)
CORNERS = np.stack([X0, Y0, X0 + RNG.uniform(9, 59, 50), Y0 + RNG.uniform(9, 49, 50)], 1)
XYWH = np.concatenate([CORNERS[:, :2], CORNERS[:, 2:] - CORNERS[:, :2]], 1)
SIDES = np.array([160, 120, 160, 120])
CENTRES = np.concatenate([XYWH[:, :2] + XYWH[:, 2:] / 2, XYWH[:, 2:]], 1) / SIDES


def check(boxes, box_format, relative=False, areas=None, known=True):
    sizes = np.tile([160, 120] if known else [-1, -1], (len(boxes), 1))
    areas = np.zeros(len(boxes)) if areas is None else areas
    check_units(np.asarray(boxes, float), sizes, areas, box_format, relative, "set.json")


@pytest.mark.parametrize(
    ("boxes", "box_format", "relative", "words"),
    [
        (CORNERS, "xywh", False, r"look like corners \[xmin"),
        (XYWH, "xyxy", False, r"look like \[x, y, width, height\], where"),
        (CORNERS[:, [1, 0, 3, 2]], "xywh", False, r"corners \[ymin.* or exchange width and height"),
        (CENTRES * SIDES, "xywh", False, "look like .* of the centre, where"),
        (CENTRES * SIDES, "xyxy", False, "look like .* of the centre, where"),
        (XYWH / SIDES, "xywh", False, "look like shares of the picture, 0-1, where"),
        (CORNERS / SIDES, "xyxy", False, "look like shares of the picture"),
        (CENTRES * SIDES, "cxcywh", True, "look like pixels, where"),
        (CORNERS / SIDES, "cxcywh", True, r"look like corners \[xmin"),
        (XYWH / SIDES, "cxcywh", True, r"look like \[x, y, width, height\], where"),
    ],
)
def test_a_set_in_another_format_is_refused_with_its_likely_cause(
    boxes, box_format, relative, words
):
    with pytest.raises(UserError, match=f"^set.json: the boxes, such as .*{words}"):
        check(boxes, box_format, relative)


def test_areas_tell_where_the_sizes_of_pictures_are_not_given():
    areas = XYWH[:, 2] * XYWH[:, 3]
    with pytest.raises(UserError, match="look like corners"):
        check(CORNERS, "xywh", areas=areas, known=False)
    check(XYWH, "xywh", areas=areas, known=False)
    check(XYWH, "xywh", areas=0.6 * areas)  # of masks
    # One mask may well have the area of another box: 25.2 of 6 x 6 pixels, and 5 x 5 as corners.
    for count in (1, 9):  # and as well all that are equal
        check([[1, 1, 6, 6]] * count, "xywh", areas=np.full(count, 25.2))


@pytest.mark.parametrize(
    ("boxes", "box_format", "relative"),
    [
        (XYWH, "xywh", False),
        (CORNERS, "xyxy", False),
        (CENTRES, "cxcywh", True),
        (np.empty([0, 4]), "xywh", False),
        ([[np.nan, 0, 1, 1]], "xywh", False),
        # One box is no set: mistakes of single boxes are reported by name when written.
        ([*XYWH[:40], [100, 80, 90, 90]], "xywh", False),
        ([*CORNERS[:40], [100, 80, 60, 30]], "xyxy", False),
        ([[100, 80, -60, -50]] * 3, "xywh", False),  # drawn from the lower right
        ([[100, 80, 40, 30]] * 3, "xyxy", False),
        ([[0, 0, 160, 120]] * 3, "xywh", False),  # the whole picture, in both formats
        ([[130, 50, 40, 20]] * 4, "xywh", False),  # cut off by the right edge, as centres are not
    ],
)
def test_a_good_set_passes(boxes, box_format, relative):
    check(boxes, box_format, relative)


def test_the_three_formats_of_one_box_have_the_same_corners():
    for boxes, box_format in ((CORNERS, "xyxy"), (XYWH, "xywh"), (CENTRES * SIDES, "cxcywh")):
        np.testing.assert_allclose(to_yxyx(boxes, box_format), CORNERS[:, [1, 0, 3, 2]])
