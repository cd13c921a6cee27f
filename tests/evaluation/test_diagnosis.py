"""Every usual mistake is made on purpose, and must be named."""

import numpy as np
import pytest

from edet.evaluation.coco import CocoEvaluator
from edet.evaluation.coco_format import GroundTruth
from edet.evaluation.diagnosis import diagnose

LABELS = {1: "ant", 3: "bee", 5: "cat", 9: "dog"}
IDS = np.array(list(LABELS))


def same(values, _image):
    return values


def diagnosis(
    change_boxes=same,
    change_classes=same,
    change_scores=same,
    change_truth=same,
    images=30,
    detected_images=30,
    size=None,
):
    """Detections close to the ground truth and some at random, after one mistake or more."""
    rng = np.random.default_rng(0)
    rows, found = [], []
    for i in range(images):
        height, width = size or rng.integers(200, 900, 2)
        hwhw = np.array([height, width, height, width], np.float64)
        n = int(rng.integers(1, 6))
        corner, side = rng.uniform(0, 0.6, (n, 2)), rng.uniform(0.1, 0.4, (n, 2))
        boxes = np.concatenate([corner, corner + side], axis=1) * hwhw
        classes = rng.choice(IDS, n)
        image = GroundTruth(f"{i}.jpg", height, width, boxes, classes)
        noise = np.sort(rng.uniform(0, 1, (3, 2, 2)), axis=1).reshape(3, 4) * hwhw
        all_boxes = np.concatenate([boxes * (1 + rng.normal(0, 0.02, boxes.shape)), noise])
        all_classes = np.concatenate([classes, rng.choice(IDS, 3)])
        all_scores = np.concatenate([rng.uniform(0.5, 1, n), rng.uniform(0, 0.5, 3)])
        arrays = change_boxes(all_boxes, image), change_scores(all_scores, image)
        found.append((image.image_id, *arrays, change_classes(all_classes, image)))
        rows.append(change_truth(image, image))
    evaluator = CocoEvaluator(rows, LABELS)
    for image_id, boxes, scores, classes in found[:detected_images]:
        evaluator.add([image_id], boxes[None], scores[None], classes[None], [len(scores)])
    return diagnose(evaluator.dataset, evaluator.detections, evaluator.result())


def xyxy(boxes, _image=None):
    return boxes[:, [1, 0, 3, 2]]


def hwhw(image):
    return np.array([image.height, image.width] * 2)


def letterboxed(boxes, image):
    return boxes * 512 / max(image.height, image.width)


def test_nothing_is_said_about_good_detections():
    assert diagnosis() == []


@pytest.mark.parametrize(
    ("mistake", "reading"),
    [
        (xyxy, "[xmin, ymin, xmax, ymax] in pixels"),
        (
            lambda b, _: np.concatenate([xyxy(b)[:, :2], xyxy(b)[:, 2:] - xyxy(b)[:, :2]], axis=1),
            "[xmin, ymin, width, height] in pixels",
        ),
        (
            lambda b, _: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1),
            "[ymin, xmin, height, width] in pixels",
        ),
        (
            lambda b, image: np.concatenate(
                [
                    xyxy(b / hwhw(image))[:, :2] / 2 + xyxy(b / hwhw(image))[:, 2:] / 2,
                    xyxy(b / hwhw(image))[:, 2:] - xyxy(b / hwhw(image))[:, :2],
                ],
                axis=1,
            ),
            "[x centre, y centre, width, height] between 0 and 1",
        ),
        (lambda b, image: b / hwhw(image), "[ymin, xmin, ymax, xmax] between 0 and 1"),
        (lambda b, image: xyxy(b / hwhw(image)), "[xmin, ymin, xmax, ymax] between 0 and 1"),
        (lambda b, _: b / 2, "pixels that are 2 times too small"),
        (letterboxed, "pixels of an input whose longer side is about 51"),
    ],
)
def test_boxes_in_another_format(mistake, reading):
    (sentence,) = diagnosis(mistake)
    assert f"if the detections are read as {reading}" in sentence
    assert "detections must be [ymin, xmin, ymax, xmax] in pixels" in sentence


def test_ground_truth_in_another_order_is_told_as_well():
    def swap(image, _):
        return GroundTruth(
            image.image_id, image.height, image.width, xyxy(image.boxes), image.class_ids
        )

    (sentence,) = diagnosis(change_truth=swap, size=(640, 640))
    assert "[xmin, ymin, xmax, ymax]" in sentence
    assert "or the ground truth is off in the same way" in sentence


@pytest.mark.parametrize(
    ("mistake", "reading"),
    [
        (lambda k, _: k - 1, "1 is added to every detected class id"),
        (lambda k, _: k + 1, "1 is taken from every detected class id"),
        (lambda k, _: np.searchsorted(IDS, k), "positions in the label map, from 0"),
        (lambda k, _: np.searchsorted(IDS, k) + 1, "positions in the label map, from 1"),
    ],
)
def test_class_ids_that_are_off(mistake, reading):
    reasons = diagnosis(change_classes=mistake)
    assert sum(reading in reason for reason in reasons) == 1
    assert sum("read as" in reason for reason in reasons) == 0


def test_classes_in_another_order():
    # In reverse, no shift repairs more than a coincidence.
    (sentence,) = diagnosis(change_classes=lambda k, _: IDS[::-1][np.searchsorted(IDS, k)])
    assert "the boxes are right and their classes wrong" in sentence


def test_boxes_and_classes_wrong_at_once():
    reasons = diagnosis(letterboxed, change_classes=lambda k, _: k + 1)
    assert any("longer side is about 51" in reason for reason in reasons)
    assert any("1 is taken from every detected class id" in reason for reason in reasons)


def test_class_ids_that_do_not_meet():
    reasons = diagnosis(change_classes=lambda k, _: k + 100)
    assert any(
        "No class has both ground truth (ids 1, 3, 5, 9) and detections (ids 101" in reason
        for reason in reasons
    )
    assert any("model.labels is not the data set's" in reason for reason in reasons)


def test_image_ids_that_do_not_meet():
    empty = np.zeros((0, 4)), np.zeros(0, int)
    rows = [
        GroundTruth("a", 99, 99, np.array([[0, 0, 9, 9]]), np.array([1])),
        GroundTruth("b", 99, 99, *empty),
    ]
    evaluator = CocoEvaluator(rows, LABELS)
    evaluator.add(["b"], [[[0, 0, 9, 9]]], [[0.9]], [[1]], [1])
    (sentence,) = diagnose(evaluator.dataset, evaluator.detections, evaluator.result())
    assert sentence == (
        "No image has both ground truth (such as 'a') and detections (such as 'b'); the image ids "
        "do not meet."
    )


def test_most_images_were_not_evaluated():
    reasons = diagnosis(detected_images=5)
    assert "Only 5 of 30 images have a detection; were all of them evaluated?" in reasons


def test_no_ground_truth():
    def forget(image, _):
        return GroundTruth(
            image.image_id, image.height, image.width, np.zeros((0, 4)), np.zeros(0, int)
        )

    (sentence,) = diagnosis(change_truth=forget)
    assert sentence.startswith("The ground truth of all 30 images is empty, so AP is -1")


def test_nothing_but_crowds():
    def crowd(image, _):
        n = len(image.boxes)
        return GroundTruth(
            image.image_id, image.height, image.width, image.boxes, image.class_ids, np.ones(n)
        )

    (sentence,) = diagnosis(change_truth=crowd)
    assert "ground-truth boxes are crowd regions" in sentence


def test_no_detection():
    (sentence,) = diagnosis(detected_images=0)
    assert sentence.startswith("There is no detection at all")


def test_nothing_but_nan():
    (sentence,) = diagnosis(lambda b, _: b * np.nan)
    assert "hold NaN or infinity" in sentence


def test_an_untrained_network():
    def random(boxes, image):
        rng = np.random.default_rng(len(boxes))
        return np.sort(rng.uniform(0, 1, (len(boxes), 2, 2)), axis=1).reshape(-1, 4) * hwhw(image)

    (sentence,) = diagnosis(random)
    assert sentence.startswith("Ids, classes and box format agree, yet AP50 is 0.0")
    (sentence,) = diagnosis(random, change_scores=lambda s, _: s / 50)
    assert sentence.startswith("No detection scores above 0.05, the best of 183 has 0.02")


def test_ground_truth_outside_its_image_is_told_even_when_ap_is_good():
    def wrong_size(image, _):
        return GroundTruth(image.image_id, 50, 50, image.boxes, image.class_ids)

    (sentence,) = diagnosis(change_truth=wrong_size)
    assert "reaches outside the image" in sentence


def test_ground_truth_without_area_is_told():
    def flatten(image, _):
        boxes = image.boxes.copy()
        boxes[:, 2] = boxes[:, 0]
        return GroundTruth(image.image_id, image.height, image.width, boxes, image.class_ids)

    assert "ground-truth boxes have no area" in diagnosis(change_truth=flatten)[0]


def crowded(objects, score=0.9, offset=0):
    """The sentences on one image with that many objects side by side, each found exactly."""
    places = np.stack(np.unravel_index(np.arange(objects), (50, 20)), axis=1) * 10.0
    boxes = np.concatenate([places, places + 8], axis=1)
    row = GroundTruth("shelf.jpg", 500, 200, boxes, np.ones(objects, np.int64))
    evaluator = CocoEvaluator([row], LABELS)
    scores, classes = np.full((1, objects), score), np.ones((1, objects), np.int64)
    evaluator.add(["shelf.jpg"], boxes[None] + offset, scores, classes, [objects])

    def told(max_detections=None):
        result = evaluator.result(max_detections=max_detections or 100)
        return diagnose(evaluator.dataset, evaluator.detections, result, max_detections)

    return told


def test_more_objects_than_coco_counts_are_the_reason_and_not_the_training():
    (sentence,) = crowded(500)()
    assert sentence.startswith(
        "Images with more than 100 objects of a class: 1, such as 'shelf.jpg'"
    )
    assert "cannot reward 400 of 500 objects" in sentence
    assert crowded(500)(500) == [sentence]
    found, counted = crowded(500)(100)
    assert "detect.max_detections=100: 1, such as 'shelf.jpg' with 500" in found
    assert "400 of 500 objects cannot be found; set detect.max_detections to 500" in found
    assert counted == sentence


def test_a_few_objects_beyond_the_limit_are_told_but_are_not_the_reason():
    limit, other = crowded(101, offset=4)()
    assert "cannot reward 1 of 101 objects" in limit
    assert other.startswith("Ids, classes and box format agree, yet AP50 is")
