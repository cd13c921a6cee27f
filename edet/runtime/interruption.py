"""A run that is stopped from outside: by a signal, or because another worker is gone.

Clouds send SIGTERM to a machine that they take away, and kill it half a minute later; people press
Ctrl-C or close the terminal. The loop asks `StopRequest` between two inner loops, and bounds their
time. With several workers, all must train equally many steps and stop after the same one: a step
waits for all of them. `Workers` is how they agree.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from edet.errors import Interrupted, Stopped, signal_name
from edet.files import UNAVAILABLE, bucket_errors, reason
from edet.signals import Presses, handled_by

# What a broken collective raises: the peer's connection is closed, or it does not answer.
_PEER_LOST = (*UNAVAILABLE, tf.errors.CancelledError)
AGAIN = "the same command goes on from there"


class StopRequest:
    """Whether a signal has asked the run to end while this context is open.

    A second Ctrl-C does what the first did before: it ends the run without saving. Outside the main
    thread Python gives no signals; there it stays False.
    """

    def __init__(self):
        self._number, self._presses = 0, Presses()

    @property
    def is_made(self) -> bool:
        """Whether one has come."""
        return self._number != 0

    def __enter__(self) -> StopRequest:
        self._before = signal.getsignal(signal.SIGINT)
        self._open = contextlib.ExitStack()
        self._open.enter_context(handled_by(self._make))
        return self

    def _make(self, number: int) -> None:
        if self._presses.is_second(number):
            handle = self._before if callable(self._before) else signal.default_int_handler
            handle(number, None)
        self._number = self._number or number

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def error(self, what: str) -> Stopped | Interrupted:
        """Returns what ends the run: a KeyboardInterrupt for Ctrl-C, which notebooks expect.

        Args:
          what: the rest of the sentence, from where the run goes on.
        """
        who = f"stopped by {signal_name(self._number)}" if self.is_made else "stopped from outside"
        sentence = f"{who}{what}; {AGAIN}."
        if self._number == signal.SIGINT:
            return Stopped(self._number, sentence)
        return Interrupted(sentence, 128 + (self._number or signal.SIGTERM))

    def check(self, step: int) -> None:
        """Ends a run whose last checkpoint is of this step, if a signal has come.

        Raises:
          Stopped: it was Ctrl-C; Interrupted: it was another one.
        """
        if self.is_made:
            raise self.error(f"; step {step} is saved")


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
