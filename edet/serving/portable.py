"""What LiteRT and ONNX files share: the network in two parts, and the card that explains a file.

    pixels ── levels_of ──► each level's class and box outputs ── Finish ──► what the file gives

The first part is the network and may be quantised. The second is cheap and always float32: boxes
of whole pixels and scores in 256 steps would cost AP.

Letters: h, w pixels of the network input, A anchors, K classes, P anchors per location, L levels,
D detections kept per image (100). A file takes one image at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

from edet.config.labels import class_ids, emitted, labels_of
from edet.config.schema import Config, DetectConfig, ModelConfig
from edet.config.sizes import as_dict
from edet.geometry.anchors import feature_sizes, make_anchors
from edet.geometry.coding import decode_boxes
from edet.geometry.nms import select_candidates
from edet.serving.fold import fold

CARD, SETTINGS = "edet.json", "config.yaml"  # what a file carries along, by name

OUTPUTS: dict[str, dict[str, str]] = {
    "network": {
        "box_deltas": "ty, tx, th, tw of every anchor; see anchors.decoding",
        "class_logits": "sigmoid gives the score; class k is class_ids[k]",
    },
    "boxes": {
        "boxes": "ymin, xmin, ymax, xmax of every anchor in pixels of the input, not clipped",
        "scores": "0-1 for every anchor and class; class k is class_ids[k]",
    },
    "detections": {
        "boxes": "ymin, xmin, ymax, xmax in pixels of the input, not clipped; 0 in padding",
        "classes": "the data set's own ids, the keys of labels; 0 in padding",
        "num_detections": "rows from here on are padding",
        "scores": "0-1, best first; 0 in padding",
    },
}


def image_spec(model: ModelConfig) -> tf.TensorSpec:
    """Returns the input of every file: "images" float32 [1, h, w, 3], fitted pixels in 0-255."""
    return tf.TensorSpec([1, *model.image_size, 3], tf.float32, "images")


def levels_of(network: keras.Model) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Returns the folded network as a function of raw pixels.

    Args:
      network: from `build_network`.

    Returns:
      A function of float32 [1, h, w, 3], 0-255, to 2 L tensors: class outputs [1, y, x, P * K] of
      each level, fine to coarse, then box outputs [1, y, x, P * 4]. Each has its own range, so
      that a quantised network loses less than with one range for all.
    """
    flattened: dict[str, keras.KerasTensor] = {}

    def call(layer: keras.layers.Layer, *args, **kwargs):
        if ".flatten_p" in layer.name:
            flattened[layer.name] = args[0]
        return layer(*args, **kwargs)

    folded = keras.models.clone_model(
        fold(network), clone_function=lambda layer: layer, call_function=call
    )
    model = network.model_config
    levels = keras.Model(
        folded.input,
        [flattened[f"{head}.flatten_p{k}"] for head in _HEADS for k in model.levels],
    )
    # As `normalize_images`, with constants of a whole row: runtimes are slow at repeating three
    # numbers over a picture, by 7 % of an int8 lite0.
    mean, deviation = (
        np.broadcast_to(np.array(values, np.float32), [model.image_size[1], 3])
        for values in (model.mean_rgb, model.stddev_rgb)
    )
    return lambda images: levels((images - mean) / deviation, training=False)


_HEADS = ("class_head", "box_head")


class Finish:
    """The second part of a file: from the outputs of the levels to one of OUTPUTS.

    Args:
      config: its `model`, and its `detect` for detections.
      outputs: a key of OUTPUTS.
    """

    def __init__(self, config: Config, outputs: str):
        self.config, self.outputs = config, outputs
        model = config.model
        self._anchors = make_anchors(model.image_size, model.levels, model.anchors)
        # No class has the id 0, so it marks padding. In NumPy: a tensor from outside a graph is an
        # input of the graph to a converter.
        self._ids = np.array(class_ids(model), np.int32)
        self._emitted = None if all(emitted(model)) else np.array(emitted(model))

    @property
    def names(self) -> list[str]:
        """The names of what a call returns, in its order."""
        return list(OUTPUTS[self.outputs])

    def specs(self) -> list[tf.TensorSpec]:
        """Returns the shapes of the arguments of a call, those that `levels_of` gives."""
        model = self.config.model
        sizes = feature_sizes(model.image_size, model.max_level)
        values = (model.num_classes, 4)
        return [
            tf.TensorSpec([1, *sizes[level], model.anchors.per_location * count], tf.float32)
            for count in values
            for level in model.levels
        ]

    def __call__(self, *levels: tf.Tensor) -> list[tf.Tensor]:
        """Maps 2 L tensors to those of `names`."""
        half, num_classes = len(levels) // 2, self.config.model.num_classes
        class_logits, box_deltas = (
            tf.concat([tf.reshape(level, [1, -1, values]) for level in part], axis=1)
            for part, values in ((levels[:half], num_classes), (levels[half:], 4))
        )
        if self.outputs == "network":
            found = {"class_logits": class_logits, "box_deltas": box_deltas}
        elif self.outputs == "boxes":
            boxes = decode_boxes(box_deltas, self._anchors)
            found = {"boxes": boxes, "scores": tf.sigmoid(class_logits)}
        else:
            found = self._detections(class_logits, box_deltas)
        return [tf.identity(found[name], name) for name in self.names]

    def _detections(self, class_logits: tf.Tensor, box_deltas: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `Detector.postprocess` for one image, with an operation that every runtime has."""
        detect = self.config.detect
        candidates = select_candidates(
            class_logits, box_deltas, self._anchors, detect, self._emitted
        )
        boxes, scores, classes = (value[0] for value in candidates)
        apart = boxes if detect.class_agnostic else self._apart(boxes, classes)
        rows, scores, count = _suppress(apart, scores, detect)
        is_real = tf.range(detect.max_detections) < count
        boxes = tf.where(is_real[:, None], tf.gather(boxes, rows), 0.0)
        ids = tf.where(is_real, tf.gather(self._ids, tf.gather(classes, rows)), 0)
        return {
            "boxes": boxes[None],
            "scores": tf.where(is_real, scores, 0.0)[None],
            "classes": ids[None],
            "num_detections": tf.reshape(count, [1]),
        }

    def _apart(self, boxes: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        """Moves boxes [M, 4] so that those of different classes never overlap.

        Each class has a field of a grid, which keeps the coordinates small and so their float32
        fine. What a box has outside its field, twice as far out as any anchor, is cut off here.
        """
        reach = 2 * float(np.abs(self._anchors).max())
        columns = math.ceil(math.sqrt(self.config.model.num_classes))
        row, column = classes // columns, classes % columns
        field = tf.cast(tf.stack([row, column, row, column], axis=-1), tf.float32)
        return tf.clip_by_value(boxes, -reach, reach) + field * (2 * reach)


def _suppress(
    boxes: tf.Tensor, scores: tf.Tensor, detect: DetectConfig
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Suppresses [M, 4] and [M] as `geometry.nms.suppress`; rows [D], scores [D] and their count.

    The operation decays by exp(-IoU^2 / (2 sigma)), hence half of our sigma; 0 means hard.
    """
    soft = detect.nms == "gaussian"
    return tf.raw_ops.NonMaxSuppressionV5(
        boxes=boxes, scores=scores, max_output_size=detect.max_detections,
        iou_threshold=1.0 if soft else detect.iou_threshold,
        score_threshold=detect.score_threshold,
        soft_nms_sigma=detect.sigma / 2 if soft else 0.0,
        pad_to_max_output_size=True,
    )  # fmt: skip


def card(config: Config, outputs: str, precision: str, input_type: str) -> dict[str, Any]:
    """Returns what a person or program without edet needs to use a file, ready for JSON."""
    model = config.model
    height, width = model.image_size
    sizes = feature_sizes(model.image_size, model.max_level)
    return {
        "model": model.name,
        "precision": precision,
        "input": {
            "name": "images",
            "type": input_type,
            "shape": [1, height, width, 3],
            "pixels": "red, green, blue, 0-255",
            "fitting": "resize bilinearly (half-pixel centres, no antialias) by scale = "
            f"min({height} / height, {width} / width), then pad at the bottom and at the right; "
            "boxes of the file / scale are boxes in the picture",
            "padding": [round(c, 3) for c in model.pad_color],
        },
        "normalization": {
            "where": "inside the file: (pixels - mean) / deviation",
            "mean": list(model.mean_rgb),
            "deviation": list(model.stddev_rgb),
        },
        "outputs": OUTPUTS[outputs],
        "labels": labels_of(model),
        "class_ids": class_ids(model),
        "anchors": {
            "order": "level, y, x, octave, aspect; boxes are ymin, xmin, ymax, xmax in pixels of "
            "the input",
            "levels": {
                level: {"height": sizes[level][0], "width": sizes[level][1]}
                for level in model.levels
            },
            "centers": "(index + 0.5) * stride, with stride = input size / level size",
            "sides": "scale * stride * 2 ** (octave / octaves) * multiplier of the aspect",
            "scale": model.anchors.scale,
            "octaves": model.anchors.num_scales,
            "multipliers_of_height_and_width": [m[::-1] for m in model.anchors.multipliers],
            "decoding": "center_y = ty * height + anchor_y, center_x = tx * width + anchor_x, "
            "height = exp(th) * anchor_height, width = exp(tw) * anchor_width",
        },
    }


def settings(config: Config) -> str:
    """Returns the sections of a configuration that a file carries along, as YAML."""
    sections = {key: as_dict(config)[key] for key in ("model", "detect")}
    return yaml.safe_dump(sections, sort_keys=False)
