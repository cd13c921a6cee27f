"""The whole network: sizes of the released models, any shape. Numbers are in test_parity.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.sizes import list_models
from edet.errors import UserError
from edet.geometry.anchors import feature_sizes
from edet.models.complexity import count_cost, outline
from edet.models.efficientdet import build_network, freeze, part_of
from tests.small import small_model

# Of the released models: trainable parameters, and multiply-adds at the default size in billions.
RELEASED = {
    "efficientdet-d0": (3_880_067, 2.55),
    "efficientdet-d1": (6_625_898, 6.13),
    "efficientdet-d2": (8_097_039, 11.05),
    "efficientdet-d3": (12_032_296, 24.98),
    "efficientdet-d4": (20_723_675, 55.35),
    "efficientdet-d5": (33_653_315, 135.7),
    "efficientdet-d6": (51_871_782, 226.0),
    "efficientdet-d7": (51_871_782, 325.5),
    "efficientdet-d7x": (77_147_166, 411.1),
    "efficientdet-lite0": (3_243_470, 0.978),
    "efficientdet-lite1": (4_248_318, 1.973),
    "efficientdet-lite2": (5_252_334, 3.382),
    "efficientdet-lite3": (8_350_862, 7.50),
    "efficientdet-lite3x": (9_280_862, 14.02),
    "efficientdet-lite4": (15_130_894, 20.22),
}


def test_every_listed_model_is_tested():
    assert list_models() == list(RELEASED)


# The others are these with other numbers, of tests/config/test_sizes.py; a level 8 is below.
DIFFERENT = ("efficientdet-d0", "efficientdet-lite0")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in DIFFERENT else pytest.mark.thorough)
        for name in RELEASED
    ],
)
def test_parameters_are_exact_and_multiply_adds_within_one_percent(name):
    parameters, multiply_adds = RELEASED[name]
    cost = count_cost(outline(load_config(name).model))["total"]
    assert cost.trainable_parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.01)


@pytest.mark.parametrize(
    ("classes", "parameters"),
    # 90 classes are above
    [pytest.param(1, 3_828_002, marks=pytest.mark.thorough), (20, 3_839_117)],
)
def test_each_class_of_d0_costs_585_parameters(classes, parameters):
    config = load_config("efficientdet-d0", overrides=[f"model.num_classes={classes}"]).model
    trainable = outline(config).trainable_variables
    assert sum(int(np.prod(v.shape)) for v in trainable) == parameters


@pytest.mark.parametrize(
    ("size", "max_level"),
    [((64, 64), 7), ((72, 104), 8), ((65, 33), 7), ((8, 200), 7), ((1, 1), 7)],
)
def test_any_height_and_width_works(size, max_level):
    network = build_network(small_model(image_size=size, max_level=max_level))
    outputs = network(tf.zeros((1, *size, 3)))
    sizes = feature_sizes(size, max_level)
    anchors = 9 * sum(sizes[level][0] * sizes[level][1] for level in range(3, max_level + 1))
    assert outputs["class_logits"].shape == (1, anchors, 3)
    assert outputs["box_deltas"].shape == (1, anchors, 4)


def test_a_fresh_network_gives_every_class_one_percent():
    outputs = build_network(small_model())(tf.zeros((1, 64, 96, 3)))
    assert float(tf.reduce_mean(tf.sigmoid(outputs["class_logits"]))) == pytest.approx(0.01, 0.05)


def test_bfloat16_keeps_variables_and_outputs_in_float32():
    network = build_network(small_model(), precision="bfloat16")
    outputs = network(tf.random.stateless_normal((2, 64, 96, 3), [1, 2]))
    assert {v.dtype for v in network.variables} == {"float32"}
    assert network.get_layer("backbone.stem_activation").output.dtype == "bfloat16"
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    assert keras.config.dtype_policy().name == "float32"


def test_bfloat16_stays_near_float32():
    images = tf.random.stateless_normal((2, 64, 96, 3), [1, 2])
    keras.utils.set_random_seed(0)
    exact = build_network(small_model())
    rounded = build_network(small_model(), precision="bfloat16")
    for to, value in zip(rounded.variables, exact.variables, strict=True):
        to.assign(value)
    expected, found = exact(images)["class_logits"], rounded(images)["class_logits"]
    assert float(tf.reduce_max(tf.abs(expected - found))) < 0.05  # logits are about -4.6


def test_a_frozen_part_neither_trains_nor_moves_its_statistics():
    network = build_network(small_model())
    freeze(network, ["backbone", "pyramid"])
    assert {part_of(v.path) for v in network.trainable_variables} == {"heads"}
    before = {v.path: v.numpy() for v in network.variables if "moving" in v.path}
    network(tf.random.stateless_normal((2, 64, 96, 3), [1, 2]), training=True)
    moved = {
        part_of(v.path)
        for v in network.variables
        if v.path in before and not np.array_equal(v.numpy(), before[v.path])
    }
    assert moved == {"heads"}


def test_a_program_that_puts_channels_first_gets_the_same_network():
    expected = outline(small_model()).output["box_deltas"].shape
    keras.config.set_image_data_format("channels_first")
    try:
        network = build_network(small_model())
        assert keras.config.image_data_format() == "channels_first"
        found = network(np.zeros([2, 64, 96, 3], np.float32))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert found["box_deltas"].shape == (2, *expected[1:])


@pytest.mark.parametrize("given", [load_config("efficientdet-d0"), "efficientdet-d0"])
def test_what_is_no_model_section_is_refused(given):
    with pytest.raises(UserError, match=r"as in build_network\(config.model\), and not a"):
        build_network(given)
