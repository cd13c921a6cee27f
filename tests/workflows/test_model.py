"""A loaded model as one object: what it predicts, evaluates, exports and trains."""

import concurrent.futures
import dataclasses
import io
import json
import pathlib
import pickle
import re
import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import edet
from edet.config.loading import save_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.export.portable import outputs_of
from edet.export.saved_model import export_saved_model
from edet.image.files import save_drawing
from edet.inference import video
from edet.inference.detector import Detector
from edet.models.efficientdet import build_network
from edet.ownership import owned
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.workdir import Workdir
from tests.small import small_model

CONFIG = replace(
    Config(),
    model=vars(small_model(labels={1: "a", 2: "b", 3: "c"})),
    data={"eval_batch_size": 2},
)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8")


@pytest.fixture(scope="module")
def network():
    return build_network(CONFIG.model)


@pytest.fixture(scope="module")
def saved_model(network, tmp_path_factory):
    return export_saved_model(network, CONFIG, str(tmp_path_factory.mktemp("e") / "model"))


@pytest.fixture(scope="module")
def model(saved_model):
    return edet.load(saved_model)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "000000000139.png"
    Image.fromarray(PIXELS).save(path)
    return str(path)


def test_files_arrays_and_bytes_give_what_the_detector_finds_in_their_order(
    model, network, picture
):
    other = PIXELS[::-1].copy()
    expected = Detector(network, CONFIG)([PIXELS, other])
    with open(picture, "rb") as file:
        found = model.predict([picture, other, file.read()])
    assert [(one.path, one.height, one.width) for one in found] == [
        (picture, 40, 60), ("", 40, 60), ("", 40, 60),
    ]  # fmt: skip
    for one, row in zip(found, (0, 1, 0), strict=True):
        count = expected["num_detections"][row]
        assert len(one) == count == len(one.names)
        np.testing.assert_allclose(one.scores, expected["scores"][row][:count], atol=1e-5)
        assert [model.labels[i] for i in one.class_ids] == one.names
    # In float32 a row's place in its batch decides how sums are rounded: some 4e-7 of a side.
    np.testing.assert_allclose(found[0].boxes, found[2].boxes, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[-1].image, PIXELS)


def test_pictures_are_looked_at_when_they_are_asked_for_and_bad_ones_are_listed(
    model, tmp_path, picture
):
    (tmp_path / "z.jpg").write_bytes(b"no picture")
    found = model.predict(str(tmp_path))
    assert found[0].path == picture
    assert [one.path for one in found] == [picture]
    assert "decoded" in found.failed[str(tmp_path / "z.jpg")]
    with pytest.raises(IndexError):
        found[1]


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ("no/such/*.jpg", "matches no picture"),
        ([np.zeros((4, 4))], "image 0 is float64"),
        ([b"no picture"], "image 0 cannot be decoded"),
        (np.zeros((0, 5, 3), "uint8"), "image 0 is .* has no pixel"),
        (np.zeros((4, 6), "uint8"), r"image 0 is uint8 \(4, 6\); it must be"),
        (None, "image 0 is of the type NoneType"),
        (5, "image 0 is int32"),
        (np.uint8(5), "image 0 is uint8"),
        ("", "'' matches no picture"),
        (Image.new("I;16", (6, 4)), r"image 0 is uint16 \(4, 6\); it must be"),
        (io.BytesIO(b"no picture"), "image 0 cannot be decoded"),
        (io.StringIO("no picture"), "image 0 is of the type StringIO"),
    ],
)
def test_what_is_no_picture_is_refused_at_once(model, pictures, why):
    with pytest.raises(UserError, match=why):
        model.predict(pictures)


@pytest.mark.parametrize("size", [0, -1, 1.5, "4", True])
def test_a_batch_is_a_whole_number_of_pictures(model, size):
    with pytest.raises(UserError, match="batch_size is"):
        model.predict(PIXELS, batch_size=size)


def test_paths_and_pictures_are_taken_as_python_has_them(model, picture, tmp_path, monkeypatch):
    (expected,) = model.predict(picture)
    path = pathlib.Path(picture)
    for given in (path, [path], Image.open(path), [Image.open(path)]):
        (found,) = model.predict(given)
        np.testing.assert_array_equal(found.scores, expected.scores)
    assert model.predict(path)[0].path == picture
    monkeypatch.setenv("HOME", str(tmp_path))
    expected.draw("~/drawn.png")
    assert (tmp_path / "drawn.png").exists()
    path.write_bytes(b"garbage")
    with pytest.raises(UserError, match=f"{path.name}.*decode"):
        expected.draw()


@pytest.mark.parametrize(
    "hold",
    [bytearray, memoryview, io.BytesIO, np.bytes_, tf.constant],
)
def test_an_encoded_picture_is_one_picture_whatever_holds_its_bytes(model, picture, hold):
    encoded = pathlib.Path(picture).read_bytes()
    (expected,) = model.predict(encoded)
    for given in (hold(encoded), [hold(encoded)]):
        (found,) = model.predict(given)
        np.testing.assert_array_equal(found.boxes, expected.boxes)


def test_names_that_numpy_holds_are_paths(model, picture):
    for given in (np.array([picture]), np.array([picture])[0]):
        assert [type(one.path) for one in model.predict(given)] == [str]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_a_picture_of_pillow_is_seen_in_its_colours(model, mode):
    picture = Image.fromarray(PIXELS).convert(mode)
    (found,) = model.predict(picture)
    np.testing.assert_array_equal(found.image, np.asarray(picture.convert("RGB")))


def test_a_picture_of_pillow_is_turned_as_its_file_is(model, tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(PIXELS).save(path, exif=exif)
    of_file, of_pillow = model.predict([path, Image.open(path)])
    assert (of_file.height, of_file.width) == (of_pillow.height, of_pillow.width) == (60, 40)


def test_a_stopped_prediction_never_passes_for_a_whole_one(model, monkeypatch):
    found = model.predict([PIXELS] * 6, batch_size=2)
    assert found[1].height == 40

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(found, "_found", map(stop, [1]))
    with pytest.raises(KeyboardInterrupt):
        len(found)
    assert found[0].height == 40
    for ask in (len, list, lambda all_: all_.to_coco(), lambda all_: all_[-1]):
        with pytest.raises(UserError, match=r"stopped after 2 pictures \(KeyboardInterrupt\)"):
            ask(found)


def test_predictions_travel_to_another_process_with_their_pictures(model, picture):
    for given, frame in ((picture, PIXELS), (PIXELS[::-1], PIXELS[::-1])):
        (found,) = pickle.loads(pickle.dumps(list(model.predict(given))))
        np.testing.assert_array_equal(found.image, frame)


def test_a_frame_is_the_same_whenever_it_is_asked_for(model, tmp_path, monkeypatch):
    """Frame k is grey 40 k."""
    av = pytest.importorskip("av")
    path = str(tmp_path / "clip.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for k in range(6):
            grey = np.full((48, 64, 3), 40 * k, "uint8")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    found = list(model.predict(path))
    for _ in range(2):
        greys = [found[k].image.mean() for k in (4, 1, 5)]
        np.testing.assert_allclose(greys, [160, 40, 200], atol=5)
    opened, real = [], video.Video
    monkeypatch.setattr(video, "Video", lambda path: opened.append(path) or real(path))
    greys = [one.image.mean() for one in found for _ in range(2)]
    np.testing.assert_allclose(greys, np.repeat(40 * np.arange(6), 2), atol=5)
    assert opened == [path]  # drawing all frames decodes each once, not those before it as well


def test_several_threads_share_one_prediction(model):
    found = model.predict([PIXELS] * 12, batch_size=1)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: sum(1 for _ in found), range(4)))
    assert counts == [12] * 4


@pytest.mark.parametrize("path", ["https://example.invalid/a.jpg", "s3://bucket/a.jpg"])
def test_a_place_that_tensorflow_does_not_know_is_named(model, path):
    for ask in (model.predict, model.evaluate, edet.load):
        with pytest.raises(UserError, match=f"on disks and in gs://.*{path[:2]}"):
            ask(path)


def test_what_a_file_does_otherwise_than_it_is_asked_is_said(saved_model, capsys):
    model = edet.load(saved_model, ["model.white_level=4095", "model.labels={1: x, 2: y, 3: z}"])
    said = " ".join(capsys.readouterr().out.split())
    assert "keeps what it was exported with" in said and "model.labels" in said
    assert model.labels == {1: "a", 2: "b", 3: "c"}
    assert "white_level" not in said and model.predictor.model.white_level == 4095
    edet.load(saved_model, "data.eval_batch_size=3")
    assert "keeps" not in capsys.readouterr().out


def test_a_file_is_evaluated_with_its_own_classes_whatever_is_asked(saved_model, tmp_path):
    write_records(SyntheticSet(2, 64), str(tmp_path / "val"), num_shards=1)
    asked = edet.load(saved_model, "model.labels={4: x, 5: y, 6: z}")
    expected = edet.load(saved_model).evaluate(tmp_path / "val-*")
    assert asked.evaluate(tmp_path / "val-*")["per_class"] == expected["per_class"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"config": {"model": 1'])
def test_a_damaged_card_of_a_saved_model_is_named(saved_model, tmp_path, content):
    folder = shutil.copytree(saved_model, tmp_path / "1")
    (folder / "assets.extra" / "edet.json").write_text(content)
    with pytest.raises(UserError, match=r"edet\.json is (damaged|no)"):
        edet.load(str(folder))


def test_pixels_of_a_network_with_both_heads_are_no_matter_for_mediapipe():
    both = replace(CONFIG, model={"heads": ("detection", "segmentation")})
    with pytest.raises(UserError, match=r"train a network with model.heads=\[detection\]"):
        outputs_of(replace(both, export={"format": "litert", "outputs": "mediapipe"}))


def test_pictures_asked_for_one_by_one_share_a_graph(model, monkeypatch):
    """A graph a call would be seconds and some MiB for each of a thousand calls."""
    traced, step = [], model.predictor.step
    monkeypatch.setattr(model.predictor, "step", lambda batch: traced.append(1) or step(batch))
    found = [model.predict(PIXELS, batch_size=3)[0] for _ in range(3)]
    assert len(traced) == 1
    np.testing.assert_array_equal(found[0].boxes, found[2].boxes)


def test_a_prediction_becomes_coco_rows_and_a_drawing(model, picture, tmp_path):
    (one,) = model.predict(picture)
    ymin, xmin, ymax, xmax = one.boxes[0]
    first = one.to_coco()[0]
    assert (first["image_id"], first["category_id"]) == (139, one.class_ids[0])
    np.testing.assert_allclose(first["bbox"], [xmin, ymin, xmax - xmin, ymax - ymin], atol=0.011)
    row = model.predict(picture).to_rows()[0]
    assert (row["file"], row["name"], row["ymin"]) == (picture, one.names[0], float(ymin))
    drawn = one.draw(str(tmp_path / "drawn.png"), threshold=2.0)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), drawn)
    shown = Image.open(io.BytesIO(one._repr_png_()))  # what a notebook asks for
    np.testing.assert_array_equal(np.asarray(shown), one.draw(threshold=0.3))


def test_the_number_of_a_video_is_no_image_id(model):
    """Its frames would all be one image to COCO's tools."""
    (still,) = model.predict(PIXELS)
    lines = dataclasses.replace(still, path="clips/0042.mp4", frame=3).to_coco()
    assert lines and all("image_id" not in line for line in lines)
    assert (lines[0]["file_name"], lines[0]["frame"]) == ("clips/0042.mp4", 3)


@pytest.mark.parametrize(
    ("name", "form", "error"),
    [("a.jpg", "JPEG", 3), ("a.JPEG", "JPEG", 3), ("a.webp", "WEBP", 0), ("a.png", "PNG", 0)],
)
def test_a_drawing_is_of_the_format_that_its_name_ends_in(model, tmp_path, name, form, error):
    """And its lines are sharp in all: no pixel is far from its colour, in levels on average."""
    drawn = model.predict(np.full((320, 400, 3), 100, np.uint8))[0].draw(tmp_path / name)
    with Image.open(tmp_path / name) as written:
        assert (written.format, written.mode) == (form, "RGB")
        difference = np.abs(np.asarray(written).astype(int) - drawn)
    is_line = (drawn != 100).any(axis=-1)
    assert is_line.any() and difference[is_line].mean() <= error


@pytest.mark.parametrize("name", ["a.gif", "a", "a.jpg.txt", "jpg"])
def test_a_drawing_of_another_ending_is_refused_at_once(model, tmp_path, name, monkeypatch):
    (found,) = model.predict(PIXELS)
    monkeypatch.setattr(type(found), "image", None)  # the picture is not read for it
    path = re.escape(str(tmp_path / name))
    with pytest.raises(UserError, match=f"{path}: end its name in one of .jpg, .jpeg, .png, .webp"):
        found.draw(str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_boxes_lie_where_they_were_found_on_a_small_picture_that_has_a_mask(model):
    """40 x 60 pixels come back six times as large, tinted by their mask."""
    (found,) = model.predict(np.zeros((40, 60, 3), np.uint8))
    boxes = np.array([[20, 10, 35, 50]], np.float32)
    mask = np.zeros((40, 60), np.uint8)
    one = dataclasses.replace(
        found, boxes=boxes, scores=np.ones(1), names=["a"], mask=mask, mask_labels={0: "background"}
    )
    drawn = one.draw()
    rows, columns = np.nonzero((drawn[20 * 6 :] > 0).any(axis=-1))
    assert drawn.shape == (240, 360, 3)
    assert (rows.max() + 20 * 6, columns.min(), columns.max()) == (35 * 6, 10 * 6, 50 * 6)


def test_a_picture_that_a_format_cannot_hold_is_named(tmp_path):
    wide = np.zeros((1, 20000, 3), np.uint8)
    with pytest.raises(UserError, match=r"cannot write .*a\.webp: .*16383.*; end its name in .png"):
        save_drawing(wide, str(tmp_path / "a.webp"))
    save_drawing(wide, str(tmp_path / "a.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_other_libraries_get_their_own_types(model, picture, monkeypatch):
    """Stand-ins: neither library is a dependency."""
    monkeypatch.setitem(sys.modules, "supervision", types.SimpleNamespace(Detections=dict))
    frame = lambda rows, columns: (rows, columns)  # noqa: E731
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=frame))
    found = model.predict(picture)
    given = found[0].to_supervision()
    np.testing.assert_array_equal(given["xyxy"][0], found[0].boxes[0][[1, 0, 3, 2]])
    assert given["data"]["class_name"].tolist() == found[0].names
    rows, columns = found.to_pandas()
    assert len(rows) == len(found[0]) and list(rows[0]) == columns  # also where there is no row


def test_a_library_that_is_not_there_is_named_with_what_installs_it(model, picture, monkeypatch):
    for name in ("supervision", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    found = model.predict(picture)
    with pytest.raises(UserError, match="needs supervision; .* pip install supervision"):
        found[0].to_supervision()
    with pytest.raises(UserError, match="needs pandas; .* pip install pandas"):
        found.to_pandas()


def test_results_of_an_exported_file_depend_on_its_content(saved_model, tmp_path):
    first = edet.load(saved_model).predictor.conditions()
    other = shutil.copytree(saved_model, tmp_path / "1")
    assert edet.load(str(other)).predictor.conditions() == first
    with open(other / "saved_model.pb", "ab") as file:
        file.write(b"\x82\x7d\x01a")  # a field of protobuf that no version knows
    changed = edet.load(str(other)).predictor.conditions()
    assert changed["weights"] != first["weights"]
    assert changed["settings"] == first["settings"]


def test_a_workdir_predicts_as_its_network_evaluates_and_exports(network, tmp_path, picture):
    save_config(CONFIG, str(tmp_path / "config.yaml"))
    Checkpoints(Workdir(str(tmp_path)), TrainingVariables(network), 1).save()
    write_records(SyntheticSet(3, 64), str(tmp_path / "val"), num_shards=1)
    for labels in ("{1: x}", "{1: a, 2: x, 3: c}"):  # all of the last layer, or a part, is random
        with pytest.raises(UserError, match="no values for .* parts of the network.*class"):
            edet.load(str(tmp_path), f"model.labels={labels}")
    model = edet.load(str(tmp_path))
    (expected,) = Detector(network, CONFIG)([PIXELS])["scores"]
    np.testing.assert_allclose(model.predict(PIXELS)[0].scores, expected[expected > 0], atol=1e-6)
    result = model.evaluate([tmp_path / "val-*"], workdir=str(tmp_path))
    assert json.loads((tmp_path / "eval.json").read_text())["metrics"] == result["metrics"]
    with pytest.raises(UserError, match="is the workdir itself"):
        model.export(str(tmp_path))
    path = str(tmp_path / "efficientdet-d0-boxes-float32.tflite")
    with (
        owned(f"{path}.lock", path, "an export", "wait"),
        pytest.raises(UserError, match="is being written by an export already: this process"),
    ):
        model.export(format="litert", outputs="boxes")
    assert model.export(format="litert", outputs="boxes") == path
    assert not (tmp_path / f"{path}.lock").exists()
    of_file = edet.load(path)
    assert of_file.evaluate([tmp_path / "val-*"])["file"] == path and "file" not in result
    again = of_file.predict(picture)[0]
    np.testing.assert_allclose(again.scores, expected[expected > 0], atol=1e-4)
    models = tmp_path / "models.json"
    known = json.loads(models.read_text())
    known["efficientdet-d0-boxes-float32.tflite"]["AP"] = 0.5
    models.write_text(json.dumps(known))
    model.export(path, format="litert", outputs="boxes", precision="float16")  # another file
    again = json.loads(models.read_text())["efficientdet-d0-boxes-float32.tflite"]
    assert again["format"] == "litert float16" and "AP" not in again
    with pytest.raises(UserError, match=r"export\.presision.*precision"):
        model.export(presision="int8")


def test_a_training_needs_a_configuration(tmp_path):
    with pytest.raises(UserError, match="edet.load_config, and not a str"):
        edet.train("my.yaml", str(tmp_path))


@pytest.mark.parametrize("given", [5, None, ["val-*", 5]])
def test_what_is_no_path_is_named_by_its_type(model, given):
    for what, call in (("records", model.evaluate), ("pictures", lambda p: model.export("", p))):
        with pytest.raises(UserError, match=f"^{what} has a (int|NoneType); give files"):
            call(given)
