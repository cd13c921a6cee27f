"""The same sums as Keras' layers, written so that TensorFlow trains them faster on a CPU.

TensorFlow hands convolutions and their gradients to oneDNN, which is slower at some of them than
TensorFlow itself (docs/speed.md). Here are the same layers by other operations: a 1 x 1 convolution
as a product of matrices, with squeeze-and-excite's gate in the smaller factor; the gradient of a
depthwise filter by TensorFlow's kernel; and swish that keeps its derivative. Only the network that
a CPU trains is made of them (`build_network`'s `for_cpu`): compilers of other devices choose for
themselves, and what is exported stays what Keras makes.

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
