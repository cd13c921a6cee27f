"""Scenes with exact boxes, the same for the same seed."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from edet.errors import UserError
from edet.records.preparing import prepare_record
from edet.records.sources.synthetic import LABELS, SyntheticSet, draw_scene, make_scene


def test_a_seed_gives_one_scene_and_another_seed_another():
    image, boxes, class_ids = make_scene((3, 1), 64)
    again = make_scene((3, 1), 64)
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(boxes, again[1])
    np.testing.assert_array_equal(class_ids, again[2])
    assert not np.array_equal(image, make_scene((3, 2), 64)[0])


@hypothesis.given(st.integers(0, 10**6), st.sampled_from([32, 65, 128]))
@hypothesis.settings(max_examples=25, deadline=None)
def test_boxes_are_tight_around_the_visible_pixels(seed, size):
    image, owners, _ = draw_scene(seed, size)
    boxes = make_scene(seed, size)[1]
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    for index, (ymin, xmin, ymax, xmax) in enumerate(boxes.astype(int)):
        mask = owners == index
        inside = mask[ymin:ymax, xmin:xmax]
        assert mask.sum() == inside.sum() > 0
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_a_shape_differs_from_the_ground_inside_its_mask_only():
    # Colours of a shape are uniform but for noise; those of two shapes and the ground differ.
    image, owners, class_ids = draw_scene((0, 5), 128)
    for index in range(len(class_ids)):
        spread = image[owners == index].astype(float).std(axis=0)
        assert (spread < 35).all()


def test_scenes_have_every_class_and_some_have_none():
    scenes = [make_scene((0, i), 48) for i in range(150)]
    seen = np.bincount(np.concatenate([class_ids for _, _, class_ids in scenes]), minlength=4)
    assert seen[0] == 0
    assert (seen[1:] > 0.25 * seen.sum()).all()  # a third each
    empty = sum(len(class_ids) == 0 for _, _, class_ids in scenes)
    assert 5 <= empty <= 30  # one in ten
    assert max(len(class_ids) for _, _, class_ids in scenes) == 6


def test_shards_hold_each_scene_once_whatever_their_number():
    source = SyntheticSet(num_images=5, size=32, seed=1)
    whole = {example.source_id: example for example in source.shard(0, 1)}
    halves = [*source.shard(0, 2), *source.shard(1, 2)]
    assert sorted(whole) == ["1-0", "1-1", "1-2", "1-3", "1-4"]
    assert [example.source_id for example in halves] == ["1-0", "1-2", "1-4", "1-1", "1-3"]
    assert all(example.image == whole[example.source_id].image for example in halves)


def test_its_boxes_need_no_cleaning():
    source = SyntheticSet(num_images=8, size=64)
    for example in source.shard(0, 1):
        record, tally = prepare_record(example, LABELS)
        assert record is not None
        assert not tally.problems
        assert tally.boxes["written"] == len(example.boxes)


def test_the_fingerprint_tells_settings_apart():
    prints = [
        SyntheticSet(*settings).fingerprint(index, 2)
        for settings, index in (((4, 64, 0), 0), ((4, 64, 0), 1), ((4, 64, 1), 0), ((4, 32, 0), 0))
    ]
    assert len(set(prints)) == 4


@pytest.mark.parametrize(
    ("settings", "flag"), [((0, 64, 0), "num_images"), ((1, 31, 0), "image_size")]
)
def test_impossible_settings_are_refused(settings, flag):
    with pytest.raises(UserError, match=f"--{flag}"):
        SyntheticSet(*settings)
