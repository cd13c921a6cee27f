"""The pictures from which a quantised file learns the ranges of its activations."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edet.config.schema import Config
from edet.errors import UserError
from edet.files import find_files
from edet.image.files import read_picture
from edet.image.letterbox import letterbox
from edet.inference.files import find_inputs
from edet.input.reading import user_errors
from edet.input.windows import make_eval_dataset

_FEW = 10  # different pictures; below, whatever one of them lacks is missing in the ranges


def calibration_pixels(
    config: Config, inputs: Sequence[str], warn: Callable[[str], None] = lambda _: None
) -> Iterator[np.ndarray]:
    """Yields pictures as the network sees them, float32 [h, w, 3], fitted pixels in 0-255.

    Args:
      config: `export.calibration_images` is the number at most.
      inputs: files, folders and globs, of which evenly spread ones are taken. If there are none,
        equally many of each shard of `data.train_records`, more of others where one has fewer.
      warn: told after the last picture if fewer than ten differ and show more than one colour.

    Raises:
      UserError: there are no pictures, or one cannot be read or decoded; it is named.
    """
    model, different = config.model, set()
    for pixels in _all_pixels(config, inputs):
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


def _all_pixels(config: Config, inputs: Sequence[str]) -> Iterator[np.ndarray]:
    count = config.export.calibration_images
    if inputs:
        pictures = find_inputs(inputs).pictures
        if not pictures:
            raise UserError(f"{inputs[0]} holds no picture; int8 is calibrated with pictures.")
        count = min(count, len(pictures))
        for path in (pictures[i * len(pictures) // count] for i in range(count)):
            try:
                image = read_picture(path, config.model.white_level)
            except UserError as error:
                raise UserError(f"cannot calibrate with {path}: {error}") from error
            model = config.model
            yield letterbox(image, model.image_size, model.pad_color, model.fit).image.numpy()
        return
    yield from _of_records(config)


def _of_records(config: Config) -> Iterator[np.ndarray]:
    files = find_files(config.data.train_records, "data.train_records")
    taken, left = dict.fromkeys(files, 0), config.export.calibration_images
    before = 0
    while left not in (0, before):  # until there are enough, or a round has found no more
        before = left
        for place, file in enumerate(files):
            share = math.ceil(left / (len(files) - place))
            if not share:
                break
            records = make_eval_dataset(config.model, [file], 1).skip(taken[file]).take(share)
            with user_errors([file]):
                for batch in records:
                    yield batch["images"][0].numpy()
                    taken[file] += 1
                    left -= 1
