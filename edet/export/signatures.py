"""What a SavedModel answers: its signatures, each as a graph function with its own description.

The network inside is folded. Its weights are variables, which all signatures share: constants would
be copied into every graph that a program or a server makes of them, and are no faster.

Letters: B images, H, W pixels of an image, h, w pixels of the network input, A anchors, K classes,
D detections kept per image (100).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.config.schema import ModelConfig
from edet.export.fold import fold
from edet.image.decode import decode_image
from edet.image.letterbox import normalize_images
from edet.inference.detector import Detector
from edet.inference.segmenter import Segmenter

Outputs = dict[str, tf.Tensor]

_PICTURES = "encoded pictures of any sizes: JPEG, PNG, GIF, BMP or WebP"
_SCALE = tf.TensorSpec([], tf.float32)
_DETECTIONS = {
    "boxes": "ymin, xmin, ymax, xmax in pixels of the given picture as a person sees it, upright",
    "scores": "0-1, best first",
    "classes": "the data set's own ids, as in assets/labels.yaml",
    "class_names": "the names of these ids, UTF-8",
    "num_detections": "rows from this one on are padding: zeros and empty names",
}


class Signature(NamedTuple):
    """A function that a server offers by name."""

    function: Callable[[tf.Tensor], Outputs]
    input: tf.TensorSpec  # its name is the one that clients use
    about: str
    about_input: str
    about_outputs: dict[str, str]


def signatures_of(detector: Detector | Segmenter) -> dict[str, Signature]:
    """Returns the signatures of a detector, each for any batch size, by name.

    Those of a network that segments are in `_pixel_signatures`; beside detection they are called
    "segmentation", "segmentation_tolerant" and "segmentation_images".

    serving_default: "image_bytes" string [B] -> detections; one picture that cannot be decoded
      fails the request, and the error says which.
    tolerant: the same, but such a picture has no detections and a False in "decoded".
    images: "images" uint8 [B, H, W, 3] -> detections.
    raw: "images" float32 [B, h, w, 3], normalised -> "class_logits" [B, A, K] and "box_deltas"
      [B, A, 4].

    Detections are those of `Detector.__call__` and "class_names" string [B, D]. They agree with
    the unfolded Detector's within 1e-4: scores, and boxes in parts of the picture's longer side.
    """
    model = detector.config.model
    run = _as_function(fold(detector.network))
    if isinstance(detector, Segmenter):
        return _pixel_signatures(detector, run) | {"raw": _raw(run, model)}
    ids = tf.constant([0, *detector.labels], tf.int32)  # rising; 0 marks padding
    names = tf.constant(["", *detector.labels.values()])

    def find(pixels: tf.Tensor, scales: tf.Tensor) -> Outputs:
        outputs = run(normalize_images(pixels, model))
        found = detector.postprocess(
            outputs["class_logits"], outputs["box_deltas"], scales, target="cpu"
        )
        index = tf.searchsorted(ids, tf.reshape(found["classes"], [-1]))
        class_names = tf.reshape(tf.gather(names, index), tf.shape(found["classes"]))
        return found | {"class_names": tf.ensure_shape(class_names, found["classes"].shape)}

    def strict(image_bytes: tf.Tensor) -> Outputs:
        pixels, scales, decoded = _prepared(detector, image_bytes)
        with tf.control_dependencies([_all_decoded(image_bytes, decoded)]):
            return find(tf.identity(pixels), scales)

    def tolerant(image_bytes: tf.Tensor) -> Outputs:
        pixels, scales, decoded = _prepared(detector, image_bytes)
        found = {
            name: tf.where(_broadcast(decoded, value), value, tf.zeros_like(value))
            for name, value in find(pixels, scales).items()
        }
        return found | {"decoded": decoded}

    def images(images: tf.Tensor) -> Outputs:
        prepared = (_pixels_spec(detector), tf.TensorSpec([], tf.float32))
        return find(*tf.map_fn(detector.prepare, _some(images), fn_output_signature=prepared))

    encoded = tf.TensorSpec([None], tf.string, "image_bytes")
    more = {}
    if model.segments:
        own = _pixel_signatures(Segmenter(detector.network, detector.config), run)
        more = {
            "segmentation" + ("" if name == "serving_default" else f"_{name}"): signature
            for name, signature in own.items()
        }
    return {
        "serving_default": Signature(
            strict, encoded,
            "Detections; a picture that cannot be decoded fails the request.",
            _PICTURES, _DETECTIONS,
        ),
        "tolerant": Signature(
            tolerant, encoded,
            "Detections; a picture that cannot be decoded has none, and the others are answered.",
            _PICTURES, _DETECTIONS | {"decoded": "False for a picture that cannot be decoded"},
        ),
        "images": Signature(
            images, tf.TensorSpec([None, None, None, 3], tf.uint8, "images"),
            "Detections in decoded pictures of one size.",
            "red, green, blue, 0-255, upright", _DETECTIONS,
        ),
        "raw": _raw(run, model),
        **more,
    }  # fmt: skip


def _raw(run: Callable[[tf.Tensor], Outputs], model: ModelConfig) -> Signature:
    """The network alone."""
    about = {}
    if model.detects:
        about = {
            "class_logits": "before the sigmoid; column k is the k-th id of assets/labels.yaml",
            "box_deltas": "ty, tx, th, tw against anchors in the order level, y, x, octave, aspect",
        }
    if model.segments:
        about["segmentation_logits"] = (
            "of every fourth pixel, before the softmax; column k is the k-th of mask_labels"
        )
    return Signature(
        run, tf.TensorSpec([None, *model.image_size, 3], tf.float32, "images"),
        "The network alone.",
        "pictures fitted into the input and normalised: (pixels - mean_rgb) / stddev_rgb",
        about,
    )  # fmt: skip


def _pixel_signatures(
    segmenter: Segmenter, run: Callable[[tf.Tensor], Outputs]
) -> dict[str, Signature]:
    """Returns the signatures that tell the class of every pixel.

    serving_default, tolerant, images: as of detection -> "class_maps" uint8 [B, h, w] and "sizes"
      int32 [B, 2].
    """
    size_spec = tf.TensorSpec([2], tf.int32)

    def find(pixels: tf.Tensor, sizes: tf.Tensor) -> Outputs:
        outputs = run(normalize_images(pixels, segmenter.config.model))
        return {"class_maps": segmenter.classify(outputs["segmentation_logits"]), "sizes": sizes}

    def strict(image_bytes: tf.Tensor) -> Outputs:
        pixels, sizes, decoded = _prepared(segmenter, image_bytes, size_spec)
        with tf.control_dependencies([_all_decoded(image_bytes, decoded)]):
            return find(tf.identity(pixels), sizes)

    def tolerant(image_bytes: tf.Tensor) -> Outputs:
        pixels, sizes, decoded = _prepared(segmenter, image_bytes, size_spec)
        return find(pixels, tf.where(decoded[:, None], sizes, 0)) | {"decoded": decoded}

    def images(images: tf.Tensor) -> Outputs:
        prepared = (_pixels_spec(segmenter), size_spec)
        return find(*tf.map_fn(segmenter.prepare, _some(images), fn_output_signature=prepared))

    encoded = tf.TensorSpec([None], tf.string, "image_bytes")
    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
    outputs = {
        "class_maps": "the class of every pixel of the fitted picture, a key of mask_labels; that "
        "of row y of H in the picture is in row floor((y + 0.5) * sizes[0] / H)",
        "sizes": "rows and columns that show the picture; the rest is padding",
    }
    whether = {"decoded": "False for a picture that cannot be decoded, whose sizes are 0"}
    about = "The class of every pixel"
    return {
        "serving_default": Signature(strict, encoded, f"{about}.", _PICTURES, outputs),
        "tolerant": Signature(
            tolerant, encoded, f"{about}; one picture that cannot be decoded spoils no other.",
            _PICTURES, outputs | whether,
        ),
        "images": Signature(
            images, pixels, f"{about} of decoded pictures of one size.",
            "red, green, blue, 0-255, upright", outputs,
        ),
    }  # fmt: skip


def _as_function(network: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """Returns the network as one graph function, which all signatures call."""

    def run(images: tf.Tensor) -> Outputs:
        return network(images, training=False)

    return tf.function(run, input_signature=[tf.TensorSpec([None, *network.input_shape[1:]])])


def _pixels_spec(detector: Detector | Segmenter) -> tf.TensorSpec:
    return tf.TensorSpec([*detector.config.model.image_size, 3], tf.float32)


def _prepared(
    detector: Detector | Segmenter,
    image_bytes: tf.Tensor,
    second: tf.TensorSpec = _SCALE,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes and fits [B] pictures: float32 [B, h, w, 3], image scales [B], decoded bool [B].

    `second` is what `prepare` returns beside pixels, if it is not the scale.
    """

    def prepare(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, decoded = _decode_or_blank(encoded)
        return (*detector.prepare(image), decoded)

    prepared = (_pixels_spec(detector), second, tf.TensorSpec([], tf.bool))
    return tf.map_fn(prepare, _some(image_bytes), fn_output_signature=prepared)


def _some(images: tf.Tensor) -> tf.Tensor:
    """Fails with a sentence on a batch of no pictures."""
    any_there = tf.debugging.Assert(tf.shape(images)[0] > 0, ["no images; send at least one"])
    with tf.control_dependencies([any_there]):
        return tf.identity(images)


def _decode_or_blank(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (image [H, W, 3], True), or (one black pixel, False) for what cannot be decoded.

    A graph cannot catch the error of an op; a tf.data pipeline of one element can.
    """
    decoded = tf.data.Dataset.from_tensors(encoded).map(lambda data: (decode_image(data), True))
    blank = tf.data.Dataset.from_tensors((tf.zeros([1, 1, 3], tf.uint8), False))
    # Rewriting and tuning so short a pipeline would cost more than running it.
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    first = decoded.ignore_errors().concatenate(blank).take(1).with_options(options)
    return first.get_single_element()


def _all_decoded(image_bytes: tf.Tensor, decoded: tf.Tensor) -> tf.Operation:
    """Fails with a sentence about the first picture that was not decoded."""
    place = tf.argmin(tf.cast(decoded, tf.int32), output_type=tf.int32)
    sentence = tf.strings.format(
        "image {} of {} ({} bytes) cannot be decoded; send the bytes of a JPEG, PNG, GIF, BMP or "
        "WebP file",
        (place, tf.size(decoded), tf.strings.length(image_bytes[place])),
    )
    return tf.debugging.Assert(tf.reduce_all(decoded), [sentence])


def _broadcast(mask: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Gives a mask [B] as many axes as a value [B, ...] has."""
    return tf.reshape(mask, [-1] + [1] * (len(value.shape) - 1))
