"""Prediction over files: what is found, written, drawn and skipped."""

import json
import os
import pathlib

import numpy as np
import pytest

from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.evaluation.overlays import draw_overlay
from edet.evaluation.plots import draw_boxes
from edet.inference import video
from edet.inference.detector import Detector, make_predictor
from edet.inference.files import find_inputs, predict_files
from edet.inference.predictor import of_pixels
from edet.models.efficientdet import build_network
from tests.pictures import encoded
from tests.small import small_model

CONFIG = replace(
    Config(),
    model=vars(small_model(labels={3: "a", 7: "b", 9: "c"})),
    data={"eval_batch_size": 2},
)


@pytest.fixture(scope="module")
def network():
    return build_network(CONFIG.model)


@pytest.fixture(scope="module")
def detector(network):
    return Detector(network, CONFIG)


def predict(predictor, inputs: list, output: pathlib.Path, draw=draw_boxes) -> dict:
    inputs = [str(path) for path in inputs]
    return predict_files(predictor, inputs, str(output), 2, 0.0, draw, draw_overlay)


def png(size: tuple[int, int], seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), "uint8")
    return encoded(pixels)


@pytest.fixture
def folder(tmp_path):
    for seed, (name, size) in enumerate(
        (("b.png", (30, 50)), ("a.PNG", (60, 20)), ("000000000139.png", (40, 40)),
         ("sub/b.png", (9, 9)))
    ):  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(size, seed))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    return tmp_path


def names(paths: list[str]) -> list[str]:
    return [path.split("/")[-1] for path in paths]


def lines_of(output: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (output / "detections.jsonl").read_text().splitlines()]


def test_folders_files_and_globs_name_files_once_and_sort_them_by_kind(folder):
    for name in ("clip.MP4", "b.webm"):
        (folder / "in" / name).write_bytes(b"")
    found = find_inputs([str(folder / "in"), str(folder / "in" / "*.png")])
    assert names(found.pictures) == ["000000000139.png", "a.PNG", "b.png", "broken.jpg"]
    assert names(found.videos) == ["b.webm", "clip.MP4"]
    assert names(found.others) == ["notes.txt"]


def test_a_file_that_is_named_is_a_picture_whatever_its_ending(folder):
    (folder / "in" / "b.png").rename(folder / "in" / "upload.tmp")
    assert names(find_inputs([str(folder / "in" / "*.tmp")]).pictures) == ["upload.tmp"]


@pytest.mark.parametrize("inputs", [[], ["nowhere/*.jpg"], ["{folder}"]])
def test_nothing_to_predict_is_an_error(inputs, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match="picture"):
        find_inputs([pattern.format(folder=tmp_path) for pattern in inputs])


def test_every_picture_is_written_drawn_or_named_as_skipped(folder, detector):
    output = folder / "out"
    os.mkfifo(folder / "in" / "pipe.jpg")  # which would be waited for without end
    inputs = [str(folder / "in"), str(folder / "in" / "sub" / "b.png")]
    summary = predict(detector, inputs, output)
    assert summary["images"] == 4
    assert names(sorted(summary["failed"])) == ["broken.jpg", "pipe.jpg"]
    assert "it is a pipe" in summary["failed"][f"{folder}/in/pipe.jpg"]
    assert names(summary["others"]) == ["notes.txt"]
    drawn = sorted(path.name for path in (output / "drawn").iterdir())
    assert drawn == ["000000000139.png", "a.png", "b-2.png", "b.png"]
    assert sorted(p.name for p in output.iterdir()) == [
        "detections.jsonl", "drawn", "predictions.json", "report.json",
    ]  # fmt: skip
    records = json.loads((output / "predictions.json").read_text())
    sizes = [(r["height"], r["width"]) for r in records]
    assert sizes == [(40, 40), (60, 20), (30, 50), (9, 9)]
    expected = detector([pathlib.Path(records[2]["file"]).read_bytes()])
    best = records[2]["detections"][0]
    ymin, xmin, ymax, xmax = expected["boxes"][0, 0]
    np.testing.assert_allclose(best["bbox"], [xmin, ymin, xmax - xmin, ymax - ymin], atol=0.05)
    assert best["category_id"] == expected["classes"][0, 0]
    assert best["category"] == {3: "a", 7: "b", 9: "c"}[best["category_id"]]


def test_lines_hold_every_detection_as_coco_results(folder, detector):
    output = folder / "out"
    predict(detector, [folder / "in"], output)
    records = json.loads((output / "predictions.json").read_text())
    lines = lines_of(output)
    expected = [
        {"file_name": record["file"], "bbox": found["bbox"], "score": found["score"],
         "category_id": found["category_id"]}
        for record in records for found in record["detections"]
    ]  # fmt: skip
    numbers = [line.pop("image_id", None) for line in lines]
    assert lines == expected
    assert [names([line["file_name"]])[0] for line, n in zip(lines, numbers, strict=True) if n] == [
        "000000000139.png"
    ] * numbers.count(139)
    assert numbers.count(139) == len(records[0]["detections"]) > 0


def test_pictures_without_detections_give_an_empty_file_of_lines(folder, network):
    blind = Detector(network, replace(CONFIG, detect={"score_threshold": 1.0}))
    output = folder / "out"
    summary = predict(blind, [folder / "in" / "b.png"], output)
    assert summary["images"] == 1
    assert lines_of(output) == []
    (record,) = json.loads((output / "predictions.json").read_text())
    assert record["detections"] == []


def test_nothing_but_broken_pictures_gives_an_empty_list(folder, detector):
    output = folder / "out"
    summary = predict(detector, [folder / "in" / "broken.jpg"], output)
    assert (summary["images"], len(summary["failed"])) == (0, 1)
    assert json.loads((output / "predictions.json").read_text()) == []


def test_a_run_that_fails_leaves_the_results_of_the_one_before(folder, detector):
    output = folder / "out"
    predict(detector, [folder / "in" / "b.png"], output)
    before = (output / "detections.jsonl").read_bytes(), (output / "predictions.json").read_bytes()

    def draw(*_):
        raise MemoryError("no room to draw")

    with pytest.raises(MemoryError, match="no room"):
        predict(detector, [folder / "in"], output, draw)
    after = (output / "detections.jsonl").read_bytes(), (output / "predictions.json").read_bytes()
    assert after == before
    assert sorted(p.name for p in output.iterdir()) == [
        "detections.jsonl", "drawn", "predictions.json", "report.json",
    ]  # fmt: skip


def test_an_output_that_cannot_be_written_is_told_before_the_work(folder, detector):
    (folder / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*file/predictions\.json"):
        predict(detector, [folder / "in"], folder / "file")


@pytest.mark.parametrize(
    "detect",
    # test_tta.py shows that mirrored looks give the same whoever asks
    [{}, pytest.param({"flip": True}, marks=pytest.mark.thorough)],
)
def test_a_folder_of_everything_is_predicted_and_nothing_is_lost(folder, network, detect):
    pytest.importorskip("av", reason="needs the extra: pip install 'edet[video]'")
    from tests.inference.test_video import HEIGHT, WIDTH, scene, turn, write_video

    held = write_video(folder / "in" / "held.mp4", 5)
    turn(held, 0, 1, -1, 0)
    cut = write_video(folder / "in" / "cut.mkv", 60)
    cut.write_bytes(cut.read_bytes()[:2500])
    write_video(folder / "in" / "empty.avi", 0, codec="mpeg4")
    (folder / "in" / "broken.mp4").write_bytes(b"no video")
    config = replace(CONFIG, detect=detect)
    detector = make_predictor(of_pixels(network, config.model), config)
    output = folder / "out"
    summary = predict(detector, [folder / "in"], output)

    assert (summary["images"], summary["videos"]) == (3, 2)
    failed = {path.split("/")[-1]: why for path, why in summary["failed"].items()}
    assert sorted(failed) == ["broken.jpg", "broken.mp4", "empty.avi"]
    assert failed["broken.mp4"].startswith("cannot be opened as a video: Invalid data")
    assert failed["empty.avi"] == "holds no frame"
    assert names(summary["incomplete"]) == ["cut.mkv"]
    assert "of 6.0 seconds" in next(iter(summary["incomplete"].values()))
    drawn = {path.name for path in (output / "drawn").iterdir()}
    assert drawn == {"000000000139.png", "a.png", "b.png", "cut.mp4", "held.mp4"}

    records = json.loads((output / "predictions.json").read_text())
    held_record = next(r for r in records if r["file"].endswith("held.mp4"))
    assert held_record == {"file": str(held), "height": WIDTH, "width": HEIGHT, "frames": 5}
    cut_record = next(r for r in records if r["file"].endswith("cut.mkv"))
    assert summary["frames"] == 5 + cut_record["frames"]

    frames = list(video.Video(str(held)))
    copy = list(video.Video(str(output / "drawn" / "held.mp4")))
    assert [frame.time for frame in copy] == [frame.time for frame in frames]
    assert frames[0].image.shape == (*scene().shape[1::-1], 3)
    assert copy[0].image.shape[0] / copy[0].image.shape[1] == pytest.approx(WIDTH / HEIGHT)
    of_held = [line for line in lines_of(output) if line["file_name"] == str(held)]
    assert {line["frame"] for line in of_held} == {0, 1, 2, 3, 4}
    expected = detector([frames[3].image])
    found = [line["score"] for line in of_held if line["frame"] == 3]
    np.testing.assert_allclose(found, expected["scores"][0, : len(found)], atol=1e-4)


def test_without_pyav_a_sentence_says_what_to_install(folder, detector, monkeypatch):
    monkeypatch.setattr(video, "is_available", lambda: False)
    clip = folder / "in" / "clip.mp4"
    clip.write_bytes(b"")
    with pytest.raises(UserError, match=r"clip\.mp4 is a video, .*pip install 'edet\[video\]'"):
        predict(detector, [clip], folder / "out")
    assert not (folder / "out").exists()
    summary = predict(detector, [folder / "in"], folder / "out")
    assert summary["images"] == 3
    assert "pip install 'edet[video]'" in summary["failed"][str(clip)]
