"""Training: a run starts, or goes on, in its workdir."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from edet.config.loading import config_table
from edet.config.schema import Config
from edet.errors import UserError
from edet.evaluation.plots import plot_history
from edet.files import read_json, write_json
from edet.inference.detector import make_predictor
from edet.inference.predictor import of_pixels
from edet.input.ground_truth import describe_images
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.models.efficientdet import build_network, freeze
from edet.records.shards import RecordSet
from edet.runtime.devices import check_batch_size, is_tpu
from edet.runtime.interruption import Workers
from edet.runtime.memory import enough_memory, expected_memory
from edet.step_log import StepLog
from edet.training.checkpoints import Checkpoints
from edet.training.fusion_log import FusionLog
from edet.training.log import Reporter
from edet.training.loop import train as run_training
from edet.training.recipe import Recipe, resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables
from edet.weights.loading import holds_detector, load_weights
from edet.workdir import Workdir
from edet.workflows.common import checked_records, console, keep
from edet.workflows.evaluation import Evaluation


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
    records, recipe = _plan(config, workdir, strategy, evaluate_too)
    with workdir.owned("a training", is_chief):
        if is_chief:
            _announce(config, workdir, recipe)
        return _run(config, workdir, strategy, evaluate_too, records, recipe)


def _run(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, evaluate_too: bool,
    records: RecordSet, recipe: Recipe,
) -> dict:  # fmt: skip
    """Trains as planned in a workdir that this process owns."""
    is_chief = strategy.extended.should_checkpoint
    keras.utils.set_random_seed(config.train.seed)
    with strategy.scope():
        network = build_network(config.model, recipe.precision, recipe.batch_norm_momentum)
        freeze(network, config.train.freeze)
        variables = TrainingVariables(network)
    images = config.data.batch_size // strategy.num_replicas_in_sync
    memory = expected_memory(
        network, images, recipe.precision, recipe.micro_batches, recipe.remat, evaluate_too
    )
    console.print(memory.table())
    checkpoints = Checkpoints(workdir, variables, config.train.keep, is_chief)
    if checkpoints.restore_last(log=lambda why: console.print(why, style="yellow", markup=False)):
        step = int(variables.step.numpy())
        done = ", all there are to do" if step == recipe.total_steps else ""
        console.print(f"resuming from step {step} of {workdir}{done}", markup=False)
    elif config.train.init:
        report = load_weights(network, config.train.init)
        console.print(str(report), highlight=False, markup=False)
        variables.restart_averages()

    done = int(variables.step.numpy())
    fusion = FusionLog(network, workdir, done) if is_chief else None
    reporter = Reporter(workdir, done, recipe.total_steps, config.data.batch_size, is_chief, fusion)
    evaluate_at = None
    if evaluate_too:
        with strategy.scope():
            evaluated = build_network(config.model, recipe.precision)
        evaluate_at = _evaluation_during_training(
            config, workdir, strategy, evaluated, variables, checkpoints, reporter
        )
    batches = strategy.distribute_datasets_from_function(
        lambda context: make_train_dataset(config, records, context, skip_steps=done)
    )
    update = TrainingStep(network, tasks_of(config), recipe)
    with user_errors(records.files):
        run_training(
            strategy, variables, update, recipe, iter(batches), checkpoints, reporter,
            lambda ids: describe_images(records.files, ids), evaluate_at,
        )  # fmt: skip
    if not is_chief:
        return {}
    plot_history(workdir.history(), workdir.history_plot)
    steps = int(variables.step.numpy())
    summary = {"steps": steps, "best": checkpoints.best(), **reporter.summary()}
    return keep(workdir, "train_and_eval" if evaluate_too else "train", summary)


def _plan(
    config: Config, workdir: Workdir, strategy: tf.distribute.Strategy, evaluate_too: bool
) -> tuple[RecordSet, Recipe]:
    """Checks everything that can be checked beforehand; returns what is trained on, and how."""
    sizes = ["batch_size", "eval_batch_size"] if evaluate_too else ["batch_size"]
    check_batch_size(config, strategy.num_replicas_in_sync, sizes)
    records = checked_records(config, "train_records", for_training=True)
    if evaluate_too:
        checked_records(config, "eval_records", for_training=True)
    recipe = resolve_recipe(
        config,
        config.data.num_train_examples or records.num_records,
        _starts_from_detector(config, workdir),
        is_tpu(strategy),
    )
    refuse_fewer_steps(workdir, recipe.total_steps)
    return records, recipe


def _announce(config: Config, workdir: Workdir, recipe: Recipe) -> None:
    """Saves and prints what the run will do."""
    notes = workdir.prepare(config)
    write_json(workdir.recipe_file, dataclasses.asdict(recipe))
    console.print(config_table(config), recipe.table(config))
    for note in notes:
        console.print(f"changed since this run was started: {note}", style="yellow", markup=False)


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


def _evaluation_during_training(
    config: Config,
    workdir: Workdir,
    strategy: tf.distribute.Strategy,
    network: keras.Model,
    variables: TrainingVariables,
    checkpoints: Checkpoints,
    reporter: Reporter,
) -> Callable[[int, Callable[[], None]], None]:
    """Returns what the loop calls to evaluate the moving average and keep it if it is the best."""
    done = int(variables.step.numpy())
    # Later ones are of a past that is gone: a damaged checkpoint was skipped.
    evaluated = {row["step"] for row in workdir.evaluations() if row["step"] <= done}
    evaluations = StepLog(workdir.evaluations_file)
    predictor = make_predictor(of_pixels(network, config.model), config)
    evaluation = Evaluation(config, workdir, strategy, predictor)

    def evaluate_at(step: int, check: Callable[[], None]) -> None:
        """Evaluates after a step, unless that was done before the run was stopped."""
        if step in evaluated:  # before the run was stopped
            return
        variables.copy_averages_to(network)
        summary = evaluation.run({"step": step}, check)
        if not strategy.extended.should_checkpoint:
            return
        goal, value = summary.goal
        is_best = checkpoints.save_if_best(value, goal)
        metrics = {name: f"{value:.6f}" for name, value in summary.metrics.items()}
        evaluations.add([{"step": step} | metrics])
        reporter.evaluation(step, summary.metrics, summary.page)
        best = "  (best so far)" if is_best else ""
        console.print(f"step {step}  {summary.sentence}{best}")

    return evaluate_at
