"""Training: a run starts, or goes on, in its workdir."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from edet.config.loading import config_table
from edet.config.schema import Config
from edet.data.examples import count_records
from edet.data.lookup import describe_images
from edet.data.pipeline import make_train_dataset
from edet.data.reading import user_errors
from edet.evaluation.plots import plot_history
from edet.files import read_text, write_json
from edet.models.efficientdet import build_network, freeze
from edet.serving.detector import Detector
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
from edet.workflows.common import checked_records, console
from edet.workflows.evaluation import evaluate_detector


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
