"""The pace of a training on a clock of our own."""

import types

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.runtime.interruption import Workers
from edet.training import pace
from edet.training.pace import Pace, measure_pace


@pytest.fixture
def run(monkeypatch):
    """Measures, for some workers, steps of so many seconds, of which the first takes 20; it begins
    five seconds before. Returns the pace, and how many steps each call took."""

    def run(step: float, workers) -> tuple[Pace, list[int]]:
        clock, taken = [100.0], []

        def inner_loop(_, count):
            count = int(count)
            clock[0] += step * count if taken else 20.0
            taken.append(count)
            return tf.zeros([count]), tf.zeros([count])

        monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
        return measure_pace(inner_loop, iter(()), 95.0, workers), taken

    return run


@pytest.mark.parametrize(
    ("step", "calls"),
    [(8.0, [1, 1, 1, 2]), (0.1, [1, 1, 1, 2, 4, 8, 16, 32, 64])],
)
def test_the_first_step_is_apart_and_the_others_are_measured_for_long_enough(run, step, calls):
    """It compiles for 20 s. At least 3 more are taken, and at least 10 s of them: 4 of 8 s, 128 of
    0.1 s, in calls twice as long each time, as a call costs something, too."""
    found, taken = run(step, Workers(tf.distribute.get_strategy()))
    assert found == pytest.approx((25.0, step))
    assert taken == calls


@pytest.mark.parametrize(("own", "other"), [(2.44, 2.6), (2.6, 2.44)])
def test_several_workers_take_equally_many_steps(run, own, other):
    """Four steps take 9.76 s by one clock and 10.4 s by the other. Each by its own, one worker
    would go on with four more, for which the other is no longer there. By the mean of both, 10.08
    s, four are enough for either."""

    def mean(seconds: float) -> tuple[float]:
        return ((seconds + seconds / own * other) / 2,)

    found, taken = run(own, types.SimpleNamespace(mean=mean))
    assert taken == [1, 1, 1, 2]
    assert found.step == pytest.approx(2.52)


def test_the_steps_that_fit():
    """Of 100 s a start takes 20, the first step in it; 160 steps of 0.5 s fit behind it."""
    assert Pace(20.0, 0.5).steps_within(100.0, 2) == 161


def test_too_little_time_is_a_sentence():
    with pytest.raises(UserError, match=r"minutes is 0.5, which is over .* a start takes 20 s her"):
        Pace(20.0, 0.5).steps_within(9.0, 0.5)
