"""Which detection is of which object: COCO's own matching, as columns.

Shapes: I images · M detections · N ground-truth boxes, crowd regions included · K classes.
Boxes are COCO's [xmin, ymin, width, height] in pixels of the original image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pycocotools.mask

from edet.dataset_check.limits import COCO_LIMIT
from edet.evaluation.coco import ALL_AREAS, area_of, run_cocoeval
from edet.evaluation.coco_format import (
    Dataset,
    Results,
    class_names,
    finite_detections,
)

MATCHING_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of all images, a row each."""

    images: np.ndarray  # [rows] int32, place in the data set
    classes: np.ndarray  # [rows] int32, place in class_names
    boxes: np.ndarray  # [rows, 4] float64
    areas: np.ndarray  # [rows] float64, pixels squared, of the outline where it is known

    def __len__(self) -> int:
        return len(self.images)

    def keep(self, rows: np.ndarray) -> Boxes:
        """Returns some of the rows."""
        return Boxes(self.images[rows], self.classes[rows], self.boxes[rows], self.areas[rows])


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections and objects that found each other; -1 stands for none.

    Attributes:
      names: of the classes: [K].
      found: the detections: M rows.
      scores: [M] of them, 0-1.
      truth: the ground truth: N rows.
      is_crowd: [N] bool.
      object_of: [M] int64, the object of the detection's own class.
      detection_of: [N] int64, the other way round.
      counts: [M] bool: not on a crowd region of its class, nor beyond COCO's 100 of a class.
      any_object_of, any_counts: [M] the same where classes do not matter, as in a confusion matrix.
      floor: score from which on these two are known; below it they are -1 and False.
    """

    names: list[str]
    found: Boxes
    scores: np.ndarray
    truth: Boxes
    is_crowd: np.ndarray
    object_of: np.ndarray
    detection_of: np.ndarray
    counts: np.ndarray
    any_object_of: np.ndarray
    any_counts: np.ndarray
    floor: float


def match(
    dataset: Dataset, detections: Results, floor: float = 0.0, iou: float = MATCHING_IOU
) -> Matches:
    """Matches detections and objects that overlap by `iou`, without regard to classes from `floor`.

    Best score first, each detection takes the free object that it overlaps most. So what is matched
    at a score does not depend on the detections below it. Detections that are not finite, or of a
    class that the data set does not have, are left out.

    Raises:
      UserError: an annotation or detection is of an image that is not in the data set.
    """
    names = class_names(dataset)
    places = {k: place for place, k in enumerate(names)}
    kept = [d for d in finite_detections(detections) if d["category_id"] in places]
    images = {image["id"]: place for place, image in enumerate(dataset["images"])}
    found = _boxes(kept, images, places)
    truth = _boxes(dataset["annotations"], images, places)
    is_crowd = np.array([bool(a.get("iscrowd")) for a in dataset["annotations"]], bool)
    scores = np.array([d["score"] for d in kept], np.float64)
    same = _matched(dataset, kept, found, truth, is_crowd, iou, COCO_LIMIT, use_classes=True)
    sure = np.flatnonzero(scores >= floor)
    any_object_of, any_counts = np.full(len(kept), -1), np.zeros(len(kept), bool)
    any_object_of[sure], any_counts[sure] = _matched(
        dataset, [kept[row] for row in sure], found.keep(sure), truth, is_crowd, iou,
        max(1, int(np.bincount(found.images, minlength=1).max())), use_classes=False,
    )  # fmt: skip
    detection_of = np.full(len(dataset["annotations"]), -1)
    taken = np.flatnonzero(same[0] >= 0)
    detection_of[same[0][taken]] = taken
    return Matches(
        names=list(names.values()),
        found=found,
        scores=scores,
        truth=truth,
        is_crowd=is_crowd,
        object_of=same[0],
        detection_of=detection_of,
        counts=same[1],
        any_object_of=any_object_of,
        any_counts=any_counts,
        floor=floor,
    )


def confusion_matrix(matches: Matches, score_threshold: float = 0.4) -> np.ndarray:
    """Counts which class is detected where which class is.

    Crowd regions and what lies on them count nowhere. (faster-coco-eval's matrix counts a crowd
    region as a missed object.)

    Args:
      matches: their floor is at most the threshold.
      score_threshold: of the detections that count.

    Returns:
      [K + 1, K + 1] int64, K as class_names. Row: the true class, or background. Column: the
      detected class, or nothing.
    """
    nothing = len(matches.names)
    shown = np.flatnonzero(matches.any_counts & (matches.scores >= score_threshold))
    objects, classes = matches.any_object_of[shown], matches.found.classes[shown]
    rows = np.where(objects >= 0, np.append(matches.truth.classes, nothing)[objects], nothing)
    missed = ~matches.is_crowd
    missed[objects[objects >= 0]] = False
    matrix = np.zeros((nothing + 1, nothing + 1), np.int64)
    np.add.at(matrix, (rows, classes), 1)
    np.add.at(matrix, (matches.truth.classes[missed], nothing), 1)
    return matrix


def _matched(
    dataset: Dataset, detections: Results, found: Boxes, truth: Boxes, is_crowd: np.ndarray,
    iou: float, limit: int, use_classes: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Returns of each detection its object, or -1, and whether it counts."""
    pairs = run_cocoeval(
        dataset, detections, useCats=int(use_classes), iouThrs=[iou], areaRng=[ALL_AREAS],
        maxDets=[limit],
    ).eval["matched"]  # fmt: skip
    objects = np.full(len(detections), -1)
    if pairs:
        rows, matched = np.array([pair.split("_") for pair in pairs], np.int64).T - 1
        objects[rows] = matched
    is_hit = objects >= 0
    objects[is_hit] = np.where(is_crowd[objects[is_hit]], -1, objects[is_hit])
    groups = found.images.astype(np.int64)
    if use_classes:
        groups = groups * (1 + found.classes.max(initial=0)) + found.classes
    scores = np.array([d["score"] for d in detections], np.float64)
    counts = _rank(groups, scores) < limit
    counts &= (objects >= 0) | (found.areas >= ALL_AREAS[0])  # not with a side below zero
    for crowd in np.flatnonzero(is_crowd):
        near = (found.images == truth.images[crowd]) & (objects < 0)
        if use_classes:
            near &= found.classes == truth.classes[crowd]
        rows = np.flatnonzero(near)
        covered = pycocotools.mask.iou(found.boxes[rows], truth.boxes[[crowd]], [1])
        counts[rows] &= np.reshape(covered, -1) < iou
    return objects, counts


def _rank(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the place of each detection in its group, 0 for the best."""
    order = np.lexsort((-scores, groups))
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return ranks


def _boxes(entries: Results, images: dict, places: dict[int, int]) -> Boxes:
    return Boxes(
        np.array([images[entry["image_id"]] for entry in entries], np.int32),
        np.array([places[entry["category_id"]] for entry in entries], np.int32),
        np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4),
        np.array([area_of(entry) for entry in entries], np.float64),
    )
