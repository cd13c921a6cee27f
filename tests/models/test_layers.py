"""Drop connect, batch norm and resizing on numbers that can be checked by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.models.layers import BatchNorm, DropConnect, NearestResize, Randomness, randomness


def ones(images: int) -> tf.Tensor:
    return tf.ones((images, 2, 2, 3))


def test_drop_connect_drops_whole_images_and_scales_the_rest():
    with randomness(Randomness(tf.constant([1, 2]), tf.range(4000), 4000)):
        dropped = DropConnect(0.25, index=0)(ones(4000), training=True).numpy()
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert (dropped == dropped[:, :1, :1, :1]).all()  # an image is kept or dropped as a whole
    assert (dropped[:, 0, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.03)


def test_drop_connect_does_nothing_outside_training():
    np.testing.assert_array_equal(DropConnect(0.5, index=0)(ones(3)), ones(3))


def test_drop_connect_draws_by_seed_and_by_index():
    def masks(seed: int, index: int) -> np.ndarray:
        with randomness(Randomness(tf.constant([seed, 0]), tf.range(64), 64)):
            return DropConnect(0.5, index)(ones(64), training=True).numpy()

    np.testing.assert_array_equal(masks(1, 0), masks(1, 0))
    assert (masks(1, 0) != masks(2, 0)).any()
    assert (masks(1, 0) != masks(1, 1)).any()


def test_an_image_is_dropped_by_its_place_in_the_global_batch():
    def drop(places: tf.Tensor) -> np.ndarray:
        with randomness(Randomness(tf.constant([3, 4]), places, total=16)):
            return DropConnect(0.5, index=1)(ones(len(places)), training=True).numpy()

    replicas = [drop(tf.range(8)), drop(tf.range(8, 16))]
    np.testing.assert_array_equal(np.concatenate(replicas), drop(tf.range(16)))
    assert (replicas[0] != replicas[1]).any()
    np.testing.assert_array_equal(drop(tf.range(1, 16, 2)), drop(tf.range(16))[1::2])


def test_batch_norm_normalises_with_the_biased_and_remembers_the_unbiased_variance():
    """Of 0, 2, 4: mean 2, biased variance 8/3, unbiased 4; half of the old statistics stay."""
    layer = BatchNorm(momentum=0.5, epsilon=1e-3)
    y = layer(tf.constant([0.0, 2.0, 4.0], shape=(3, 1, 1, 1)), training=True).numpy().ravel()
    expected = np.array([-2, 0, 2]) / np.sqrt(8 / 3 + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    assert float(layer.moving_mean[0]) == pytest.approx(1.0)
    assert float(layer.moving_variance[0]) == pytest.approx(0.5 * 1 + 0.5 * 4)


def test_batch_norm_equals_keras_in_inference():
    x = tf.random.stateless_normal((2, 3, 4, 5), [0, 1])
    ours, theirs = BatchNorm(epsilon=1e-3), keras.layers.BatchNormalization(epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build(x.shape)
        values = np.random.default_rng(0).uniform(0.5, 2, (4, 5)).astype("float32")
        layer.set_weights(list(values))
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_a_frozen_batch_norm_uses_its_statistics_and_keeps_them():
    layer = BatchNorm()
    layer.build((None, 1, 1, 1))
    layer.trainable = False
    x = tf.constant([0.0, 100.0], shape=(2, 1, 1, 1))
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1 + 1e-3), rtol=1e-6)
    assert float(layer.moving_mean[0]) == 0.0


def test_resizing_three_to_five_takes_the_sources_0_0_1_1_2():
    """floor(i * 3 / 5) for i = 0..4; half-pixel centres would give 0 0 1 2 2."""
    x = tf.reshape(tf.range(3.0), (1, 3, 1, 1))
    np.testing.assert_array_equal(NearestResize(5, 1)(x)[0, :, 0, 0], [0, 0, 1, 1, 2])


def test_an_odd_size_is_a_doubled_one_cut_off_because_npus_know_no_other_factor():
    """3 x 2 to 5 x 4 over 6 x 4; 3 x 2 to 7 x 4 is no such size and asks for it outright."""
    for size, asked in (((5, 4), [1, 6, 4, 1]), ((7, 4), [1, 7, 4, 1])):
        graph = (
            tf.function(NearestResize(*size)).get_concrete_function(tf.zeros([1, 3, 2, 1])).graph
        )
        (resize,) = (o for o in graph.get_operations() if o.type == "ResizeNearestNeighbor")
        assert resize.outputs[0].shape == asked


@pytest.mark.parametrize("size", [((3, 4), (6, 8)), ((3, 5), (5, 9)), ((2, 3), (3, 3))])
def test_the_gradient_of_resizing_is_tensorflows_and_compiles(size):
    """TensorFlow's own gradient kernel is the yardstick; XLA lacks it."""
    (height, width), target = size
    x = tf.random.stateless_normal((2, height, width, 3), [1, 2])
    upstream = tf.random.stateless_normal((2, *target, 3), [3, 4])

    def gradient(resize) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(resize(x) * upstream)
        return tape.gradient(y, x)

    layer = NearestResize(*target)
    raw = tf.raw_ops.ResizeNearestNeighbor
    expected = gradient(lambda x: raw(images=x, size=list(target)))
    found = tf.function(lambda: gradient(lambda x: layer(x, training=True)), jit_compile=True)()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
