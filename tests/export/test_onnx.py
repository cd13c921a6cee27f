"""ONNX files say in onnxruntime what the Detector says, and explain themselves."""

import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from onnxruntime.transformers import float16

from edet.errors import UserError
from edet.export.exported import exported_config, load_exported, open_exported
from edet.export.onnx import OPSET, export_onnx
from edet.files import read_text
from edet.image.letterbox import normalize_images
from edet.inference.detector import Detector
from tests.export.test_litert import (
    LABELS,
    assert_same_detections,
    detector_of,
    parts_of,
    spread_network,
)
from tests.small import small_model


@pytest.fixture(scope="module")
def network():
    """With swish and weighted fusion, as D0; the LiteRT tests have ReLU6."""
    return spread_network(small_model(labels=LABELS, activation="swish"))


@pytest.fixture(scope="module")
def picture():
    coarse = np.random.default_rng(1).integers(0, 256, (5, 9, 3), "uint8")
    return np.kron(coarse, np.ones((8, 8, 1), "uint8"))


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """A file of the bare network."""
    path = str(tmp_path_factory.mktemp("onnx") / "model.onnx")
    return export_onnx(*parts_of(network, format="onnx", outputs="network"), path)


DETECT = {"nms": "hard", "max_detections": 20, "box_voting": True}


@pytest.fixture(scope="module")
def detecting(network, tmp_path_factory):
    """A file that gives detections."""
    parts = parts_of(network, DETECT, format="onnx")
    return export_onnx(*parts, str(tmp_path_factory.mktemp("onnx") / "detecting.onnx"))


def test_the_network_is_the_same_within_1e_4_of_the_largest(network, exported):
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    expected = network(normalize_images(image, network.model_config))
    found = load_exported(exported).network(image)
    assert set(found) == {"class_logits", "box_deltas"}
    for name, value in found.items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-4 * largest)


def test_a_file_holds_no_initializer_that_nothing_reads(exported):
    """onnxruntime warns of each at every load."""
    graph = onnx.load(exported).graph
    read = {name for node in graph.node for name in node.input}
    assert {one.name for one in graph.initializer} <= read


@pytest.mark.parametrize("side", [80, 112])  # 3 -> 5 rows, and 4 -> 7
def test_levels_that_are_not_whole_multiples_keep_their_sizes(side, tmp_path):
    network = spread_network(small_model(image_size=side))
    parts = parts_of(network, format="onnx", outputs="network")
    file = load_exported(export_onnx(*parts, str(tmp_path / "x.onnx"))).network
    image = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype("float32")
    expected = network(normalize_images(image, network.model_config))
    for name, value in file(image).items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-4 * largest)


def test_the_detector_suppresses_softly_what_the_file_leaves(network, exported, picture):
    found = load_exported(exported)([picture])
    assert found["num_detections"].min() > 10
    assert_same_detections(found, detector_of(network)([picture]))


def test_hard_suppression_in_the_file_is_the_detectors(network, picture, detecting):
    outputs = open_exported(detecting).outputs
    assert set(outputs) == {"boxes", "scores", "classes", "num_detections"}
    found = load_exported(detecting)([picture])
    assert found["scores"].shape == (1, 20)
    assert set(np.unique(found["classes"])) <= {0, 3, 7}
    detector = Detector(*parts_of(network, DETECT))
    assert_same_detections(found, detector([picture]))


def test_soft_suppression_is_refused_and_the_way_out_named(network, tmp_path):
    parts = parts_of(network, format="onnx")
    with pytest.raises(UserError, match="detect.nms=hard, or export.outputs to boxes"):
        export_onnx(*parts, str(tmp_path / "x.onnx"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_explains_itself(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import if not o.domain] == [("", OPSET)]
    stored = {entry.key: entry.value for entry in model.metadata_props}
    card = json.loads(stored["edet.json"])
    assert card == json.loads(read_text(exported.replace(".onnx", ".json"), "card"))
    assert card["labels"] == {"3": "a", "7": "b", "9": ""}
    assert exported_config(exported).model.labels == LABELS


def test_every_operation_is_of_the_standard(exported):
    """No operation of a vendor, so that any runtime reads the file."""
    assert {node.domain for node in onnx.load(exported).graph.node} == {""}


@pytest.mark.parametrize("file", ["exported", "detecting"])
def test_operations_are_of_the_kind_that_every_runtime_takes_alike(file, request):
    """What OpenVINO, MNN, TVM, tract, onnx2tf and others take wrongly: docs/consumers.md."""
    graph = onnx.load(request.getfixturevalue(file)).graph
    values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    resizes = suppressions = 0
    for node in graph.node:
        given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        assert given.get("auto_pad", b"NOTSET") == b"NOTSET"  # padding is in numbers
        if node.op_type == "Resize":
            resizes += 1
            assert given["mode"] == b"nearest" and given["nearest_mode"] == b"floor"
            assert given["coordinate_transformation_mode"] == b"asymmetric"
            assert not given.get("antialias") and "keep_aspect_ratio_policy" not in given
        before = [made_by[name].op_type for name in node.input if name in made_by]
        assert (node.op_type, before) != ("MaxPool", ["Pad"])
        assert (node.op_type, before) != ("Reshape", ["Reshape"])
        if node.op_type in ("Sub", "Div") and node.input[0] in values:
            assert "Conv" not in before
        if node.op_type == "Slice":
            assert len(node.input) < 5 or (values[node.input[4]] > 0).all()
            assert (values[node.input[1]] >= 0).all()
        assert node.op_type not in ("ReduceL1", "ReduceLogSum", "ReduceLogSumExp", "RoiAlign")
        assert set(given.get("dilations", [1])) == {1}
        if node.op_type == "NonMaxSuppression":
            suppressions += 1
            assert 0 < values[node.input[3]] < 1 and values[node.input[4]] > 0
    assert resizes and suppressions == (file == "detecting")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda content: b"nonsense", "cannot read the model file"),
        (lambda content: content[: len(content) // 2], "cannot read the model file"),
        (lambda content: _without_metadata(content), "was not written by --mode=export"),
        (lambda content: _renamed(content), r"must take images \(1, 64, 96, 3\), .* has is pixels"),
        (lambda content: _cut(content), "must give box_deltas .* has is class_logits"),
        (lambda content: _set(content, "- 96", "- 128"), r"must take images \(1, 64, 128, 3\)"),
        (lambda content: _set(content, "fit:", "fitting:"), "of another version of edet: there is"),
    ],
    ids=["nonsense", "truncated", "of others", "renamed", "cut", "of another network", "newer"],
)
def test_a_file_that_is_damaged_or_of_others_is_named(make, message, exported, tmp_path):
    path = tmp_path / "broken.onnx"
    with open(exported, "rb") as file:
        path.write_bytes(make(file.read()))
    with pytest.raises(UserError, match=rf"{message}.*broken.onnx|broken.onnx.*{message}"):
        load_exported(str(path))


def _without_metadata(content):
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    return model.SerializeToString()


def _renamed(content):
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]
    model.graph.input[0].name = "pixels"
    return model.SerializeToString()


def _cut(content):
    model = onnx.load_from_string(content)
    kept = [one for one in model.graph.output if one.name != "box_deltas"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model.SerializeToString()


def _set(content, old, new):
    model = onnx.load_from_string(content)
    for entry in model.metadata_props:
        entry.value = entry.value.replace(old, new)
    return model.SerializeToString()


def test_a_file_whose_numbers_another_tool_has_halved_still_detects(detecting, picture, tmp_path):
    """As onnxconverter-common's float16 does it: the input, the outputs and all between them."""
    model = float16.convert_float_to_float16(onnx.load(detecting), keep_io_types=False)
    onnx.save(model, path := str(tmp_path / "half.onnx"))
    found, expected = (load_exported(one)([picture]) for one in (path, detecting))
    assert found["boxes"].dtype == np.float32
    np.testing.assert_allclose(found["scores"][0, 0], expected["scores"][0, 0], atol=5e-3)
    np.testing.assert_allclose(found["boxes"][0, 0], expected["boxes"][0, 0], atol=0.5)


def test_another_ending_and_missing_packages_are_named(network, exported, tmp_path, monkeypatch):
    parts = parts_of(network, format="onnx", outputs="boxes")
    with pytest.raises(UserError, match=r"must end in .onnx"):
        export_onnx(*parts, str(tmp_path / "model.onx"))
    for package in ("tf2onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'edet\[onnx\]'"):
        export_onnx(*parts, str(tmp_path / "x.onnx"))
    with pytest.raises(UserError, match=r"pip install 'edet\[onnx\]'"):
        load_exported(shutil.copy(exported, tmp_path / "another.onnx"))
