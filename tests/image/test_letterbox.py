"""Letterbox and normalisation against the reference's figures."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from edet.config.schema import ModelConfig
from edet.image.letterbox import (
    boxes_to_picture,
    fit,
    letterbox,
    mask_to_picture,
    normalize_images,
    pad_bottom_right,
)

MODEL = ModelConfig()
LITE = ModelConfig(mean_rgb=(127.0,) * 3, stddev_rgb=(128.0,) * 3)


@pytest.fixture(scope="module")
def figures(golden):
    return np.load(golden / "preprocessing.npz")


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize(("key", "model"), [("out", MODEL), ("lite_out", LITE)])
def test_letterbox_then_normalize_equals_the_reference_that_normalizes_first(
    figures, case, key, model
):
    size = tuple(figures[f"letterbox/{case}/out_size"])
    image, (scale, same), _ = letterbox(figures[f"letterbox/{case}/image"], size, model.mean_rgb)
    normalized = normalize_images(image, model).numpy()
    # The stored figures are every fifth pixel. 1e-6: float32 noise of the other order.
    np.testing.assert_allclose(normalized[::5, ::5], figures[f"letterbox/{case}/{key}"], atol=1e-6)
    assert float(scale) == float(same) == figures[f"letterbox/{case}/scale"]
    assert 1 / scale.numpy() == np.float32(figures[f"letterbox/{case}/scale_to_original"])


def test_scaled_sizes_of_4000_shapes_equal_the_reference_exactly(figures):
    sizes = figures["sizes/hw"].astype(np.int32)
    outputs = figures["sizes/out"].astype(np.int32)

    @tf.function
    def fit_all():
        return tf.map_fn(
            lambda row: fit(row[0], row[1], row[2:]),
            np.column_stack([sizes, outputs, outputs]),
            fn_output_signature=(tf.float32, tf.int32),
        )

    scales, scaled = fit_all()
    np.testing.assert_array_equal(scales, np.tile(figures["sizes/scale"][:, None], 2))
    # Where the reference gets 0 pixels (a thin strip) its resize fails; here one pixel is kept.
    np.testing.assert_array_equal(scaled, np.maximum(figures["sizes/scaled_hw"], 1))
    is_short = scaled.numpy().max(axis=1) == outputs - 1
    assert 0.05 < is_short.mean() < 0.10  # the reference's truncation, in about 7% of shapes


def test_padding_is_the_mean_color_and_zero_after_normalization():
    image, scales, _ = letterbox(np.full((10, 20, 3), 255, np.uint8), (8, 8), MODEL.mean_rgb)
    assert scales.numpy() == pytest.approx([0.4, 0.4])  # 8 / 20
    np.testing.assert_array_equal(image[:4], np.full((4, 8, 3), 255.0))  # 10 * 0.4 = 4 rows
    assert not normalize_images(image, MODEL).numpy()[4:].any()


def test_advprop_s_padding_is_black_and_minus_one_after_normalization():
    """Its pixels are x * 2 / 255 - 1, scaled after the image was padded with 0 (reference)."""
    model = ModelConfig(mean_rgb=(127.5,) * 3, stddev_rgb=(127.5,) * 3, padding=-1.0)
    image, *_ = letterbox(np.full((10, 20, 3), 255, np.uint8), (8, 8), model.pad_color)
    normalized = normalize_images(image, model).numpy()
    np.testing.assert_array_equal(normalized[:4], np.ones((4, 8, 3)))
    np.testing.assert_array_equal(normalized[4:], -np.ones((4, 8, 3)))


def test_padding_of_uint8_is_rounded_by_less_than_a_pixel_value():
    image = pad_bottom_right(tf.zeros([2, 2, 3], tf.uint8), (4, 4), MODEL.mean_rgb)
    np.testing.assert_array_equal(image[3, 3], [124, 116, 104])
    assert np.abs(normalize_images(image, MODEL).numpy()[2:]).max() < 0.5 / 57.12


def test_a_strip_keeps_one_pixel():
    image, scales, _ = letterbox(np.full((3, 6400, 3), 9, np.uint8), (64, 64), (0, 0, 0))
    assert scales.numpy() == pytest.approx([0.01, 0.01])  # 3 * 0.01 would be 0 rows
    assert image.numpy()[0].all()
    assert not image.numpy()[1:].any()


def test_a_stretched_image_fills_the_input_and_has_a_scale_of_each_axis():
    """10 rows become 8, 20 columns 40: scales 0.8 and 2, no padding, whatever the shape."""
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, 10:] = 200
    pixels, scales, size = letterbox(image, (8, 40), (1, 2, 3), "stretch")
    assert scales.numpy() == pytest.approx([0.8, 2])
    assert size.numpy().tolist() == [8, 40]
    assert not pixels.numpy()[:, :19].any()
    np.testing.assert_array_equal(pixels[:, 21:], np.full((8, 19, 3), 200))


@settings(deadline=None, max_examples=50)
@given(*[st.integers(1, 5000)] * 2, *[st.integers(1, 640)] * 2)
def test_every_stretched_image_is_as_large_as_the_input(height, width, rows, columns):
    """In float32 height * (rows / height) may be less than rows."""
    scales, size = fit(tf.constant(height), tf.constant(width), (rows, columns), "stretch")
    assert size.numpy().tolist() == [rows, columns]
    np.testing.assert_allclose(scales * [height, width], [rows, columns], rtol=1e-6)


def test_boxes_and_masks_of_a_stretched_input_come_back_in_pixels_of_the_picture():
    """Of a picture of 10 x 20 pixels in an input of 8 x 40: y / 0.8, x / 2."""
    boxes = boxes_to_picture(tf.constant([[[4.0, 10, 8, 40]]]), tf.constant([[0.8, 2.0]]))
    np.testing.assert_allclose(boxes, [[[5, 5, 10, 20]]])
    mask = np.array([[1, 1, 2, 2], [3, 3, 4, 4]], np.uint8)
    assert mask_to_picture(mask, (4, 2), "stretch").tolist() == [[1, 2]] * 2 + [[3, 4]] * 2
    # Letterboxed, 4 x 2 pixels take one column of the two rows.
    assert mask_to_picture(mask, (4, 2)).tolist() == [[1, 1]] * 2 + [[3, 3]] * 2


def test_the_same_pixels_inside_a_dataset(figures):
    picture = figures["letterbox/0/image"]
    dataset = tf.data.Dataset.from_tensors(picture)
    in_map, *_ = next(iter(dataset.map(lambda x: letterbox(x, (64, 64), MODEL.mean_rgb))))
    eager, *_ = letterbox(picture, (64, 64), MODEL.mean_rgb)
    np.testing.assert_array_equal(in_map, eager)


def test_uint8_and_float_images_are_normalized_alike():
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    from_uint8 = normalize_images(pixels, LITE)
    np.testing.assert_array_equal(from_uint8, normalize_images(pixels.astype(np.float32), LITE))
    assert from_uint8.dtype == tf.float32
    assert float(from_uint8[0, 0, 0, 0]) == -127 / 128
