"""SGD, AdamW, clipping and the moving average by hand."""

import numpy as np
import pytest
import tensorflow as tf

from edet.training.optimizer import adamw, clip_factors, moving_average, scale, sgd


def clip(gradients, norm):
    return scale(gradients, clip_factors(gradients, norm)[0])


def test_momentum_carries_the_rate_of_the_step_that_made_it():
    """v = 0.9 v - rate g; w = w + v. Rates 1 and 0.1: v = -2, then -1.8 - 0.2."""
    w, v = [tf.constant(10.0)], [tf.constant(0.0)]
    w, v = sgd(w, v, [tf.constant(1.0 * 2.0)], 0.9)
    assert (float(w[0]), float(v[0])) == (8.0, -2.0)
    w, v = sgd(w, v, [tf.constant(0.1 * 2.0)], 0.9)
    assert (float(w[0]), float(v[0])) == pytest.approx((6.0, -2.0))


def test_sgd_equals_keras_while_the_rate_changes():
    import keras

    rates = [0.3, 0.1, 0.7]
    gradients = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    variable = keras.Variable(np.ones(4, "float32"))
    optimizer = keras.optimizers.SGD(0.0, momentum=0.9)
    optimizer.build([variable])
    w, v = [tf.ones(4)], [tf.zeros(4)]
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient)], [variable])
        w, v = sgd(w, v, [tf.constant(rate * gradient)], 0.9)
    np.testing.assert_allclose(w[0], variable, rtol=1e-6)


def test_adamw_of_one_step_by_hand():
    """The corrections make the first step the rate itself, whatever the gradient's size."""
    w, m, s = adamw(
        [tf.constant(10.0)], [tf.constant(0.0)], [tf.constant(0.0)], [tf.constant(2.0)],
        rate=tf.constant(0.1), step=tf.constant(0), decay=[0.2],
    )  # fmt: skip
    assert float(m[0]) == pytest.approx(0.1 * 2)
    assert float(s[0]) == pytest.approx(0.001 * 4)
    assert float(w[0]) == pytest.approx(10 * (1 - 0.1 * 0.2) - 0.1)


def test_adamw_equals_keras_while_the_rate_changes():
    import keras

    gradients = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    variable = keras.Variable(np.ones(4, "float32"))
    optimizer = keras.optimizers.AdamW(0.0, weight_decay=0.05)
    optimizer.build([variable])
    w, m, s = [tf.ones(4)], [tf.zeros(4)], [tf.zeros(4)]
    for step, (rate, gradient) in enumerate(zip([0.3, 0.1, 0.7], gradients, strict=True)):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient)], [variable])
        w, m, s = adamw(
            w, m, s, [tf.constant(gradient)],
            rate=tf.constant(rate), step=tf.constant(step), decay=[0.05],
        )  # fmt: skip
    np.testing.assert_allclose(w[0], variable, rtol=1e-5)


def test_each_gradient_is_clipped_and_then_all_together():
    """30 and 4 become 10 and 4; their norm sqrt(116) becomes 10."""
    large, small = clip([tf.constant([30.0]), tf.constant([4.0])], 10.0)
    shrink = 10 / np.sqrt(116)
    np.testing.assert_allclose([large[0], small[0]], [10 * shrink, 4 * shrink], rtol=1e-6)


def test_rows_are_clipped_as_gradients_of_their_own():
    """Rows of 30 and 4 as above; together they would be clipped by 10 / sqrt(916) first."""
    gradient = tf.constant([[0.0, 30.0], [4.0, 0.0]])
    gradients, by_row = [gradient, tf.constant([1e-9])], [True, False]
    factors, norm = clip_factors(gradients, 10.0, by_row)
    shrink = 10 / np.sqrt(116)
    rows, single = scale(gradients, factors, by_row)
    np.testing.assert_allclose(rows, [[0, 10 * shrink], [4 * shrink, 0]], rtol=1e-6)
    np.testing.assert_allclose(single, [1e-9 * shrink], rtol=1e-6)
    assert float(norm) == pytest.approx(np.sqrt(916))


def test_the_global_norm_is_that_before_clipping():
    assert float(clip_factors([tf.constant([30.0]), tf.constant([40.0])], 10.0)[1]) == 50.0


def test_clipping_equals_tensorflows_own():
    rng = np.random.default_rng(1)
    gradients = [tf.constant(rng.normal(size=n, scale=s)) for n, s in ((3, 9), (50, 4), (9, 0.1))]
    each = [tf.clip_by_norm(gradient, 10.0) for gradient in gradients]
    for found, expected in zip(
        clip(gradients, 10.0), tf.clip_by_global_norm(each, 10.0)[0], strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_small_gradients_and_a_norm_of_zero_are_left_alone():
    gradients = [tf.constant([3.0, 4.0])]
    np.testing.assert_allclose(clip(gradients, 10.0)[0], gradients[0], rtol=1e-6)
    np.testing.assert_array_equal(clip([tf.constant([30.0])], 0.0)[0], [30.0])


def test_a_step_that_is_refused_leaves_everything_as_it_was_whatever_its_gradients():
    """Gradients of nan and infinity times 0 are 0, and no value, momentum or average moves."""
    old = [tf.constant([1.5, 2.5])]
    (gradient,) = scale([tf.constant([np.nan, -np.inf])], tf.constant([0.0]))
    np.testing.assert_array_equal(gradient, [0, 0])
    by_sgd = sgd(old, old, [gradient], 0.9, tf.constant(False))
    by_adamw = adamw(
        old, old, old, [gradient], rate=tf.constant(0.1), step=tf.constant(3), decay=[0.2],
        moves=tf.constant(False),
    )  # fmt: skip
    values = [tf.constant([7.0, 8.0])]
    average = moving_average(old, values, tf.constant(3), 0.9, tf.constant(False))
    for new in (*by_sgd, *by_adamw, average):
        np.testing.assert_array_equal(new[0], old[0])


def test_the_average_moves_by_the_ramp():
    """At step 0 the decay is 1/10, at step 90 it is 91/100, later the configured one."""

    def moved(step: int) -> float:
        return float(
            moving_average([tf.constant(1.0)], [tf.constant(2.0)], tf.constant(step), 0.95)[0]
        )

    assert moved(0) == pytest.approx(0.1 * 1 + 0.9 * 2)
    assert moved(90) == pytest.approx(0.91 * 1 + 0.09 * 2)
    assert moved(10**6) == pytest.approx(0.95 * 1 + 0.05 * 2)


def test_no_decay_means_no_average():
    averages = moving_average([tf.constant(1.0)], [tf.constant(2.0)], tf.constant(5), 0.0)
    assert float(averages[0]) == 2
