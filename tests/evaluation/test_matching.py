"""Who found whom, checked by hand."""

import numpy as np
import pytest

from edet.evaluation.coco import ALL_AREAS, CocoEvaluator, run_cocoeval
from edet.evaluation.matching import confusion_matrix, match
from tests.evaluation.test_coco import LABELS, random_data, truth


def test_a_crowd_region_and_what_lies_on_it_match_nothing_and_a_class_only_its_own():
    box, crowd = [0, 0, 50, 50], [200, 200, 400, 400]
    rows = [truth(7, [crowd, box], [1, 1], is_crowd=np.array([1, 0]))]
    evaluator = CocoEvaluator(rows, LABELS)
    found = [(box, 0.5, 2), ([220, 220, 300, 300], 0.9, 1), (box, 0.4, 1)]
    arrays = [np.array(column) for column in zip(*found, strict=True)]
    evaluator.add([7], *[column[None] for column in arrays], [3])
    matches = match(evaluator.dataset, evaluator.detections)
    assert matches.object_of.tolist() == [-1, -1, 1]
    assert matches.counts.tolist() == [True, False, True]
    assert matches.detection_of.tolist() == [-1, 2]
    assert matches.any_object_of.tolist() == [1, -1, -1]  # the dog scores more than the cat


def test_pictures_without_any_object_match_nothing():
    evaluator = CocoEvaluator([truth(7, [], [])], LABELS)
    arrays = [np.array(column)[None] for column in ([[0, 0, 9, 9]], [0.5], [2])]
    evaluator.add([7], *arrays, [1])
    matches = match(evaluator.dataset, evaluator.detections)
    assert matches.object_of.tolist() == [-1] and matches.counts.tolist() == [True]


def test_confusion_matrix_by_hand():
    boxes = [[0, 0, 50, 50], [0, 100, 50, 150], [0, 200, 50, 250], [200, 200, 400, 400]]
    rows = [
        truth(1, boxes, [1, 2, 2, 1], is_crowd=np.array([0, 0, 0, 1])),
        truth(2, [], []),
        truth(3, boxes[:1], [1]),
    ]
    evaluator = CocoEvaluator(rows, LABELS)
    found = [
        (boxes[0], 0.9, 1),  # a cat found
        (boxes[0], 0.8, 1),  # and once more: background
        (boxes[1], 0.9, 1),  # a dog taken for a cat
        (boxes[2], 0.3, 2),  # a dog, but below the threshold
        ([220, 220, 300, 300], 0.9, 2),  # within a crowd of cats
    ]
    arrays = [np.array(column) for column in zip(*found, strict=True)]
    evaluator.add([1], *[column[None] for column in arrays], [len(found)])
    evaluator.add([2], [[[0, 0, 9, 9]]], [[0.9]], [[2]], [1])
    matrix = confusion_matrix(match(evaluator.dataset, evaluator.detections), 0.4)
    expected = [
        # cat, dog, nothing
        [1, 0, 1],  # cat: one found, one in image 3 missed
        [1, 0, 1],  # dog
        [1, 1, 0],  # background: the double, and the dog in the empty image
    ]
    np.testing.assert_array_equal(matrix, expected)


def test_confusion_matrix_without_detections_or_ground_truth():
    evaluator = CocoEvaluator([truth(1, [[0, 0, 50, 50]], [2])], LABELS)
    matrix = confusion_matrix(match(evaluator.dataset, evaluator.detections))
    np.testing.assert_array_equal(matrix, [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    evaluator = CocoEvaluator([truth(1, [], [])], {})
    assert confusion_matrix(match(evaluator.dataset, evaluator.detections)).tolist() == [[0]]


def test_images_are_places_in_the_data_set_whatever_their_ids():
    box = [0, 0, 50, 50]
    evaluator = CocoEvaluator([truth(image, [box], [1]) for image in ("b", 12, "a")], LABELS)
    evaluator.add([12], [[box]], [[0.9]], [[1]], [1])
    matches = match(evaluator.dataset, evaluator.detections)
    assert matches.truth.images.tolist() == [0, 1, 2]
    assert matches.found.images.tolist() == [1] and matches.object_of.tolist() == [1]


@pytest.mark.parametrize("use_classes", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_pairs_and_what_counts_are_those_of_pycocotools(seed, use_classes):
    """On drawn data with ties, crowds, lone classes and pictures without anything."""
    dataset, detections = random_data(seed, crowd=0.3)
    detections = [d for d in detections if d["category_id"] != 9]  # which the data set lacks
    matches = match(dataset, detections)
    evaluation = run_cocoeval(
        dataset, detections, "pycocotools", useCats=int(use_classes), iouThrs=[0.5],
        areaRng=[ALL_AREAS], maxDets=[100],
    )  # fmt: skip
    pairs, ignored, seen = set(), set(), set()
    for image in filter(None, evaluation.evalImgs):
        rows = zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True)
        for number, matched, ignore in rows:
            seen.add(number - 1)
            if ignore:
                ignored.add(number - 1)
            elif matched:
                pairs.add((number - 1, int(matched) - 1))
    objects = matches.object_of if use_classes else matches.any_object_of
    counts = matches.counts if use_classes else matches.any_counts
    assert {(d, o) for d, o in enumerate(objects.tolist()) if o >= 0} == pairs
    assert set(np.flatnonzero(~counts).tolist()) == ignored
    assert len(seen) == len(matches.scores) > 20
    assert pairs and (ignored or seed > 1)
