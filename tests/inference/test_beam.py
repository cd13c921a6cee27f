"""Batch prediction on Beam finds what predict finds, and lists what cannot be read."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from edet.config.schema import Config, replace
from edet.evaluation.plots import draw_boxes
from edet.inference.detector import Detector
from edet.inference.files import predict_files
from edet.models.efficientdet import build_network
from edet.records.beam import make_pipeline
from tests.small import small_model

pytest.importorskip("apache_beam")

from edet.inference.beam import DetectorHandler, add_prediction

NAMES = ("b.png", "a.png", "000000000139.png", "c.png", "d.png")


def load() -> Detector:
    """What a worker does; the same weights each time."""
    keras.utils.set_random_seed(1)
    model = vars(small_model(labels={3: "a", 7: "b", 9: "c"}))
    config = replace(Config(), model=model, data={"eval_batch_size": 2})
    return Detector(build_network(config.model), config)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        pixels = np.random.default_rng(seed).integers(0, 256, (30 + seed, 50, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    (folder / "notes.txt").write_text("no picture")
    return folder


def lines_of(folder, pattern):
    return [json.loads(line) for path in folder.glob(pattern) for line in path.open()]


def by_picture(lines):
    found = {}
    for line in lines:
        found.setdefault(line["file_name"], []).append(line)
    return found


def test_a_pipeline_finds_what_predict_finds(folder, tmp_path):
    with make_pipeline([]) as pipeline:
        add_prediction(pipeline, load, 2, [str(folder)], f"{tmp_path}/out/x")
    predict_files(load(), [str(folder)], f"{tmp_path}/local", 2, 0.4, draw_boxes, None)
    beam = by_picture(lines_of(tmp_path / "out", "x-*.jsonl"))
    local = by_picture(lines_of(tmp_path / "local", "detections.jsonl"))
    assert set(beam) == set(local) == {f"{folder}/{name}" for name in NAMES}
    for path, lines in local.items():
        assert len(beam[path]) == len(lines) > 0
        for here, there in zip(lines, beam[path], strict=True):
            # Another batch may round the last digit otherwise.
            assert here.pop("bbox") == pytest.approx(there.pop("bbox"), abs=0.02)
            assert here.pop("score") == pytest.approx(there.pop("score"), abs=2e-5)
            assert here == there
    (failed,) = lines_of(tmp_path / "out", "x.failed-*.jsonl")
    assert failed["file_name"] == f"{folder}/broken.jpg"
    assert "cannot be decoded" in failed["failed"]


def test_a_batch_of_unreadable_pictures_does_not_reach_the_network(tmp_path):
    handler = DetectorHandler(load, 4)
    paths = [f"{tmp_path}/none.jpg", f"{tmp_path}/nor.jpg"]

    answers = handler.run_inference(paths, None)
    assert [line["file_name"] for (line,) in answers] == paths
    assert handler.batch_elements_kwargs() == {"min_batch_size": 1, "max_batch_size": 4}
