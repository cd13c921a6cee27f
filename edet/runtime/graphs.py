"""Which graphs TensorFlow's optimiser, Grappler, rewrites before they first run.

Graphs of inference: it fuses convolutions with what follows them, which makes a step a fifth
faster. Not the graphs of training on CPUs: it takes 20 s over D0's, much of the wait for
the first step, and no step is faster for it (docs/speed.md). On GPUs it chooses
layouts, and a TPU has a compiler of its own; there TensorFlow's defaults stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from edet.runtime.devices import is_tpu

_OFF = "disable_meta_optimizer"


def only_cpus(strategy: tf.distribute.Strategy) -> bool:
    """Whether nothing but CPUs trains."""
    return not (is_tpu(strategy) or tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def training_graphs(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs graphs that are called in the block as they were traced, if only CPUs train."""
    if not only_cpus(strategy):
        yield
        return
    before = tf.config.optimizer.get_experimental_options().get(_OFF, False)
    tf.config.optimizer.set_experimental_options({_OFF: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OFF: before})
