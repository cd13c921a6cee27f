"""What LiteRT and ONNX files share: the network in two parts, and the metadata that explain a file.

    pixels ── network_of ──► the network's outputs ── postprocess_of ──► what the file gives

The first part may be quantised. The second is cheap and always float32: boxes of whole pixels and
scores in 256 steps would cost AP.

Shapes: h, w pixels of the network input, A anchors, K classes, C classes of pixels.
A file takes one image at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
import yaml

from edet.config.labels import class_ids, detectable, labels_of, mask_labels_of
from edet.config.schema import Config, ModelConfig
from edet.config.sizes import as_dict
from edet.errors import UserError
from edet.export import mediapipe
from edet.export.fold import fold
from edet.files import read_bytes, read_json
from edet.geometry.anchors import feature_sizes
from edet.image.letterbox import center_images
from edet.inference.postprocess import Postprocess
from edet.inference.predictor import class_maps

METADATA, SETTINGS = "edet.json", "config.yaml"  # what a file carries along, by name

NETWORK_OUTPUTS = ("class_logits", "box_deltas", "segmentation_logits")

OUTPUTS: dict[str, dict[str, str]] = {
    "network": {
        "class_logits": "sigmoid gives the score; class k is class_ids[k]",
        "box_deltas": "ty, tx, th, tw of every anchor; see anchors.decoding",
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
    "mediapipe": dict(mediapipe.OUTPUTS.values()),
}

# What a network that segments gives beside or instead of these.
PIXEL_OUTPUTS: dict[str, dict[str, str]] = {
    "network": {
        "segmentation_logits": "of a coarser grid (every fourth pixel at model.segmentation.level "
        "2) and class, before the softmax; class k is the k-th of mask_labels",
    },
    "detections": {
        "class_map": "the class of every pixel of the input, the keys of mask_labels; padding "
        "means nothing",
    },
}


def outputs_of(config: Config) -> dict[str, str]:
    """Returns what a file gives, by name, with what it means; `export.outputs` chooses.

    Raises:
      UserError: boxes are asked of a network without.
    """
    wanted, model = config.export.outputs, config.model
    if wanted in ("boxes", "mediapipe") and not model.detects:
        raise UserError(
            f"export.outputs is {wanted}, but model.heads has no detection; detections gives the "
            "class of every pixel, network the logits."
        )
    if wanted == "mediapipe":
        if model.segments:
            raise UserError(
                "export.outputs is mediapipe, whose ObjectDetector takes boxes alone, but "
                "model.heads has segmentation; train a network with model.heads=[detection]."
            )
        return OUTPUTS[wanted]
    found = OUTPUTS[wanted] if model.detects else {}
    more = PIXEL_OUTPUTS["network" if wanted == "network" else "detections"]
    return found | more if model.segments else found


_FITTING = {
    "letterbox": "by scale = min({height} / height, {width} / width), then pad at the bottom and "
    "at the right; boxes of the file / scale are boxes in the picture",
    "stretch": "to {height} x {width} whatever the picture's shape; y of the file * height / "
    "{height} and x * width / {width} are boxes in the picture",
}


def image_spec(model: ModelConfig) -> tf.TensorSpec:
    """Returns every file's input: "images" float32 [1, h, w, 3], fitted pixels in 0-255."""
    return tf.TensorSpec([1, *model.image_size, 3], tf.float32, "images")


def network_of(network: keras.Model, config: Config) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Returns the folded network as a function of raw pixels.

    Args:
      network: from `build_network`.
      config: its `model` and `export`.

    Returns:
      A function of float32 [1, h, w, 3], 0-255, to the network's outputs in their order: logits
      [1, A, K] of the `kept_classes`, box deltas [1, A, 4], and segmentation logits
      [1, h / s, w / s, C] of a stride s.
    """
    model = config.model
    folded = fold(network, model.stddev_rgb, kept_classes(config))

    def run(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = folded(center_images(images, model), training=False)
        return [outputs[name] for name in NETWORK_OUTPUTS if name in outputs]

    return run


def postprocess_of(config: Config) -> Callable[..., list[tf.Tensor]]:
    """Returns the second part of a file.

    Args:
      config: its `model` and `export`, and its `detect` for detections.

    Returns:
      A function of what `network_of` gives to the tensors of `outputs_of`, in its order.
    """
    model, names = config.model, list(outputs_of(config))
    postprocess = Postprocess.of(model, config.detect, kept_classes(config))

    def run(*outputs: tf.Tensor) -> list[tf.Tensor]:
        """Network's outputs, of one image -> the file's outputs, in the order of `names`."""
        if config.export.outputs == "network":
            return list(outputs)
        found = {}
        if model.segments:
            *outputs, logits = outputs
            found["class_map"] = class_maps(logits, model)
        if model.detects and config.export.outputs == "boxes":
            found["boxes"], found["scores"] = postprocess.decode(*outputs)
        elif model.detects:
            found |= postprocess(*outputs, target="portable")
        if config.export.outputs == "mediapipe":
            found = mediapipe.to_mediapipe(found, model)
        return [found[name] for name in names]

    return run


def kept_classes(config: Config) -> list[int]:
    """Returns the classes whose logits a file computes; none means all.

    Where they become detections within it, those that may be detected: 80 of the 90 ids of COCO
    have a name. Masking the others took more time than anything else after the network. In int8
    all have one scale, so leaving some out would change the rest: there they are masked.
    """
    if config.export.outputs in ("network", "boxes") or config.export.precision == "int8":
        return []
    return list(itertools.compress(range(config.model.num_classes), detectable(config.model)))


def check_target(config: Config, path: str, ending: str) -> None:
    """Refuses what is no place for a file, or cannot be in it, before minutes of work.

    Args:
      config: says what the file gives.
      path: to write.
      ending: of files of this format.

    Raises:
      UserError: the path has another ending, or as `outputs_of` and `description_of`.
    """
    if not path.endswith(ending):
        raise UserError(f"a file of this format must end in {ending}, and {path} does not.")
    description_of(path)
    outputs_of(config)


def description_of(path: str) -> str:
    """Returns where the description of a model file that is to be written belongs.

    It is <stem>.json, or <file>.json where another model has that stem already.

    Raises:
      UserError: a file of that name is no description of a model, or the model's is a folder or a
        file that edet did not write.
    """
    if tf.io.gfile.isdir(path):
        raise UserError(f"{path} is a folder; name a file for the model.")
    model = read_bytes(path, "the model file") if tf.io.gfile.exists(path) else b""
    if model and METADATA.encode() not in model:
        raise UserError(f"{path} is not of edet and would be replaced; name another --output.")
    stem, exists = path.removesuffix(".tflite").removesuffix(".onnx"), tf.io.gfile.exists
    others = (stem + other for other in (".tflite", ".onnx") if stem + other != path)
    is_second = exists(f"{path}.json") or (not exists(path) and any(map(exists, others)))
    beside = f"{path if is_second else stem}.json"
    before = read_json(beside, "description") if exists(beside) else {"model": "", "outputs": {}}
    if not (isinstance(before, dict) and {"model", "outputs"} <= before.keys()):
        raise UserError(
            f"{beside} describes no model file and would be replaced; name another --output."
        )
    return beside


def metadata(config: Config, precision: str, input_type: str) -> dict[str, Any]:
    """Returns what a person or program without edet needs to use a file, ready for JSON."""
    model = config.model
    described = _described(model) if model.detects else {}
    if model.segments:
        described["mask_labels"] = mask_labels_of(model)
    height, width = model.image_size
    return {
        "model": model.name,
        "precision": precision,
        "input": {
            "name": "images",
            "type": input_type,
            "shape": [1, height, width, 3],
            "pixels": "red, green, blue, 0-255; values v of 16 bits are v * 256 // "
            f"{model.white_level + 1}, at most 255",
            "fitting": "resize bilinearly (half-pixel centres, no antialias) "
            + _FITTING[model.fit].format(height=height, width=width),
            "fit": model.fit,
            "padding": [round(c, 3) for c in model.pad_color],
        },
        "normalization": {
            "where": "inside the file: (pixels - mean) / deviation",
            "mean": list(model.mean_rgb),
            "deviation": list(model.stddev_rgb),
        },
        "outputs": outputs_of(config),
        **described,
    }


def _described(model: ModelConfig) -> dict[str, Any]:
    """The parts of the metadata that tell of boxes."""
    sizes = feature_sizes(model.image_size, model.max_level)
    return {
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
