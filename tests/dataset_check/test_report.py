"""What a check says of sets whose figures are known."""

import dataclasses
import io
import json

import numpy as np
import pytest
import rich
from rich.console import Console

from edet.config.schema import Config, replace
from edet.dataset_check.check import CheckedImage, CheckedSet
from edet.dataset_check.report import report_on

LABELS = {1: "cat", 2: "dog"}
CONFIG = replace(
    Config(), model={"image_size": 128, "labels": LABELS, "num_classes": 2}, data={"max_boxes": 3}
)
# Each is an anchor of D0 at 128 pixels, so that the anchors have nothing to complain about.
BOX = [52, 52, 84, 84]


def image(source_id, class_ids=(1, 2), digest=None, is_crowd=False, size=128, box=BOX):
    n = len(class_ids)
    boxes = np.array([box] * n, np.float32).reshape(-1, 4)
    areas = np.full(n, 32 * 32, np.float32)
    ids = np.array(class_ids, np.int64)
    crowd = np.full(n, is_crowd)
    place = ("train-0", int(source_id, 36), (digest or source_id).encode())
    return CheckedImage(source_id, size, size, boxes, ids, crowd, areas, *place)


def report(train, other=None, config=CONFIG, class_names=None):
    sets = {"train": CheckedSet(train, class_names=class_names or {})}
    if other is not None:
        sets["eval"] = CheckedSet(other)
    return report_on(sets, config)


def test_a_sound_set_gets_figures_and_no_remark():
    found = report([image("a"), image("b", [1])], [image("c")])
    assert found.sentences == []
    train = found.summary["train"]
    assert (train["images"], train["boxes"], train["median boxes in an image"]) == (2, 3, 1)
    assert train["boxes per image"] == {"1": 1, "2": 1}
    assert train["classes"][0] == {"id": 1, "name": "cat", "boxes": 2, "images": 2}
    assert train["heights"]["32-64"] == 3
    assert found.summary["anchors"]["all"]["recall"] == 1
    assert found.summary["overlap"] == {"source ids": [], "pictures": []}
    json.dumps(found.summary)


def test_sides_are_those_of_the_network_input_and_areas_of_the_original():
    train = report([image("a", [1], size=512, box=[0, 0, 40, 40])]).summary["train"]
    assert train["areas"] == {"small": 0, "medium": 1, "large": 0}
    assert train["heights"]["8-16"] == 1  # 40 x 128 / 512 = 10


def test_the_two_sets_stand_side_by_side():
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*report([image("a")], [image("b"), image("c")]).tables)
    text = console.export_text()
    assert "train boxes" in text
    assert "eval boxes" in text
    assert ["images", "1", "2"] in [line.split() for line in text.splitlines()]


def test_repeated_images_are_named():
    train = [image("a"), image("a", digest="other"), image("b"), image("c", digest="b")]
    found = report(train)
    ids, pictures = found.sentences
    assert ids.startswith(
        "train: source ids that come more than once: 1, such as image a (record 10 of"
    )
    assert pictures.startswith(
        "train: pictures that come more than once: 1, such as image b (record 11"
    )
    assert "image c" in pictures
    assert len(found.summary["train"]["repeated source ids"]) == 1


def test_evaluation_refuses_repeated_ids():
    (sentence,) = report([image("a")], [image("b"), image("b", digest="other")]).sentences
    assert sentence.startswith("eval: source ids that come more than once: 1")
    assert "evaluation refuses them" in sentence


@pytest.mark.parametrize(
    ("digest", "words"), [(None, "Pictures in both"), ("other", "Source ids in both")]
)
def test_images_in_both_sets_are_named(digest, words):
    (sentence,) = report([image("a"), image("b")], [image("b", digest=digest)]).sentences
    assert sentence.startswith(words)
    assert " b" in sentence


def test_pictures_that_look_alike_are_named_once_with_the_one_most_like_them():
    def look(name, bits, digest=None):
        return dataclasses.replace(image(name, digest=digest), look=bits)

    train = [look("a", 0), look("b", 2**64 - 1), look("c", 0b111)]  # c is 3 bits from a
    other = [look("d", 2**64 - 1 - 0b1111), look("e", 0x0F0F0F0F), look("f", 0, digest="a")]
    found = report(train, other)
    same, within, across = found.sentences
    assert same.startswith("Pictures in both train and eval")  # f, to the byte
    names = {i.source_id: i.name for i in train + other}
    assert within.startswith(
        "train: pictures that look like one before them: 1, such as "
        f"{names['c']} and {names['a']}; the workdir's near_duplicates.png"
    )
    assert across.startswith("Pictures of eval that look like one of train, so that AP may look")
    assert f": 1, such as {names['d']} and {names['b']};" in across
    assert found.summary["near duplicates"] == {
        "train": [{"image": names["c"], "looks like": names["a"], "bits": 3}],
        "eval": [],
        "train and eval": [{"image": names["d"], "looks like": names["b"], "bits": 4}],
    }
    json.dumps(found.summary)


def test_photos_whose_boxes_may_be_of_turned_pixels_are_counted_with_what_to_do():
    train = [image("a"), *(dataclasses.replace(image(n), orientation=3) for n in "bc")]
    train.append(dataclasses.replace(image("d"), orientation=2))
    (sentence,) = report(train).sentences
    assert sentence.startswith("train: photos that EXIF turns or mirrors and whose size does not")
    assert f": 3 (1 of orientation 2, 2 of orientation 3), first {train[1].name};" in sentence
    assert "edet create_tfrecords --exif=stored" in sentence
    photos = report(train).summary["train"]["turned by exif, boxes unsure"]
    assert [photo["orientation"] for photo in photos] == [3, 3, 2]


def test_boxes_beyond_the_limit_are_counted():
    train = [image("a", [1, 2, 1, 2, 1]), image("b", [1] * 4), image("c", [1] * 3)]
    (sentence,) = report(train).sentences
    assert "images with more than data.max_boxes=3 boxes: 2;" in sentence
    assert "leaves out 3 of" in sentence
    assert "data.max_boxes=5 keeps all" in sentence


def test_crowds_do_not_count_against_the_limit_unless_they_are_learnt():
    train = [image("a"), image("b", [1] * 5, is_crowd=True)]
    assert report(train).sentences == []
    learnt = replace(CONFIG, data={"skip_crowd": False})
    assert "more than data.max_boxes=3 boxes: 1;" in report(train, config=learnt).sentences[0]


def test_a_class_without_boxes_is_named():
    (sentence,) = report([image("a", [1])]).sentences
    assert sentence == "train: classes without a box: dog."


def test_a_label_map_in_another_order_is_noticed():
    (sentence,) = report([image("a")], class_names={1: {"dog", ""}, 2: {"dog"}}).sentences
    assert "1 is 'dog' in the records and 'cat' in model.labels" in sentence
    assert "2 is" not in sentence


def test_names_that_nobody_gave_are_not_compared():
    plain = replace(CONFIG, model={"labels": {}})
    assert report([image("a")], config=plain, class_names={1: {"dog"}}).sentences == []


def test_problems_are_counted_with_the_first_of_each_kind():
    found = CheckedSet([image("a")])
    found.tally.image_problem("image b", "undecodable image", "why")
    found.tally.image_problem("image c", "undecodable image", "why")
    found.tally.box_problem("image a", "box without area", 2, "box 0")
    result = report_on({"train": found}, CONFIG)
    assert result.sentences == [
        "train: 2 × undecodable image, first image b.",
        "train: 2 × box without area, first image a.",
    ]
    assert result.summary["train"]["problem counts"] == {
        "undecodable image": 2,
        "box without area": 2,
    }
    assert len(result.summary["train"]["problems"]) == 3
    assert result.tables[-1].row_count == 3


def test_boxes_in_pixels_are_recognised():
    found = CheckedSet([image("a")])
    found.tally.box_problem("image a", "box outside of the image", 2, "box 0")
    sentences = report_on({"train": found}, CONFIG).sentences
    assert any("shares of height and width" in sentence for sentence in sentences)


def test_a_set_without_boxes_has_no_anchor_reach():
    found = report([image("a", [])])
    assert "anchors" not in found.summary
    assert found.sentences == ["train: classes without a box: cat, dog."]
    rich.print(*found.tables)


def test_a_network_of_pixels_asks_for_masks_and_not_for_boxes():
    config = replace(CONFIG, model={"heads": ("segmentation",)})
    masked = dataclasses.replace(image("a", []), has_mask=True)
    (sentence,) = report([masked, image("b", [])], config=config).sentences
    assert sentence.startswith("train: 1 of 2 images have no mask and say nothing about pixels")


def test_images_with_more_objects_than_can_be_found_or_counted_are_told():
    full = image("b", [1] * 130)
    config = replace(CONFIG, data={"max_boxes": 500}, detect={"max_detections": 120})
    train = [image("a"), full, image("c", [1] * 130, is_crowd=True)]
    found, counted = report(train, [image("d")], config).sentences
    assert found.startswith("train: images with more objects than detect.max_detections=120: 1,")
    assert f"such as {full.name!r} with 130, so that 10 of 132 objects" in found
    assert counted.startswith("train: images with more than 100 objects of a class: 1,")
    (sentence,) = report(
        train[:1], [full], replace(config, detect={"max_detections": 130})
    ).sentences
    assert sentence.startswith("eval: images with more than 100 objects of a class: 1,")


def test_twelve_bits_in_sixteen_are_told_until_the_white_level_fits():
    dark = [dataclasses.replace(image(name), brightest=3520) for name in "ab"]
    (sentence,) = report(dark, [image("c")]).sentences
    assert sentence.startswith(
        "train: the 2 pictures of 16 bits hold no value above 3520, a 16th of"
    )
    assert "set model.white_level=4095" in sentence
    assert report(dark, config=replace(CONFIG, model={"white_level": 4095})).sentences == []
