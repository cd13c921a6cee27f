"""A network for inference: batch norm inside the convolutions, fusion weights as constants.

Every batch norm of the networks follows a convolution, and at inference it is a scale and an
offset by channel: conv(x) * s + t. The scale goes into the kernel and the offset into the bias, so
the same function needs fewer operations. A head's convolution, shared by the levels but with a
batch norm for each, becomes one convolution a level.

Shapes: s scale and t offset of a batch norm, [C].
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from edet.config.schema import ModelConfig
from edet.models.layers import BatchNorm, Shape
from edet.models.pyramid import WeightedFusion, weighted_sum

_CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def fold(
    network: keras.Model, deviation: Sequence[float] = (), classes: Sequence[int] = ()
) -> keras.Model:
    """Returns a network of the same function, for inference only; the given one stays as it is.

    Outputs agree within float32 noise; see tests/export/test_fold.py.

    Args:
      network: from `build_network`.
      deviation: of the pixels by channel; then what comes in is not divided by it yet. The first
        convolution, which is linear, does so by its kernel.
      classes: the columns that the class logits keep; by default all.
    """
    of_classes = functools.cache(lambda conv: _of_classes(conv, network.model_config, classes))
    produced: dict[int, tuple[keras.KerasTensor, keras.layers.Layer, keras.KerasTensor]] = {}

    def call(layer: keras.layers.Layer, *args, **kwargs):
        """Calls a layer, or what stands for it when it is folded."""
        if classes and layer.name == "class_head.predict":
            return of_classes(layer)(*args, **kwargs)
        if classes and layer.name.startswith("class_head.flatten"):
            return keras.layers.Reshape((-1, len(classes)), name=layer.name)(*args, **kwargs)
        if isinstance(layer, BatchNorm) and id(args[0]) in produced:
            _, conv, x = produced[id(args[0])]
            is_first = len(produced) == 1
            return _folded(conv, layer, deviation if is_first else ())(x)
        if isinstance(layer, WeightedFusion):
            weights = layer.normalized_weights().numpy()
            return FixedFusion(weights, name=layer.name)(*args, **kwargs)
        if (
            isinstance(layer, keras.layers.Activation)
            and layer.activation is keras.activations.silu
        ):
            return Swish(name=layer.name)(*args, **kwargs)
        y = layer(*args, **kwargs)
        if isinstance(layer, _CONVOLUTIONS):
            produced[id(y)] = (y, layer, args[0])  # y is kept, or its id could be given anew
        return y

    folded = keras.models.clone_model(
        network, clone_function=lambda layer: layer, call_function=call
    )
    folded.model_config = network.model_config
    return folded


def _folded(
    conv: keras.layers.Layer, norm: BatchNorm, deviation: Sequence[float]
) -> keras.layers.Layer:
    """Returns a convolution that divides by `deviation` and does what `conv` and `norm` do."""
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    bias = conv.bias.numpy() if conv.use_bias else 0.0
    offset = (bias - norm.moving_mean.numpy()) * scale + norm.beta.numpy()
    if isinstance(conv, keras.layers.SeparableConv2D):
        kernels = [conv.depthwise_kernel.numpy(), conv.pointwise_kernel.numpy() * scale]
    elif isinstance(conv, keras.layers.DepthwiseConv2D):
        kernels = [conv.kernel.numpy() * scale[:, None]]  # [h, w, C, 1]
    else:
        kernels = [conv.kernel.numpy() * scale]  # [h, w, in, C]
        if deviation:
            kernels[0] /= np.array(deviation, np.float32)[:, None]
    return _like(conv, norm.name, [*kernels, offset])


def _of_classes(
    conv: keras.layers.Layer, model: ModelConfig, classes: Sequence[int]
) -> keras.layers.Layer:
    """Returns the last convolution of a class head for some of its classes."""
    *others, kernel, bias = conv.get_weights()
    columns = np.arange(len(bias)).reshape(-1, model.num_classes)[:, classes].ravel()
    return _like(conv, conv.name, [*others, kernel[..., columns], bias[columns]])


def _like(conv: keras.layers.Layer, name: str, weights: list[np.ndarray]) -> keras.layers.Layer:
    """Returns a convolution of the same kind with these kernels and, last, offsets."""
    settings = conv.get_config() | {"use_bias": True, "name": name}
    if "filters" in settings:
        settings["filters"] = len(weights[-1])
    new = type(conv).from_config(settings)
    new.build((None, None, None, weights[0].shape[2]))  # [h, w, in, out or multiplier]
    new.set_weights(weights)
    return new


@keras.saving.register_keras_serializable("edet")
class Swish(keras.layers.Layer):
    """x * sigmoid(x), in just these operations.

    TensorFlow's own swish brings its gradient along, and where a graph has that, the oneDNN kernels
    do not take a convolution, its bias and the swish after it as one.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [B, H, W, C] to the same shape."""
        return x * tf.sigmoid(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the same shape, which Keras would trace the layer to find."""
        return input_shape


@keras.saving.register_keras_serializable("edet")
class FixedFusion(keras.layers.Layer):
    """A `WeightedFusion` whose normalised weights are constants.

    Args:
      weights: [n], [n, C] or [n, H, W, 1], what the n inputs are multiplied by.
    """

    def __init__(self, weights: np.ndarray, **kwargs):
        super().__init__(**kwargs)
        self.constants = np.asarray(weights, np.float32)

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Maps n tensors [B, H, W, C] to one of the same shape."""
        return weighted_sum(inputs, self.constants)

    def compute_output_shape(self, input_shapes: list[Shape]) -> Shape:
        """Returns that of an input, which Keras would trace the layer to find."""
        return input_shapes[0]

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"weights": self.constants.tolist()}
