"""The loop without a network: when it stops, how long it stays away, and what it makes up for."""

import os
import signal
import types

import numpy as np
import pytest
import tensorflow as tf

from edet.errors import Interrupted, Stopped
from edet.runtime.interruption import Workers
from edet.training import loop


class Run:
    """A loop whose steps only count; `on_step` is called during each, the clock is our own."""

    def __init__(self, monkeypatch, first=0, on_step=lambda step: None):
        self.step = tf.Variable(first)
        self.saved, self.evaluated, self.inner_loops, self.seconds = [], [], [], 0.0
        self.recipe = types.SimpleNamespace(
            recipe="modern", total_steps=60, log_every=50, save_every=30, eval_every=20
        )

        def inner_loop(_, steps):
            self.inner_loops.append(int(steps))
            for _ in range(int(steps)):
                on_step(int(self.step))
                self.step.assign_add(1)
                self.seconds += 1.5
            images = tf.zeros((steps, 2), tf.int64)
            return tf.zeros((steps, len(loop.METRICS))), images

        monkeypatch.setattr(loop, "make_inner_loop", lambda *_: inner_loop)
        monkeypatch.setattr(loop.time, "monotonic", lambda: self.seconds)

    def save(self):
        self.saved.append(int(self.step))

    def train(self, evaluate=None):
        reporter = types.SimpleNamespace(add=lambda *_: None, log=lambda: None, flush=lambda: None)
        loop.train(
            tf.distribute.get_strategy(), self, None, self.recipe, iter(()), self, reporter,
            lambda ids: [], evaluate or (lambda step, check: bool(self.evaluated.append(step))),
        )  # fmt: skip


def terminate(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


def test_an_undisturbed_run_saves_and_evaluates_when_it_is_due(monkeypatch):
    run = Run(monkeypatch)
    run.train()
    assert run.saved == [20, 30, 40, 60]  # before an evaluation too, which may take long
    assert run.evaluated == [20, 40, 60]


def test_an_evaluation_ends_the_run_where_it_says_that_it_is_over(monkeypatch):
    run = Run(monkeypatch)
    run.train(lambda step, check: step == 40)
    assert (run.saved, int(run.step)) == ([20, 30, 40], 40)


def test_all_workers_end_when_the_chief_says_that_it_is_over(monkeypatch):
    """This one is the other of two: half of the workers say so from the first evaluation on."""
    run = Run(monkeypatch)

    def mean(_, *values):
        return np.array([0.5] if len(values) == 1 else values)

    monkeypatch.setattr(Workers, "mean", mean)
    run.train(lambda step, check: False)
    assert int(run.step) == 20


def test_no_inner_loop_lasts_longer_than_ten_seconds(monkeypatch):
    """Steps of 1.5 seconds: the first alone, then six at a time, fewer before what is due."""
    run = Run(monkeypatch)
    run.train()
    assert run.inner_loops[:5] == [1, 6, 6, 6, 1]
    assert sum(run.inner_loops) == 60
    assert max(run.inner_loops) == 6


def test_sigterm_saves_at_the_end_of_the_inner_loop_and_ends_the_run(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    run = Run(monkeypatch, on_step=lambda step: step == 9 and terminate())
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 13, which is saved"):
        run.train()
    assert run.saved == [13]
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_saves_and_is_still_an_interrupt_of_the_keyboard(monkeypatch):
    """Which is what a notebook, or a program that calls `edet.train`, expects."""
    run = Run(monkeypatch, on_step=lambda step: step == 9 and terminate(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="stopped by Ctrl-C after step 13") as stopped:
        run.train()
    assert (run.saved, stopped.value.exit_code) == ([13], 130)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_ends_the_run_at_once(monkeypatch):
    """Our clock stands still between the two of step 4, and has gone on at step 9."""

    def press(step):
        for _ in range({4: 2, 9: 1}.get(step, 0)):
            terminate(signal.SIGINT)

    run = Run(monkeypatch, on_step=press)
    run.recipe.log_every = run.recipe.save_every = run.recipe.eval_every = 60
    monkeypatch.setattr(loop, "_LONGEST_INNER_LOOP", 60.0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        run.train()
    assert not isinstance(stopped.value, Stopped)  # whatever Ctrl-C did before the run
    assert (int(run.step), run.saved) == (9, [])


def test_a_closed_terminal_saves_too(monkeypatch):
    run = Run(monkeypatch, on_step=lambda step: step == 9 and terminate(signal.SIGHUP))
    with pytest.raises(Interrupted, match="stopped by SIGHUP after step 13") as stopped:
        run.train()
    assert (run.saved, stopped.value.exit_code) == ([13], 129)


def test_sigterm_ends_an_evaluation_before_its_next_batch(monkeypatch):
    def evaluate(step, check):
        check()
        terminate()
        check()
        pytest.fail("the evaluation went on")

    run = Run(monkeypatch)
    with pytest.raises(Interrupted, match="step 20 is saved"):
        run.train(evaluate)
    assert run.saved == [20]


def test_an_evaluation_that_was_broken_off_comes_first(monkeypatch):
    run = Run(monkeypatch, first=40)
    run.train()
    assert run.evaluated == [40, 60]
    complete = Run(monkeypatch, first=60)
    complete.train()
    assert (complete.evaluated, complete.inner_loops, complete.saved) == ([60], [], [])


def test_workers_at_different_steps_do_not_train_together(monkeypatch):
    monkeypatch.setattr(Workers, "mean", lambda self, *values: np.array([10.0, 125.0]))
    run = Run(monkeypatch, first=5)  # the other one is at step 15
    with pytest.raises(Interrupted, match="at step 5, another one is not; --workdir must be"):
        run.train()
    assert run.inner_loops == []


def test_all_workers_stop_when_one_has_got_the_signal(monkeypatch):
    """The other of two has: the mean of both is a half."""
    means = iter([np.array([0.0, 0.0]), np.array([0.0, 1.5]), np.array([0.5, 1.5])])
    monkeypatch.setattr(Workers, "mean", lambda self, *values: next(means))
    run = Run(monkeypatch)
    with pytest.raises(Interrupted, match="stopped from outside after step 6") as stopped:
        run.train()
    assert stopped.value.exit_code == 143
    assert run.saved == [6]


def test_the_loss_of_another_worker_is_a_sentence_where_there_are_others():
    words = "Graph execution error:\n\nCollective ops is aborted by: Socket closed\n\t [[while]]"
    error = tf.errors.UnavailableError(None, None, words)
    workers = Workers(tf.distribute.get_strategy())
    with pytest.raises(tf.errors.UnavailableError), workers.watched():
        raise error
    workers._are_several = True
    with (
        pytest.raises(Interrupted, match=r"another worker is gone \(Socket closed\); start all"),
        workers.watched(),
    ):
        raise error
