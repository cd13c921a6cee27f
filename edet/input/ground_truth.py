"""What the host wants to know of records outside the batches: names, ground truth, bad images.

Shapes: n boxes of one image. Boxes are [ymin, xmin, ymax, xmax].
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from edet.errors import UserError
from edet.files import reason
from edet.image.decode import decode_image
from edet.image.header import stored_size
from edet.input.reading import (
    RECORDS_PER_FILE,
    decode_examples,
    read_file,
    user_errors,
    without_autograph,
)
from edet.records.schema import parse_example
from edet.records.shards import open_records, read_records


@dataclass(frozen=True)
class Annotations:
    """Every annotated object of one image, crowds too, in pixels of the original image."""

    source_id: str
    height: int
    width: int
    boxes: np.ndarray  # [n, 4] float32 pixels
    class_ids: np.ndarray  # [n] int64, the data set's own ids
    is_crowd: np.ndarray  # [n] bool
    areas: np.ndarray  # [n] float32 pixels squared


@dataclass(frozen=True)
class UndecodableImage:
    """An image that no pipeline can use."""

    file: str
    record: int  # its number within the file
    source_id: str
    reason: str


@without_autograph
def read_ground_truth(files: Sequence[str]) -> list[Annotations]:
    """Reads the annotations of all records, in pixels of their pictures.

    Pixels are decoded only where a record has no size, or another than its picture: that of
    annotated pictures which were resized since would put boxes beside the objects.

    Args:
      files: TFRecord shards in the order that `make_eval_dataset` was given: its "image_index" k
        is the k-th entry here.

    Raises:
      UserError: a damaged file, a record of another schema or an image without a readable size.
    """
    examples = open_records(files).map(
        _parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    with user_errors(files):
        try:
            return [ground_truth(_sized(example)) for example in examples.as_numpy_iterator()]
        except tf.errors.InvalidArgumentError:
            for bad in find_undecodable(files):
                raise UserError(
                    f"image {bad.source_id} (record {bad.record} of {bad.file}) cannot be decoded "
                    f"({bad.reason}), so its size is not known; leave it out of the records."
                ) from None
            raise


def read_encoded(files: Sequence[str], places: Sequence[int]) -> Iterator[bytes]:
    """Yields encoded pictures of records by their rising numbers, those of `read_ground_truth`."""
    wanted = set(places)
    records = itertools.chain.from_iterable(map(read_records, files))
    for place, record in enumerate(itertools.islice(records, 1 + max(wanted, default=-1))):
        if place in wanted:
            features = tf.train.Example.FromString(record).features.feature
            yield features["image/encoded"].bytes_list.value[0]


def ground_truth(example: dict[str, np.ndarray]) -> Annotations:
    """Returns the annotations of a parsed record whose height and width are known."""
    height, width = int(example["height"]), int(example["width"])
    return Annotations(
        source_id=_text(example["source_id"]),
        height=height,
        width=width,
        boxes=example["boxes"] * np.array([height, width] * 2, np.float32),
        class_ids=example["class_ids"],
        is_crowd=example["is_crowd"],
        areas=example["areas"],
    )


def _parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses a record; the bytes of its picture are handed on only where their size is needed."""
    example = parse_example(serialized)
    recorded = tf.stack([example["height"], example["width"]])
    stored = stored_size(example["encoded"])
    is_its_own = tf.reduce_all((recorded > 0) & ((recorded == stored) | (stored < 0)))
    return {**example, "encoded": tf.where(is_its_own, "", example["encoded"])}


def _sized(example: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gives a parsed record the size of its picture where it has none, or another."""
    # Outside of the graph: to trace the decoders takes a second, and hardly a record needs them.
    if not example["encoded"]:
        return example
    return with_size(example, *decode_image(example["encoded"]).shape[:2])


def with_size(example: dict[str, np.ndarray], height: int, width: int) -> dict[str, np.ndarray]:
    """Returns a parsed record with the size of its picture, and areas in pixels of that."""
    before = int(example["height"]), int(example["width"])
    factor = height * width / (before[0] * before[1]) if min(before) > 0 else 1.0
    areas = example["areas"] * np.float32(factor)
    return {**example, "height": height, "width": width, "areas": areas}


@without_autograph
def find_undecodable(files: Sequence[str]) -> list[UndecodableImage]:
    """Decodes every image of the records once and lists those that fail, with the decoder's words.

    Raises:
      UserError: a damaged file, or a record of another schema.
    """
    records = tf.data.Dataset.range(len(files)).flat_map(lambda number: read_file(files, number))
    examples = decode_examples(records, files, warn=False).map(
        lambda example: (example["is_decoded"], example["image_id"])
    )
    with user_errors(files):
        bad = [int(i) for is_decoded, i in examples.as_numpy_iterator() if not is_decoded]
    return [_undecodable(files, image_id) for image_id in bad]


def _undecodable(files: Sequence[str], image_id: int) -> UndecodableImage:
    file, number, example = _look_up(files, image_id)
    why = decoding_error(example["encoded"])
    return UndecodableImage(file, number, _text(example["source_id"].numpy()), why)


def decoding_error(encoded: tf.Tensor) -> str:
    """Returns the decoder's own words on an image that it could not read."""
    try:
        decode_image(encoded)
    except tf.errors.OpError as error:
        return reason(error)
    return "decodes now; the file may have changed"


def describe_images(files: Sequence[str], image_ids: Iterable[int]) -> list[str]:
    """Names the images of a training batch for a person, from their records.

    Args:
      files: the shards that `make_train_dataset` was given.
      image_ids: its "image_ids".
    """
    names = []
    for image_id in image_ids:
        file, number, example = _look_up(files, int(image_id))
        names.append(f"image {_text(example['source_id'].numpy())} (record {number} of {file})")
    return names


def _look_up(files: Sequence[str], image_id: int) -> tuple[str, int, dict[str, tf.Tensor]]:
    """Returns the file, the number of the record in it, and the parsed record."""
    file_number, number = divmod(image_id, RECORDS_PER_FILE)
    file = files[file_number]
    record = next(iter(open_records(file).skip(number).take(1)))
    return file, number, parse_example(record)


def _text(source_id: bytes) -> str:
    return source_id.decode(errors="replace")
