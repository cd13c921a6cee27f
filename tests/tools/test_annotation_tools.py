"""What tools/checks/annotation_tools.py does around the tools; the tools themselves are not run."""

import json

import numpy as np
import pytest
from PIL import Image

from edet.errors import UserError
from tools.checks.annotation_outputs import OUTPUTS, PACKAGES
from tools.checks.annotation_reading import Reading, markdown
from tools.checks.annotation_tools import document, strip
from tools.checks.annotation_truth import make_truth


def test_the_truth_is_the_same_each_time_and_holds_what_conversions_lose(tmp_path):
    truth = make_truth(tmp_path / "a", 0)
    assert make_truth(tmp_path / "b", 0) == truth
    for photo in truth["photos"]:
        first, second = (tmp_path / name / "photos" / photo["file"] for name in "ab")
        assert first.read_bytes() == second.read_bytes()
    with Image.open(tmp_path / "a" / "photos" / "turned.jpg") as turned:
        assert (turned.size, turned.getexif()[0x0112]) == ((120, 80), 6)
    coco = json.loads((tmp_path / "a" / "coco.json").read_text())
    # The crowd's mask is its box [40, 8, 90, 120], run by run: 112 columns of 50 pixels.
    (crowd,) = (item for item in coco["annotations"] if item["iscrowd"])
    runs = crowd["segmentation"]["counts"]
    assert (sum(runs[1::2]), sum(runs)) == (112 * 50, 96 * 128)
    # The two parts of the dog: 40 x 30 and 50.5 x 35 pixels, in a box that spans both.
    (dog,) = (
        item for item in coco["annotations"] if len(item["segmentation"]) == 2 and item["id"] == 44
    )
    assert dog["area"] == 40 * 30 + 50.5 * 35
    np.testing.assert_allclose(dog["bbox"], [20, 10, 60.5, 80])


def test_folders_and_dates_of_this_machine_are_taken_out(tmp_path):
    (tmp_path / "a.xml").write_text(f"<path>{tmp_path}/a.jpg</path><at>2026-11-28T18:44:14.1</at>")
    (tmp_path / "a.json").write_text('{"year": 2026, "captured": "11/28/2026,18:41:47"}')
    strip(tmp_path, (str(tmp_path),))
    name = tmp_path.name
    written = (tmp_path / "a.xml").read_text()
    assert written == f"<path>/data/{name}/a.jpg</path><at>2000-01-01 00:00:00</at>"
    assert (tmp_path / "a.json").read_text() == '{"year": 2000, "captured": "2000-01-01 00:00:00"}'


def test_the_table_goes_between_its_two_marks(tmp_path):
    text = tmp_path / "data.md"
    text.write_text(
        "before\n<!-- annotation_tools -->\nold\n<!-- end of annotation_tools -->\nafter\n"
    )
    item = next(item for item in OUTPUTS if item.name == "fiftyone_kitti")
    document(
        text,
        markdown([Reading(item, boxes=10, equal=1, furthest=0.5, negatives=1)]),
        "annotation_tools",
    )
    lines = text.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "| fiftyone 1.22.1 | kitti | 10 | 1 | 0.50 | no | yes |" in lines[4]
    assert "old" not in lines
    text.write_text("no marks")
    with pytest.raises(UserError, match="lacks <!-- annotation_tools -->"):
        document(text, "", "annotation_tools")


def test_versions_are_pinned():
    for packages in PACKAGES.values():
        assert all("==" in package or "<" in package for package in packages)
