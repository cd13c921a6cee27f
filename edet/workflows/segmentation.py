"""Evaluation of segmentation: masks of all records against those that are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.evaluation.overlays import Masked, save_mask_gallery
from edet.evaluation.segmentation import SegmentationEvaluator, SegmentationResult
from edet.files import find_files, write_json
from edet.image.decode import decode_image
from edet.inference.run import detection_of_records
from edet.inference.segmenter import Segmenter, unfit
from edet.input.reading import user_errors
from edet.records.masks import read_masks
from edet.records.schema import parse_example
from edet.workflows.common import console

_GALLERY = 8  # pictures on the page that an evaluation draws


def make_segmentation_evaluation(
    config: Config, workdir: str, strategy: tf.distribute.Strategy, segmenter: Segmenter
) -> Callable[..., SegmentationResult]:
    """As `evaluation.make_evaluation`, of the pixels' classes.

    Masks are compared at the pictures' own size. Writes segmentation.json and segmentation.png.
    """
    files = find_files(config.data.eval_records, "data.eval_records")
    segment = detection_of_records(strategy, segmenter, files)

    def evaluate_again(extra: dict, check: Callable[[], None] = lambda: None) -> SegmentationResult:
        """Returns the result, and writes the report."""
        evaluator = SegmentationEvaluator(segmenter.labels)
        shown: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        with user_errors(files):
            masks = _Masks(read_masks(files))
            for batch in segment():
                check()
                for index, fitted in zip(
                    batch["image_index"].tolist(), batch["class_maps"], strict=True
                ):
                    truth = masks.take(index)
                    if truth.shape == (1, 1):  # the record has no mask
                        continue
                    found = unfit(fitted, truth.shape)
                    evaluator.add(truth, found, f"record {index}")
                    if len(shown) < _GALLERY:
                        shown[index] = truth, found
        result = evaluator.result()
        console.print(*result.tables())
        if workdir and strategy.extended.should_checkpoint:
            path = os.path.join(workdir, "segmentation")
            write_json(f"{path}.json", {**extra, **result.as_dict()})
            if pictures := list(_pictures(files, shown)):
                save_mask_gallery(pictures, segmenter.labels, f"{path}.png")
        return result

    return evaluate_again


class _Masks:
    """The masks of records by their numbers, of which each is asked for once, about in order."""

    def __init__(self, masks: Iterator[np.ndarray]):
        self._masks = enumerate(masks)
        self._waiting: dict[int, np.ndarray] = {}

    def take(self, index: int) -> np.ndarray:
        """Returns the mask of a record."""
        while index not in self._waiting:
            number, mask = next(self._masks)
            self._waiting[number] = mask
        return self._waiting.pop(index)


def _pictures(
    files: Sequence[str], shown: dict[int, tuple[np.ndarray, np.ndarray]]
) -> Iterator[Masked]:
    last = max(shown, default=-1)
    for index, record in enumerate(tf.data.TFRecordDataset(list(files)).take(last + 1)):
        if index in shown:
            example = parse_example(record)
            image = decode_image(example["encoded"]).numpy()
            title = example["source_id"].numpy().decode(errors="replace")
            if image.shape[:2] == shown[index][0].shape:
                yield Masked(title, image, *shown[index])
