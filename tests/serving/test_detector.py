"""The Detector against the reference end to end, and on every kind of input."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.models.efficientdet import build_network
from edet.serving.detector import Detector
from tests.golden.fill import fill_with_golden_weights
from tests.small import small_model


@pytest.fixture(scope="module")
def detector():
    """A fresh small network: all its scores are about 0.01, which is above the threshold."""
    config = replace(Config(), model=vars(small_model(labels={3: "a", 7: "b", 9: ""})))
    return Detector(build_network(config.model), config)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 90, 3), "uint8")


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("nms", ["gaussian", "hard"])
def test_pictures_give_the_references_detections(nms, shared):
    """Scores within 1e-5, boxes within 0.05 pixels, the same classes in the same order.

    The reference's export takes each anchor's best class as a candidate and has no label map, so
    it also emits ids that COCO never used; the Detector is set to do the same here.
    """
    golden = np.load(shared / "golden" / "e2e.npz")
    labels = ", ".join(f"{k}: c{k}" for k in range(1, 91))
    config = load_config(
        "efficientdet-d0",
        overrides=[
            "model.image_size=256", f"model.labels={{{labels}}}", "detect.pre_nms_top_k=0",
            f"detect.nms={nms}",
            f"detect.score_threshold={0.001 if nms == 'gaussian' else 0}",
        ],
    )  # fmt: skip
    network = build_network(config.model)
    fill_with_golden_weights(network, config.model, json.loads(str(golden["meta"])))
    found = Detector(network, config)(golden["images"])
    prefix = f"per_class_{nms}"
    np.testing.assert_array_equal(found["num_detections"], golden[f"{prefix}/valid_len"])
    np.testing.assert_allclose(found["scores"], golden[f"{prefix}/scores"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["classes"], golden[f"{prefix}/classes"])
    np.testing.assert_allclose(found["boxes"], golden[f"{prefix}/boxes"], rtol=0, atol=0.05)


def test_arrays_lists_and_bytes_of_one_picture_agree(detector, picture):
    batch = detector(picture[None])
    for images in ([picture], [png(picture)]):
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


def test_classes_are_the_data_sets_ids_and_unnamed_ones_are_never_emitted(detector, picture):
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
        ([np.zeros((4, 4), "uint8")], "takes uint8"),
        ([np.zeros((4, 4, 3), "uint8"), b"no picture"], "image 1 cannot be decoded"),
        ([b""], "image 0 cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_named_by_its_place(detector, images, message):
    with pytest.raises(UserError, match=message):
        detector(images)
