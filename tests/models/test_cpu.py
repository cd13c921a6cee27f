"""The layers that a CPU trains give what Keras' layers give, gradients included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.models import cpu
from edet.models.efficientdet import build_network
from tests.small import small_model


def compared(ours, theirs, *arguments: tf.Tensor) -> None:
    """Expects equal values, and equal gradients of all arguments, for an upstream of its own."""
    results = []
    for function in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            y = function(*arguments)
        upstream = tf.random.stateless_normal(y.shape, [3, 4], dtype=y.dtype)
        results.append([y, *tape.gradient(y, arguments, upstream)])
    for mine, keras_ in zip(*results, strict=True):
        scale = np.abs(keras_).max()
        np.testing.assert_allclose(mine / scale, keras_ / scale, atol=2e-6)


def normal(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [seed, 1])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 5), (8, 11)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_convolution_and_its_gradients_equal_tensorflows(kernel, size, stride):
    """Also where the padding of one side is larger than the image, and of an odd width."""
    compared(
        lambda x, w: cpu.depthwise(x, w, stride),
        lambda x, w: tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], "SAME"),
        normal(2, *size, 8), normal(kernel, kernel, 8, 1, seed=1),
    )  # fmt: skip


def test_the_gradient_of_a_filter_by_hand():
    """One pixel, 2, under the middle of the kernel: only that tap has a gradient, 2 x 3."""
    x, w = tf.fill((1, 1, 1, 1), 2.0), tf.ones((5, 5, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = 3.0 * tf.reduce_sum(cpu.depthwise(x, w, 1))
    expected = np.zeros((5, 5))
    expected[2, 2] = 6
    np.testing.assert_array_equal(tape.gradient(y, w)[..., 0, 0], expected)


def test_pointwise_convolution_equals_tensorflows():
    compared(
        cpu.pointwise, lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"),
        normal(2, 3, 5, 8), normal(1, 1, 8, 6, seed=1),
    )  # fmt: skip


@pytest.mark.parametrize("filters", [15, 16], ids=["kernel multiplied", "image multiplied"])
def test_a_gate_and_a_convolution_equal_tensorflows(filters):
    """An image has 15 pixels."""
    compared(
        cpu.gated, lambda x, gate, w: tf.nn.conv2d(x * gate, w, 1, "SAME"),
        normal(2, 3, 5, 8), normal(2, 1, 1, 8, seed=2), normal(1, 1, 8, filters, seed=1),
    )  # fmt: skip


def test_swish_equals_tensorflows():
    compared(cpu.silu, tf.nn.silu, 4 * normal(2, 3, 5, 8))


def test_the_derivative_of_swish_by_hand():
    """At 0 it is 1/2; far to the right 1, far to the left 0, and never nan."""
    x = tf.constant([0.0, 100.0, -100.0, 1e30, -1e30])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = cpu.silu(x)
    np.testing.assert_allclose(tape.gradient(y, x), [0.5, 1, 0, 1, 0], atol=1e-30)


def test_a_network_for_the_cpu_is_the_same_function_of_the_same_variables():
    model = small_model(backbone="efficientnet-w0.35-d0.3", activation="swish")
    ours, theirs = build_network(model, for_cpu=True), build_network(model)
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    rng = np.random.default_rng(0)
    for mine, keras_ in zip(ours.variables, theirs.variables, strict=True):
        value = keras_.numpy()
        mine.assign(value + rng.uniform(0, 0.1, value.shape))
        keras_.assign(mine)
    images = normal(2, 64, 96, 3)
    for name, value in theirs(images).items():
        np.testing.assert_allclose(ours(images)[name], value, rtol=1e-3, atol=1e-4)


def test_layers_multiply_in_the_precision_of_the_network():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = cpu.SeparableConv2D(4, 5, padding="same")
        assert layer(normal(1, 4, 4, 3)).dtype == tf.bfloat16
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(normal(1, 4, 4, 3)))
        gradients = tape.gradient(loss, layer.trainable_variables)
        assert [g.dtype for g in gradients] == [tf.float32] * 3
    finally:
        keras.config.set_dtype_policy("float32")
