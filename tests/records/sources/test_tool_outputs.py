"""Sets that annotation tools really wrote are read as the tools meant them: README in fixtures."""

import dataclasses
import json
import pathlib
import shutil

import pytest

from edet.records.sources.formats import FORMATS, open_folder, recognise
from tools.checks.annotation_outputs import OUTPUTS
from tools.checks.annotation_reading import compare, read

FIXTURES = pathlib.Path(__file__).with_name("fixtures")
TRUTH = json.loads((FIXTURES / "truth.json").read_text())


@pytest.mark.parametrize("item", OUTPUTS, ids=[item.name for item in OUTPUTS])
def test_a_set_is_read_as_the_tool_wrote_it(item):
    """Recognised without a hint; boxes, classes, crowds and empty photos as in outputs.json."""
    assert recognise(str(FIXTURES / item.name))[1] == item.reader
    assert compare(item, TRUTH, FIXTURES / item.name).problem == ""


# Label Studio's YOLO has COCO's categories in a notes.json; YOLO comes first.
_ONE_FORMAT = [item for item in OUTPUTS if item.name != "label_studio_yolo"]


def test_no_other_format_takes_a_set_for_its_own():
    for item in _ONE_FORMAT:
        folder, name, _ = recognise(str(FIXTURES / item.name))
        assert [other for other, one in FORMATS.items() if one.splits(folder)] == [name]


def test_ids_of_a_tools_own_file_stay():
    """VIA's drop-down has the ids of the truth; RetinaNet's second file counts from 0."""
    for tool, labels in (
        ("via_project", {3: "person", 17: "traffic light", 90: "dog"}),
        ("plain_csv_retinanet/annotations.csv", {0: "person", 1: "traffic light", 2: "dog"}),
    ):
        assert open_folder(str(FIXTURES / tool))[""].labels == labels


def test_a_moved_box_is_noticed(tmp_path):
    """One corner 0.02 pixels away is no longer equal, so the comparison above can fail."""
    item = next(item for item in OUTPUTS if item.name == "labelformat_coco")
    shutil.copytree(FIXTURES / item.name, tmp_path / "set")
    path = tmp_path / "set" / "annotations.json"
    coco = json.loads(path.read_text())
    coco["annotations"][0]["bbox"][0] -= 0.02
    path.write_text(json.dumps(coco))
    assert "'boxes': 9, 'extra': 1" in compare(item, TRUTH, tmp_path / "set").problem
    nearer = dataclasses.replace(item, pixels=0.03)
    assert compare(nearer, TRUTH, tmp_path / "set").problem == ""


def test_a_photo_is_read_as_it_is_displayed():
    """EXIF turns turned.jpg: 80 x 120 pixels are stored for 120 x 80, the dog is at [10.5, 20]."""
    found = read(FIXTURES / "labelformat_coco")["turned.jpg"]
    assert [(name, box.round(2).tolist()) for name, box, _ in found] == [
        ("dog", [10.5, 20, 60, 70.25]), ("person", [70, 2.5, 118, 30]),
    ]  # fmt: skip
