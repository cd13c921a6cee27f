"""The pace of a training on a clock of our own."""

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.training import pace
from edet.training.pace import Pace, measure_pace


@pytest.mark.parametrize(
    ("step", "calls"),
    [(8.0, [1, 1, 1, 2]), (0.1, [1, 1, 1, 2, 4, 8, 16, 32, 64])],
)
def test_the_first_step_is_apart_and_the_others_are_measured_for_long_enough(
    monkeypatch, step, calls
):
    """It compiles for 20 s. At least 3 more are taken, and at least 10 s of them: 4 of 8 s, 128 of
    0.1 s, in calls twice as long each time, as a call costs something, too."""
    clock, taken = [100.0], []

    def inner_loop(_, count):
        count = int(count)
        clock[0] += step * count if taken else 20.0
        taken.append(count)
        return tf.zeros([count]), tf.zeros([count])

    monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
    found = measure_pace(inner_loop, iter(()), started=95.0)
    assert found == pytest.approx((25.0, step))
    assert taken == calls


def test_the_steps_that_fit():
    """Of 100 s a start takes 20, the first step in it; 160 steps of 0.5 s fit behind it."""
    assert Pace(20.0, 0.5).steps_within(100.0, 2) == 161


def test_too_little_time_is_a_sentence():
    with pytest.raises(UserError, match=r"minutes is 0.5, which is over .* a start takes 20 s her"):
        Pace(20.0, 0.5).steps_within(9.0, 0.5)
