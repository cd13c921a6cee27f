"""D0 against the reference: every tensor from the backbone to the outputs, at three sizes.

Two convolution libraries differ by about 1e-6 of a tensor's largest entry, and that is what is
seen; 1e-5 is asked for, a hundredth of what the reference's own checks ask.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.geometry.anchors import feature_sizes, make_anchors
from edet.models.efficientdet import build_network
from edet.models.layers import NearestResize, Style
from edet.models.pyramid import extend, resample
from tests.golden.fill import fill_with_golden_weights
from tests.golden.filler import image
from tests.golden.summary import difference

TOLERANCE = 1e-5  # of each tensor's largest entry
CASES = ("d0_128", "d0_136x200", "d0_512")


@pytest.fixture(scope="module", params=CASES)
def case(request, golden):
    """Name of the case and {name in the reference: our tensor}."""
    meta = json.loads(str(np.load(golden / "networks.npz")[f"{request.param}/meta"]))
    size = meta["size"]
    config = load_config("efficientdet-d0", overrides=[f"model.image_size={size}"]).model
    network = build_network(config)
    fill_with_golden_weights(network, config, meta)
    layers = {
        "C2": "backbone.block2b_add", "C3": "backbone.block3b_add", "C4": "backbone.block5c_add",
        "C5": "backbone.block7a_project_bn", "P6_in": "pyramid.p6_pool", "P7_in": "pyramid.p7_pool",
    }  # fmt: skip
    # The last node of each level: P3's is the end of the way down.
    nodes = {3: 8, 4: 9, 5: 10, 6: 11, 7: 12}
    for cell in range(config.pyramid_repeats):
        layers |= {f"cell{cell}_{k}": f"pyramid.cell{cell}.node{n}.bn" for k, n in nodes.items()}
    outputs = {key: network.get_layer(name).output for key, name in layers.items()}
    outputs |= network.output
    found = keras.Model(network.input, outputs)(image(meta["case"], meta["batch"], *size))
    found = {key: value.numpy() for key, value in found.items()}
    found |= {f"fpn_{k}": found[f"cell2_{k}"] for k in nodes}
    found |= _levels(found.pop("class_logits"), "cls", size)
    found |= _levels(found.pop("box_deltas"), "box", size)
    return request.param, found


def _levels(values: np.ndarray, kind: str, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Cuts [B, A, values] back into the reference's maps [B, h, w, 9 * values] of each level."""
    maps, start = {}, 0
    for level, (height, width) in list(feature_sizes(size, 7).items())[3:]:
        stop = start + height * width * 9
        maps[f"{kind}_{level}"] = values[:, start:stop].reshape(len(values), height, width, -1)
        start = stop
    return maps


def test_every_tensor_of_d0_equals_the_reference(case, golden):
    """300 entries of each, and mean and mean square of all: enough to see any fault."""
    name, found = case
    figures = np.load(golden / "networks.npz")
    keys = [key for key in figures.files if key.startswith(f"{name}/") and "meta" not in key]
    assert len(keys) == (13 if name == "d0_512" else 36)
    for key in keys:
        tensor = key.removeprefix(f"{name}/")
        assert difference(tensor, found[tensor], figures[key]) < TOLERANCE, tensor


def test_every_entry_of_d0_equals_the_reference(case, shared):
    name, found = case
    figures = np.load(shared / "golden" / f"{name}.npz")
    for key in set(figures.files) - {"meta", "image"}:
        expected = figures[key]
        np.testing.assert_allclose(
            found[key], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max(), err_msg=key
        )


# ---- sizes that nothing divides: 200 x 328 ----

SIZES = {  # halved and rounded up by hand
    1: (100, 164), 2: (50, 82), 3: (25, 41), 4: (13, 21), 5: (7, 11), 6: (4, 6), 7: (2, 3),
}  # fmt: skip


def test_levels_of_200_by_328_are_halved_and_rounded_up():
    assert feature_sizes((200, 328), 7) == {0: (200, 328)} | SIZES


def slow_max_pool(x: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Padding 'same': as many outputs as strides fit in, an odd pad at the bottom and right."""
    height, width, _ = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    top = max((rows - 1) * stride + window - height, 0) // 2
    left = max((columns - 1) * stride + window - width, 0) // 2
    out = np.empty((rows, columns, x.shape[-1]), x.dtype)
    for i in range(rows):
        for j in range(columns):
            y, z = i * stride - top, j * stride - left
            patch = x[max(y, 0) : y + window, max(z, 0) : z + window]
            out[i, j] = patch.max((0, 1))
    return out


@pytest.mark.parametrize("level", [3, 4, 5, 6])
def test_going_up_a_level_pools_windows_of_three_by_strides_of_two(level):
    """Window = stride + 1 and stride = (in - 1) // out + 1 = 2 on every level (reference 1.4)."""
    x = np.random.default_rng(level).normal(size=(1, *SIZES[level], 16)).astype("f4")
    inputs = keras.Input(x.shape[1:])
    pool = keras.Model(inputs, resample(inputs, SIZES[level + 1], 16, Style(), "x"))
    np.testing.assert_array_equal(pool(x)[0], slow_max_pool(x[0], window=3, stride=2))


def test_p7_is_p6_pooled_and_p6_is_projected_before_it_is_pooled():
    c5 = keras.Input((*SIZES[5], 24))
    levels = extend({3: c5, 4: c5, 5: c5}, range(3, 8), 16, Style())
    network = keras.Model(c5, [levels[6], levels[7]])
    assert [layer.name for layer in network.layers[1:]] == [
        f"pyramid.{name}" for name in ("p6_conv", "p6_bn", "p6_pool", "p7_pool")
    ]
    x = np.random.default_rng(0).normal(size=(1, *SIZES[5], 24)).astype("f4")
    kernel = network.get_layer("pyramid.p6_conv").kernel.numpy()[0, 0]
    projected = (x[0] @ kernel) / np.sqrt(1 + 1e-3)  # a fresh batch norm, epsilon 1e-3
    p6, p7 = (value.numpy()[0] for value in network(x))
    np.testing.assert_allclose(p6, slow_max_pool(projected, 3, 2), atol=1e-5)
    np.testing.assert_array_equal(p7, slow_max_pool(p6, 3, 2))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("level", [3, 4, 5, 6])
def test_going_down_a_level_copies_the_pixel_at_floor_of_i_times_in_over_out(level, training):
    (height, width), (rows, columns) = SIZES[level + 1], SIZES[level]
    x = np.arange(height * width, dtype="f4").reshape(1, height, width, 1)
    expected = np.empty((rows, columns))
    for i in range(rows):
        for j in range(columns):
            expected[i, j] = x[0, i * height // rows, j * width // columns, 0]
    found = NearestResize(rows, columns)(x, training=training)
    np.testing.assert_array_equal(found[0, ..., 0], expected)


def test_the_kernels_float_arithmetic_picks_the_whole_numbers_pixel_for_every_side():
    """TensorFlow multiplies by in / out in float32, the gradient by whole numbers: both agree."""
    for side in range(1, 200):
        small = (side + 1) // 2
        x = tf.range(small, dtype=tf.float32)[None, :, None, None]
        found = NearestResize(side, 1)(x).numpy().ravel()
        np.testing.assert_array_equal(found, [i * small // side for i in range(side)])


def test_anchors_of_200_by_328_have_real_valued_strides_on_each_axis():
    """Reference 3.1 as a plain loop, D0's settings."""
    expected = []
    for level in range(3, 8):
        rows, columns = SIZES[level]
        stride_y, stride_x = 200 / rows, 328 / columns
        for i in range(rows):
            for j in range(columns):
                y, x = stride_y / 2 + i * stride_y, stride_x / 2 + j * stride_x
                for octave in range(3):
                    for ratio in (1.0, 2.0, 0.5):
                        height = 4 * stride_y * 2 ** (octave / 3) / ratio**0.5
                        width = 4 * stride_x * 2 ** (octave / 3) * ratio**0.5
                        expected.append(
                            [y - height / 2, x - width / 2, y + height / 2, x + width / 2]
                        )
    config = load_config("efficientdet-d0", overrides=["model.image_size=[200,328]"]).model
    anchors = make_anchors(config.image_size, config.levels, config.anchors)
    # 200 / 2 rows of level 7: 100 pixels, not 128.
    assert anchors[-1, 2] + anchors[-1, 0] == pytest.approx(2 * 150, rel=1e-6)
    np.testing.assert_allclose(anchors, expected, rtol=2e-7, atol=1e-5)
