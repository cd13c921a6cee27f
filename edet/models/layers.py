"""The layers that Keras does not have, and the bricks that every part of the network is made of.

Shapes: B images, H height, W width, C channels. Everything is channels-last.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.models import cpu

Shape = tuple[int | None, ...]


class Randomness(NamedTuple):
    """What a training step draws its random numbers from."""

    seed: tf.Tensor  # int32 [2], different for each step
    places: tf.Tensor  # int32 [B], of the images at hand in the global batch
    total: int  # images of the global batch


class _Sources(threading.local):
    """The sources of the blocks under way; MirroredStrategy traces each replica in a thread."""

    def __init__(self):
        self.stack: list[Randomness] = []


_sources = _Sources()


@contextlib.contextmanager
def randomness(source: Randomness) -> Iterator[None]:
    """Gives every DropConnect called in the block its randomness.

    The training step is a pure function of tensors, so its randomness is an argument too. Numbers
    are drawn for the global batch and each replica takes those of its images: replicas differ, and
    any number of them drops what one would drop, in micro-batches or not. (Keras' generators give
    all the same mask.)
    """
    _sources.stack.append(source)
    try:
        yield
    finally:
        _sources.stack.pop()


def current_randomness() -> Randomness:
    """Returns the innermost source, for code that will call a layer again later on.

    Raises:
      ValueError: outside any block of `randomness`.
    """
    if not _sources.stack:
        raise ValueError("needs a block of edet.models.layers.randomness around it")
    return _sources.stack[-1]


@keras.saving.register_keras_serializable("edet")
class DropConnect(keras.layers.Layer):
    """Drops the whole branch of some images while training (stochastic depth).

    Args:
      rate: probability that an image's branch is dropped; what survives is divided by 1 - rate.
      index: which of the network's DropConnects this is, so that each draws its own mask.
    """

    def __init__(self, rate: float, index: int, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.index = rate, index

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps [B, H, W, C] to the same shape; the identity outside training."""
        if not training or self.rate == 0.0:
            return x
        if _sources.stack:
            seed, places, total = _sources.stack[-1]
            seed = seed + tf.constant([self.index, 0])
            uniform = tf.gather(tf.random.stateless_uniform([total, 1, 1, 1], seed), places)
        else:
            uniform = tf.random.uniform([tf.shape(x)[0], 1, 1, 1])
        keep = 1.0 - self.rate
        return x * tf.cast(tf.floor(keep + uniform) / keep, x.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the same shape; Keras would trace the layer to find it, in milliseconds each."""
        return input_shape

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"rate": self.rate, "index": self.index}


def _replicas() -> tf.distribute.ReplicaContext | None:
    """Returns the context in which several replicas work on one batch, None where one does."""
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context


@keras.saving.register_keras_serializable("edet")
class BatchNorm(keras.layers.Layer):
    """Batch normalisation over the global batch, whatever the number of replicas.

    Keras' layer would do but for three things. The reference's moving variance follows the unbiased
    batch variance. On one replica TensorFlow's fused kernel is several times faster. And a frozen
    layer must neither use nor collect batch statistics, which `trainable = False` gives here too.

    Args:
      momentum: share of the moving statistics that one step keeps.
      epsilon: added to the variance.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: Shape) -> None:
        """Creates scale, offset and moving statistics, each [C], in float32."""

        def vector(name: str, value: str, trainable: bool) -> keras.Variable:
            shape = (input_shape[-1],)
            return self.add_weight(
                name=name, shape=shape, initializer=value, trainable=trainable, autocast=False
            )

        self.gamma = vector("gamma", "ones", True)
        self.beta = vector("beta", "zeros", True)
        self.moving_mean = vector("moving_mean", "zeros", False)
        self.moving_variance = vector("moving_variance", "ones", False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps [B, H, W, C] to the same shape and dtype."""
        gamma, beta = (tf.convert_to_tensor(v) for v in (self.gamma, self.beta))
        if not (training and self.trainable):
            moving = (self.moving_mean, self.moving_variance)
            mean, variance = (tf.convert_to_tensor(v) for v in moving)
            return tf.raw_ops.FusedBatchNormV3(
                x=x, scale=gamma, offset=beta, mean=mean, variance=variance,
                epsilon=self.epsilon, is_training=False,
            ).y  # fmt: skip
        if (context := _replicas()) is not None:
            y, mean, variance = self._normalize_over_replicas(x, gamma, beta, context)
        else:
            fused = tf.raw_ops.FusedBatchNormV3(
                x=x, scale=gamma, offset=beta, mean=[], variance=[],
                epsilon=self.epsilon, is_training=True,
            )  # fmt: skip
            y, mean, variance = fused.y, fused.batch_mean, fused.batch_variance
        self._move(mean, variance)
        return y

    def _move(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Moves the moving statistics towards those of a batch."""
        kept, new = tf.constant(self.momentum), tf.constant(1.0 - self.momentum)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * kept + batch * new)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the same shape, as DropConnect does."""
        return input_shape

    def _normalize_over_replicas(self, x, gamma, beta, context):
        """Normalises with the statistics of all replicas; the variance returned is unbiased."""
        x32 = tf.cast(x, tf.float32)
        count = tf.cast(tf.size(x32) // tf.shape(x32)[-1], tf.float32)
        sums = [tf.reduce_sum(x32, [0, 1, 2]), tf.reduce_sum(tf.square(x32), [0, 1, 2])]
        packed = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([*sums, [count]], 0))
        channels = x.shape[-1]
        count = packed[-1]
        mean = packed[:channels] / count
        variance = tf.maximum(packed[channels:-1] / count - tf.square(mean), 0.0)
        y = tf.nn.batch_normalization(x32, mean, variance, beta, gamma, self.epsilon)
        unbiased = variance * count / tf.maximum(count - 1.0, 1.0)
        return tf.cast(y, x.dtype), mean, unbiased

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}


class PointwiseBatchNorm(BatchNorm):
    """A 1 x 1 convolution by a `cpu.Kernel` and its batch normalisation, in one; float32."""

    def build(self, x_shape: Shape, kernel_shape: Shape) -> None:
        """Creates the variables of `BatchNorm`, for the channels of the product."""
        super().build(kernel_shape)

    def call(self, x: tf.Tensor, kernel: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps [B, H, W, C], by a kernel [1, 1, C, F], to [B, H, W, F]."""
        if not (training and self.trainable and _replicas() is None):
            return super().call(cpu.pointwise(x, kernel), training)
        gamma, beta = (tf.convert_to_tensor(v) for v in (self.gamma, self.beta))
        y, mean, variance = cpu.pointwise_batch_norm(x, kernel, gamma, beta, self.epsilon)
        self._move(mean, variance)
        return y

    def compute_output_shape(self, x_shape: Shape, kernel_shape: Shape) -> Shape:
        """Returns the product's shape, as DropConnect does."""
        return (*x_shape[:-1], kernel_shape[-1])


@keras.saving.register_keras_serializable("edet")
class NearestResize(keras.layers.Layer):
    """Resizes to (height, width) by nearest neighbour: source index = floor(i * in / out).

    The released weights expect this rule, without half-pixel centres; it differs from
    `keras.ops.image.resize` when the factor is not whole, such as 3 -> 5 rows.
    """

    def __init__(self, height: int, width: int, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, height, width, C]."""
        size, double = [self.height, self.width], [2 * side for side in x.shape[1:3]]

        def resize(x: tf.Tensor) -> tf.Tensor:
            """Returns [B, height, width, C] of [B, h, w, C]."""
            # For 2n - 1 of n, such as 5 of 3, floor(i * n / (2n - 1)) is floor(i / 2): NPUs double
            # and cut off, but know no factor of 5 / 3.
            is_double = all(d - s in (0, 1) for d, s in zip(double, size, strict=True))
            y = tf.raw_ops.ResizeNearestNeighbor(
                images=x, size=double if is_double else size, half_pixel_centers=False
            )
            return y if not is_double or double == size else y[:, : size[0], : size[1]]

        def collect(g: tf.Tensor) -> tf.Tensor:
            """Sums the gradients of a pixel's copies. XLA has no kernel for the op's own."""
            if double == size:
                return 4.0 * tf.nn.avg_pool2d(g, 2, 2, "VALID")
            rows, columns = (
                tf.one_hot([i * source // target for i in range(target)], source, dtype=x.dtype)
                for source, target in zip(x.shape[1:3], size, strict=True)
            )
            return tf.einsum("bhwc,hi,wj->bijc", g, rows, columns)

        @tf.custom_gradient
        def resize_and_collect(x: tf.Tensor):
            return resize(x), collect

        return resize_and_collect(x) if training else resize(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns [B, height, width, C]; as DropConnect does."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict:
        """Returns the constructor's arguments, for saving."""
        return super().get_config() | {"height": self.height, "width": self.width}


class Style(NamedTuple):
    """What the layers of all parts of a network have in common."""

    convolution: str = "separable"  # or "full": of the feature network and the heads
    activation: str = "swish"
    batch_norm_momentum: float = 0.99
    batch_norm_epsilon: float = 1e-3
    for_cpu: bool = False  # the network is to be trained by one, see models.cpu

    @property
    def layers(self) -> ModuleType:
        """Where Conv2D, DepthwiseConv2D and SeparableConv2D come from."""
        return cpu if self.for_cpu else keras.layers

    def batch_norm(
        self, x: keras.KerasTensor, name: str, kernel: keras.KerasTensor | None = None
    ) -> keras.KerasTensor:
        """Normalises a feature map, or its product with a kernel of `models.cpu`."""
        settings = self.batch_norm_momentum, self.batch_norm_epsilon
        if kernel is None:
            return BatchNorm(*settings, name=name)(x)
        return PointwiseBatchNorm(*settings, name=name)(x, kernel=kernel)

    def activate(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Applies the activation: swish, ReLU6 for the lite models."""
        function = _ACTIVATIONS[self.activation]
        if self.for_cpu and function == "silu":
            function = cpu.silu
        return keras.layers.Activation(function, name=name)(x)

    def conv(self, channels: int, name: str, **initializers) -> keras.layers.Layer:
        """Returns the 3 x 3 convolution of the feature network and the heads."""
        kind = getattr(self.layers, _CONVOLUTIONS[self.convolution])
        return kind(channels, 3, padding="same", name=name, **initializers)


_CONVOLUTIONS = {"separable": "SeparableConv2D", "full": "Conv2D"}
_ACTIVATIONS = {"swish": "silu", "hswish": "hard_swish", "relu": "relu", "relu6": "relu6"}
