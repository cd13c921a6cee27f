"""Prediction over a whole data set, on any strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from edet.inference.predictor import Predictor

MakeDataset = Callable[[tf.distribute.InputContext], tf.data.Dataset]
_COUNTED = ("image_index", "image_scales", "num_views")


def prediction_on(
    strategy: tf.distribute.Strategy, predictor: Predictor
) -> Callable[[MakeDataset], Iterator[dict[str, np.ndarray]]]:
    """Returns a function that yields what every head finds in the pictures of a data set.

    The network sees full batches of windows, whatever pictures they are of. The function may be
    called again when the weights have changed; the graph is built once.

    Args:
      strategy: the predictor's network lives in its scope.

    Returns:
      A function of the maker of a data set as `input.windows.make_window_dataset`, with
      `predictor.windows`; a step of nothing but what fills up is the end. It yields, those of all
      replicas together, "image_index" int32 [b] and what `Predictor.predict` returns, for b
      pictures.
    """

    @tf.function
    def step(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        found = strategy.run(predictor.step, (batch,))
        return _of_all_replicas(strategy, found | {name: batch[name] for name in _COUNTED})

    def steps(make_dataset: MakeDataset) -> Iterator[dict[str, tf.Tensor]]:
        for batch in strategy.distribute_datasets_from_function(make_dataset):
            found = step(batch)
            if (found["image_index"].numpy() < 0).all():
                return
            yield found

    return lambda make_dataset: predictor.collect(steps(make_dataset))


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
