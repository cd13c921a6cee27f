"""How the graphs of tests are run."""

import contextlib
import os


def run_graphs_as_traced() -> None:
    """Turns Grappler off, unless EDET_TESTS_OPTIMIZE is set as in .ci/run.

    It takes longer to rewrite a training step than a small network takes to train.
    """
    import tensorflow as tf

    if "EDET_TESTS_OPTIMIZE" not in os.environ:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@contextlib.contextmanager
def eager():
    """Runs the block without graphs: a small network does ten steps before one is traced."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
