"""Training: a run starts, or goes on, in its workdir."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import gc
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.checkpoint_files import step_of
from edet.config.loading import config_table, flat_settings
from edet.config.schema import Config, TrainConfig
from edet.config.unread import unread_settings
from edet.errors import UserError
from edet.evaluation.plots import plot_history
from edet.files import read_json, read_json_or, write_json
from edet.inference.detector import make_predictor
from edet.inference.predictor import of_pixels
from edet.input.ground_truth import describe_images
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.models.complexity import count_kept
from edet.models.efficientdet import build_network, freeze
from edet.records.shards import RecordSet
from edet.runtime.devices import check_batch_size, is_tpu
from edet.runtime.graphs import only_cpus, training_graphs
from edet.runtime.interruption import Workers
from edet.runtime.memory import (
    TO_TRAIN,
    ExpectedMemory,
    enough_memory,
    expected_memory,
    free_memory,
    shortage,
)
from edet.training.checkpoints import Checkpoints
from edet.training.fusion_log import FusionLog
from edet.training.log import Reporter
from edet.training.loggers import Logger, open_loggers
from edet.training.loop import make_inner_loop
from edet.training.loop import train as run_training
from edet.training.pace import Pace, measure_pace
from edet.training.recipe import Recipe, refuse_late_drops, resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables
from edet.weights.loading import holds_detector, load_weights
from edet.workdir import Workdir
from edet.workflows.common import checked_records, console, keep, warn
from edet.workflows.scoring import Evaluation, conditions
from edet.workflows.validation import Validation


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
    with Workers(strategy).watched(), enough_memory(TO_TRAIN):
        return _train(config, Workdir(workdir), strategy, evaluate_too)


def _train(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, evaluate_too: bool
) -> dict:
    is_chief, started = strategy.extended.should_checkpoint, time.monotonic()
    plan = _plan(config, workdir, strategy, evaluate_too)
    with workdir.owned("a training", is_chief):
        if config.train.minutes:
            plan = _fit_to_minutes(config, workdir, strategy, plan, started)
        if not workdir.checkpoint("last"):
            refuse_late_drops(plan.recipe)
        refuse_fewer_steps(workdir, plan.recipe.total_steps)
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
    memory = _foresee_memory(config, recipe, strategy, network, bool(eval_records))
    console.print(memory.table())
    checkpoints = Checkpoints(workdir, variables, config.train.keep, is_chief)
    goes_on = checkpoints.restore_last(log=warn)
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
    update = TrainingStep(network, tasks_of(config), recipe)
    with contextlib.closing(reporter), user_errors(records.files):
        evaluate_at = None
        if eval_records:
            with strategy.scope():
                evaluated = build_network(config.model, recipe.precision)
            predictor = make_predictor(of_pixels(evaluated, config.model), config)
            evaluation = Evaluation(config, workdir, strategy, predictor)
            measured_on = conditions(config, eval_records, recipe.precision)
            evaluate_at = Validation(
                evaluation, workdir, evaluated, variables, checkpoints, reporter, measured_on,
                goes_on, config.train.patience,
            )  # fmt: skip
        batches = _batches(config, strategy, records, done, recipe.total_steps)
        run_training(
            strategy, variables, update, recipe, batches, checkpoints, reporter,
            lambda ids: describe_images(records.files, ids), evaluate_at,
        )  # fmt: skip
    if not is_chief:
        return {}
    plot_history(workdir.history(), workdir.history_plot)
    steps = int(variables.step.numpy())
    best = checkpoints.best()
    summary = {"steps": steps, "best": best, **reporter.summary()}
    keep(workdir, "train_and_eval" if eval_records else "train", summary)
    told = f"step {best['step']} is the best; " if best else ""
    console.print(f"{told}{workdir.report_page} shows the run", markup=False, highlight=False)
    return summary


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


def _foresee_memory(
    config: Config, recipe: Recipe, strategy: tf.distribute.Strategy, network: keras.Model,
    evaluate_too: bool,
) -> ExpectedMemory:  # fmt: skip
    """Returns what the run is expected to need; warns where this machine has not as much.

    An accelerator whose memory is used up says so; a process on CPUs is killed.
    """
    images = config.data.batch_size // strategy.num_replicas_in_sync
    foresee = functools.partial(
        expected_memory, network, images, recipe.precision, evaluate_too=evaluate_too,
        optimizer=recipe.optimizer, kept=count_kept(network),
    )  # fmt: skip
    parts = {"micro_batches": recipe.micro_batches, "remat": recipe.remat}
    if only_cpus(strategy):
        is_mirrored = isinstance(strategy, tf.distribute.MirroredStrategy)
        devices = strategy.num_replicas_in_sync if is_mirrored else 1  # of this machine
        if why := shortage(foresee, free_memory(), devices, images, **parts):
            warn(why)
    return foresee(**parts)


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
    elif config.train.patience:
        raise UserError(
            f"train.patience is {config.train.patience}, which counts evaluations, and there are "
            "none; use --mode=train_and_eval, or set it to 0."
        )
    if not workdir.checkpoint("last"):  # a run that goes on keeps what it began with
        _refuse_what_learns_nothing(config.train)
    return _Plan(_recipe(config, workdir, strategy, records), records, eval_records)


def _refuse_what_learns_nothing(train: TrainConfig) -> None:
    if train.freeze and not train.init:
        raise UserError(
            f"train.freeze={list(train.freeze)} would keep random weights; give those to keep by "
            "train.init, or leave it out."
        )
    if train.optimizer == "adamw" and train.learning_rate == TrainConfig.learning_rate:
        raise UserError(
            f"train.optimizer=adamw with train.learning_rate={train.learning_rate}, which is the "
            "paper's for sgd; give one for AdamW beside it (train.recipe=modern has 0.0042)."
        )


def _recipe(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, records: RecordSet,
    steps: int = 0,
) -> Recipe:  # fmt: skip
    return resolve_recipe(
        config,
        config.data.num_train_examples or records.num_records,
        _starts_from_detector(config, workdir),
        is_tpu(strategy),
        steps,
    )


def _fit_to_minutes(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, plan: _Plan, started: float
) -> _Plan:
    """Returns the plan with as many steps as fit into `train.minutes`.

    A run that goes on keeps those of its first start: its learning rate follows them. Otherwise
    some steps of a network that is thrown away say how long one takes, so that the run itself is
    the one that `train.steps` would give, to the bit.
    """
    steps = _steps_of_first_start(config, workdir)
    if not steps:
        minutes = config.train.minutes
        console.print(f"measuring how many steps fit into {minutes:g} minutes")
        workers = Workers(strategy)
        pace = _pace(config, strategy, plan, workers)
        gc.collect()  # what was thrown away lies in a device's memory until then
        (spent,) = workers.mean(time.monotonic() - started)
        steps = pace.steps_within(60 * minutes - spent, minutes)
        console.print(
            f"{pace.step:.3g} s a step and {pace.start:.0f} s to the first: {steps} steps"
        )
    return plan._replace(recipe=_recipe(config, workdir, strategy, plan.records, steps))


def _pace(config: Config, strategy: tf.distribute.Strategy, plan: _Plan, workers: Workers) -> Pace:
    started = time.monotonic()
    network, variables = _trained(config, plan.recipe, strategy)
    _foresee_memory(config, plan.recipe, strategy, network, bool(plan.eval_records))
    update = TrainingStep(network, tasks_of(config), plan.recipe)
    with training_graphs(strategy), user_errors(plan.records.files):
        batches = _batches(config, strategy, plan.records)
        inner_loop = make_inner_loop(strategy, variables, update)
        return measure_pace(inner_loop, batches, started, workers)


def _steps_of_first_start(config: Config, workdir: Workdir) -> int:
    """Returns the steps that fitted into the same minutes when the run began; 0: it begins now."""
    if not workdir.checkpoint("last") or not tf.io.gfile.exists(workdir.recipe_file):
        return 0
    if workdir.config().train.minutes != config.train.minutes:
        return 0
    return read_json(workdir.recipe_file, "recipe", dict).get("total_steps", 0)


def _batches(
    config: Config, strategy: tf.distribute.Strategy, records: RecordSet, done: int = 0,
    total_steps: int | None = None,
) -> Iterator[dict[str, tf.Tensor]]:  # fmt: skip
    dataset = strategy.distribute_datasets_from_function(
        lambda context: make_train_dataset(config, records, context, done, total_steps)
    )
    with training_graphs(strategy):  # its functions, too
        return iter(dataset)


def _announce(config: Config, workdir: Workdir, recipe: Recipe) -> list[str]:
    """Saves and prints what the run will do; returns what has changed since its first start."""
    notes = workdir.prepare(config)
    write_json(workdir.recipe_file, dataclasses.asdict(recipe))
    console.print(config_table(config), recipe.table(config))
    for sentence in filter(None, [*unread_settings(config), recipe.low_rate_warning(config)]):
        warn(sentence)
    for note in notes:
        warn(f"changed since this run was started: {note}")
    return notes


def _note_start(workdir: Workdir, step: int, changed: list[str], memory: ExpectedMemory) -> None:
    """Adds this start of the run to those before it."""
    path = workdir.starts_file
    starts = []
    with contextlib.suppress(UserError):  # a damaged log is no reason not to train
        starts = read_json_or(path, "log", [])
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes"),
        "step": step, "changed": changed,
        "expected_memory": dataclasses.asdict(memory),
    }  # fmt: skip
    write_json(path, [*(starts if isinstance(starts, list) else []), start])


def refuse_fewer_steps(workdir: Workdir, wanted: int) -> None:
    """Raises UserError if a run has done more steps than it is asked for."""
    done = step_of(workdir.checkpoint("last")) or 0
    if done > wanted:
        raise UserError(
            f"{workdir} has done {done} steps, and train.steps (or epochs, or minutes) "
            f"asks for {wanted}; ask for more to go on, or use another --workdir."
        )


def _starts_from_detector(config: Config, workdir: Workdir) -> bool:
    """A run that goes on does not look at `train.init` again; it may be gone."""
    if workdir.checkpoint("last") and tf.io.gfile.exists(workdir.recipe_file):
        return read_json(workdir.recipe_file, "recipe", dict).get("finetuning", False)
    return bool(config.train.init) and holds_detector(config.train.init)
