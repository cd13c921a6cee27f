"""The three terms of the loss: class loss, Huber box loss, L2; and optional IoU losses.

Shapes: B images · A anchors, all levels · K classes
Everything is computed in float32 whatever the network's precision. The losses are sums over the
given images divided by a normalizer that the caller gives: with several replicas each passes the
normalizer of the *global* batch and the results are added, so that any number of replicas means the
same loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
from keras import ops

from edet.config.schema import LossConfig
from edet.geometry.boxes import Coordinates, Tensor
from edet.geometry.coding import SMALLEST_SIDE, decode_coordinates
from edet.geometry.targets import Targets

Pair = tuple[Tensor, Tensor]


def loss_normalizer(num_positives: Tensor) -> Tensor:
    """Returns what the losses are divided by: the positives of the global batch + 1, a scalar.

    The 1 keeps a batch without objects finite (reference).
    """
    return ops.sum(num_positives) + 1.0


def detection_losses(
    class_logits: Tensor,
    box_deltas: Tensor,
    targets: Targets,
    anchors: Tensor,
    normalizer: Tensor,
    config: LossConfig,
) -> dict[str, Tensor]:
    """Returns the terms of the detection loss and their weighted sum, float32 scalars.

    "class_loss" and "box_loss" before its weight, "iou_loss" if the configuration has one, and
    "total". Both box terms are divided by 4 x normalizer, for a box has four deltas (reference).

    Args:
        class_logits: [B, A, K], any float type.
        box_deltas: [B, A, 4], any float type.
        targets: class_targets [B, A], box_targets [B, A, 4].
        anchors: [A, 4], float32.
        normalizer: scalar of the global batch, see `loss_normalizer`.
        config: weights and shapes of the terms.
    """
    box_deltas = ops.cast(box_deltas, "float32")
    positive = targets.class_targets >= 0
    if config.iou_loss != "none" or config.class_loss != "focal":
        # Background anchors decode to themselves: an unused NaN would still reach the gradient.
        boxes = decode_coordinates(ops.where(positive[..., None], box_deltas, 0.0), anchors)
        gt_boxes = decode_coordinates(targets.box_targets, anchors)
    if config.class_loss == "focal":
        class_terms = focal_loss(class_logits, targets.class_targets, config)
    else:
        overlap = ops.where(positive, 1.0 - iou_loss(boxes, gt_boxes, "iou"), 0.0)
        class_terms = quality_loss(
            class_logits, targets.class_targets, ops.stop_gradient(overlap), config
        )
    class_loss = ops.sum(class_terms) / normalizer
    # The reference leaves out every delta whose target is exactly 0, also those of positive
    # anchors: a head start in the right place is never held there. The mask here is the anchor's.
    huber = huber_loss(box_deltas - targets.box_targets, config.huber_delta)
    box_loss = ops.sum(ops.where(positive[..., None], huber, 0.0)) / (4 * normalizer)
    losses = {"class_loss": class_loss, "box_loss": box_loss}
    losses["total"] = class_loss + config.box_weight * box_loss
    if config.iou_loss != "none":
        iou_terms = ops.where(positive, iou_loss(boxes, gt_boxes, config.iou_loss), 0.0)
        losses["iou_loss"] = ops.sum(iou_terms) / (4 * normalizer)
        losses["total"] += config.iou_weight * losses["iou_loss"]
    return losses


def focal_loss(class_logits: Tensor, class_targets: Tensor, config: LossConfig) -> Tensor:
    """Returns the focal loss [B, A, K] of logits [B, A, K] and class indices [B, A] (-1: none).

    alpha_t (1 - p_t)^gamma CE of arXiv 1708.02002. With z = -logit for the target's class, +logit
    for the others: p_t = sigmoid(-z), CE = softplus(z) and 1 - p_t = exp(z - CE), so that one
    softplus and one exp do, and nothing over- or underflows. Label smoothing changes the cross
    entropy only (reference), to CE - smoothing / 2 x z.
    """
    logits = ops.cast(class_logits, "float32")
    count = logits.shape[-1]
    z = tf.where(tf.one_hot(class_targets, count, True, False), -logits, logits)
    cross_entropy = ops.softplus(z)
    modulator = ops.exp(config.gamma * (z - cross_entropy))
    alpha = tf.one_hot(class_targets, count, config.alpha, 1 - config.alpha)
    if config.label_smoothing:
        cross_entropy -= config.label_smoothing / 2 * z
    return alpha * modulator * cross_entropy


def quality_loss(
    class_logits: Tensor, class_targets: Tensor, overlap: Tensor, config: LossConfig
) -> Tensor:
    """Returns the loss [B, A, K] that teaches a class's score p the overlap q of its box.

    CE is the binary cross entropy of p with q, which is 0 for all classes but the anchor's own.
    "quality_focal" is |q - p|^gamma CE. "varifocal" is q CE where q > 0, and
    (1 - alpha) p^gamma CE elsewhere.

    Args:
        class_logits: [B, A, K], any float type.
        class_targets: [B, A], class indices; -1: none.
        overlap: [B, A], float32 in 0-1, what the box of each positive anchor overlaps its object.
        config: gamma, alpha, and which of the two.
    """
    logits = ops.cast(class_logits, "float32")
    quality = tf.one_hot(class_targets, logits.shape[-1]) * overlap[..., None]

    @tf.custom_gradient
    def loss(logits: Tensor):
        """Keeps the slope for the gradient, and not the ten maps that it is made of."""
        score = ops.sigmoid(logits)
        error = score - quality
        cross_entropy = ops.softplus(logits) - quality * logits  # whose slope is the error
        if config.class_loss == "varifocal":
            weight, weight_slope = _varifocal_weight(score, quality, config)
        else:
            weight, weight_slope = _quality_focal_weight(score, error, config)
        slope = weight * error + weight_slope * cross_entropy
        return weight * cross_entropy, lambda upstream: upstream * slope

    return loss(logits)


def _quality_focal_weight(score: Tensor, error: Tensor, config: LossConfig) -> Pair:
    """Returns |error|^gamma and its slope along the logit of the score."""
    distance = ops.maximum(ops.abs(error), SMALLEST_SIDE)  # 0 ** gamma has no slope if gamma < 1
    weight = _power(distance, config.gamma)
    return weight, config.gamma * weight / distance * ops.sign(error) * score * (1.0 - score)


def _varifocal_weight(score: Tensor, quality: Tensor, config: LossConfig) -> Pair:
    """Returns the quality of positives, the others' (1 - alpha) score^gamma, and the slope."""
    weight = (1 - config.alpha) * _power(ops.maximum(score, SMALLEST_SIDE), config.gamma)
    is_positive = quality > 0
    slope = ops.where(is_positive, 0.0, config.gamma * weight * (1.0 - score))
    return ops.where(is_positive, quality, weight), slope


def _power(x: Tensor, exponent: float) -> Tensor:
    """Returns x^exponent of x > 0; TensorFlow's own takes a CPU more than twice as long."""
    return ops.exp(exponent * ops.log(x))


def huber_loss(error: Tensor, delta: float) -> Tensor:
    """Returns error^2 / 2 up to |error| = delta and delta (|error| - delta / 2) beyond it."""
    # Same shape, one pass: with c = min(|error|, delta) both branches are c (|error| - c / 2).
    size = ops.abs(error)
    inner = ops.minimum(size, delta)
    return inner * (size - 0.5 * inner)


def iou_loss(boxes: Coordinates, gt_boxes: Coordinates, kind: str) -> Tensor:
    """Returns 1 - metric of pairs of boxes [...]; where gt_boxes have no area, 0.

    The metrics: "iou"; "giou" (arXiv 1902.09630); "diou" and "ciou" (arXiv 1911.08287), with the
    trade-off alpha of CIoU taken as a constant in the gradient, as its paper does.

    Args:
        boxes, gt_boxes: ymin, xmin, ymax, xmax, each [...], float32.
        kind: the metric.
    """
    ymin, xmin, ymax, xmax = boxes
    gt_ymin, gt_xmin, gt_ymax, gt_xmax = gt_boxes
    height, width = ymax - ymin, xmax - xmin
    gt_height, gt_width = gt_ymax - gt_ymin, gt_xmax - gt_xmin
    overlap_height = ops.relu(ops.minimum(ymax, gt_ymax) - ops.maximum(ymin, gt_ymin))
    overlap_width = ops.relu(ops.minimum(xmax, gt_xmax) - ops.maximum(xmin, gt_xmin))
    hull_height = ops.maximum(ymax, gt_ymax) - ops.minimum(ymin, gt_ymin)
    hull_width = ops.maximum(xmax, gt_xmax) - ops.minimum(xmin, gt_xmin)
    intersection = overlap_height * overlap_width
    union = height * width + gt_height * gt_width - intersection
    metric = ops.divide_no_nan(intersection, union)
    if kind == "giou":
        hull = hull_height * hull_width
        metric -= ops.divide_no_nan(hull - union, hull)
    elif kind in ("diou", "ciou"):
        dy, dx = (ymin + ymax - gt_ymin - gt_ymax) / 2, (xmin + xmax - gt_xmin - gt_xmax) / 2
        iou = metric
        metric -= ops.divide_no_nan(
            ops.square(dy) + ops.square(dx), ops.square(hull_height) + ops.square(hull_width)
        )
        if kind == "ciou":
            angle = _aspect_angle(height, width) - _aspect_angle(gt_height, gt_width)
            aspect = 4 / math.pi**2 * ops.square(angle)
            weight = ops.divide_no_nan(aspect, 1 - iou + aspect)
            metric -= ops.stop_gradient(weight) * aspect
    return ops.where((gt_height > 0) & (gt_width > 0), 1 - metric, 0.0)


def _aspect_angle(height: Tensor, width: Tensor) -> Tensor:
    """Returns atan(width / height), with a finite gradient for boxes without area."""
    return ops.arctan2(ops.maximum(width, SMALLEST_SIDE), ops.maximum(height, SMALLEST_SIDE))


def is_kernel(path: str) -> bool:
    """Whether a variable of this path or name is under L2: kernels, also depthwise and pointwise.

    Biases, batch norm and fusion weights are not (reference).
    """
    return path.split(":")[0].endswith("kernel")


def l2_loss(kernels: Sequence[Tensor], weight_decay: float) -> Tensor:
    """Returns weight_decay x the sum of ||v||^2 / 2 over `kernels`, a float32 scalar."""
    halves = [tf.nn.l2_loss(tf.cast(kernel, tf.float32)) for kernel in kernels]
    return weight_decay * tf.reduce_sum(tf.stack(halves)) if halves else tf.zeros(())
