"""All heads of a network against the ground truth: metrics, pictures and what the page shows."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.config.sizes import as_dict
from edet.evaluation.coco import CocoEvaluator
from edet.evaluation.coco_format import parse_image_id, write_detections
from edet.evaluation.diagnosis import diagnose
from edet.evaluation.evaluator import Evaluator
from edet.evaluation.matching import confusion_matrix, match
from edet.evaluation.overlays import Masked, save_mask_gallery
from edet.evaluation.plots import (
    Picture,
    plot_confusion_matrix,
    plot_precision_recall,
    save_gallery,
)
from edet.evaluation.report import print_report
from edet.evaluation.segmentation import SegmentationEvaluator
from edet.files import write_json
from edet.geometry.boxes import xywh_to_yxyx
from edet.globs import find_files
from edet.image.letterbox import mask_to_picture
from edet.inference.predictor import Predictor
from edet.inference.run import make_dataset_predictor
from edet.input.ground_truth import read_encoded, read_ground_truth
from edet.input.reading import decode_parsed, user_errors
from edet.input.windows import make_eval_dataset
from edet.records.masks import read_masks
from edet.records.schema import parse_example
from edet.records.shards import RecordSet, open_records
from edet.records.sources.example_set import stamps_of
from edet.report.evaluation import evaluation_data, lowest_listed, numbers
from edet.report.page import pictures_of, save_section
from edet.workdir import Workdir
from edet.workflows.common import console

_GALLERY = 8  # pictures on the page that an evaluation draws


def conditions(config: Config, records: RecordSet, precision: str) -> dict[str, Any]:
    """Returns, as JSON, what the metrics of a network's weights depend on besides them.

    Args:
      config: its `detect` counts; `model` is the same in a run's life.
      records: that are evaluated on.
      precision: what the network computes with.
    """
    settings = {f"detect.{name}": value for name, value in vars(config.detect).items()}
    del settings["detect.draw_threshold"]
    what = f"{records.num_records} with fingerprint {records.fingerprint[:16]}"
    return json.loads(json.dumps({"records": what, "precision": precision} | settings))


class Summary(NamedTuple):
    """What an evaluation of all heads says."""

    metrics: dict[str, float]  # 0-1
    entries: dict[str, Any]  # what eval.json holds
    goal: tuple[str, float]  # what the best checkpoint is chosen by
    page: str  # path of the drawn page in the workdir
    section: dict[str, Any]  # what report.html shows of detections
    reports: Sequence[Callable[[], None]]  # of the heads, each prints its own
    write: Callable[[], None] = lambda: None  # the detections and curves

    def show(self) -> None:
        """Prints it; after `save`, for what was worked out for hours is not lost to a terminal."""
        for report in self.reports:
            report()

    @property
    def sentence(self) -> str:
        """The most telling metrics in percent."""
        shown = ("AP", "AP50", "mIOU")
        named = ((name, self.metrics[name]) for name in shown if name in self.metrics)
        return "  ".join(f"{name} {100 * value:.1f}" for name, value in named)


class Evaluation:
    """All heads of a network against `data.eval_records`, as often as its weights change.

    The ground truth is read here, and every graph is built once.

    Args:
      config: `data.eval_records` and its `data.eval_batch_size`, `model` and `detect` are used.
      workdir: where the chief's `save` writes; a false one writes nothing.
      strategy: the network lives in its scope.
      predictor: looks at the pictures; each head is compared with the truth that it is of.
      in_full: also writes the detections themselves, curves of precision over recall and which
        classes are taken for which.
    """

    def __init__(
        self, config: Config, workdir: Workdir, strategy: tf.distribute.Strategy,
        predictor: Predictor, in_full: bool = False,
    ):  # fmt: skip
        self._config, self._in_full = config, in_full
        self._workdir = workdir if strategy.extended.should_checkpoint else Workdir("")
        self._files = files = find_files(config.data.eval_records, "data.eval_records")
        self._labels = {name: head.labels for name, head in predictor.heads.items()}
        self._evaluators: dict[str, Evaluator] = {}
        if "detection" in predictor.heads:
            with user_errors(files):
                self._truth = read_ground_truth(files)
            self._evaluators["detection"] = CocoEvaluator(self._truth, self._labels["detection"])
        if "segmentation" in predictor.heads:
            restore = functools.partial(mask_to_picture, how=predictor.model.fit)
            self._evaluators["segmentation"] = SegmentationEvaluator(
                self._labels["segmentation"], lambda: read_masks(files), restore, _GALLERY
            )
        self._strategy, self._predictor = strategy, predictor
        self._predict = make_dataset_predictor(strategy, predictor)

    @functools.cached_property
    def _batches(self) -> tf.distribute.DistributedDataset:
        """The pictures, whose reading is a graph of a second that all evaluations share."""
        model, windows = self._predictor.model, self._predictor.windows
        size = self._config.data.eval_batch_size
        return self._strategy.distribute_datasets_from_function(
            lambda context: make_eval_dataset(model, self._files, size, context, windows)
        )

    def run(self, check: Callable[[], None] = lambda: None) -> Summary:
        """Evaluates.

        Args:
          check: called after every batch; it may end the evaluation with an error of its own.
        """
        with user_errors(self._files):
            for evaluator in self._evaluators.values():
                evaluator.reset()
            for outputs in self._predict(self._batches):
                check()
                batch = {"image_index": outputs.pop("image_index")}
                for evaluator in self._evaluators.values():
                    evaluator.update(batch, outputs)
        metrics, entries, section, goals, page = {}, {}, {}, [], self._workdir.segmentation_page
        reports, write = [], lambda: None
        if "detection" in self._evaluators:
            metrics, entries, section, report, write = self._of_detection()
            goals, page, reports = ["AP"], self._workdir.examples_page, [report]
        if "segmentation" in self._evaluators:
            result = self._evaluators["segmentation"].result()
            metrics |= result.metrics
            entries["segmentation"] = result.as_dict()
            goals.append("mIOU")
            reports.append(functools.partial(console.print, *result.tables()))
        goal = "+".join(goals), sum(metrics[name] for name in goals)
        return Summary(metrics, entries, goal, page, section, reports, write)

    def save(self, summary: Summary, more: dict[str, Any]) -> None:
        """Writes eval.json, with more entries, segmentation.json, and what the page shows.

        It is of the evaluation that `run` has done last.
        """
        if not self._workdir:
            return
        write_json(self._workdir.result_file("eval"), more | summary.entries)
        if self._in_full:
            summary.write()
        if summary.section:
            self._save_section(summary.section)
            names = list(self._labels["detection"].values())
            save_gallery(self._pictures(), self._workdir.examples_page, names)
        if pixels := summary.entries.get("segmentation"):
            write_json(self._workdir.result_file("segmentation"), more | pixels)
            if pictures := list(self._masked_pictures()):
                labels = self._labels["segmentation"]
                save_mask_gallery(pictures, labels, self._workdir.segmentation_page)

    def _of_detection(
        self,
    ) -> tuple[dict[str, float], dict[str, Any], dict[str, Any], Callable, Callable]:
        """Returns metrics, entries, the page's section, what prints them, and what writes more."""
        evaluator, limit = self._evaluators["detection"], self._config.detect.max_detections
        dataset, detections = evaluator.dataset, evaluator.detections
        result = evaluator.result(max_detections=limit)
        reasons = diagnose(dataset, detections, result, limit)
        threshold = self._config.detect.draw_threshold
        floor = lowest_listed(detections, len(dataset["images"]), threshold)
        matches = match(dataset, detections, floor)
        data = evaluation_data(dataset, matches, result, threshold)
        entries = {**result.as_dict(), "diagnosis": reasons, **numbers(data)}
        entries["detect"] = as_dict(self._config)["detect"]

        def write() -> None:
            write_detections(self._workdir.detections_file, detections)
            plot_precision_recall(result, self._workdir.precision_recall_plot)
            matrix = confusion_matrix(matches, threshold)
            plot_confusion_matrix(matrix, matches.names, self._workdir.confusion_plot)

        report = functools.partial(print_report, result, reasons, console)
        return dict(result.metrics), entries, data, report, write

    def _save_section(self, data: dict[str, Any]) -> None:
        """Writes what the page needs; the thumbnails only where other ones are wanted."""
        stamps = stamps_of(self._files)
        records = [[file, *stamp] for file, stamp in zip(self._files, stamps, strict=True)]
        made_of = pictures_of(self._workdir, "evaluation")
        if made_of and made_of["records"] == records and not self._in_full:
            data = {**data, "pictures": made_of["pictures"]}  # a run keeps those it began with
        of = {"records": records, "pictures": data["pictures"]}

        def pictures() -> Iterator[Callable[[], bytes]]:
            """Returns what reads each picture that is shown, in order."""
            encoded = read_encoded(self._files, of["pictures"])
            return (functools.partial(bytes, picture) for picture in encoded)

        save_section(
            self._workdir, "evaluation", data, None if made_of == of else pictures, of,
            self._config.model.white_level,
        )  # fmt: skip

    def _pictures(self) -> Iterator[Picture]:
        """Pairs the first images of the records with what is there and what was found."""
        threshold, labels = self._config.detect.draw_threshold, self._labels["detection"]
        truth = self._truth[:_GALLERY]
        found = {parse_image_id(row.source_id): [] for row in truth}
        for one in self._evaluators["detection"].detections:
            if one["image_id"] in found and one["score"] >= threshold:
                found[one["image_id"]].append(one)
        for row, (title, image) in zip(truth, self._images(range(len(truth))), strict=True):
            shown = found[parse_image_id(row.source_id)]
            boxes = np.array([one["bbox"] for one in shown]).reshape(-1, 4)
            yield Picture(
                title, image, row.boxes, [labels.get(int(k), str(k)) for k in row.class_ids],
                xywh_to_yxyx(boxes), [labels[one["category_id"]] for one in shown],
                [one["score"] for one in shown],
            )  # fmt: skip

    def _masked_pictures(self) -> Iterator[Masked]:
        """Pairs the first images that have a mask of their size with what was found in them."""
        examples = dict(sorted(self._evaluators["segmentation"].examples.items()))
        for masks, (title, image) in zip(examples.values(), self._images(examples), strict=True):
            if image.shape[:2] == masks[0].shape:
                yield Masked(title, image, *masks)

    def _images(self, numbers: Iterable[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Yields source id and pixels, uint8 [H, W, 3], of records by their rising numbers."""
        numbers = set(numbers)
        records = open_records(self._files).take(1 + max(numbers, default=-1))
        for index, record in enumerate(records):
            if index in numbers:
                example = decode_parsed(parse_example(record), self._config.model.white_level)
                title = example["source_id"].numpy().decode(errors="replace")
                yield title, example["image"].numpy()
