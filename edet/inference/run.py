"""Detection over a whole data set, on any strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from edet.inference.detector import Detector
from edet.input.windows import make_eval_dataset, make_window_dataset

MakeDataset = Callable[[tf.distribute.InputContext], tf.data.Dataset]
Found = Iterator[dict[str, np.ndarray]]


def detection_of_records(
    strategy: tf.distribute.Strategy, detector: Detector, files: Sequence[str]
) -> Callable[[], Found]:
    """Returns a function that yields the detections in the pictures of records.

    See `detection_of_batches` for what it yields. It may be called again when the detector's
    weights have changed; the graph is built once.

    Args:
      strategy: the detector's network lives in its scope.
      detector: its configuration says how often it looks, and how many views make a step.
      files: TFRecord shards.
    """
    config, size = detector.config, detector.config.data.eval_batch_size
    detection = detection_of_batches if config.detect.looks_once else detection_of_views
    detect = detection(strategy, detector)
    return lambda: detect(lambda context: make_eval_dataset(config, files, size, context))


def detection_of_pictures(
    strategy: tf.distribute.Strategy, detector: Detector
) -> Callable[[tf.data.Dataset], Found]:
    """Returns a function that yields the detections in pictures of any sizes, in their order.

    See `detection_of_batches` for what it yields. The graph is built once.

    Args:
      strategy: of one machine; the detector's network lives in its scope.
      detector: its configuration says how often it looks, and how many views make a step.

    Returns:
      A function of dicts of "image" uint8 [H, W, 3] and "image_index" int32.
    """
    config, size = detector.config, detector.config.data.eval_batch_size
    detection = detection_of_batches if config.detect.looks_once else detection_of_views
    detect = detection(strategy, detector)
    # One replica takes a smaller last batch; several need full ones.
    fills_up = strategy.num_replicas_in_sync > 1
    return lambda pictures: detect(
        lambda context: make_window_dataset(pictures, config, size, context if fills_up else None)
    )


def detection_of_batches(
    strategy: tf.distribute.Strategy, detector: Detector
) -> Callable[[MakeDataset], Found]:
    """Returns a function that yields the detections of every batch of a data set.

    Args:
      strategy: the detector's network lives in its scope.

    Returns:
      A function of the maker of a data set as `input.windows.make_eval_dataset`: batches with
      "images" prepared raw pixels, "image_scales" and "image_index", -1 for images that only fill
      up; a step of nothing else is the end. It yields, those of all replicas together,
      "image_index" int32 [b] and what `Detector.__call__` returns, for the b real images.
    """

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = strategy.run(detector.detect, (batch["images"], batch["image_scales"]))
        return _of_all_replicas(strategy, found | {"image_index": batch["image_index"]})

    def detect(make_dataset: MakeDataset) -> Found:
        for batch in strategy.distribute_datasets_from_function(make_dataset):
            found = {name: value.numpy() for name, value in step(batch).items()}
            real = found["image_index"] >= 0
            if not real.any():
                return
            yield {name: value[real] for name, value in found.items()}

    return detect


def detection_of_views(
    strategy: tf.distribute.Strategy, detector: Detector
) -> Callable[[MakeDataset], Found]:
    """Returns a function as `detection_of_batches` for pictures whose views follow one another.

    The network sees full batches of views, whatever pictures they are of; the candidates of a
    picture wait on the host until its last view is done, and are then suppressed together.

    Args:
      strategy: the detector's network lives in its scope.

    Returns:
      A function of the maker of a data set as `input.windows.make_window_dataset`.
    """
    counted = ("image_index", "image_scales", "num_views")

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        views = {name: batch[name] for name in ("images", "placements", "limits")}
        boxes, scores, classes = strategy.run(detector.look, kwargs=views)
        found = {"boxes": boxes, "scores": scores, "classes": classes}
        return _of_all_replicas(strategy, found | {name: batch[name] for name in counted})

    merge = tf.function(detector.postprocess.merge_views)

    def detect(make_dataset: MakeDataset) -> Found:
        """Yields each picture's detections as soon as all views of it are there."""
        waiting: dict[int, list[tuple[tf.Tensor, ...]]] = {}
        for batch in strategy.distribute_datasets_from_function(make_dataset):
            found = step(batch)
            index, scales, num_views = (found[name].numpy() for name in counted)
            if (index < 0).all():
                return
            for row, i in enumerate(index.tolist()):
                if i < 0:
                    continue
                views = waiting.setdefault(i, [])
                views.append(tuple(found[name][row] for name in ("boxes", "scores", "classes")))
                if len(views) == num_views[row]:
                    candidates = (tf.stack(part) for part in zip(*waiting.pop(i), strict=True))
                    merged = merge(*candidates, tf.constant(scales[row]))
                    found_here = {name: value.numpy() for name, value in merged.items()}
                    yield {"image_index": index[row : row + 1], **found_here}

    return detect


def _of_all_replicas(
    strategy: tf.distribute.Strategy, values: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        # Those of the other workers too: every worker ends up with the whole.
        return {name: strategy.gather(value, axis=0) for name, value in values.items()}
    return {
        name: tf.concat(strategy.experimental_local_results(value), 0)
        for name, value in values.items()
    }
