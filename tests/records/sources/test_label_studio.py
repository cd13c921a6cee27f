"""Label Studio's JSON and JSON-MIN: percent, turns in pixels, and several annotations of a task."""

import csv
import io
import json

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED, NO_BOX, OUTLINE, ROTATED
from tests.records.sources.small_folders import make, objects, read

_SIZE = {"original_width": 200, "original_height": 100}


def result(kind="rectangle", label="cat", size=_SIZE, **value) -> dict:
    labels = {f"{kind}labels": [label]} if label else {}
    value = {"x": 20, "y": 20, "width": 40, "height": 20, "rotation": 0} | value | labels
    return {"id": "r", "type": f"{kind}labels", "value": value} | size


def task(*results, image="/data/upload/1/1a2b3c4d-a.jpg", **others) -> dict:
    return {"id": 7, "data": {"image": image}, "annotations": [{"result": results}], **others}


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (result(), [20, 40, 40, 120], None),
        # The corner at (40, 20) stays; 80x20 pixels lie to its left and below.
        (result(rotation=90), [20, 20, 100, 40], ROTATED),
        (result(rotation=180), [0, -40, 20, 40], ROTATED),
        (
            {**result(kind="polygon", points=[[10, 10], [20, 50], [15, 90]])},
            [10, 20, 90, 40],
            OUTLINE,
        ),
        (
            result(kind="ellipse", x=50, y=50, radiusX=10, radiusY=30, rotation=90),
            [30, 70, 70, 130],  # half-axes 20 and 30 pixels, turned
            OUTLINE,
        ),
        (result(kind="brush", rle=[1, 2], format="rle"), None, "dropped: brush mask (in run"),
        ({"value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["eye"]}}, None, NO_BOX),
        (result(x="left"), None, DAMAGED),
        (result(label=""), None, DAMAGED),
        (result(size={}), None, DAMAGED),
        (result() | {"image_rotation": 90}, None, "dropped: drawn while the view was turned"),
    ],
)
def test_a_region_is_its_bounds_in_pixels_or_named(tmp_path, drawn, box, note):
    other = result(label="dog") | {"id": "other"}
    for min_export in (False, True):
        if min_export:
            flat = [
                one["value"] | {k: v for k, v in one.items() if k != "value"}
                for one in (drawn, other)
            ]
            entry = {"image": "/data/upload/1/1a2b3c4d-a.jpg", "id": 7, "label": flat}
            export = [entry | {"annotator": 1, "annotation_id": 3}]
        else:
            export = [task(drawn, other)]
        folder = make(tmp_path, {"export.json": json.dumps(export)}, "images/a.jpg")
        source = read(folder, "label_studio")[""]
        first = [("cat", *box)] if box else []
        assert objects(source) == {"7": [*first, ("dog", 20, 40, 40, 120)]}
        notes = list(source.tally.boxes)
        assert notes == [] if note is None else notes[0].startswith(note)
        assert (source.examples[0].height, source.examples[0].width) == (100, 200)


def test_shapes_and_classes_of_two_controls_are_one_object(tmp_path):
    shape = {"id": "r", "type": "rectangle", "value": {"x": 0, "y": 0, "width": 5, "height": 50}}
    named = {"id": "r", "type": "labels", "value": shape["value"] | {"labels": ["cat"]}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["night"]}}
    export = json.dumps([task(shape | _SIZE, named | _SIZE, choice)])
    source = read(make(tmp_path, {"a.json": export}, "a.jpg"), "label_studio")[""]
    assert objects(source) == {"7": [("cat", 0, 0, 50, 10)]}
    assert not source.tally.problems


def test_the_last_annotation_that_was_not_cancelled_counts_and_predictions_do_not(tmp_path):
    first, last, cancelled = (result(label=name) for name in ("first", "last", "cancelled"))
    annotations = [
        {"result": [first]},
        {"result": [last]},
        {"result": [cancelled], "was_cancelled": True},
    ]
    skipped = [{"result": [], "was_cancelled": True}]
    url = "https://host/{}.jpg?sig=1".format
    tasks = [
        task(annotations=annotations, predictions=[{"result": [first]}]),
        task(annotations=skipped, image=url("b")) | {"id": 8},
        task(annotations=[], image=url("c"), predictions=[{"result": [first]}]) | {"id": 9},
        task(image="/data/local-files/?d=set/e%20f.jpg") | {"id": 10},
        task(image=5) | {"id": 11},
        "no task",
    ]
    pictures = {f"set/{name}.jpg": b"" for name in ("a", "b", "c", "e f")}
    folder = make(tmp_path, {"a.json": json.dumps(tasks), **pictures})
    source = read(folder, "label_studio")[""]
    assert objects(source) == {"7": [("last", 20, 40, 40, 120)], "10": []}
    assert source.tally.images == {
        "other annotations of the same picture (the last one taken)": 1,
        "dropped: task without an annotation that was not cancelled": 2,
        BAD_IMAGE: 2,
    }


def test_without_any_size_boxes_are_shares_of_the_picture(tmp_path):
    export = json.dumps([task(result(size={}), result(size={}, rotation=30))])
    source = read(make(tmp_path, {"a.json": export}, "a.jpg"), "label_studio")[""]
    (example,) = source.examples
    assert example.relative and example.boxes.tolist() == [pytest.approx([0.2, 0.2, 0.4, 0.6])]
    assert source.tally.boxes == {DAMAGED: 1}  # what is turned needs the size


def test_another_json_is_refused(tmp_path):
    folder = make(tmp_path, {"a.json": '[{"data": {"image": 1}, "annotations"'})
    with pytest.raises(UserError, match=r"a\.json is not JSON"):
        read(folder, "label_studio")


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_csv_is_json_within_cells(tmp_path, ending, delimiter):
    """A cell of 200,000 characters is read; a picture without regions has an empty one."""
    flat = result()["value"] | _SIZE
    names = ["image", "id", "label", "annotator", "annotation_id", "lead_time"]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(names)
    for number, regions in enumerate([json.dumps([flat | {"note": "x" * 200_000}]), ""]):
        name = f"/data/upload/1/1a2b3c4d-{'ab'[number]}.jpg"
        writer.writerow([name, number, regions, 1, number, 5.3])
    folder = make(tmp_path, {f"project-1.{ending}": text.getvalue()}, "a.jpg b.jpg")
    (source,) = read(folder, "label_studio").values()
    assert objects(source) == {"0": [("cat", 20, 40, 40, 120)], "1": []}
