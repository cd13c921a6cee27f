"""What an export says, and where it writes; the files themselves are tests/export's."""

import json
import os
import types

import pytest

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.export import exported as exported_files
from edet.export.benchmark import Row
from edet.export.portable import settings
from edet.workflows import serving
from tests.small import small_model


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """Exports with the given settings, without a network; returns what the summary says."""

    def write(network, config, path, pixels=()):
        path = os.path.join(path, "model.tflite") if config.export.format == "web" else path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"1234")

    monkeypatch.setattr(serving, "load_network", lambda *_: None)
    for name in ("export_litert", "export_web"):
        monkeypatch.setattr(serving, name, write)
    return lambda **export: serving.export(replace(Config(), export=export), str(tmp_path), "", "")


def test_a_page_lies_in_the_workdir_and_the_command_that_shows_it_is_named(
    exported, tmp_path, capsys
):
    summary = exported(format="web")
    assert summary == {"web": str(tmp_path / "web"), "bytes": 4}
    assert f"edet serve_web --folder={tmp_path}/web shows it" in capsys.readouterr().out


def test_the_numbers_in_and_out_are_in_the_name_where_they_were_asked_for(exported, monkeypatch):
    monkeypatch.setattr(serving, "calibration_pixels", lambda *_: ())
    int8 = {"format": "litert", "precision": "int8", "outputs": "network"}
    for io, ending in (("auto", "int8.tflite"), ("uint8", "int8-io-uint8.tflite")):
        path = exported(**int8, io=io)["litert"]
        assert os.path.basename(path) == f"efficientdet-d0-network-{ending}"


def test_dynamic_int8_is_said_to_be_slower_and_what_to_take_instead(exported, capsys):
    exported(format="litert", precision="dynamic")
    said = capsys.readouterr().out
    assert "slower, 1.4 to 2 times" in said and "export.precision=int8" in said
    exported(format="litert", precision="float16")
    assert "slower" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("export", "output", "words"),
    [
        ({"format": "onnx"}, "m.onnx", "ONNX has hard suppression only"),
        ({"format": "litert"}, "m.lite", r"must end in \.tflite"),
        ({"format": "web"}, "", "model.tflite is not of edet and would be replaced"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_the_weights_are_read(
    export, output, words, monkeypatch, tmp_path
):
    (tmp_path / "model.tflite").write_text("of others")
    monkeypatch.setattr(serving, "load_network", lambda *_: pytest.fail("weights were read"))
    with pytest.raises(UserError, match=words):
        config = replace(Config(), export=export)
        serving.export(config, "", "weights", str(tmp_path / output))


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.01, 0.0123], "best score is 0.0123, and detect.draw_threshold 0.4"),
        ([0.4], ""),
        ([], ""),
    ],
)
def test_that_no_box_is_drawn_for_its_low_score_is_said(
    scores, said, monkeypatch, tmp_path, capsys
):
    """An early training's photos came back without a box and without a word."""

    def predict_files(predictor, inputs, output, *_):
        lines = [json.dumps({"score": score}) for score in scores]
        (tmp_path / "found" / "detections.jsonl").write_text("\n".join(lines))
        counts = dict.fromkeys(("images", "videos", "frames"), 2)
        return counts | {"failed": {}, "incomplete": {}, "renamed": {}, "others": []}

    monkeypatch.setattr(serving, "load_predictor", lambda *_: None)
    monkeypatch.setattr(serving, "predict_files", predict_files)
    serving.predict(Config(), "", "weights", ["a.jpg"], str(tmp_path / "found"))
    out = " ".join(capsys.readouterr().out.split())
    assert ("nothing is drawn" in out, said in out) == (bool(said), True)


def test_a_file_of_another_network_is_measured_as_what_it_is(monkeypatch, capsys):
    """It was given pictures of the workdir's size, and the workdir's operations were counted."""
    own, asked = (
        replace(Config(), model=vars(small_model(image_size=size))) for size in ((64, 96), (64, 64))
    )
    file = types.SimpleNamespace(settings=settings(own), outputs={})
    monkeypatch.setattr(exported_files, "open_exported", lambda _: file)
    monkeypatch.setattr(serving, "machine_peak", lambda: 1e9)
    row = Row("m.onnx", 1, *[1.0] * 4, peak_memory=None)
    measured = []

    def run_subjects(subjects, path, *_):
        measured.append(load_config(path=path).model)
        return [row]

    monkeypatch.setattr(serving, "run_subjects", run_subjects)
    summary = serving.benchmark(asked, "", "m.onnx")
    assert measured == [own.model] and summary["image_size"] == [64, 96]
    said = " ".join(capsys.readouterr().out.split())
    assert "m.onnx keeps what it was exported with: model.image_size" in said


def test_a_file_that_segments_predicts_in_the_workdir_of_a_network_that_detects(
    monkeypatch, tmp_path
):
    """It was asked for its detections, of which it wrote none."""
    segmenting = types.SimpleNamespace(
        model=replace(Config(), model={"heads": ["segmentation"]}).model
    )
    counts = dict.fromkeys(("images", "videos", "frames"), 1)
    summary = counts | {"failed": {}, "incomplete": {}, "renamed": {}, "others": []}
    monkeypatch.setattr(serving, "is_exported", lambda _: True)
    monkeypatch.setattr(serving, "load_predictor", lambda *_: segmenting)
    monkeypatch.setattr(serving, "predict_files", lambda *_: summary)
    assert serving.predict(Config(), "", "m.onnx", ["a.jpg"], str(tmp_path)) == summary
