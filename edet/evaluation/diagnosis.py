"""Why is AP 0? Looks for the usual mistakes between detections and ground truth.

Shapes: M detections · boxes are [ymin, xmin, ymax, xmax] in pixels of the original
image, unless a name says otherwise.

Each mistake is a hypothesis that is tried: if AP50 leaps when the boxes are read in another order
or the class ids are shifted, that is the mistake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from edet.dataset_check.limits import COCO_LIMIT, limits, share_beyond_coco
from edet.evaluation.coco import ALL_AREAS, EvaluationResult, mean_precision, run_cocoeval
from edet.evaluation.coco_format import Dataset, Results, class_names, finite_detections
from edet.geometry.boxes import xywh_to_yxyx, yxyx_to_xywh

LOW_AP50 = 0.3  # above it, ids and box format must be right
SAMPLE_IMAGES = 200  # enough to tell the hypotheses apart, and fast
MIN_SCORE = 0.05  # an untrained network stays below it: its class bias starts at 0.01

_AS_GIVEN = "[ymin, xmin, ymax, xmax] in pixels"

# How the four numbers might have been meant, if they are not yxyx.
_ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "[ymin, xmin, ymax, xmax]": lambda b: b,
    "[xmin, ymin, xmax, ymax]": lambda b: b[:, [1, 0, 3, 2]],
    "[xmin, ymin, width, height]": xywh_to_yxyx,
    "[ymin, xmin, height, width]": lambda b: xywh_to_yxyx(b[:, [1, 0, 3, 2]]),
    "[x centre, y centre, width, height]": lambda b: xywh_to_yxyx(
        np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, 2:]], axis=1)
    ),
}


def diagnose(
    dataset: Dataset, detections: Results, result: EvaluationResult,
    max_detections: int | None = None,
) -> list[str]:  # fmt: skip
    """Returns what is wrong, one sentence each.

    Broken numbers and images with more objects than can be found or counted are always told; the
    rest is looked for when AP50 is below LOW_AP50.

    Args:
      dataset: COCO annotations, as CocoEvaluator.dataset.
      detections: COCO results, as CocoEvaluator.detections.
      result: the evaluation of these two.
      max_detections: `detect.max_detections` of what has detected, if that is known.
    """
    reasons = _broken_numbers(dataset, detections, result)
    told = limits(dataset["annotations"], max_detections)
    if result.own_limit.get("AP50", result.metrics["AP50"]) >= LOW_AP50:
        return reasons + told
    finite = finite_detections(detections)
    truth = [a for a in dataset["annotations"] if not a.get("iscrowd")]
    if not truth or not finite:
        return reasons + told + _missing(dataset, truth, detections)
    reasons += _ids(truth, finite, result) + _scores(finite)
    hypotheses = _hypotheses(*_sample(dataset, finite))
    if not reasons and not hypotheses and share_beyond_coco(truth) < 0.2:
        return [
            *told,
            f"Ids, classes and box format agree, yet AP50 is {result.metrics['AP50']:.3f}: the "
            "boxes do not lie on the objects or the classes are wrong; train longer, check the "
            "loss, and look at the drawn detections.",
        ]
    return reasons + told + hypotheses


def _broken_numbers(dataset: Dataset, detections: Results, result: EvaluationResult) -> list[str]:
    """What no data set and no network should give, whatever the AP."""
    reasons = []
    if result.dropped:
        reasons.append(
            f"{result.dropped} of {len(detections)} detections hold NaN or infinity and were left "
            "out; the weights or the input hold NaN, or activations overflow."
        )
    far = np.inf  # a JSON file may leave sizes out
    sizes = {i["id"]: (i.get("width") or far, i.get("height") or far) for i in dataset["images"]}
    outside, flat = set(), 0
    for a in dataset["annotations"]:
        x, y, w, h = a["bbox"]
        width, height = sizes[a["image_id"]]
        flat += w <= 0 or h <= 0
        # Two pixels of grace: annotation tools count from 1, and round up.
        if x < -2 or y < -2 or x + w > width + 2 or y + h > height + 2:
            outside.add(a["image_id"])
    if outside:
        reasons.append(
            f"The ground truth of {len(outside)} images (such as {min(outside, key=str)!r}) "
            "reaches outside the image; the width, height or boxes of the records are wrong."
        )
    if flat:
        reasons.append(
            f"{flat} of {len(dataset['annotations'])} ground-truth boxes have no area, so nothing "
            "can match them; the order of their coordinates is wrong, or they should be removed."
        )
    return reasons


def _missing(dataset: Dataset, truth: Results, detections: Results) -> list[str]:
    """Sentences for when one side is empty; `truth` is the ground truth without crowd regions."""
    reasons = []
    if not dataset["annotations"]:
        reasons.append(
            f"The ground truth of all {len(dataset['images'])} images is empty, so AP is -1; check "
            "that the evaluation records were made with their annotations."
        )
    elif not truth:
        reasons.append(
            f"All {len(dataset['annotations'])} ground-truth boxes are crowd regions, which COCO "
            "leaves out, so AP is -1."
        )
    if not detections:
        reasons.append(
            "There is no detection at all: no score exceeds detect.score_threshold; the network is "
            "not trained yet, or its weights were not loaded."
        )
    return reasons


def _scores(detections: Results) -> list[str]:
    best = max(d["score"] for d in detections)
    if best >= MIN_SCORE:
        return []
    return [
        f"No detection scores above {MIN_SCORE}, the best of {len(detections)} has {best:.4f}; the "
        "network is not trained yet, or its weights were not loaded."
    ]


def _ids(truth: Results, detections: Results, result: EvaluationResult) -> list[str]:
    """Sentences for images and classes that do not meet."""
    images = {a["image_id"] for a in truth}
    detected_images = {d["image_id"] for d in detections}
    reasons = []
    if not images & detected_images:
        reasons.append(
            f"No image has both ground truth (such as {min(images, key=str)!r}) and detections "
            f"(such as {min(detected_images, key=str)!r}); the image ids do not meet."
        )
    elif len(detected_images) < result.images / 2:
        reasons.append(
            f"Only {len(detected_images)} of {result.images} images have a detection; were all "
            "of them evaluated?"
        )
    classes = {a["category_id"] for a in truth}
    detected = {d["category_id"] for d in detections}
    if not classes & detected:
        reasons.append(
            f"No class has both ground truth (ids {_listed(classes)}) and detections (ids "
            f"{_listed(detected)}); the class ids do not meet."
        )
    if result.unknown_classes:
        reasons.append(
            f"{sum(result.unknown_classes.values())} detections have class ids that the data set "
            f"does not have ({_listed(result.unknown_classes)}); model.labels is not the data "
            "set's."
        )
    return reasons


def _sample(dataset: Dataset, detections: Results) -> tuple[Dataset, list[dict[str, Any]]]:
    """The first images that have both boxes and detections."""
    both = {a["image_id"] for a in dataset["annotations"]} & {d["image_id"] for d in detections}
    images = [image for image in dataset["images"] if image["id"] in both][:SAMPLE_IMAGES]
    kept = {image["id"] for image in images}
    sample = {
        "images": images,
        "annotations": [a for a in dataset["annotations"] if a["image_id"] in kept],
        "categories": dataset["categories"],
    }
    return sample, [d for d in detections if d["image_id"] in kept]


def _hypotheses(dataset: Dataset, detections: list[dict[str, Any]]) -> list[str]:
    """Tries other readings of the boxes, then, with the boxes at their best, other class ids."""
    if not detections:
        return []
    reasons = []
    readings = _readings(dataset, detections)
    tried = {name: _ap50(_one_class(dataset), _as_one(d)) for name, d in readings.items()}
    before, (reading, best) = tried[_AS_GIVEN], max(tried.items(), key=lambda item: item[1])
    if _leaps(before, best):
        detections = readings[reading]
        reasons.append(
            f"AP50 without regard to classes rises from {before:.3f} to {best:.3f} if the "
            f"detections are read as {reading}; detections must be [ymin, xmin, ymax, xmax] in "
            "pixels of the original image, or the ground truth is off in the same way."
        )
    renamings = _renamings(dataset, detections)
    tried = {name: _ap50(dataset, d) for name, d in renamings.items()}
    before, (renaming, after) = _ap50(dataset, detections), max(tried.items(), key=lambda i: i[1])
    # A shift that repairs only a few classes is a coincidence.
    if _leaps(before, after) and after > best / 2:
        reasons.append(
            f"AP50 rises from {before:.3f} to {after:.3f} if {renaming}; detections must carry the "
            "data set's own class ids, as the label map gives them."
        )
    elif _leaps(before, best):
        reasons.append(
            f"AP50 is {before:.3f}, but {best:.3f} without regard to classes: the boxes are right "
            "and their classes wrong; check the order of the label map."
        )
    return reasons


def _readings(
    dataset: Dataset, detections: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Returns how the boxes might be meant -> the detections so meant."""
    boxes = xywh_to_yxyx(np.array([d["bbox"] for d in detections], np.float64))
    readings = {f"{order} in pixels": read(boxes) for order, read in _ORDERS.items()}
    sizes = {i["id"]: (i.get("height") or 0, i.get("width") or 0) for i in dataset["images"]}
    if all(min(size) > 0 for size in sizes.values()):
        size = np.array([sizes[d["image_id"]] for d in detections], np.float64)  # [M, 2]
        for order, read in _ORDERS.items():
            readings[f"{order} between 0 and 1"] = read(boxes) * np.tile(size, 2)
        ratios = _ratios(dataset, detections)
        if ratios:
            factor = float(np.median(list(ratios.values())))
            readings[f"pixels that are {factor:.3g} times too small"] = boxes * factor
            side = np.median([max(sizes[i]) / ratio for i, ratio in ratios.items()])
            readings[f"pixels of an input whose longer side is about {side:.0f}"] = (
                boxes * size.max(axis=1, keepdims=True) / side
            )
    return {name: _with_boxes(detections, meant) for name, meant in readings.items()}


def _ratios(dataset: Dataset, detections: list[dict[str, Any]]) -> dict[Any, float]:
    """Returns image id -> how far its n boxes reach compared with its n best detections."""
    truth, found = defaultdict(list), defaultdict(list)
    for a in dataset["annotations"]:
        truth[a["image_id"]].append(_reach(a["bbox"]))
    for d in sorted(detections, key=lambda d: -d["score"]):
        found[d["image_id"]].append(_reach(d["bbox"]))
    pairs = {i: (np.mean(t), np.mean(found[i][: len(t)])) for i, t in truth.items() if i in found}
    return {i: float(t / d) for i, (t, d) in pairs.items() if t > 0 and d > 0}


def _renamings(
    dataset: Dataset, detections: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Returns what might have happened to the class ids -> the detections as they were meant."""
    ids = list(class_names(dataset))
    meant = {
        "1 is added to every detected class id": {k - 1: k for k in ids},
        "1 is taken from every detected class id": {k + 1: k for k in ids},
        "the detected classes are positions in the label map, from 0": dict(enumerate(ids)),
        "the detected classes are positions in the label map, from 1": dict(enumerate(ids, 1)),
    }
    return {
        name: [{**d, "category_id": rename.get(d["category_id"], -1)} for d in detections]
        for name, rename in meant.items()
    }


def _ap50(dataset: Dataset, detections: Results) -> float:
    evaluation = run_cocoeval(
        dataset, detections, iouThrs=[0.5], areaRng=[ALL_AREAS], maxDets=[COCO_LIMIT]
    )
    return mean_precision(evaluation.eval["precision"])


def _one_class(dataset: Dataset) -> Dataset:
    return {**dataset, "annotations": _as_one(dataset["annotations"]), "categories": []}


def _as_one(entries: Results) -> list[dict[str, Any]]:
    return [{**entry, "category_id": 1} for entry in entries]


def _leaps(before: float, after: float) -> bool:
    """Whether a change is far beyond chance."""
    return after >= before + 0.1 and after >= 2 * before


def _with_boxes(detections: list[dict[str, Any]], boxes: np.ndarray) -> list[dict[str, Any]]:
    bboxes = yxyx_to_xywh(boxes).tolist()
    return [{**d, "bbox": bbox} for d, bbox in zip(detections, bboxes, strict=True)]


def _reach(box_xywh: list[float]) -> float:
    """The sum of the far corner's coordinates, which grows with the image's scale."""
    xmin, ymin, width, height = box_xywh
    return xmin + width + ymin + height


def _listed(ids: Iterable[int]) -> str:
    """At most eight ids, for a sentence."""
    ids = sorted(ids)
    return ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
