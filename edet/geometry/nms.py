"""From the network's outputs to detections: candidates, then suppression.

`select_candidates` and `suppress` are for any device, in fixed shapes. `find_on_cpu` does what both
do in half of the time, by shapes and operations that only CPUs have.

Letters used below:  B images · A anchors · K classes · M candidates · D detections kept per image
Boxes are [ymin, xmin, ymax, xmax] in pixels of the network input. Every shape is static.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from edet.config.schema import DetectConfig
from edet.geometry.boxes import Tensor, coordinates, iou_of_coordinates
from edet.geometry.coding import decode_boxes

NO_CLASS = -1
FARTHEST = 1e4  # pixels; `suppress_one` cuts boxes off there
_COLUMNS = 10  # of the grid on which it moves the classes apart
_MOST_CLASSES = 256  # for which an operation each is faster than a loop over the detections
FUSION_IOU = 0.55  # as weighted box fusion has it (arXiv 1910.13302)


class Detections(NamedTuple):
    """The detections of a batch, best first; rows from `num_detections` on are padding."""

    boxes: tf.Tensor  # [B, D, 4] float32, 0 in padding
    scores: tf.Tensor  # [B, D] float32, 0 in padding
    classes: tf.Tensor  # [B, D] int32 class index, NO_CLASS in padding
    num_detections: tf.Tensor  # [B] int32


def select_candidates(
    class_logits: Tensor,
    box_deltas: Tensor,
    anchors: Tensor,
    config: DetectConfig,
    emitted: Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the boxes [B, M, 4], scores [B, M] and classes [B, M] that enter suppression.

    With `pre_nms_top_k` they are the best pairs of an anchor and a class, best first, and an anchor
    may appear with several classes. With 0 they are all anchors, each with its best class.

    Args:
        class_logits: [B, A, K], any float type.
        box_deltas: [B, A, 4], any float type.
        anchors: [A, 4], float32.
        config: its `pre_nms_top_k` counts.
        emitted: [K], bool; classes where it is False get the score 0, so none is ever detected.
    """
    class_logits = tf.convert_to_tensor(class_logits)
    anchors = tf.convert_to_tensor(anchors)
    if emitted is not None:
        class_logits = tf.where(emitted, class_logits, class_logits.dtype.min)
    if config.pre_nms_top_k:
        logits, rows, classes = _best_pairs(class_logits, config.pre_nms_top_k)
        box_deltas = tf.gather(box_deltas, rows, axis=1, batch_dims=1)
        anchors = tf.gather(anchors, rows)
    else:
        logits = tf.reduce_max(class_logits, axis=-1)
        classes = tf.argmax(class_logits, axis=-1, output_type=tf.int32)
    scores = tf.sigmoid(tf.cast(logits, tf.float32))
    return decode_boxes(box_deltas, anchors), scores, classes


def _best_pairs(class_logits: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns logits, anchor rows and classes of the k best pairs of anchor and class, each [B, k].

    Sorting all A x K pairs is slow. Only the k anchors with the best logits can hold one of the k
    best pairs, because any other anchor is beaten k times; so two smaller sorts are exact.
    """
    _, num_anchors, num_classes = class_logits.shape
    num_rows = min(k, num_anchors)
    _, rows = tf.math.top_k(tf.reduce_max(class_logits, axis=-1), num_rows)
    pairs = tf.gather(class_logits, rows, axis=1, batch_dims=1)
    pairs = tf.reshape(pairs, [-1, num_rows * num_classes])
    logits, index = tf.math.top_k(pairs, min(k, num_rows * num_classes))
    rows = tf.gather(rows, index // num_classes, axis=1, batch_dims=1)
    return logits, rows, index % num_classes


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor, config: DetectConfig) -> Detections:
    """Returns the detections that remain when candidates lower the scores of those they overlap.

    The best candidate of all classes is emitted and the rest of its class decays, D times. As decay
    never raises a score, this gives the same list as suppression per class followed by a merge.
    Gaussian is soft-NMS (arXiv 1704.04503): scores fall by exp(-IoU^2 / sigma). Hard drops what
    overlaps by more than `iou_threshold`. Candidates at or below `score_threshold` are padding.

    Args:
        boxes: [B, M, 4], float32.
        scores: [B, M], float32, in [0, 1].
        classes: [B, M], int32.
        config: `max_detections` is D; `class_agnostic` suppresses over classes too.
    """
    boxes, scores, classes = map(tf.convert_to_tensor, (boxes, scores, classes))
    candidates = coordinates(boxes)
    index, slots = tf.range(boxes.shape[1]), tf.range(config.max_detections)

    def emit_best(slot, scores, kept_rows, kept_scores):
        """Puts the best candidate of each image into a slot and lowers the scores of its rivals."""
        best = tf.argmax(scores, axis=-1, output_type=tf.int32)  # [B]
        here = slots == slot
        kept_rows = tf.where(here, best[:, None], kept_rows)
        kept_scores = tf.where(here, tf.reduce_max(scores, axis=-1, keepdims=True), kept_scores)
        box = tf.split(tf.gather(boxes, best, axis=1, batch_dims=1), 4, axis=-1)  # each [B, 1]
        overlap = iou_of_coordinates(box, candidates)  # [B, M]
        if not config.class_agnostic:
            best_class = tf.gather(classes, best, axis=1, batch_dims=1)
            overlap = tf.where(classes == best_class[:, None], overlap, 0.0)
        scores = tf.where(index == best[:, None], 0.0, scores * _decay(overlap, config))
        return slot + 1, scores, kept_rows, kept_scores

    kept = tf.tile(tf.zeros_like(scores[:, :1]), [1, config.max_detections])
    _, _, rows, scores = tf.while_loop(
        lambda slot, *_: slot < config.max_detections,
        emit_best,
        (tf.constant(0), scores, tf.cast(kept, tf.int32), kept),
        maximum_iterations=config.max_detections,
    )
    return _padded(boxes, scores, classes, rows, scores > config.score_threshold)


def find_on_cpu(
    class_logits: Tensor,
    box_deltas: Tensor,
    anchors: Tensor,
    config: DetectConfig,
    emitted: Tensor | None = None,
) -> Detections:
    """Returns what `suppress` makes of what `select_candidates` gives, for serving on CPUs.

    Of two classes with the same score the lower comes first, instead of the earlier anchor.

    Args:
        class_logits, box_deltas, anchors, config, emitted: as `select_candidates` takes them.
    """
    spec = Detections(
        boxes=tf.TensorSpec([config.max_detections, 4], tf.float32),
        scores=tf.TensorSpec([config.max_detections], tf.float32),
        classes=tf.TensorSpec([config.max_detections], tf.int32),
        num_detections=tf.TensorSpec([], tf.int32),
    )
    num_classes = class_logits.shape[2]

    def find_in_one(outputs: tuple[tf.Tensor, tf.Tensor]) -> Detections:
        candidates = _select_in_one(*outputs, anchors, config, emitted)
        if config.class_agnostic or num_classes <= _MOST_CLASSES:
            return _suppress_by_class(*candidates, config, num_classes)
        found = suppress(*(value[None] for value in candidates), config)
        return Detections(*(value[0] for value in found))

    return tf.map_fn(find_in_one, (class_logits, box_deltas), fn_output_signature=spec)


def _select_in_one(
    class_logits: tf.Tensor,
    box_deltas: tf.Tensor,
    anchors: Tensor,
    config: DetectConfig,
    emitted: Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `select_candidates` for one image, [A, K] and [A, 4], without B.

    Of the pairs of the k best anchors it sorts only those as good as the k-th anchor's best, of
    which there are k at least; and the classes that are not emitted it leaves out of these pairs
    instead of all. Should too few remain then, all is done as `select_candidates` does it.
    """
    k = config.pre_nms_top_k

    def select_as_ever() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        selected = select_candidates(class_logits[None], box_deltas[None], anchors, config, emitted)
        return tuple(value[0] for value in selected)

    if not 0 < k <= class_logits.shape[0]:
        return select_as_ever()
    best, rows = tf.math.top_k(tf.reduce_max(class_logits, axis=-1), k)
    pairs = tf.gather(class_logits, rows)
    is_good = pairs >= best[-1]
    if emitted is not None:
        is_good &= emitted
    places = tf.cast(tf.where(is_good), tf.int32)  # [n, 2]: place among the rows, class

    def select_good() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        logits, index = tf.math.top_k(tf.gather_nd(pairs, places), k)
        chosen = tf.gather(rows, tf.gather(places[:, 0], index))
        boxes = decode_boxes(tf.gather(box_deltas, chosen), tf.gather(anchors, chosen))
        scores = tf.sigmoid(tf.cast(logits, tf.float32))
        return boxes, scores, tf.gather(places[:, 1], index)

    return tf.cond(tf.shape(places)[0] >= k, select_good, select_as_ever)


def _suppress_by_class(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, config: DetectConfig, num_classes: int
) -> Detections:
    """As `suppress` for one image: TensorFlow's operation for each class, then the best of all."""
    groups = [tf.range(tf.shape(scores)[0])]
    if not config.class_agnostic:
        groups = tf.dynamic_partition(groups[0], classes, num_classes)
    kept_rows, kept_scores = [], []
    for group in groups:
        rows, group_scores, _ = _operation(
            tf.gather(boxes, group), tf.gather(scores, group), config, pad=False
        )
        kept_rows.append(tf.gather(group, rows))
        kept_scores.append(group_scores)
    padding = tf.fill([config.max_detections], -1.0)  # below all scores
    scores, order = tf.math.top_k(tf.concat([*kept_scores, padding], 0), config.max_detections)
    rows = tf.gather(tf.concat([*kept_rows, tf.zeros_like(order)], 0), order)
    is_real = scores > config.score_threshold
    return _padded(boxes, scores, classes, rows, is_real)


def suppress_one(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, config: DetectConfig
) -> Detections:
    """As `suppress` for one image, by the operation that LiteRT and ONNX have, used once.

    It knows no classes, so boxes of different classes are moved apart. That costs precision: on a
    grid of fields as large as the part that the boxes cover, coordinates of 90 classes at 512
    pixels are fine to 0.0005 pixels.

    Args:
        boxes: [M, 4], float32.
        scores: [M], float32, in [0, 1].
        classes: [M], int32.
        config: as `suppress`.

    Returns:
        The fields of Detections without B.
    """
    apart = boxes if config.class_agnostic else _moved_apart(boxes, classes)
    rows, scores, count = _operation(apart, scores, config, pad=True)
    return _padded(boxes, scores, classes, rows, tf.range(config.max_detections) < count)


def _operation(
    boxes: tf.Tensor, scores: tf.Tensor, config: DetectConfig, pad: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns rows, scores and number of what TensorFlow's suppression keeps of one class.

    Its soft-NMS decays by exp(-IoU^2 / (2 sigma)), hence half of our sigma; 0 means hard.
    """
    is_soft = config.nms == "gaussian"
    return tf.raw_ops.NonMaxSuppressionV5(
        boxes=boxes, scores=scores, max_output_size=config.max_detections,
        iou_threshold=1.0 if is_soft else config.iou_threshold,
        score_threshold=config.score_threshold,
        soft_nms_sigma=config.sigma / 2 if is_soft else 0.0,
        pad_to_max_output_size=pad,
    )  # fmt: skip


def _padded(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, rows: tf.Tensor, is_real: tf.Tensor
) -> Detections:
    """Returns the candidates at `rows` with their new scores, where they are real."""
    batch_dims = rows.shape.rank - 1
    boxes = tf.gather(boxes, rows, axis=batch_dims, batch_dims=batch_dims)
    classes = tf.gather(classes, rows, axis=batch_dims, batch_dims=batch_dims)
    return Detections(
        boxes=tf.where(is_real[..., None], boxes, 0.0),
        scores=tf.where(is_real, scores, 0.0),
        classes=tf.where(is_real, classes, NO_CLASS),
        num_detections=tf.reduce_sum(tf.cast(is_real, tf.int32), axis=-1),
    )


def _moved_apart(boxes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Moves boxes [M, 4] to a field of a grid for each class, so that no two classes overlap."""
    boxes = tf.clip_by_value(boxes, -FARTHEST, FARTHEST)
    first = tf.reduce_min(boxes)
    side = tf.reduce_max(boxes) - first
    row, column = classes // _COLUMNS, classes % _COLUMNS
    field = tf.cast(tf.stack([row, column, row, column], axis=-1), tf.float32)
    return boxes - first + field * side


def _decay(overlap: tf.Tensor, config: DetectConfig) -> tf.Tensor:
    """Returns the factor that an overlap with the emitted box puts on a score."""
    if config.nms == "hard":
        return tf.cast(overlap <= config.iou_threshold, overlap.dtype)
    return tf.exp(-tf.square(overlap) / config.sigma)


def fuse_boxes(found: Detections, boxes: Tensor, scores: Tensor, classes: Tensor) -> Detections:
    """Returns the detections with each box moved to the mean of the candidates about it.

    The mean is weighted by the candidates' scores and taken over those of the same class with an
    IoU of at least `FUSION_IOU`: weighted box fusion about what suppression has chosen. Candidates
    from several views of a picture err independently, so their mean errs less.

    Args:
        found: what `suppress` returned.
        boxes: [B, M, 4], float32, the candidates that it was given.
        scores: [B, M], float32.
        classes: [B, M], int32.
    """
    candidates = coordinates(boxes)

    def mean_about(slot: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        box, box_class = slot  # [B, 4], [B]
        overlap = iou_of_coordinates(tf.split(box, 4, axis=-1), candidates)  # [B, M]
        is_near = (overlap >= FUSION_IOU) & (classes == box_class[:, None])
        weights = tf.where(is_near, scores, 0.0)[..., None]
        return tf.math.divide_no_nan(tf.reduce_sum(weights * boxes, 1), tf.reduce_sum(weights, 1))

    # One detection at a time: all D x M overlaps of a picture in many tiles would fill the memory.
    slots = (tf.transpose(found.boxes, [1, 0, 2]), tf.transpose(found.classes))
    means = tf.map_fn(mean_about, slots, fn_output_signature=tf.float32, parallel_iterations=1)
    return found._replace(boxes=tf.transpose(means, [1, 0, 2]))
