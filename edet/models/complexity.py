"""What a network costs, read from its layers: parameters, multiply-adds and activations by part.

Nothing is computed, so the largest model at its full size is counted in seconds and little memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import keras

from edet.config.schema import ModelConfig
from edet.models.cpu import Kernel
from edet.models.efficientdet import PARTS, build_network, part_of
from edet.models.layers import DropConnect, NearestResize
from edet.models.pyramid import GlobalAttention, WeightedFusion
from edet.models.rematerialization import Call, calls_of, outputs_of_blocks


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


def outline(config: ModelConfig) -> keras.Model:
    """Returns the network of a configuration without weights: enough to count, in a second."""
    with keras.StatelessScope(initialize_variables=False):
        return build_network(config)


def count_cost(network: keras.Model) -> dict[str, Cost]:
    """Returns the cost of each part in PARTS, and of the whole as "total"."""
    trainable, other, operations, kept = (dict.fromkeys(PARTS, 0) for _ in range(4))
    for counter, variables in (
        (trainable, network.trainable_variables),
        (other, network.non_trainable_variables),
    ):
        for variable in variables:
            counter[part_of(variable.path)] += math.prod(variable.shape)
    for call in calls_of(network)[0]:
        part, (call_operations, call_kept) = part_of(call.layer.name), _work_of(call)
        operations[part] += call_operations
        kept[part] += call_kept
    parts = {
        part: Cost(trainable[part], other[part], operations[part] // 2, 4 * kept[part])
        for part in PARTS
    }
    return parts | {"total": _sum(parts.values())}


def _work_of(call: Call) -> tuple[int, int]:
    """Returns the float operations of a layer for one image, and how many values it makes.

    Both are what TensorFlow's profiler says of the layer's graph at inference: batch norm, ReLU and
    the sigmoid are free, a multiply-add is two. Values are those that a runtime keeps between
    operations, the outputs of convolutions, resamplings and additions; cheap element-wise
    operations are fused into these.
    """
    layer, size, n = call.layer, math.prod(call.output.shape[1:]), len(call.inputs)
    match layer:
        case (
            keras.layers.Conv2D() | keras.layers.DepthwiseConv2D() | keras.layers.SeparableConv2D()
        ):
            return _work_of_convolution(layer, size, call.inputs[0].shape[-1])
        case keras.layers.Activation():
            operations, kept = _ACTIVATIONS.get(layer.activation.__name__, (0, 0))
            return operations * size, kept * size
        case keras.layers.MaxPooling2D():
            return math.prod(layer.pool_size) * size, size
        case keras.layers.GlobalAveragePooling2D():
            return math.prod(call.inputs[0].shape[1:]), 0
        case keras.layers.Multiply():
            return size, 0
        case keras.layers.Add():
            return (n - 1) * size, (n - 1) * size
        case WeightedFusion():
            operations, kept = _FUSIONS.get(layer.method.rpartition("_")[2], (0, 0))
            weights = math.prod(layer.fusion_weights.shape)  # of all inputs
            return operations * weights + (2 * n - 1) * size, kept * weights // n + (n - 1) * size
        case GlobalAttention():
            return n * size, (n - 1) * size
        case NearestResize() | keras.layers.Concatenate():
            return 0, size
    return 0, 0


def _work_of_convolution(layer: keras.layers.Layer, size: int, channels: int) -> tuple[int, int]:
    """As `_work_of`; the layer makes `size` values of `channels` input channels."""
    taps, bias = math.prod(layer.kernel_size), size if layer.use_bias else 0
    if isinstance(layer, keras.layers.SeparableConv2D):
        filtered = size // layer.filters * channels
        return 2 * (filtered * taps + size * channels) + bias, filtered + size
    if isinstance(layer, keras.layers.Conv2D):
        taps *= channels
    return 2 * size * taps + bias, size


# Operations of an activation on each value, and of a fusion on each weight, and values kept of it.
_ACTIVATIONS = {"silu": (2, 0), "hard_silu": (3, 1)}
_FUSIONS = {"fast": (2, 1), "softmax": (5, 0)}


@dataclass(frozen=True)
class Kept:
    """How many values of one block training keeps in memory, for one image."""

    inside: int  # activations that the gradient of the block reads
    outputs: int  # activations that other blocks read
    largest: int  # the largest feature map


# No gradient reads the outputs of these layers: they copy or add values of other tensors, or are
# weights.
_NOT_KEPT = (
    keras.layers.Reshape, keras.layers.Concatenate, keras.layers.Add, DropConnect, Kernel,
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


def _sum(costs: Iterable[Cost]) -> Cost:
    return Cost(*(sum(column) for column in zip(*(vars(c).values() for c in costs), strict=True)))
