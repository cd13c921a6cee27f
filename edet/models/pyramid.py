"""The feature pyramid: coarser levels below the backbone, then repeated cells of fusions.

Letters: B images, H height, W width, C channels of a level, n inputs of a fusion.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from edet.config.schema import ModelConfig
from edet.models.fusion_graph import FEATURE_NETWORKS, Node, name_prefix
from edet.models.layers import FILTERS, NearestResize, activation, batch_norm

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

    def build(self, input_shapes: list[tuple[int | None, ...]]) -> None:
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
        weights = self.normalized_weights()
        fused = inputs[0] * weights[0]
        for k in range(1, len(inputs)):
            fused = fused + inputs[k] * weights[k]
        return fused

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"method": self.method}


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


def extend(features: Pyramid, config: ModelConfig) -> Pyramid:
    """Adds the levels above the backbone's, each half as large, and keeps the configured range.

    P6 is projected to the pyramid's width and pooled; P7 and beyond are only pooled. With
    `model.project_once` the backbone's levels are projected here, too.
    """
    pyramid = {level: features[level] for level in range(config.pyramid_levels[0], 6)}
    if config.project_once:
        pyramid = {
            level: resample(x, x.shape[1:3], config, f"pyramid.p{level}")
            for level, x in pyramid.items()
        }
    for level in range(6, config.max_level + 1):
        below = pyramid[level - 1]
        size = [(side + 1) // 2 for side in below.shape[1:3]]
        pyramid[level] = resample(below, size, config, f"pyramid.p{level}")
    return pyramid


def cell(pyramid: Pyramid, config: ModelConfig, index: int) -> Pyramid:
    """Applies one cell of the feature network; every level keeps its size and gets its width."""
    made = [pyramid[level] for level in config.pyramid_levels]
    outputs: Pyramid = {}
    sizes = {level: pyramid[level].shape[1:3] for level in config.pyramid_levels}
    for node in FEATURE_NETWORKS[config.feature_network](config.pyramid_levels):
        name = f"pyramid.cell{index}.{name_prefix(config.feature_network)}node{len(made)}"
        # Every use of an input has its own projection, also where two nodes read the same one,
        # unless it has been projected before.
        inputs = [
            resample(made[i], sizes[node.level], config, f"{name}.input{position}")
            for position, i in enumerate(node.inputs)
        ]
        outputs[node.level] = _filter(_merge(inputs, node, config, name), config, name)
        made.append(outputs[node.level])
    return {level: outputs[level] for level in config.pyramid_levels}


def resample(
    x: keras.KerasTensor, size: tuple[int, int] | list[int], config: ModelConfig, name: str
) -> keras.KerasTensor:
    """Brings a feature map to the pyramid's width and to (height, width).

    The projection comes first; there is none where the width is right already (reference). It has
    a bias although batch norm follows, which makes it redundant; the released weights have it.
    """
    if x.shape[-1] != config.pyramid_width:
        x = keras.layers.Conv2D(config.pyramid_width, 1, padding="same", name=f"{name}_conv")(x)
        x = batch_norm(x, config, f"{name}_bn")
    (height, width), (to_height, to_width) = x.shape[1:3], size
    if (height, width) == (to_height, to_width):
        return x
    if height >= to_height and width >= to_width:
        strides = ((height - 1) // to_height + 1, (width - 1) // to_width + 1)
        window = (strides[0] + 1, strides[1] + 1)
        return keras.layers.MaxPooling2D(window, strides, "same", name=f"{name}_pool")(x)
    return NearestResize(to_height, to_width, name=f"{name}_upsample")(x)


def _merge(
    inputs: list[keras.KerasTensor], node: Node, config: ModelConfig, name: str
) -> keras.KerasTensor:
    """Makes one feature map of what a node reads."""
    if len(inputs) == 1:
        return inputs[0]
    if node.attends:
        return GlobalAttention(name=f"{name}.attention")(inputs)
    if config.fusion == "sum":
        return keras.layers.Add(name=f"{name}.fusion")(inputs)
    return WeightedFusion(config.fusion, name=f"{name}.fusion")(inputs)


def _filter(x: keras.KerasTensor, config: ModelConfig, name: str) -> keras.KerasTensor:
    """Activates, filters, normalises; the activation comes before the convolution."""
    x = activation(x, config, f"{name}.activation")
    conv = FILTERS[config.convolution]
    x = conv(config.pyramid_width, 3, padding="same", name=f"{name}.conv")(x)
    return batch_norm(x, config, f"{name}.bn")
