"""How much memory a training step needs on this machine's first device, beside what edet expects.

  python tools/measure_memory.py --models=efficientdet-d0,efficientdet-d2 --batch_size=4

For each model: as it is, with rematerialisation (train.remat), with micro-batches, and with both.
Two steps on random pictures each; measured is the peak of TensorFlow's allocator (where it keeps
none, of the process's memory: "measure") during the second, above what it held before: without
weights, velocities and averages.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Only oneDNN's allocator counts a CPU's memory, and TensorFlow leaves it off without AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import time

import numpy as np
import rich
import rich.table
import tensorflow as tf
from absl import flags

from edet.cli.common import run
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.files import write_json
from edet.models.efficientdet import build_network
from edet.runtime.devices import check_batch_size
from edet.runtime.memory import expected_memory, peak_memory
from edet.training.recipe import resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables

_REMAT = (False, True)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the tool."""
    flags.DEFINE_list("models", ["efficientdet-d0"], "Names of models.", flag_values=values)
    flags.DEFINE_integer("batch_size", 4, "Images of a step.", 1, flag_values=values)
    flags.DEFINE_list("micro_batches", ["2", "4"], "Numbers to try.", flag_values=values)
    flags.DEFINE_multi_string("set", [], "section.key=value.", flag_values=values)
    flags.DEFINE_string("output", "", "A JSON file for the figures.", flag_values=values)


def measure(options: flags.FlagValues) -> None:
    """Measures every setting of every model, and prints and writes a table."""
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    table = rich.table.Table(title=f"one training step of {options.batch_size} images, {device}")
    for heading in ("model", "remat", "micro-batches", "peak MiB", "expected MiB", "s a step"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    figures = []
    for model in options.models:
        for parts in (1, *map(int, options.micro_batches)):
            for remat in _REMAT:
                overrides = [
                    f"data.batch_size={options.batch_size}", f"train.remat={remat}",
                    f"train.micro_batches={parts}", *options.set,
                ]  # fmt: skip
                found = measure_step(load_config(model=model, overrides=overrides), device)
                figures.append({"model": model, "remat": remat, "micro_batches": parts} | found)
                table.add_row(
                    model, "yes" if remat else "no", str(parts), f"{found['peak_mib']:,.0f}",
                    f"{found['expected_mib']:,.0f}", f"{found['seconds']:.1f}",
                )  # fmt: skip
                print(figures[-1], flush=True)
    table.title += f"; {figures[0]['measure']}" if figures else ""
    if options.output:
        write_json(options.output, {"batch_size": options.batch_size, "steps": figures})
    rich.print(table)


def measure_step(config: Config, device: str) -> dict[str, float | str]:
    """Takes two steps and returns the second one's peak and time, and what was expected."""
    check_batch_size(config, replicas=1)
    recipe = resolve_recipe(config, num_examples=1000)
    network = build_network(config.model, recipe.precision, for_cpu=device.startswith("CPU"))
    variables = TrainingVariables(network, recipe.optimizer)
    step = TrainingStep(network, tasks_of(config), recipe)

    @tf.function(autograph=False)
    def update(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        state, metrics = step(variables.read(), batch)
        variables.assign(state)
        return metrics["total_loss"]

    batch = _random_batch(config.data.batch_size, config.model.image_size, config.data.max_boxes)
    update(batch).numpy()
    started = time.monotonic()
    peak, measure = peak_memory(lambda: update(batch).numpy(), device)
    seconds = time.monotonic() - started
    expected = expected_memory(
        network, config.data.batch_size, recipe.precision, recipe.micro_batches, recipe.remat,
        optimizer=recipe.optimizer,
    )  # fmt: skip
    return {
        "peak_mib": peak / 2**20,
        "expected_mib": (expected.total - expected.standing) / 2**20,
        "seconds": seconds,
        "measure": measure,
    }


def _random_batch(size: int, side: tuple[int, int], max_boxes: int) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    boxes = np.zeros((size, max_boxes, 4), np.float32)
    classes = np.full((size, max_boxes), -1, np.int32)
    count = min(8, max_boxes)
    first = rng.uniform(0, min(side) / 2, (size, count, 2))
    boxes[:, :count] = np.concatenate(
        [first, first + rng.uniform(8, min(side) / 2, first.shape)], -1
    )
    classes[:, :count] = 0
    return {
        "images": tf.constant(rng.integers(0, 256, (size, *side, 3), np.uint8)),
        "gt_boxes": tf.constant(boxes),
        "gt_classes": tf.constant(classes),
    }


if __name__ == "__main__":
    run(define_flags, measure)
