"""One training step as a pure function: (state, batch) -> (state, metrics).

Nothing is read from or assigned to a variable here, so the step can be tested on its own, gives
the same update on any number of replicas, and compiles for a TPU without one.

Letters: B images of one replica, N padded boxes.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from edet.config.schema import Config
from edet.data.resize import normalize_images
from edet.geometry.anchors import make_anchors
from edet.geometry.targets import assign_targets
from edet.models.layers import Randomness, randomness
from edet.training.losses import detection_losses, is_kernel, l2_loss, loss_normalizer
from edet.training.optimizer import clip_factors, moving_average, sgd
from edet.training.recipe import Recipe
from edet.training.schedules import learning_rate

Tensors = list[tf.Tensor]
Batch = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


class State(NamedTuple):
    """Everything that a step changes; tensors in the order of the network's variables."""

    step: tf.Tensor  # int32, updates done
    trainable: Tensors
    non_trainable: Tensors  # batch-norm statistics, and whatever is frozen
    velocities: Tensors  # of the trainable ones
    averages: Tensors  # of the trainable, then of the non-trainable ones


class TrainingStep:
    """The training step of a network.

    Called with a State and the batch of one replica: "images" uint8 or float32 [B, H, W, 3] in
    0-255, "gt_boxes" float32 [B, N, 4] yxyx in pixels and "gt_classes" int32 [B, N], -1 in padding
    rows. In a replica context it sums over the replicas, so that N replicas of B / N images do
    what one does with B: losses are normalised by the positives of the global batch, and clipping
    sees the summed gradient. A step whose loss or gradient is not finite changes nothing but the
    count; its metrics say so.
    """

    def __init__(self, network: keras.Model, config: Config, recipe: Recipe):
        self.network, self.config, self.recipe = network, config, recipe
        self.anchors = make_anchors(
            config.model.image_size, config.model.levels, config.model.anchors
        )
        paths = [variable.path for variable in network.trainable_variables]
        self.is_kernel = [is_kernel(path) for path in paths]
        # One of our fusion variables holds the weights of all inputs; the reference has a variable
        # for each and clips each alone.
        self.is_fusion = [path.endswith("/fusion_weights") for path in paths]

    def __call__(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """Returns the state after one update, and scalar metrics that agree on every replica."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.trainable)
            losses, non_trainable, positives = self._losses(state, batch)
        gradients = tape.gradient(
            losses["total"], state.trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        *gradients, packed = _sum_over_replicas([*gradients, tf.stack(list(losses.values()))])
        losses = dict(zip(losses, tf.unstack(packed), strict=True))
        gradients = self._add_weight_decay(gradients, state.trainable, losses)
        factors, norm = clip_factors(gradients, self.config.train.clip_norm, self.is_fusion)
        rate = self._learning_rate(state.step)
        losses["total_loss"] = losses.pop("total")
        new = tf.cond(
            tf.math.is_finite(losses["total_loss"]) & tf.math.is_finite(norm),
            lambda: self._update(
                state, gradients, [rate * factor for factor in factors], list(non_trainable)
            ),
            lambda: state,
        )
        metrics = losses | {"learning_rate": rate, "gradient_norm": norm, "positives": positives}
        return new._replace(step=state.step + 1), metrics

    def _losses(self, state: State, batch: Batch) -> tuple[Metrics, Tensors, tf.Tensor]:
        """Returns this replica's share of the losses, the new statistics, and all positives."""
        context = tf.distribute.get_replica_context()
        replica, replicas = 0, 1
        if context is not None:
            replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        # Every DropConnect adds its index to the first number; there are fewer than 1000.
        seed = tf.stack([state.step * 1000, self.config.train.seed])
        images = normalize_images(batch["images"], self.config.model)
        with randomness(Randomness(seed, replica, replicas)):
            outputs, non_trainable = self.network.stateless_call(
                state.trainable, state.non_trainable, images, training=True
            )
        targets = assign_targets(
            self.anchors, batch["gt_boxes"], batch["gt_classes"], self.config.loss.positive_iou
        )
        positives = _sum_over_replicas([tf.reduce_sum(targets.num_positives)])[0]
        losses = detection_losses(
            outputs["class_logits"], outputs["box_deltas"], targets, self.anchors,
            normalizer=loss_normalizer(positives), config=self.config.loss,
        )  # fmt: skip
        return losses, non_trainable, positives

    def _add_weight_decay(self, gradients: Tensors, trainable: Tensors, losses: Metrics) -> Tensors:
        """Adds the L2 term to the losses and its gradient: once, not a share on each replica."""
        decay = self.config.loss.weight_decay
        pairs = list(zip(trainable, self.is_kernel, strict=True))
        losses["l2_loss"] = l2_loss([w for w, kernel in pairs if kernel], decay)
        losses["total"] += losses["l2_loss"]
        return [
            g + decay * w if kernel else g for g, (w, kernel) in zip(gradients, pairs, strict=True)
        ]

    def _learning_rate(self, step: tf.Tensor) -> tf.Tensor:
        recipe = self.recipe
        return learning_rate(
            step, peak=recipe.learning_rate, warmup_start=recipe.warmup_learning_rate,
            warmup_steps=recipe.warmup_steps, total_steps=recipe.total_steps,
            schedule=self.config.train.schedule, drop_steps=recipe.drop_steps,
        )  # fmt: skip

    def _update(
        self, state: State, gradients: Tensors, rates: Tensors, non_trainable: Tensors
    ) -> State:
        trainable, velocities = sgd(
            state.trainable, state.velocities, gradients, rates, self.config.train.momentum
        )
        values = [*trainable, *non_trainable]
        averages = moving_average(state.averages, values, state.step, self.recipe.ema_decay)
        return State(state.step, trainable, non_trainable, velocities, averages)


def _sum_over_replicas(tensors: Tensors) -> Tensors:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
