"""Detection over a whole data set, on any strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from edet.serving.detector import Detector


def detect_batches(
    strategy: tf.distribute.Strategy,
    detector: Detector,
    make_dataset: Callable[[tf.distribute.InputContext], tf.data.Dataset],
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the detections of every batch, those of all replicas together, without the padding.

    Args:
      strategy: the detector's network lives in its scope.
      make_dataset: as `data.pipeline.make_eval_dataset`: batches with "images" prepared raw
        pixels, "image_scales" and "image_index", -1 for images that only fill up the last batch.

    Yields:
      "image_index" int32 [b] and what `Detector.__call__` returns, for the b real images.
    """

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = strategy.run(detector.detect, (batch["images"], batch["image_scales"]))
        return {
            name: tf.concat(strategy.experimental_local_results(value), 0)
            for name, value in (found | {"image_index": batch["image_index"]}).items()
        }

    for batch in strategy.distribute_datasets_from_function(make_dataset):
        found = {name: value.numpy() for name, value in step(batch).items()}
        real = found["image_index"] >= 0
        if real.any():
            yield {name: value[real] for name, value in found.items()}
