"""A network cut into blocks, and training that keeps only what passes between them.

The backward pass needs what the forward pass computed. Kept, that is most of the memory of
training; computed a second time, block by block, it costs a third of the time: the activations of
one block are in memory at once, and the feature maps between blocks.

A block is a block of the backbone, the levels that the pyramid adds, a cell of the pyramid, or a
head. Layers say by their names which one they belong to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.models.layers import current_randomness, randomness

Tensors = list[tf.Tensor]

# "backbone.block2a_expand_conv" -> "backbone.block2a", "pyramid.cell0.node5.conv" ->
# "pyramid.cell0", "class_head.bn1_p3" -> "class_head"
_BLOCK = re.compile(r"(backbone|pyramid)\.[^._]+|[^.]+")


class Block(NamedTuple):
    """A part of a network that can be computed once its inputs are there."""

    name: str
    network: keras.Model  # from a list of tensors to a list of tensors; shares the layers
    inputs: tuple[int, ...]  # keys of the tensors between the blocks
    outputs: tuple[int, ...]


def block_of(layer: str) -> str:
    """Returns the block that a layer's name belongs to."""
    return _BLOCK.match(layer).group()


class Call(NamedTuple):
    """One call of a layer in the graph of a network."""

    layer: keras.layers.Layer
    inputs: list[keras.KerasTensor]
    output: keras.KerasTensor

    @property
    def block(self) -> str:
        """The block that it belongs to."""
        return block_of(self.layer.name)


def calls_of(network: keras.Model) -> tuple[list[Call], dict[str, keras.KerasTensor]]:
    """Returns the calls of all layers in a possible order, and the network's outputs by name."""
    calls: list[Call] = []

    def call(layer: keras.layers.Layer, *args, **kwargs) -> keras.KerasTensor:
        output = layer(*args, **kwargs)
        given = keras.tree.flatten((args, kwargs))
        calls.append(Call(layer, [x for x in given if isinstance(x, keras.KerasTensor)], output))
        return output

    clone = keras.models.clone_model(
        network, clone_function=lambda layer: layer, call_function=call
    )
    return calls, clone.output


def outputs_of_blocks(
    calls: Sequence[Call], results: Sequence[keras.KerasTensor]
) -> dict[str, list[keras.KerasTensor]]:
    """Returns for each block what it hands to others, or to the outside (`results`)."""
    made_by = {id(call.output): call.block for call in calls}
    wanted = {id(x) for x in results}
    wanted |= {id(x) for call in calls for x in call.inputs if made_by.get(id(x)) != call.block}
    outputs: dict[str, list[keras.KerasTensor]] = {call.block: [] for call in calls}
    for call in calls:
        if id(call.output) in wanted:
            outputs[call.block].append(call.output)
    return outputs


def split(network: keras.Model) -> tuple[list[Block], int, dict[str, int]]:
    """Cuts a network of `build_network` into blocks, in an order in which they can be computed.

    Returns:
      The blocks; the key of the network's input; the keys of its outputs by name.
    """
    calls, results = calls_of(network)
    outputs = outputs_of_blocks(calls, results.values())
    inside = {id(call.output): call.block for call in calls}
    inputs: dict[str, dict[int, keras.KerasTensor]] = {block: {} for block in outputs}
    for call in calls:
        inputs[call.block] |= {id(x): x for x in call.inputs if inside.get(id(x)) != call.block}
    (image,) = {key for block in inputs.values() for key in block if key not in inside}
    blocks, ready, waiting = [], {image}, list(inputs)
    while waiting:
        name = next(name for name in waiting if ready.issuperset(inputs[name]))
        waiting.remove(name)
        part = keras.Model(list(inputs[name].values()), outputs[name])
        keys = tuple(id(x) for x in outputs[name])
        blocks.append(Block(name, part, tuple(inputs[name]), keys))
        ready.update(keys)
    return blocks, image, {name: id(x) for name, x in results.items()}


class RematerializedNetwork:
    """A network whose gradient computes every block anew instead of keeping its activations.

    The same function of the same variables as `network`, to be made after layers were frozen.
    """

    def __init__(self, network: keras.Model):
        self.blocks, self._input, self._outputs = split(network)
        places = [
            {id(variable): place for place, variable in enumerate(variables)}
            for variables in (network.trainable_variables, network.non_trainable_variables)
        ]
        self._places = [
            (
                [places[0][id(variable)] for variable in block.network.trainable_variables],
                [places[1][id(variable)] for variable in block.network.non_trainable_variables],
            )
            for block in self.blocks
        ]

    def stateless_call(
        self, trainable: Tensors, non_trainable: Tensors, images: tf.Tensor, training: bool = True
    ) -> tuple[dict[str, tf.Tensor], Tensors]:
        """As `keras.Model.stateless_call`, inside a block of `layers.randomness`."""
        values, statistics = {self._input: images}, list(non_trainable)
        for block, (own, others) in zip(self.blocks, self._places, strict=True):
            outputs, updated = _rematerialized(
                block.network,
                [values[key] for key in block.inputs],
                [trainable[place] for place in own],
                [non_trainable[place] for place in others],
                training,
            )
            values |= zip(block.outputs, outputs, strict=True)
            for place, value in zip(others, updated, strict=True):
                statistics[place] = value
        return {name: values[key] for name, key in self._outputs.items()}, statistics


def _rematerialized(
    network: keras.Model, inputs: Tensors, weights: Tensors, statistics: Tensors, training: bool
) -> tuple[Tensors, Tensors]:
    """Calls a block; its gradient calls it again.

    tf.recompute_grad finds a function's variables by watching them, and there are none to watch in
    a step that is a function of tensors: weights would silently get no gradient. Here they are
    arguments.
    """
    source = current_randomness()  # the gradient is taken when the step's block is left
    count = len(network.outputs)

    def forward(inputs: Sequence[tf.Tensor], weights: Sequence[tf.Tensor]) -> Tensors:
        with randomness(source):
            outputs, updated = network.stateless_call(
                list(weights), statistics, list(inputs), training=training
            )
        # Frozen statistics come back as they were given, which may be from outside a loop.
        return [*keras.tree.flatten(outputs), *(tf.identity(value) for value in updated)]

    @tf.custom_gradient
    def call(*arguments: tf.Tensor) -> tuple[Tensors, Callable[..., Tensors]]:
        """Returns the block's outputs for its inputs and weights, and their gradient."""

        def gradient(*upstream: tf.Tensor) -> Tensors:
            """Returns the gradients of the arguments, from outputs that are computed again."""
            upstream = list(upstream[:count])  # nothing is learnt through the statistics
            again = _after(upstream, arguments[: len(inputs)])
            own = [tf.identity(weight) for weight in arguments[len(inputs) :]]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([*again, *own])
                outputs = forward(again, own)[:count]
            return tape.gradient(
                outputs, [*again, *own], upstream,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )  # fmt: skip

        return forward(arguments[: len(inputs)], arguments[len(inputs) :]), gradient

    results = call(*inputs, *weights)
    return results[:count], results[count:]


def _after(upstream: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor]) -> Tensors:
    """Returns `inputs` as new tensors that cannot be there before `upstream` is.

    Without it a runtime would compute the block again as soon as it can, and a compiler would see
    that it has been computed before; both would keep everything after all. XLA does not heed
    control dependencies and sees through x == x, but not that min(|x|, 0) is 0.
    """
    zeros = [tf.minimum(tf.abs(tf.cast(tf.reshape(x, [-1])[0], tf.float32)), 0.0) for x in upstream]
    zero = tf.add_n(zeros)
    return [x + tf.cast(zero, x.dtype) for x in inputs]
