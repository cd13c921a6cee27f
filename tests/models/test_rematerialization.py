"""Networks cut into blocks: which ones, and that computing them again happens late enough."""

import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import build_network
from edet.models.layers import Randomness, randomness
from edet.models.rematerialization import RematerializedNetwork, block_of, calls_of, split
from tests.small import small_model

# Three levels: blocks 1a-7a of the backbone, one cell, two heads.
CONFIG = small_model(image_size=(32, 32))


@pytest.fixture(scope="module")
def network():
    return build_network(CONFIG)


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        ("backbone.stem_conv", "backbone.stem"),
        ("backbone.block2a_expand_conv", "backbone.block2a"),
        ("pyramid.p6_pool", "pyramid.p6"),
        ("pyramid.cell0.node5.input1_conv", "pyramid.cell0"),
        ("class_head.bn1_p3", "class_head"),
        ("box_head.concat", "box_head"),
        ("class_logits", "class_logits"),
    ],
)
def test_a_layers_name_says_its_block(layer, block):
    assert block_of(layer) == block


def test_blocks_come_in_an_order_in_which_they_can_be_computed(network):
    blocks, image, outputs = split(network)
    names = [block.name for block in blocks]
    assert len(set(names)) == len(names)
    assert names[0] == "backbone.stem"
    assert names.index("backbone.block7a") < names.index("pyramid.cell0")
    assert names.index("pyramid.cell0") < names.index("class_head") < names.index("class_logits")
    ready = {image}
    for block in blocks:
        assert ready.issuperset(block.inputs), block.name
        ready.update(block.outputs)
    assert set(outputs) == {"class_logits", "box_deltas"}
    cell = blocks[names.index("pyramid.cell0")]
    assert (len(cell.inputs), len(cell.outputs)) == (3, 3)  # levels 3 to 5
    assert sum(block.network.count_params() for block in blocks) == network.count_params()


def test_cutting_leaves_the_network_as_it_was(network):
    images = tf.ones((1, 32, 32, 3))
    before = network(images)
    split(network)
    tf.nest.map_structure(np.testing.assert_array_equal, network(images), before)
    assert len(calls_of(network)[0]) == len(calls_of(network)[0])


def test_activations_are_computed_again_and_only_after_the_loss_is_known(network):
    """Every convolution but the last of each block runs twice; the second needs the gradient."""
    again = RematerializedNetwork(network)

    @tf.function(autograph=False)
    def differentiate(images):
        weights = [tf.identity(v.value) for v in network.trainable_variables]
        statistics = [tf.identity(v.value) for v in network.non_trainable_variables]
        with tf.GradientTape() as tape, randomness(Randomness(tf.constant([0, 0]), [0], 1)):
            tape.watch(weights)
            outputs, _ = again.stateless_call(weights, statistics, images, training=True)
            loss = tf.identity(sum(map(tf.reduce_sum, outputs.values())), name="the_loss")
        return tape.gradient(loss, weights)

    graph = differentiate.get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
    convolutions = [op for op in graph.get_operations() if op.type == "DepthwiseConv2dNative"]
    calls = [call.layer.name for call in calls_of(network)[0]]
    depthwise = [name for name in calls if "dwconv" in name or ".conv" in name or "predict" in name]
    assert len(convolutions) == 2 * len(depthwise)
    (loss,) = (op for op in graph.get_operations() if op.name.endswith("the_loss"))
    before, after = convolutions[: len(depthwise)], convolutions[len(depthwise) :]
    assert not any(loss in _ancestors(op) for op in before)
    assert all(_gradient_of_outputs(_ancestors(op)) for op in after)


def _ancestors(operation: tf.Operation) -> set[tf.Operation]:
    found, waiting = set(), [operation]
    while waiting:
        for x in waiting.pop().inputs:
            if x.op not in found:
                found.add(x.op)
                waiting.append(x.op)
    return found


def _gradient_of_outputs(operations: set[tf.Operation]) -> bool:
    return any(op.name.startswith("gradient_tape") for op in operations)


def test_rematerialisation_needs_a_source_of_randomness(network):
    """Without one, drop connect would drop other images the second time."""
    again = RematerializedNetwork(network)
    values = ([v.value for v in group] for group in (
        network.trainable_variables, network.non_trainable_variables
    ))  # fmt: skip
    with pytest.raises(ValueError, match="needs a block of edet.models.layers.randomness"):
        again.stateless_call(*values, tf.ones((1, 32, 32, 3)))
