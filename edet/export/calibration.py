"""The pictures from which a quantised file learns the ranges of its activations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edet.errors import UserError
from edet.files import find_files
from edet.image.files import read_picture
from edet.inference.detector import Detector
from edet.inference.files import find_inputs
from edet.input.reading import user_errors
from edet.input.windows import make_eval_dataset


def calibration_pixels(detector: Detector, inputs: Sequence[str]) -> Iterator[np.ndarray]:
    """Yields pictures as the detector sees them, float32 [h, w, 3], fitted pixels in 0-255.

    Args:
      detector: it prepares the pictures; `export.calibration_images` in its configuration is the
        number at most.
      inputs: files, folders and globs, of which evenly spread ones are taken. If there are none,
        equally many of each shard of `data.train_records`.

    Raises:
      UserError: there are no pictures, or one cannot be read or decoded; it is named.
    """
    count = detector.config.export.calibration_images
    if inputs:
        pictures = find_inputs(inputs).pictures
        if not pictures:
            raise UserError(f"{inputs[0]} holds no picture; int8 is calibrated with pictures.")
        for path in pictures[:: math.ceil(len(pictures) / count)]:
            try:
                image = read_picture(path)
            except UserError as error:
                raise UserError(f"cannot calibrate with {path}: {error}") from error
            yield detector.prepare(image)[0].numpy()
        return
    files = find_files(detector.config.data.train_records, "data.train_records")
    share = math.ceil(count / len(files))
    taken = 0
    for file in files:
        with user_errors([file]):
            for batch in make_eval_dataset(detector.config, [file], 1).take(share):
                if taken < count:
                    yield batch["images"][0].numpy()
                    taken += 1
