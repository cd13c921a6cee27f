"""The feature pyramid: coarser levels below the backbone, then repeated cells of fusions.

Shapes: B images, H height, W width, C channels of a level, n inputs of a fusion.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from edet.models.fusion_graph import FEATURE_NETWORKS, Node, name_prefix
from edet.models.layers import NearestResize, Shape, Style

Pyramid = dict[int, keras.KerasTensor]  # level -> [B, H, W, C]

_EPSILON = 1e-4  # of fast normalised fusion (paper 3.3)


@keras.saving.register_keras_serializable("edet")
class WeightedFusion(keras.layers.Layer):
    """Adds n feature maps of one shape, each times a learnt weight (paper 3.3).

    Args:
      method: "fast" relu(w) / (sum relu(w) + 1e-4), "softmax" over the inputs, or "unbounded" w;
        with the prefix "channel_" a weight per channel, with "pixel_" one per location, otherwise
        one per input.
    """

    def __init__(self, method: str, **kwargs):
        super().__init__(**kwargs)
        self.method = method

    def build(self, input_shapes: list[Shape]) -> None:
        """Creates one variable [n], [n, C] or [n, H, W, 1], all ones."""
        _, height, width, channels = input_shapes[0]
        per_input: tuple[int, ...] = ()
        if self.method.startswith("channel_"):
            per_input = (channels,)
        elif self.method.startswith("pixel_"):
            per_input = (height, width, 1)
        self.fusion_weights = self.add_weight(
            name="fusion_weights", shape=(len(input_shapes), *per_input), initializer="ones"
        )

    def normalized_weights(self) -> tf.Tensor:
        """Returns the weights as they multiply the inputs, shaped as the variable."""
        weights = keras.ops.convert_to_tensor(self.fusion_weights)
        rule = self.method.rpartition("_")[2]
        if rule == "softmax":
            return keras.ops.softmax(weights, axis=0)
        if rule == "fast":
            weights = keras.ops.relu(weights)
            return weights / (keras.ops.sum(weights, axis=0, keepdims=True) + _EPSILON)
        return weights

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Maps n tensors [B, H, W, C] to one of the same shape."""
        return weighted_sum(inputs, self.normalized_weights())

    def compute_output_shape(self, input_shapes: list[Shape]) -> Shape:
        """Returns that of an input; as DropConnect does."""
        return input_shapes[0]

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"method": self.method}


def weighted_sum(inputs: Sequence[tf.Tensor], weights: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Returns the sum of n tensors [B, H, W, C], each times its weight, from the first on."""
    rows = weights if isinstance(weights, np.ndarray) else tf.unstack(weights)
    first, *others = (x * weight for x, weight in zip(inputs, rows, strict=True))
    return sum(others, first)


@keras.saving.register_keras_serializable("edet")
class GlobalAttention(keras.layers.Layer):
    """Adds feature maps of one shape, the second times a gate (NAS-FPN, arXiv 1904.07392).

    The gate of a channel is the sigmoid of the first map's largest value in it, anywhere in the
    picture; the published architecture calls this global pooling.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Maps two or more tensors [B, H, W, C] to one of the same shape."""
        coarse, fine, *others = inputs
        gate = keras.ops.sigmoid(keras.ops.max(coarse, axis=(1, 2), keepdims=True))
        return sum(others, coarse + fine * gate)

    def compute_output_shape(self, input_shapes: list[Shape]) -> Shape:
        """Returns that of an input; as DropConnect does."""
        return input_shapes[0]


def extend(
    features: Pyramid, levels: range, width: int, style: Style, project_once: bool = False
) -> Pyramid:
    """Adds the levels above the backbone's, each half as large, and keeps the range of `levels`.

    P6 is projected to the pyramid's width and pooled; P7 and beyond are only pooled. With
    `project_once` the backbone's levels are projected here, too.
    """
    pyramid = {level: features[level] for level in range(levels[0], 6)}
    if project_once:
        pyramid = {
            level: resample(x, x.shape[1:3], width, style, f"pyramid.p{level}")
            for level, x in pyramid.items()
        }
    for level in range(6, levels[-1] + 1):
        below = pyramid[level - 1]
        size = [(side + 1) // 2 for side in below.shape[1:3]]
        pyramid[level] = resample(below, size, width, style, f"pyramid.p{level}")
    return pyramid


def cell(
    pyramid: Pyramid, network: str, fusion: str, width: int, style: Style, index: int
) -> Pyramid:
    """Applies one cell of a feature network; every level keeps its size and gets the width.

    `network` is one of FEATURE_NETWORKS, `fusion` is "sum" or a method of WeightedFusion, and
    `index` counts the cells from 0.
    """
    levels = range(min(pyramid), max(pyramid) + 1)
    made = [pyramid[level] for level in levels]
    outputs: Pyramid = {}
    sizes = {level: pyramid[level].shape[1:3] for level in levels}
    for node in FEATURE_NETWORKS[network](levels):
        name = f"pyramid.cell{index}.{name_prefix(network)}node{len(made)}"
        # Every use of an input has its own projection, also where two nodes read the same one,
        # unless it has been projected before.
        inputs = [
            resample(made[i], sizes[node.level], width, style, f"{name}.input{position}")
            for position, i in enumerate(node.inputs)
        ]
        outputs[node.level] = _filter(_merge(inputs, node, fusion, name), width, style, name)
        made.append(outputs[node.level])
    return {level: outputs[level] for level in levels}


def resample(
    x: keras.KerasTensor, size: Sequence[int], width: int, style: Style, name: str
) -> keras.KerasTensor:
    """Brings a feature map to the pyramid's width and to (height, width).

    The projection comes first; there is none where the width is right already (reference). It has
    a bias although batch norm follows, which makes it redundant; the released weights have it.
    """
    if x.shape[-1] != width:
        x = style.layers.Conv2D(width, 1, padding="same", name=f"{name}_conv")(x)
        x = style.batch_norm(x, f"{name}_bn")
    (rows, columns), (to_rows, to_columns) = x.shape[1:3], size
    if (rows, columns) == (to_rows, to_columns):
        return x
    if rows >= to_rows and columns >= to_columns:
        strides = ((rows - 1) // to_rows + 1, (columns - 1) // to_columns + 1)
        window = (strides[0] + 1, strides[1] + 1)
        return keras.layers.MaxPooling2D(window, strides, "same", name=f"{name}_pool")(x)
    return NearestResize(to_rows, to_columns, name=f"{name}_upsample")(x)


def _merge(
    inputs: list[keras.KerasTensor], node: Node, fusion: str, name: str
) -> keras.KerasTensor:
    """Makes one feature map of what a node reads."""
    if len(inputs) == 1:
        return inputs[0]
    if node.attends:
        return GlobalAttention(name=f"{name}.attention")(inputs)
    if fusion == "sum":
        return keras.layers.Add(name=f"{name}.fusion")(inputs)
    return WeightedFusion(fusion, name=f"{name}.fusion")(inputs)


def _filter(x: keras.KerasTensor, width: int, style: Style, name: str) -> keras.KerasTensor:
    """Activates, filters, normalises; the activation comes before the convolution."""
    x = style.activate(x, f"{name}.activation")
    x = style.conv(width, f"{name}.conv")(x)
    return style.batch_norm(x, f"{name}.bn")
