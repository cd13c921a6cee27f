"""The pipeline from a picture to the class of its pixels, and the same in every exported form."""

import json

import numpy as np
import pytest
import tensorflow as tf

import edet
from edet.config.schema import Config, SegmentationConfig, replace
from edet.errors import UserError
from edet.export.exported import load_exported
from edet.export.litert import export_litert
from edet.export.saved_model import export_saved_model
from edet.image.letterbox import mask_to_picture
from edet.inference.detector import Detector, Segmenter, make_predictor
from edet.inference.predictor import of_pixels
from edet.models.efficientdet import build_network
from tests.small import small_model

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, size, dtype=np.uint8) for size in ((50, 90, 3), (64, 40, 3))]
LABELS = {0: "background", 3: "disc", 7: "square"}
BOTH = ("detection", "segmentation")


def make_config(*heads) -> Config:
    head = SegmentationConfig(num_classes=3, labels=LABELS, width=8, repeats=1)
    return Config(model=small_model(image_size=(64, 64), heads=heads, segmentation=head))


@pytest.fixture(scope="module")
def parts():
    """A network that segments, and its configuration."""
    config = make_config("segmentation")
    return build_network(config.model), config


@pytest.fixture(scope="module")
def segmenter(parts) -> Segmenter:
    return edet.Segmenter(*parts)


@pytest.fixture(scope="module")
def joint():
    config = make_config(*BOTH)
    return build_network(config.model), config


def test_a_letterboxed_map_comes_back_in_the_pictures_own_pixels():
    letterboxed = np.array([[1, 2, 9], [3, 4, 9], [9, 9, 9]], np.uint8)
    # Only a row shows the first picture, only a column the second.
    assert mask_to_picture(letterboxed[:, :2], (2, 4)).tolist() == [[1, 1, 2, 2]] * 2
    tall = [[1] * 3, [1] * 3, [3] * 3, [3] * 3, [9] * 3, [9] * 3]
    assert mask_to_picture(letterboxed, (6, 3)).tolist() == tall


def test_masks_have_the_pictures_sizes_and_the_data_sets_values(segmenter):
    masks = segmenter([*PICTURES, tf.io.encode_png(PICTURES[0]).numpy()])
    assert [mask.shape for mask in masks] == [(50, 90), (64, 40), (50, 90)]
    assert set(np.unique(masks[0])) <= set(LABELS)
    assert (masks[0] == masks[2]).all()
    pixels, _ = segmenter.prepare(tf.constant(PICTURES[1]))
    maps = segmenter.predict(pixels[None], tf.ones(1))["class_maps"]
    assert np.array_equal(masks[1], maps[0, :, :40])  # nothing was resized


def test_what_is_no_picture_is_refused_by_its_place(segmenter):
    with pytest.raises(UserError, match="image 1 is float32"):
        segmenter([PICTURES[0], np.zeros((4, 4, 3), np.float32)])
    with pytest.raises(UserError, match="image 0 cannot be decoded"):
        segmenter([b"no picture"])


def test_a_saved_model_gives_the_same_masks(parts, segmenter, tmp_path):
    loaded = tf.saved_model.load(export_saved_model(*parts, str(tmp_path / "m")))
    encoded = [tf.io.encode_png(picture).numpy() for picture in PICTURES]
    found = loaded.signatures["serving_default"](image_bytes=tf.constant(encoded))
    assert found["sizes"].numpy().tolist() == [[35, 64], [64, 40]]
    for k, mask in enumerate(segmenter(PICTURES)):
        served = mask_to_picture(found["class_maps"][k].numpy(), mask.shape)
        assert (served == mask).mean() > 0.999
    spoilt = loaded.signatures["tolerant"](image_bytes=tf.constant([encoded[0], b"x"]))
    assert spoilt["decoded"].numpy().tolist() == [True, False]
    assert spoilt["sizes"].numpy().tolist() == [[35, 64], [0, 0]]
    card = json.loads((tmp_path / "m" / "1" / "assets.extra" / "edet.json").read_text())
    assert card["mask_labels"] == {str(k): name for k, name in LABELS.items()}
    assert set(card["signatures"]["raw"]["outputs"]) == {"segmentation_logits"}


def test_a_joint_saved_model_answers_both(joint, tmp_path):
    loaded = tf.saved_model.load(export_saved_model(*joint, str(tmp_path / "m")))
    assert set(loaded.signatures) == {
        "serving_default", "tolerant", "images", "raw",
        "segmentation", "segmentation_tolerant", "segmentation_images",
    }  # fmt: skip
    images = tf.constant(PICTURES[0][None])
    mask = loaded.signatures["segmentation_images"](images=images)["class_maps"]
    assert mask.shape == (1, 64, 64)
    assert "boxes" in loaded.signatures["images"](images=images)


def with_export(parts, **export):
    network, config = parts
    return network, replace(config, export={"format": "litert"} | export)


@pytest.mark.parametrize(
    ("export", "agreement"),
    [({}, 0.999), ({"outputs": "network"}, 0.999), ({"precision": "int8"}, 0.9)],
    ids=["map", "logits", "int8"],
)
def test_a_litert_file_gives_the_same_masks(parts, segmenter, tmp_path, export, agreement):
    path = str(tmp_path / "m.tflite")
    pixels = [segmenter.prepare(tf.constant(picture))[0].numpy() for picture in PICTURES]
    export_litert(*with_export(parts, **export), path, pixels)
    masks = load_exported(path)(PICTURES)["masks"]
    for mask, expected in zip(masks, segmenter(PICTURES), strict=True):
        assert (mask == expected).mean() > agreement
    card = json.loads((tmp_path / "m.json").read_text())
    assert "boxes" not in card["outputs"] and "anchors" not in card


def test_a_joint_litert_file_gives_boxes_and_a_map(joint, tmp_path):
    path = str(tmp_path / "m.tflite")
    export_litert(*with_export(joint), path)
    found, expected = load_exported(path)(PICTURES), Detector(*joint)(PICTURES)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4)
    expected = Segmenter(*joint)(PICTURES)
    assert (found["masks"][0] == expected[0]).mean() > 0.999


@pytest.mark.parametrize("detect", [{}, {"flip": True, "tile": (32, 40)}])
def test_one_pass_finds_what_each_head_finds_alone(joint, detect):
    """However often the boxes are looked for, pixels are classified in the whole picture."""
    network, config = joint
    config = replace(config, detect=detect)
    calls = []

    def counted(images, training):
        tf.py_function(lambda: calls.append(1), [], [])
        return network(images, training=training)

    found = make_predictor(of_pixels(counted, config.model), config)(PICTURES)
    if not detect:
        assert len(calls) == 1
    for name, value in Detector(network, config)(PICTURES).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-4, err_msg=name)
    for mask, expected in zip(found["masks"], Segmenter(network, config)(PICTURES), strict=True):
        assert (mask == expected).mean() > 0.999


def test_boxes_of_a_network_without_are_refused(parts, tmp_path):
    with pytest.raises(UserError, match="model.heads has no detection"):
        export_litert(*with_export(parts, outputs="boxes"), str(tmp_path / "m.tflite"))
