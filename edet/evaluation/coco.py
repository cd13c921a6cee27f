"""COCO's twelve numbers for a set of images.

Shapes: B images of a batch · D padded detections of an image · K classes with a name
or ground truth · T = 10 IoU thresholds · R = 101 recall points
Boxes are [ymin, xmin, ymax, xmax] in pixels of the original image.

The average precision itself is always a library's. pycocotools is the yardstick; faster-coco-eval
gives the same numbers in a seventh of the time and computes by default.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import faster_coco_eval
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval

from edet.dataset_check.limits import COCO_LIMIT
from edet.errors import UserError
from edet.evaluation.coco_format import (
    Dataset,
    GroundTruth,
    ImageId,
    Results,
    class_names,
    detections_to_coco,
    finite_detections,
    ground_truth_to_coco,
    number_images,
    parse_image_ids,
    read_coco_json,
)
from edet.files import without_collector

METRICS = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip

ALL_AREAS = [0, 1e10]  # square pixels; COCO's "all"

Backend = Literal["faster_coco_eval", "pycocotools"]

_BACKENDS = {
    "faster_coco_eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
}


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What an evaluation found. Metrics are 0-1; -1 means that there is no ground truth for it.

    Attributes:
      metrics: the twelve numbers under the names of METRICS.
      per_class: class name -> AP.
      images: images that count, detections or not.
      images_with_detections: those with at least one detection.
      ground_truths: class name -> boxes without crowd regions.
      detections: class name -> detections.
      unknown_classes: class id -> detections of a class that the data set does not have; they
        are left out, as pycocotools does.
      dropped: detections left out because a coordinate or the score is not finite.
      per_class_and_size: class name -> {"APs", "APm", "APl"}.
      precision: class name -> [T, R] over IoU 0.5:0.05:0.95 and recall 0:0.01:1.
      own_limit: where more detections count than COCO's 100: "max_detections" and, with so many,
        "AP", "AP50" and "AP75".
    """

    metrics: dict[str, float]
    per_class: dict[str, float]
    images: int
    images_with_detections: int
    ground_truths: dict[str, int]
    detections: dict[str, int]
    unknown_classes: dict[int, int]
    dropped: int
    per_class_and_size: dict[str, dict[str, float]]
    precision: dict[str, np.ndarray]
    own_limit: dict[str, float] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything but the curves, ready for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["precision"]
        if not self.own_limit:
            del fields["own_limit"]
        return fields


class CocoEvaluator:
    """Collects the detections of every image and returns COCO's numbers.

    evaluator = CocoEvaluator(ground_truth, labels)
    for batch in batches:
        evaluator.add(image_ids, boxes, scores, classes, num_detections)
    print(evaluator.result().metrics["AP"])
    """

    def __init__(
        self, ground_truth: Iterable[GroundTruth | Mapping[str, Any]], labels: Mapping[int, str]
    ):
        """Takes the whole ground truth; an image that is never added counts as without detections.

        Args:
          ground_truth: one row per image: a GroundTruth, or a mapping or object of its fields.
          labels: {id: name} of the data set's classes. A class id in the ground truth that it
            does not name is evaluated all the same.

        Raises:
          UserError: a row's shapes do not fit, a box is not finite, an image comes twice, or
            there is no image.
        """
        rows = [ground_truth_to_coco(row) for row in ground_truth]
        self.dataset: Dataset = {
            "images": [image for image, _ in rows],
            "annotations": [a for _, annotations in rows for a in annotations],
            "categories": [{"id": int(k), "name": name} for k, name in labels.items()],
        }
        self._known = set(number_images(self.dataset))
        self._ids = [image["id"] for image in self.dataset["images"]]  # in the order of the rows
        self.reset()

    def reset(self) -> None:
        """Forgets all detections, as before another evaluation of the same images."""
        self.detections: list[dict[str, Any]] = []
        self._seen: set[ImageId] = set()

    def update(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Adds a batch, see `Evaluator`; "image_index" counts the rows of the ground truth."""
        found = {name: outputs[name] for name in ("boxes", "scores", "classes", "num_detections")}
        self.add([self._ids[i] for i in batch["image_index"]], **found)

    def add(
        self,
        image_ids: Sequence[ImageId | bytes],
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        num_detections: np.ndarray,
    ) -> None:
        """Adds the detections of a batch.

        Args:
          image_ids: [B] as in the ground truth; bytes, as records hold them, are decoded.
          boxes: [B, D, 4] pixels of the original image.
          scores: [B, D].
          classes: [B, D] the data set's own ids.
          num_detections: [B]; rows from there on are padding.

        Raises:
          UserError: the shapes do not fit, or an image is unknown or comes a second time. Nothing
            of the batch is added then.
        """
        detections = detections_to_coco(image_ids, boxes, scores, classes, num_detections)
        new: set[ImageId] = set()
        for image_id in parse_image_ids(image_ids):
            if image_id not in self._known:
                raise UserError(
                    f"image id {image_id!r} is not in the ground truth ({len(self._known)} images, "
                    f"such as {self._ids[0]!r}); evaluate the records that the ground "
                    "truth was read from."
                )
            if image_id in self._seen or image_id in new:
                raise UserError(
                    f"image id {image_id!r} is evaluated twice; pass every image once, and leave "
                    "out the images that only fill up the last batch."
                )
            new.add(image_id)
        self._seen |= new
        self.detections += detections

    def result(
        self, backend: Backend = "faster_coco_eval", max_detections: int = COCO_LIMIT
    ) -> EvaluationResult:
        """Returns the numbers for everything added so far; more may be added afterwards."""
        return evaluate_coco(self.dataset, self.detections, backend, max_detections)


def evaluate_json(
    annotations: str, detections: str, backend: Backend = "faster_coco_eval",
    max_detections: int = COCO_LIMIT,
) -> EvaluationResult:  # fmt: skip
    """Evaluates a file of COCO results against a file of COCO annotations; see `evaluate_coco`.

    Raises:
      UserError: a file is missing or is not what its name says, or they do not belong together.
    """
    return evaluate_coco(*read_coco_json(annotations, detections), backend, max_detections)


def evaluate_coco(
    dataset: Dataset, detections: Results, backend: Backend = "faster_coco_eval",
    max_detections: int = COCO_LIMIT,
) -> EvaluationResult:  # fmt: skip
    """Evaluates results against a data set, both in COCO's structures; neither is changed.

    Detections that are not finite are left out and counted: pycocotools scores a NaN box as a
    perfect one. The twelve numbers keep COCO's limit of 100 detections whatever `max_detections`
    is; a larger one gives "own_limit" too.

    Raises:
      UserError: an annotation or detection is of an image that is not in the data set.
    """
    finite = finite_detections(detections)
    evaluation = run_cocoeval(dataset, finite, backend)
    with _quiet():
        evaluation.summarize()
    names = class_names(dataset)
    # [T, R, K, areas]: 100 detections. K is in rising order of the ids, as `names` is.
    precision = evaluation.eval["precision"][:, :, :, :, -1]
    curves = {name: precision[:, :, k, 0] for k, name in enumerate(names.values())}
    truths = Counter(a["category_id"] for a in dataset["annotations"] if not a.get("iscrowd"))
    found = Counter(d["category_id"] for d in finite)
    return EvaluationResult(
        metrics=dict(zip(METRICS, map(float, evaluation.stats[: len(METRICS)]), strict=True)),
        per_class={name: mean_precision(curve) for name, curve in curves.items()},
        images=len(dataset["images"]),
        images_with_detections=len({d["image_id"] for d in finite}),
        ground_truths={name: truths[k] for k, name in names.items()},
        detections={name: found[k] for k, name in names.items()},
        unknown_classes={k: n for k, n in sorted(found.items()) if k not in names},
        dropped=len(detections) - len(finite),
        per_class_and_size={
            name: {
                size: mean_precision(precision[:, :, k, area])
                for area, size in enumerate(("APs", "APm", "APl"), start=1)
            }
            for k, name in enumerate(names.values())
        },
        precision=curves,
        own_limit=_own_limit(dataset, finite, backend, max_detections),
    )


def _own_limit(
    dataset: Dataset, detections: Results, backend: Backend, limit: int
) -> dict[str, float]:
    if limit <= COCO_LIMIT:
        return {}
    precision = run_cocoeval(
        dataset, detections, backend, areaRng=[ALL_AREAS], maxDets=[limit]
    ).eval["precision"]
    parts = {"AP": precision, "AP50": precision[:1], "AP75": precision[5:6]}
    return {"max_detections": limit} | {name: mean_precision(p) for name, p in parts.items()}


def run_cocoeval(
    dataset: Dataset,
    detections: Results,
    backend: Backend = "faster_coco_eval",
    **params: Any,
) -> Any:
    """Returns a COCOeval, evaluated and accumulated, of detections that are finite.

    The libraries get copies that hold no trap for them: images and annotations numbered anew (they
    want whole numbers, take annotation 0 for "no match" and mix up repeated ids), areas and crowd
    flags filled in, and the detections as a data set of their own, since pycocotools' loadRes fails
    on an empty list.

    Args:
      dataset: COCO annotations.
      detections: COCO results.
      backend: which library computes.
      **params: attributes of COCOeval.params to set, such as iouThrs=[0.5].

    Raises:
      UserError: an annotation or detection is of an image that is not in the data set.
    """
    coco, cocoeval = _BACKENDS[backend]
    with _quiet(), without_collector():
        truth = _indexed(coco(), dataset, dataset["annotations"])
        evaluation = cocoeval(truth, _indexed(coco(), dataset, detections), iouType="bbox")
        evaluation.print_function = lambda *_: None  # faster-coco-eval logs every step
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def area_of(entry: Mapping[str, Any]) -> float:
    """Returns the area of the outline where the annotation has it, otherwise of the box."""
    area = entry.get("area")
    return entry["bbox"][2] * entry["bbox"][3] if area is None else area


def mean_precision(precision: np.ndarray) -> float:
    """Returns the mean over all entries above -1 (COCO's mark for no ground truth), or -1."""
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else -1.0


def _indexed(coco: Any, dataset: Dataset, entries: Results) -> Any:
    """Fills a library's COCO object with the images and classes of a data set and with entries."""
    numbers = number_images(dataset)
    unknown = {entry["image_id"] for entry in entries} - numbers.keys()
    if unknown:
        raise UserError(
            f"an annotation or detection is of image id {unknown.pop()!r}, which is not among the "
            f"{len(numbers)} images of the data set; check that the files belong together."
        )
    coco.dataset = {
        "images": [{"id": number} for number in numbers.values()],
        "categories": [{"id": k, "name": name} for k, name in class_names(dataset).items()],
        "annotations": [
            {
                "id": number,
                "image_id": numbers[entry["image_id"]],
                "category_id": entry["category_id"],
                "bbox": entry["bbox"],
                "area": area_of(entry),
                "iscrowd": int(bool(entry.get("iscrowd"))),
                "score": entry.get("score"),
            }
            for number, entry in enumerate(entries, start=1)
        ],
    }
    coco.createIndex()
    return coco


def _quiet() -> contextlib.AbstractContextManager:
    """Keeps pycocotools' progress lines off the terminal."""
    return contextlib.redirect_stdout(io.StringIO())
