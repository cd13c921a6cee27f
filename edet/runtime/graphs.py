"""Which graphs TensorFlow's optimiser, Grappler, rewrites before they first run.

Graphs of inference: it fuses convolutions with what follows them, which makes a step a fifth
faster. Of the graphs of training on CPUs it only brings nodes in an order that needs less memory
and drops those that nothing uses: its other passes take 18 s over D0's, much of the wait for the
first step, and no step is faster for them (docs/speed.md). On GPUs it chooses layouts, and a TPU
has a compiler of its own; there TensorFlow's defaults stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from edet.runtime.devices import is_tpu

_PASSES_WITHOUT_GAIN = (
    "arithmetic_optimization", "constant_folding", "layout_optimizer", "loop_optimization",
    "remapping", "shape_optimization",
)  # fmt: skip


def only_cpus(strategy: tf.distribute.Strategy) -> bool:
    """Whether nothing but CPUs trains."""
    return not (is_tpu(strategy) or tf.config.get_visible_devices("GPU"))


@contextlib.contextmanager
def training_graphs(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Leaves out of the block's graphs the passes without gain, if only CPUs train."""
    if not only_cpus(strategy):
        yield
        return
    options = tf.config.optimizer.get_experimental_options()
    before = {name: options.get(name, True) for name in _PASSES_WITHOUT_GAIN}
    tf.config.optimizer.set_experimental_options(dict.fromkeys(_PASSES_WITHOUT_GAIN, False))
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(before)
