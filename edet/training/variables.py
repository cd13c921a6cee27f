"""The state of a run in variables: raw weights, averages, what the optimiser keeps, the step."""

from __future__ import annotations

import keras
import tensorflow as tf

from edet.training.loss_scale import LossScale, initial_loss_scale
from edet.training.step import State


class TrainingVariables:
    """Holds a run's state; to be created inside the strategy's scope.

    The step reads it as plain tensors and gets plain tensors back, in a replica context. Every
    replica assigns the same values to its own copy.
    """

    def __init__(self, network: keras.Model, optimizer: str = "sgd"):
        """Args: `optimizer`, "sgd" or "adamw", which keeps squares too."""
        self.network = network
        self.step = tf.Variable(0, trainable=False, dtype=tf.int32, name="step")
        self.velocities = _zeros(network.trainable_variables)
        self.squares: list[tf.Variable] | tuple[()] = ()
        if optimizer == "adamw":
            self.squares = _zeros(network.trainable_variables)
        self.averages = [tf.Variable(v.numpy(), trainable=False) for v in self._weights]
        self.loss_scale: LossScale | tuple[()] = ()
        if any(layer.compute_dtype == "float16" for layer in network.layers):
            self.loss_scale = LossScale(
                *(tf.Variable(value, trainable=False) for value in initial_loss_scale())
            )

    @property
    def _weights(self) -> list[keras.Variable]:
        return [*self.network.trainable_variables, *self.network.non_trainable_variables]

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
        for average, weight in zip(self.averages, self._weights, strict=True):
            average.assign(weight.numpy())

    def copy_averages_to(self, network: keras.Model) -> None:
        """Writes the averages into another network of the same configuration."""
        by_path = {v.path: a for v, a in zip(self._weights, self.averages, strict=True)}
        for variable in network.variables:
            variable.assign(_first_replica(by_path[variable.path]))

    def by_name(self) -> dict[str, tf.Variable | dict[str, tf.Variable]]:
        """Returns the state as a checkpoint stores it: maps of paths to variables, and the step.

        "loss_scale" is there for float16 networks only, "square" for AdamW only.
        """
        trainable = self.network.trainable_variables
        scale = {"loss_scale": self.loss_scale._asdict()} if self.loss_scale else {}
        if self.squares:
            pairs = zip(trainable, self.squares, strict=True)
            scale |= {"square": {v.path: square for v, square in pairs}}
        return scale | {
            "step": self.step,
            "raw": {v.path: v.value for v in self._weights},
            "average": {v.path: a for v, a in zip(self._weights, self.averages, strict=True)},
            "velocity": {v.path: m for v, m in zip(trainable, self.velocities, strict=True)},
        }


def _zeros(like: list[keras.Variable]) -> list[tf.Variable]:
    return [tf.Variable(tf.zeros(variable.shape), trainable=False) for variable in like]


def _first_replica(variable: tf.Variable) -> tf.Tensor:
    """Every replica holds the same value; the first one's is read on the host."""
    return getattr(variable, "values", [variable])[0].numpy()
