"""Images with more objects than a detector finds in one, or than COCO counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

COCO_LIMIT = 100  # detections of an image and class that COCO counts, best scores first


def limits(annotations: Iterable[Mapping[str, Any]], max_detections: int | None) -> list[str]:
    """Says how many images have more objects than are found in one, or than COCO counts.

    Args:
      annotations: COCO's, of all images; "image_id" is what an image is called in a sentence.
      max_detections: `detect.max_detections`; None: not known.
    """
    objects = [(a["image_id"], a["category_id"]) for a in annotations if not a.get("iscrowd")]
    reasons = []
    if max_detections is not None:
        over, lost, first = _beyond(Counter(image for image, _ in objects), max_detections)
        if over:
            reasons.append(
                f"Images with more objects than detect.max_detections={max_detections}: {over}, "
                f"such as {first[0]!r} with {first[1]}, so that {lost} of {len(objects)} objects "
                f"cannot be found; set detect.max_detections to {first[1]} or more."
            )
    over, lost, first = _beyond(Counter(objects), COCO_LIMIT)
    if over:
        reasons.append(
            f"Images with more than {COCO_LIMIT} objects of a class: {over}, such as "
            f"{first[0][0]!r} with {first[1]}; COCO counts {COCO_LIMIT} detections of an image and "
            f"class at most, so its AP cannot reward {lost} of {len(objects)} objects; with "
            "detect.max_detections above 100 an evaluation gives the AP of that limit, too."
        )
    return reasons


def _beyond(counts: Counter, limit: int) -> tuple[int, int, tuple[Any, int]]:
    """Returns how many images are over a limit, by how much in all, and the fullest key."""
    over = {key: count for key, count in counts.items() if count > limit}
    images = {key[0] if isinstance(key, tuple) else key for key in over}
    fullest = max(over.items(), key=lambda item: item[1], default=(None, 0))
    return len(images), sum(over.values()) - limit * len(over), fullest


def share_beyond_coco(truth: Iterable[Mapping[str, Any]]) -> float:
    """Returns the share, 0-1, of objects that COCO's limit leaves out; `truth` has no crowds."""
    counts = Counter((a["image_id"], a["category_id"]) for a in truth)
    return _beyond(counts, COCO_LIMIT)[1] / counts.total()
