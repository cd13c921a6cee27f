"""The Detector against the reference end to end, and on every kind of input."""

import json

import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.image.letterbox import normalize_images
from edet.inference.detector import Detector, Segmenter
from edet.models.complexity import outline
from edet.models.efficientdet import build_network
from tests.golden.fill import fill_with_golden_weights
from tests.pictures import encoded
from tests.small import small_model


@pytest.fixture(scope="module")
def detector():
    """A fresh small network: all its scores are about 0.01, which is above the threshold."""
    config = replace(Config(), model=vars(small_model(labels={3: "a", 7: "b", 9: ""})))
    return Detector(build_network(config.model), config)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 90, 3), "uint8")


@pytest.fixture(scope="module")
def end_to_end(golden):
    """The reference's picture and detections, D0 with its weights, and the raw outputs for it."""
    figures = np.load(golden / "e2e.npz")
    network = build_network(reference_config().model)
    fill_with_golden_weights(network, reference_config().model, json.loads(str(figures["meta"])))
    detector = Detector(network, reference_config())
    pixels, scale = detector.prepare(tf.constant(figures["image"]))
    outputs = network(normalize_images(pixels[None], reference_config().model))
    return figures, network, outputs, scale[None]


def reference_config(**detect) -> Config:
    """Set to what the reference's export does: D0 at 256 pixels, ids 1 to 90 all detectable.

    It has no label map, so it also emits ids that COCO never used, and takes each anchor's best
    class as a candidate.
    """
    labels = {k: f"c{k}" for k in range(1, 91)}
    config = load_config("efficientdet-d0")
    return replace(
        config,
        model={"image_size": 256, "labels": labels},
        detect={"pre_nms_top_k": 0, "score_threshold": 0.001} | detect,
    )


def assert_detections_equal(found: dict[str, np.ndarray], figures, mode: str) -> None:
    """Scores within 1e-5, boxes within 0.005 pixels, the same classes in the same order.

    Seen: 9e-7 and 0.0004. Logits differ by some 1e-6 of their size from machine to machine.
    """
    scores = figures[f"{mode}/scores"]
    count = len(scores)
    assert found["num_detections"].tolist() == [count]
    np.testing.assert_allclose(found["scores"][0, :count], scores, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["classes"][0, :count], figures[f"{mode}/classes"])
    boxes = found["boxes"][0, :count]
    if mode.startswith("global"):  # the reference clips to the network input in this mode only
        boxes = boxes.clip(0, 256 * 300 / 256)
    np.testing.assert_allclose(boxes, figures[f"{mode}/boxes"], rtol=0, atol=0.005)


@pytest.mark.parametrize("nms", ["gaussian", "hard"])
@pytest.mark.parametrize("suppression", ["global", "per_class"])
def test_a_picture_gives_the_references_detections(suppression, nms, end_to_end):
    figures, network, outputs, scale = end_to_end
    threshold = 0.001 if nms == "gaussian" else 0.0
    config = reference_config(
        nms=nms, class_agnostic=suppression == "global", score_threshold=threshold
    )
    detector = Detector(network, config)
    found = detector.postprocess(outputs["class_logits"], outputs["box_deltas"], scale)
    found = {name: value.numpy() for name, value in found.items()}
    assert_detections_equal(found, figures, f"{suppression}_{nms}")


def test_the_detector_gives_the_references_detections_from_pixels(end_to_end):
    figures, network, *_ = end_to_end
    found = Detector(network, reference_config())([figures["image"]])
    assert_detections_equal(found, figures, "per_class_gaussian")


def test_arrays_lists_and_bytes_of_one_picture_agree(detector, picture):
    batch = detector(picture[None])
    for images in ([picture], [encoded(picture)]):
        found = detector(images)
        for name, value in batch.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_pictures_of_different_sizes_make_one_batch(detector, picture):
    found = detector([picture, picture[:20, :30], np.zeros((1, 1, 3), "uint8")])
    assert found["boxes"].shape == (3, 100, 4)
    assert {name: value.dtype.name for name, value in found.items()} == {
        "boxes": "float32", "scores": "float32", "classes": "int32", "num_detections": "int32",
    }  # fmt: skip


def test_a_picture_is_found_alike_alone_and_in_company(detector, picture):
    alone, company = detector([picture]), detector([picture[:20, :30], picture])
    np.testing.assert_allclose(company["scores"][1], alone["scores"][0], rtol=1e-5)
    np.testing.assert_allclose(company["boxes"][1], alone["boxes"][0], rtol=1e-4, atol=1e-3)


def test_classes_are_the_data_sets_ids_and_unnamed_ones_are_never_detected(detector, picture):
    found = detector([picture])
    count = found["num_detections"][0]
    assert count > 0
    assert set(found["classes"][0, :count]) <= {3, 7}
    assert set(found["classes"][0, count:]) <= {0}


def test_boxes_are_in_pixels_of_the_given_picture(detector, picture):
    """A picture doubled in size has boxes of twice the size."""
    large = np.kron(picture, np.ones((2, 2, 1), "uint8"))
    small, double = detector([picture]), detector([large])
    size = lambda found: np.median(found["boxes"][0, :, 2] - found["boxes"][0, :, 0])  # noqa: E731
    assert size(double) == pytest.approx(2 * size(small), rel=0.2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no images"),
        ([np.zeros((4, 4, 3), "float32")], "image 0 is float32"),
        ([np.zeros((4, 4), "uint8")], "must be uint8"),
        ([np.zeros((4, 4, 3), "uint8"), b"no picture"], "image 1 cannot be decoded"),
        ([b""], "image 0 cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_named_by_its_place(detector, images, message):
    with pytest.raises(UserError, match=message):
        detector(images)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image_size": (64, 64)}, r"takes pictures of \[64, 96\] pixels, .* is \[64, 64\]"),
        ({"labels": {1: "a"}, "num_classes": 1}, "tells 3 classes apart, and the configuration 1"),
    ],
)
def test_a_network_of_another_configuration_is_refused(changes, why):
    """Its numbers would be given the names of other classes."""
    network = outline(small_model())
    with pytest.raises(UserError, match=f"this network {why}; give the configuration"):
        Detector(network, replace(Config(), model=vars(small_model()) | changes))


@pytest.mark.parametrize("use", [Detector, Segmenter])
def test_a_part_of_the_configuration_is_refused(use):
    with pytest.raises(UserError, match="the whole configuration, .* and not with a ModelConfig"):
        use(outline(small_model()), small_model())


def test_a_network_without_the_head_is_refused():
    with pytest.raises(UserError, match="class_logits, box_deltas, but no segmentation_logits"):
        Segmenter(outline(small_model()), replace(Config(), model=vars(small_model())))
