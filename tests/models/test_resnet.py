"""ResNets and full convolutions: sizes by hand, and folding. Weights are in tests/weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.export.fold import fold
from edet.models.complexity import count_cost
from edet.models.efficientdet import build_network
from edet.models.rematerialization import block_of
from edet.models.resnet import RESNETS, resnet


@pytest.fixture(scope="module")
def network():
    """RetinaNet of a ResNet-50 on small images."""
    overrides = ["model.image_size=[64,96]", "model.num_classes=3"]
    return build_network(load_config("retinanet-resnet50", overrides=overrides).model)


def test_each_level_is_half_as_large(network):
    names = ("conv1_relu", "conv2block3_out", "conv3block4_out", "conv4block6_out",
             "conv5block3_out")  # fmt: skip
    shapes = [network.get_layer(f"backbone.{name}").output.shape[1:] for name in names]
    assert shapes == [(32, 48, 64), (16, 24, 256), (8, 12, 512), (4, 6, 1024), (2, 3, 2048)]


def test_odd_sizes_round_up():
    features = resnet(keras.Input((65, 97, 3)), "resnet50")
    sizes = [features[level].shape[1:3] for level in range(1, 6)]
    assert sizes == [(33, 49), (17, 25), (9, 13), (5, 7), (3, 4)]


@pytest.fixture(scope="module")
def cost(network):
    return count_cost(network)


def test_parameters_are_those_of_the_published_network_without_its_head(cost):
    """25,557,032 of torchvision's ResNet-50, less 2048 * 1000 + 1000 of its classifier."""
    assert cost["backbone"].trainable_parameters == 25_557_032 - 2_049_000


def test_heads_and_pyramid_are_retinanets_full_convolutions(network, cost):
    """Two heads: four of 3 x 3 x 256 x 256 with batch norm on five levels, then 9 x (3 + 4)."""
    conv = 9 * 256 * 256 + 256
    norms = 5 * 2 * 256
    predict = 9 * 256 * 9 * (3 + 4) + 9 * (3 + 4)
    assert cost["heads"].trainable_parameters == 2 * 4 * (conv + norms) + predict
    projections = sum(c * 256 + 3 * 256 for c in (512, 1024, 2048, 2048))  # P3-P5, and P6
    assert cost["pyramid"].trainable_parameters == projections + 5 * (conv + 2 * 256)
    assert not any("pointwise" in variable.path for variable in network.variables)


def test_a_fresh_retinanet_gives_every_class_one_percent(network):
    outputs = network(tf.random.stateless_normal((1, 64, 96, 3), [1, 2]), training=True)
    assert float(tf.reduce_mean(tf.sigmoid(outputs["class_logits"]))) == pytest.approx(0.01, 0.3)


def test_a_folded_retinanet_is_the_same_function(network):
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if "moving" in variable.path or "beta" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    images = tf.random.stateless_normal((1, 64, 96, 3), [1, 2])
    expected, found = network(images), fold(network)(images)
    for name, value in expected.items():
        limit = 1e-4 * float(tf.reduce_max(tf.abs(value)))
        np.testing.assert_allclose(found[name], value, rtol=0, atol=limit)


def test_a_block_of_a_resnet_is_a_residual_block():
    assert block_of("backbone.conv2block1_0_conv") == "backbone.conv2block1"
    assert {name: sum(repeats) for name, repeats in RESNETS.items()} == {
        "resnet50": 16, "resnet101": 33,
    }  # fmt: skip
