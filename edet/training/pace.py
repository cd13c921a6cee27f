"""How fast a training goes on the devices at hand, so that its length can be given as a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import tensorflow as tf

from edet.errors import UserError
from edet.runtime.interruption import Workers

_MEASURED = 10.0  # seconds of steps behind the first one, or the steps below where they last longer
_FEWEST = 3


class Pace(NamedTuple):
    """What a run spends its time on, in seconds."""

    start: float  # from nothing to the end of the first step, which builds and compiles
    step: float  # each of the others

    def steps_within(self, seconds: float, minutes: float) -> int:
        """Returns how many steps a run does in a time, its start included.

        Args:
          seconds: that are left.
          minutes: `train.minutes`, for the sentence.

        Raises:
          UserError: not even two.
        """
        count = 1 + int((seconds - self.start) / self.step)
        if count < 2:
            raise UserError(
                f"train.minutes is {minutes:g}, which is over before the training begins: a start "
                f"takes {self.start:.0f} s here, twice with measuring it, and a step "
                f"{self.step:.2g} s; give more minutes, or train.steps."
            )
        return count


def measure_pace(
    inner_loop: Callable[[Iterator, tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    batches: Iterator,
    started: float,
    workers: Workers,
) -> Pace:
    """Trains a few steps and returns how long they took, the mean of all workers.

    Args:
      inner_loop: from `training.loop.make_inner_loop`.
      batches: iterator over the global batches.
      started: `time.monotonic()` before anything of the run was built.
      workers: which take equally many steps: a step waits for all of them.
    """

    def take(count: int) -> float:
        """Returns when so many more steps are done."""
        for result in inner_loop(batches, tf.constant(count)):
            result.numpy()
        return time.monotonic()

    first = take(1)
    done, seconds = 0, 0.0
    while done < _FEWEST or seconds < _MEASURED:
        count = max(1, done)  # twice as many each time: on a TPU ten seconds are hundreds
        # By a clock of its own, one worker might go on where another has measured long enough.
        (seconds,) = workers.mean(take(count) - first)
        done += count
    (start,) = workers.mean(first - started)
    return Pace(start, seconds / done)
