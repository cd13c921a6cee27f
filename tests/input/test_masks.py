"""Masks move with the pixels of their image and become indices of logits."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AugmentConfig
from edet.input import augment
from edet.input.masks import index_mask, place_mask

VALUES = np.array([[0, 1, 1], [15, 20, 255]], np.uint8)


def geometry(size, output, flip=False, scale=1.0, offset=(0.0, 0.0)):
    draws = augment.Draws(
        tf.constant(flip), tf.constant(False), tf.constant(scale), tf.constant(offset)
    )
    return augment.make_geometry(draws, tf.constant(size), output)


def place(mask, output, image_size=None, **draws):
    size = mask.shape if image_size is None else image_size
    found = place_mask(
        tf.constant(mask), tf.constant(size), geometry(size, output, **draws), output
    )
    return found.numpy()


def test_a_mask_is_enlarged_without_new_values_and_padded_with_ignored():
    found = place(np.array([[1, 7]], np.uint8), (3, 4))
    assert found.tolist() == [[1, 1, 7, 7], [1, 1, 7, 7], [255] * 4]


def test_a_mask_is_flipped_and_cropped():
    mask = np.array([[1, 2, 3, 4]], np.uint8)
    assert place(mask, (1, 4), flip=True).tolist() == [[4, 3, 2, 1]]
    cropped = place(mask, (2, 4), scale=2.0, offset=(0.0, 1.0))  # 2 x 8, of it the right half
    assert cropped.tolist() == [[3, 3, 4, 4], [3, 3, 4, 4]]


def test_a_mask_follows_an_image_that_was_decoded_at_half_its_size():
    mask = np.repeat(np.arange(4, dtype=np.uint8), 2)[None].repeat(4, axis=0)  # 4 x 8
    found = place(mask, (2, 4), image_size=(2, 4))
    assert found.tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("seed", range(4))
def test_mask_and_box_of_a_rectangle_stay_together(seed):
    """Flips, jitter and crop: the box around the moved mask is the moved box, within a pixel."""
    mask = np.zeros((60, 90), np.uint8)
    mask[12:40, 20:70] = 3
    config = AugmentConfig(vertical_flip=True, jitter_min=0.5, jitter_max=1.6)
    draws = augment.draw(tf.constant([7, seed], tf.int64), config)
    size, output = tf.constant(mask.shape), (48, 64)
    moved = augment.make_geometry(draws, size, output)
    box = tf.constant([[12 / 60, 20 / 90, 40 / 60, 70 / 90]])
    expected = augment.move_boxes(box, size, moved)[0].numpy()
    rows, columns = np.nonzero(place_mask(tf.constant(mask), size, moved, output).numpy() == 3)
    found = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    np.testing.assert_allclose(found, np.clip(expected, 0, [48, 64] * 2), atol=1.01)


def test_values_become_indices_of_logits_and_unknown_ones_are_named():
    found = index_mask(tf.constant(VALUES), [0, 1, 15, 20], lambda: tf.constant("image 5"))
    assert found.numpy().tolist() == [[0, 1, 1], [2, 3, 255]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"mask of image 5 has values.*\(15\)"):
        index_mask(tf.constant(VALUES), [0, 1, 20], lambda: tf.constant("image 5"))
