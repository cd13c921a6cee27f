"""Where views lie, what they show, and that boxes found in them come back to the picture."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from edet.config.schema import DetectConfig
from edet.image.letterbox import fit
from edet.input.windows import (
    CUT_MARGIN,
    cut_view,
    is_uncut,
    make_window_dataset,
    make_windows,
    place_boxes,
    read_pictures,
)
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.small import small_model

MODEL = small_model()  # 64 x 96 pixels
SIDES = st.integers(1, 400)


def windows_of(height: int, width: int, **detect) -> np.ndarray:
    return make_windows(tf.constant(height), tf.constant(width), DetectConfig(**detect)).numpy()


def test_tiles_are_spread_evenly_over_a_picture():
    """130 rows in tiles of 50, at most 40 apart: 3 are needed; 100 columns in tiles of 60: 2."""
    windows = windows_of(130, 100, tile=(50, 60))
    assert windows[0].tolist() == [0, 0, 130, 100, 0]
    tops, lefts = [0, 40, 80], [0, 40]
    assert windows[1:].tolist() == [[y, x, y + 50, x + 60, 0] for y in tops for x in lefts]


def test_flip_looks_at_every_window_once_more_mirrored():
    windows = windows_of(60, 200, tile=(64, 96), flip=True)
    plain, mirrored = np.split(windows, 2)
    np.testing.assert_array_equal(plain[:, :4], mirrored[:, :4])
    assert set(plain[:, 4]) == {0}
    assert set(mirrored[:, 4]) == {1}
    assert windows_of(60, 200, flip=True).tolist() == [[0, 0, 60, 200, 0], [0, 0, 60, 200, 1]]


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, st.integers(8, 200), st.integers(8, 200), st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_overlap_as_much_as_asked(height, width, rows, columns, share):
    if height * width / ((rows * columns) * (1 - share) ** 2) > 5000:
        return  # thousands of tiny tiles prove no more
    windows = windows_of(height, width, tile=(rows, columns), tile_overlap=share)
    assert windows[0].tolist() == [0, 0, height, width, 0]
    tiles = windows[1:]
    if height <= rows and width <= columns:
        assert len(tiles) == 0
        return
    assert (tiles[:, :2] >= 0).all()
    assert (tiles[:, 2:4] <= [height, width]).all()
    covered = np.zeros((height, width), bool)
    for top, left, bottom, right, _ in tiles:
        covered[top:bottom, left:right] = True
        assert (bottom - top, right - left) == (min(rows, height), min(columns, width))
    assert covered.all()
    for column, side in ((0, rows), (1, columns)):
        steps = np.diff(np.unique(tiles[:, column]))
        assert (steps <= max(1, int(side * (1 - share)))).all()


def views_of(image: np.ndarray, fit="letterbox", **detect) -> list[dict[str, np.ndarray]]:
    windows = windows_of(*image.shape[:2], **detect)
    views = [cut_view(image, window, dataclasses.replace(MODEL, fit=fit)) for window in windows]
    return [{name: value.numpy() for name, value in view.items()} for view in views]


@pytest.mark.parametrize("size", [(40, 90), (64, 96), (130, 50), (37, 211), (1, 1)])
def test_a_mirrored_view_is_the_view_of_the_mirrored_picture(size):
    """The picture's own width counts: its left edge stays at the left of the input."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), "uint8")
    plain, mirrored = views_of(image, flip=True)
    np.testing.assert_array_equal(mirrored["images"], views_of(image[:, ::-1])[0]["images"])
    width = int(fit(*size, tf.constant(MODEL.image_size))[1][1])
    shown = plain["images"][:, :width]
    np.testing.assert_allclose(mirrored["images"][:, :width], shown[:, ::-1], atol=0.01)
    np.testing.assert_array_equal(mirrored["images"][:, width:], plain["images"][:, width:])


@settings(deadline=None, max_examples=50)
@given(SIDES, SIDES, st.lists(st.floats(-100, 300), min_size=4, max_size=4))
def test_mirroring_twice_is_the_identity(height, width, values):
    image = np.zeros((height, width, 3), "uint8")
    _, mirrored = views_of(image, flip=True)
    (ymin, ymax), (xmin, xmax) = sorted(values[:2]), sorted(values[2:])
    box = tf.constant([[[ymin, xmin, ymax, xmax]]], tf.float32)
    placement = tf.constant(mirrored["placements"])[None]
    once = place_boxes(box, placement)
    np.testing.assert_allclose(
        once[..., 2:] - once[..., :2], box[..., 2:] - box[..., :2], atol=1e-3
    )
    np.testing.assert_allclose(place_boxes(once, placement), box, atol=1e-3)


def test_the_whole_picture_is_placed_without_any_change():
    image = np.zeros((33, 77, 3), "uint8")
    (whole,) = views_of(image)
    assert whole["placements"].tolist() == [1, 1, 0, 0]
    assert whole["limits"].tolist() == [-np.inf, -np.inf, np.inf, np.inf]


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
@pytest.mark.parametrize("flip", [False, True])
def test_a_thing_seen_in_any_view_is_placed_where_it_is(flip, fit):
    """A white square on black is found by its pixels in each view that shows all of it."""
    image = np.zeros((300, 500, 3), "uint8")
    ymin, xmin, ymax, xmax = square = (110, 210, 130, 240)
    image[ymin:ymax, xmin:xmax] = 255
    seen = 0
    windows = windows_of(300, 500, tile=(100, 150), tile_overlap=0.4, flip=flip)
    views = views_of(image, fit, tile=(100, 150), tile_overlap=0.4, flip=flip)
    for window, view in zip(windows, views, strict=True):
        if not (
            window[0] <= ymin and window[1] <= xmin and window[2] >= ymax and window[3] >= xmax
        ):
            continue
        seen += 1
        light = view["images"][..., 0] > 127
        rows, columns = light.any(1).nonzero()[0], light.any(0).nonzero()[0]
        box = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
        placed = place_boxes(
            tf.constant([[box]], tf.float32), tf.constant(view["placements"])[None]
        )
        shown = placed[0, 0] / np.tile(view["image_scales"], 2)
        # A pixel of the whole picture's view is about five of the picture.
        np.testing.assert_allclose(shown, square, atol=5)
    assert seen >= 3 * (1 + flip)


def test_a_box_that_ends_where_its_tile_was_cut_is_told_from_a_whole_one():
    """Two tiles side by side of a picture as high as they are; network pixels are picture pixels.

    The picture's own edges cut nothing: what is visible there is all there is.
    """
    image = np.zeros((64, 160, 3), "uint8")
    whole, left, right = views_of(image, tile=(64, 96), tile_overlap=0.2)
    scale = whole["image_scales"][0]  # 96 / 160
    near, far = 96 - CUT_MARGIN - 1, 96 - CUT_MARGIN + 1
    cases = [
        (left, [0, 10, 64, near], True),
        (left, [0, 10, 64, far], False),
        (left, [-5, -5, 70, 40], True),
        (right, [0, 64 + CUT_MARGIN + 1, 64, 170], True),
        (right, [0, 64 + CUT_MARGIN - 1, 64, 150], False),
        (whole, [-9, -9, 999, 999], True),
    ]
    for view, box, expected in cases:
        boxes = tf.constant([[box]], tf.float32) * scale
        found = is_uncut(boxes, tf.constant(view["limits"])[None])
        assert bool(found[0, 0]) == expected, box


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    images = [
        rng.integers(0, 256, (*size, 3), "uint8") for size in ((60, 90), (150, 200), (70, 99))
    ]

    def read():
        for index, image in enumerate(images):
            yield {"image": image, "image_index": index}

    return tf.data.Dataset.from_generator(
        read,
        output_signature={
            "image": tf.TensorSpec([None, None, 3], tf.uint8),
            "image_index": tf.TensorSpec([], tf.int32),
        },
    )


def views(height, width):
    return make_windows(height, width, DetectConfig(tile=(64, 96), flip=True))


def test_batches_hold_the_views_of_all_pictures_in_order(pictures):
    """1, 10 and 5 views (the whole, and tiles of 3 x 3 and 2 x 2), each also mirrored."""
    batches = list(make_window_dataset(pictures, MODEL, 12, windows=views))
    assert [len(batch["images"]) for batch in batches] == [12, 12, 8]
    index = np.concatenate([batch["image_index"] for batch in batches])
    assert index.tolist() == [0] * 2 + [1] * 20 + [2] * 10
    num_views = np.concatenate([batch["num_views"] for batch in batches])
    assert dict(zip(index.tolist(), num_views.tolist(), strict=True)) == {0: 2, 1: 20, 2: 10}


def test_replicas_share_the_windows_of_every_step_and_the_last_is_filled_up(pictures):
    """32 windows in steps of 12 over four replicas: each has three in every step."""
    alone = list(make_window_dataset(pictures, MODEL, 12, windows=views).unbatch())
    context = tf.distribute.InputContext(1, 0, 4)
    shared = list(make_window_dataset(pictures, MODEL, 12, context, views))
    assert {batch["images"].shape for batch in shared} == {(3, 64, 96, 3)}
    together = list(tf.data.Dataset.from_tensor_slices(
        {name: tf.concat([batch[name] for batch in shared], 0) for name in shared[0]}
    ))  # fmt: skip
    assert len(alone) == 32
    assert [int(view["image_index"]) for view in together[32:]] == [-1] * 4
    for view, expected in zip(together, alone, strict=False):
        for name, value in expected.items():
            np.testing.assert_array_equal(view[name], value, err_msg=name)


def test_pictures_of_records_are_numbered_over_all_files(tmp_path):
    write_records(SyntheticSet(5, size=32, seed=0), str(tmp_path / "set"), num_shards=2)
    files = sorted(str(path) for path in tmp_path.glob("*.tfrecord"))
    found = list(read_pictures(files, tf.distribute.InputContext()))
    assert [int(picture["image_index"]) for picture in found] == [0, 1, 2, 3, 4]
    assert {picture["image"].shape for picture in found} == {(32, 32, 3)}
    second = read_pictures(files, tf.distribute.InputContext(2, 1, 2))
    assert [int(picture["image_index"]) for picture in second] == [1, 3]
