"""LiteRT files say what the Detector says, in every precision, and explain themselves."""

import concurrent.futures
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from PIL import Image

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.config.sizes import list_models
from edet.errors import UserError
from edet.export import litert
from edet.export.calibration import calibration_pixels
from edet.export.exported import detect_of, exported_config, load_exported
from edet.export.litert import export_litert
from edet.export.portable import OUTPUTS
from edet.files import read_text
from edet.image.letterbox import normalize_images
from edet.inference.detector import Detector
from edet.models.efficientdet import build_network
from edet.records.schema import Example, encode_example
from tests.conftest import REPOSITORY
from tests.pictures import encoded
from tests.small import small_model

LABELS = {3: "a", 7: "b", 9: ""}  # the third has a logit and is never detected
ALL_KEPT = {"nms": "hard", "iou_threshold": 1.0}  # no detection depends on which of two came first


def spread_network(model):
    """A fresh network whose scores are far enough apart to come in one order everywhere."""
    keras.utils.set_random_seed(1)  # of four seeds the one with which anything is found in a photo
    network = build_network(model)
    rng = np.random.default_rng(0)
    for name, size in (("class_head.predict", 30.0), ("box_head.predict", 5.0)):
        layer = network.get_layer(name)
        depthwise, pointwise, bias = layer.get_weights()
        layer.set_weights([depthwise, rng.normal(0, size, pointwise.shape), bias])
    return network


@pytest.fixture(scope="module")
def network():
    return spread_network(small_model(labels=LABELS))


@pytest.fixture(scope="module")
def pictures():
    """Blocks of colour, none of them black or white."""
    rng = np.random.default_rng(1)
    coarse = (rng.integers(20, 230, (*size, 3), "uint8") for size in ((5, 9), (7, 3)))
    return [np.kron(image, np.ones((8, 8, 1), "uint8")) for image in coarse]


def parts_of(network, detect=None, **export):
    """The network and a configuration that exports it, as the exporters take them."""
    model = vars(network.model_config)
    export = {"format": "litert"} | export
    return network, replace(Config(), model=model, detect=detect or {}, export=export)


def detector_of(network, detect=None):
    return Detector(*parts_of(network, detect))


@pytest.fixture(scope="module")
def pixels(network, pictures):
    detector = detector_of(network)
    return [detector.prepare(picture)[0].numpy() for picture in pictures]


@pytest.fixture(scope="module")
def file_of(network, pixels, tmp_path_factory):
    """Exports with the given precision, outputs and `detect`, each once."""

    @functools.cache
    def export(precision, outputs, **detect):
        parts = parts_of(network, detect, precision=precision, outputs=outputs)
        path = tmp_path_factory.mktemp("litert") / f"{precision}-{outputs}.tflite"
        return export_litert(*parts, str(path), pixels)

    return export


def assert_same_detections(found, expected):
    """Scores within 1e-5, boxes within 0.01 pixels, the same classes in the same order."""
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-5, atol=0.01)


@pytest.mark.parametrize("outputs", ["network", "boxes", "detections"])
def test_a_float32_file_detects_what_the_detector_detects(outputs, network, file_of, pictures):
    found = load_exported(file_of("float32", outputs))(pictures)
    expected = detector_of(network)(pictures)
    assert expected["num_detections"].min() > 10
    assert set(np.unique(expected["classes"])) <= {0, 3, 7}
    assert_same_detections(found, expected)


def test_suppression_in_the_file_follows_every_setting(network, pictures, tmp_path):
    detect = {"class_agnostic": True, "nms": "hard", "pre_nms_top_k": 0, "max_detections": 20}
    detect["box_voting"] = True
    detector = detector_of(network, detect)
    path = export_litert(*parts_of(network, detect), str(tmp_path / "x.tflite"))
    found = load_exported(path)(pictures)
    assert found["scores"].shape == (2, 20)
    assert_same_detections(found, detector(pictures))
    apart = detector_of(network, detect | {"class_agnostic": False})(pictures)
    assert not np.array_equal(found["scores"], apart["scores"])


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float16", 0.01), ("dynamic", 0.05), ("int8", 0.1)]
)
def test_a_smaller_file_stays_near_the_network(precision, tolerance, network, file_of, pixels):
    """Logits and deltas within a hundredth, a twentieth, a tenth of their range."""
    path = file_of(precision, "network")
    assert os.path.getsize(path) < 0.6 * os.path.getsize(file_of("float32", "network"))
    file = load_exported(path).network
    for image in pixels:
        expected = network(normalize_images(image[None], network.model_config))
        for name, value in file(image[None]).items():
            span = np.ptp(expected[name])
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * span)


@pytest.mark.parametrize("outputs", ["boxes", "detections"])
def test_int8_ends_at_the_network_and_boxes_stay_float32(outputs, file_of, pictures):
    """What int8 files decode is what the Detector makes of the int8 network's outputs.

    The few values of a quantised output tie, and how ties fall is a matter of the processor. So
    nothing is suppressed, and detections are looked for in any order.
    """
    found = load_exported(file_of("int8", outputs, **ALL_KEPT))(pictures)
    expected = load_exported(file_of("int8", "network", **ALL_KEPT))(pictures)
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-5)
    for k in range(len(pictures)):
        # Of those that tie with the last score, either may have taken others.
        sure = expected["scores"][k] > expected["scores"][k, -1] + 1e-5
        assert sure.sum() > 10
        assert_all_found(
            {name: value[k] for name, value in found.items()},
            {name: value[k][sure] for name, value in expected.items() if value.ndim > 1},
        )


def assert_all_found(found, wanted):
    """Each wanted detection is there: score within 1e-5, box within 0.01 pixels, the same class."""
    is_there = (
        (np.abs(found["scores"] - wanted["scores"][:, None]) <= 1e-5)
        & (found["classes"] == wanted["classes"][:, None])
        & (np.abs(found["boxes"] - wanted["boxes"][:, None]).max(-1) <= 0.01)
    )
    assert is_there.any(axis=1).all()


def test_uint8_input_is_the_pixel_itself(file_of):
    """Although no picture that the file was calibrated with has a black or white pixel."""
    (details,) = Interpreter(file_of("int8", "detections", **ALL_KEPT)).get_input_details()
    assert details["dtype"] == np.uint8
    assert details["quantization"] == (1.0, 0)
    assert details["shape"].tolist() == [1, 64, 96, 3]


def test_every_operation_of_the_int8_network_is_int8(file_of):
    interpreter = Interpreter(file_of("int8", "network"))
    floats = {t["index"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32}
    in_float = {
        operation["op_name"]
        for operation in interpreter._get_ops_details()
        if floats & set(operation["outputs"]) and operation["op_name"] != "DELEGATE"
    }
    assert in_float == {"DEQUANTIZE"}


@pytest.mark.parametrize(
    ("io", "kind", "pixel"),
    [
        ("int8", np.int8, (1.0, -128)),
        ("uint8", np.uint8, (1.0, 0)),
        ("float32", np.float32, (0, 0)),
    ],
)
def test_an_int8_file_takes_and_gives_the_numbers_asked_for(
    io, kind, pixel, network, file_of, pixels, tmp_path
):
    """They mean what the float32 outputs of the same int8 network say; edet reads them as such."""
    parts = parts_of(network, precision="int8", outputs="network", io=io)
    path = export_litert(*parts, str(tmp_path / "x.tflite"), pixels)
    interpreter = Interpreter(path)
    ends = {"images": interpreter.get_input_details()[0]}
    ends |= interpreter.get_signature_runner().get_output_details()
    assert {end["dtype"] for end in ends.values()} == {kind}
    assert ends["images"]["quantization"] == pixel
    card = json.loads(read_text(path.replace(".tflite", ".json"), "card"))
    assert card["input"]["type"] == io
    if io == "float32":
        assert "quantization" not in card
    else:
        said = {name: card["quantization"][name] for name in ends}
        for name, end in ends.items():
            assert (said[name]["scale"], said[name]["zero_point"]) == end["quantization"]
        kinds = {one["op_name"] for one in interpreter._get_ops_details()}
        assert "DEQUANTIZE" not in kinds
        assert "QUANTIZE" not in kinds or io == "uint8"
    expected, found = load_exported(file_of("int8", "network")).network, load_exported(path).network
    for image in pixels:
        for name, value in expected(image[None]).items():
            np.testing.assert_allclose(found(image[None])[name], value, rtol=1e-6)


def test_int8_weights_have_a_scale_for_every_channel(file_of):
    model = flatbuffer_utils.read_model(file_of("int8", "network"))
    graph, builtin = model.subgraphs[0], schema.BuiltinOperator
    convolutions = {builtin.CONV_2D: 0, builtin.DEPTHWISE_CONV_2D: 3}  # {kind: axis of channels}
    found = 0
    for operator in graph.operators:
        kind = model.operatorCodes[operator.opcodeIndex].builtinCode
        if kind in convolutions:
            weights = graph.tensors[operator.inputs[1]]
            assert len(weights.quantization.scale) == weights.shape[convolutions[kind]]
            found += 1
    assert found > 20


# As D0's: squeeze and excitation, swish, weighted fusion, five levels.
LIKE_D0 = small_model(
    backbone="efficientnet-w0.35-d0.3", activation="swish", fusion="fast", max_level=7,
    image_size=64,
)  # fmt: skip
RELEASED = [name for name in list_models() if "lite" in name or name == "efficientdet-d0"]


def assert_converts(config, folder):
    """At 64 x 64, logits and deltas within 1e-4 of the largest."""
    config = replace(config, export={"format": "litert", "outputs": "network"})
    network = build_network(config.model)
    path = export_litert(network, config, str(folder / "x.tflite"))
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    expected = network(normalize_images(image, config.model))
    for name, value in load_exported(path).network(image).items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-4 * largest)


def test_a_network_with_all_that_d0_has_converts(tmp_path):
    assert_converts(replace(Config(), model=vars(LIKE_D0)), tmp_path)


# The small networks above are lite0's kind, the one before is D0's.
@pytest.mark.thorough
@pytest.mark.parametrize("name", RELEASED)
def test_every_released_lite_size_and_d0_converts(name, tmp_path):
    assert_converts(load_config(name, overrides=["model.image_size=64"]), tmp_path)


@pytest.fixture(scope="module")
def exported(file_of):
    return file_of("float32", "network")


def test_a_file_explains_itself_to_whoever_can_unzip(exported):
    with zipfile.ZipFile(exported) as archive:
        card = json.loads(archive.read("edet.json"))
    assert card == json.loads(read_text(exported.replace(".tflite", ".json"), "card"))
    assert card["labels"] == {"3": "a", "7": "b", "9": ""}
    assert card["class_ids"] == [3, 7, 9]
    assert card["input"]["shape"] == [1, 64, 96, 3]
    assert card["input"]["padding"] == [123.675, 116.28, 103.53]
    assert set(card["outputs"]) == {"class_logits", "box_deltas"}
    assert card["anchors"]["levels"]["3"] == {"height": 8, "width": 12}


@pytest.mark.parametrize("outputs", ["network", "boxes", "detections"])
def test_every_tensor_has_a_name_of_its_own_and_the_outputs_those_of_the_signature(
    outputs, file_of
):
    """OpenVINO and quantisers know tensors by name alone, and show the outputs by it."""
    graph = flatbuffer_utils.read_model(file_of("float32", outputs)).subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    assert len(set(names)) == len(names)
    wanted = set(OUTPUTS[outputs])
    assert {names[index] for index in graph.outputs} == wanted
    assert names[graph.inputs[0]] == "images"


def test_a_file_that_chooses_detections_keeps_its_own_settings(file_of):
    asked = replace(Config(), detect={"iou_threshold": 0.9, "draw_threshold": 0.7})
    own = detect_of(file_of("float32", "detections"), asked)
    assert (own.iou_threshold, own.draw_threshold) == (0.5, 0.7)
    assert detect_of(file_of("float32", "network"), asked) == asked.detect


def test_several_threads_share_a_file(file_of):
    """Each finds what one alone finds; an interpreter has room for one picture."""
    predictor = load_exported(file_of("float32", "detections"))
    rng = np.random.default_rng(2)
    pictures = [rng.integers(0, 256, (1, 40, 60, 3), "uint8") for _ in range(8)]
    expected = [predictor(picture)["boxes"] for picture in pictures]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(predictor, pictures * 10))
    for one, boxes in zip(found, expected * 10, strict=True):
        np.testing.assert_array_equal(one["boxes"], boxes)


def test_resizes_are_of_the_kind_that_every_runtime_takes_alike(file_of):
    """Doubling without half_pixel_centers, which OpenVINO forgets and MNN takes wrongly."""
    model = flatbuffer_utils.read_model(file_of("float32", "network"))
    graph, kind = model.subgraphs[0], schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR
    resizes = [
        operator for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == kind
    ]  # fmt: skip
    assert resizes
    for operator in resizes:
        before, after = (graph.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
        assert list(after[1:3]) == [2 * size for size in before[1:3]]
        assert not operator.builtinOptions.halfPixelCenters


def test_operations_are_of_the_kind_that_opencv_takes_alike(file_of):
    """What it takes wrongly from a .tflite file: docs/consumers.md."""
    model = flatbuffer_utils.read_model(file_of("float32", "network"))
    kinds = {code.builtinCode for code in model.operatorCodes}
    assert schema.BuiltinOperator.DEPTHWISE_CONV_2D in kinds
    assert not kinds & {schema.BuiltinOperator.AVERAGE_POOL_2D, schema.BuiltinOperator.SOFTMAX}
    for operator in model.subgraphs[0].operators:
        assert getattr(operator.builtinOptions, "dilationWFactor", 1) == 1


def test_a_file_that_was_written_again_without_its_archive_still_runs(file_of, pictures, tmp_path):
    """As by a quantiser: what lies behind the flatbuffer is gone, its metadata are not."""
    exported = file_of("float32", "detections")
    again = tmp_path / "again.tflite"
    flatbuffer_utils.write_model(flatbuffer_utils.read_model(exported), str(again))
    assert not zipfile.is_zipfile(again)
    expected, found = load_exported(exported)(pictures), load_exported(str(again))(pictures)
    np.testing.assert_array_equal(found["boxes"], expected["boxes"])


def test_a_file_of_before_the_metadata_still_runs(exported, pictures, tmp_path):
    """Its settings lie in the archive alone."""
    model = flatbuffer_utils.read_model(exported)
    model.metadata = []
    old = tmp_path / "old.tflite"
    flatbuffer_utils.write_model(model, str(old))
    with zipfile.ZipFile(exported) as whole, zipfile.ZipFile(old, "a") as archive:
        archive.writestr("config.yaml", whole.read("config.yaml"))
    assert exported_config(str(old)) == exported_config(exported)


def test_the_cards_recipe_gives_the_anchors(exported):
    """A reader who knows only the card finds the first and the last anchor of level 3."""
    with zipfile.ZipFile(exported) as archive:
        anchors = json.loads(archive.read("edet.json"))["anchors"]
    height, width = anchors["multipliers_of_height_and_width"][0]
    first = 4 - anchors["scale"] * 8 * height / 2, 4 - anchors["scale"] * 8 * width / 2
    ours = load_exported(exported).heads["detection"].postprocess.anchors
    np.testing.assert_allclose(ours[0, :2], first)
    level = anchors["levels"]["3"]
    last = level["height"] * level["width"] * anchors["octaves"] * 3 - 1
    height, width = anchors["multipliers_of_height_and_width"][-1]
    side = anchors["scale"] * 8 * 2 ** (2 / anchors["octaves"])
    corner = 60 + side * height / 2, 92 + side * width / 2
    np.testing.assert_allclose(ours[last, 2:], corner, rtol=1e-6)


def test_the_configuration_travels_along(exported):
    config = exported_config(exported, ["detect.score_threshold=0.5"])
    assert config.model.labels == LABELS
    assert config.model.image_size == (64, 96)
    assert config.detect.score_threshold == 0.5


def test_a_file_runs_where_there_is_no_edet_and_no_tensorflow(exported, tmp_path):
    code = (
        "import sys, numpy as np; from ai_edge_litert.interpreter import Interpreter; "
        "run = Interpreter(sys.argv[1]).get_signature_runner('serving_default'); "
        "found = run(images=np.zeros((1, 64, 96, 3), 'float32')); "
        "assert not {'edet', 'tensorflow'} & set(sys.modules); "
        "print(sorted((name, value.shape) for name, value in found.items()))"
    )
    command = [sys.executable, "-I", "-c", code, exported]
    run = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[('box_deltas', (1, 1134, 4)), ('class_logits', (1, 1134, 3))]"


def test_the_documented_program_without_edet_finds_the_same(file_of, network, tmp_path, capsys):
    """Blocks of 16 pixels at half their size: every fitted pixel has the colour of its block."""
    coarse = np.random.default_rng(1).integers(20, 230, (8, 12, 3), "uint8")
    picture = np.kron(coarse, np.ones((16, 16, 1), "uint8"))
    Image.fromarray(picture).save(tmp_path / "street.png")
    path = shutil.copy(file_of("float32", "detections"), tmp_path / "model.tflite")
    page = (REPOSITORY / "docs" / "consumers.md").read_text()
    program = page.split("## In Python, without edet")[1].split("```python\n")[1].split("```")[0]
    for name in ("model.json", "model.tflite", "street.jpg"):
        assert name in program
        program = program.replace(name, str(tmp_path / name).replace(".jpg", ".png"))
    with zipfile.ZipFile(path) as archive:
        archive.extract("edet.json", tmp_path)
    (tmp_path / "edet.json").rename(tmp_path / "model.json")
    scope = {}
    exec(program, scope)
    expected = detector_of(network)([picture])
    found = {name: scope["found"][name] for name in expected}
    assert_same_detections(found | {"boxes": found["boxes"] / scope["scale"]}, expected)
    assert len(capsys.readouterr().out.splitlines()) == expected["num_detections"][0] > 10


def test_pictures_to_calibrate_with_are_spread_over_what_is_given(network, tmp_path):
    for k in range(10):
        (tmp_path / f"{k}.png").write_bytes(encoded(np.full((64, 96, 3), 10 * k, "uint8")))
    _, config = parts_of(network, precision="int8", calibration_images=4)
    pixels = list(calibration_pixels(config, [str(tmp_path)]))
    assert [int(image[0, 0, 0]) for image in pixels] == [0, 20, 50, 70]
    _, config = parts_of(network, precision="int8", calibration_images=9)  # all but one
    assert len(list(calibration_pixels(config, [str(tmp_path)]))) == 9
    (tmp_path / "0.png").write_bytes(b"nonsense")
    told = []
    assert len(list(calibration_pixels(config, [str(tmp_path)], told.append))) == 8
    assert re.search(r"left out of the calibration: .*/0\.png: cannot be decoded", told[0])
    with pytest.raises(UserError, match=r"none of 1 pictures .* such as .*/0\.png: cannot be dec"):
        list(calibration_pixels(config, [str(tmp_path / "0.png")]))


@pytest.mark.parametrize(("wanted", "shares"), [(7, [4, 3]), (8, [5, 3]), (30, [6, 3])])
def test_what_one_shard_lacks_the_others_give(wanted, shares, network, tmp_path):
    for shard, number in enumerate((6, 3)):
        with tf.io.TFRecordWriter(f"{tmp_path}/r-{shard}") as writer:
            for k in range(number):
                image = encoded(np.full((64, 96, 3), 100 * shard + 10 * k, "uint8"))
                writer.write(encode_example(Example(image, "a", [], [], 64, 96), {}, "png"))
    _, config = parts_of(network, precision="int8", calibration_images=wanted)
    config = replace(config, data={"train_records": f"{tmp_path}/r-*"})
    found = [int(image[0, 0, 0]) for image in calibration_pixels(config, [])]
    first, second = shares
    assert sorted(found) == [*range(0, 10 * first, 10), *range(100, 100 + 10 * second, 10)]


def test_int8_without_pictures_is_refused(network, tmp_path):
    parts = parts_of(network, precision="int8")
    with pytest.raises(UserError, match=r"data.train_records is not set"):
        export_litert(*parts, str(tmp_path / "x.tflite"), calibration_pixels(parts[1], []))
    with pytest.raises(UserError, match="int8 needs pictures"):
        export_litert(*parts, str(tmp_path / "x.tflite"))
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(network, tmp_path):
    with pytest.raises(UserError, match=r"must end in .tflite"):
        export_litert(*parts_of(network), str(tmp_path / "model.lite"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "was not written by --mode=export"),
        (lambda content: content[: len(content) // 2], "was not written by --mode=export"),
        (lambda content: content[:64] + bytes(len(content) // 2) + content[64:], "cannot read"),
        (lambda content: b"nonsense" + content[8:], "was not written by --mode=export"),
    ],
    ids=["empty", "truncated", "torn apart", "not LiteRT"],
)
def test_a_damaged_file_is_named(damage, message, exported, tmp_path):
    path = tmp_path / "broken.tflite"
    with open(exported, "rb") as file:
        path.write_bytes(damage(file.read()))
    with pytest.raises(UserError, match=rf"broken.tflite.*{message}|{message}.*broken.tflite"):
        load_exported(str(path))


@pytest.mark.parametrize(
    ("end", "message"),
    [("inputs", "must take images .* has is x"), ("outputs", "must give .* has is .*x ")],
)
def test_a_file_whose_ends_another_tool_has_renamed_is_named(end, message, exported, tmp_path):
    model = flatbuffer_utils.read_model(exported)
    getattr(model.signatureDefs[0], end)[0].name = "x"
    flatbuffer_utils.write_model(model, path := str(tmp_path / "other.tflite"))
    with pytest.raises(UserError, match=f"other.tflite {message}"):
        load_exported(path)


def test_a_missing_file_and_a_missing_runtime_are_named(network, exported, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"nowhere.tflite: .*No such file"):
        load_exported(str(tmp_path / "nowhere.tflite"))
    for module in ("interpreter", "tools"):
        monkeypatch.setitem(sys.modules, f"ai_edge_litert.{module}", None)
    with pytest.raises(UserError, match=r"pip install 'edet\[litert\]'"):
        load_exported(shutil.copy(exported, tmp_path / "another.tflite"))
    with pytest.raises(UserError, match=r"pip install 'edet\[litert\]'"):
        export_litert(*parts_of(network), str(tmp_path / "x.tflite"))


def test_a_file_refuses_to_look_twice(exported):
    twice = replace(exported_config(exported), detect={"flip": True})
    with pytest.raises(UserError, match="looks at a picture once"):
        load_exported(exported, twice)


def test_a_full_disk_keeps_the_old_file(network, exported, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with open(exported, "rb") as file:
        before = file.read()
    monkeypatch.setattr("edet.export.litert._convert", lambda *_: before)
    monkeypatch.setattr("tensorflow.io.gfile.rename", fail)
    with pytest.raises(UserError, match="No space left on device"):
        export_litert(*parts_of(network, outputs="network"), exported)
    with open(exported, "rb") as file:
        assert file.read() == before


def test_what_is_attached_needs_no_clock_and_gives_the_same_bytes(monkeypatch):
    """A zip archive has no time before 1980, where machines without a clock begin."""
    files = {"config.yaml": "model: größe".encode()}
    first = litert._with_files(b"network", files)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert litert._with_files(b"network", files) == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.read("config.yaml") == files["config.yaml"]


def test_pictures_that_say_nothing_of_the_ranges_are_told(network, tmp_path):
    _, config = parts_of(network, precision="int8")
    rng = np.random.default_rng(0)

    def told(*pictures):
        for old in tmp_path.glob("*.png"):
            old.unlink()
        for k, picture in enumerate(pictures):
            (tmp_path / f"{k}.png").write_bytes(encoded(picture))
        words = []
        list(calibration_pixels(config, [str(tmp_path)], words.append))
        return words

    noise = [rng.integers(0, 255, (64, 96, 3), "uint8") for _ in range(10)]
    assert told(*noise) == []
    for pictures in (noise[:1], [noise[0]] * 12):
        assert told(*pictures)[0].startswith("int8 takes its ranges from 1 different pictures")
    plain = [np.full((40, 40, 3), 20 * k, "uint8") for k in range(12)]  # padded at the right
    assert told(*plain)[0].startswith("int8 takes its ranges from 0 different pictures")
