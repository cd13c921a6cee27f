"""A network, its configuration and batches that train in milliseconds a step."""

import keras
import numpy as np
import tensorflow as tf

from edet.config.recipes import RECIPES
from edet.config.schema import Config, replace
from edet.models.efficientdet import build_network
from edet.training.packing import Packing
from edet.training.recipe import Recipe, resolve_recipe
from edet.training.step import State, TrainingStep
from edet.training.tasks import tasks_of
from tests.small import small_model

SIDE, BOXES = (32, 48), 6


def small_config(**changes) -> Config:
    config = replace(
        Config(),
        model=vars(small_model(image_size=SIDE)),
        data={"batch_size": 4, "max_boxes": BOXES},
        # A clipping norm that the first gradients exceed, and weight decay that can be seen.
        train={"steps": 100, "clip_norm": 0.5, "learning_rate": 0.5},
        loss={"weight_decay": 1e-3},
    )
    return replace(config, **changes)


def modern(config: Config, **train) -> Config:
    """Returns a configuration with the losses, the assignment and the optimiser of "modern"."""
    recipe = RECIPES["modern"]
    return replace(config, loss=recipe["loss"], train=recipe["train"] | train)


def seeded_network(config: Config, precision: str = "float32") -> keras.Model:
    keras.utils.set_random_seed(7)
    return build_network(config.model, precision)


def small_recipe(config: Config) -> Recipe:
    return resolve_recipe(config, num_examples=40)


def small_step(network: keras.Model, config: Config) -> TrainingStep:
    return TrainingStep(network, tasks_of(config), small_recipe(config))


def make_batch(seed: int, size: int = 4, side: tuple[int, int] = SIDE) -> dict[str, tf.Tensor]:
    """Random pixels with 1-3 boxes an image; the last image has none."""
    rng = np.random.default_rng(seed)
    boxes = np.zeros((size, BOXES, 4), "float32")
    classes = np.full((size, BOXES), -1, "int32")
    for image in range(size - 1):
        for k in range(1 + image % 3):
            y, x = rng.uniform(0, 16, 2)
            boxes[image, k] = y, x, y + rng.uniform(6, 16), x + rng.uniform(6, 30)
            classes[image, k] = rng.integers(3)
    return {
        "images": tf.constant(rng.integers(0, 256, (size, *side, 3), "uint8")),
        "gt_boxes": tf.constant(boxes),
        "gt_classes": tf.constant(classes),
    }


def unpacked(state: State) -> State:
    """Returns a state with one velocity, average and square for each variable, in their order."""
    learnt, collected = Packing(state.trainable), Packing(state.non_trainable)
    count = len(learnt)
    return state._replace(
        velocities=learnt.unpack(state.velocities),
        averages=learnt.unpack(state.averages[:count]) + collected.unpack(state.averages[count:]),
        squares=state.squares and learnt.unpack(state.squares),
    )
