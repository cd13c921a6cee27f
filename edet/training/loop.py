"""The training loop: steps looped in the graph, and between two inner loops the host's business."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.runtime.graphs import training_graphs
from edet.runtime.interruption import StopRequest, Workers
from edet.training.checkpoints import Checkpoints
from edet.training.log import METRICS, Reporter
from edet.training.recipe import Recipe
from edet.training.step import TrainingStep
from edet.training.variables import TrainingVariables

_LONGEST_INNER_LOOP = 10.0  # seconds; between SIGTERM and SIGKILL clouds leave 30


def make_inner_loop(
    strategy: tf.distribute.Strategy, variables: TrainingVariables, step: TrainingStep
) -> Callable[[Iterator, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Returns a graph that trains for some steps without coming back to Python.

    It takes the distributed iterator and the number n of steps, and returns the METRICS of each
    step, float32 [n, len(METRICS)], and the ids of its images, int64 [n, B]. Of several workers
    each sees its own images: B, dropped boxes and replaced images are this worker's.
    """

    def on_host(batch: dict[str, tf.Tensor], key: str) -> tf.Tensor:
        """Takes out of the batch what no device needs to see; this worker's replicas together."""
        return tf.concat(strategy.experimental_local_results(batch.pop(key)), axis=0)

    @tf.autograph.experimental.do_not_convert  # it takes seconds, and no step asks for it
    def on_replica(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        state, metrics = step(variables.read(), batch)
        variables.assign(state)
        return tf.stack([metrics.get(name, tf.zeros([])) for name in METRICS[:-2]])

    @tf.function
    def inner_loop(iterator: Iterator, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains some steps; returns their metrics [steps, metrics] and image ids [steps, B]."""
        metrics = tf.TensorArray(tf.float32, steps)
        images = tf.TensorArray(tf.int64, steps)
        for i in tf.range(steps):
            batch = next(iterator)
            images = images.write(i, on_host(batch, "image_ids"))
            counts = [on_host(batch, key) for key in ("num_dropped_boxes", "is_replaced")]
            counts = tf.stack([tf.reduce_sum(tf.cast(count, tf.float32)) for count in counts])
            result = strategy.run(on_replica, (batch,))
            result = strategy.experimental_local_results(result)[0]
            metrics = metrics.write(i, tf.concat([result, counts], 0))
        return metrics.stack(), images.stack()

    return inner_loop


def train(
    strategy: tf.distribute.Strategy,
    variables: TrainingVariables,
    step: TrainingStep,
    recipe: Recipe,
    batches: Iterator,
    checkpoints: Checkpoints,
    reporter: Reporter,
    name_images: Callable[[np.ndarray], list[str]],
    evaluate: Callable[[int, Callable[[], None]], bool] | None = None,
) -> None:
    """Trains until the recipe's last step, from wherever the variables are.

    Args:
      batches: iterator over the global batches, starting with that of the current step.
      name_images: names the images of a batch from their ids, for the non-finite guard.
      evaluate: called with the step after every `recipe.eval_every` steps, at the end, and first of
        all where the run goes on, for an evaluation that was broken off; says whether the training
        is over early. It calls its second argument often, which raises when the run is to stop.

    Raises:
      UserError: a loss or gradient is not finite; nothing is saved, so the last checkpoint stays.
      Stopped: Ctrl-C was pressed, and the step that is done is saved; Interrupted: SIGTERM or
        SIGHUP has come, or another worker has ended.
    """
    inner_loop = make_inner_loop(strategy, variables, step)
    workers = Workers(strategy)
    done, total = int(variables.step.numpy()), recipe.total_steps
    seconds = _LONGEST_INNER_LOOP  # of a step; the first inner loop is one step, and compiles

    def is_due(every: int) -> bool:
        return done == total or done % every == 0

    def save() -> None:
        reporter.flush()
        checkpoints.save()

    def is_over() -> bool:
        due = evaluate and done and is_due(recipe.eval_every)
        over = due and workers.mean(evaluate(done, lambda: stop.check(done)))[0]  # the chief knows
        return bool(over) or done == total

    with StopRequest() as stop, contextlib.ExitStack() as at_the_end:
        at_the_end.callback(reporter.flush)
        workers.check_same_step(done)
        while not is_over():
            stops, seconds = workers.mean(stop.is_made, seconds)
            if stops:
                save()
                raise stop.error(f" after step {done}, which is saved")
            count = _steps_until_due(done, recipe, seconds)
            with training_graphs(strategy):
                metrics, images, seconds = _take_steps(inner_loop, batches, count)
            _stop_if_not_finite(done, metrics, images, name_images, recipe.recipe)
            done += count
            reporter.add(done, metrics, images, seconds)
            if is_due(recipe.log_every):
                reporter.log()
            if is_due(recipe.save_every) or (evaluate and is_due(recipe.eval_every)):
                save()


def _steps_until_due(done: int, recipe: Recipe, seconds: float) -> int:
    """Returns how many steps of so many seconds one inner loop takes."""
    every = (recipe.log_every, recipe.save_every, recipe.eval_every)
    count = min(*(n - done % n for n in every), recipe.total_steps - done)
    return max(1, min(count, int(_LONGEST_INNER_LOOP / seconds)))


def _take_steps(
    inner_loop: Callable[[Iterator, tf.Tensor], tuple[tf.Tensor, tf.Tensor]], batches: Iterator,
    count: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, float]:  # fmt: skip
    """Returns the metrics [count] by name, the ids of the images [count, B], and seconds a step."""
    started = time.monotonic()
    values, images = (part.numpy() for part in inner_loop(batches, tf.constant(count)))
    seconds = (time.monotonic() - started) / count
    return dict(zip(METRICS, values.T, strict=True)), images, seconds


def _stop_if_not_finite(
    first_step: int,
    metrics: dict[str, np.ndarray],
    images: np.ndarray,
    name_images: Callable[[np.ndarray], list[str]],
    recipe: str,
) -> None:
    """The non-finite guard: the step has already refused the update, here the run ends."""
    finite = np.isfinite(metrics["total_loss"]) & np.isfinite(metrics["gradient_norm"])
    if finite.all():
        return
    bad = int(np.argmin(finite))
    shown = (*(name for name in METRICS[1:] if name.endswith("_loss")), "gradient_norm")
    parts = ", ".join(f"{name} {metrics[name][bad]:.6g}" for name in shown)
    names = ", ".join(name_images(images[bad]))
    # A rate alone would mean the paper's recipe.
    beside = f" (and train.recipe={recipe} beside it)" if recipe != "paper" else ""
    raise UserError(
        f"training stopped: step {first_step + bad} is not finite ({parts}; learning rate "
        f"{metrics['learning_rate'][bad]:.4g}) on {names}. The last checkpoint is "
        f"whole. Lower train.learning_rate{beside}, or look at these images' boxes with "
        "--mode=check_data."
    )
