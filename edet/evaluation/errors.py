"""What is wrong with detections, what that costs in AP, and which score to cut them at.

Errors are those of TIDE (Bolya et al., arXiv 2008.08115): each false detection has one, by its
overlap with the objects of its picture, and so has each missed object that none is close to.
What a kind costs is the AP50 that would be gained if it alone were mended. tidecv gives the same
figures, but brings OpenCV, pandas and seaborn; it also counts classes without any object, of
which COCO knows no AP, and detections on crowd regions.

Shapes: M detections · N ground-truth boxes · K classes · T = 101 thresholds 0, 0.01 ... 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pycocotools.mask

from edet.evaluation.matching import MATCHING_IOU, Matches

BACKGROUND_IOU = 0.1  # an overlap up to here is none (TIDE)
CORRECT, CLASS, BOX, BOTH, DUPLICATE, BACKGROUND, MISSED, UNCOUNTED = range(8)
KINDS = (
    "correct", "wrong class", "bad box", "wrong class and box", "duplicate", "false alarm",
    "missed", "not counted",
)  # fmt: skip
SIZES = ("small", "medium", "large")
SIZE_EDGES = (32**2, 96**2)  # square pixels, COCO's
THRESHOLDS = np.arange(101) / 100
SCORE_DIGITS = 4  # of scores that are compared with thresholds, here and on the page


@dataclass(frozen=True, eq=False)
class Errors:
    """The kind of every detection and of every object.

    Attributes:
      kinds: [M] index of KINDS.
      about: [M] the object that an error is about, or that a correct one has found; -1: none.
      missed: [N] bool: not found, and no detection of another class or with a bad box is near.
      mended: [M] bool: would find its object if its class or its box were right.
    """

    kinds: np.ndarray
    about: np.ndarray
    missed: np.ndarray
    mended: np.ndarray


def find_errors(matches: Matches) -> Errors:
    """Says of every detection and object what is wrong with it."""
    kinds = np.where(matches.counts, BACKGROUND, UNCOUNTED)
    about = matches.object_of.copy()
    objects = np.flatnonzero(~matches.is_crowd)
    wrong = np.flatnonzero(matches.counts & (matches.object_of < 0))
    kinds[matches.object_of >= 0] = CORRECT
    by_image = _grouped(matches.truth.images, objects)
    for image, rows in _grouped(matches.found.images, wrong).items():
        if image in by_image:
            kinds[rows], about[rows] = _kinds(matches, rows, by_image[image])
    mendable = wrong[np.isin(kinds[wrong], (CLASS, BOX))]
    mendable = mendable[matches.detection_of[about[mendable]] < 0]
    mended, near = np.zeros(len(kinds), bool), np.zeros(len(matches.is_crowd), bool)
    near[about[mendable]] = True
    best_first = mendable[np.argsort(-matches.scores[mendable], kind="stable")]
    mended[best_first[np.unique(about[best_first], return_index=True)[1]]] = True
    missed = ~matches.is_crowd & (matches.detection_of < 0) & ~near
    return Errors(kinds, about, missed, mended)


def _kinds(matches: Matches, rows: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns kind and object of the false detections of one image that has objects."""
    iou = pycocotools.mask.iou(
        matches.found.boxes[rows], matches.truth.boxes[objects], [0] * len(objects)
    )  # [rows, objects]
    same = matches.found.classes[rows, None] == matches.truth.classes[objects]
    taken = matches.detection_of[objects] >= 0
    of_class, of_others = iou * same, iou * ~same
    of_taken = of_class * taken
    best = of_class.max(axis=1)
    tests = {
        BOX: ((best >= BACKGROUND_IOU) & (best <= MATCHING_IOU), of_class),
        CLASS: (of_others.max(axis=1) >= MATCHING_IOU, of_others),
        DUPLICATE: (of_taken.max(axis=1) >= MATCHING_IOU, of_taken),
        BACKGROUND: (iou.max(axis=1) <= BACKGROUND_IOU, None),
    }
    conditions = [test for test, _ in tests.values()]
    nearest = [
        np.full(len(rows), -1) if overlap is None else objects[overlap.argmax(axis=1)]
        for _, overlap in tests.values()
    ]
    return np.select(conditions, list(tests), BOTH), np.select(conditions, nearest, -1)


def _grouped(images: np.ndarray, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Returns {image: those of the rows that are of it}."""
    order = rows[np.argsort(images[rows], kind="stable")]
    numbers, starts = np.unique(images[order], return_index=True)
    parts = np.split(order, starts)[1:]  # the first is what comes before the first image
    return dict(zip(numbers.tolist(), parts, strict=True))


def ap_points(matches: Matches, errors: Errors) -> dict[str, dict[str, float]]:
    """Returns {kind: {"count", "AP50 points"}}: how many, and what AP50 gains, 0-100, without them.

    Objects that are missed for whatever reason and detections that are false for whatever reason
    are there too, as "all missed" and "all false".
    """
    truth = np.bincount(
        matches.truth.classes[~matches.is_crowd], minlength=len(matches.names)
    )  # [K]
    classes, kinds = matches.found.classes, errors.kinds
    correct, counts = kinds == CORRECT, kinds != UNCOUNTED
    of_object = np.append(matches.truth.classes, -1)[errors.about]

    def ap(keep: np.ndarray, found: np.ndarray, labels=classes, objects=truth) -> float:
        """AP50, 0-100, of the detections that are kept."""
        keep = keep & counts
        return mean_ap(matches.scores[keep], found[keep], labels[keep], objects, truth > 0)

    before, gains = ap(counts, correct), {}
    for kind in (CLASS, BOX, BOTH, DUPLICATE, BACKGROUND):
        mended = errors.mended & (kinds == kind)
        labels = np.where(mended, of_object, classes) if kind == CLASS else classes
        gains[kind] = ap((kinds != kind) | mended, correct | mended, labels)
    missed = np.bincount(matches.truth.classes[errors.missed], minlength=len(truth))
    gains[MISSED] = ap(counts, correct, objects=truth - missed)
    numbers = {kind: int((kinds == kind).sum()) for kind in gains} | {
        MISSED: int(errors.missed.sum())
    }
    table = {
        KINDS[k]: {"count": numbers[k], "AP50 points": max(0.0, g - before)}
        for k, g in gains.items()
    }
    unfound = np.bincount(
        matches.truth.classes[~matches.is_crowd & (matches.detection_of < 0)], minlength=len(truth)
    )
    for name, number, after in (
        ("all false", int((counts & ~correct).sum()), ap(correct, correct)),
        ("all missed", int(unfound.sum()), ap(counts, correct, objects=truth - unfound)),
    ):
        table[name] = {"count": number, "AP50 points": max(0.0, after - before)}
    return table


def mean_ap(
    scores: np.ndarray, correct: np.ndarray, classes: np.ndarray, truth: np.ndarray,
    counted: np.ndarray,
) -> float:  # fmt: skip
    """Returns the mean over classes of COCO's average precision at 101 recalls, 0-100.

    Args:
      scores, correct, classes: [m] of detections.
      truth: [K] objects of each class.
      counted: [K] bool, the classes that the mean is of.
    """
    order = np.argsort(-scores, kind="stable")
    correct, classes = correct[order], classes[order]
    values = []
    for k in np.flatnonzero(counted):
        hits = np.cumsum(correct[classes == k])
        if not truth[k] or not len(hits):
            if truth[k] or len(hits):  # with neither there is nothing left to find
                values.append(0.0)
            continue
        precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
        places = np.searchsorted(hits / truth[k], THRESHOLDS)
        values.append(np.append(precision, 0.0)[places].mean())
    return 100 * float(np.mean(values)) if values else 0.0


def rounded(scores: np.ndarray) -> np.ndarray:
    """Returns scores as the page has them, so that a threshold parts them there as here."""
    return np.round(scores, SCORE_DIGITS)


def size_of(areas: np.ndarray) -> np.ndarray:
    """Returns the index of SIZES for areas in square pixels; COCO takes 96² for both, too."""
    return np.searchsorted(SIZE_EDGES, areas, side="right")


def counts_by_threshold(matches: Matches) -> dict[str, Any]:
    """Counts right and false detections at every threshold, and objects, by class and size.

    Returns:
      "right", "false": int64 [K, 3, T], detections with that score and above; a right one has the
      size of its object, a false one its own. "objects": int64 [K, 3].
    """
    shape = (len(matches.names), len(SIZES))
    # The last threshold that a score reaches; a share of a hundredth is not exact in binary.
    steps = np.searchsorted(THRESHOLDS, rounded(matches.scores), side="right") - 1
    right = matches.object_of >= 0
    false = matches.counts & ~right
    sizes = size_of(
        np.where(right, np.append(matches.truth.areas, 0)[matches.object_of], matches.found.areas)
    )

    def reached(rows: np.ndarray) -> np.ndarray:
        """Counts rows by class, size and the thresholds that they reach."""
        table = np.zeros((*shape, len(THRESHOLDS)), np.int64)
        np.add.at(table, (matches.found.classes[rows], sizes[rows], steps[rows]), 1)
        return table[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]

    objects = np.zeros(shape, np.int64)
    real = ~matches.is_crowd
    np.add.at(objects, (matches.truth.classes[real], size_of(matches.truth.areas[real])), 1)
    return {"right": reached(right), "false": reached(false), "objects": objects}


def best_threshold(counts: dict[str, Any], floor: float = 0.0) -> dict[str, float]:
    """Returns the score whose F1, over all classes, is highest, with precision, recall and F1.

    Of equal ones it is the lowest that is not below `floor`.
    """
    right, false = (counts[name].sum(axis=(0, 1)) for name in ("right", "false"))  # [T]
    objects = counts["objects"].sum()
    f1 = 2 * right / np.maximum(right + false + objects, 1)
    f1[floor > THRESHOLDS] = -1
    best = int(f1.argmax())
    return {
        "score": float(THRESHOLDS[best]),
        "precision": float(right[best] / max(1, right[best] + false[best])),
        "recall": float(right[best] / max(1, objects)),
        "F1": float(f1[best]),
    }


def calibration(matches: Matches, bins: int = 10) -> dict[str, Any]:
    """Compares scores with the share of detections that are right, in bins of equal width.

    Returns:
      "bins": of each that holds any, its lower edge, count, mean score and share that is right.
      "error": the mean distance of the two, weighted by count (expected calibration error), 0-1.
    """
    scores, right = matches.scores[matches.counts], (matches.object_of >= 0)[matches.counts]
    places = np.minimum((scores * bins).astype(int), bins - 1)
    rows = [
        {
            "from": place / bins, "count": int((places == place).sum()),
            "score": float(scores[places == place].mean()),
            "right": float(right[places == place].mean()),
        }
        for place in np.unique(places).tolist()
    ]  # fmt: skip
    distance = sum(row["count"] * abs(row["score"] - row["right"]) for row in rows)
    return {"bins": rows, "error": distance / max(1, len(scores))}
