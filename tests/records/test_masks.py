"""Masks: files of every kind, records, and the move with the pixels of their image."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet.config.loading import load_config
from edet.config.schema import replace
from edet.errors import UserError
from edet.input.pipeline import make_train_dataset
from edet.input.reading import user_errors
from edet.records.masks import (
    BadMask,
    color_map,
    decode_mask,
    encode_colored,
    encode_mask,
    load_mask,
    read_masks,
)
from edet.records.schema import Example, Mask, parse_example
from edet.records.shards import check_records
from edet.records.sources.example_set import ExampleSet
from edet.records.sources.mask_sets import add_masks, add_panoptic, read_mask_set
from edet.records.sources.synthetic import MASK_LABELS, SyntheticSet, draw_scene, make_mask
from edet.records.writing import write_records
from tests.pictures import encoded

VALUES = np.array([[0, 1, 1], [15, 20, 255]], np.uint8)


def png(pixels, mode=None):
    return encoded(Image.fromarray(pixels, mode))


def test_grey_and_palette_masks_hold_the_same_values():
    assert (load_mask(Mask(encode_mask(VALUES))) == VALUES).all()
    assert (load_mask(Mask(encode_colored(VALUES))) == VALUES).all()


def test_vocs_colours_are_those_of_its_development_kit():
    colors = color_map()
    assert colors[[0, 1, 8, 15, 255]].tolist() == [
        [0, 0, 0], [128, 0, 0], [64, 0, 0], [192, 128, 128], [224, 224, 192],
    ]  # fmt: skip


def test_panoptic_colours_become_the_categories_of_their_segments():
    ids = np.array([[0, 3], [70000, 256]])
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    mask = Mask(png(rgb), segments=((3, 1), (70000, 200)))
    assert load_mask(mask).tolist() == [[255, 1], [200, 255]]  # no segment, and one not listed


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "cannot be read"), (png(np.zeros((2, 3, 3), np.uint8)), "mode RGB"), (b"x", "read")],
)
def test_a_file_that_is_no_mask_is_refused(content, why):
    with pytest.raises(BadMask, match=why):
        load_mask(Mask(content))


def a_folder(tmp_path, masks):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, mask in masks.items():
        (tmp_path / "images" / f"{name}.png").write_bytes(png(np.zeros((2, 3, 3), np.uint8)))
        if mask is not None:
            (tmp_path / "masks" / f"{name}.png").write_bytes(mask)
    return str(tmp_path / "images"), str(tmp_path / "masks")


def test_a_folder_of_masks_becomes_records(tmp_path):
    folders = a_folder(tmp_path, {"a": encode_colored(VALUES), "b": encode_mask(VALUES[:, :2])})
    report = write_records(read_mask_set(*folders, MASK_LABELS), str(tmp_path / "r"))
    assert report.tally.images["dropped: unusable mask"] == 1  # b is smaller than its picture
    assert report.tally.problems[0]["detail"] == "is 2x2, its upright image 3x2"
    (mask,) = read_masks(report.shards)
    assert (mask == VALUES).all()
    assert "0: background" in (tmp_path / "r.mask_labels.yaml").read_text()
    assert check_records(report.shards).has_masks


def test_pictures_and_masks_may_share_a_folder_with_other_files(tmp_path):
    for name in ("a", "b"):
        Image.new("RGB", (3, 2)).save(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.png").write_bytes(encode_mask(VALUES))
        (tmp_path / f"{name}.json").write_text("{}")
    source = read_mask_set(str(tmp_path), str(tmp_path), MASK_LABELS)
    assert [e.image for e in source.examples] == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg"]
    assert [e.mask.file for e in source.examples] == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]


def test_two_pictures_of_one_mask_are_refused(tmp_path):
    folders = a_folder(tmp_path, {"a": encode_mask(VALUES)})
    Image.new("RGB", (3, 2)).save(tmp_path / "images" / "a.jpg")
    with pytest.raises(UserError, match="images has a.jpg and a.png, and one mask for both"):
        read_mask_set(*folders, MASK_LABELS)


def test_a_split_without_a_picture_is_refused(tmp_path):
    folders = a_folder(tmp_path, {"a": encode_mask(VALUES)})
    split = tmp_path / "train.txt"
    split.write_text("a\nghost\n")
    with pytest.raises(UserError, match="masks has no file ghost"):
        read_mask_set(*folders, MASK_LABELS, str(split))
    split.write_text("a\n")
    assert len(read_mask_set(*folders, MASK_LABELS, str(split))) == 1


def boxes_only(name):
    return Example(f"{name}.png", name, np.zeros((0, 4)), np.zeros(0))


def test_boxes_get_the_masks_of_their_names_and_panoptic_ones_by_image_id(tmp_path):
    _, folder = a_folder(tmp_path, {"a": encode_mask(VALUES)})
    source = ExampleSet([boxes_only("a"), boxes_only("7")], {1: "disc"})
    found = add_masks(source, folder, MASK_LABELS)
    assert [e.mask and e.mask.file for e in found.examples] == [f"{folder}/a.png", None]
    panoptic = {
        "categories": [{"id": 200, "name": "rug"}],
        "annotations": [
            {"image_id": 7, "file_name": "7.png", "segments_info": [{"id": 9, "category_id": 200}]}
        ],
    }
    (tmp_path / "p.json").write_text(json.dumps(panoptic))
    found = add_panoptic(source, str(tmp_path / "p.json"), folder)
    assert found.examples[1].mask == Mask(f"{folder}/7.png", ((9, 200),))
    assert found.mask_labels == {200: "rug"}
    with pytest.raises(UserError, match="has no mask of any picture"):
        add_masks(ExampleSet([boxes_only("z")], {}), folder, MASK_LABELS)
    panoptic["categories"][0]["id"] = 254
    (tmp_path / "p.json").write_text(json.dumps(panoptic))
    with pytest.raises(UserError, match="ids of 0 to 253"):
        add_panoptic(source, str(tmp_path / "p.json"), folder)


def test_another_mask_is_another_fingerprint(tmp_path):
    _, folder = a_folder(tmp_path, {"a": encode_mask(VALUES)})
    source = ExampleSet([boxes_only("a")], {})
    without = source.fingerprint(0, 1)
    masked = add_masks(source, folder, MASK_LABELS)
    assert masked.fingerprint(0, 1) not in (without, source.fingerprint(0, 2) + "x")
    assert without == ExampleSet([boxes_only("a")], {}).fingerprint(0, 1)


def test_a_scene_and_its_mask_agree_with_its_boxes():
    image, owners, class_ids = draw_scene((0, 3), 64)
    mask = make_mask(owners, class_ids)
    assert mask.shape == image.shape[:2]
    assert set(np.unique(mask)) == {0, *class_ids}


def test_the_training_batch_has_masks_and_no_boxes_where_nothing_is_detected(tmp_path):
    report = write_records(SyntheticSet(4, size=64), str(tmp_path / "r"))
    record = next(iter(tf.data.TFRecordDataset(report.shards)))
    assert "mask" not in parse_example(record)  # detection does not carry it about
    overrides = [
        "model.heads=[segmentation]", "model.image_size=64", "data.batch_size=4",
        "model.segmentation.labels={0: background, 1: disc, 2: square, 3: triangle}",
        "augment.jitter_min=1", "augment.jitter_max=1", "augment.horizontal_flip=false",
    ]  # fmt: skip
    config = load_config(overrides=overrides)
    batch = next(iter(make_train_dataset(config, report.shards)))
    assert set(batch) == {"images", "gt_masks", "image_ids", "num_dropped_boxes", "is_replaced"}
    stored = list(read_masks(report.shards))
    for mask, number in zip(batch["gt_masks"].numpy(), batch["image_ids"].numpy(), strict=True):
        assert (mask == stored[number]).all()
    unknown = load_config(overrides=[*overrides, "model.segmentation.labels={0: a, 1: b}"])
    with pytest.raises(UserError, match="model.segmentation.labels lacks"), user_errors(["r"]):
        next(iter(make_train_dataset(unknown, report.shards)))
    # Of a mosaic at least 16 x 16 pixels at the top left are of one image, from some place of it.
    mosaics = replace(config, augment={"mosaic": 1.0})
    mixed = next(iter(make_train_dataset(mosaics, report.shards)))
    assert set(mixed) == set(batch)
    whole, parts = (
        tf.concat([b["images"], b["gt_masks"][..., None]], -1).numpy() for b in (batch, mixed)
    )
    places = np.lib.stride_tricks.sliding_window_view(whole, (16, 16), (1, 2))
    for k, part in enumerate(parts[:, :16, :16]):
        found = (places[k] == part.transpose(2, 0, 1)).all((-2, -1))
        assert (found[..., :3].all(-1) & found[..., 3]).any()
        assert not (parts[k] == whole[k]).all()


def test_a_record_without_mask_is_ignored_beside_boxes_and_refused_alone(tmp_path):
    picture = png(np.zeros((64, 64, 3), np.uint8))
    source = ExampleSet([Example(picture, "1", np.zeros((0, 4)), np.zeros(0))], {1: "cat"})
    files = write_records(source, str(tmp_path / "r")).shards
    overrides = ["model.image_size=64", "data.batch_size=1", "model.heads=[segmentation]"]
    with pytest.raises(UserError, match="image 1 .* has no mask"), user_errors(["r"]):
        next(iter(make_train_dataset(load_config(overrides=overrides), files)))
    joint = load_config(overrides=[*overrides, "model.heads=[detection, segmentation]"])
    batch = next(iter(make_train_dataset(joint, files)))
    assert (batch["gt_masks"].numpy() == 255).all()
    assert "gt_boxes" in batch


def test_a_record_without_mask_has_one_ignored_pixel():
    assert decode_mask(tf.constant(b"")).numpy().tolist() == [[255]]
