"""Costs counted from layers, against TensorFlow's own profiler on the graph of the same network."""

import keras
import pytest
import tensorflow as tf

from edet.config.schema import SegmentationConfig
from edet.models.complexity import count_cost, outline
from edet.models.efficientdet import PARTS, build_network, part_of
from tests.small import small_model

# What a runtime keeps between operations; cheap element-wise operations are fused into these.
KEPT = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "ResizeNearestNeighbor", "AddV2", "ConcatV2")


def profiled(network: keras.Model) -> dict[str, list[int]]:
    """Returns {part: [multiply-adds, bytes kept]} of one image, by TensorFlow's profiler."""
    spec = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    run = tf.function(lambda images: network(images, training=False), autograph=False)
    graph = run.get_concrete_function(spec)
    found = {part: [0, 0] for part in PARTS}
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    nodes = [tf.compat.v1.profiler.profile(graph.graph, options=options | {"output": "none"})]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.children)
        found[part_of((node.name.split("/") + [""])[1])][0] += node.float_ops
    for operation in graph.graph.get_operations():
        if operation.type in KEPT:
            part = part_of((operation.name.split("/") + [""])[1])
            kept = operation.outputs[0]
            if operation.type == "ResizeNearestNeighbor":  # 3 to 5: doubled, and one cut off
                cut = (user.outputs[0] for user in kept.consumers() if user.type == "StridedSlice")
                kept = next(cut, kept)
            found[part][1] += 4 * kept.shape.num_elements()
    return {part: [operations // 2, kept] for part, (operations, kept) in found.items()}


@pytest.mark.parametrize(
    "changes",
    [
        # Squeeze and excitation, swish, separable convolutions, levels resized and pooled.
        {"backbone": "efficientnet-w0.1-d0.1", "activation": "swish",
         "heads": ("detection", "segmentation"), "segmentation": SegmentationConfig(num_classes=4)},
        {"backbone": "efficientnet-w0.1-d0.1", "activation": "hswish", "fusion": "pixel_fast"},
        # Attention and full convolutions.
        {"feature_network": "nas_fpn", "convolution": "full", "fusion": "softmax", "max_level": 7},
    ],
)  # fmt: skip
def test_costs_are_what_tensorflows_profiler_says_of_the_graph(changes):
    network = build_network(small_model(**changes))
    found = count_cost(network)
    assert {
        part: [found[part].multiply_adds, found[part].activation_bytes] for part in PARTS
    } == profiled(network)


def test_an_outline_costs_what_the_network_does_and_holds_no_weights():
    model = small_model()
    network = outline(model)
    assert count_cost(network) == count_cost(build_network(model))
    assert all(variable._value is None for variable in network.variables)


def test_the_parts_costs_add_up_to_the_total():
    cost = count_cost(outline(small_model()))
    total = cost.pop("total")
    for field in vars(total):
        assert sum(getattr(part, field) for part in cost.values()) == getattr(total, field)
        assert all(getattr(part, field) > 0 for part in cost.values())
