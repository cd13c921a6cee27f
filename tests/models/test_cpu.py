"""The layers that a CPU trains give what Keras' layers give, gradients included."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.models import cpu
from edet.models.efficientdet import build_network
from edet.models.layers import PointwiseBatchNorm, Randomness, randomness
from edet.models.rematerialization import calls_of
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


def normalized(x, kernel, gamma, beta):
    """Returns TensorFlow's convolution and batch norm, [y, mean, unbiased variance]."""
    return tf.raw_ops.FusedBatchNormV3(
        x=tf.nn.conv2d(x, kernel, 1, "SAME"), scale=gamma, offset=beta, mean=[], variance=[],
        epsilon=1e-3, is_training=True,
    )[:3]  # fmt: skip


@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_a_convolution_and_its_batch_norm_equal_tensorflows(mean):
    """With the gradients of all four arguments, also of inputs far from 0."""
    arguments = (
        mean + normal(2, 3, 5, 8), normal(1, 1, 8, 48, seed=1),
        1 + 0.5 * normal(48, seed=2), normal(48, seed=3),
    )  # fmt: skip
    compared(
        lambda *four: cpu.pointwise_batch_norm(*four, 1e-3)[0],
        lambda *four: normalized(*four)[0],
        *arguments,
    )
    for ours, theirs in zip(
        cpu.pointwise_batch_norm(*arguments, 1e-3)[1:], normalized(*arguments)[1:], strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_normalised_product_by_hand():
    """Pixels 1 and 3 times 2 are 2 and 6: mean 4, variance 4, unbiased 8; 10 + 3 x -1 and 1."""
    y, mean, variance = cpu.pointwise_batch_norm(
        tf.reshape([1.0, 3.0], (1, 1, 2, 1)), tf.fill((1, 1, 1, 1), 2.0), tf.constant([3.0]),
        tf.constant([10.0]), 0.0,
    )  # fmt: skip
    np.testing.assert_allclose(tf.reshape(y, [-1]), [7, 13], rtol=1e-6)
    np.testing.assert_allclose([mean[0], variance[0]], [4, 8], rtol=1e-6)


def test_large_channels_that_cancel_out_are_normalised_to_numbers():
    """The last of nine is the sum of the others, less which nothing is left: variance 0.

    Rounding took products of the size of 10,000 to variances of -0.004, whose root is not a number.
    """
    kernel = tf.reshape([1.0] * 8 + [-1.0], (1, 1, 9, 1))
    for seed in range(3):
        x = 100 * normal(2, 32, 32, 8, seed=seed)
        x = tf.concat([x, tf.reduce_sum(x, -1, keepdims=True)], -1)
        y, _, variance = cpu.pointwise_batch_norm(x, kernel, tf.ones(1), tf.zeros(1), 1e-3)
        assert variance[0] >= 0
        np.testing.assert_allclose(y, tf.zeros_like(y), atol=0.01)


def test_the_norm_is_in_the_kernel_where_pixels_are_many_and_channels_few(monkeypatch):
    def is_fast(*shape: int, dtype: str = "float32") -> bool:
        return cpu.has_fast_batch_norm(keras.KerasTensor((None, *shape), dtype))

    assert is_fast(32, 32, 112)  # 1,024 pixels
    assert not is_fast(16, 16, 40)  # 256, where 320 are wanted
    assert not is_fast(64, 64, 136)
    assert not is_fast(32, 32, 112, dtype="bfloat16")
    two = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: two)
    assert not is_fast(32, 32, 112)


def test_a_frozen_norm_in_a_kernel_uses_its_statistics_and_keeps_them():
    layer = PointwiseBatchNorm()
    x, kernel = tf.reshape([0.0, 100.0], (2, 1, 1, 1)), tf.fill((1, 1, 1, 1), 2.0)
    layer.build(x.shape, kernel.shape)
    layer.trainable = False
    y = layer(x, kernel, training=True)
    np.testing.assert_allclose(y, 2 * x / np.sqrt(1 + 1e-3), rtol=1e-6)
    assert float(layer.moving_mean[0]) == 0.0


def test_swish_equals_tensorflows():
    compared(cpu.silu, tf.nn.silu, 4 * normal(2, 3, 5, 8))


def test_the_derivative_of_swish_by_hand():
    """At 0 it is 1/2; far to the right 1, far to the left 0, and never nan."""
    x = tf.constant([0.0, 100.0, -100.0, 1e30, -1e30])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = cpu.silu(x)
    np.testing.assert_allclose(tape.gradient(y, x), [0.5, 1, 0, 1, 0], atol=1e-30)


@pytest.fixture(scope="module")
def networks():
    """A small network as a CPU trains it, and as Keras makes it, with the same variables."""
    model = small_model(backbone="efficientnet-w0.35-d0.3", activation="swish")
    ours, theirs = build_network(model, for_cpu=True), build_network(model)
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    rng = np.random.default_rng(0)
    for mine, keras_ in zip(ours.variables, theirs.variables, strict=True):
        value = keras_.numpy()
        mine.assign(value + rng.uniform(0, 0.1, value.shape))
        keras_.assign(mine)
    return ours, theirs


def test_a_network_for_the_cpu_is_the_same_function_of_the_same_variables(networks):
    ours, theirs = networks
    images = normal(2, 64, 96, 3)
    for name, value in theirs(images).items():
        np.testing.assert_allclose(ours(images)[name], value, rtol=1e-3, atol=1e-4)


def test_a_network_for_the_cpu_collects_the_same_statistics(networks):
    """Among them those of two expansions whose batch norm is in the kernel."""
    ours, _ = networks
    assert sum(isinstance(layer, PointwiseBatchNorm) for layer in ours.layers) == 2
    results = []
    for network in networks:
        weights, statistics = (
            [v.value for v in variables]
            for variables in (network.trainable_variables, network.non_trainable_variables)
        )
        with randomness(Randomness(tf.constant([0, 1]), tf.range(2), 2)):
            results.append(
                network.stateless_call(weights, statistics, normal(2, 64, 96, 3), training=True)
            )
    for name, value in results[1][0].items():
        np.testing.assert_allclose(results[0][0][name], value, rtol=1e-3, atol=1e-3)
    for variable, mine, keras_ in zip(
        ours.non_trainable_variables, results[0][1], results[1][1], strict=True
    ):
        np.testing.assert_allclose(mine, keras_, rtol=1e-4, atol=1e-5, err_msg=variable.path)


def test_what_a_layer_is_given_by_name_is_an_input_of_its_call(networks):
    """Or a network that is cut into blocks would miss what another block makes."""
    inputs = {call.layer.name: len(call.inputs) for call in calls_of(networks[0])[0]}
    assert inputs["backbone.block2a_expand_bn"] == 2  # and the kernel
    assert inputs["backbone.block2a_project_conv"] == 2  # and the gate
    assert inputs["backbone.block2a_bn"] == 1


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
