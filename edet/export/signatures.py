"""What a SavedModel answers: its signatures, each as a graph function with its own description.

The network inside is folded. Its weights are variables, which all signatures share: constants would
be copied into every graph that a program or a server makes of them, and are no faster.

Shapes: B images, H, W pixels of an image, h, w pixels of the network input, A anchors, K classes,
D detections kept per image (100).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from edet.config.schema import Config, ModelConfig
from edet.export.fold import fold
from edet.image.decode import decode_image
from edet.image.letterbox import letterbox, normalize_images
from edet.inference.predictor import DetectionHead, class_maps

Outputs = dict[str, tf.Tensor]
Find = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Outputs]
Prepare = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]]

_PICTURES = "encoded pictures of any sizes: JPEG, PNG, GIF, BMP or WebP"
_DETECTIONS = {
    "boxes": "ymin, xmin, ymax, xmax in pixels of the given picture as a person sees it, upright",
    "scores": "0-1, best first",
    "classes": "the data set's own ids, as in assets/labels.yaml",
    "class_names": "the names of these ids, UTF-8",
    "num_detections": "rows from this one on are padding: zeros and empty names",
}
_CLASS_MAPS = {
    "class_maps": "the class of every pixel of the picture in the input, a key of mask_labels; "
    "that of row y of H in the picture is in row floor((y + 0.5) * sizes[0] / H)",
    "sizes": "rows and columns that show the picture; the rest is padding",
}


class Signature(NamedTuple):
    """A function that a server offers by name."""

    function: Callable[[tf.Tensor], Outputs]
    input: tf.TensorSpec  # its name is the one that clients use
    about: str
    about_input: str
    about_outputs: dict[str, str]


class _Head(NamedTuple):
    """What the signatures of one head say of it."""

    # pixels [B, h, w, 3], image scales [B, 2] and sizes [B, 2] of the pictures in them -> outputs
    find: Find
    what: str
    outputs: dict[str, str]


def signatures_of(network: keras.Model, config: Config) -> dict[str, Signature]:
    """Returns the signatures of a network, each for any batch size, by name.

    `export.signatures` says whether all of these or one:

    serving_default: "image_bytes" string [B] -> what a head finds; one picture that cannot be
      decoded fails the request, and the error says which.
    tolerant: the same, but such a picture has zeros and a False in "decoded".
    images: "images" uint8 [B, H, W, 3] -> what a head finds; if it is the only one, no texts.
    raw: "images" float32 [B, h, w, 3], normalised -> the network's outputs, such as "class_logits"
      [B, A, K] and "box_deltas" [B, A, 4].

    Those of segmentation beside detection are called "segmentation", "segmentation_tolerant" and
    "segmentation_images". Detections are those of `Detector.__call__` and "class_names" string
    [B, D]. They agree with the unfolded network's within 1e-4: scores, and boxes in parts of the
    picture's longer side. Segmentation gives "class_maps" uint8 [B, h, w] and "sizes" int32 [B, 2].
    """
    model = config.model
    run = _as_function(fold(network))
    decode = tf.function(
        lambda image_bytes: _prepare(image_bytes, model),
        input_signature=[tf.TensorSpec([None], tf.string)], autograph=False,
    )  # fmt: skip
    is_plain = config.export.signatures == "images"
    signatures = {}
    if model.detects:
        signatures = _signatures(_detection(run, config), decode, model, is_plain)
    signatures["raw"] = _raw(run, model)
    if model.segments:
        own = _signatures(_segmentation(run, model), decode, model, is_plain)
        if model.detects:
            own = {f"segmentation_{name}": signature for name, signature in own.items()}
            own["segmentation"] = own.pop("segmentation_serving_default")
        signatures |= own
    wanted = config.export.signatures
    return {n: s for n, s in signatures.items() if wanted == "all" or n.endswith(wanted)}


def _detection(run: Callable[[tf.Tensor], Outputs], config: Config) -> _Head:
    head = DetectionHead(config.model, config.detect)
    ids, names = tf.constant([*head.labels], tf.int32), tf.constant([*head.labels.values()])

    def find(pixels: tf.Tensor, scales: tf.Tensor, sizes: tf.Tensor) -> Outputs:
        """Returns the detections of fitted pixels, and the names of their classes."""
        outputs = run(normalize_images(pixels, config.model))
        found = head.postprocess(
            outputs["class_logits"], outputs["box_deltas"], scales, target="cpu"
        )
        if config.export.signatures == "images":  # converters of others know no texts
            return found
        classes = found["classes"]
        smaller = tf.reduce_sum(tf.cast(classes[..., None] > ids, tf.int32), axis=-1)  # they rise
        is_there = tf.range(classes.shape[1]) < found["num_detections"][:, None]
        return found | {"class_names": tf.where(is_there, tf.gather(names, smaller), "")}

    return _Head(_shared(find, config.model), "Detections", _DETECTIONS)


def _segmentation(run: Callable[[tf.Tensor], Outputs], model: ModelConfig) -> _Head:
    def find(pixels: tf.Tensor, scales: tf.Tensor, sizes: tf.Tensor) -> Outputs:
        outputs = run(normalize_images(pixels, model))
        maps = class_maps(outputs["segmentation_logits"], model)
        return {"class_maps": tf.cast(maps, tf.uint8), "sizes": sizes}

    return _Head(_shared(find, model), "The class of every pixel", _CLASS_MAPS)


def _shared(find: Find, model: ModelConfig) -> Find:
    """Returns one graph function, which is in the file once for all signatures that call it."""
    pixels = tf.TensorSpec([None, *model.image_size, 3], tf.float32)
    scales, sizes = tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None, 2], tf.int32)
    return tf.function(find, input_signature=[pixels, scales, sizes], autograph=False)


def _signatures(
    head: _Head, decode: Prepare, model: ModelConfig, is_plain: bool
) -> dict[str, Signature]:
    """Returns the three signatures of one head.

    Args:
      head: what is found.
      decode: `_prepare` of encoded pictures.
      model: says how pictures get into the input.
      is_plain: "images" is made for converters of others.
    """

    def strict(image_bytes: tf.Tensor) -> Outputs:
        *prepared, decoded = decode(_some(image_bytes))
        with tf.control_dependencies([_all_decoded(image_bytes, decoded)]):
            return head.find(*map(tf.identity, prepared))

    def tolerant(image_bytes: tf.Tensor) -> Outputs:
        *prepared, decoded = decode(_some(image_bytes))
        found = {
            name: tf.where(_broadcast(decoded, value), value, tf.zeros_like(value))
            for name, value in head.find(*prepared).items()
        }
        return found | {"decoded": decoded}

    def images(images: tf.Tensor) -> Outputs:
        images = _some(images)
        # Resizing uint8 to float32 is TensorFlow's own; ONNX resizes to what comes in.
        *prepared, _ = _prepare(tf.cast(images, tf.float32) if is_plain else images, model)
        return head.find(*prepared)

    encoded = tf.TensorSpec([None], tf.string, "image_bytes")
    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
    whether = {"decoded": "False for a picture that cannot be decoded"}
    return {
        "serving_default": Signature(
            strict, encoded,
            f"{head.what}; a picture that cannot be decoded fails the request.",
            _PICTURES, head.outputs,
        ),
        "tolerant": Signature(
            tolerant, encoded,
            f"{head.what}; one picture that cannot be decoded has zeros and spoils no other.",
            _PICTURES, head.outputs | whether,
        ),
        "images": Signature(
            images, pixels, f"{head.what} of decoded pictures of one size.",
            "red, green, blue, 0-255, upright", head.outputs,
        ),
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
            f"of a grid of {2**model.segmentation.level} pixels, before the softmax; column k is "
            "the k-th of mask_labels"
        )
    return Signature(
        run, tf.TensorSpec([None, *model.image_size, 3], tf.float32, "images"),
        "The network alone.",
        f"pictures fitted into the input ({model.fit}) and normalised: (pixels - mean_rgb) / "
        "stddev_rgb",
        about,
    )  # fmt: skip


def _as_function(network: keras.Model) -> Callable[[tf.Tensor], Outputs]:
    """Returns the network as one graph function, which all signatures call."""

    def run(images: tf.Tensor) -> Outputs:
        return network(images, training=False)

    spec = tf.TensorSpec([None, *network.input_shape[1:]])
    return tf.function(run, [spec], autograph=False)


def _prepare(
    images: tf.Tensor, model: ModelConfig
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Fits pictures, encoded [B] or uint8 [B, H, W, 3], into the input.

    Returns:
      float32 [B, h, w, 3]; image scales [B, 2]; int32 [B, 2], rows and columns that show the
      picture; bool [B], whether it could be decoded.
    """

    def prepare(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        decoded = tf.constant(True)
        if image.dtype == tf.string:
            image, decoded = _decode_or_blank(image, model.white_level)
        return (*letterbox(image, model.image_size, model.pad_color, model.fit), decoded)

    prepared = (
        tf.TensorSpec([*model.image_size, 3], tf.float32), tf.TensorSpec([2], tf.float32),
        tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.bool),
    )  # fmt: skip
    return tf.map_fn(prepare, images, fn_output_signature=prepared)


def _some(images: tf.Tensor) -> tf.Tensor:
    """Fails with a sentence on a batch of no pictures."""
    any_there = tf.debugging.Assert(tf.shape(images)[0] > 0, ["no images; send at least one"])
    with tf.control_dependencies([any_there]):
        return tf.identity(images)


def _decode_or_blank(encoded: tf.Tensor, white_level: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (image [H, W, 3], True), or (one black pixel, False) for what cannot be decoded.

    A graph cannot catch the error of an op; a tf.data pipeline of one element can.
    """
    decoded = tf.data.Dataset.from_tensors(encoded).map(
        lambda data: (decode_image(data, white_level), True)
    )
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
