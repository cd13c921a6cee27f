"""From a configuration to the HLO of its step, lowered for TPU as under TPUStrategy, without one.

The training step and the Predictor are those of edet itself; only the strategy is a stand-in. It
gives the step what TPUStrategy gives: the number of replicas, the index of this one as a tensor,
and a sum over replicas that is an all-reduce on the chips' own network.

To be used in a process of its own: the wheel tensorflow-tpu loads libtpu, and so does the compiler
in `compile.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from tensorflow.python.distribute import distribute_lib, one_device_strategy
from tensorflow.python.tpu.ops import tpu_ops

from edet.config.schema import Config
from edet.inference.predictor import Predictor, heads_of, of_pixels
from edet.models.efficientdet import build_network, freeze
from edet.training.recipe import Recipe, resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import tasks_of
from edet.training.variables import TrainingVariables

Specs = Any  # a nest of tf.TensorSpec
_EXAMPLES = 118_287  # images of COCO train2017; the recipe's numbers are constants in the step


class Emitted(NamedTuple):
    """A step as the compiler takes it."""

    hlo: bytes  # a serialised HloModuleProto
    donated: list[tuple[int, int]]  # (argument, result) that may share their memory
    precision: str  # of activations
    layers: list[str]  # names of the network's layers


class _Extended(one_device_strategy.OneDeviceExtended):
    """One replica of many: sums go over all of them."""

    def __init__(self, strategy: tf.distribute.Strategy, replicas: int):
        super().__init__(strategy, "/cpu:0")
        self.replicas = replicas

    @property
    def _num_replicas_in_sync(self) -> int:
        return self.replicas

    def _use_merge_call(self) -> bool:
        return False

    def _replica_ctx_all_reduce(self, reduce_op, value, options=None):
        if reduce_op != tf.distribute.ReduceOp.SUM:
            raise NotImplementedError(f"the step asked for {reduce_op}; only sums are lowered.")
        group = [list(range(self.replicas))]
        return tf.nest.map_structure(lambda x: tpu_ops.cross_replica_sum(x, group), value)


class ReplicaOfTpu(tf.distribute.Strategy):
    """Stands in for TPUStrategy, which cannot be made without a TPU."""

    def __init__(self, replicas: int):
        super().__init__(_Extended(self, replicas))

    def run_replica(self, function: Callable, replica: tf.Tensor, *args):
        """Traces a function in the replica context of one replica, whose index is a tensor."""
        with self.scope(), distribute_lib.ReplicaContext(self, replica):
            return function(*args)


def emit(config: Config, step: str, replicas: int) -> Emitted:
    """Lowers one step of a replica for TPU.

    Args:
      config: the batch size of the step is that of all replicas.
      step: "train" or "eval".
      replicas: TPU cores that share the batch.
    """
    recipe = resolve_recipe(config, config.data.num_train_examples or _EXAMPLES, on_tpu=True)
    network = build_network(config.model, recipe.precision, recipe.batch_norm_momentum)
    if step == "train":
        function, donated, given = _training(network, config, recipe, replicas)
    else:
        function, donated, given = evaluation(network, config, replicas)
    strategy = ReplicaOfTpu(replicas)
    arguments = (donated, given, tf.TensorSpec([], tf.int32))
    flat = tf.nest.flatten(arguments)

    @tf.function(jit_compile=True, input_signature=flat)
    def replica_step(*values):
        donated, given, replica = tf.nest.pack_sequence_as(arguments, values)
        return strategy.run_replica(function, replica, donated, *given)

    lower = replica_step.experimental_get_compiler_ir(*flat)
    hlo = lower(stage="hlo_serialized", platform_name="TPU")
    pairs = [(place, place) for place in range(len(tf.nest.flatten(donated)))]
    return Emitted(hlo, pairs, recipe.precision, [layer.name for layer in network.layers])


def _training(
    network: keras.Model, config: Config, recipe: Recipe, replicas: int
) -> tuple[Callable, Specs, Specs]:
    """Returns the function, what it takes and gives back updated, and what else it takes."""
    freeze(network, config.train.freeze)
    state = tf.nest.map_structure(
        lambda value: tf.TensorSpec(value.shape, value.dtype),
        TrainingVariables(network, recipe.optimizer).read(),
    )
    batch = training_batch(config, config.data.batch_size // replicas)
    return TrainingStep(network, tasks_of(config), recipe), state, (batch,)


def training_batch(config: Config, images: int) -> dict[str, tf.TensorSpec]:
    """Returns what the training step gets of `input.pipeline`, for some images of one replica."""
    model, boxes = config.model, config.data.max_boxes
    batch = {"images": tf.TensorSpec([images, *model.image_size, 3], tf.uint8)}
    if model.detects:
        batch["gt_boxes"] = tf.TensorSpec([images, boxes, 4], tf.float32)
        batch["gt_classes"] = tf.TensorSpec([images, boxes], tf.int32)
    if model.segments:
        batch["gt_masks"] = tf.TensorSpec([images, *model.image_size], tf.uint8)
    return batch


def evaluation(
    network: keras.Model, config: Config, replicas: int
) -> tuple[Callable, Specs, Specs]:
    """As `_training`, of what the Predictor does with a batch on the device, with all heads."""
    predictor = Predictor(of_pixels(network, config.model), heads_of(config), config.model)
    weights = [tf.TensorSpec(variable.shape, variable.dtype) for variable in network.variables]
    batch = evaluation_batch(config, config.data.eval_batch_size // replicas)

    def predict(_, weights, batch):
        # The compiler takes no variables from TensorFlow, so they are arguments.
        with keras.StatelessScope(zip(network.variables, weights, strict=True)):
            return predictor.step(batch)

    return predict, [], (weights, batch)


def evaluation_batch(config: Config, images: int) -> dict[str, tf.TensorSpec]:
    """Returns what the evaluation step gets of `input.windows`, for some images of one replica."""
    return {
        "images": tf.TensorSpec([images, *config.model.image_size, 3], tf.float32),
        "image_scales": tf.TensorSpec([images, 2], tf.float32),
    }
