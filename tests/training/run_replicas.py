"""Runs six training steps on N logical devices and saves every variable: run_replicas.py N FILE."""

import sys

import numpy as np
import tensorflow as tf

from edet.training.loop import METRICS, make_stretch
from edet.training.step import TrainingStep
from edet.training.strategy import make_strategy
from edet.training.variables import TrainingVariables
from tests.training.small import make_batch, seeded_network, small_config, small_recipe

STEPS, BATCH, SIDE = 6, 8, (96, 96)


def main(replicas: int, path: str) -> None:
    strategy = make_strategy("cpu" if replicas == 1 else "mirrored", devices=replicas)
    # The coarsest level has 2 x 2 cells: batch norm over fewer than 32 numbers would blow the last
    # digit's rounding up by a thousand in six steps.
    config = small_config(
        model={"image_size": SIDE, "max_level": 6}, data={"batch_size": BATCH},
        train={"learning_rate": 0.01},
    )  # fmt: skip
    with strategy.scope():
        network = seeded_network(config)
        variables = TrainingVariables(network)
    step = TrainingStep(network, config, small_recipe(config))
    stretch = make_stretch(strategy, variables, step)
    values, _ = stretch(iter(strategy.distribute_datasets_from_function(make_dataset)), STEPS)
    norms = values.numpy()[:, METRICS.index("gradient_norm")]
    found = {"clipped": str((norms > config.train.clip_norm).all()).lower()}
    for name, group in variables.by_name().items():
        if name != "step":
            for variable_path, variable in group.items():
                copies = [copy.numpy() for copy in strategy.experimental_local_results(variable)]
                for copy in copies[1:]:
                    np.testing.assert_array_equal(copy, copies[0], err_msg=variable_path)
                found[f"{name}/{variable_path}"] = copies[0]
    np.savez(path, **found)


def make_dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
    """The same six global batches, whatever the number of replicas."""
    per_replica = context.get_per_replica_batch_size(BATCH)
    batches = [make_batch(seed, BATCH, SIDE) for seed in range(STEPS)]
    rows = {name: tf.concat([batch[name] for batch in batches], 0) for name in batches[0]}
    count = STEPS * BATCH
    rows |= {
        "image_ids": tf.range(count, dtype=tf.int64),
        "num_dropped_boxes": tf.zeros(count, tf.int32),
        "is_replaced": tf.zeros(count, tf.bool),
    }
    return tf.data.Dataset.from_tensor_slices(rows).batch(per_replica, drop_remainder=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
