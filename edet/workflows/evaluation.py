"""Evaluation: detections of all records against their ground truth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.evaluation.coco import CocoEvaluator, EvaluationResult, confusion_matrix
from edet.evaluation.coco_format import class_names, write_detections
from edet.evaluation.diagnosis import diagnose
from edet.evaluation.plots import (
    Picture,
    plot_confusion_matrix,
    plot_precision_recall,
    save_gallery,
)
from edet.evaluation.report import print_report, write_report
from edet.export.exported import exported_config, is_exported
from edet.files import find_files
from edet.inference.detector import Detector
from edet.inference.run import Found, detection_of_records
from edet.input.ground_truth import Annotations, read_ground_truth
from edet.input.reading import decode_parsed, user_errors
from edet.records.schema import parse_example
from edet.runtime.devices import check_batch_size
from edet.runtime.interruption import Workers
from edet.runtime.memory import enough_memory
from edet.weights.own import find_checkpoint
from edet.workflows.common import Heads, checked_records, console, load_heads
from edet.workflows.segmentation import make_segmentation_evaluation

_GALLERY = 8  # pictures on the page that an evaluation draws


def evaluate(config: Config, workdir: str, strategy: tf.distribute.Strategy, weights: str) -> dict:
    """Evaluates a workdir's best checkpoint, or other weights, on `data.eval_records`.

    Returns:
      What <workdir>/eval.json holds: COCO's twelve numbers, 0-1, AP per class, counts, and the
      reasons where AP is low; under "segmentation" mIOU, IoU per class and the confusion matrix,
      where the network segments. Of several workers only the chief writes and returns anything.

    Raises:
      Interrupted: another worker is gone.
      UserError: the data or settings are at fault, or a device has too little memory.
      StorageError: a file cannot be read or written now.
    """
    with Workers(strategy).watched(), enough_memory():
        return _evaluate(config, workdir, strategy, weights)


def _evaluate(config: Config, workdir: str, strategy: tf.distribute.Strategy, weights: str) -> dict:
    if is_exported(weights):
        return _evaluate_file(config, workdir, weights)
    check_batch_size(config, strategy.num_replicas_in_sync, ["eval_batch_size"])
    checked_records(config, "eval_records")
    with strategy.scope():
        heads = load_heads(config, weights or workdir)
    verdict = make_verdict(config, workdir, strategy, heads, in_full=True)({})
    return verdict.summary if strategy.extended.should_checkpoint else {}


def _evaluate_file(config: Config, workdir: str, path: str) -> dict:
    """As `evaluate` for an exported file; also says how much better the workdir's network is."""
    heads = load_heads(config, path)
    config = dataclasses.replace(config, model=exported_config(path).model)
    checked_records(config, "eval_records")
    here = tf.distribute.get_strategy()  # a file runs on this machine's CPU
    verdict = make_verdict(config, workdir, here, heads, in_full=True)({"file": path})
    summary = {**verdict.summary, "file": path}
    if workdir and find_checkpoint(workdir):
        heads = load_heads(config, workdir)
        summary["network"] = make_verdict(config, "", here, heads)({}).metrics
        for name in (n for n in ("AP", "AP50", "AP75", "mIOU") if n in verdict.metrics):
            of_file, of_network = 100 * verdict.metrics[name], 100 * summary["network"][name]
            console.print(
                f"{name:4}  {path} {of_file:.2f}  {workdir} {of_network:.2f}  difference "
                f"{of_file - of_network:+.2f}",
                markup=False,
            )
    return summary


class Verdict(NamedTuple):
    """What an evaluation of all heads says."""

    metrics: dict[str, float]  # 0-1
    summary: dict  # what eval.json holds
    goal: tuple[str, float]  # what the best checkpoint is chosen by
    page: str  # name of the drawn page in the workdir

    @property
    def sentence(self) -> str:
        """The most telling metrics in percent."""
        shown = ("AP", "AP50", "mIOU")
        named = ((name, self.metrics[name]) for name in shown if name in self.metrics)
        return "  ".join(f"{name} {100 * value:.1f}" for name, value in named)


def make_verdict(
    config: Config,
    workdir: str,
    strategy: tf.distribute.Strategy,
    heads: Heads,
    in_full: bool = False,
) -> Callable[..., Verdict]:
    """As `make_evaluation`, of all heads of a network."""
    detection = pixels = None
    if heads.detector:
        detection = make_evaluation(config, workdir, strategy, heads.detector, in_full)
    if heads.segmenter:
        pixels = make_segmentation_evaluation(config, workdir, strategy, heads.segmenter)

    def judge(extra: dict, check: Callable[[], None] = lambda: None) -> Verdict:
        """Evaluates every head; `extra` goes into its report, `check` is called between batches."""
        metrics, summary, goals, page = {}, {}, [], "segmentation.png"
        if detection:
            result, reasons = detection(extra, check)
            metrics |= result.metrics
            summary |= {**result.as_dict(), "diagnosis": reasons}
            goals, page = ["AP"], "examples.png"
        if pixels:
            found = pixels(extra, check)
            metrics |= found.metrics
            summary["segmentation"] = found.as_dict()
            goals.append("mIOU")
        goal = "+".join(goals), sum(metrics[name] for name in goals)
        return Verdict(metrics, summary, goal, page)

    return judge


Evaluation = Callable[..., tuple[EvaluationResult, list[str]]]


def make_evaluation(
    config: Config,
    workdir: str,
    strategy: tf.distribute.Strategy,
    detector: Detector,
    in_full: bool = False,
) -> Evaluation:
    """Returns a function that evaluates the detector, as often as its weights change.

    The ground truth is read here, and the graph is built once. The function detects in all
    evaluation records; prints and writes the result, why, and examples; and returns the first two.
    `in_full` also writes the detections themselves, curves of precision over recall and which
    classes are taken for which. It takes more entries for eval.json, and what it calls after every
    batch: that may end the evaluation with an error of its own.
    """
    files = find_files(config.data.eval_records, "data.eval_records")
    with user_errors(files):
        truth = read_ground_truth(files)
    rows = ({**vars(row), "image_id": row.source_id} for row in truth)
    evaluator = CocoEvaluator(rows, detector.labels)
    detect = detection_of_records(strategy, detector, files)

    def evaluate_again(extra: dict, check: Callable[[], None] = lambda: None):
        """Returns the result and the reasons of a low AP, and writes the report."""
        found = _detect(detect, truth, evaluator, files, check)
        result = evaluator.result()
        reasons = diagnose(evaluator.dataset, evaluator.detections, result)
        print_report(result, reasons, console)
        if workdir and strategy.extended.should_checkpoint:
            write_report(os.path.join(workdir, "eval.json"), result, reasons, extra)
            save_gallery(
                _gallery(config, files, truth, found, detector.labels),
                os.path.join(workdir, "examples.png"), list(detector.labels.values()),
            )  # fmt: skip
            if in_full:
                _write_in_full(workdir, evaluator, result, config.detect.draw_threshold)
        return result, reasons

    return evaluate_again


def _write_in_full(
    workdir: str, evaluator: CocoEvaluator, result: EvaluationResult, threshold: float
) -> None:
    write_detections(os.path.join(workdir, "detections.json"), evaluator.detections)
    plot_precision_recall(result, os.path.join(workdir, "precision_recall.png"))
    names = list(class_names(evaluator.dataset).values())
    matrix = confusion_matrix(evaluator.dataset, evaluator.detections, threshold)
    plot_confusion_matrix(matrix, names, os.path.join(workdir, "confusion.png"))


def _detect(
    detect: Callable[[], Found], truth: list[Annotations], evaluator: CocoEvaluator,
    files: Sequence[str], check: Callable[[], None],
) -> dict[int, dict[str, np.ndarray]]:  # fmt: skip
    """Fills the evaluator with all detections, and returns those of the first pictures."""
    evaluator.reset()
    found: dict[int, dict[str, np.ndarray]] = {}
    with user_errors(files):
        for batch in detect():
            check()
            index = batch.pop("image_index")
            evaluator.add([truth[i].source_id for i in index], **batch)
            found |= {
                int(i): {name: value[row] for name, value in batch.items()}
                for row, i in enumerate(index)
                if i < _GALLERY
            }
    return found


def _gallery(config: Config, files: Sequence[str], truth, found, labels) -> list[Picture]:
    """Pairs the first images of the records with what is there and what was found."""
    images = (
        tf.data.TFRecordDataset(files)
        .take(len(found))
        .map(lambda record: decode_parsed(parse_example(record))["image"])
    )
    pictures = []
    for i, image in enumerate(images.as_numpy_iterator()):
        shown = found[i]["scores"] >= config.detect.draw_threshold
        shown &= np.arange(len(shown)) < found[i]["num_detections"]
        pictures.append(
            Picture(
                truth[i].source_id, image, truth[i].boxes,
                [labels.get(int(k), str(k)) for k in truth[i].class_ids],
                found[i]["boxes"][shown],
                [labels[int(k)] for k in found[i]["classes"][shown]], found[i]["scores"][shown],
            )
        )  # fmt: skip
    return pictures
