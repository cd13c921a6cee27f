"""The state of a run in variables: raw weights, averages, what the optimiser keeps, the step.

A checkpoint stores each variable's average and velocity under that variable's name. Those of
vectors are one variable here (`training.packing`), and `by_name` has copies of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from edet.training.loss_scale import LossScale, initial_loss_scale
from edet.training.packing import Packing
from edet.training.step import State

Variables = list[tf.Variable]


class TrainingVariables:
    """Holds a run's state; to be created inside the strategy's scope.

    The step reads it as plain tensors and gets plain tensors back, in a replica context. Every
    replica assigns the same values to its own copy. `velocities` and `squares` are packed in the
    order of the trainable variables; so are `averages`, which has those of the others after them.
    """

    def __init__(self, network: keras.Model, optimizer: str = "sgd"):
        """Args: `optimizer`, "sgd" or "adamw", which keeps squares too."""
        self.network = network
        self._learnt = Packing(network.trainable_variables)
        self._collected = Packing(network.non_trainable_variables)
        self.step = tf.Variable(0, trainable=False, dtype=tf.int32, name="step")
        weights = self._packed_weights()
        self.averages = [tf.Variable(weight, trainable=False) for weight in weights]
        learnt = self.averages[: len(self._learnt)]
        self.velocities = _zeros(learnt)
        self.squares: Variables | tuple[()] = _zeros(learnt) if optimizer == "adamw" else ()
        self.loss_scale: LossScale | tuple[()] = ()
        if any(layer.compute_dtype == "float16" for layer in network.layers):
            self.loss_scale = LossScale(
                *(tf.Variable(value, trainable=False) for value in initial_loss_scale())
            )

    @property
    def _weights(self) -> list[keras.Variable]:
        return [*self.network.trainable_variables, *self.network.non_trainable_variables]

    def _packed_weights(self) -> list[tf.Tensor | np.ndarray]:
        """Returns the raw weights, packed as the averages are."""
        groups = (
            (self._learnt, self.network.trainable_variables),
            (self._collected, self.network.non_trainable_variables),
        )
        return [x for packing, group in groups for x in packing.pack([v.numpy() for v in group])]

    def read(self) -> State:
        """Returns the state as tensors."""
        return State(
            tf.identity(self.step),
            *(
                [tf.convert_to_tensor(variable) for variable in group]
                for group in (
                    self.network.trainable_variables,
                    self.network.non_trainable_variables,
                    self.velocities,
                    self.averages,
                )
            ),
            LossScale(*map(tf.convert_to_tensor, self.loss_scale)) if self.loss_scale else (),
            [tf.convert_to_tensor(square) for square in self.squares] or (),
        )

    def assign(self, state: State) -> None:
        """Writes a state back."""
        held = (
            self._weights, self.averages, self.velocities, self.loss_scale, self.squares,
        )  # fmt: skip
        weights = [*state.trainable, *state.non_trainable]
        given = (weights, state.averages, state.velocities, state.loss_scale, state.squares)
        self.step.assign(state.step)
        for variables, values in zip(held, given, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def restart_averages(self) -> None:
        """Sets the averages to the raw weights, after these were loaded from elsewhere."""
        for average, weight in zip(self.averages, self._packed_weights(), strict=True):
            average.assign(weight)

    def copy_averages_to(self, network: keras.Model) -> None:
        """Writes the averages into another network of the same configuration."""
        averages = self._by_path("average")
        for variable in network.variables:
            variable.assign(_first_replica(averages[variable.path]))

    def by_name(self) -> dict[str, tf.Variable | dict[str, tf.Variable]]:
        """Returns the state as a checkpoint stores it: maps of paths to variables, and the step.

        To be called outside the strategy's scope. Those of packed vectors are copies: every call
        brings the same ones up to date, and what is written into them counts after `take_named`.
        "loss_scale" is there for float16 networks only, "square" for AdamW.
        """
        scale = {"loss_scale": self.loss_scale._asdict()} if self.loss_scale else {}
        raw = {v.path: v.value for v in self._weights}
        kept = {name: self._by_path(name) for name in self._named}
        return scale | {"step": self.step, "raw": raw, **kept}

    def _by_path(self, name: str) -> dict[str, tf.Variable]:
        """Returns what is kept of each variable, an entry of `by_name`."""
        variables = [variable for named in self._named[name] for variable in named.up_to_date()]
        weights = self._weights[: len(variables)]  # the trainable ones are the first
        return {v.path: variable for v, variable in zip(weights, variables, strict=True)}

    def take_named(self) -> None:
        """Takes what was written into the variables of `by_name`."""
        for parts in self._named.values():
            for named in parts:
                named.put_back()

    @functools.cached_property
    def _named(self) -> dict[str, list[_Named]]:
        """What a checkpoint stores of packed lists, made only when one is written or read."""
        count, of_learnt = len(self._learnt), functools.partial(_Named, self._learnt)
        average = [
            of_learnt(self.averages[:count]), _Named(self._collected, self.averages[count:]),
        ]  # fmt: skip
        squares = {"square": [of_learnt(self.squares)]} if self.squares else {}
        return {"average": average, "velocity": [of_learnt(self.velocities)], **squares}


class _Named:
    """A packed list with a variable for each vector, as checkpoints store it."""

    def __init__(self, packing: Packing, packed: Variables):
        self._packing, self._packed = packing, packed
        self._copies = [tf.Variable(tf.zeros(size), trainable=False) for size in packing.sizes]

    def up_to_date(self) -> Variables:
        """Returns the variables, the copies after the packed one."""
        if self._copies:
            parts = tf.split(_first_replica(self._packed[0]), self._packing.sizes)
            for copy, value in zip(self._copies, parts, strict=True):
                copy.assign(value)
        return self._packing.with_vectors(self._copies, self._packed)

    def put_back(self) -> None:
        """Packs what the copies hold."""
        if self._copies:
            self._packed[0].assign(tf.concat([copy.numpy() for copy in self._copies], 0))


def _zeros(like: Sequence[tf.Variable]) -> Variables:
    return [tf.Variable(tf.zeros(variable.shape), trainable=False) for variable in like]


def _first_replica(variable: tf.Variable) -> np.ndarray:
    """Every replica holds the same value; the first one's is read on the host."""
    return getattr(variable, "values", [variable])[0].numpy()
