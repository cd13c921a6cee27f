"""What the page shows of an evaluation, as JSON: every object and detection, and what is wrong.

Columns instead of rows, and whole pixels: a page of 5,000 pictures stays small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edet.evaluation.coco import EvaluationResult
from edet.evaluation.coco_format import Dataset, Results
from edet.evaluation.errors import (
    KINDS,
    SIZES,
    UNCOUNTED,
    Errors,
    ap_points,
    best_threshold,
    calibration,
    counts_by_threshold,
    find_errors,
    rounded,
    size_of,
)
from edet.evaluation.matching import Boxes, Matches

PICTURES = 1000  # at most, with thumbnails
_FLOOR = 0.05  # detections below it are counted but not listed, ...
_LISTED = 30  # ... unless there are fewer than these, times the pictures


def evaluation_data(
    dataset: Dataset, matches: Matches, result: EvaluationResult, draw_threshold: float
) -> dict[str, Any]:
    """Returns everything but the thumbnails, ready for JSON.

    Args:
      dataset: COCO's structure; its images give names and sizes.
      matches: of its objects and the detections.
      result: the same evaluation's numbers.
      draw_threshold: `detect.draw_threshold`.
    """
    errors, counts = find_errors(matches), counts_by_threshold(matches)
    kept = _listed(matches)
    renamed = np.full(len(matches.scores) + 1, -1)  # -1 stays -1
    renamed[kept] = np.arange(len(kept))
    return {
        "classes": matches.names,
        "sizes": list(SIZES),
        "kinds": list(KINDS),
        "images": [
            [str(i["id"]), i.get("width") or 0, i.get("height") or 0] for i in dataset["images"]
        ],
        "truth": {
            **_columns(matches.truth, np.arange(len(matches.truth))),
            "crowd": matches.is_crowd.astype(int).tolist(),
            "found_by": renamed[matches.detection_of].tolist(),
        },
        "found": {
            **_columns(matches.found, kept),
            "score": rounded(matches.scores[kept]).tolist(),
            "kind": errors.kinds[kept].tolist(),
            "about": errors.about[kept].tolist(),
            "object": matches.any_object_of[kept].tolist(),  # whatever the class
            "any_counts": matches.any_counts[kept].astype(int).tolist(),
        },
        "counts": {name: values.tolist() for name, values in counts.items()},
        "best": best_threshold(counts, matches.floor),
        "floor": matches.floor,
        "draw_threshold": draw_threshold,
        "errors": ap_points(matches, errors),
        "calibration": calibration(matches),
        "curves": _curves(result),
        "pictures": worst_pictures(matches, errors, len(dataset["images"])).tolist(),
    }


def lowest_listed(detections: Results, images: int, draw_threshold: float) -> float:
    """Returns the score, a hundredth, from which on detections are listed one by one."""
    best = np.sort([d["score"] for d in detections])[::-1]
    enough = min(len(best), _LISTED * images)
    last = float(best[enough - 1]) if enough else 0.0
    return math.floor(100 * min(_FLOOR, draw_threshold, max(0.0, last))) / 100


def _listed(matches: Matches) -> np.ndarray:
    """Returns the rows of the detections that are listed, by picture, best first."""
    rows = np.flatnonzero(matches.scores >= matches.floor)
    return rows[np.lexsort((-matches.scores[rows], matches.found.images[rows]))]


def _columns(boxes: Boxes, rows: np.ndarray) -> dict[str, Any]:
    return {
        "image": boxes.images[rows].tolist(),
        "class": boxes.classes[rows].tolist(),
        "box": np.rint(boxes.boxes[rows]).astype(int).ravel().tolist(),  # x, y, width, height
        "size": size_of(boxes.areas[rows]).tolist(),
    }


def _curves(result: EvaluationResult) -> dict[str, Any]:
    """Precision at the recalls 0, 0.01 ... 1, at IoU 0.5, 0.75 and as the mean of all, by class."""
    found = {name: p for name, p in result.precision.items() if (p > -1).any()}
    return {
        name: [np.round(row, 3).tolist() for row in (p[0], p[5], p.mean(axis=0))]
        for name, p in found.items()
    }


def worst_pictures(matches: Matches, errors: Errors, images: int) -> np.ndarray:
    """Returns the places of the pictures that are shown, in their order: the worst, if not all.

    A missed object counts one, a false detection its score.
    """
    missed = matches.truth.images[~matches.is_crowd & (matches.detection_of < 0)]
    false = np.flatnonzero((errors.kinds > 0) & (errors.kinds != UNCOUNTED))
    badness = np.bincount(missed, minlength=images).astype(float)
    np.add.at(badness, matches.found.images[false], matches.scores[false])
    return np.sort(np.argsort(-badness, kind="stable")[:PICTURES])


def numbers(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those of `evaluation_data` that eval.json has, too."""
    return {name: data[name] for name in ("best", "errors", "calibration")}
