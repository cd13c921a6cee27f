"""Evaluation: detections of all records against their ground truth."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.data.decode import decode_image
from edet.data.examples import parse_example
from edet.data.lookup import read_ground_truth
from edet.data.reading import user_errors
from edet.evaluation.coco import CocoEvaluator, EvaluationResult
from edet.evaluation.diagnosis import diagnose
from edet.evaluation.plots import Picture, save_gallery
from edet.evaluation.report import print_report, write_report
from edet.files import find_files
from edet.serving.batches import detect_records
from edet.serving.detector import Detector
from edet.serving.exported import ExportedDetector, is_exported
from edet.training.strategy import check_batch_size
from edet.weights.own import find_checkpoint
from edet.workflows.common import checked_records, console, load_detector

_GALLERY = 8  # pictures on the page that an evaluation draws


def evaluate(config: Config, workdir: str, strategy: tf.distribute.Strategy, weights: str) -> dict:
    """Evaluates a workdir's best checkpoint, or other weights, on `data.eval_records`.

    Returns:
      What <workdir>/eval.json holds: COCO's twelve numbers, 0-1, AP per class, counts, and the
      reasons where AP is low.
    """
    if is_exported(weights):
        return _evaluate_file(config, workdir, weights)
    check_batch_size(config, strategy.num_replicas_in_sync)
    checked_records(config, "eval_records")
    with strategy.scope():
        detector = load_detector(config, weights or workdir)
    result, reasons = evaluate_detector(config, workdir, strategy, detector, {})
    return {**result.as_dict(), "diagnosis": reasons}


def _evaluate_file(config: Config, workdir: str, path: str) -> dict:
    """As `evaluate` for an exported file; also says how much AP the workdir's network has more."""
    detector = ExportedDetector(path, config)
    checked_records(detector.config, "eval_records")
    here = tf.distribute.get_strategy()  # a file runs on this machine's CPU
    result, reasons = evaluate_detector(detector.config, workdir, here, detector, {"file": path})
    summary = {**result.as_dict(), "diagnosis": reasons, "file": path}
    if workdir and find_checkpoint(workdir):
        network = load_detector(detector.config, workdir)
        summary["network"] = evaluate_detector(detector.config, "", here, network, {})[0].metrics
        for name in ("AP", "AP50", "AP75"):
            file_ap, network_ap = 100 * result.metrics[name], 100 * summary["network"][name]
            console.print(
                f"{name:4}  {path} {file_ap:.2f}  {workdir} {network_ap:.2f}  difference "
                f"{file_ap - network_ap:+.2f}"
            )
    return summary


def evaluate_detector(
    config: Config, workdir: str, strategy: tf.distribute.Strategy, detector: Detector, extra: dict
) -> tuple[EvaluationResult, list[str]]:
    """Detects in all evaluation records; prints and writes the result, why, and examples."""
    files = find_files(config.data.eval_records, "data.eval_records")
    with user_errors(files):
        truth = read_ground_truth(files)
    evaluator = CocoEvaluator(
        [{**vars(row), "image_id": row.source_id} for row in truth], detector.labels
    )
    found: dict[int, dict[str, np.ndarray]] = {}
    with user_errors(files):
        for batch in detect_records(strategy, detector, files):
            index = batch.pop("image_index")
            evaluator.add([truth[i].source_id for i in index], **batch)
            found |= {
                int(i): {name: value[row] for name, value in batch.items()}
                for row, i in enumerate(index)
                if i < _GALLERY
            }
    result = evaluator.result()
    reasons = diagnose(evaluator.dataset, evaluator.detections, result)
    print_report(result, reasons, console)
    if workdir:
        write_report(os.path.join(workdir, "eval.json"), result, reasons, extra)
        save_gallery(
            _gallery(config, files, truth, found, detector.labels),
            os.path.join(workdir, "examples.png"), list(detector.labels.values()),
        )  # fmt: skip
    return result, reasons


def _gallery(config: Config, files: Sequence[str], truth, found, labels) -> list[Picture]:
    """Pairs the first images of the records with what is there and what was found."""
    images = (
        tf.data.TFRecordDataset(files)
        .take(len(found))
        .map(lambda record: decode_image(parse_example(record)["encoded"]))
    )
    pictures = []
    for i, image in enumerate(images.as_numpy_iterator()):
        shown = found[i]["scores"] >= config.detect.draw_threshold
        pictures.append(
            Picture(
                truth[i].source_id, image, truth[i].boxes,
                [labels.get(int(k), str(k)) for k in truth[i].class_ids],
                found[i]["boxes"][shown],
                [labels[int(k)] for k in found[i]["classes"][shown]], found[i]["scores"][shown],
            )
        )  # fmt: skip
    return pictures
