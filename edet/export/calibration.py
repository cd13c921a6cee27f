"""The pictures from which a quantised file learns the ranges of its activations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from edet.config.schema import Config, ModelConfig
from edet.errors import UserError
from edet.globs import find_files
from edet.image.files import read_picture
from edet.image.letterbox import letterbox
from edet.inference.files import find_inputs
from edet.input.reading import read_file, user_errors, without_autograph
from edet.input.windows import decode_pictures, make_window_dataset
from edet.records.shards import check_not_empty

_FEW = 10  # different pictures; below, whatever one of them lacks is missing in the ranges


def calibration_pixels(
    config: Config, inputs: Sequence[str], warn: Callable[[str], None] = lambda _: None
) -> Iterator[np.ndarray]:
    """Yields pictures as the network sees them, float32 [h, w, 3], fitted pixels in 0-255.

    Args:
      config: `export.calibration_images` is the number at most.
      inputs: files, folders and globs, of which evenly spread ones are taken. If there are none,
        equally many of each shard of `data.train_records`, more of others where one has fewer.
      warn: told of each input that cannot be read or decoded and is left out, and after the last
        picture if fewer than ten differ and show more than one colour.

    Raises:
      UserError: there are no pictures, none of the inputs can be read, or a record's picture cannot
        be decoded; it is named.
    """
    model, different = config.model, set()
    for pixels in _of_inputs(config, inputs, warn) if inputs else _of_records(config):
        is_picture = np.any(np.abs(pixels - pixels[0, 0]) > 1, axis=-1)
        if np.any(is_picture & np.any(np.abs(pixels - model.pad_color) > 1, axis=-1)):
            different.add(hashlib.sha256(pixels.tobytes()).digest())
        yield pixels
    if len(different) < _FEW:
        warn(
            f"int8 takes its ranges from {len(different)} different pictures of more than one "
            "colour; calibrate with a few hundred such as it will see, named after the flags or "
            "in data.train_records, or what it finds may be far off."
        )


def _of_inputs(
    config: Config, inputs: Sequence[str], warn: Callable[[str], None]
) -> Iterator[np.ndarray]:
    pictures, model = find_inputs(inputs).pictures, config.model
    if not pictures:
        raise UserError(f"{inputs[0]} holds no picture; int8 is calibrated with pictures.")
    count = min(config.export.calibration_images, len(pictures))
    damaged = []
    for path in (pictures[i * len(pictures) // count] for i in range(count)):
        try:
            image = read_picture(path, model.white_level)
        except UserError as error:
            damaged.append(f"{path}: {error}")
            warn(f"left out of the calibration: {damaged[-1]}")
            continue
        yield letterbox(image, model.image_size, model.pad_color, model.fit).image.numpy()
    if len(damaged) == count:
        raise UserError(f"none of {count} pictures can be calibrated with, such as {damaged[0]}")


def _of_records(config: Config) -> Iterator[np.ndarray]:
    files = find_files(config.data.train_records, "data.train_records")
    check_not_empty(files)
    taken, left, before = [0] * len(files), config.export.calibration_images, 0
    while left not in (0, before):  # until there are enough, or a round has found no more
        before = left
        shares = [(left + place) // len(files) for place in reversed(range(len(files)))]
        with user_errors(files):
            for batch in _some_of_each(config.model, files, taken, shares):
                yield batch["images"][0].numpy()
                taken[int(batch["image_index"][0])] += 1
                left -= 1


@without_autograph
def _some_of_each(
    model: ModelConfig, files: Sequence[str], first: Sequence[int], count: Sequence[int]
) -> tf.data.Dataset:
    """Returns `count` records of each file from its record `first` on, one a batch.

    One data set of all files, for each takes a second to make; "image_index" is the file's number.
    """

    def part(number: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> tf.data.Dataset:
        records = read_file(files, number).skip(first).take(count)
        return records.map(lambda record: {**record, "image_index": tf.cast(number, tf.int32)})

    places = tf.range(len(files), dtype=tf.int64)
    parts = (places, *(tf.constant(numbers, tf.int64) for numbers in (first, count)))
    records = tf.data.Dataset.from_tensor_slices(parts).flat_map(part)
    return make_window_dataset(decode_pictures(records, files, model.white_level), model, 1)
