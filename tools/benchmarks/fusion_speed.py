"""Times softmax against fast normalised fusion: the speed-up of the paper's Table 6, taken apart.

  python tools/fusion_speed.py --models=efficientdet-d0,efficientdet-d1,efficientdet-d2 \\
      --rounds=9 --output=docs/paper/fusion_speed.json

For each model the contenders take turns, round by round, so that what else the machine does meets
all of them. Timed are a training step, the network, and the network as it is exported:

    fast      relu(w) / sum, as `model.fusion=fast`
    softmax   softmax(w), as `model.fusion=softmax`; the feature maps are added one by one
    stacked   softmax(w) as the paper's authors compute it: the n feature maps are stacked to
              [B, H, W, C, n], multiplied and summed over n, which moves every map through memory
              once more

Speed-ups are medians over the rounds of (this / fast), with quartiles.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from edet.cli.common import run
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.export.fold import fold
from edet.files import write_json
from edet.models.efficientdet import build_network
from edet.models.pyramid import WeightedFusion
from edet.training.recipe import resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables

FUSIONS = ("fast", "softmax", "stacked")
PHASES = ("infer", "folded", "train")

Call = Callable[[], None]


class StackedFusion(WeightedFusion):
    """Softmax fusion over a new last axis instead of one input after another."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Maps n tensors [B, H, W, C] to one of the same shape."""
        return tf.reduce_sum(tf.stack(inputs, -1) * self.normalized_weights(), -1)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_list(
        "models", ["efficientdet-d0", "efficientdet-d1", "efficientdet-d2"], "Names of models.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer("image_size", 0, "Side of the input; 0: each model's own.",
                         lower_bound=0, flag_values=values)  # fmt: skip
    flags.DEFINE_integer("batch", 1, "Images at once.", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("rounds", 15, "Turns of each contender.", lower_bound=2,
                         flag_values=values)  # fmt: skip
    flags.DEFINE_string("output", "", "JSON file to write, beside the table.", flag_values=values)


def fusion_speed(options: flags.FlagValues) -> None:
    """Measures every model, prints a table and writes the JSON if one is asked for."""
    result = {"machine": platform.machine(), "cores": os.cpu_count(),
              "devices": [d.device_type for d in tf.config.list_logical_devices()],
              "batch": options.batch, "rounds": options.rounds, "models": {}}  # fmt: skip
    for name in options.models:
        keras.backend.clear_session()
        size = [f"model.image_size={options.image_size}"] if options.image_size else []
        config = load_config(name, overrides=[*size, f"data.batch_size={options.batch}"])
        found = measure(config, options.rounds)
        result["models"][name] = {"image_size": list(config.model.image_size)} | found
        if options.output:
            write_json(options.output, result)
        print(table(name, found), flush=True)


def measure(config: Config, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Returns {phase: {fusion: milliseconds, quartiles of the ratio to "fast"}}."""
    contenders = {fusion: _calls(config, fusion) for fusion in FUSIONS}
    result = {}
    for phase in PHASES:
        calls = {fusion: contenders[fusion][phase] for fusion in FUSIONS}
        times = _in_turns(calls, rounds)
        result[phase] = {}
        for fusion, milliseconds in times.items():
            low, middle, high = np.percentile(milliseconds / times["fast"], [25, 50, 75])
            result[phase][fusion] = {
                "milliseconds": round(float(np.median(milliseconds)), 2),
                "ratio": round(float(middle), 4),
                "quartiles": [round(float(low), 4), round(float(high), 4)],
            }
    return result


def _calls(config: Config, fusion: str) -> dict[str, Call]:
    """Returns what is timed, by phase; each call ends when its result is there."""
    size, batch = config.model.image_size, config.data.batch_size
    setting = "softmax" if fusion == "stacked" else fusion
    model = dataclasses.replace(config.model, fusion=setting)
    keras.utils.set_random_seed(0)
    network = build_network(model)
    if fusion == "stacked":
        network = _stacked(network)
    images = tf.random.stateless_uniform([batch, *size, 3], [0, 0], maxval=256, dtype=tf.int32)
    data = {
        "images": tf.cast(images, tf.uint8),
        "gt_boxes": tf.tile([[[0.2, 0.2, 0.6, 0.6]] * 10], [batch, 1, 1]) * size[0],
        "gt_classes": tf.ones([batch, 10], tf.int32),
    }
    pixels = tf.random.stateless_normal([batch, *size, 3], [0, 0])
    recipe = resolve_recipe(config, num_examples=1000 * batch)
    variables = TrainingVariables(network, recipe.optimizer)
    step = TrainingStep(network, tasks_of(config), recipe)

    @tf.function(autograph=False)
    def train() -> tf.Tensor:
        state, metrics = step(variables.read(), data)
        variables.assign(state)
        return metrics["total_loss"]

    infer = tf.function(lambda: network(pixels, training=False), autograph=False)
    for_export = fold(network)
    folded = tf.function(lambda: for_export(pixels, training=False), autograph=False)
    return {
        "train": lambda: train().numpy(),
        "infer": lambda: [value.numpy() for value in infer().values()],
        "folded": lambda: [value.numpy() for value in folded().values()],
    }


def _stacked(network: keras.Model) -> keras.Model:
    """Returns the network with every softmax fusion computed as the authors do."""

    def call(layer: keras.layers.Layer, *args, **kwargs):
        if isinstance(layer, WeightedFusion):
            layer = StackedFusion(layer.method, name=layer.name)
        return layer(*args, **kwargs)

    stacked = keras.models.clone_model(network, clone_function=lambda x: x, call_function=call)
    stacked.model_config = network.model_config
    return stacked


def _in_turns(calls: dict[str, Call], rounds: int) -> dict[str, np.ndarray]:
    """Returns {name: milliseconds [rounds]}; who begins changes, and two rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds + 2):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            calls[name]()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(values[2:]) for name, values in times.items()}


def table(name: str, found: dict) -> str:
    """Returns the figures of a model as Markdown."""
    lines = [f"| {name} | ms: fast | ms: softmax | softmax / fast | ms: stacked | stacked / fast |",
             "|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    for phase in PHASES:
        cells = [f"{found[phase]['fast']['milliseconds']:.1f}"]
        for fusion in FUSIONS[1:]:
            row = found[phase][fusion]
            low, high = row["quartiles"]
            cells += [f"{row['milliseconds']:.1f}", f"{row['ratio']:.3f} ({low:.3f}-{high:.3f})"]
        lines.append(f"| {phase} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(define_flags, fusion_speed)
