"""Trains small networks on N replicas and saves every variable of each final state as float32.

  run_replicas.py '{"FILE": {"replicas": 2, "precision": "bfloat16", ...}, ...}'

The settings are those of `Case`, all optional. If TF_CONFIG is set, this process is one of several
workers with one replica each.
"""

import dataclasses
import json
import os
import sys
import tempfile

import numpy as np
import tensorflow as tf

from edet.config.recipes import RECIPES
from edet.config.schema import Config, replace
from edet.inference.predictor import Predictor
from edet.inference.run import make_dataset_predictor
from edet.input.pipeline import make_train_dataset
from edet.input.windows import make_eval_dataset
from edet.models.efficientnet import BACKBONES
from edet.records.schema import Example, encode_example
from edet.runtime.devices import make_strategy
from edet.training.checkpoints import Checkpoints
from edet.training.loop import METRICS, make_inner_loop
from edet.training.variables import TrainingVariables
from tests.graphs import run_graphs_as_traced
from tests.training.small import make_batch, seeded_network, small_config, small_step

BATCH = 8
# All end in a level of 2 x 2 cells: batch norm over fewer than 32 numbers would blow the last
# digit's rounding up by a thousand in some steps. "d0" is D0 in small: squeeze and excitation,
# swish, drop connect, five levels; "d0-deep" has its three cells and head convolutions, too.
BACKBONES["efficientnet-tiny"] = (0.35, 0.3)
SHAPES = {
    "small": {"image_size": (64, 64)},
    "d0": {
        "image_size": (192, 192), "max_level": 7, "backbone": "efficientnet-tiny",
        "activation": "swish",
    },
    "d0-deep": {
        "image_size": (192, 192), "max_level": 7, "backbone": "efficientnet-tiny",
        "activation": "swish", "pyramid_repeats": 3, "head_repeats": 3,
    },
}  # fmt: skip


@dataclasses.dataclass
class Case:
    """What is trained, and on what."""

    replicas: int = 1  # logical devices of this process
    shape: str = "small"  # of SHAPES
    precision: str = "float32"
    micro_batches: int = 1
    remat: bool = False
    losses: str = "paper"  # of this recipe
    records: str = ""  # TFRecords; empty: random pictures
    augment: bool = False
    steps: int = 8


def main(cases: dict[str, Case]) -> None:
    """Runs the cases one after the other; all strategies must be there before the first."""
    counts = sorted({case.replicas for case in cases.values()})
    strategies = {count: _strategy(count) for count in counts}
    for path, case in cases.items():
        train(path, case, strategies[case.replicas])


def train(path: str, case: Case, strategy: tf.distribute.Strategy) -> None:
    config = small_config(
        model=SHAPES[case.shape], data={"batch_size": BATCH},
        train={
            "learning_rate": 0.01, "clip_norm": 0.1, "precision": case.precision,
            "remat": case.remat, "micro_batches": case.micro_batches,
        },
    )  # fmt: skip
    config = replace(config, loss=RECIPES[case.losses].get("loss", {}))
    if not case.augment:
        still = {"horizontal_flip": False, "jitter_min": 1.0, "jitter_max": 1.0}
        config = replace(config, augment=still)
    with strategy.scope():
        network = seeded_network(config, case.precision)
        variables = TrainingVariables(network)
    step = small_step(network, config)
    inner_loop = make_inner_loop(strategy, variables, step)
    dataset = strategy.distribute_datasets_from_function(
        lambda context: batches(context, config, case)
    )
    values, _ = inner_loop(iter(dataset), tf.constant(case.steps))
    norms = values.numpy()[:, METRICS.index("gradient_norm")]
    found = {"clipped": str((norms > config.train.clip_norm).all()).lower()}
    with tempfile.TemporaryDirectory() as folder:  # what every replica gets back is compared
        checkpoints = Checkpoints(folder, variables, keep=1)
        checkpoints.save()
        for variable in variables.averages:
            variable.assign(tf.zeros_like(variable))
        assert checkpoints.restore_last()
    raw = [variable.value for variable in network.variables]
    for variable in [*raw, *variables.averages, *variables.velocities]:
        first, *others = strategy.experimental_local_results(variable)
        for other in others:
            np.testing.assert_array_equal(other, first, err_msg=variable.name)
    for name, group in variables.by_name().items():
        if name != "step":
            for variable_path, variable in group.items():
                value = strategy.experimental_local_results(variable)[0]
                found[f"{name}/{variable_path}"] = tf.cast(value, tf.float32).numpy()
    np.savez(path, detected=_detected_images(strategy), **found)


class BrightnessHead:
    """Stands in for a head whose network would take its time."""

    def __call__(self, outputs: dict, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": outputs["brightness"] * scales[:, 0]}


def _detected_images(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Scores of five images in steps of four: what this process gets to see of them, by number.

    Image k is 8 x 8 pixels of brightness k, which are enlarged ten times.
    """
    config = replace(Config(), model={"image_size": 80})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "five.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for k in range(5):
                encoded = tf.io.encode_png(tf.fill([8, 8, 3], tf.constant(k, tf.uint8))).numpy()
                example = Example(encoded, str(k), np.zeros((0, 4)), np.zeros(0, int), 8, 8)
                writer.write(encode_example(example, {}))
        network = lambda pixels: {"brightness": tf.reduce_mean(pixels, [1, 2, 3])}  # noqa: E731
        predictor = Predictor(network, {"brightness": BrightnessHead()}, config.model)
        run = make_dataset_predictor(strategy, predictor)
        batches = strategy.distribute_datasets_from_function(
            lambda context: make_eval_dataset(config.model, [path], 4, context)
        )
        found = list(run(batches))
    index = np.concatenate([batch["image_index"] for batch in found])
    return np.concatenate([batch["scores"] for batch in found])[np.argsort(index)]


def _strategy(replicas: int) -> tf.distribute.Strategy:
    if "TF_CONFIG" in os.environ:
        return make_strategy("multi_worker")
    return make_strategy("cpu" if replicas == 1 else "mirrored", devices=replicas)


def batches(context: tf.distribute.InputContext, config: Config, case: Case) -> tf.data.Dataset:
    """The same global batches, whatever the number of replicas and workers."""
    if case.records:
        whole = make_train_dataset(config, [case.records])
    else:
        side = config.model.image_size
        made = [_random_batch(seed, side) for seed in range(case.steps)]
        rows = {name: tf.concat([batch[name] for batch in made], 0) for name in made[0]}
        whole = tf.data.Dataset.from_tensor_slices(rows).batch(BATCH, drop_remainder=True).repeat()
    first, size = (
        number * BATCH // context.num_input_pipelines for number in (context.input_pipeline_id, 1)
    )
    own = whole.map(lambda batch: {name: x[first : first + size] for name, x in batch.items()})
    per_replica = context.get_per_replica_batch_size(BATCH)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    return own.unbatch().batch(per_replica, drop_remainder=True).apply(endless)


def _random_batch(seed: int, side: tuple[int, int]) -> dict[str, tf.Tensor]:
    return make_batch(seed, BATCH, side) | {
        "image_ids": tf.range(BATCH, dtype=tf.int64),
        "num_dropped_boxes": tf.zeros(BATCH, tf.int32),
        "is_replaced": tf.zeros(BATCH, tf.bool),
    }


if __name__ == "__main__":
    run_graphs_as_traced()
    main({file: Case(**settings) for file, settings in json.loads(sys.argv[1]).items()})
