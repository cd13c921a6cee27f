"""One annotated image, its TFRecord schema (the reference's), and the checks of it.

Letters: n boxes of one image. Boxes are [ymin, xmin, ymax, xmax]: pixels in an `Example`,
shares of the image's height and width in a record.
"""

from __future__ import annotations

import concurrent.futures
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import rich.progress
import tensorflow as tf
from google.protobuf.message import DecodeError

from edet.data.masks import FEATURE, Mask
from edet.errors import UserError
from edet.files import failure

_BBOX = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))
_LABEL = "image/object/class/label"
_TEXT = "image/object/class/text"
_CROWD = "image/object/is_crowd"
_AREA = "image/object/area"


@dataclass(frozen=True)
class Example:
    """One image and its ground truth, in the data set's own ids and pixels.

    Attributes:
      image: path of the image file (gs:// works), or its encoded bytes.
      source_id: the data set's own name of the image; COCO's are numbers.
      boxes: [n, 4] float32, ymin, xmin, ymax, xmax in pixels, as annotated (not clipped).
      class_ids: [n] int64, the data set's own ids, from 1.
      height, width: pixels as annotated; -1 where the annotations do not say.
      is_crowd: [n] bool; COCO's regions that hold many objects. Left out: all false.
      areas: [n] float32 in pixels squared (COCO: of the mask). Left out: of the boxes.
      filename: for messages and the record; left out: the last part of the path.
      mask: the class of every pixel; None where the data set does not say.
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
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)


def encode_example(example: Example, labels: dict[int, str], image_format: str = "jpeg") -> bytes:
    """Returns the serialized tf.Example of an image whose bytes and size are known.

    The same example always gives the same bytes.

    Args:
      example: `image` holds encoded bytes, `height` and `width` their real size, and the boxes
        lie inside the image. A mask's `file` is the bytes of a grey PNG of that size.
      labels: {id: name}; an id without a name is written with an empty text.
      image_format: "jpeg" or "png".
    """
    height, width = example.height, example.width
    sides = (example.boxes.astype(np.float64) / (height, width, height, width)).T
    names = [labels.get(int(class_id), "").encode() for class_id in example.class_ids]
    features = {
        "image/encoded": _bytes([example.image]),
        "image/format": _bytes([image_format.encode()]),
        "image/filename": _bytes([example.filename.encode()]),
        "image/source_id": _bytes([example.source_id.encode()]),
        "image/height": _ints([height]),
        "image/width": _ints([width]),
        **{key: _floats(side) for key, side in zip(_BBOX, sides, strict=True)},
        _LABEL: _ints(example.class_ids),
        _TEXT: _bytes(names),
        _AREA: _floats(example.areas),
        _CROWD: _ints(example.is_crowd.astype(np.int64)),
    }
    if example.mask is not None:
        features[FEATURE] = _bytes([example.mask.file])
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString(deterministic=True)


def _bytes(values: Iterable[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads one record inside a tf.data graph.

    Args:
      serialized: scalar string, a tf.Example of the schema above.

    Returns:
      "encoded": scalar string, the image file.
      "source_id": scalar string; where the record has none, a hash of `encoded` in decimal, the
        same one as the reference's.
      "height", "width": scalar int32 in pixels; -1 where the record has none.
      "boxes": [n, 4] float32, yxyx, shares of height and width.
      "class_ids": [n] int64, the data set's own ids.
      "is_crowd": [n] bool; all false where the record has none.
      "areas": [n] float32 in pixels squared; of the boxes where the record has none.

    Raises (in the graph):
      tf.errors.InvalidArgumentError: the lists of the objects differ in length.
    """

    def one(dtype, default):
        return tf.io.FixedLenFeature([], dtype, default)

    def many(dtype):
        return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)

    parsed = tf.io.parse_single_example(
        serialized,
        {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "image/source_id": one(tf.string, ""),
            "image/height": one(tf.int64, -1),
            "image/width": one(tf.int64, -1),
            **{key: many(tf.float32) for key in _BBOX},
            _LABEL: many(tf.int64),
            _AREA: many(tf.float32),
            _CROWD: many(tf.int64),
        },
    )
    encoded = parsed["image/encoded"]
    source_id = parsed["image/source_id"]
    source_id = tf.cond(
        tf.equal(source_id, ""),
        lambda: tf.strings.as_string(tf.strings.to_hash_bucket_fast(encoded, 2**63 - 1)),
        lambda: source_id,
    )
    class_ids = parsed[_LABEL]
    count = tf.size(class_ids)
    crowd, areas = parsed[_CROWD], parsed[_AREA]
    whole = [tf.equal(tf.size(parsed[key]), count) for key in _BBOX]
    whole += [tf.size(values) * (tf.size(values) - count) == 0 for values in (crowd, areas)]
    what = "the object lists of this record differ in length"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(whole), [what, source_id])]):
        boxes = tf.stack([parsed[key] for key in _BBOX], axis=-1)
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
    }


def _box_pixels(boxes: tf.Tensor, size: tuple[tf.Tensor, tf.Tensor], encoded: tf.Tensor):
    """Areas [n] in pixels of boxes [n, 4] in shares; a record without a size is decoded for it."""

    def decoded():
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return tf.size(image, out_type=tf.int64) // 3

    pixels = tf.cond((size[0] > 0) & (size[1] > 0), lambda: size[0] * size[1], decoded)
    sides = tf.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return tf.reduce_prod(sides, axis=1) * tf.cast(pixels, tf.float32)


@dataclass(frozen=True)
class RecordsSummary:
    """What `check_records` has seen."""

    num_files: int
    num_records: int  # records that were read
    num_empty: int  # of them: images without boxes
    class_boxes: dict[int, int] = field(default_factory=dict)  # {class id: boxes}
    class_names: dict[int, set[str]] = field(default_factory=dict)  # as the records call them


def check_records(
    files: list[str], label_ids: Iterable[int] | None = None, every_record: bool = False
) -> RecordsSummary:
    """Reads the first record of each shard, or all of them, and says in words what is wrong.

    Args:
      files: paths of TFRecord shards; gs:// works.
      label_ids: the ids that the model knows; None leaves the ids unchecked.
      every_record: reads the shards to their ends.

    Raises:
      UserError: a shard is unreadable or cut off, a record has another schema, or a class id is
        not among `label_ids`. The message names the file and the record.
    """
    known = None if label_ids is None else set(label_ids)
    boxes: Counter[int] = Counter()
    names: dict[int, set[str]] = {}
    records = empty = 0
    for file in files:
        for index, serialized in enumerate(read_records(file, None if every_record else 1)):
            class_ids = checked_class_ids(serialized, f"{file}, record {index}")
            strange = sorted(set(class_ids) - known) if known is not None else []
            if strange:
                raise UserError(
                    f"{file}, record {index}: class id {strange[0]} is not in the labels (ids "
                    f"{_listed(known)}); set model.labels to those of the data set."
                )
            boxes.update(class_ids)
            texts = tf.train.Example.FromString(serialized).features.feature[_TEXT].bytes_list.value
            for class_id, text in zip(class_ids, texts, strict=False):
                names.setdefault(class_id, set()).add(text.decode(errors="replace"))
            records += 1
            empty += not class_ids
    return RecordsSummary(len(files), records, empty, dict(sorted(boxes.items())), names)


def read_records(file: str, limit: int | None = None) -> Iterator[bytes]:
    """Yields the serialized records of a shard, at most `limit`.

    Raises:
      UserError: the shard is unreadable or cut off, after the good records; StorageError: its disk
        or bucket does not answer now.
    """
    read = 0
    try:
        dataset = tf.data.TFRecordDataset(file)
        for record in dataset if limit is None else dataset.take(limit):
            yield record.numpy()
            read += 1
        if read != limit:
            _count(file)  # TensorFlow takes a shard that ends within a length for a whole one.
    except tf.errors.DataLossError as error:
        raise UserError(_damaged(file, read)) from error
    except tf.errors.OpError as error:
        raise failure(f"cannot read {file}", error) from error


def _damaged(file: str, good: int) -> str:
    if not good:
        return f"{file} is not a TFRecord file, or is cut off or damaged in its first record."
    return (
        f"{file} is cut off or damaged after {good} good records; write or copy this shard again."
    )


def _listed(ids: set[int]) -> str:
    ordered = sorted(ids)
    return ", ".join(map(str, ordered)) if len(ids) < 6 else f"{ordered[0]} to {ordered[-1]}"


def checked_class_ids(serialized: bytes, where: str) -> list[int]:
    """Returns the class ids of a record, or raises UserError if it has another schema."""
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError(f"{where} is not a tf.Example; see tools/create_tfrecords.py.") from error
    if len(features["image/encoded"].bytes_list.value) != 1:
        found = ", ".join(sorted(set(features) - {"image/encoded"})[:5]) or "nothing"
        raise UserError(
            f"{where} has no image/encoded (it has {found}); write it with "
            "tools/create_tfrecords.py, which lists the schema."
        )
    class_ids = list(features[_LABEL].int64_list.value)
    for key in _BBOX:
        count = len(features[key].float_list.value)
        if count != len(class_ids):
            raise UserError(
                f"{where} has {len(class_ids)} values in {_LABEL} (int64) and {count} in {key} "
                "(float); each object needs one of both."
            )
    for key, kind in ((_AREA, "float_list"), (_CROWD, "int64_list")):
        count = len(getattr(features[key], kind).value)
        if count not in (0, len(class_ids)):
            raise UserError(
                f"{where} has {len(class_ids)} objects but {count} values in {key}; give one for "
                "each object, or leave it out."
            )
    return class_ids


def count_records(files: list[str]) -> int:
    """Returns the number of records in TFRecord shards; on a disk it reads only their lengths.

    Raises:
      UserError: a shard is unreadable or cut off; the message says how many records were good;
        StorageError: its disk or bucket does not answer now.
    """
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        counts = rich.progress.track(
            pool.map(_count, files),
            description="Counting records",
            total=len(files),
            transient=True,
            disable=len(files) < 64,
        )
        return sum(counts)


def _count(file: str) -> int:
    """Walks over one shard: uint64 length, uint32 crc, that many bytes, uint32 crc, and again."""
    good = position = 0
    try:
        # TensorFlow reads ahead by half a megabyte, which is most of the records.
        with tf.io.gfile.GFile(file, "rb") if "://" in file else open(file, "rb", 0) as shard:
            end = tf.io.gfile.stat(file).length
            while position < end:
                shard.seek(position)
                header = shard.read(12)
                if len(header) < 12:
                    raise UserError(_damaged(file, good))
                position += 16 + struct.unpack("<Q", header[:8])[0]
                if position > end:
                    raise UserError(_damaged(file, good))
                good += 1
    except (OSError, tf.errors.OpError) as error:
        raise failure(f"cannot read {file}", error) from error
    return good
