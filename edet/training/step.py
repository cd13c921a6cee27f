"""One training step as a pure function: (state, batch) -> (state, metrics).

Nothing is read from or assigned to a variable here, so the step can be tested on its own, gives
the same update on any number of replicas, and compiles for a TPU without one.

Shapes: B images of one replica, M micro-batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.image.letterbox import normalize_images
from edet.models.layers import Randomness, randomness
from edet.models.rematerialization import RematerializedNetwork
from edet.training.accumulation import sum_over_parts
from edet.training.loss_scale import LossScale, next_loss_scale
from edet.training.losses import is_kernel, l2_loss
from edet.training.optimizer import adamw, clip_factors, moving_average, scale, sgd
from edet.training.packing import Packing
from edet.training.recipe import Recipe
from edet.training.schedules import learning_rate
from edet.training.tasks import Task

Tensors = list[tf.Tensor]
Batch = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


class State(NamedTuple):
    """Everything that a step changes.

    The weights are in the order of the network's variables; what is kept of them is packed
    (`training.packing`).
    """

    step: tf.Tensor  # int32, updates done
    trainable: Tensors
    non_trainable: Tensors  # batch-norm statistics, and whatever is frozen
    velocities: Tensors  # of the trainable ones; AdamW's moving averages of gradients; packed
    averages: Tensors  # of the trainable, then of the non-trainable ones; each packed
    loss_scale: LossScale | tuple[()] = ()  # of a float16 network
    squares: Tensors | tuple[()] = ()  # of AdamW: moving averages of squared gradients; packed


class TrainingStep:
    """The training step of a network, for its tasks, with the numbers of a recipe.

    Called with a State and the batch of one replica: "images" uint8 or float32 [B, H, W, 3] in
    0-255, and the ground truth that `training.tasks` takes. In a replica context it sums over the
    replicas, so that n replicas of B / n images do what one does with B: losses are normalised by
    the objects or pixels of the global batch, and clipping sees the summed gradient.

    `recipe.micro_batches` works through the B images in M parts, whose gradients are summed before
    anything else is done with them. Batch norm alone tells that from the whole batch: it normalises
    with the statistics of B / M images (of all replicas), and the moving statistics follow their
    mean. `recipe.remat` computes activations twice instead of keeping them; the result is the same.

    A step whose loss or gradient is not finite changes nothing but the count; its metrics say so.
    Only a float16 gradient that its scale has made overflow is no fault: the scale is halved, and
    the gradient's norm is given as 0.
    """

    def __init__(self, network: keras.Model, tasks: Sequence[Task], recipe: Recipe):
        self.network, self.tasks, self.recipe = network, tasks, recipe
        self._forward = RematerializedNetwork(network) if recipe.remat else network
        self._loss_names = [*(name for task in self.tasks for name in task.loss_names), "total"]
        paths = [variable.path for variable in network.trainable_variables]
        self.is_kernel = [is_kernel(path) for path in paths]
        # One of our fusion variables holds the weights of all inputs; the reference has a variable
        # for each and clips each alone.
        self.is_fusion = [path.endswith("/fusion_weights") for path in paths]

    def __call__(self, state: State, batch: Batch) -> tuple[State, Metrics]:
        """Returns the state after one update, and scalar metrics that agree on every replica."""
        # The scopes name these parts in profiles and in what compilers say of memory.
        with tf.name_scope("targets"):
            targets = [task.targets(batch) for task in self.tasks]
        pairs = zip(self.tasks, targets, strict=True)
        counts = _sum_over_replicas([task.count(own) for task, own in pairs])
        gradients, packed, non_trainable = self._differentiate(
            state, batch["images"], targets, counts
        )
        *gradients, packed = _sum_over_replicas([*gradients, packed])
        losses = dict(zip(self._loss_names, tf.unstack(packed), strict=True))
        gradients = self._add_weight_decay(gradients, state.trainable, losses)
        factors, norm = clip_factors(gradients, self.recipe.clip_norm, self.is_fusion)
        rate = self._learning_rate(state.step)
        losses["total_loss"] = losses.pop("total")
        loss_is_finite = tf.math.is_finite(losses["total_loss"])
        is_finite = loss_is_finite & tf.math.is_finite(norm)
        new = self._update(state, gradients, factors, rate, non_trainable, is_finite)
        if state.loss_scale:
            overflows = loss_is_finite & ~is_finite & (state.loss_scale.scale > 1.0)
            norm = tf.where(overflows, 0.0, norm)
            new = new._replace(loss_scale=next_loss_scale(state.loss_scale, is_finite))
        metrics = losses | {"learning_rate": rate, "gradient_norm": norm}
        metrics |= {task.count_name: n for task, n in zip(self.tasks, counts, strict=True)}
        return new._replace(step=state.step + 1), metrics

    def _differentiate(
        self, state: State, images: tf.Tensor, targets: list, counts: Tensors
    ) -> tuple[Tensors, tf.Tensor, Tensors]:
        """Returns this replica's share of the gradients and losses, and the new statistics."""
        count = self.recipe.micro_batches
        # Every M-th image: the parts of N replicas together hold the images of one replica's.
        parts = tf.nest.map_structure(
            lambda x: tf.reshape(x, [-1, count, *x.shape[1:]]), (images, targets)
        )
        scale = state.loss_scale.scale if state.loss_scale else 1.0

        def part(k: tf.Tensor | int) -> Tensors:
            """Returns gradients, statistics and losses of micro-batch k."""
            own_images, own_targets = tf.nest.map_structure(lambda x: x[:, k], parts)
            weights = tf.identity_n(state.trainable)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                losses, statistics = self._losses(
                    state._replace(trainable=weights), own_images, own_targets, counts, k
                )
                goal = losses["total"] * scale
            gradients = tape.gradient(
                goal, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            if count > 1:
                # Averaged as movements, because what is frozen moves by exactly 0.
                pairs = zip(statistics, state.non_trainable, strict=True)
                statistics = [(new - old) / count for new, old in pairs]
            values = tf.stack([losses[name] for name in self._loss_names])
            return [*gradients, *statistics, values]

        like = [*state.trainable, *state.non_trainable, tf.zeros(len(self._loss_names))]
        sums = sum_over_parts(part, count, like)
        n = len(state.trainable)
        gradients, statistics, values = sums[:n], sums[n:-1], sums[-1]
        if count > 1:
            pairs = zip(state.non_trainable, statistics, strict=True)
            statistics = [old + moved for old, moved in pairs]
        if state.loss_scale:
            gradients = [gradient / scale for gradient in gradients]
        return gradients, values, statistics

    def _losses(
        self, state: State, images: tf.Tensor, targets: list, counts: Tensors, part: tf.Tensor | int
    ) -> tuple[Metrics, Tensors]:
        """Returns the losses of one part of this replica's images, and the new statistics."""
        context = tf.distribute.get_replica_context()
        replica, replicas = 0, 1
        if context is not None:
            replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        count = self.recipe.micro_batches
        own = images.shape[0] or tf.shape(images)[0]  # several workers leave it open
        # Every DropConnect adds its index to the first number; there are fewer than 1000.
        seed = tf.stack([state.step * 1000, self.recipe.seed])
        places = replica * own * count + part + count * tf.range(own)
        with tf.name_scope("images"):
            images = normalize_images(images, self.recipe)
        with randomness(Randomness(seed, places, replicas * own * count)):
            outputs, non_trainable = self._forward.stateless_call(
                state.trainable, state.non_trainable, images, training=True
            )
        with tf.name_scope("losses"):
            losses = {"total": tf.zeros([])}
            for task, own, n in zip(self.tasks, targets, counts, strict=True):
                found = task.losses(outputs, own, n)
                losses["total"] += found.pop("total")
                losses |= found
        return losses, list(non_trainable)

    def _add_weight_decay(self, gradients: Tensors, trainable: Tensors, losses: Metrics) -> Tensors:
        """Adds the L2 term to the losses and its gradient: once, not a share on each replica.

        AdamW has none: its decay is no part of the loss.
        """
        decay = 0.0 if self.recipe.optimizer == "adamw" else self.recipe.weight_decay
        share = tf.constant(decay)
        pairs = list(zip(trainable, self.is_kernel, strict=True))
        losses["l2_loss"] = l2_loss([w for w, kernel in pairs if kernel], decay)
        losses["total"] += losses["l2_loss"]
        return [
            g + share * w if kernel else g for g, (w, kernel) in zip(gradients, pairs, strict=True)
        ]

    def _learning_rate(self, step: tf.Tensor) -> tf.Tensor:
        recipe = self.recipe
        return learning_rate(
            step, peak=recipe.learning_rate, warmup_start=recipe.warmup_learning_rate,
            warmup_steps=recipe.warmup_steps, total_steps=recipe.total_steps,
            schedule=recipe.schedule, drop_steps=recipe.drop_steps,
        )  # fmt: skip

    def _update(
        self, state: State, gradients: Tensors, factors: tf.Tensor, rate: tf.Tensor,
        non_trainable: Tensors, is_finite: tf.Tensor,
    ) -> State:  # fmt: skip
        """Returns the next state; where this step is not finite, the same one.

        A choice between the old and the new tensors would cost more than the update itself, so the
        optimisers leave everything as it is for factors of 0.
        """
        recipe, is_adamw = self.recipe, self.recipe.optimizer == "adamw"
        factors = tf.where(is_finite, factors if is_adamw else rate * factors, 0.0)
        learnt, collected = Packing(state.trainable), Packing(state.non_trainable)
        gradients = learnt.pack(scale(gradients, factors, self.is_fusion))
        trainable, squares = learnt.pack(state.trainable), state.squares
        if is_adamw:
            decay = learnt.pick([recipe.adamw_decay * kernel for kernel in self.is_kernel])
            trainable, velocities, squares = adamw(
                trainable, state.velocities, squares, gradients, rate=rate, step=state.step,
                decay=decay, moves=is_finite,
            )  # fmt: skip
        else:
            trainable, velocities = sgd(
                trainable, state.velocities, gradients, recipe.momentum, is_finite
            )
        pairs = zip(collected.pack(non_trainable), collected.pack(state.non_trainable), strict=True)
        non_trainable = [tf.where(is_finite, *pair) for pair in pairs]
        values = [*trainable, *non_trainable]
        averages = moving_average(state.averages, values, state.step, recipe.ema_decay, is_finite)
        return state._replace(
            trainable=learnt.unpack(trainable), non_trainable=collected.unpack(non_trainable),
            velocities=velocities, averages=averages, squares=squares,
        )  # fmt: skip


def _sum_over_replicas(tensors: Tensors) -> Tensors:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
