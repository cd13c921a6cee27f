"""One annotated image, its TFRecord schema (the reference's), and the checks of it.

Shapes: n boxes of one image. Boxes are [ymin, xmin, ymax, xmax]: pixels in an `Example`,
shares of the image's height and width in a record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from edet.errors import UserError
from edet.image.decode import decode_stored_pixels

BBOX_KEYS = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))
LABEL_KEY = "image/object/class/label"
TEXT_KEY = "image/object/class/text"
CROWD_KEY = "image/object/is_crowd"
AREA_KEY = "image/object/area"
_ORIENTATION = "image/orientation"  # of EXIF, which was undone; only where it was not 1
_MASK = "image/segmentation/class/encoded"  # a grey PNG


@dataclass(frozen=True)
class Mask:
    """Where the mask of an image is.

    Attributes:
      file: path of the PNG (gs:// works), or its bytes. Grey or palette: a pixel's number is its
        value.
      segments: of COCO's panoptic PNGs, whose colours are segments' ids (red + 256 green + 65536
        blue): the pairs (segment id, value). Pixels of other segments are ignored.
    """

    file: str | bytes
    segments: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Example:
    """One image and its ground truth, in the data set's own ids and pixels.

    Attributes:
      image: path of the image file (gs:// works), or its encoded bytes.
      source_id: the data set's own name of the image; COCO's are numbers.
      boxes: [n, 4] float32, ymin, xmin, ymax, xmax in pixels, as annotated (not clipped).
      class_ids: [n] int64, the data set's own ids.
      height, width: pixels as annotated; -1 where the annotations do not say.
      is_crowd: [n] bool; COCO's regions that hold many objects. Left out: all false.
      areas: [n] float32 in pixels squared (COCO: of the mask). Left out: of the boxes.
      filename: for messages and the record; left out: the last part of the path.
      mask: the class of every pixel; None where the data set does not say.
      relative: the boxes are shares of the picture's sides, 0-1; the writer, which opens the
        picture, makes pixels of them.
      stored: of a photo with an EXIF orientation, whether boxes and size are of its stored pixels;
        None: the size tells, and where it cannot they are of the photo as it is displayed.
    """

    image: str | bytes
    source_id: str
    boxes: np.ndarray
    class_ids: np.ndarray
    height: int = -1
    width: int = -1
    is_crowd: np.ndarray | None = None
    areas: np.ndarray | None = None
    filename: str = ""
    mask: Mask | None = None
    relative: bool = False
    stored: bool | None = None

    def __post_init__(self):
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        crowd = np.zeros(len(boxes)) if self.is_crowd is None else self.is_crowd
        areas = box_areas(boxes) if self.areas is None else self.areas
        name = self.filename
        if not name and isinstance(self.image, str):
            name = os.path.basename(self.image)
        for key, value in (
            ("boxes", boxes),
            ("class_ids", np.asarray(self.class_ids, np.int64).reshape(-1)),
            ("is_crowd", np.asarray(crowd, bool).reshape(-1)),
            ("areas", np.asarray(areas, np.float32).reshape(-1)),
            ("filename", name or self.source_id),
        ):
            object.__setattr__(self, key, value)
        lengths = {len(boxes), len(self.class_ids), len(self.is_crowd), len(self.areas)}
        if len(lengths) > 1:
            raise ValueError(f"{self.filename}: boxes, ids, crowds and areas differ in number")

    def keep(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the four lists of objects at the given rows, for dataclasses.replace."""
        names = ("boxes", "class_ids", "is_crowd", "areas")
        return {name: getattr(self, name)[rows] for name in names}


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Returns the areas [n] of boxes [n, 4], yxyx; 0 for an inverted box."""
    with np.errstate(invalid="ignore"):  # of sides that are infinite, which others report
        return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def encode_example(
    example: Example, labels: dict[int, str], image_format: str = "jpeg", turned: int = 1
) -> bytes:
    """Returns the serialized tf.Example of an image whose bytes and size are known.

    The same example always gives the same bytes.

    Args:
      example: `image` holds encoded bytes, `height` and `width` their real size, and the boxes
        lie inside the image. A mask's `file` is the bytes of a grey PNG of that size.
      labels: {id: name}; an id without a name is written with an empty text.
      image_format: "jpeg" or "png".
      turned: the EXIF orientation that was undone in the pixels, 1-8.
    """
    height, width = example.height, example.width
    sides = (example.boxes.astype(np.float64) / (height, width, height, width)).T
    ids = example.class_ids.tolist()
    message = tf.train.Example()
    for key, kind, values in (
        ("image/encoded", "bytes_list", [example.image]),
        ("image/format", "bytes_list", [image_format.encode()]),
        ("image/filename", "bytes_list", [example.filename.encode()]),
        ("image/source_id", "bytes_list", [example.source_id.encode()]),
        ("image/height", "int64_list", [height]),
        ("image/width", "int64_list", [width]),
        *((key, "float_list", side) for key, side in zip(BBOX_KEYS, sides.tolist(), strict=True)),
        (LABEL_KEY, "int64_list", ids),
        (TEXT_KEY, "bytes_list", [labels.get(class_id, "").encode() for class_id in ids]),
        (AREA_KEY, "float_list", example.areas.tolist()),
        (CROWD_KEY, "int64_list", example.is_crowd.astype(int).tolist()),
        (_ORIENTATION, "int64_list", [turned] if turned > 1 else None),
        (_MASK, "bytes_list", [example.mask.file] if example.mask is not None else None),
    ):
        if values is not None:
            filled = getattr(message.features.feature[key], kind)
            filled.SetInParent()  # lists without a value are lists, too
            filled.value.extend(values)
    return message.SerializeToString(deterministic=True)


def _one(dtype: tf.DType, default: Any) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature([], dtype, default)


def _many(dtype: tf.DType) -> tf.io.FixedLenSequenceFeature:
    return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)


_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/source_id": _one(tf.string, ""),
    "image/height": _one(tf.int64, -1),
    "image/width": _one(tf.int64, -1),
    **dict.fromkeys(BBOX_KEYS, _many(tf.float32)),
    LABEL_KEY: _many(tf.int64),
    AREA_KEY: _many(tf.float32),
    CROWD_KEY: _many(tf.int64),
}

_KINDS = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}


def parse_example(serialized: tf.Tensor, with_mask: bool = False) -> dict[str, tf.Tensor]:
    """Reads one record inside a tf.data graph.

    Args:
      serialized: scalar string, a tf.Example of the schema above.
      with_mask: adds the mask to what is returned.

    Returns:
      "encoded": scalar string, the image file.
      "source_id": scalar string; where the record has none, a hash of `encoded` in decimal, the
        same one as the reference's.
      "height", "width": scalar int32 in pixels; -1 where the record has none.
      "boxes": [n, 4] float32, yxyx, shares of height and width.
      "class_ids": [n] int64, the data set's own ids.
      "is_crowd": [n] bool; all false where the record has none.
      "areas": [n] float32 in pixels squared; of the boxes where the record has none.
      "mask": scalar string, a grey PNG; "" where the record has none.

    Raises (in the graph):
      tf.errors.InvalidArgumentError: the lists of the objects differ in length.
    """
    masks = {_MASK: _one(tf.string, "")} if with_mask else {}
    parsed = tf.io.parse_single_example(serialized, _FEATURES | masks)
    encoded = parsed["image/encoded"]
    source_id = parsed["image/source_id"]
    source_id = tf.cond(
        tf.equal(source_id, ""),
        lambda: tf.strings.as_string(tf.strings.to_hash_bucket_fast(encoded, 2**63 - 1)),
        lambda: source_id,
    )
    class_ids = parsed[LABEL_KEY]
    count = tf.size(class_ids)
    crowd, areas = parsed[CROWD_KEY], parsed[AREA_KEY]
    whole = [tf.equal(tf.size(parsed[key]), count) for key in BBOX_KEYS]
    whole += [tf.size(values) * (tf.size(values) - count) == 0 for values in (crowd, areas)]
    what = "the object lists of this record differ in length"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(whole), [what, source_id])]):
        boxes = tf.stack([parsed[key] for key in BBOX_KEYS], axis=-1)
    size = parsed["image/height"], parsed["image/width"]
    crowd = tf.cond(
        tf.size(crowd) > 0, lambda: crowd > 0, lambda: tf.zeros_like(class_ids, tf.bool)
    )
    areas = tf.cond(tf.size(areas) > 0, lambda: areas, lambda: _box_pixels(boxes, size, encoded))
    return {
        "encoded": encoded,
        "source_id": source_id,
        "height": tf.cast(size[0], tf.int32),
        "width": tf.cast(size[1], tf.int32),
        "boxes": boxes,
        "class_ids": class_ids,
        "is_crowd": crowd,
        "areas": areas,
        **({"mask": parsed[_MASK]} if with_mask else {}),
    }


def _box_pixels(boxes: tf.Tensor, size: tuple[tf.Tensor, tf.Tensor], encoded: tf.Tensor):
    """Areas [n] in pixels of boxes [n, 4] in shares; a record without a size is decoded for it."""

    def decoded():
        return tf.size(decode_stored_pixels(encoded), out_type=tf.int64) // 3

    pixels = tf.cond((size[0] > 0) & (size[1] > 0), lambda: size[0] * size[1], decoded)
    sides = tf.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return tf.reduce_prod(sides, axis=1) * tf.cast(pixels, tf.float32)


def checked_features(serialized: bytes, where: str) -> Mapping[str, tf.train.Feature]:
    """Returns the features of a record, or raises UserError if it has another schema."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError(f"{where} is not a tf.Example; see edet create_tfrecords.") from error
    if len(features["image/encoded"].bytes_list.value) != 1:
        found = ", ".join(sorted(set(features) - {"image/encoded"})[:5]) or "nothing"
        raise UserError(
            f"{where} has no image/encoded (it has {found}); write it with "
            "edet create_tfrecords, which lists the schema."
        )
    objects = len(features[LABEL_KEY].int64_list.value)
    for key in BBOX_KEYS:
        count = len(features[key].float_list.value)
        if count != objects:
            raise UserError(
                f"{where} has {objects} values in {LABEL_KEY} (int64) and {count} in {key} "
                "(float); each object needs one of both."
            )
    for key, kind in ((AREA_KEY, "float_list"), (CROWD_KEY, "int64_list")):
        count = len(getattr(features[key], kind).value)
        if count not in (0, objects):
            raise UserError(
                f"{where} has {objects} objects but {count} values in {key}; give one for "
                "each object, or leave it out."
            )
    return features


def check_kinds(features: Mapping[str, tf.train.Feature], where: str) -> None:
    """Raises UserError if a feature is of another kind; TensorFlow refuses even empty lists."""
    for key, spec in _FEATURES.items():
        kind = features[key].WhichOneof("kind") if key in features else None
        if kind not in (None, _KINDS[spec.dtype]):
            raise UserError(
                f"{where} has {kind} in {key}, which takes {_KINDS[spec.dtype]}; convert these "
                "records with edet create_tfrecords --data=FOLDER."
            )


def check_parsed(serialized: bytes, where: str) -> None:
    """Raises UserError if TensorFlow does not parse a record, although protobuf may."""
    try:
        _parse(serialized)
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # some messages quote the record
        named = re.search(r"Key: (\S+?)[,.] ", str(error))
        what = f"its {named[1]} has another type or number" if named else "it is no whole message"
        raise UserError(
            f"{where} is not a tf.Example that TensorFlow parses ({what}); write it with "
            "edet create_tfrecords, which lists the schema."
        ) from error


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _parse(serialized: tf.Tensor) -> tf.Tensor:
    """Parses as the input pipeline does; returns the width."""
    return tf.io.parse_single_example(serialized, _FEATURES | {_MASK: _one(tf.string, "")})[
        "image/width"
    ]


def classes_of(features: Mapping[str, tf.train.Feature]) -> list[tuple[int, str]]:
    """Returns the class id and the name of each object; "" where the record names none."""
    ids, texts = features[LABEL_KEY].int64_list.value, features[TEXT_KEY].bytes_list.value
    names = [text.decode(errors="replace") for text in texts]
    return list(zip(ids, names + [""] * (len(ids) - len(names)), strict=False))


def orientation_of(features: Mapping[str, tf.train.Feature]) -> int:
    """Returns the EXIF orientation that was undone when the record was written, or 1."""
    return next(iter(features[_ORIENTATION].int64_list.value), 1)


def mask_of(features: Mapping[str, tf.train.Feature]) -> Mask | None:
    """Returns the mask of a record, if it has one."""
    png = b"".join(features[_MASK].bytes_list.value)
    return Mask(png) if png else None
