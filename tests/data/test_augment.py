"""Flips, scale jitter and what becomes of boxes."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AugmentConfig, ModelConfig
from edet.data import augment
from edet.data.resize import normalize_images, pad_bottom_right

MODEL = ModelConfig()


@pytest.mark.parametrize("case", range(5))
def test_flip_jitter_and_crop_equal_the_reference_for_given_random_numbers(golden, case):
    figures = np.load(golden / "preprocessing.npz")
    figure = {key: figures[f"train/{case}/{key}"] for key in ("image", "boxes", "out", "out_boxes")}
    size = tuple(int(side) for side in figures[f"train/{case}/out_size"])
    scale_factor, *offset_yx = figures[f"train/{case}/uniforms_scale_y_x"]
    target = int(figures[f"train/{case}/target_size"])
    if target:  # The reference can jitter around another size than that of the output.
        scale_factor = int(scale_factor * target) / size[0]
    image, boxes = augment.flip(
        tf.constant(figure["image"]),
        tf.constant(figure["boxes"]),
        horizontal=tf.constant(bool(figures[f"train/{case}/flip"])),
        vertical=tf.constant(False),
    )
    image, boxes = augment.jitter_and_crop(
        image, boxes, size, np.float32(scale_factor), np.float32(offset_yx)
    )
    boxes, is_kept = augment.clip_boxes(boxes, size, min_visible=0.0)
    normalized = normalize_images(pad_bottom_right(image, size, MODEL.mean_rgb), MODEL).numpy()
    # The stored figures are every fourth pixel. 1e-6: float32 noise of normalising last.
    np.testing.assert_allclose(normalized[::4, ::4], figure["out"], atol=1e-6)
    np.testing.assert_allclose(boxes[is_kept], figure["out_boxes"], atol=1e-5)
    classes = figures[f"train/{case}/classes"][is_kept]
    np.testing.assert_array_equal(classes, figures[f"train/{case}/out_classes"])


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    corner=st.tuples(st.integers(0, 42), st.integers(0, 56)),
    sides=st.tuples(st.integers(12, 18), st.integers(16, 24)),
    flips=st.tuples(st.booleans(), st.booleans()),
    scale_percent=st.integers(50, 200),
    offset_percent=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_boxes_move_with_the_pixels(corner, sides, flips, scale_percent, offset_percent):
    height, width, size = 60, 80, (96, 64)
    (top, left), (bottom, right) = corner, np.add(corner, sides)
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 200
    boxes = np.array([[top, left, bottom, right]], np.float32) / [height, width, height, width]
    image, boxes = augment.flip(
        tf.constant(image), tf.constant(boxes, tf.float32), *(tf.constant(f) for f in flips)
    )
    image, boxes = augment.jitter_and_crop(
        image, boxes, size, np.float32(scale_percent / 100), np.float32(offset_percent) / 100
    )
    is_filled = pad_bottom_right(image, size, (0, 0, 0)).numpy()[..., 0] > 100
    expected = np.clip(boxes[0], 0, [*size, *size])
    rows, columns = np.flatnonzero(is_filled.any(1)), np.flatnonzero(is_filled.any(0))
    if not len(rows):  # Cropped away, but for less than the blur of one pixel.
        assert min(expected[2] - expected[0], expected[3] - expected[1]) < 1.5
        return
    seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    # 1.5: half a pixel of the threshold, and the reference's truncated sizes and offsets.
    np.testing.assert_allclose(seen, expected, atol=1.5)


def test_a_flip_mirrors_pixels_and_boxes():
    image = tf.reshape(tf.range(2 * 3 * 3), [2, 3, 3])
    boxes = tf.constant([[0.0, 0.1, 0.5, 0.4]])
    yes, no = tf.constant(True), tf.constant(False)
    mirrored, moved = augment.flip(image, boxes, horizontal=yes, vertical=no)
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    np.testing.assert_allclose(moved, [[0.0, 0.6, 0.5, 0.9]], atol=1e-7)
    mirrored, moved = augment.flip(image, boxes, horizontal=yes, vertical=yes)
    np.testing.assert_array_equal(mirrored, image[::-1, ::-1])
    np.testing.assert_allclose(moved, [[0.5, 0.6, 1.0, 0.9]], atol=1e-7)


def test_draws_follow_from_the_seed_and_the_settings():
    both = AugmentConfig(vertical_flip=True, jitter_min=0.5, jitter_max=1.5)
    seeds = tf.stack([tf.fill([400], np.int64(3)), tf.range(400, dtype=tf.int64)], 1)

    def draw_all(settings):
        draws = tf.data.Dataset.from_tensor_slices(seeds).map(lambda s: augment.draw(s, settings))
        return [value.numpy() for value in next(iter(draws.batch(400)))]

    horizontal, vertical, scale, offset = draw_all(both)
    for first, second in zip((horizontal, vertical, scale, offset), draw_all(both), strict=True):
        np.testing.assert_array_equal(first, second)
    # 400 draws: the mean of a fair coin lies within 0.1 of 0.5 but for 1 in 16,000.
    for coin in (horizontal, vertical, horizontal == vertical):
        assert abs(coin.mean() - 0.5) < 0.1
    assert 0.5 <= scale.min() < 0.52 and 1.48 < scale.max() < 1.5
    assert offset.min() >= 0 and offset.max() < 1
    assert abs(np.corrcoef([scale, *offset.T])[np.triu_indices(3, 1)]).max() < 0.2
    assert not any(draw_all(AugmentConfig(horizontal_flip=False))[0])
    assert not any(draw_all(AugmentConfig())[1])


def test_boxes_are_clipped_and_those_hardly_visible_dropped():
    boxes = tf.constant(
        [
            [10.0, 10.0, 30.0, 30.0],  # inside
            [-10.0, 0.0, 10.0, 10.0],  # half visible
            [0.0, -30.0, 10.0, 10.0],  # a quarter visible
            [0.0, -10.0, 10.0, 0.0],  # outside
            [5.0, 5.0, 5.0, 9.0],  # no height
            [-5.0, -5.0, 50.0, 99.0],  # more than the image of 40 x 60
        ]
    )
    clipped, is_kept = augment.clip_boxes(boxes, (40, 60), min_visible=0.0)
    np.testing.assert_array_equal(is_kept, [True, True, True, False, False, True])
    np.testing.assert_array_equal(clipped[1], [0, 0, 10, 10])
    np.testing.assert_array_equal(clipped[5], [0, 0, 39, 59])
    _, is_kept = augment.clip_boxes(boxes, (40, 60), min_visible=0.4)
    np.testing.assert_array_equal(is_kept, [True, True, False, False, False, True])


def test_class_ids_become_the_indices_of_the_logits():
    ids = tf.constant([90, 1, 44, 1], tf.int64)
    indices = augment.class_indices(ids, [1, 44, 90], tf.constant("image x"))
    np.testing.assert_array_equal(indices, [2, 0, 1, 0])
    none = augment.class_indices(tf.zeros([0], tf.int64), [1, 44, 90], tf.constant("image x"))
    assert none.shape == (0,)


@pytest.mark.parametrize("strange", [0, 2, 91])
def test_an_unknown_class_id_is_an_error_that_names_it_and_the_image(strange):
    ids = tf.constant([1, strange, strange], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"photo 7 .*lacks \({strange}\)"):
        augment.class_indices(ids, [1, 44, 90], tf.constant("photo 7"))


@pytest.mark.parametrize(("count", "left_out"), [(0, 0), (2, 0), (3, 0), (5, 2)])
def test_ground_truth_is_padded_or_truncated_to_a_fixed_length(count, left_out):
    boxes = tf.reshape(tf.range(4.0 * count), [count, 4]) + 1
    padded, classes, num_left_out = augment.pad_ground_truth(boxes, tf.range(count), 3)
    kept = min(count, 3)
    assert padded.shape == (3, 4) and classes.shape == (3,)
    np.testing.assert_array_equal(padded[:kept], boxes[:kept])
    assert not padded.numpy()[kept:].any()
    np.testing.assert_array_equal(classes, [*range(kept), *[-1] * (3 - kept)])
    assert int(num_left_out) == left_out
