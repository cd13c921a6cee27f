"""From what a network puts out to detections: the one place, whatever runs it.

    logits, deltas ── candidates ──► boxes, scores, classes ── suppression ──► detections ── naming

Shapes: B images · V views of an image · A anchors · K classes · M candidates · D detections kept
per image. Boxes are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from edet.config.labels import class_ids, detectable
from edet.config.schema import DetectConfig, ModelConfig
from edet.geometry.anchors import make_anchors
from edet.geometry.boxes import Tensor
from edet.geometry.coding import decode_boxes
from edet.geometry.nms import (
    Detections,
    Pairs,
    suppress,
    suppress_by_class,
    suppress_with_offsets,
    top_k_pairs,
    top_k_pairs_on_cpu,
    vote,
)
from edet.image.letterbox import boxes_to_picture

# any: fixed shapes, for TPUs and all else. cpu: half of the time, by operations that only CPUs
# have. portable: one image, by operations that LiteRT and ONNX have too. All find the same.
Target = Literal["any", "cpu", "portable"]
Candidates = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

_VOTERS = 10  # candidates that vote on boxes, for each detection that a picture may have
_MOST_CLASSES = 256  # for which an operation each is faster than a loop over the detections


class Postprocess:
    """Makes detections of a network's outputs.

    Args:
      anchors: float32 [A, 4], pixels of the network input.
      class_ids: the data set's id of each of the K logits.
      detect: how detections are chosen.
      detectable: whether each of the K classes may be detected; by default all.
    """

    def __init__(
        self,
        anchors: np.ndarray,
        class_ids: Sequence[int],
        detect: DetectConfig,
        detectable: Sequence[bool] | None = None,
    ):
        # In NumPy: a tensor from outside a graph is an input of the graph to a converter.
        self.anchors, self._detect = np.asarray(anchors), detect
        # Padding has the id 0 and the score 0; NO_CLASS is -1, hence the shift by one.
        self._ids = np.array([0, *class_ids], np.int32)
        every = detectable is None or all(detectable)
        self._detectable = None if every else np.array(detectable)

    @classmethod
    def of(
        cls, model: ModelConfig, detect: DetectConfig, classes: Sequence[int] = ()
    ) -> Postprocess:
        """Returns that of a model's anchors and labels, for logits of all or some `classes`."""
        anchors = make_anchors(model.image_size, model.levels, model.anchors)
        classes = list(classes or range(model.num_classes))
        ids, may_be = (np.array(of(model))[classes] for of in (class_ids, detectable))
        return cls(anchors, ids.tolist(), detect, may_be.tolist())

    def __call__(
        self,
        class_logits: Tensor,
        box_deltas: Tensor,
        scales: Tensor | None = None,
        target: Target = "any",
    ) -> dict[str, tf.Tensor]:
        """Turns the network's outputs into detections.

        Args:
          class_logits: [B, A, K], any float type.
          box_deltas: [B, A, 4], any float type.
          scales: float32 [B, 2], network pixels / picture pixels of y and x; None leaves boxes in
            the network's.
          target: where it runs; "portable" takes B = 1.

        Returns:
          "boxes" float32 [B, D, 4] in pixels of the picture; "scores" float32 [B, D] in [0, 1],
          best first; "classes" int32 [B, D], the data set's own ids; "num_detections" int32 [B].
          Rows from num_detections on are zeros.
        """
        return self.named(self._find(class_logits, box_deltas, self._decoded, target), scales)

    def of_boxes(
        self,
        boxes: Tensor,
        scores: Tensor,
        scales: Tensor | None = None,
        target: Target = "any",
    ) -> dict[str, tf.Tensor]:
        """As a call, of what `decode` returns: boxes [B, A, 4] and scores [B, A, K], float32."""
        return self.named(self._find(scores, boxes, _as_they_are, target), scales)

    def decode(self, class_logits: Tensor, box_deltas: Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns boxes [B, A, 4] in pixels of the network input and scores [B, A, K], float32."""
        scores = tf.sigmoid(tf.cast(class_logits, tf.float32))
        return decode_boxes(box_deltas, self.anchors), scores

    def candidates(self, class_logits: Tensor, box_deltas: Tensor) -> Candidates:
        """Returns the boxes [B, M, 4], scores [B, M] and class indices [B, M] to be suppressed.

        With `pre_nms_top_k` they are the best pairs of an anchor and a class, best first, and an
        anchor may appear with several classes. With 0 they are all anchors, each with its best
        class. Classes that are not detectable have the score 0.
        """
        pairs = top_k_pairs(class_logits, self._detect.pre_nms_top_k, self._detectable)
        return self._decoded(pairs, box_deltas)

    def merge_views(
        self, boxes: Tensor, scores: Tensor, classes: Tensor, scales: Tensor
    ) -> dict[str, tf.Tensor]:
        """Suppresses the candidates of all views of one picture together; several views vote.

        Args:
          boxes [V, M, 4], scores [V, M], classes [V, M]: of V views, in the frame of the picture.
            The shapes are static; a single view gives what a call gives, while of several each
            box becomes the mean of its candidates, whatever `detect.box_voting` says.
          scales: float32 [2], pixels of the frame / pixels of the picture, of y and x.

        Returns:
          As a call, B = 1.
        """
        views = (boxes, scores, classes)
        found = suppress(*_of_one_picture(views), self._detect)
        if boxes.shape[0] > 1 or self._detect.box_voting:
            found = _vote_one_by_one(found, _of_one_picture(self._voters(views)))
        return self.named(found, scales[None])

    def named(self, found: Detections, scales: Tensor | None) -> dict[str, tf.Tensor]:
        """Gives detections in network pixels the pixels of the picture and the data set's ids."""
        return {
            "boxes": found.boxes if scales is None else boxes_to_picture(found.boxes, scales),
            "scores": found.scores,
            "classes": tf.gather(self._ids, found.classes + 1),
            "num_detections": found.num_detections,
        }

    def _find(
        self,
        values: Tensor,
        boxes: Tensor,
        complete: Callable[[Pairs, Tensor], Candidates],
        target: Target,
    ) -> Detections:
        """Selects by values [B, A, K], completes the boxes of what is selected, and suppresses."""
        detect = self._detect
        if target == "cpu":
            # By number: a map over the values themselves would copy them.
            find = lambda i: self._find_on_cpu(values[i], boxes[i], complete)  # noqa: E731
            images = tf.range(tf.shape(values)[0])
            return tf.map_fn(find, images, fn_output_signature=_one_image(detect))
        pairs = top_k_pairs(values, detect.pre_nms_top_k, self._detectable)
        candidates = complete(pairs, boxes)
        if target == "any":
            return self._voted(suppress(*candidates, detect), candidates)
        candidates = tuple(tf.squeeze(value, 0) for value in candidates)
        found = suppress_with_offsets(*candidates, detect, values.shape[-1])
        return Detections(*(tf.expand_dims(v, 0) for v in self._voted(found, candidates)))

    def _find_on_cpu(
        self, values: tf.Tensor, boxes: tf.Tensor, complete: Callable[[Pairs, Tensor], Candidates]
    ) -> Detections:
        """As `_find` for one image, [A, K] and [A, 4]."""
        detect, num_classes = self._detect, values.shape[-1]
        pairs = top_k_pairs_on_cpu(values, detect.pre_nms_top_k, self._detectable)
        candidates = complete(pairs, boxes)
        if detect.class_agnostic or num_classes <= _MOST_CLASSES:
            found = suppress_by_class(*candidates, detect, num_classes)
        else:
            found = suppress(*(value[None] for value in candidates), detect)
            found = Detections(*(value[0] for value in found))
        return self._voted(found, candidates)

    def _voted(self, found: Detections, candidates: Candidates) -> Detections:
        """The detections where the candidates vote them to, or as they are."""
        return vote(found, *self._voters(candidates)) if self._detect.box_voting else found

    def _voters(self, candidates: Candidates) -> Candidates:
        """The best candidates; the others would take most of the time and change hardly anything.

        All of them, where they are in the anchors' order.
        """
        detect, (boxes, scores, classes) = self._detect, candidates
        count = _VOTERS * detect.max_detections if detect.pre_nms_top_k else None
        return boxes[..., :count, :], scores[..., :count], classes[..., :count]

    def _decoded(self, pairs: Pairs, box_deltas: Tensor) -> Candidates:
        """Completes pairs of logits; only what is selected is decoded."""
        deltas, logits, classes = _as_they_are(pairs, box_deltas)
        boxes = decode_boxes(deltas, tf.gather(self.anchors, pairs.anchors))
        return boxes, tf.sigmoid(tf.cast(logits, tf.float32)), classes


def _as_they_are(pairs: Pairs, boxes: Tensor) -> Candidates:
    """Completes pairs by the boxes [..., A, 4] of their anchors."""
    batch_dims = pairs.anchors.shape.rank - 1
    boxes = tf.gather(boxes, pairs.anchors, axis=batch_dims, batch_dims=batch_dims)
    return boxes, pairs.values, pairs.classes


def _of_one_picture(views: Candidates) -> Candidates:
    """[V, M, 4], [V, M] and [V, M] -> [1, V * M, 4], [1, V * M] and [1, V * M]."""
    boxes, *values = views
    return tf.reshape(boxes, [1, -1, 4]), *(tf.reshape(value, [1, -1]) for value in values)


def _vote_one_by_one(found: Detections, candidates: Candidates) -> Detections:
    """As `vote`: all D x M overlaps of a picture in many tiles would fill the memory."""

    def move(slot: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        box, box_class = (value[:, None] for value in slot)  # [B, 1, 4], [B, 1]
        return vote(found._replace(boxes=box, classes=box_class), *candidates).boxes[:, 0]

    slots = (tf.transpose(found.boxes, [1, 0, 2]), tf.transpose(found.classes))
    boxes = tf.map_fn(move, slots, fn_output_signature=tf.float32, parallel_iterations=1)
    return found._replace(boxes=tf.transpose(boxes, [1, 0, 2]))


def _one_image(detect: DetectConfig) -> Detections:
    """The shapes of one image's detections."""
    return Detections(
        boxes=tf.TensorSpec([detect.max_detections, 4], tf.float32),
        scores=tf.TensorSpec([detect.max_detections], tf.float32),
        classes=tf.TensorSpec([detect.max_detections], tf.int32),
        num_detections=tf.TensorSpec([], tf.int32),
    )
