"""Ground truth and detections in COCO's structures, and what is refused."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edet.config.labels import NAMED_LABELS
from edet.errors import UserError
from edet.evaluation.coco import evaluate_coco, evaluate_json
from edet.evaluation.coco_format import (
    GroundTruth,
    class_names,
    detections_to_coco,
    finite_detections,
    ground_truth_to_coco,
    number_images,
    parse_image_id,
    read_coco_json,
    write_detections,
)

DATASET = {
    "images": [{"id": 1, "height": 9, "width": 9}],
    "annotations": [{"id": 5, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}],
    "categories": [{"id": 2, "name": "dog"}],
}
DETECTION = {"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"42", 42), ("42", 42), (42, 42), (np.int64(42), 42), (42.0, 42), ("042", "042"), ("-3", -3)]
    + [("a.jpg", "a.jpg"), ("", ""), ("1_000", "1_000"), (b"\xff", "\ufffd"), ("4.0", "4.0")],
)
def test_an_image_id_has_one_form(value, expected):
    assert parse_image_id(value) == expected


@given(st.one_of(st.integers(), st.text()))
def test_different_ids_stay_different(value):
    assert str(parse_image_id(value)) == str(value)


def test_boxes_become_xywh_and_padding_goes():
    boxes = np.array([[[10, 20, 40, 60], [0, 0, 0, 0]], [[1, 2, 3, 5], [5, 5, 6, 7]]], np.float32)
    scores, classes = np.array([[0.5, 0], [0.25, 0.75]], np.float32), np.array([[3, 0], [1, 9]])
    assert detections_to_coco([b"8", "x"], boxes, scores, classes, [1, 2]) == [
        {"image_id": 8, "category_id": 3, "bbox": [20, 10, 40, 30], "score": 0.5},
        {"image_id": "x", "category_id": 1, "bbox": [2, 1, 3, 2], "score": 0.25},
        {"image_id": "x", "category_id": 9, "bbox": [5, 5, 2, 1], "score": 0.75},
    ]
    assert detections_to_coco([], np.zeros((0, 2, 4)), np.zeros((0, 2)), np.zeros((0, 2)), []) == []


@pytest.mark.parametrize(
    "arrays",
    [
        (np.zeros((1, 3, 4)), np.zeros((1, 2)), np.zeros((1, 3)), [1]),
        (np.zeros((3, 4)), np.zeros((1, 3)), np.zeros((1, 3)), [1]),
        (np.zeros((2, 3, 4)), np.zeros((2, 3)), np.zeros((2, 3)), [1, 1]),
        (np.zeros((1, 3, 4)), np.zeros((1, 3)), np.zeros((1, 3)), [4]),
        (np.zeros((1, 3, 4)), np.zeros((1, 3)), np.zeros((1, 3)), [-1]),
    ],
)
def test_detections_whose_shapes_do_not_fit_are_refused(arrays):
    with pytest.raises(UserError, match=r"detections of 1 images must be boxes \[B, D, 4\]"):
        detections_to_coco([1], *arrays)


def test_ground_truth_in_cocos_structures():
    row = GroundTruth("7", 30, 40, np.array([[10, 20, 14, 25]]), np.array([3]), np.array([True]))
    image, annotations = ground_truth_to_coco(row)
    assert image == {"id": 7, "height": 30, "width": 40}
    assert annotations == [
        {"image_id": 7, "category_id": 3, "bbox": [20, 10, 5, 4], "area": 20, "iscrowd": 1}
    ]


@pytest.mark.parametrize("kind", [dict, lambda **fields: SimpleNamespace(**fields)])
def test_ground_truth_may_come_as_the_records_name_it(kind):
    row = kind(source_id="7", height=30, width=40, boxes=[[0, 0, 2, 3]], class_ids=[3], pixels=0)
    image, annotations = ground_truth_to_coco(row)
    assert image == {"id": 7, "height": 30, "width": 40}
    assert [(a["bbox"], a["area"], a["iscrowd"]) for a in annotations] == [([0, 0, 3, 2], 6, 0)]
    assert "image_id" not in (row if isinstance(row, dict) else vars(row))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"class_ids": [1, 2]}, "does not fit together"),
        ({"boxes": [[0, 0, 1]]}, "does not fit together"),
        ({"areas": [1.0, 2.0]}, "does not fit together"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "not finite"),
    ],
)
def test_broken_ground_truth_names_its_image(fields, sentence):
    row = {"image_id": "a.jpg", "height": 9, "width": 9, "boxes": [[0, 0, 1, 1]], "class_ids": [1]}
    with pytest.raises(UserError, match=f"'a.jpg'.*{sentence}"):
        ground_truth_to_coco({**row, **fields})


def test_class_names_are_unique_and_leave_out_ids_that_stand_for_nothing():
    names = {3: "mouse", 1: "mouse", 2: "", 4: "", 9: "cat"}
    dataset = {
        "annotations": [{"category_id": 4}, {"category_id": 12}],
        "categories": [{"id": k, "name": name} for k, name in names.items()],
    }
    expected = {1: "mouse (1)", 3: "mouse (3)", 4: "class 4", 9: "cat", 12: "class 12"}
    assert class_names(dataset) == expected
    assert list(class_names(dataset)) == sorted(expected)


def test_coco_has_80_classes_on_90_ids():
    categories = [{"id": k, "name": name} for k, name in NAMED_LABELS["coco"].items()]
    names = class_names({"annotations": [], "categories": categories})
    assert (len(categories), len(names), names[90]) == (90, 80, "toothbrush")


def test_whole_numbers_stay_and_text_is_numbered_from_1():
    assert number_images({"images": [{"id": 9}, {"id": 3}]}) == {3: 3, 9: 9}
    assert number_images({"images": [{"id": "b"}, {"id": "a"}, {"id": 5}]}) == {
        5: 1,
        "a": 2,
        "b": 3,
    }


@pytest.mark.parametrize(
    ("ids", "sentence"), [([], "holds no image"), ([4, 5, 4], "holds image id 4 2 times")]
)
def test_images_must_exist_and_differ(ids, sentence):
    with pytest.raises(UserError, match=sentence):
        number_images({"images": [{"id": i} for i in ids]})


def test_written_detections_evaluate_to_the_same_numbers(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(DATASET))
    broken = {**DETECTION, "score": float("nan")}
    write_detections(str(tmp_path / "found.json"), [DETECTION, broken])
    result = evaluate_json(str(tmp_path / "truth.json"), str(tmp_path / "found.json"))
    assert result.metrics == evaluate_coco(DATASET, [DETECTION]).metrics
    assert result.metrics["AP"] == pytest.approx(1.0)
    assert json.loads((tmp_path / "found.json").read_text()) == [DETECTION]
    write_detections(str(tmp_path / "none.json"), [])
    assert json.loads((tmp_path / "none.json").read_text()) == []


def test_finite_detections_of_nothing():
    assert finite_detections([]) == []


@pytest.mark.parametrize(
    ("dataset", "detections", "sentence"),
    [
        ("[", [], "annotations .*truth.json is not JSON"),
        ([], [], "truth.json has no list of images"),
        ({**DATASET, "annotations": None}, [], "has no list of annotations"),
        ({**DATASET, "images": [{"height": 3}]}, [], "entry 0 of images has no id"),
        ({**DATASET, "categories": [{"id": "2"}]}, [], "class id '2'; it must be a whole number"),
        (DATASET, {"boxes": []}, "found.json has no list of detections"),
        (DATASET, [{**DETECTION, "bbox": [4, 6, -3, -4]}], "of negative width or height"),
        (DATASET, [1], "entry 0 of detections has no image_id"),
        (DATASET, [DETECTION, {**DETECTION, "score": None}], "entry 1 of detections has no score"),
        (DATASET, [{**DETECTION, "score": "0.5"}], "score '0.5'.*a number"),
        (DATASET, [{**DETECTION, "score": True}], "score True.*a number"),
        ({**DATASET, "annotations": [{**DETECTION, "bbox": [1, 2, math.nan, 4]}]}, [], "2, nan, 4"),
        (DATASET, [{**DETECTION, "bbox": [1, 2, 3]}], r"has the bbox \[1, 2, 3\]"),
        (DATASET, [{**DETECTION, "bbox": 7}], "has the bbox 7"),
        (DATASET, [{**DETECTION, "category_id": 1.5}], "class id 1.5; it must be a whole number"),
        (DATASET, [{**DETECTION, "image_id": 8}], "image id 8, which is not among the 1 images"),
    ],
)
def test_files_that_are_not_cocos_are_refused_in_a_sentence(
    tmp_path, dataset, detections, sentence
):
    text = dataset if isinstance(dataset, str) else json.dumps(dataset)
    (tmp_path / "truth.json").write_text(text)
    (tmp_path / "found.json").write_text(json.dumps(detections))
    with pytest.raises(UserError, match=sentence):
        evaluate_json(str(tmp_path / "truth.json"), str(tmp_path / "found.json"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read annotations .*nowhere\.json"):
        evaluate_json(str(tmp_path / "nowhere.json"), str(tmp_path / "nowhere.json"))


def test_results_may_be_a_data_set_and_their_areas_are_not_believed(tmp_path):
    found = {"annotations": [{**DETECTION, "image_id": "1", "area": 5000, "iscrowd": 1}]}
    (tmp_path / "truth.json").write_text(json.dumps(DATASET))
    (tmp_path / "found.json").write_text(json.dumps(found))
    _, results = read_coco_json(str(tmp_path / "truth.json"), str(tmp_path / "found.json"))
    assert results == [DETECTION]
