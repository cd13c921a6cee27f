"""Files for MediaPipe say what the Detector says, in MediaPipe's names and units."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edet.config.schema import Config, ConfigError, ExportConfig, replace
from edet.export.exported import exported_config, load_exported
from edet.export.litert import export_litert
from edet.export.mediapipe import OUTPUTS, tflite_metadata
from edet.inference.detector import Detector
from tests.export.test_litert import (
    LABELS,
    assert_same_detections,
    detector_of,
    parts_of,
    spread_network,
)
from tests.small import small_model

DETECT = {"nms": "hard", "score_threshold": 0.01, "max_detections": 9}

MEDIAPIPE = {"format": "litert", "outputs": "mediapipe"}


@pytest.fixture(scope="module")
def network():
    return spread_network(small_model(labels=LABELS))


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("mediapipe") / "model.tflite")
    return export_litert(*parts_of(network, DETECT, outputs="mediapipe"), path)


@pytest.fixture(scope="module")
def picture():
    coarse = np.random.default_rng(1).integers(20, 230, (8, 12, 3), "uint8")
    return np.kron(coarse, np.ones((8, 8, 1), "uint8"))  # 64 x 96, the input's own size


def test_outputs_are_shares_and_rows_in_float32(network, exported, picture):
    interpreter = Interpreter(exported)
    found = interpreter.get_signature_runner()(images=picture[None].astype("float32"))
    assert {value.dtype.name for value in found.values()} == {"float32"}
    expected = detector_of(network, DETECT)([picture])
    count = int(found["number of detections"][0])
    assert count == expected["num_detections"][0] > 3
    boxes = found["location"][0, :count] * np.array([64, 96, 64, 96])
    clipped = np.clip(expected["boxes"][0, :count], 0, [64, 96, 64, 96])
    np.testing.assert_allclose(boxes, clipped, atol=1e-2)
    names = [(list(LABELS))[int(row)] for row in found["category"][0, :count]]
    assert names == expected["classes"][0, :count].tolist()


def test_a_network_that_stretches_sees_pictures_of_any_shape_as_mediapipe_shows_them(
    network, picture, tmp_path
):
    """MediaPipe's way is done by hand: 40 x 72 pixels stretched to 64 x 96, shares of 40 x 72."""
    model = dataclasses.replace(small_model(labels=LABELS), fit="stretch")
    config = replace(Config(), model=vars(model), detect=DETECT, export=MEDIAPIPE)
    path = export_litert(network, config, str(tmp_path / "model.tflite"))
    assert exported_config(path).model.fit == "stretch"
    picture = picture[:40, :72]
    expected = Detector(network, config)([picture])
    count = int(expected["num_detections"][0])
    clipped = np.clip(expected["boxes"], 0, [40, 72, 40, 72])
    assert_same_detections(load_exported(path)([picture]), {**expected, "boxes": clipped})
    stretched = tf.image.resize(picture, (64, 96))[None].numpy()
    found = Interpreter(path).get_signature_runner()(images=stretched)
    boxes = found["location"][0, :count] * np.array([40, 72, 40, 72])
    np.testing.assert_allclose(boxes, clipped[0, :count], atol=1e-2)
    with zipfile.ZipFile(path) as archive:
        fitting = json.loads(archive.read("edet.json"))["input"]["fitting"]
    assert "to 64 x 96 whatever the picture's shape" in fitting


def test_the_file_still_evaluates_and_predicts(network, exported, picture):
    expected = dict(detector_of(network, DETECT)([picture]))
    expected["boxes"] = np.clip(expected["boxes"], 0, [64, 96, 64, 96])
    assert_same_detections(load_exported(exported)([picture]), expected)


def test_the_label_file_and_the_metadata_lie_where_mediapipe_looks(exported):
    with zipfile.ZipFile(exported) as archive:
        assert archive.read("labels.txt").decode() == "a\nb\nclass 9\n"
        assert json.loads(archive.read("edet.json"))["outputs"] == dict(OUTPUTS.values())
    with open(exported, "rb") as file:
        model = schema.Model.GetRootAs(file.read())
    entries = [model.Metadata(k) for k in range(model.MetadataLength())]
    (entry,) = [one for one in entries if one.Name() == b"TFLITE_METADATA"]
    content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert content == tflite_metadata(small_model(labels=LABELS), "float32")
    assert content[4:8] == b"M001"


@pytest.mark.parametrize("kind", ["onnx", "saved_model"])
def test_other_formats_are_refused(kind):
    with pytest.raises(ConfigError, match=r"export\.outputs is mediapipe"):
        ExportConfig(format=kind, outputs="mediapipe")
