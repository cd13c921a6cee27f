"""Ground truth and detections in COCO's own structures.

Shapes: B images of a batch · D padded detections of an image · n ground-truth boxes of an image.
Boxes are [ymin, xmin, ymax, xmax] in pixels of the original image unless a name says otherwise.

A data set is {"images", "annotations", "categories"}, results are a list of {"image_id",
"category_id", "bbox", "score"}; bbox is [xmin, ymin, width, height]. A running evaluation and two
JSON files become the same structures here, so that one pipeline follows.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edet.config.labels import distinct_names
from edet.errors import UserError
from edet.files import read_json, write_text
from edet.geometry.boxes import yxyx_to_xywh

ImageId = int | str
Dataset = Mapping[str, list[dict[str, Any]]]
Results = Sequence[Mapping[str, Any]]

_FIELDS = {
    "images": ("id",),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id",),
    "detections": ("image_id", "category_id", "bbox", "score"),
}


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotations of one image, crowd regions included.

    Attributes:
      image_id: the record's own source id; text or a whole number.
      height, width: pixels of the original image.
      boxes: [n, 4] pixels of the original image.
      class_ids: [n] the data set's own ids.
      is_crowd: [n] whether a box stands for a group, which COCO neither rewards nor punishes.
      areas: [n] pixels of the object's outline, which decide between small, medium and large.
        Missing, negative or NaN: the box area.
    """

    image_id: ImageId
    height: int
    width: int
    boxes: np.ndarray
    class_ids: np.ndarray
    is_crowd: np.ndarray | None = None
    areas: np.ndarray | None = None


def parse_image_id(value: ImageId | float | bytes) -> ImageId:
    """Returns the one form of an id: b"42", "42", 42 and 42.0 are the same image, "042" another."""
    value = _whole(value)
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    try:
        return int(text) if str(int(text)) == text else text
    except ValueError:
        return text


def parse_image_ids(values: Sequence[ImageId | bytes]) -> list[ImageId]:
    """Returns parse_image_id of each; numpy arrays and tensors of text or numbers are fine."""
    return [parse_image_id(value) for value in np.asarray(values).tolist()]


def ground_truth_to_coco(row: GroundTruth | Mapping[str, Any]) -> tuple[dict, list[dict]]:
    """Returns (image, annotations) of one image.

    Args:
      row: a GroundTruth, or a mapping or object with its fields. The id may be called source_id,
        as records call it.

    Raises:
      UserError: the shapes do not fit together, or a box is not finite.
    """
    if not isinstance(row, GroundTruth):
        fields = dict(row if isinstance(row, Mapping) else vars(row))
        fields.setdefault("image_id", fields.get("source_id"))
        names = [f.name for f in dataclasses.fields(GroundTruth)]
        row = GroundTruth(**{name: fields[name] for name in names if name in fields})
    image_id, boxes = parse_image_id(row.image_id), np.asarray(row.boxes, np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    n, class_ids = len(boxes), np.asarray(row.class_ids, np.int64)
    crowd = np.zeros(n, bool) if row.is_crowd is None else np.asarray(row.is_crowd)
    areas = np.full(n, -1.0) if row.areas is None else np.asarray(row.areas, np.float64)
    if boxes.shape != (n, 4) or any(x.shape != (n,) for x in (class_ids, crowd, areas)):
        raise UserError(
            f"ground truth of image {image_id!r} does not fit together: boxes "
            f"{list(boxes.shape)}, class_ids {list(class_ids.shape)}, is_crowd "
            f"{list(crowd.shape)}, areas {list(areas.shape)}."
        )
    if not np.isfinite(boxes).all():
        raise UserError(
            f"ground truth of image {image_id!r} has a box that is not finite; check the records."
        )
    boxes_xywh = yxyx_to_xywh(boxes)
    areas = np.where(areas >= 0, areas, boxes_xywh[:, 2] * boxes_xywh[:, 3])
    columns = zip(class_ids.tolist(), boxes_xywh.tolist(), areas.tolist(), crowd, strict=True)
    annotations = [
        {"image_id": image_id, "category_id": k, "bbox": box, "area": area, "iscrowd": int(c)}
        for k, box, area, c in columns
    ]
    return {"id": image_id, "height": int(row.height), "width": int(row.width)}, annotations


def detections_to_coco(
    image_ids: Sequence[ImageId | bytes],
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    num_detections: np.ndarray,
) -> list[dict[str, Any]]:
    """Returns COCO's list of results, without the padding rows.

    Image ids that are whole numbers in text become numbers, as COCO's own are; others stay text.

    Args:
      image_ids: [B] text, bytes or whole numbers.
      boxes: [B, D, 4] pixels of the original image.
      scores: [B, D].
      classes: [B, D] the data set's own ids.
      num_detections: [B]; rows from there on are padding.

    Raises:
      UserError: the shapes do not fit.
    """
    ids = parse_image_ids(image_ids)
    boxes, scores = np.asarray(boxes, np.float64), np.asarray(scores, np.float64)
    classes, counts = np.asarray(classes), np.asarray(num_detections)
    rows = boxes.shape[1] if boxes.ndim == 3 else -1
    wanted = [(len(ids), rows, 4), (len(ids), rows), (len(ids), rows), (len(ids),)]
    shapes = [x.shape for x in (boxes, scores, classes, counts)]
    if shapes != wanted or (counts > rows).any() or (counts < 0).any():
        raise UserError(
            f"detections of {len(ids)} images must be boxes [B, D, 4], scores [B, D], classes "
            f"[B, D] and num_detections [B] of 0 to D; they are {', '.join(map(str, shapes))}."
        )
    return [
        {"image_id": image_id, "category_id": class_id, "bbox": box, "score": score}
        for i, (image_id, n) in enumerate(zip(ids, counts.astype(int), strict=True))
        for class_id, box, score in zip(
            classes[i, :n].astype(int).tolist(),
            yxyx_to_xywh(boxes[i, :n]).tolist(),
            scores[i, :n].tolist(),
            strict=True,
        )
    ]


def read_coco_json(annotations: str, detections: str) -> tuple[Dataset, Results]:
    """Returns (data set, results) of a file of COCO annotations and a file of COCO results.

    A results file that is itself a data set gives its annotations.

    Raises:
      UserError: a file is missing or is not what its name says.
    """
    dataset = read_json(annotations, "annotations")
    for key in ("images", "annotations", "categories"):
        entries = dataset.get(key) if isinstance(dataset, dict) else None
        _tidy(entries)
        check_entries(entries, key, f"annotations {annotations}")
    results = read_json(detections, "detections")
    results = results.get("annotations") if isinstance(results, dict) else results
    _tidy(results)
    check_entries(results, "detections", f"detections {detections}")
    # Whatever else a detection carries (an area, a crowd flag) is not COCO's to read.
    results = [{field: entry[field] for field in _FIELDS["detections"]} for entry in results]
    for category in dataset["categories"]:
        category["name"] = str(category.get("name") or "")
    for image in dataset["images"]:
        image["id"] = parse_image_id(image["id"])
    for entry in (*dataset["annotations"], *results):
        entry["image_id"] = parse_image_id(entry["image_id"])
    return dataset, results


def _whole(value: Any) -> Any:
    """Returns a whole number that is written with a point as one without; the rest as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _tidy(entries: Any) -> None:
    """Undoes what tables do to entries: ids with a point, NaN for what is not given.

    An area below 0 or without bound counts as none, see `GroundTruth`.
    """
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        entry |= {key: _whole(entry[key]) for key in ("id", "category_id") if key in entry}
        for key, least in (("area", 0), ("iscrowd", -math.inf)):
            value = entry.get(key)
            if isinstance(value, float | int) and not least <= value < math.inf:
                del entry[key]


def write_detections(path: str, detections: Results) -> None:
    """Writes COCO's results file, as its evaluation server and evaluate_json read it.

    NaN is not JSON, so detections that are not finite are left out.
    """
    lines = ",\n".join(json.dumps(d) for d in finite_detections(detections))
    write_text(path, f"[\n{lines}\n]\n")


def finite_detections(detections: Results) -> list[Mapping[str, Any]]:
    """Returns the results whose four coordinates and score are finite numbers."""
    numbers = np.array([[*d["bbox"], d["score"]] for d in detections], np.float64)
    rows = np.isfinite(numbers.reshape(len(detections), 5)).all(axis=1)
    return [d for d, keep in zip(detections, rows, strict=True) if keep]


def class_names(dataset: Dataset) -> dict[int, str]:
    """Returns {id: name} in rising order of the ids, with every name once.

    Ids without a name are left out unless the ground truth has them: COCO's own label map has ten
    ids that stand for nothing.
    """
    named = {c["id"]: c.get("name", "") for c in dataset["categories"]}
    annotated = {a["category_id"] for a in dataset["annotations"]}
    ids = sorted(annotated | {k for k, name in named.items() if name})
    return distinct_names({k: named.get(k) or f"class {k}" for k in ids})


def number_images(dataset: Dataset) -> dict[ImageId, int]:
    """Returns {image id: whole number}, which the libraries need and break ties of scores by.

    Raises:
      UserError: there is no image, or an id comes twice.
    """
    times = Counter(image["id"] for image in dataset["images"])
    if not times:
        raise UserError("the ground truth holds no image; check the path of the evaluation data.")
    image_id, n = times.most_common(1)[0]
    if n > 1:
        raise UserError(
            f"the ground truth holds image id {image_id!r} {n} times; every image needs an id of "
            "its own."
        )
    if all(isinstance(image_id, int) and abs(image_id) < 2**53 for image_id in times):
        return {image_id: image_id for image_id in sorted(times)}
    return {image_id: number for number, image_id in enumerate(sorted(times, key=str), start=1)}


def check_entries(entries: Any, kind: str, source: str) -> None:
    """Refuses a list of `kind` that the evaluation would stumble over."""
    if not isinstance(entries, list):
        raise UserError(f"{source} has no list of {kind}; it is not in COCO's format.")
    for i, entry in enumerate(entries):
        missing = [f for f in _FIELDS[kind] if not isinstance(entry, dict) or entry.get(f) is None]
        if missing:
            raise UserError(f"{source}: entry {i} of {kind} has no {missing[0]}.")
        class_id = entry.get("category_id", entry.get("id") if kind == "categories" else 0)
        if not isinstance(class_id, int) or abs(class_id) >= 2**63:
            raise UserError(
                f"{source}: entry {i} of {kind} has the class id {class_id!r}; it must be a whole "
                "number."
            )
        box = entry.get("bbox", (0, 0, 0, 0))
        numbers = [*box, entry.get("score", 0)] if isinstance(box, list | tuple) else []
        # Libraries differ in what they make of a box that is not finite.
        is_truth = kind == "annotations"
        if len(numbers) != 5 or not all(_is_number(n, finite=is_truth) for n in numbers):
            raise UserError(
                f"{source}: entry {i} of {kind} has the bbox {box!r} and score "
                f"{entry.get('score')!r}; bbox must be [xmin, ymin, width, height] and every "
                "value a number."
            )
        if min(box[2:]) < 0:  # libraries score it as a box that nothing can match
            raise UserError(
                f"{source}: entry {i} of {kind} has the bbox {box!r} of negative width or height; "
                "give [xmin, ymin, width, height] from the upper left corner."
            )
        # null is as good as missing. Text would be a number to one library and none to the other.
        for field in ("area", "iscrowd"):
            value = entry.get(field)
            if not (value is None or isinstance(value, bool) or _is_number(value)):
                raise UserError(
                    f"{source}: entry {i} of {kind} has the {field} {value!r}; it must be a "
                    "number, or be left out."
                )


def _is_number(value: Any, finite: bool = False) -> bool:
    """Whether a value is a number that a float holds; NaN is one in Python's JSON."""
    if isinstance(value, float):
        return math.isfinite(value) or not finite
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
