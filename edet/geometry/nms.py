"""Top-k of the pairs of anchor and class, non-maximum suppression of these, and box voting.

`inference.postprocess` puts these together. Each is there in fixed shapes for any device, and in
shapes and operations that only CPUs have, in half of the time. **The rule for ties** is the same in
all: of equal scores the earlier candidate comes first. Candidates are in the order of their
scores; of equal ones, that of the earlier anchor comes first, and then that of the lower class.

Shapes: B images · A anchors · K classes · M candidates · D detections kept per image
Boxes are [ymin, xmin, ymax, xmax] in pixels of the network input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from edet.config.schema import DetectConfig
from edet.geometry.boxes import Tensor, coordinates, iou_of_coordinates

NO_CLASS = -1
_FARTHEST = 1e4  # pixels; `suppress_with_offsets` cuts boxes off there
_SAMPLED = 16  # of so many anchors `top_k_pairs` looks at one to know nearly which are best
_MANY_CLASSES = 16  # from here on `suppress_by_class` looks first which candidates can matter
_NO_SCORE = 2.0  # more than any
_COLUMNS = 10  # of the grid on which its offsets put the classes
# A vote whose overlap is d below 1 counts exp(-d^2 / this). 0.025 gave at least as much as 0.01,
# 0.05 and 0.1 on validation, and more than equal votes from an overlap of 0.7 on (docs/recipes.md).
_VOTE_SPREAD = 0.025
_VOTING_IOU = 0.5  # overlap from which on there are votes at all


class Detections(NamedTuple):
    """The detections of a batch, best first; rows from `num_detections` on are padding."""

    boxes: tf.Tensor  # [B, D, 4] float32, 0 in padding
    scores: tf.Tensor  # [B, D] float32, 0 in padding
    classes: tf.Tensor  # [B, D] int32 class index, NO_CLASS in padding
    num_detections: tf.Tensor  # [B] int32


class Pairs(NamedTuple):
    """Candidates: pairs of an anchor and a class."""

    values: tf.Tensor  # [B, M], logits or scores
    anchors: tf.Tensor  # [B, M] int32, their rows
    classes: tf.Tensor  # [B, M] int32


def top_k_pairs(values: Tensor, k: int, detectable: Tensor | None = None) -> Pairs:
    """Returns the k best pairs of an anchor and a class, best first.

    An anchor may appear with several classes. With k = 0 they are all anchors in their order, each
    with its best class.

    Sorting all A x K pairs is slow. Only the k anchors with the best values can hold one of the k
    best pairs, because any other anchor is beaten k times; so two smaller sorts are exact.

    Args:
        values: [B, A, K], logits or scores of any float type. All shapes but B are static.
        k: at most this many; fewer where there are fewer.
        detectable: [K], bool; classes where it is False get the type's least value.
    """
    values = tf.convert_to_tensor(values)
    _, num_anchors, num_classes = values.shape
    if detectable is not None:
        values = tf.where(detectable, values, values.dtype.min)
    if not k:
        rows = tf.broadcast_to(tf.range(num_anchors), tf.shape(values)[:2])
        best = tf.reduce_max(values, axis=-1)
        return Pairs(best, rows, tf.argmax(values, axis=-1, output_type=tf.int32))
    if k < num_anchors:
        best = tf.reduce_max(values, axis=-1)
        best, rows = tf.math.top_k(tf.clip_by_value(best, *_bounds_of_the_last(best, k)), k)
        rows = -tf.math.top_k(-rows, k).values  # ascending, for ties
        values = tf.gather(values, rows, axis=1, batch_dims=1)
        # Nothing below the k-th anchor's best is chosen. Made equal, it takes no place in the heap
        # by which others choose, for a while: half of their time.
        least = best[:, -1:, None]
        values = tf.maximum(values, least - tf.abs(least) / 64 - 1e-3)
    num_pairs = values.shape[1] * num_classes
    best, index = tf.math.top_k(tf.reshape(values, [-1, num_pairs]), min(k, num_pairs))
    places = index // num_classes
    rows = tf.gather(rows, places, axis=1, batch_dims=1) if k < num_anchors else places
    return Pairs(best, rows, index % num_classes)


def _bounds_of_the_last(values: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns two numbers [B, 1] that the k-th best of values [B, N] lies between.

    Cut off there, what is surely chosen is equal and so is what surely is not, and equal values
    hardly move in the heap that finds the k best: half of the time. The numbers are guessed from a
    sample, an eighth of k off on either side; where it misleads, they are the type's limits.
    """
    sample = values[:, ::_SAMPLED]
    places = [min(k * n // (8 * _SAMPLED), sample.shape[1] - 1) for n in (7, 9)]
    best = tf.math.top_k(sample, places[1] + 1).values
    high, low = (best[:, place : place + 1] for place in places)
    above_low, not_below_high = (
        tf.reduce_sum(tf.cast(is_there, tf.int32), axis=-1, keepdims=True)
        for is_there in (values > low, values >= high)
    )
    return (
        tf.where(above_low >= k, low, values.dtype.min),
        tf.where(not_below_high < k, high, values.dtype.max),
    )


def top_k_pairs_on_cpu(values: tf.Tensor, k: int, detectable: Tensor | None = None) -> Pairs:
    """As `top_k_pairs` for one image, [A, K], without B.

    Of the pairs of the best anchors it sorts only those as good as the k-th anchor's best, of
    which there are k at least; and the classes that are not detectable it leaves out of these pairs
    instead of all. Should too few remain then, all is done as `top_k_pairs` does it.
    """

    def fallback() -> Pairs:
        return Pairs(*(value[0] for value in top_k_pairs(values[None], k, detectable)))

    if not 0 < k <= values.shape[0]:
        return fallback()
    best = tf.reduce_max(values, axis=-1)
    least = tf.raw_ops.NthElement(input=best, n=k - 1, reverse=True)
    rows = tf.where(best >= least)[:, 0]
    values_of_rows = tf.gather(values, rows)
    is_good = values_of_rows >= least
    if detectable is not None:
        is_good &= detectable
    places = tf.cast(tf.where(tf.reshape(is_good, [-1]))[:, 0], tf.int32)  # [n]

    def select_good() -> Pairs:
        good = tf.gather(tf.reshape(values_of_rows, [-1]), places)
        found, index = tf.math.top_k(good, k)
        pairs = tf.gather(places, index)
        anchors = tf.gather(rows, pairs // values.shape[1])
        return Pairs(found, tf.cast(anchors, tf.int32), pairs % values.shape[1])

    return tf.cond(tf.shape(places)[0] >= k, select_good, fallback)


def suppress(boxes: Tensor, scores: Tensor, classes: Tensor, config: DetectConfig) -> Detections:
    """Returns the detections that remain when candidates lower the scores of those they overlap.

    The best candidate of all classes is kept and the rest of its class decays, D times. As decay
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


def suppress_by_class(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, config: DetectConfig, num_classes: int
) -> Detections:
    """As `suppress` for one image, on a CPU: its operation for each class, then the best of all.

    That finds D of each class, where D of all are wanted. So with many classes first
    `suppress_with_offsets` says, nearly, with which score the last of them comes. What scores less
    is left out, which changes nothing if D are found above that; if not, all is done again with
    all.
    """
    candidates, all_above = (boxes, scores, classes), tf.constant(config.score_threshold)
    if config.class_agnostic or num_classes < _MANY_CLASSES:
        return _suppress_each(*candidates, config, num_classes, all_above)

    def found_above(least: tf.Tensor, _: Detections) -> tuple[tf.Tensor, Detections]:
        found = _suppress_each(*candidates, config, num_classes, least)
        is_whole = (found.scores[-1] > least) | (least <= all_above)
        return tf.where(is_whole, _NO_SCORE, all_above), found

    # 0 where fewer than D are there
    nearly = suppress_with_offsets(*candidates, config, num_classes).scores[-1]
    zeros = tf.zeros([config.max_detections])
    nothing = _padded(boxes, zeros, classes, tf.cast(zeros, tf.int32), zeros > 0)
    start = tf.maximum(0.99 * nearly, all_above), nothing
    return tf.while_loop(lambda least, _: least < _NO_SCORE, found_above, start)[1]


def _suppress_each(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, config: DetectConfig,
    num_classes: int, least: tf.Tensor,
) -> Detections:  # fmt: skip
    """Suppresses what scores more than `least` within each class, and takes the best of all."""
    rows = tf.cast(tf.where(scores > least)[:, 0], tf.int32)
    some = [rows, tf.gather(boxes, rows), tf.gather(scores, rows)]
    groups = [some]
    if not config.class_agnostic:
        kinds = tf.gather(classes, rows)
        parts = (tf.dynamic_partition(value, kinds, num_classes) for value in some)
        groups = zip(*parts, strict=True)
    kept_rows, kept_scores = [], []
    for group_rows, *group in groups:
        places, group_scores, _ = _tensorflow_nms(*group, config, pad=False)
        kept_rows.append(tf.gather(group_rows, places))
        kept_scores.append(group_scores)
    # Back in the places of the candidates, of equal scores the earlier comes first again.
    kept = tf.fill([tf.maximum(tf.size(scores), config.max_detections)], -1.0)  # below all scores
    kept_rows, kept_scores = tf.concat(kept_rows, 0), tf.concat(kept_scores, 0)
    kept = tf.tensor_scatter_nd_update(kept, kept_rows[:, None], kept_scores)
    best, rows = tf.math.top_k(kept, config.max_detections)
    is_real = best > config.score_threshold
    return _padded(boxes, best, classes, tf.where(is_real, rows, 0), is_real)


def suppress_with_offsets(
    boxes: tf.Tensor, scores: tf.Tensor, classes: tf.Tensor, config: DetectConfig, num_classes: int
) -> Detections:
    """As `suppress` for one image, by the operation that LiteRT and ONNX have, used once.

    It knows no classes, so boxes of each class get an offset. That costs precision: on a
    grid of fields as large as the part that the boxes cover, coordinates of 90 classes at 512
    pixels are fine to 0.0005 pixels.

    Args:
        boxes: [M, 4], float32.
        scores: [M], float32, in [0, 1].
        classes: [M], int32.
        config: as `suppress`.
        num_classes: K.

    Returns:
        The fields of Detections without B.
    """
    offset = boxes if config.class_agnostic else _offset_by_class(boxes, classes, num_classes)
    rows, scores, count = _tensorflow_nms(offset, scores, config, pad=True)
    return _padded(boxes, scores, classes, rows, tf.range(config.max_detections) < count)


def _tensorflow_nms(
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


def _offset_by_class(boxes: tf.Tensor, classes: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Adds an offset to boxes [M, 4] for each class, on a grid, so that no two classes overlap."""
    boxes = tf.clip_by_value(boxes, -_FARTHEST, _FARTHEST)
    first = tf.reduce_min(boxes)
    side = tf.reduce_max(boxes) - first
    row, column = np.divmod(np.arange(num_classes), _COLUMNS)
    fields = np.stack([row, column, row, column], axis=-1).astype(np.float32)  # [K, 4]
    return boxes - first + tf.gather(fields * side, classes)


def _decay(overlap: tf.Tensor, config: DetectConfig) -> tf.Tensor:
    """Returns the factor that an overlap with the best box puts on a score."""
    if config.nms == "hard":
        return tf.cast(overlap <= config.iou_threshold, overlap.dtype)
    return tf.exp(-tf.square(overlap) / config.sigma)


def vote(found: Detections, boxes: Tensor, scores: Tensor, classes: Tensor) -> Detections:
    """Returns the detections with each box moved to a mean of the candidates about it.

    Box voting (arXiv 1505.01749) with votes that count by score and by overlap (as in arXiv
    1809.08545): neighbouring anchors find the same object and err in different ways, so their mean
    errs less. Scores stay. Sums, not a product of matrices: TPUs and GPUs would round the
    coordinates in it.

    Args:
        found: what a suppression returned; all shapes with B or, of one image, without.
        boxes: [B, M, 4], float32, the candidates that it was given.
        scores: [B, M], float32.
        classes: [B, M], int32; only those of a detection's class have a vote.
    """
    candidates = [tf.expand_dims(value, -2) for value in coordinates(boxes)]  # [B, 1, M] each
    chosen = [tf.expand_dims(value, -1) for value in coordinates(found.boxes)]  # [B, D, 1] each
    overlap = iou_of_coordinates(chosen, candidates)  # [B, D, M]
    of_class = tf.expand_dims(classes, -2) == tf.expand_dims(found.classes, -1)
    weights = tf.expand_dims(scores, -2) * tf.exp(tf.square(1.0 - overlap) / -_VOTE_SPREAD)
    weights = tf.where((overlap > _VOTING_IOU) & of_class, weights, 0.0)
    total = tf.reduce_sum(weights, axis=-1)
    means = [
        tf.math.divide_no_nan(tf.reduce_sum(weights * value, axis=-1), total)
        for value in candidates
    ]
    # A box without area overlaps nothing, itself included.
    boxes = tf.where(tf.expand_dims(total, -1) > 0, tf.stack(means, axis=-1), found.boxes)
    return found._replace(boxes=boxes)
