"""Which graphs TensorFlow's optimiser, Grappler, rewrites before they first run.

Graphs of inference: it fuses convolutions with what follows them, which makes a step a fifth
faster. Not those of training on CPUs, nor of the input that trains there: no step is faster for
it, and it is a sixth of what D0 takes until the first (docs/speed.md). On GPUs it chooses layouts,
and a TPU has a compiler of its own; there TensorFlow's defaults stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from edet.runtime.devices import is_tpu


def only_cpus(strategy: tf.distribute.Strategy) -> bool:
    """Whether nothing but CPUs trains."""
    return not (is_tpu(strategy) or tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def training_graphs(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Leaves the graphs that first run in the block as they are, if only CPUs train."""
    options = tf.config.optimizer.get_experimental_options()
    before = options.get("disable_meta_optimizer", False)
    off = before or only_cpus(strategy)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": off})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})
