"""Learning rates against the reference's and against numbers by hand."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.training.schedules import learning_rate

SCHEDULES = ("cosine", "stepwise", "polynomial", "constant")


def rate(step, schedule, warmup_steps=10, total_steps=110, drop_steps=(50, 80)):
    """Peak 1, warm-up from 0.1."""
    return float(
        learning_rate(
            tf.constant(step), peak=1.0, warmup_start=0.1, warmup_steps=warmup_steps,
            total_steps=total_steps, schedule=schedule, drop_steps=drop_steps,
        )
    )  # fmt: skip


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("schedule", SCHEDULES[:3])
def test_rates_of_the_paper_run_equal_the_reference(golden, schedule, jit):
    figures = np.load(golden / "lr_schedule.npz")

    @tf.function(jit_compile=jit, input_signature=[tf.TensorSpec([], tf.int64)])
    def run(step):  # batch 128 of 118,287 images, 300 epochs
        return learning_rate(
            step, peak=0.16, warmup_start=0.008, warmup_steps=924, total_steps=277200,
            schedule=schedule, drop_steps=(200 * 924, 250 * 924),
        )  # fmt: skip

    rates = [run(step).numpy() for step in figures[f"{schedule}/steps"]]
    # The reference computes 1 + cos and 1 - step / total in float32, whose steps there are 6e-8.
    # Near the end, where the rate is some 1e-6, that times the peak is what the two can differ by.
    np.testing.assert_allclose(rates, figures[f"{schedule}/lr"], rtol=1e-6, atol=2e-8)


def test_warmup_rises_in_a_straight_line():
    for schedule in SCHEDULES:
        rates = [rate(step, schedule) for step in (0, 1, 5, 9)]
        np.testing.assert_allclose(rates, [0.1, 0.19, 0.55, 0.91], rtol=1e-6)


def test_schedules_by_hand():
    # Cosine over 100 steps counted from step 0: 1/2 at step 50, 0 at step 100, one warm-up early.
    np.testing.assert_allclose(rate(50, "cosine"), 0.5, atol=1e-6)
    assert rate(100, "cosine") == 0
    np.testing.assert_allclose(
        [rate(step, "stepwise") for step in (49, 50, 79, 80)], [1, 0.1, 0.1, 0.01], rtol=1e-6
    )
    np.testing.assert_allclose(rate(55, "polynomial"), 0.5**0.9, rtol=1e-6)
    assert rate(110, "polynomial") == 0
    assert rate(109, "constant") == 1


def test_no_warmup_starts_at_the_peak():
    for schedule in SCHEDULES:
        assert rate(0, schedule, warmup_steps=0) == 1


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.sampled_from(SCHEDULES), st.integers(0, 300), st.integers(0, 200), st.integers(0, 200)
)
def test_any_step_of_any_run_has_a_rate_between_zero_and_the_peak(schedule, step, warmup, total):
    # Also where the run is shorter than its warm-up, and beyond its end.
    value = rate(step, schedule, warmup_steps=warmup, total_steps=total)
    assert np.isfinite(value)
    assert 0 <= value <= 1 + 1e-6


def test_a_rate_is_a_float32_scalar_whatever_the_type_of_the_step():
    for step in (7, tf.constant(7), tf.constant(7, tf.int64), tf.Variable(7.0)):
        value = learning_rate(
            step, peak=1.0, warmup_start=0.1, warmup_steps=10, total_steps=110, schedule="constant",
            drop_steps=(50, 80),
        )  # fmt: skip
        assert value.dtype == tf.float32
        assert value.shape == ()
        np.testing.assert_allclose(value, 0.73, rtol=1e-6)
