"""Fusion rules by hand, what resampling does to shapes, and feature networks that are connected."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import build_network
from edet.models.fusion_graph import FEATURE_NETWORKS
from edet.models.layers import Style
from edet.models.pyramid import GlobalAttention, WeightedFusion, cell, resample
from tests.models.test_fusion_graph import LEVELS, REACHED
from tests.small import small_model


def fuse(method: str, weights, *inputs: float) -> float:
    maps = [tf.fill((1, 2, 2, 3), value) for value in inputs]
    layer = WeightedFusion(method)
    layer.build([m.shape for m in maps])
    layer.fusion_weights.assign(
        np.broadcast_to(np.reshape(weights, (-1,) + (1,) * (len(layer.fusion_weights.shape) - 1)),
                        layer.fusion_weights.shape)
    )  # fmt: skip
    return float(layer(maps)[0, 0, 0, 0])


@pytest.mark.parametrize("prefix", ["", "channel_", "pixel_"])
def test_fusion_rules_by_hand(prefix):
    # fast: (2 * 1 + 0 * 5) / (2 + 0 + 1e-4); a negative weight counts as 0
    assert fuse(f"{prefix}fast", [2, -3], 1.0, 5.0) == pytest.approx(2 / 2.0001)
    # softmax of ln 1 and ln 3 is 1/4 and 3/4
    assert fuse(f"{prefix}softmax", [0, np.log(3)], 4.0, 8.0) == pytest.approx(7.0)
    assert fuse(f"{prefix}unbounded", [2, -3], 1.0, 5.0) == pytest.approx(-13.0)


def test_two_equal_inputs_keep_0_99995_of_their_value_at_the_start():
    assert fuse("fast", [1, 1], 1.0, 1.0) == pytest.approx(0.99995, abs=1e-7)


@pytest.mark.parametrize(
    ("method", "shape"), [("fast", (2,)), ("channel_fast", (2, 3)), ("pixel_fast", (2, 2, 2, 1))]
)
def test_there_is_a_weight_per_input_channel_or_pixel(method, shape):
    layer = WeightedFusion(method)
    layer.build([(None, 2, 2, 3)] * 2)
    assert layer.fusion_weights.shape == shape


# One for each shape of the weights; the rules themselves are above.
@pytest.mark.parametrize(
    "fusion",
    [
        "fast", "sum", "channel_softmax", "pixel_unbounded",
        *(pytest.param(fusion, marks=pytest.mark.thorough)
          for fusion in ("softmax", "unbounded", "channel_fast", "pixel_fast")),
    ],
)  # fmt: skip
def test_every_fusion_builds_a_network_that_gives_finite_numbers(fusion):
    network = build_network(small_model(fusion=fusion))
    outputs = network(tf.random.stateless_normal((1, 64, 96, 3), [3, 4]))
    assert all(np.isfinite(value).all() for value in outputs.values())
    weights = [v for v in network.trainable_variables if v.path.endswith("fusion_weights")]
    assert len(weights) == (0 if fusion == "sum" else 4)  # one variable for each node


@pytest.mark.parametrize(
    ("size", "target", "layers"),
    [
        ((8, 8), (8, 8), []),
        ((8, 8), (4, 4), ["x_pool"]),
        ((5, 7), (3, 4), ["x_pool"]),
        ((3, 4), (5, 7), ["x_upsample"]),
    ],
)
def test_resampling_reaches_any_size_and_projects_only_another_width(size, target, layers):
    for channels in (16, 24):
        inputs = keras.Input((*size, channels))
        model = keras.Model(inputs, resample(inputs, target, 16, Style(), "x"))
        projection = ["x_conv", "x_bn"] if channels != 16 else []
        assert [layer.name for layer in model.layers[1:]] == projection + layers
        assert model.output_shape == (None, *target, 16)


def test_global_attention_by_hand():
    coarse = tf.constant([-5.0, np.log(3.0)], shape=(1, 2, 1, 1))  # its largest gives a gate of 3/4
    fine, rest = tf.constant([8.0, 4.0], shape=(1, 2, 1, 1)), tf.fill((1, 2, 1, 1), 0.5)
    merged = GlobalAttention()([coarse, fine])
    np.testing.assert_allclose(merged[0, :, 0, 0], [-5 + 6, np.log(3.0) + 3], rtol=1e-6)
    merged = GlobalAttention()([coarse, fine, rest])
    np.testing.assert_allclose(merged[0, :, 0, 0], [1.5, np.log(3.0) + 3.5], rtol=1e-6)


def test_the_gate_of_global_attention_belongs_to_a_channel_of_an_image():
    coarse = np.zeros((2, 2, 2, 2), "float32")
    coarse[1, 0, 0, 1] = 50.0  # only here the gate is 1 instead of 1/2
    added = GlobalAttention()([tf.constant(coarse), tf.ones((2, 2, 2, 2))]) - coarse
    np.testing.assert_allclose(added[0], 0.5)
    np.testing.assert_allclose(added[1, :, :, 0], 0.5)
    np.testing.assert_allclose(added[1, :, :, 1], 1.0)


@pytest.mark.parametrize("network", FEATURE_NETWORKS)
def test_a_cell_computes_each_output_from_the_levels_of_its_drawing_and_no_other(network):
    """By changing one input at a time; the widths differ from the pyramid's at some levels."""
    keras.utils.set_random_seed(0)  # some weights let a change of 1 through as less than 1e-6
    inputs = {
        level: keras.Input((2 ** (7 - level), 2 ** (8 - level), 6 if level > 4 else 5))
        for level in LEVELS
    }
    outputs = cell(inputs, network, "fast", 6, Style(), 0)
    model = keras.Model(list(inputs.values()), list(outputs.values()))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(1, *x.shape[1:])).astype("float32") for x in inputs.values()]
    usual = model(values)
    for k, changed in enumerate(LEVELS):
        others = [values[i] + (100.0 if i == k else 0.0) for i in range(len(values))]
        for level, before, after in zip(LEVELS, usual, model(others), strict=True):
            moved = float(np.abs(after - before).max()) > 1e-6
            assert moved == (changed in REACHED[network][level]), (changed, level)
    assert [y.shape for y in usual] == [(1, *inputs[level].shape[1:3], 6) for level in LEVELS]
