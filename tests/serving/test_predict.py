"""Prediction over files: what is found, written, drawn and skipped."""

import json
import pathlib

import numpy as np
import pytest

from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.evaluation.plots import draw_boxes
from edet.models.efficientdet import build_network
from edet.serving.detector import Detector
from edet.serving.predict import find_pictures, predict_files
from tests.serving.test_detector import png
from tests.small import small_model


@pytest.fixture(scope="module")
def detector():
    config = replace(
        Config(),
        model=vars(small_model(labels={3: "a", 7: "b", 9: "c"})),
        detect={"draw_threshold": 0.0},
    )
    return Detector(build_network(config.model), config)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(2)
    for name, size in (("b.png", (30, 50)), ("a.PNG", (60, 20)), ("sub/b.png", (9, 9))):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(rng.integers(0, 256, (*size, 3), "uint8")))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    return tmp_path


def test_folders_files_and_globs_name_pictures_once(folder):
    found = find_pictures([str(folder / "in"), str(folder / "in" / "*.png")])
    assert [path.split("/")[-1] for path in found] == ["a.PNG", "b.png", "broken.jpg"]


@pytest.mark.parametrize("inputs", [[], ["nowhere/*.jpg"]])
def test_nothing_to_predict_is_an_error(inputs):
    with pytest.raises(UserError, match="picture"):
        find_pictures(inputs)


def test_every_picture_is_written_drawn_or_named_as_skipped(folder, detector):
    output = folder / "out"
    inputs = [str(folder / "in"), str(folder / "in" / "sub" / "b.png")]
    summary = predict_files(detector, inputs, str(output), batch_size=2, draw=draw_boxes)
    assert summary["images"] == 3
    assert [path.split("/")[-1] for path in summary["failed"]] == ["broken.jpg"]
    assert sorted(p.name for p in (output / "drawn").iterdir()) == ["a.png", "b-2.png", "b.png"]
    records = json.loads((output / "predictions.json").read_text())
    assert [(r["height"], r["width"]) for r in records] == [(60, 20), (30, 50), (9, 9)]
    expected = detector([pathlib.Path(records[1]["file"]).read_bytes()])
    best = records[1]["detections"][0]
    ymin, xmin, ymax, xmax = expected["boxes"][0, 0]
    np.testing.assert_allclose(best["bbox"], [xmin, ymin, xmax - xmin, ymax - ymin], atol=0.01)
    assert best["category_id"] == expected["classes"][0, 0]
    assert best["category"] == {3: "a", 7: "b", 9: "c"}[best["category_id"]]
