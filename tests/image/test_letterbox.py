"""Letterbox and normalisation against the reference's figures."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import ModelConfig
from edet.image.letterbox import fit, letterbox, normalize_images, pad_bottom_right

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
    image, scale, _ = letterbox(figures[f"letterbox/{case}/image"], size, model.mean_rgb)
    normalized = normalize_images(image, model).numpy()
    # The stored figures are every fifth pixel. 1e-6: float32 noise of the other order.
    np.testing.assert_allclose(normalized[::5, ::5], figures[f"letterbox/{case}/{key}"], atol=1e-6)
    assert float(scale) == figures[f"letterbox/{case}/scale"]
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
    np.testing.assert_array_equal(scales, figures["sizes/scale"])
    # Where the reference gets 0 pixels (a thin strip) its resize fails; here one pixel is kept.
    np.testing.assert_array_equal(scaled, np.maximum(figures["sizes/scaled_hw"], 1))
    is_short = scaled.numpy().max(axis=1) == outputs - 1
    assert 0.05 < is_short.mean() < 0.10  # the reference's truncation, in about 7% of shapes


def test_padding_is_the_mean_color_and_zero_after_normalization():
    image, scale, _ = letterbox(np.full((10, 20, 3), 255, np.uint8), (8, 8), MODEL.mean_rgb)
    assert float(scale) == pytest.approx(0.4)  # 8 / 20
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
    image, scale, _ = letterbox(np.full((3, 6400, 3), 9, np.uint8), (64, 64), (0, 0, 0))
    assert float(scale) == pytest.approx(0.01)  # 3 * 0.01 would be 0 rows
    assert image.numpy()[0].all()
    assert not image.numpy()[1:].any()


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
