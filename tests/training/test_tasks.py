"""The pixels' loss: numbers made by hand, what is ignored, and one meaning for any batch."""

import math

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import Config, SegmentationConfig, replace
from edet.models.efficientdet import build_network
from edet.models.upsampling import upsample
from edet.training.recipe import resolve_recipe
from edet.training.step import TrainingStep
from edet.training.tasks import pixel_cross_entropy, tasks_of
from edet.training.variables import TrainingVariables
from tests.small import small_model

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (2, 3), (5, 3)])
def test_upsampling_is_tensorflows_bilinear_resizing(size):
    x = RNG.normal(size=(2, 2, 3, 4)).astype(np.float32)
    expected = tf.image.resize(x, size)
    np.testing.assert_allclose(upsample(tf.constant(x), size), expected, atol=1e-6)


def test_the_cross_entropy_is_the_mean_over_labelled_pixels():
    logits = tf.constant([[[[0.0, math.log(3)]]]])  # probabilities 1/4 and 3/4, of every pixel
    masks = tf.constant([[[0, 1], [1, 255]]], tf.uint8)
    expected = (math.log(4) + 2 * math.log(4 / 3)) / 3
    assert pixel_cross_entropy(logits, masks, 3.0).numpy() == pytest.approx(expected, rel=1e-6)


def test_ignored_pixels_have_no_gradient_and_a_batch_of_them_no_loss():
    logits = tf.Variable(RNG.normal(size=(1, 2, 2, 3)).astype(np.float32))
    masks = tf.constant([[[2, 255], [255, 255]]], tf.uint8)
    with tf.GradientTape() as tape:
        loss = pixel_cross_entropy(logits, masks, 1.0)
    is_moved = np.abs(tape.gradient(loss, logits).numpy()).sum(axis=-1)[0] > 0
    assert is_moved.tolist() == [[True, False], [False, False]]
    assert pixel_cross_entropy(logits, tf.fill((1, 2, 2), tf.constant(255, tf.uint8)), 0.0) == 0


def joint(**train) -> Config:
    model = small_model(
        heads=("detection", "segmentation"), drop_connect_rate=0.0,
        segmentation=SegmentationConfig(num_classes=4, width=8, repeats=1),
    )  # fmt: skip
    return replace(Config(model=model), data={"batch_size": 4}, train={"steps": 100} | train)


def test_a_joint_step_has_the_losses_of_both_heads_and_moves_both():
    config = joint()
    network = build_network(config.model)
    variables = TrainingVariables(network)
    masks = RNG.integers(0, 4, (4, 64, 96)).astype(np.uint8)
    masks[2:] = 255  # two of the images have no mask
    batch = {
        "images": tf.constant(RNG.integers(0, 256, (4, 64, 96, 3)).astype(np.uint8)),
        "gt_boxes": tf.constant([[[8.0, 8, 40, 40]]] * 4),
        "gt_classes": tf.zeros((4, 1), tf.int32),
        "gt_masks": tf.constant(masks),
    }
    before = variables.read()
    step = TrainingStep(network, tasks_of(config), resolve_recipe(config, 4))
    after, metrics = step(before, batch)
    total = metrics["class_loss"] + 50 * metrics["box_loss"] + metrics["segmentation_loss"]
    assert float(metrics["total_loss"]) == pytest.approx(
        float(total + metrics["l2_loss"]), rel=1e-5
    )
    assert metrics["labelled_pixels"] == 2 * 64 * 96
    moved = {
        variable.path.partition(".")[0]
        for variable, old, new in zip(
            network.trainable_variables, before.trainable, after.trainable, strict=True
        )
        if np.abs(new - old).max() > 0
    }
    assert moved >= {"class_head", "box_head", "segmentation_head", "pyramid", "backbone"}


def test_parts_of_a_batch_add_up_to_the_whole():
    """What makes replicas and micro-batches mean one loss: the count is the global batch's."""
    (task,) = tasks_of(replace(joint(), model={"heads": ("segmentation",)}))
    logits = tf.constant(RNG.normal(size=(3, 4, 6, 4)).astype(np.float32))
    masks = RNG.integers(0, 4, (3, 16, 24)).astype(np.uint8)
    masks[0, :12] = 255
    targets = task.targets({"gt_masks": tf.constant(masks)})
    count = task.count(targets)
    whole = task.losses({"segmentation_logits": logits}, targets, count)["total"]
    parts = [
        task.losses({"segmentation_logits": logits[k : k + 1]}, (masks[k : k + 1],), count)["total"]
        for k in range(3)
    ]
    assert float(whole) == pytest.approx(sum(map(float, parts)), rel=1e-6)


def test_the_loss_and_its_gradient_compile_for_xla_with_the_same_numbers():
    logits = tf.Variable(RNG.normal(size=(2, 4, 6, 3)).astype(np.float32))
    masks = tf.constant(RNG.choice([0, 1, 2, 255], (2, 16, 24)).astype(np.uint8))

    def gradient():
        with tf.GradientTape() as tape:
            loss = pixel_cross_entropy(logits, masks, 500.0)
        return loss, tape.gradient(loss, logits)

    for plain, compiled in zip(gradient(), tf.function(gradient, jit_compile=True)(), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-7)
