"""What a network costs, read from its graph: parameters, multiply-adds and activations by part.

Nothing is computed, so the largest model at its full size is counted in seconds and little memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from edet.models.efficientdet import PARTS, part_of
from edet.models.layers import DropConnect
from edet.models.rematerialization import calls_of, outputs_of_blocks


@dataclass(frozen=True)
class Cost:
    """The cost of a network, or of a part of it, for one image."""

    trainable_parameters: int
    other_parameters: int  # moving mean and variance of batch norm
    multiply_adds: int  # half of TensorFlow's float operations, as the paper's FLOPs
    activation_bytes: int  # outputs of all convolutions and resamplings together, float32

    @property
    def weight_bytes(self) -> int:
        """Size of the variables in float32."""
        return 4 * (self.trainable_parameters + self.other_parameters)


def count_cost(network: keras.Model) -> dict[str, Cost]:
    """Returns the cost of each part in PARTS, and of the whole as "total"."""
    trainable, other, float_operations, activations = (dict.fromkeys(PARTS, 0) for _ in range(4))
    for counter, variables in (
        (trainable, network.trainable_variables),
        (other, network.non_trainable_variables),
    ):
        for variable in variables:
            counter[part_of(variable.path)] += int(np.prod(variable.shape))
    spec = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    graph = tf.function(lambda images: network(images, training=False)).get_concrete_function(spec)
    for operation in graph.graph.get_operations():
        if operation.type in _KEPT:
            part = part_of(_layer_of(operation.name))
            activations[part] += 4 * operation.outputs[0].shape.num_elements()
    for name, count in _float_operations(graph.graph):
        float_operations[part_of(_layer_of(name))] += count
    parts = {
        part: Cost(trainable[part], other[part], float_operations[part] // 2, activations[part])
        for part in PARTS
    }
    return parts | {"total": _sum(parts.values())}


@dataclass(frozen=True)
class Kept:
    """How many values of one block training keeps in memory, for one image."""

    inside: int  # activations that the gradient of the block reads
    outputs: int  # activations that other blocks read
    largest: int  # the largest feature map


# No gradient reads the outputs of these layers: they copy or add values of other tensors.
_NOT_KEPT = (
    keras.layers.Reshape, keras.layers.Concatenate, keras.layers.Add, DropConnect,
)  # fmt: skip


def count_kept(network: keras.Model) -> dict[str, Kept]:
    """Returns for each block how many values training keeps until its gradient is done."""
    calls, results = calls_of(network)
    inside: dict[str, list[int]] = {call.block: [0] for call in calls}
    for call in calls:
        size = math.prod(call.output.shape[1:])
        if not (isinstance(call.layer, _NOT_KEPT) or _is_clipping(call.layer)):
            inside[call.block].append(size)
        if isinstance(call.layer, keras.layers.SeparableConv2D):
            inside[call.block].append(size // call.output.shape[-1] * call.inputs[0].shape[-1])
    outputs = outputs_of_blocks(calls, results.values())
    return {
        block: Kept(sum(sizes), sum(math.prod(x.shape[1:]) for x in outputs[block]), max(sizes))
        for block, sizes in inside.items()
    }


def _is_clipping(layer: keras.layers.Layer) -> bool:
    """Whether the layer is a ReLU, whose gradient needs its output and not its input."""
    clipping = (keras.activations.relu, keras.activations.relu6)
    return isinstance(layer, keras.layers.Activation) and layer.activation in clipping


# What a runtime keeps between operations; cheap element-wise operations are fused into these.
_KEPT = (
    "Conv2D", "DepthwiseConv2dNative", "MaxPool", "ResizeNearestNeighbor", "AddV2", "ConcatV2",
)  # fmt: skip


def _layer_of(operation: str) -> str:
    """The layer in "efficientdet_d0_1/backbone.stem_conv_1/convolution"."""
    return operation.split("/")[1] if "/" in operation else ""


def _float_operations(graph: tf.Graph) -> Iterator[tuple[str, int]]:
    """Yields (operation, float operations) by TensorFlow's own profiler."""
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    nodes = [tf.compat.v1.profiler.profile(graph, options=options)]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.children)
        yield node.name, node.float_ops


def _sum(costs: Iterable[Cost]) -> Cost:
    return Cost(*(sum(column) for column in zip(*(vars(c).values() for c in costs), strict=True)))
