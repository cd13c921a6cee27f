"""Folding changes how a network is computed, not what it computes."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.export.fold import fold
from edet.models.efficientdet import build_network
from edet.models.layers import BatchNorm
from edet.models.pyramid import WeightedFusion
from tests.golden.fill import fill_with_golden_weights
from tests.small import small_model

# Gains at which the activations stay of one size through every block, as in a trained network.
META = {"salt": "w", "gains": {"res": 0.25, "proj": 0.7, "fpn": 1.0, "head": 1.0}}


def filled(model):
    """A network whose batch norms and fusion weights are far from their initial values."""
    network = build_network(model)
    fill_with_golden_weights(network, model, META)
    return network


def assert_same_outputs(network, folded, size):
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    expected, found = network(images), folded(images)
    for name, value in expected.items():
        limit = 1e-4 * np.abs(value).max()
        np.testing.assert_allclose(found[name], value, rtol=0, atol=limit, err_msg=name)


# The same of small networks: the next tests.
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["efficientdet-d0", "efficientdet-lite0", "efficientdet-d3"])
def test_released_models_keep_their_outputs(name):
    """Within 1e-4 of the maximum; seen: some 1e-6."""
    model = load_config(name, overrides=["model.image_size=[64,96]"]).model
    network = filled(model)
    assert_same_outputs(network, fold(network), (64, 96))


def test_squeeze_and_excitation_keeps_its_outputs():
    """With all else that D0 has: swish, weighted fusion, five levels."""
    network = filled(
        small_model(
            backbone="efficientnet-w0.35-d0.3", activation="swish", fusion="fast", max_level=7
        )
    )
    assert_same_outputs(network, fold(network), (64, 96))


def test_a_swish_is_left_as_the_two_operations_that_kernels_can_take_with_the_convolution():
    folded = fold(filled(small_model(activation="swish")))
    images = tf.TensorSpec([1, 64, 96, 3])
    run = tf.function(lambda x: folded(x, training=False), autograph=False)
    graph = run.get_concrete_function(images).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert "Sigmoid" in kinds and "IdentityN" not in kinds


@pytest.mark.parametrize("fusion", ["sum", "softmax", "channel_fast", "pixel_unbounded"])
def test_every_fusion_keeps_its_outputs(fusion):
    network = filled(small_model(fusion=fusion))
    folded = fold(network)
    assert_same_outputs(network, folded, (64, 96))
    left = [x for x in folded.layers if isinstance(x, BatchNorm | WeightedFusion)]
    assert not left


@pytest.mark.parametrize(
    "backbone",
    ["efficientnet-lite-tiny", pytest.param("resnet50", marks=pytest.mark.thorough)],
)
def test_the_first_convolution_divides_by_the_deviation(backbone):
    network, deviation = filled(small_model(backbone=backbone)), (2.0, 4.0, 8.0)
    folded = fold(network, deviation)
    images = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    expected, found = network(images), folded(images * np.float32(deviation))
    for name, value in expected.items():
        limit = 1e-4 * np.abs(value).max()
        np.testing.assert_allclose(found[name], value, rtol=0, atol=limit, err_msg=name)


def test_the_network_itself_is_not_touched():
    network = filled(small_model(fusion="fast"))
    before = {v.path: v.numpy() for v in network.variables}
    folded = fold(network)
    folded.get_layer("backbone.stem_bn").set_weights(
        [np.zeros_like(w) for w in folded.get_layer("backbone.stem_bn").get_weights()]
    )
    for variable in network.variables:
        np.testing.assert_array_equal(variable.numpy(), before[variable.path])


@pytest.mark.parametrize("convolution", ["separable", "full"])
def test_the_class_logits_are_those_of_the_classes_asked_for(convolution):
    """Of three, the first and the third; in the order of the network's anchors."""
    network = filled(small_model(convolution=convolution))
    images = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype(np.float32)
    expected, found = fold(network)(images), fold(network, classes=[0, 2])(images)
    assert found["class_logits"].shape == (*expected["class_logits"].shape[:2], 2)
    wanted = expected["class_logits"].numpy()[..., [0, 2]]
    np.testing.assert_allclose(found["class_logits"], wanted, atol=1e-5 * np.abs(wanted).max())
    np.testing.assert_array_equal(found["box_deltas"], expected["box_deltas"])
