"""Sums over parts, one after the other."""

import pytest
import tensorflow as tf

from edet.training.accumulation import sum_over_parts


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_the_parts_are_summed(count, in_graph):
    def sums():
        return sum_over_parts(
            lambda k: [tf.cast(k, tf.float32) + 1.0, tf.fill([2], 10.0)],
            count, [tf.zeros([]), tf.zeros([2])],
        )  # fmt: skip

    single, pair = (tf.function(sums) if in_graph else sums)()
    assert float(single) == count * (count + 1) / 2  # 1 + 2 + ... + count
    assert pair.numpy().tolist() == [10.0 * count] * 2


def test_the_graph_does_not_grow_with_the_parts():
    @tf.function
    def sums():
        return sum_over_parts(lambda k: [tf.sin(tf.cast(k, tf.float32))], 100, [tf.zeros([])])

    definition = sums.get_concrete_function().graph.as_graph_def()
    nodes = [node for function in definition.library.function for node in function.node_def]
    assert sum(node.op == "Sin" for node in nodes) == 1


def test_a_gradient_of_each_part_reaches_the_weights_outside_the_loop():
    weight, rows = tf.constant(3.0), tf.constant([1.0, 10.0])

    def part(k):
        own = tf.identity(weight)
        with tf.GradientTape() as tape:
            tape.watch(own)
            loss = own * own * rows[k]
        return [tape.gradient(loss, own)]

    (gradient,) = tf.function(lambda: sum_over_parts(part, 2, [tf.zeros([])]))()
    assert float(gradient) == 2 * 3.0 * (1 + 10)
