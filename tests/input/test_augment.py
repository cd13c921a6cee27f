"""Flips, scale jitter and what becomes of boxes."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AugmentConfig, ModelConfig
from edet.image.letterbox import fit, normalize_images, pad_bottom_right, resize
from edet.input import augment

MODEL = ModelConfig()


def draws_of(scale_factor, offset_yx, horizontal=False, vertical=False):
    return augment.Draws(
        tf.constant(horizontal), tf.constant(vertical),
        tf.constant(scale_factor, tf.float32), tf.constant(offset_yx, tf.float32),
    )  # fmt: skip


def golden_case(figures, case):
    """The reference's input, random numbers and output of one call."""
    figure = {
        key.removeprefix(f"{case}/"): figures[key] for key in figures if key.startswith(f"{case}/")
    }
    size = tuple(int(side) for side in figure["out_size"])
    scale_factor, *offset_yx = figure["uniforms_scale_y_x"]
    if figure[
        "target_size"
    ]:  # The reference can jitter around another size than that of the output.
        scale_factor = int(scale_factor * figure["target_size"]) / size[0]
    return figure, size, draws_of(scale_factor, offset_yx, bool(figure["flip"]))


def place(image, boxes, draws, size):
    """What the pipeline does: pixels in float32, not padded, and boxes, not clipped."""
    image = tf.convert_to_tensor(image)
    image_size = tf.shape(image)[:2]
    geometry = augment.make_geometry(draws, image_size, size)
    moved = augment.move_boxes(tf.constant(boxes, tf.float32), image_size, geometry)
    return resize(augment.cut(image, geometry), geometry.size), moved


def place_as_the_reference(image, boxes, draws, size):
    """Flips and resizes the whole image, and crops then."""
    axes = [i for i, f in enumerate((draws.vertical_flip, draws.horizontal_flip)) if f]
    image = tf.reverse(tf.convert_to_tensor(image), axes)
    for axis in axes:
        near, far = boxes[:, axis], boxes[:, axis + 2]
        boxes = np.array(boxes)
        boxes[:, axis], boxes[:, axis + 2] = 1 - far, 1 - near
    _, scaled = fit(*image.shape[:2], augment.target_size(draws, size))
    rest = np.maximum(scaled - np.array(size), 0).astype(np.float32)
    top, left = (rest * draws.offset_yx.numpy()).astype(int)
    crop = resize(image, scaled)[top : top + size[0], left : left + size[1]]
    return crop, boxes * np.tile(scaled, 2) - np.tile([top, left], 2)


def golden_figures(golden):
    figures = np.load(golden / "preprocessing.npz")
    return {k.removeprefix("train/"): figures[k] for k in figures.files if k.startswith("train/")}


def assert_equals_golden(image, boxes, figure, size):
    boxes, is_kept = augment.clip_boxes(tf.cast(boxes, tf.float32), size, min_visible=0.0)
    normalized = normalize_images(pad_bottom_right(image, size, MODEL.mean_rgb), MODEL).numpy()
    # The stored figures are every fourth pixel. 1e-6: float32 noise of normalising last.
    np.testing.assert_allclose(normalized[::4, ::4], figure["out"], atol=1e-6)
    np.testing.assert_allclose(boxes[is_kept], figure["out_boxes"], atol=1e-5)
    np.testing.assert_array_equal(figure["classes"][is_kept], figure["out_classes"])


@pytest.mark.parametrize("case", [1, 4])
def test_an_image_that_is_not_cropped_equals_the_reference(golden, case):
    figure, size, draws = golden_case(golden_figures(golden), case)
    image, boxes = place(figure["image"], figure["boxes"], draws, size)
    assert_equals_golden(image, boxes, figure, size)


@pytest.mark.parametrize("case", [0, 2, 3])
def test_a_crop_lies_within_half_a_pixel_of_the_reference_s(golden, case):
    figure, size, draws = golden_case(golden_figures(golden), case)
    image, boxes = place_as_the_reference(figure["image"], figure["boxes"], draws, size)
    assert_equals_golden(image, boxes, figure, size)  # so this is the reference's rule
    height, width = figure["image"].shape[:2]
    # An image of its own coordinates: each pixel says which place of the image it shows.
    places = np.stack([*np.mgrid[:height, :width], np.zeros((height, width))], -1).astype(
        np.float32
    )
    expected, boxes = place_as_the_reference(places, figure["boxes"], draws, size)
    found, moved = place(places, figure["boxes"], draws, size)
    assert found.shape == expected.shape
    # Half a pixel for each end of the window, and half where its edge cannot look outside.
    assert np.abs(found - expected).max() <= 1
    assert np.abs(found - expected).mean() <= 0.5
    _, scaled = fit(height, width, augment.target_size(draws, size))
    one_pixel = np.max(scaled.numpy() / [height, width])  # of the image, in the network input
    limits = [*size, *size]
    np.testing.assert_allclose(np.clip(moved, 0, limits), np.clip(boxes, 0, limits), atol=one_pixel)


@pytest.mark.parametrize(("factor", "size"), [(0.5, [48, 32]), (2.0, [96, 64])])
def test_a_stretched_image_is_jittered_in_both_axes_of_the_input(factor, size):
    """Of 60 x 80 pixels in 96 x 64: half of the input, or twice and half of each axis cut away."""
    geometry = augment.make_geometry(
        draws_of(factor, [0, 0.5]), tf.constant([60, 80]), (96, 64), "stretch"
    )
    assert geometry.size.numpy().tolist() == size
    kept = [0, 0, 60, 80] if factor < 1 else [0, 20, 30, 60]  # 32 of 128 columns lie before it
    assert geometry.window.numpy().tolist() == kept
    box = tf.constant([[0.0, 0.25, 0.5, 0.75]])  # rows 0 to 30, columns 20 to 60
    moved = augment.move_boxes(box, tf.constant([60, 80]), geometry)
    expected = [[0, 8, 24, 24]] if factor < 1 else [[0, 0, 96, 64]]
    np.testing.assert_allclose(moved, expected, atol=1e-4)


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
    draws = draws_of(scale_percent / 100, np.divide(offset_percent, 100), *flips)
    image, boxes = place(image, boxes, draws, size)
    is_filled = pad_bottom_right(image, size, (0, 0, 0)).numpy()[..., 0] > 100
    expected = np.clip(boxes[0], 0, [*image.shape[:2]] * 2)
    rows, columns = np.flatnonzero(is_filled.any(1)), np.flatnonzero(is_filled.any(0))
    if not len(rows):  # Cropped away, but for less than the blur of one pixel.
        assert min(expected[2] - expected[0], expected[3] - expected[1]) < 1.5
        return
    seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_allclose(seen, expected, atol=1)  # half a pixel of the threshold, rounded


def test_a_flip_mirrors_pixels_and_boxes():
    image = tf.reshape(tf.range(2 * 3 * 3), [2, 3, 3])
    boxes = tf.constant([[0.0, 0.1, 0.5, 0.4]])

    def flipped(horizontal, vertical):
        draws = draws_of(1.0, (0, 0), horizontal, vertical)
        geometry = augment.make_geometry(draws, tf.shape(image)[:2], (2, 3))
        return augment.cut(image, geometry), augment.move_boxes(
            boxes, tf.shape(image)[:2], geometry
        )

    mirrored, moved = flipped(True, False)
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    np.testing.assert_allclose(moved, [[0.0, 1.8, 1.0, 2.7]], atol=1e-6)  # of 2 x 3 pixels
    mirrored, moved = flipped(True, True)
    np.testing.assert_array_equal(mirrored, image[::-1, ::-1])
    np.testing.assert_allclose(moved, [[1.0, 1.8, 2.0, 2.7]], atol=1e-6)


def test_only_the_kept_pixels_are_cut_out_worked_out_by_hand():
    # 100 x 200 fits into 50 x 50 at 25 x 50; three times that is 75 x 150, of which 50 x 50 are
    # kept: from 0.4 * 25 = 10 and 0.5 * 100 = 50, and a network pixel is 4 / 3 of the image.
    draws = draws_of(3.0, (0.4, 0.5))
    geometry = augment.make_geometry(draws, tf.constant([100, 200]), (50, 50))
    np.testing.assert_array_equal(geometry.window, [13, 67, 80, 134])  # 13.3, 66.7 and 66.7 more
    np.testing.assert_array_equal(geometry.size, [50, 50])
    mask = tf.reshape(tf.range(100 * 200, dtype=tf.int32), [100, 200, 1])
    np.testing.assert_array_equal(augment.cut(mask, geometry), mask[13:80, 67:134])
    # Flipped, the same offsets count from the right and from the bottom.
    draws = draws_of(3.0, (0.4, 0.5), True, True)
    geometry = augment.make_geometry(draws, tf.constant([100, 200]), (50, 50))
    np.testing.assert_array_equal(geometry.window, [20, 66, 87, 133])


@pytest.mark.parametrize("scale_factor", [0.001, 1.0, 400.0])
def test_at_least_one_pixel_is_shown_of_any_image(scale_factor):
    geometry = augment.make_geometry(
        draws_of(scale_factor, (0.99, 0.99)), tf.constant([1, 3]), (8, 8)
    )
    top, left, bottom, right = geometry.window.numpy()
    assert 0 <= top < bottom <= 1 and 0 <= left < right <= 3
    assert (geometry.size.numpy() >= 1).all() and (geometry.size.numpy() <= 8).all()


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
    indices = augment.class_indices(ids, [1, 44, 90], lambda: tf.constant("image x"))
    np.testing.assert_array_equal(indices, [2, 0, 1, 0])
    none = augment.class_indices(
        tf.zeros([0], tf.int64), [1, 44, 90], lambda: tf.constant("image x")
    )
    assert none.shape == (0,)


@pytest.mark.parametrize("unknown", [0, 2, 91])
def test_an_unknown_class_id_is_an_error_that_names_it_and_the_image(unknown):
    ids = tf.constant([1, unknown, unknown], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"photo 7 .*lacks \({unknown}\)"):
        augment.class_indices(ids, [1, 44, 90], lambda: tf.constant("photo 7"))


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
