"""The same sums as Keras' layers, written so that TensorFlow trains them faster on a CPU.

TensorFlow hands convolutions and their gradients to oneDNN, which is slower at some of them than
TensorFlow itself (docs/speed.md). Here are the same layers by other operations: a 1 x 1 convolution
as a product of matrices, with squeeze-and-excite's gate in the smaller factor, or the batch norm
after it in the kernel; the gradient of a depthwise filter by TensorFlow's kernel; and swish that
keeps its derivative. Only the network that a CPU trains is made of them (`build_network`'s
`for_cpu`): compilers of other devices choose for themselves, and what is exported stays what Keras
makes.

Shapes: B images, H, W size of a feature map, C channels. Everything is channels-last.
"""

from __future__ import annotations

import keras
import tensorflow as tf


class Conv2D(keras.layers.Conv2D):
    """A convolution; one of 1 x 1 is a product of matrices, and so are its gradients."""

    def call(self, inputs: tf.Tensor, gate: tf.Tensor | None = None) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H', W', filters]; by `gated` if there is a gate [B, 1, 1, C]."""
        if gate is None:
            return super().call(inputs)
        if self.use_bias or (self.kernel_size, self.strides) != ((1, 1), (1, 1)):
            raise ValueError("a gate is for a convolution of 1 x 1 without bias")
        return gated(inputs, gate, tf.convert_to_tensor(self.kernel))

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H', W', filters], without the bias."""
        if self.kernel_size == (1, 1) and self.strides == (1, 1):
            return pointwise(inputs, tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)


class Kernel(keras.layers.Conv2D):
    """The kernel of a 1 x 1 convolution without bias, which `pointwise_batch_norm` applies.

    Args:
      filters: channels that it makes.
      kernel_initializer: as Keras' layer has it.
      name: the layer's, and its variable's, name.
    """

    def __init__(self, filters: int, kernel_initializer: keras.Initializer, name: str):
        super().__init__(
            filters, 1, use_bias=False, kernel_initializer=kernel_initializer, name=name
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the kernel, [1, 1, C, filters], for inputs of [B, H, W, C]."""
        return tf.convert_to_tensor(self.kernel)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """Returns the kernel's shape."""
        return (1, 1, input_shape[-1], self.filters)


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution without bias, with "same" padding."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), C]."""
        return depthwise(inputs, tf.convert_to_tensor(self.kernel), self.strides[0])


class SeparableConv2D(keras.layers.SeparableConv2D):
    """A depthwise convolution and a 1 x 1 one after it, with a bias and "same" padding."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [B, H, W, C] to [B, H, W, filters]."""
        depth, point, bias = map(
            tf.convert_to_tensor, (self.depthwise_kernel, self.pointwise_kernel, self.bias)
        )
        return tf.nn.bias_add(pointwise(depthwise(inputs, depth, self.strides[0]), point), bias)


def pointwise(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Returns the 1 x 1 convolution [B, H, W, F] of x [B, H, W, C] with a kernel [1, 1, C, F]."""
    _, height, width, channels = x.shape
    matrix = tf.reshape(kernel, kernel.shape[2:])  # slices and their gradients are nine operations
    product = tf.matmul(tf.reshape(x, [-1, channels]), matrix)
    return tf.reshape(product, [-1, height, width, product.shape[-1]])


def gated(x: tf.Tensor, gate: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Returns `pointwise` of x [B, H, W, C] times a gate [B, 1, 1, C], with a kernel [1, 1, C, F].

    Where an image has at least as many pixels as the kernel has filters, the gate multiplies the
    kernel instead of the image; so the gate's gradient is a sum over the kernel, too.
    """
    _, height, width, channels = x.shape
    filters = kernel.shape[-1]
    if height * width < filters:
        return pointwise(x * gate, kernel)
    kernels = tf.reshape(gate, [-1, channels, 1]) * tf.reshape(kernel, kernel.shape[2:])
    product = tf.matmul(tf.reshape(x, [-1, height * width, channels]), kernels)
    return tf.reshape(product, [-1, height, width, filters])


def has_fast_batch_norm(x: keras.KerasTensor) -> bool:
    """Whether `pointwise_batch_norm` of x [B, H, W, C] to many more channels is the faster way.

    What it saves grows with pixels and channels, what it costs with the square of the channels. In
    16 bits the sums of squares would be too coarse, and several replicas sum theirs outside of it.
    """
    _, height, width, channels = x.shape
    fits = x.dtype == "float32" and tf.distribute.get_strategy().num_replicas_in_sync == 1
    return fits and channels <= 128 and height * width >= 8 * channels


def pointwise_batch_norm(
    x: tf.Tensor, kernel: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns `pointwise` of x [B, H, W, C] and a kernel [1, 1, C, F], with batch normalisation.

    The product's statistics follow from those of x: with x of mean 0 and covariance S, the product
    x K has mean 0 and variance diag(K' S K). So gamma / deviation multiplies the kernel, and beta
    is the row of a column of ones beside x: one product, where the norm would go over the wide
    product three times. Its gradient follows from (x, 1)' times the upstream gradient, which the
    kernel's needs anyway, instead of five times over the wide product; that is not kept either.

    Args:
      gamma, beta: scale and offset, float32 [F], as x and the kernel are float32.
      epsilon: added to the variance.

    Returns:
      The normalised product [B, H, W, F]; its mean and its unbiased variance before that, [F],
      which have no gradient.
    """
    _, height, width, channels = x.shape
    filters, matrix = kernel.shape[-1], tf.reshape(kernel, kernel.shape[2:])
    flat = tf.reshape(x, [-1, channels])
    count = tf.cast(tf.shape(flat)[0], tf.float32)

    @tf.custom_gradient
    def normalize(flat: tf.Tensor, matrix: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor):
        """Returns the three, the first as rows, and what gives its gradients."""
        mean = tf.reduce_mean(flat, 0, keepdims=True)
        rows = tf.concat([flat - mean, tf.ones_like(flat[:, :1])], 1)
        covariance = tf.matmul(rows, rows, transpose_a=True)[:-1, :-1] / count
        covariance_with_product = tf.matmul(covariance, matrix)
        # Rounding may leave less than 0 where large channels cancel out.
        variance = tf.maximum(tf.reduce_sum(matrix * covariance_with_product, 0), 0.0)
        inverse = tf.math.rsqrt(variance + epsilon)
        folded = matrix * (gamma * inverse)

        def gradient(upstream: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """Returns the gradients of the four arguments."""
            sums = tf.matmul(rows, upstream, transpose_a=True)
            to_kernel, to_beta = sums[:-1], sums[-1]
            to_gamma = inverse * tf.reduce_sum(matrix * to_kernel, 0)
            # The gradient of the product is gamma / deviation times the upstream gradient, less its
            # mean and less its share in the normalised product.
            share = inverse * to_gamma
            to_kernel = gamma * inverse * (to_kernel - covariance_with_product * share)
            less = tf.concat([matrix * share, to_beta[None]], 0) / count
            to_x = tf.matmul(upstream, folded, transpose_b=True)
            to_x -= tf.matmul(rows, tf.matmul(less, folded, transpose_b=True))
            return to_x, to_kernel, to_gamma, to_beta

        unbiased = variance * count / tf.maximum(count - 1.0, 1.0)
        product = tf.matmul(rows, tf.concat([folded, beta[None]], 0))
        return (product, tf.matmul(mean, matrix)[0], unbiased), gradient

    product, mean, variance = normalize(flat, matrix, gamma, beta)
    return tf.reshape(product, [-1, height, width, filters]), mean, variance


@tf.custom_gradient
def silu(x: tf.Tensor):
    """Returns x s with s = sigmoid(x), whose derivative is s + x s (1 - s).

    `SigmoidGrad` is x s (1 - s) in one pass; the derivative is computed while x and s are in the
    cache, and is all that is kept.
    """
    s = tf.sigmoid(x)
    derivative = s + tf.raw_ops.SigmoidGrad(y=s, dy=x)
    return x * s, lambda upstream: upstream * derivative


def depthwise(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Returns the depthwise convolution of x [B, H, W, C] with a kernel [k, k, C, 1].

    Padding is "same". For the kernel's gradient it is given in numbers, which is the same again:
    oneDNN leaves such an operation to TensorFlow, which takes half as long for k = 5.
    """
    strides = [1, stride, stride, 1]

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor):
        """Returns the convolution and what gives its gradients."""
        y = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME")
        paddings = [
            pad for size, outputs in zip(x.shape[1:3], y.shape[1:3], strict=True)
            for pad in _same_padding(size, outputs, kernel.shape[0], stride)
        ]  # fmt: skip

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """Returns the gradients of x and of the kernel, in their shapes."""
            to_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, strides=strides,
                padding="SAME",
            )  # fmt: skip
            to_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=upstream, strides=strides,
                padding="EXPLICIT", explicit_paddings=[0, 0, *paddings, 0, 0],
            )  # fmt: skip
            return to_x, to_kernel

        return y, gradient

    return convolve(x, kernel)


def _same_padding(size: int, outputs: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns what "same" padding puts before and after a side of `size` pixels."""
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
