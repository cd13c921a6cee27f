"""What a network is trained for: each task makes targets of a batch and losses of the outputs.

Losses are sums over the given images divided by the count of the *global* batch (objects, or
labelled pixels), so that any number of replicas and micro-batches means the same loss.

Shapes: B images of one replica, N padded boxes, A anchors, H x W pixels of the input, C classes.
"""

from __future__ import annotations

from typing import Protocol

import tensorflow as tf
from keras import ops

from edet.config.schema import Config
from edet.geometry.anchors import anchor_strides, make_anchors
from edet.geometry.targets import Targets, assign_targets
from edet.models.upsampling import upsample
from edet.records.masks import IGNORED
from edet.training.losses import detection_losses, loss_normalizer

Tensors = tuple[tf.Tensor, ...]
Batch = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


class Task(Protocol):
    """One use of the network's outputs."""

    count_name: str  # of the metric that counts what the losses are divided by
    loss_names: list[str]

    def targets(self, batch: Batch) -> Tensors:
        """Returns what the losses compare with; the first axis of each is B."""

    def count(self, targets: Tensors) -> tf.Tensor:
        """Returns this replica's share of the count, a float32 scalar."""

    def losses(self, outputs: Batch, targets: Tensors, count: tf.Tensor) -> Losses:
        """Returns `loss_names`, and "total", their weighted sum; `count` is the global one."""


def tasks_of(config: Config) -> list[Task]:
    """Returns the tasks of `model.heads`."""
    tasks: list[Task] = [DetectionTask(config)] if config.model.detects else []
    return tasks + ([SegmentationTask(config)] if config.model.segments else [])


class DetectionTask:
    """Boxes and their classes: "gt_boxes" [B, N, 4] and "gt_classes" [B, N] against anchors."""

    count_name = "positives"

    def __init__(self, config: Config):
        model = config.model
        self._config = config.loss
        self.anchors = make_anchors(model.image_size, model.levels, model.anchors)
        self._strides = None
        if config.loss.assignment == "atss":
            self._strides = anchor_strides(model.image_size, model.levels, model.anchors)
        self.loss_names = ["class_loss", "box_loss"]
        if config.loss.iou_loss != "none":
            self.loss_names.append("iou_loss")

    def targets(self, batch: Batch) -> Targets:
        """Assigns the boxes to anchors."""
        return assign_targets(
            self.anchors, batch["gt_boxes"], batch["gt_classes"], self._config.positive_iou,
            self._strides,
        )  # fmt: skip

    def count(self, targets: Targets) -> tf.Tensor:
        """Counts positive anchors."""
        return tf.reduce_sum(targets.num_positives)

    def losses(self, outputs: Batch, targets: Tensors, count: tf.Tensor) -> Losses:
        """See `training.losses.detection_losses`."""
        return detection_losses(
            outputs["class_logits"], outputs["box_deltas"], Targets(*targets), self.anchors,
            normalizer=loss_normalizer(count), config=self._config,
        )  # fmt: skip


class SegmentationTask:
    """The class of every pixel: "gt_masks" uint8 [B, H, W], indices of logits or IGNORED."""

    count_name = "labelled_pixels"
    loss_names = ("segmentation_loss",)

    def __init__(self, config: Config):
        self._weight = config.loss.segmentation_weight

    def targets(self, batch: Batch) -> Tensors:
        """Returns the masks."""
        return (batch["gt_masks"],)

    def count(self, targets: Tensors) -> tf.Tensor:
        """Counts the pixels that are not ignored."""
        return tf.reduce_sum(tf.cast(targets[0] != IGNORED, tf.float32))

    def losses(self, outputs: Batch, targets: Tensors, count: tf.Tensor) -> Losses:
        """See `pixel_cross_entropy`."""
        loss = pixel_cross_entropy(outputs["segmentation_logits"], targets[0], count)
        return {"segmentation_loss": loss, "total": self._weight * loss}


def pixel_cross_entropy(logits: tf.Tensor, gt_masks: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns the softmax cross-entropy of labelled pixels, summed and divided by `count`.

    Args:
      logits: [B, h, w, C], any float type; upsampled to the masks' size bilinearly, so that the
        loss sees what is shown in the end.
      gt_masks: uint8 [B, H, W], indices of classes; pixels that are IGNORED add nothing.
      count: labelled pixels of the global batch; 0 gives 0.
    """
    logits = upsample(ops.cast(logits, "float32"), tuple(gt_masks.shape[1:3]))
    is_labelled = gt_masks != IGNORED
    classes = tf.cast(tf.where(is_labelled, gt_masks, tf.zeros_like(gt_masks)), tf.int32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
    return tf.reduce_sum(tf.where(is_labelled, losses, 0.0)) / tf.maximum(count, 1.0)
