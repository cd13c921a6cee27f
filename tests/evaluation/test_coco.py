"""COCO's numbers, checked by hand where a hand can, and against pycocotools everywhere else."""

import contextlib
import copy
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edet.errors import UserError
from edet.evaluation.coco import (
    METRICS,
    CocoEvaluator,
    evaluate_coco,
    evaluate_json,
    run_cocoeval,
)
from edet.evaluation.coco_format import GroundTruth, read_coco_json

BACKENDS = ("faster_coco_eval", "pycocotools")
LABELS = {1: "cat", 2: "dog"}


def truth(image_id, boxes, class_ids, **fields):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return GroundTruth(image_id, 640, 640, boxes, np.asarray(class_ids, np.int32), **fields)


def evaluate(rows, detections, labels=LABELS, backend="faster_coco_eval"):
    """detections: image id -> [(box, score, class id)]."""
    evaluator = CocoEvaluator(rows, labels)
    for image_id, found in detections.items():
        boxes = np.array([box for box, _, _ in found], np.float32).reshape(1, -1, 4)
        scores = np.array([[score for _, score, _ in found]], np.float32)
        classes = np.array([[k for _, _, k in found]], np.int32)
        evaluator.add([image_id], boxes, scores, classes, [len(found)])
    return evaluator.result(backend)


def random_data(seed, images=12, classes=(1, 3, 7), crowd=0.15):
    """A data set and results in COCO's JSON with ties, crowds, empty images and lone classes."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(1, images + 1):
        n, extra = (rng.integers(0, 6), rng.integers(0, 5)) if image % 4 else (0, 2)
        boxes = np.column_stack([rng.uniform(0, 300, (n, 2)), np.exp(rng.uniform(2, 5.5, (n, 2)))])
        for box in boxes:
            k = int(rng.choice(classes))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": k,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3] * rng.uniform(0.5, 1)),
                    "iscrowd": int(rng.random() < crowd),
                }
            )
            near = box[None] + rng.normal(0, 6, (rng.integers(0, 4), 4))
            detections += [(image, k if rng.random() < 0.8 else 3, b.tolist()) for b in near]
        detections += [
            (image, int(rng.choice([*classes, 9])), rng.uniform(10, 200, 4).tolist())
            for _ in range(extra)
        ]
    detections = [
        # One decimal makes many ties.
        {"image_id": i, "category_id": k, "bbox": b, "score": float(rng.integers(1, 11)) / 10}
        for i, k, b in detections
    ]
    dataset = {
        "images": [{"id": i, "height": 640, "width": 640} for i in range(1, images + 1)],
        "annotations": annotations,
        # Class 8 has no ground truth.
        "categories": [{"id": k, "name": f"name {k}"} for k in (*classes, 8)],
    }
    return dataset, detections


def straight_from_pycocotools(dataset, detections):
    """The yardstick, as its own demo uses it."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(dataset)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


# By hand. All boxes below overlap in width only, so that an IoU is a quotient of two widths.


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_box_of_iou_062_passes_3_of_10_thresholds(backend):
    rows = [truth(5, [[0, 0, 100, 100]], [1])]
    metrics = evaluate(rows, {5: [([0, 0, 100, 62], 0.9, 1)]}, backend=backend).metrics
    assert tuple(metrics) == METRICS
    # IoU 0.62 counts at 0.50, 0.55 and 0.60. The box of 100 x 100 pixels is large.
    assert metrics["AP"] == pytest.approx(0.3)
    assert metrics["AP50"] == pytest.approx(1.0)
    assert metrics["AP75"] == 0.0
    assert metrics["APl"] == pytest.approx(0.3)
    assert metrics["APs"] == metrics["APm"] == -1.0
    assert metrics["AR1"] == metrics["AR100"] == metrics["ARl"] == pytest.approx(0.3)


def test_half_of_the_objects_found_gives_51_of_101_recall_points():
    rows = [truth(i, [[0, 0, 50, 50]], [1]) for i in (1, 2)]
    result = evaluate(rows, {1: [([0, 0, 50, 50], 0.9, 1)]})
    # Precision is 1 at recall 0, 0.01, ..., 0.50 and 0 beyond. Image 2 counts without detections.
    assert result.metrics["AP"] == pytest.approx(51 / 101)
    assert result.metrics["AR100"] == pytest.approx(0.5)
    assert (result.images, result.images_with_detections) == (2, 1)


def test_a_better_scored_false_positive_halves_precision():
    rows = [truth(1, [[0, 0, 50, 50]], [1])]
    found = [([200, 200, 250, 250], 0.9, 1), ([0, 0, 50, 50], 0.8, 1)]
    result = evaluate(rows, {1: found})
    assert result.metrics["AP"] == pytest.approx(0.5)
    assert result.metrics["AR1"] == 0.0
    assert result.metrics["AR10"] == pytest.approx(1.0)


def test_a_false_positive_in_an_image_without_objects_counts():
    rows = [truth(1, [[0, 0, 50, 50]], [1]), truth(2, [], [])]
    found = {1: [([0, 0, 50, 50], 0.8, 1)], 2: [([0, 0, 50, 50], 0.9, 1)]}
    assert evaluate(rows, found).metrics["AP"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("areas", "size"),
    [
        (None, "m"),  # 50 x 50 = 2500 lies between 32^2 and 96^2
        ([-1.0], "m"),
        ([np.nan], "m"),
        ([900.0], "s"),  # an outline of 900 pixels in the same box
        ([10000.0], "l"),
    ],
)
def test_size_is_that_of_the_outline_and_of_the_box_without_one(areas, size):
    areas = None if areas is None else np.array(areas, np.float32)
    metrics = evaluate(
        [truth(1, [[0, 0, 50, 50]], [1], areas=areas)], {1: [([0, 0, 50, 50], 0.9, 1)]}
    ).metrics
    assert {s: metrics[f"AP{s}"] for s in "sml"} == {s: 1.0 if s == size else -1.0 for s in "sml"}


def test_a_crowd_region_is_neither_reward_nor_punishment():
    boxes, found = [[0, 0, 50, 50], [100, 100, 300, 300]], [([0, 0, 50, 50], 0.5, 1)]
    in_crowd = ([120, 120, 160, 160], 0.9, 1)
    crowd = truth(1, boxes, [1, 1], is_crowd=np.array([0, 1]))
    objects = truth(1, boxes, [1, 1], is_crowd=np.array([0, 0]))
    result = evaluate([crowd], {1: [in_crowd, *found]})
    assert result.metrics["AP"] == pytest.approx(1.0)
    assert result.ground_truths["cat"] == 1
    # The same without the flag: a false positive first, and one of two objects missed.
    assert evaluate([objects], {1: [in_crowd, *found]}).metrics["AP"] == pytest.approx(51 / 101 / 2)


def test_padding_rows_are_not_detections():
    evaluator = CocoEvaluator([truth(1, [[0, 0, 50, 50]], [1])], LABELS)
    boxes = np.array([[[0, 0, 50, 50], [9, 9, 99, 99], [0, 0, 0, 0]]], np.float32)
    evaluator.add([1], boxes, np.array([[0.5, 0.9, 0.9]]), np.array([[1, 1, 0]]), np.array([1]))
    result = evaluator.result()
    assert result.metrics["AP"] == pytest.approx(1.0)
    assert (result.detections, result.unknown_classes) == ({"cat": 1, "dog": 0}, {})


def test_ap_of_each_class_stands_beside_its_own_name():
    # The reference pairs the classes that have ground truth with the sorted label map, so the AP
    # of id 40 would be printed beside the name of id 12.
    labels = {40: "forty", 3: "three", 12: "twelve", 77: ""}
    rows = [truth(1, [[0, 0, 50, 50], [100, 100, 150, 150]], [3, 40])]
    found = [([0, 0, 50, 50], 0.9, 3), ([300, 300, 350, 350], 0.9, 12)]
    result = evaluate(rows, {1: found}, labels)
    assert result.per_class == {"three": pytest.approx(1.0), "twelve": -1.0, "forty": 0.0}
    assert result.ground_truths == {"three": 1, "twelve": 0, "forty": 1}
    assert result.detections == {"three": 1, "twelve": 1, "forty": 0}
    assert {name: p[0].mean() for name, p in result.precision.items()} == result.per_class
    assert result.metrics["AP"] == pytest.approx(0.5)


def test_a_class_missing_from_the_labels_is_evaluated_and_an_unknown_detection_counted():
    rows = [truth(1, [[0, 0, 50, 50], [100, 100, 150, 150]], [1, 5])]
    found = [([0, 0, 50, 50], 0.9, 1), ([0, 0, 50, 50], 0.9, 6)]
    result = evaluate(rows, {1: found}, {1: "cat"})
    assert result.per_class == {"cat": pytest.approx(1.0), "class 5": 0.0}
    assert result.unknown_classes == {6: 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_detections_ap_is_0_and_without_ground_truth_minus_1(backend):
    box = [0, 0, 50, 50]
    assert evaluate([truth(1, [box], [1])], {}, backend=backend).metrics["AP"] == 0.0
    assert evaluate([truth(1, [box], [1])], {1: []}, backend=backend).metrics["AR100"] == 0.0
    for labels in (LABELS, {}):
        result = evaluate([truth(1, [], [])], {1: [(box, 0.9, 1)]}, labels, backend)
        assert set(result.metrics.values()) == {-1.0}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_detections_that_are_not_finite_are_left_out_and_counted(backend, broken):
    rows = [truth(1, [[0, 0, 50, 50]], [1])]
    found = [
        ([0, 0, 50, broken], 0.9, 1),
        ([0, 0, 50, 50], broken, 1),
        ([0, 0, 50, 31], 0.5, 1),  # IoU 0.62
    ]
    result = evaluate(rows, {1: found}, backend=backend)
    assert result.dropped == 2
    assert result.metrics["AP"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("ids", "given"),
    [
        ((7, 12), (7, 12)),
        (("7", "12"), (7, 12)),
        ((7, 12), (b"7", b"12")),
        (("a/ä.jpg", "007"), (b"a/\xc3\xa4.jpg", b"007")),
        ((2**70, -3), (2**70, -3)),
    ],
)
def test_image_ids_are_numbers_or_text(ids, given):
    rows = [truth(image_id, [[0, 0, 50, 50]], [1]) for image_id in ids]
    found = {image_id: [([0, 0, 50, 50], 0.9, 1)] for image_id in given}
    assert evaluate(rows, found).metrics["AP"] == pytest.approx(1.0)


def test_an_unknown_image_is_refused_and_nothing_of_its_batch_is_added():
    evaluator = CocoEvaluator([truth("a", [], []), truth("b", [], [])], LABELS)
    batch = np.zeros((2, 1, 4)), np.ones((2, 1)), np.ones((2, 1)), np.ones(2)
    with pytest.raises(UserError, match="'c' is not in the ground truth"):
        evaluator.add(["a", "c"], *batch)
    assert evaluator.detections == []
    evaluator.add(["a", "b"], *batch)
    assert len(evaluator.detections) == 2


@pytest.mark.parametrize("batches", [[["a", "a"]], [["a", "b"], ["b", "a"]]])
def test_an_image_given_twice_is_refused(batches):
    evaluator = CocoEvaluator([truth("a", [], []), truth("b", [], [])], LABELS)
    with pytest.raises(UserError, match="evaluated twice"):
        for ids in batches:
            evaluator.add(ids, np.zeros((2, 1, 4)), np.ones((2, 1)), np.ones((2, 1)), np.ones(2))


def test_rows_may_be_mappings_and_a_result_may_be_asked_for_in_between():
    row = {
        "image_id": b"x",
        "height": 9,
        "width": 9,
        "boxes": [[0, 0, 5, 5]],
        "class_ids": [1],
        "name of the file": "x.jpg",
    }
    evaluator = CocoEvaluator([row], LABELS)
    assert evaluator.result().metrics["AP"] == 0.0
    evaluator.add(["x"], [[[0, 0, 5, 5]]], [[0.9]], [[1]], [1])
    assert evaluator.result().metrics["AP"] == evaluator.result().metrics["AP"] == 1.0


# Against the yardstick.


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_pycocotools_with_ties_crowds_and_empty_images(seed, backend):
    dataset, detections = random_data(seed)
    expected = straight_from_pycocotools(dataset, detections)
    assert 0.02 < expected.stats[0] < 0.98
    result = evaluate_coco(dataset, detections, backend)
    # faster-coco-eval's precisions differ by the last bit of a double.
    np.testing.assert_allclose(list(result.metrics.values()), expected.stats, rtol=0, atol=1e-14)
    for k, name in enumerate(("name 1", "name 3", "name 7", "name 8")):
        precision = expected.eval["precision"][:, :, k, 0, 2]
        np.testing.assert_allclose(result.precision[name], precision, rtol=0, atol=1e-14)
        valid = precision[precision > -1]
        assert result.per_class[name] == pytest.approx(valid.mean() if valid.size else -1)


def test_more_than_100_detections_of_a_class_are_cut_as_pycocotools_cuts_them():
    rng = np.random.default_rng(0)
    dataset, _ = random_data(1, images=2, classes=(1,))
    box = dataset["annotations"][0]["bbox"]
    detections = [
        {"image_id": 1, "category_id": 1, "bbox": (np.array(box) + d).tolist(), "score": s}
        for d, s in zip(rng.normal(0, 5, (250, 4)), np.round(rng.random(250), 2), strict=True)
    ]
    expected = straight_from_pycocotools(dataset, detections).stats
    metrics = evaluate_coco(dataset, detections).metrics
    np.testing.assert_allclose(list(metrics.values()), expected, rtol=0, atol=1e-14)


def test_evaluating_changes_neither_data_set_nor_detections():
    dataset, detections = random_data(0)
    before = copy.deepcopy((dataset, detections))
    evaluate_coco(dataset, detections)
    evaluate_coco(dataset, detections, "pycocotools")
    assert (dataset, detections) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_annotation_id_0_is_no_trap(backend):
    # Both libraries take a match with annotation 0 for no match at all.
    dataset, _ = random_data(0, images=1, crowd=0.0)
    dataset["annotations"] = [
        {"id": 0, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "area": None}
    ]
    found = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.9}]
    assert evaluate_coco(dataset, found, backend).metrics["AP"] == pytest.approx(1.0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_the_order_of_images_is_irrelevant(seed, order):
    dataset, detections = random_data(seed, images=5)
    shuffled = [dict(image) for image in dataset["images"]]
    order.shuffle(shuffled)
    metrics = evaluate_coco({**dataset, "images": shuffled}, detections).metrics
    assert metrics == evaluate_coco(dataset, detections).metrics


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([0.25, 0.5, 1.0]))
def test_ap_depends_on_the_order_of_scores_alone(seed, factor):
    dataset, detections = random_data(seed, images=5)
    scaled = [{**d, "score": factor * d["score"]} for d in detections]
    assert evaluate_coco(dataset, scaled).metrics == evaluate_coco(dataset, detections).metrics


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_ground_truth_itself_scores_1(seed):
    dataset, _ = random_data(seed, images=5, crowd=0.0)
    fields = ("image_id", "category_id", "bbox")
    found = [{**{f: a[f] for f in fields}, "score": 0.5} for a in dataset["annotations"]]
    expected = 1.0 if found else -1.0
    # pycocotools divides by the number of detections plus the smallest double step.
    assert evaluate_coco(dataset, found).metrics["AP"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("folder", "annotations", "detections", "expected"),
    [
        (
            "fake100",
            "instances_val2014_100.json",
            "instances_val2014_fakebbox100_results.json",
            "0.5045806987 0.6969727247 0.5729816670 0.5856257209 0.5193996948 0.5013978986 "
            "0.3868127796 0.5936795763 0.5953529829 0.6398109626 0.5664205979 0.5642905983",
        ),
        (
            "sampled_bbox_area",
            "sampled_gts_bbox_area.json",
            "sampled_bbox_results.json",
            "0.503647 0.696973 0.571667 0.593252 0.557991 0.489363",
        ),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_published_numbers_of_files(shared, folder, annotations, detections, expected, backend):
    folder = shared / "data" / "coco_eval" / folder
    result = evaluate_json(str(folder / annotations), str(folder / detections), backend)
    digits = len(expected.split()[0]) - 2
    for value, number in zip(result.metrics.values(), expected.split(), strict=False):
        assert value == pytest.approx(float(number), abs=0.51 * 10**-digits)


def test_published_numbers_survive_float32_yxyx_and_a_round_trip(shared):
    # Records hold float32 corners; an IoU would have to lie within 1e-6 of a threshold to move.
    folder = shared / "data" / "coco_eval" / "fake100"
    dataset, detections = read_coco_json(
        str(folder / "instances_val2014_100.json"),
        str(folder / "instances_val2014_fakebbox100_results.json"),
    )

    def rows_of(image_id, entries):
        rows = [e for e in entries if e["image_id"] == image_id]
        xywh = np.array([e["bbox"] for e in rows], np.float64).reshape(-1, 4)
        x, y, w, h = xywh.T
        boxes = np.stack([y, x, y + h, x + w], axis=1).astype(np.float32)
        return rows, boxes, np.array([e["category_id"] for e in rows], np.int32)

    truths = []
    for image in dataset["images"]:
        rows, boxes, class_ids = rows_of(image["id"], dataset["annotations"])
        crowd = np.array([a["iscrowd"] for a in rows])
        areas = np.array([a["area"] for a in rows], np.float32)
        size = image["height"], image["width"]
        truths.append(GroundTruth(str(image["id"]), *size, boxes, class_ids, crowd, areas))
    evaluator = CocoEvaluator(truths, {c["id"]: c["name"] for c in dataset["categories"]})
    for image in dataset["images"]:
        rows, boxes, class_ids = rows_of(image["id"], detections)
        scores = np.array([d["score"] for d in rows], np.float32)
        evaluator.add(
            [str(image["id"]).encode()], boxes[None], scores[None], class_ids[None], [len(rows)]
        )
    expected = evaluate_coco(dataset, detections)
    assert evaluator.result().metrics == pytest.approx(expected.metrics, abs=1e-9)


def test_published_numbers_of_boxes_in_arrays(shared):
    folder = shared / "data" / "coco_eval" / "keras_cv"
    with np.load(folder / "sample_boxes.npz") as arrays:
        gt, found = arrays["arr_0"], arrays["arr_1"]  # xywh, class[, score]; -1 is padding

    def yxyx(rows):
        x, y, w, h = np.moveaxis(rows[..., :4], -1, 0)
        return np.stack([y, x, y + h, x + w], axis=-1)

    rows = [gt[i][gt[i, :, 4] >= 0] for i in range(len(gt))]
    evaluator = CocoEvaluator([truth(i, yxyx(r), r[:, 4]) for i, r in enumerate(rows)], {})
    counts = (found[..., 4] >= 0).sum(axis=1)
    evaluator.add(range(len(gt)), yxyx(found), found[..., 5], found[..., 4], counts)
    golden = json.loads((folder / "golden.json").read_text())
    metrics = evaluator.result().metrics
    np.testing.assert_allclose(list(metrics.values()), list(golden.values()), rtol=0, atol=1e-7)


def test_detections_of_an_image_that_the_data_set_lacks_are_refused():
    dataset, _ = random_data(0)
    stray = [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1.0}]
    with pytest.raises(UserError, match="image id 99"):
        run_cocoeval(dataset, stray)


def dense(images=1, objects=150, classes=(1,)):
    """Images full of objects side by side, each found exactly."""
    boxes = [[10 * (i % 20), 10 * (i // 20), 8, 8] for i in range(objects)]
    entries = [
        {"image_id": image, "category_id": classes[i % len(classes)], "bbox": box}
        for image in range(images)
        for i, box in enumerate(boxes)
    ]
    dataset = {
        "images": [{"id": image, "width": 230, "height": 230} for image in range(images)],
        "categories": [{"id": k, "name": f"class {k}"} for k in classes],
        "annotations": entries,
    }
    return dataset, [{**entry, "score": 0.9 - i / 1000} for i, entry in enumerate(entries)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_ap_at_a_limit_of_ones_own_stands_beside_cocos(backend):
    result = evaluate_coco(*dense(), backend, max_detections=200)
    assert result.metrics["AP50"] == pytest.approx(67 / 101)  # recall points up to 100 of 150
    assert result.own_limit == {"max_detections": 200, "AP": 1, "AP50": 1, "AP75": 1}
    assert result.as_dict()["own_limit"] == result.own_limit
    assert evaluate_coco(*dense(), backend, max_detections=100).own_limit == {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_classes_that_the_categories_do_not_list_count_too(backend):
    # torchmetrics lists class 0 alone, whatever the objects are.
    dataset, detections = dense(objects=4, classes=(1, 2))
    dataset["categories"] = [{"id": 0, "name": "0"}]
    found = [entry for entry in detections if entry["category_id"] == 1]
    assert evaluate_coco(dataset, found, backend).metrics["AP"] == pytest.approx(0.5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "fields",
    [
        {"iscrowd": None}, {"area": None}, {"iscrowd": None, "area": 64}, {"iscrowd": math.nan},
        {"area": math.nan}, {"area": math.inf}, {"area": -1}, {"image_id": 0.0, "category_id": 1.0},
    ],
)  # fmt: skip
def test_what_tables_write_for_nothing_is_as_good_as_missing(tmp_path, fields, backend):
    """null and NaN, areas that are none, and whole numbers with a point."""
    dataset, detections = dense(objects=4)
    for entry in dataset["annotations"]:
        entry |= fields
    (tmp_path / "truth.json").write_text(json.dumps(dataset))
    (tmp_path / "found.json").write_text(json.dumps(detections))
    paths = str(tmp_path / "truth.json"), str(tmp_path / "found.json")
    metrics = evaluate_json(*paths, backend).metrics
    assert metrics["AP"] == metrics["APs"] == pytest.approx(1)
    assert metrics["APm"] == metrics["APl"] == -1  # no object is so large


@pytest.mark.parametrize(("field", "value"), [("area", "400"), ("iscrowd", "0")])
def test_text_for_a_number_is_refused_by_both_libraries_alike(tmp_path, field, value):
    dataset, detections = dense(objects=4)
    dataset["annotations"][2][field] = value
    (tmp_path / "truth.json").write_text(json.dumps(dataset))
    (tmp_path / "found.json").write_text(json.dumps(detections))
    sentence = f"entry 2 of annotations has the {field} '{value}'; it must be a number"
    with pytest.raises(UserError, match=sentence):
        evaluate_json(str(tmp_path / "truth.json"), str(tmp_path / "found.json"))


@pytest.mark.parametrize("ids", [("b", "a"), (2, 1)])
def test_a_picture_is_the_row_of_its_index_whatever_the_order_of_the_ids(ids):
    """Records are shuffled, so their ids do not rise: the first row is b's, not a's."""
    rows = [truth(ids[0], [[0, 0, 10, 10]], [1]), truth(ids[1], [[50, 50, 90, 90]], [1])]
    evaluator = CocoEvaluator(rows, LABELS)
    boxes = np.array([[[0, 0, 10, 10]], [[50, 50, 90, 90]]], np.float32)
    outputs = {
        "boxes": boxes, "scores": np.ones((2, 1), np.float32),
        "classes": np.ones((2, 1), np.int32), "num_detections": np.ones(2, np.int32),
    }  # fmt: skip
    evaluator.update({"image_index": np.array([0, 1])}, outputs)
    assert [found["image_id"] for found in evaluator.detections] == list(ids)
    assert evaluator.result().metrics["AP"] == pytest.approx(1)
