"""The modes of the command line, each told as a story: train, evaluate, check_data and others.

They put the rooms together; what is said here in a line is done in one of them.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from edet.config.labels import class_ids, labels_of
from edet.config.loading import config_table
from edet.config.schema import Config
from edet.data.check import CheckedImage, read_image, read_set
from edet.data.check_report import report_on
from edet.data.decode import decode_image
from edet.data.examples import check_records, count_records, parse_example
from edet.data.lookup import describe_images, read_ground_truth
from edet.data.pipeline import make_eval_dataset, make_train_dataset
from edet.data.reach import best_anchors, image_scales, network_boxes
from edet.data.reading import user_errors
from edet.evaluation.coco import CocoEvaluator, EvaluationResult
from edet.evaluation.diagnosis import diagnose
from edet.evaluation.plots import Picture, draw_boxes, plot_history, save_gallery
from edet.evaluation.report import print_report, write_report
from edet.files import find_files, read_text, write_json
from edet.models.complexity import count_cost
from edet.models.efficientdet import build_network, freeze
from edet.serving.batches import detect_batches
from edet.serving.detector import Detector
from edet.serving.predict import predict_files
from edet.serving.saved_model import export_saved_model
from edet.training.checkpoints import Checkpoints
from edet.training.hooks import Reporter, append_evaluation
from edet.training.loop import train as run_training
from edet.training.recipe import Recipe, resolve_recipe
from edet.training.step import TrainingStep
from edet.training.strategy import check_batch_size
from edet.training.variables import TrainingVariables
from edet.weights.loading import holds_detector, load_weights
from edet.weights.own import find_checkpoint
from edet.workdir import prepare_workdir

console = Console(soft_wrap=True)

_GALLERY = 8  # pictures on the page that an evaluation draws
_CHECK_ALL_BELOW = 20_000  # records; a larger set has only the first record of each shard checked


def train(
    config: Config, workdir: str, strategy: tf.distribute.Strategy, evaluate_too: bool = False
) -> dict:
    """Trains in a workdir, or goes on with the training that stopped there.

    Weights come from, in this order: the workdir's last checkpoint, `train.init`, a seeded start.

    Args:
      config: the experiment.
      workdir: folder of the run.
      strategy: from `training.strategy.make_strategy`.
      evaluate_too: evaluates the moving average every `train.eval_every` steps and at the end, and
        keeps the checkpoint with the best AP.

    Returns:
      What <workdir>/train.json holds: steps, the best evaluation, images per second.
    """
    files, recipe = _plan(config, workdir, strategy.num_replicas_in_sync, evaluate_too)
    keras.utils.set_random_seed(config.train.seed)
    model = dataclasses.replace(config.model, batch_norm_momentum=recipe.batch_norm_momentum)
    with strategy.scope():
        network = build_network(model, config.train.precision)
        freeze(network, config.train.freeze)
        variables = TrainingVariables(network)
    checkpoints = Checkpoints(workdir, variables, config.train.keep)
    if checkpoints.restore_last():
        console.print(f"going on from step {int(variables.step.numpy())} of {workdir}")
    elif config.train.init:
        console.print(str(load_weights(network, config.train.init)), highlight=False)
        variables.restart_averages()

    done = int(variables.step.numpy())
    reporter = Reporter(workdir, done, recipe.total_steps, config.data.batch_size)
    evaluate_at = None
    if evaluate_too:
        with strategy.scope():
            detector = Detector(build_network(model, config.train.precision), config)
        evaluate_at = _evaluation_during_training(
            config, workdir, strategy, detector, variables, checkpoints, reporter
        )
    batches = strategy.distribute_datasets_from_function(
        lambda context: make_train_dataset(config, files, context, skip_steps=done)
    )
    with user_errors(files):
        run_training(
            strategy, variables, TrainingStep(network, config, recipe), recipe, iter(batches),
            checkpoints, reporter, lambda ids: describe_images(files, ids), evaluate_at,
        )  # fmt: skip
    plot_history(os.path.join(workdir, "history.csv"), os.path.join(workdir, "history.png"))
    return {"steps": recipe.total_steps, "best": checkpoints.best(), **reporter.summary()}


def _plan(
    config: Config, workdir: str, replicas: int, evaluate_too: bool
) -> tuple[list[str], Recipe]:
    """Checks everything that can be checked beforehand, saves and prints what the run will do."""
    check_batch_size(config, replicas)
    files = checked_records(config, "train_records")
    if evaluate_too:
        checked_records(config, "eval_records")
    recipe = resolve_recipe(
        config,
        config.data.num_train_examples or count_records(files),
        _starts_from_detector(config, workdir),
    )
    notes = prepare_workdir(workdir, config)
    write_json(os.path.join(workdir, "recipe.json"), dataclasses.asdict(recipe))
    console.print(config_table(config), recipe.table(config))
    for note in notes:
        console.print(f"changed since this run was started: {note}", style="yellow")
    return files, recipe


def _starts_from_detector(config: Config, workdir: str) -> bool:
    """A run that goes on does not look at `train.init` again; it may be gone."""
    saved = os.path.join(workdir, "recipe.json")
    if find_checkpoint(workdir, prefer="last") and tf.io.gfile.exists(saved):
        return json.loads(read_text(saved, "recipe")).get("finetuning", False)
    return bool(config.train.init) and holds_detector(config.train.init)


def _evaluation_during_training(
    config: Config,
    workdir: str,
    strategy: tf.distribute.Strategy,
    detector: Detector,
    variables: TrainingVariables,
    checkpoints: Checkpoints,
    reporter: Reporter,
) -> Callable[[int], None]:
    """Returns what the loop calls to evaluate the moving average and keep it if it is the best."""

    def evaluate_at(step: int) -> None:
        variables.copy_averages_to(detector.network)
        result, _ = evaluate_detector(config, workdir, strategy, detector, {"step": step})
        is_best = checkpoints.save_if_best(result.metrics["AP"])
        append_evaluation(os.path.join(workdir, "evaluations.csv"), step, result.metrics)
        reporter.evaluation(step, result.metrics, os.path.join(workdir, "examples.png"))
        console.print(
            f"step {step}  AP {100 * result.metrics['AP']:.1f}  AP50 "
            f"{100 * result.metrics['AP50']:.1f}{'  (best so far)' if is_best else ''}"
        )

    return evaluate_at


def evaluate(config: Config, workdir: str, strategy: tf.distribute.Strategy, weights: str) -> dict:
    """Evaluates a workdir's best checkpoint, or other weights, on `data.eval_records`.

    Returns:
      What <workdir>/eval.json holds: COCO's twelve numbers, 0-1, AP per class, counts, and the
      reasons where AP is low.
    """
    check_batch_size(config, strategy.num_replicas_in_sync)
    checked_records(config, "eval_records")
    with strategy.scope():
        detector = load_detector(config, weights or workdir)
    result, reasons = evaluate_detector(config, workdir, strategy, detector, {})
    return {**result.as_dict(), "diagnosis": reasons}


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
        for batch in detect_batches(
            strategy, detector,
            lambda context: make_eval_dataset(config, files, config.data.eval_batch_size, context),
        ):  # fmt: skip
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


def predict(config: Config, workdir: str, weights: str, inputs: Sequence[str], output: str) -> dict:
    """Detects objects in files, folders and globs; writes predictions.json and drawn pictures.

    Returns:
      {"images", "failed", "output"}; files that cannot be decoded are listed, not fatal.
    """
    detector = load_detector(config, weights or workdir)
    output = output or os.path.join(workdir, "predict")
    summary = predict_files(detector, inputs, output, config.data.eval_batch_size, draw_boxes)
    console.print(f"{summary['images']} pictures -> {output}")
    for path, why in summary["failed"].items():
        console.print(f"skipped {path}: {why}", style="yellow", markup=False)
    return summary


def export(config: Config, workdir: str, weights: str, output: str) -> dict:
    """Writes a SavedModel of the workdir's best checkpoint, or of other weights."""
    detector = load_detector(config, weights or workdir)
    folder = export_saved_model(detector, output or os.path.join(workdir, "saved_model"))
    console.print(f"SavedModel -> {folder}")
    return {"saved_model": folder}


def inspect(config: Config) -> dict:
    """Prints and returns parameters, multiply-adds, memory and anchors of a network by part."""
    network = build_network(config.model)
    costs = count_cost(network)
    table = Table(title=f"{config.model.name} at {'x'.join(map(str, config.model.image_size))}")
    for heading in ("part", "trainable", "statistics", "multiply-adds", "weights", "activations"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, cost in costs.items():
        table.add_row(
            part, f"{cost.trainable_parameters:,}", f"{cost.other_parameters:,}",
            f"{cost.multiply_adds / 1e9:.3f} B", f"{cost.weight_bytes / 2**20:.1f} MiB",
            f"{cost.activation_bytes / 2**20:.1f} MiB",
        )  # fmt: skip
    anchors = network.output["box_deltas"].shape[1]
    console.print(table, f"{anchors:,} anchors, {config.model.num_classes} class logits each")
    return {
        "model": config.model.name,
        "image_size": list(config.model.image_size),
        "anchors": anchors,
        "parts": {part: dataclasses.asdict(cost) for part, cost in costs.items()},
    }


def check_data(config: Config, workdir: str) -> dict:
    """Reads every record of `data.train_records` and, if set, `data.eval_records`.

    Prints what they hold, what is broken, and whether anchors can reach the boxes; draws a page of
    training images, each beside the anchors that fit its boxes best.

    Returns:
      What <workdir>/check_data.json holds.
    """
    labels = labels_of(config.model)
    sets = {}
    for name in ("train", "eval"):
        key = f"{name}_records"
        if name == "train" or getattr(config.data, key):
            files = find_files(getattr(config.data, key), f"data.{key}")
            sets[name] = read_set(files, labels, f"data.{key}")
    report = report_on(sets, config)
    console.print(*report.tables)
    for sentence in report.sentences:
        console.print(f"• {sentence}", style="yellow", markup=False, highlight=False)
    if workdir:
        save_gallery(
            _anchor_pictures(config, sets["train"].images),
            os.path.join(workdir, "check_data.png"), list(labels.values()),
        )  # fmt: skip
    return report.summary


def _anchor_pictures(config: Config, images: Sequence[CheckedImage]) -> list[Picture]:
    """Pairs some training images, by seed, with the anchors that overlap their boxes most."""
    labels = labels_of(config.model)
    shown = [image for image in images if len(image.boxes)] or images
    rng = np.random.default_rng(config.train.seed)
    pictures = []
    for k in rng.permutation(len(shown))[:_GALLERY]:
        image = shown[k]
        found = network_boxes([image], config.model)
        overlaps, anchors = best_anchors(found.boxes, config.model)
        names, anchor_names = (
            [labels.get(i) or str(i) for i in ids.tolist()]
            for ids in (image.class_ids, found.class_ids)
        )
        scale = image_scales([image], config.model.image_size)
        pictures.append(
            Picture(
                image.source_id, read_image(image), image.boxes, names, anchors / scale,
                anchor_names, overlaps, "best anchors and their IoU",
            )
        )  # fmt: skip
    return pictures


def load_detector(config: Config, weights: str) -> Detector:
    """Builds the detector of a configuration with weights of a workdir or checkpoint."""
    network = build_network(config.model)
    console.print(str(load_weights(network, weights)), highlight=False)
    return Detector(network, config)


def checked_records(config: Config, key: str) -> list[str]:
    """Returns the shards of `data.<key>` after looking into them; see `check_records`."""
    what = f"data.{key}"
    files = find_files(getattr(config.data, key), what)
    every_record = count_records(files) < _CHECK_ALL_BELOW
    check_records(files, class_ids(config.model), every_record)
    return files
