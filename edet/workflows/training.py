"""Training: a run starts, or goes on, in its workdir."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from edet.config.loading import config_table, flat_settings
from edet.config.schema import Config
from edet.errors import UserError
from edet.evaluation.plots import plot_history
from edet.files import read_json, read_json_or, write_json
from edet.inference.detector import make_predictor
from edet.inference.predictor import of_pixels
from edet.input.ground_truth import describe_images
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.models.efficientdet import build_network, freeze
from edet.records.shards import RecordSet
from edet.report.page import write_page
from edet.runtime.devices import check_batch_size, is_tpu
from edet.runtime.graphs import only_cpus
from edet.runtime.interruption import Workers
from edet.runtime.memory import ExpectedMemory, enough_memory, expected_memory
from edet.step_log import StepLog
from edet.training.checkpoints import Checkpoints
from edet.training.fusion_log import FusionLog
from edet.training.log import Reporter
from edet.training.loggers import Logger, open_loggers
from edet.training.loop import train as run_training
from edet.training.recipe import Recipe, resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables
from edet.weights.loading import holds_detector, load_weights
from edet.workdir import Workdir
from edet.workflows.common import checked_records, console, keep
from edet.workflows.evaluation import Evaluation, conditions

_CONDITIONS = "conditions_crc32"  # column of evaluations.csv; of what best.json has in full


def train(
    config: Config, workdir: str, strategy: tf.distribute.Strategy, evaluate_too: bool = False
) -> dict:
    """Trains in a workdir, or goes on with the training that stopped there.

    Weights come from, in this order: the workdir's last checkpoint, `train.init`, a seeded start.

    Args:
      config: the experiment.
      workdir: folder of the run.
      strategy: from `runtime.devices.make_strategy`.
      evaluate_too: evaluates the moving average every `train.eval_every` steps and at the end, and
        keeps the checkpoint with the best AP (mIOU, or their sum).

    Returns:
      What <workdir>/<mode>.json holds: steps, the best evaluation, images per second. Of several
      workers only the chief writes and returns anything.

    Raises:
      Interrupted: SIGTERM or SIGHUP has come, or another worker is gone; KeyboardInterrupt: Ctrl-C
        was pressed. What was trained is saved, and the same call goes on.
      UserError: the data or settings are at fault, another training runs in the workdir, or a
        device has too little memory.
      StorageError: a file cannot be read or written now; the same call goes on.
    """
    with Workers(strategy).watched(), enough_memory():
        return _train(config, Workdir(workdir), strategy, evaluate_too)


def _train(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, evaluate_too: bool
) -> dict:
    is_chief = strategy.extended.should_checkpoint
    plan = _plan(config, workdir, strategy, evaluate_too)
    with workdir.owned("a training", is_chief):
        changed = _announce(config, workdir, plan.recipe) if is_chief else []
        return _run(config, workdir, strategy, plan, changed)


class _Plan(NamedTuple):
    recipe: Recipe
    records: RecordSet
    eval_records: RecordSet | None  # to evaluate on while training


def _run(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, plan: _Plan,
    changed: list[str],
) -> dict:  # fmt: skip
    """Trains as planned in a workdir that this process owns."""
    recipe, records, eval_records = plan
    is_chief = strategy.extended.should_checkpoint
    keras.utils.set_random_seed(config.train.seed)
    network, variables = _trained(config, recipe, strategy)
    images = config.data.batch_size // strategy.num_replicas_in_sync
    memory = expected_memory(
        network, images, recipe.precision, recipe.micro_batches, recipe.remat, bool(eval_records),
        recipe.optimizer,
    )  # fmt: skip
    console.print(memory.table())
    checkpoints = Checkpoints(workdir, variables, config.train.keep, is_chief)
    goes_on = checkpoints.restore_last(log=_warn)
    done = int(variables.step.numpy())
    if goes_on:
        end = ", all there are to do" if done == recipe.total_steps else ""
        console.print(f"resuming from step {done} of {workdir}{end}", markup=False)
    elif config.train.init:
        report = load_weights(network, config.train.init)
        console.print(str(report), highlight=False, markup=False)
        variables.restart_averages()
    if is_chief:
        _note_start(workdir, done, changed, memory)
    fusion = FusionLog(network, workdir, done) if is_chief else None
    reporter = Reporter(
        workdir, done, recipe.total_steps, config.data.batch_size, is_chief, fusion,
        _loggers(config, workdir) if is_chief else [],
    )  # fmt: skip
    evaluate_at = None
    if eval_records:
        with strategy.scope():
            evaluated = build_network(config.model, recipe.precision)
        predictor = make_predictor(of_pixels(evaluated, config.model), config)
        evaluation = Evaluation(config, workdir, strategy, predictor)
        measured_on = conditions(config, eval_records, recipe.precision)
        evaluate_at = _Evaluations(
            evaluation, workdir, evaluated, variables, checkpoints, reporter, measured_on, goes_on
        )
    batches = strategy.distribute_datasets_from_function(
        lambda context: make_train_dataset(config, records, context, skip_steps=done)
    )
    update = TrainingStep(network, tasks_of(config), recipe)
    with contextlib.closing(reporter), user_errors(records.files):
        run_training(
            strategy, variables, update, recipe, iter(batches), checkpoints, reporter,
            lambda ids: describe_images(records.files, ids), evaluate_at,
        )  # fmt: skip
    if not is_chief:
        return {}
    plot_history(workdir.history(), workdir.history_plot)
    steps = int(variables.step.numpy())
    summary = {"steps": steps, "best": checkpoints.best(), **reporter.summary()}
    return keep(workdir, "train_and_eval" if eval_records else "train", summary)


def _trained(
    config: Config, recipe: Recipe, strategy: tf.distribute.Strategy
) -> tuple[keras.Model, TrainingVariables]:
    """Returns the network that is trained, and the state of its training, before any step."""
    with strategy.scope():
        network = build_network(
            config.model, recipe.precision, recipe.batch_norm_momentum, only_cpus(strategy)
        )
        freeze(network, config.train.freeze)
        return network, TrainingVariables(network, recipe.optimizer)


def _loggers(config: Config, workdir: Workdir) -> list[Logger]:
    name = os.path.basename(os.path.normpath(workdir.path))
    return open_loggers(config.train.loggers, name, flat_settings(config))


def _plan(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, evaluate_too: bool
) -> _Plan:
    """Checks everything that can be checked beforehand; returns what is trained on, and how."""
    sizes = ["batch_size", "eval_batch_size"] if evaluate_too else ["batch_size"]
    check_batch_size(config, strategy.num_replicas_in_sync, sizes)
    records = checked_records(config, "train_records", for_training=True)
    eval_records = None
    if evaluate_too:
        eval_records = checked_records(config, "eval_records", for_training=True)
    recipe = resolve_recipe(
        config,
        config.data.num_train_examples or records.num_records,
        _starts_from_detector(config, workdir),
        is_tpu(strategy),
    )
    refuse_fewer_steps(workdir, recipe.total_steps)
    return _Plan(recipe, records, eval_records)


def _announce(config: Config, workdir: Workdir, recipe: Recipe) -> list[str]:
    """Saves and prints what the run will do; returns what has changed since its first start."""
    notes = workdir.prepare(config)
    write_json(workdir.recipe_file, dataclasses.asdict(recipe))
    console.print(config_table(config), recipe.table(config))
    for note in notes:
        console.print(f"changed since this run was started: {note}", style="yellow", markup=False)
    return notes


def _note_start(workdir: Workdir, step: int, changed: list[str], memory: ExpectedMemory) -> None:
    """Adds this start of the run to those before it."""
    path = workdir.starts_file
    starts = read_json_or(path, "log", [])
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes"),
        "step": step, "changed": changed,
        "expected_memory": dataclasses.asdict(memory),
    }  # fmt: skip
    write_json(path, [*starts, start])


def refuse_fewer_steps(workdir: Workdir, wanted: int) -> None:
    """Raises UserError if a run has done more steps than it is asked for."""
    last = workdir.checkpoint("last")
    done = int(last.rpartition("-")[2]) if last else 0
    if done > wanted:
        raise UserError(
            f"{workdir} has done {done} steps, and train.steps or train.epochs asks for {wanted}; "
            "ask for more to go on, or use another --workdir."
        )


def _starts_from_detector(config: Config, workdir: Workdir) -> bool:
    """A run that goes on does not look at `train.init` again; it may be gone."""
    if workdir.checkpoint("last") and tf.io.gfile.exists(workdir.recipe_file):
        return read_json(workdir.recipe_file, "recipe").get("finetuning", False)
    return bool(config.train.init) and holds_detector(config.train.init)


def _warn(why: str) -> None:
    console.print(why, style="yellow", markup=False)


class _Evaluations:
    """What the loop calls to evaluate the moving average, and to keep it if it is the best.

    Args:
      evaluation: of `network`.
      network: gets the averages of `variables`.
      measured_on: see `conditions`.
      goes_on: whether the run goes on from a checkpoint, or begins.
    """

    def __init__(
        self, evaluation: Evaluation, workdir: Workdir, network: keras.Model,
        variables: TrainingVariables, checkpoints: Checkpoints, reporter: Reporter,
        measured_on: dict[str, Any], goes_on: bool,
    ):  # fmt: skip
        self._evaluation, self._network, self._variables = evaluation, network, variables
        self._workdir = workdir
        self._checkpoints, self._reporter, self._measured_on = checkpoints, reporter, measured_on
        self._log = StepLog(workdir.evaluations_file)
        self._crc32 = zlib.crc32(json.dumps(measured_on, sort_keys=True).encode())
        done = int(variables.step.numpy())
        # Later ones are of a past that is gone: a damaged checkpoint was skipped.
        self._evaluated = {
            row["step"]
            for row in workdir.evaluations()
            if row["step"] <= done and row.get(_CONDITIONS) == self._crc32
        }
        self._best_before = checkpoints.best_to_measure_again(measured_on, goes_on, _warn)

    def __call__(self, step: int, check: Callable[[], None]) -> None:
        """Evaluates after a step, unless that was done before the run was stopped."""
        if self._best_before not in (None, step):
            self._measure_best_again(self._best_before, check)
        self._best_before = None
        if step in self._evaluated:
            return
        self._variables.copy_averages_to(self._network)
        summary = self._evaluation.run({"step": step}, check)
        goal, value = summary.goal
        is_best = self._checkpoints.save_if_best(value, goal, self._measured_on)
        if not self._reporter.is_chief:
            return
        metrics = {name: f"{value:.6f}" for name, value in summary.metrics.items()}
        self._log.add([{"step": step} | metrics | {_CONDITIONS: self._crc32}])
        self._reporter.evaluation(step, summary.metrics, summary.page)
        write_page(self._workdir)
        best = "  (best so far)" if is_best else ""
        console.print(f"step {step}  {summary.sentence}{best}")

    def _measure_best_again(self, step: int, check: Callable[[], None]) -> None:
        load_weights(self._network, self._checkpoints.best_path(step))
        summary = self._evaluation.run({"step": step}, check)
        goal, value = summary.goal
        self._checkpoints.score_best(step, value, goal, self._measured_on)
        console.print(f"step {step}, the best so far, again  {summary.sentence}")
