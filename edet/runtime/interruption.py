"""A run that is stopped from outside: by SIGTERM, or because another worker is gone.

Clouds send SIGTERM to a machine that they take away, and kill it half a minute later. The loop asks
`StopRequest` between two inner loops, and bounds their time. With several workers, all must train
equally many steps and stop after the same one: a step waits for all of them. `Workers` is how they
agree.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from edet.errors import Interrupted
from edet.files import UNAVAILABLE, bucket_errors, reason

# What a broken collective raises: the peer's connection is closed, or it does not answer.
_PEER_LOST = (*UNAVAILABLE, tf.errors.CancelledError)
AGAIN = "the same command goes on from there"


class StopRequest:
    """Whether SIGTERM has come while this context is open; before and after, it ends the process.

    Outside the main thread Python gives no signals; there it stays False.
    """

    def __init__(self):
        self.is_made = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._make)
        return self

    def _make(self, *_: object) -> None:
        self.is_made = True

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)

    def check(self, step: int) -> None:
        """Ends a run whose last checkpoint is of this step, if the signal has come.

        Raises:
          Interrupted: says so.
        """
        if self.is_made:
            raise Interrupted(f"stopped by SIGTERM; step {step} is saved, and {AGAIN}.")


class Workers:
    """The processes that train together; usually this one alone."""

    def __init__(self, strategy: tf.distribute.Strategy):
        self._are_several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

        @tf.function
        def mean(values: tf.Tensor) -> tf.Tensor:
            def on_replica(values: tf.Tensor) -> tf.Tensor:
                context = tf.distribute.get_replica_context()
                # The copy lies on the replica's device, which all_reduce wants to know.
                total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(values))
                return total / context.num_replicas_in_sync

            return strategy.experimental_local_results(strategy.run(on_replica, (values,)))[0]

        self._mean = mean

    def mean(self, *values: float) -> np.ndarray:
        """Returns the mean of each number over the workers, the same to the bit on all of them."""
        values = np.array(values, np.float64)
        return self._mean(tf.constant(values)).numpy() if self._are_several else values

    def check_same_step(self, step: int) -> None:
        """Refuses to train from different steps, which would mix weights of different ages.

        Raises:
          Interrupted: another worker is at another step.
        """
        mean, mean_square = self.mean(step, step**2)
        if mean_square != mean**2:
            raise Interrupted(
                f"this worker is at step {step}, another one is not; --workdir must be a folder "
                "that all workers share. If it is, start them again together."
            )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turns what TensorFlow raises when another worker is gone into a sentence.

        Raises:
          Interrupted: another worker is gone; StorageError: a bucket does not answer, of which
            TensorFlow tells by the same errors.
        """
        try:
            with bucket_errors():
                yield
        except _PEER_LOST as error:
            if not self._are_several:
                raise
            cause = re.search(r"aborted by: (.*)", error.message)
            words = (cause[1] if cause else reason(error))[:200]
            raise Interrupted(
                f"another worker is gone ({words}); start all of them again with the same "
                "command; a training goes on from its last checkpoint."
            ) from error
