"""What is wrong with a detection, by hand, and what it costs, as tidecv says."""

import numpy as np
import pytest

from edet.evaluation.coco import evaluate_coco
from edet.evaluation.errors import (
    KINDS,
    ap_points,
    best_threshold,
    calibration,
    counts_by_threshold,
    find_errors,
    mean_ap,
)
from edet.evaluation.matching import match


def drawn_data(seed=0, images=30, classes=(1, 2, 3)):
    """Six objects a picture; detections near them, some of another class, and one far away."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(images):
        corners = rng.uniform(0, 300, (6, 2))
        for corner in corners:
            side = rng.uniform(20, 120, 2)
            label = int(rng.choice(classes))
            box = np.concatenate([corner, side]).tolist()
            annotations.append({"image_id": image, "category_id": label, "bbox": box})
            for _ in range(rng.integers(0, 4)):
                near = np.concatenate(
                    [corner + rng.normal(0, 8, 2), side * rng.uniform(0.6, 1.4, 2)]
                )
                found = label if rng.random() < 0.7 else int(rng.choice(classes))
                detections.append(_detection(image, found, near.tolist(), float(rng.random())))
        detections.append(_detection(image, 1, [500.0, 500.0, 30.0, 30.0], float(rng.random())))
    return _dataset(annotations, images, classes), detections


def _dataset(annotations, images, classes):
    return {
        "images": [{"id": i, "width": 640, "height": 480} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": k, "name": f"class {k}"} for k in classes],
    }


def _detection(image, label, box, score):
    return {"image_id": image, "category_id": label, "bbox": box, "score": score}


def test_costs_are_those_of_tidecv():
    """tidecv 1.0.1 printed these for the same boxes: 90 pictures' worth of every kind of error."""
    matches = match(*drawn_data())
    table = ap_points(matches, find_errors(matches))
    expected = {
        "wrong class": (23, 5.6395230969542105),
        "bad box": (86, 20.204352224288797),
        "wrong class and box": (22, 2.596419809369227),
        "duplicate": (40, 1.330158477217779),
        "false alarm": (31, 2.029283887409104),
        "missed": (50, 9.946881702454043),
        "all false": (202, 26.785388959324493),
        "all missed": (86, 23.6802564712142),
    }
    assert table.keys() == expected.keys()
    for kind, (count, points) in expected.items():
        assert table[kind]["count"] == count, kind
        assert table[kind]["AP50 points"] == pytest.approx(points, abs=1e-9), kind


def test_the_ap_that_costs_are_measured_from_is_cocos():
    dataset, detections = drawn_data(seed=3)
    matches = match(dataset, detections)
    truth = np.bincount(matches.truth.classes)
    ap = mean_ap(
        matches.scores, matches.object_of >= 0, matches.found.classes, truth, truth > 0
    )  # fmt: skip
    assert ap / 100 == pytest.approx(evaluate_coco(dataset, detections).metrics["AP50"], abs=1e-12)


OBJECT, CROWD = [0, 0, 100, 100], [300, 300, 200, 200]


@pytest.mark.parametrize(
    ("kind", "label", "box", "about"),
    [
        ("duplicate", 1, [0, 0, 100, 80], 0),
        ("bad box", 1, [0, 0, 100, 40], 0),  # IoU 0.4
        ("wrong class", 2, [0, 0, 100, 90], 0),
        ("wrong class and box", 2, [0, 0, 100, 40], -1),
        ("false alarm", 1, [600, 0, 20, 20], -1),
        ("not counted", 1, [320, 320, 20, 20], -1),  # on a crowd
        ("false alarm", 2, [320, 320, 20, 20], -1),  # the crowd is of the other class
    ],
)
def test_the_kind_of_one_false_detection(kind, label, box, about):
    """Beside an object that is found; IoU is a quotient of two heights."""
    truth = [
        {"image_id": 0, "category_id": 1, "bbox": OBJECT},
        {"image_id": 0, "category_id": 1, "bbox": CROWD, "iscrowd": 1},
    ]
    detections = [_detection(0, 1, OBJECT, 0.9), _detection(0, label, box, 0.8)]
    errors = find_errors(match(_dataset(truth, 1, (1, 2)), detections))
    assert [KINDS[k] for k in errors.kinds] == ["correct", kind]
    assert errors.about.tolist() == [0, about]
    assert not errors.missed.any()  # crowds are not


def test_counts_by_threshold_and_the_best_of_them():
    """A small object found at 0.30 and a large one at 0.9; a false alarm of 50 x 50 at 0.3."""
    truth = [
        {"image_id": 0, "category_id": 1, "bbox": [0, 0, 20, 20]},
        {"image_id": 0, "category_id": 1, "bbox": [100, 100, 100, 100]},
    ]
    detections = [
        _detection(0, 1, [0, 0, 20, 20], 0.30001),  # 0.3 on the page, with four digits
        _detection(0, 1, [100, 100, 100, 100], 0.9),
        _detection(0, 1, [300, 0, 50, 50], 0.29),
    ]
    counts = counts_by_threshold(match(_dataset(truth, 1, (1,)), detections))
    assert counts["objects"].tolist() == [[1, 0, 1]]
    small, _, large = counts["right"][0]
    assert small[30] == 1 and small[31] == 0 and large[90] == 1 and large[91] == 0
    assert counts["false"][0, 1, :30].tolist() == [1] * 30 and not counts["false"][0, 1, 30:].any()
    assert best_threshold(counts) == {"score": 0.3, "precision": 1.0, "recall": 1.0, "F1": 1.0}


def test_nothing_found_is_no_error():
    truth = [{"image_id": 0, "category_id": 1, "bbox": OBJECT}]
    matches = match(_dataset(truth, 1, (1,)), [])
    errors = find_errors(matches)
    assert errors.missed.tolist() == [True]
    assert ap_points(matches, errors)["missed"]["count"] == 1
    assert best_threshold(counts_by_threshold(matches))["F1"] == 0
    assert calibration(matches) == {"bins": [], "error": 0}


def test_calibration_compares_scores_with_the_share_that_is_right():
    """Two of three at 0.9 are right (0.233 off), and one at 0.15 is false."""
    boxes = [[100 * k, 0, 50, 50] for k in range(4)]
    truth = [{"image_id": 0, "category_id": 1, "bbox": box} for box in boxes[:2]]
    detections = [
        _detection(0, 1, box, score)
        for box, score in zip(boxes, (0.9, 0.9, 0.9, 0.15), strict=True)
    ]
    found = calibration(match(_dataset(truth, 1, (1,)), detections))
    assert [(row["from"], row["count"]) for row in found["bins"]] == [(0.1, 1), (0.9, 3)]
    assert found["bins"][1]["right"] == pytest.approx(2 / 3)
    assert found["error"] == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.15)
