"""Mosaics of four images of 40 x 40 pixels, the k-th of the value 10 (k + 1) everywhere."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config import schema
from edet.errors import UserError
from edet.input import mosaic

PADDING = 7


def config(max_boxes=3, min_visible=0.0):
    return schema.replace(
        schema.Config(),
        model={"image_size": 40},
        data={"max_boxes": max_boxes},
        augment={"min_visible": min_visible},
    )


def step(boxes=(), **others):
    """Four images, and for each a box of them, of the class that its number is."""
    values = np.array([10, 20, 30, 40], np.uint8)
    whole = np.zeros([4, 3, 4], np.float32)
    classes = np.full([4, 3], -1, np.int32)
    for k, box in enumerate(boxes):
        if box:
            whole[k, 0], classes[k, 0] = box, k
    batch = {
        "images": np.tile(values[:, None, None, None], [1, 40, 40, 3]),
        "image_ids": np.arange(4),
        "gt_boxes": np.clip(whole, 0, 39),
        "whole_boxes": whole,
        "gt_classes": classes,
        "num_dropped_boxes": np.zeros(4, np.int32),
        "shown_size": np.full([4, 2], 40, np.int32),
    }
    return {key: tf.constant(value) for key, value in (batch | others).items()}


def draws(is_mosaic=(True,) * 4, center=(0.5, 0.5), offset=0.5):
    """The same for each image: with a centre in the middle and half of the offset, rooms of 20 x
    20 show rows and columns 10 to 30."""
    return mosaic.Draws(
        tf.constant(is_mosaic), tf.constant([center] * 4), tf.fill([4, 4, 2], offset)
    )


def made(batch, settings=None, **others):
    found = mosaic.make_mosaics(batch, draws(**others), settings or config())
    return {key: value.numpy() for key, value in found.items()}


def test_rooms_lie_around_a_centre_and_tile_the_input():
    """40 x 80: the centre is in rows 10 to 30 and columns 20 to 60."""
    expected = [[0, 0, 20, 30], [0, 30, 20, 80], [20, 0, 40, 30], [20, 30, 40, 80]]
    np.testing.assert_array_equal(mosaic.make_rooms(tf.constant([0.5, 0.25]), (40, 80)), expected)
    for center, corner in (((0.0, 0.0), [10, 20]), ((0.999, 0.999), [29, 59])):
        rooms = mosaic.make_rooms(tf.constant(center), (40, 80)).numpy()
        np.testing.assert_array_equal(rooms[0, 2:], corner)


def test_each_image_is_in_each_room_once():
    found = made(step(), center=(0.0, 0.5))  # ten rows above the centre, twenty columns left of it
    for place, image in enumerate(found["images"]):
        for k, part in enumerate(
            [image[:10, :20], image[:10, 20:], image[10:, :20], image[10:, 20:]]
        ):
            assert (part == 10 * ((place + k) % 4 + 1)).all()
    np.testing.assert_array_equal(found["image_ids"], range(4))
    assert set(found) == set(step()) - {"whole_boxes", "shown_size"}


def test_boxes_move_with_their_images():
    boxes = [[5, 5, 15, 15], [12, 14, 20, 24], None, [0, 0, 40, 40]]
    found = made(step(boxes))
    # From 10, 10 of the image to the corner of its room: at 0, 0; at 0, 20; and at 20, 20.
    expected = [[0, 0, 5, 5], [2, 24, 10, 34], [20, 20, 39, 39]]
    np.testing.assert_allclose(found["gt_boxes"][0], expected)
    np.testing.assert_array_equal(found["gt_classes"][0], [0, 1, 3])
    # In the next, image 1 is at the top left, and image 0 at the bottom right.
    np.testing.assert_allclose(found["gt_boxes"][1][0], [2, 4, 10, 14])
    np.testing.assert_array_equal(found["gt_classes"][1], [1, 3, 0])


@pytest.mark.parametrize(("min_visible", "is_kept"), [(0.25, True), (0.26, False)])
@pytest.mark.parametrize(
    ("box", "offset"),
    [
        ([5, 5, 15, 15], 0.5),  # the mosaic leaves a quarter
        ([-30, 10, 10, 20], 0.0),  # what the image itself shows is a quarter, and all of it is left
    ],
)
def test_a_box_must_be_visible_as_a_share_of_all_of_it(min_visible, is_kept, box, offset):
    found = made(step([box]), config(min_visible=min_visible), offset=offset)
    assert (found["gt_classes"][0, 0] == 0) == is_kept


def test_padding_is_left_out_where_an_image_shows_enough():
    """Image 1 has 30 rows and image 2 has 8, above padding; rooms have 20."""
    images = np.array(step()["images"])
    images[1, 30:], images[2, 8:] = PADDING, PADDING
    found = made(step(images=images, shown_size=[[40, 40], [30, 40], [8, 40], [40, 40]]))
    image = found["images"][0]
    assert (image[:20, 20:] == 20).all()  # rows 5 to 25 of it
    assert (image[20:28, :20] == 30).all() and (image[28:, :20] == PADDING).all()
    found = made(step([None, [6, 0, 9, 40]], shown_size=[[40, 40], [30, 40], [8, 40], [40, 40]]))
    np.testing.assert_allclose(found["gt_boxes"][0][0], [1, 20, 4, 39])


def test_an_image_that_is_no_mosaic_stays_as_it_is():
    batch = step([[5, 5, 15, 15], None, [1, 2, 30, 50]], num_dropped_boxes=[0, 1, 2, 3])
    found = made(batch, is_mosaic=(False, True, False, False))
    for key in ("images", "gt_boxes", "gt_classes", "num_dropped_boxes"):
        np.testing.assert_array_equal(found[key][[0, 2, 3]], batch[key].numpy()[[0, 2, 3]])
    assert (found["images"][1] != 20).any()


def test_boxes_beyond_max_boxes_are_counted_with_those_of_the_images():
    boxes = [[12, 12, 28, 28]] * 4
    one_box = {key: step(boxes)[key][:, :2] for key in ("gt_boxes", "whole_boxes", "gt_classes")}
    batch = step(num_dropped_boxes=[0, 5, 0, 1]) | one_box
    found = made(batch, config(max_boxes=2))
    np.testing.assert_array_equal(found["gt_classes"][0], [0, 1])
    np.testing.assert_array_equal(found["num_dropped_boxes"], [8] * 4)  # 5 + 1, and two of four


def test_masks_go_with_the_pixels():
    batch = step()
    for key in ("gt_boxes", "whole_boxes", "gt_classes"):
        del batch[key]
    # Another value at each place of a mask.
    masks = (np.arange(1600) % 251).reshape(1, 40, 40) + np.arange(4).reshape(4, 1, 1)
    images = np.repeat(masks[..., None], 3, 3).astype(np.uint8)
    batch |= {"images": tf.constant(images), "gt_masks": tf.constant(masks, tf.uint8)}
    found = made(batch, center=(0.3, 0.9), offset=0.2)
    np.testing.assert_array_equal(found["gt_masks"], found["images"][..., 0])
    assert (found["gt_masks"] != masks).any()


def test_draws_follow_from_the_seed():
    seed = tf.constant([3, 8], tf.int64)
    first, again = mosaic.draw(seed, 400, 0.25), mosaic.draw(seed, 400, 0.25)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0.15 < first.is_mosaic.numpy().mean() < 0.35  # 0.25 within five deviations
    assert mosaic.draw(seed, 400, 1.0).is_mosaic.numpy().all()
    assert not mosaic.draw(seed, 400, 0.0).is_mosaic.numpy().any()
    other = mosaic.draw(tf.constant([3, 9], tf.int64), 400, 0.25)
    assert (first.center.numpy() != other.center.numpy()).all()


def test_steps_with_too_few_images_are_refused():
    mosaic.check_enough(4, 2)
    with pytest.raises(UserError, match="a step, which has 2; set data.batch_size to 4 or more"):
        mosaic.check_enough(2, 1)
    with pytest.raises(UserError, match="each of 8 hosts, which has 1; .* to 32 or more"):
        mosaic.check_enough(1, 8)
