"""Prediction over a whole data set, or over whatever gives pictures, on any strategy."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import tensorflow as tf

from edet.ahead import in_order
from edet.inference.predictor import Predictor
from edet.input.windows import make_window_dataset
from edet.runtime.memory import TO_LOOK, enough_memory

_COUNTED = ("image_index", "image_scales", "num_views")
_READ_AHEAD = 16  # pictures that are read while the network works
_PICTURE = {
    "image": tf.TensorSpec([None, None, 3], tf.uint8),
    "image_index": tf.TensorSpec([], tf.int32),
}


class HasImage(Protocol):
    """What `make_picture_predictor` takes: anything that holds pixels, uint8 [H, W, 3]."""

    image: np.ndarray


Picture = TypeVar("Picture", bound=HasImage)
FoundBatch = list[tuple[Picture, dict[str, np.ndarray]]]  # of the pictures of a batch
Infer = Callable[[Iterable[Picture]], Iterator[FoundBatch[Picture]]]


def make_dataset_predictor(
    strategy: tf.distribute.Strategy, predictor: Predictor
) -> Callable[[tf.distribute.DistributedDataset], Iterator[dict[str, np.ndarray]]]:
    """Returns a function that yields what every head finds in the pictures of a data set.

    The network sees full batches of windows, whatever pictures they are of. The function may be
    called again when the weights have changed; the graph is built once.

    Args:
      strategy: the predictor's network lives in its scope.

    Returns:
      A function of a data set that the strategy distributes, of `input.windows.make_window_dataset`
      with `predictor.windows`; a step of nothing but what fills up is the end. It yields, those of
      all replicas together, "image_index" int32 [b] and what `Predictor.predict` returns, for b
      pictures.
    """

    @tf.function(autograph=False)
    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = strategy.run(predictor.step, (batch,))
        return _of_all_replicas(strategy, found | {name: batch[name] for name in _COUNTED})

    def steps(batches: tf.distribute.DistributedDataset) -> Iterator[dict[str, tf.Tensor]]:
        for batch in batches:
            with enough_memory(TO_LOOK):
                found = step(batch)
                is_end = (found["image_index"].numpy() < 0).all()
            if is_end:
                return
            yield found

    return lambda batches: predictor.collect(steps(batches))


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


def make_picture_predictor(
    predictor: Predictor, strategy: tf.distribute.Strategy, batch_size: int
) -> Infer:
    """Returns a function that looks at pictures of any sizes, a batch after another.

    It may be called again; the graph is built once.

    Args:
      predictor: looks at the pictures.
      strategy: of one machine, in whose scope its network was made.
      batch_size: windows that are looked at together.

    Returns:
      A function of pictures, which are taken some ahead in another thread. It yields batches of
      them, in order, each with what `Predictor.predict` finds in it, without B.
    """
    predict = make_dataset_predictor(strategy, predictor)
    # One replica takes a smaller last batch; several need full ones.
    fills_up = strategy.num_replicas_in_sync > 1
    Job = tuple[Iterable[Picture], dict[int, Picture]]  # what is looked at, what waits for it
    jobs: list[Job] = []  # the one that begins
    begins = threading.Lock()

    def read() -> Iterator[dict]:
        pictures, waiting = jobs.pop()
        for index, picture in enumerate(pictures):
            waiting[index] = picture
            yield {"image": picture.image, "image_index": index}

    # To make it takes longer than to look at a picture with a small network: one serves all calls.
    @functools.cache
    def batches() -> tf.distribute.DistributedDataset:
        dataset = tf.data.Dataset.from_generator(read, output_signature=_PICTURE)
        return strategy.distribute_datasets_from_function(
            lambda context: make_window_dataset(
                dataset, predictor.model, batch_size, context if fills_up else None,
                predictor.windows,
            )
        )  # fmt: skip

    def infer(pictures: Iterable[Picture]) -> Iterator[FoundBatch[Picture]]:
        """Yields the pictures of a batch, each with what was found in it."""
        waiting: dict[int, Picture] = {}  # until it has been looked at
        steps = predict(batches())
        with begins:  # with its first batch the generator has taken its job
            jobs[:] = [(pictures, waiting)]
            first = list(itertools.islice(steps, 1))
        for found in itertools.chain(first, steps):
            numbers = found.pop("image_index").tolist()
            yield [
                (waiting.pop(number), {name: value[row] for name, value in found.items()})
                for row, number in enumerate(numbers)
            ]

    return infer


def read_ahead(read: Callable[[str], Picture | None], paths: Iterable[str]) -> Iterator[Picture]:
    """Yields what `read` returns of each path, in order, reading some at once; None is left out."""
    with ThreadPoolExecutor() as pool:
        found = in_order(pool, read, paths, _READ_AHEAD)
        yield from (picture for picture in found if picture is not None)
