"""What a prediction has found is kept whatever stops it, and it goes on from there."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from edet.errors import StorageError, UserError
from edet.evaluation.plots import draw_boxes
from edet.inference import journal, results
from edet.inference.journal import Journal
from edet.records.masks import encode_colored
from tests.inference.stub import Boxes, Masks, png, predict, stub

LISTS = ("detections.jsonl", "predictions.json")


@pytest.fixture
def pictures(tmp_path) -> pathlib.Path:
    """Ten of them, brighter by ten each; nothing is found in the first."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(10):
        (folder / f"{k}.png").write_bytes(png(10 * k))
    return folder


class Drawing:
    """Draws boxes, and fails when it draws a picture of some brightness."""

    def __init__(self, fails_at: int = -1, error: type | Exception = KeyboardInterrupt):
        self.fails_at, self.error, self.drawn = fails_at, error, []

    def __call__(self, image, *rest):
        brightness = int(image.max())
        if brightness == self.fails_at:
            raise self.error
        self.drawn.append(brightness)
        return draw_boxes(image, *rest)


def read(output: pathlib.Path) -> tuple[list[dict], list[dict]]:
    lines, records = ((output / name).read_text() for name in LISTS)
    return [json.loads(line) for line in lines.splitlines()], json.loads(records)


def stop(pictures, output, fails_at: int = 60, error=KeyboardInterrupt) -> list[str]:
    """Stops a prediction in the batch that holds the picture of this brightness."""
    drawing = Drawing(fails_at, error)
    with pytest.raises(error if isinstance(error, type) else type(error)) as stopped:
        predict([pictures], output, draw=drawing)
    return getattr(stopped.value, "__notes__", [])


def test_a_prediction_that_is_stopped_leaves_all_it_has_found(pictures, tmp_path):
    """Of ten pictures, six are done when the seventh is interrupted."""
    (note,) = stop(pictures, tmp_path / "out")
    assert note.startswith("6 of 10 files are done; what was found in them is in ")
    assert note.endswith("and the same command goes on from there.")
    lines, records = read(tmp_path / "out")
    assert [os.path.basename(line["file_name"]) for line in lines] == [
        f"{k}.png" for k in range(1, 6)
    ]
    assert [record["file"][-5:] for record in records] == [f"{k}.png" for k in range(6)]
    assert records[5]["detections"] == [
        {"category_id": 3, "bbox": [2.0, 1.0, 4.0, 2.0], "score": 0.19608, "category": "a"}
    ]
    assert {f"{k}.png" for k in range(6)} <= set(os.listdir(tmp_path / "out" / "drawn"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["complete"], report["images"], report["left"]) == (False, 6, 4)


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_same_command_goes_on_and_gives_what_one_run_gives(
    pictures, tmp_path, capsys, monkeypatch, is_killed
):
    """A killed run writes nothing at its end, and may leave half a line in both files."""
    output, clean = tmp_path / "out", tmp_path / "clean"
    predict([pictures], clean)
    with monkeypatch.context() as patch:
        if is_killed:
            patch.setattr(Journal, "_finish", lambda *_: None)
            patch.setattr(journal, "_PATIENCE", 0)  # it has flushed what it found
        stop(pictures, output)
    if is_killed:
        assert not (output / "predictions.json").exists()
        for name, torn in (("detections.jsonl", '{"file_name": "in/6'), ("unfinished.jsonl", "{")):
            with open(output / name, "a") as file:
                file.write(torn)
    drawing = Drawing()
    summary = predict([pictures], output, draw=drawing)
    assert sorted(drawing.drawn) == [60, 70, 80, 90]
    assert "6 of these 10 files; going on from there" in capsys.readouterr().err
    assert (summary["complete"], summary["images"], summary["left"]) == (True, 10, 0)
    for name in LISTS:
        assert (output / name).read_bytes() == (clean / name).read_bytes()
    assert sorted(os.listdir(output)) == sorted([*LISTS, "drawn", "report.json"])
    assert sorted(os.listdir(output / "drawn")) == sorted(os.listdir(clean / "drawn"))


def test_lines_that_were_lost_are_found_again(pictures, tmp_path):
    """After a power failure the file that counts lines may be ahead of the lines themselves."""
    output, clean = tmp_path / "out", tmp_path / "clean"
    predict([pictures], clean)
    stop(pictures, output)
    lines = (output / "detections.jsonl").read_text().splitlines(keepends=True)
    (output / "detections.jsonl").write_text("".join(lines[:3]))  # of pictures 1, 2 and 3
    drawing = Drawing()
    predict([pictures], output, draw=drawing)
    assert sorted(drawing.drawn) == [40, 50, 60, 70, 80, 90]
    assert read(output) == read(clean)


@pytest.mark.parametrize("damage", [b"", b"no JSON", b'{"version": 0}\n', b"\xff\xfe"])
def test_a_damaged_journal_starts_anew(pictures, tmp_path, damage):
    stop(pictures, tmp_path / "out")
    (tmp_path / "out" / "unfinished.jsonl").write_bytes(damage)
    drawing = Drawing()
    assert predict([pictures], tmp_path / "out", draw=drawing)["images"] == 10
    assert len(drawing.drawn) == 10
    assert len(read(tmp_path / "out")[0]) == 9


@pytest.mark.parametrize(
    ("conditions", "what"),
    [
        ({"weights": "v", "settings": "s"}, "weights"),
        ({"weights": "w", "settings": "t"}, "settings"),
        ({"weights": "v", "settings": "t"}, "weights and settings"),
    ],
)
def test_results_of_other_weights_or_settings_are_not_mixed(
    pictures, tmp_path, capsys, conditions, what
):
    stop(pictures, tmp_path / "out")
    drawing = Drawing()
    predict([pictures], tmp_path / "out", stub(**conditions), drawing)
    assert len(drawing.drawn) == 10
    said = " ".join(capsys.readouterr().err.split())
    assert f"with other {what} had found when it was stopped; this one starts anew" in said


def test_a_picture_that_has_changed_is_looked_at_again_and_one_that_is_gone_left_out(
    pictures, tmp_path
):
    stop(pictures, tmp_path / "out")
    (pictures / "2.png").write_bytes(png(250))
    os.utime(pictures / "2.png", (0, 0))  # a file system may tell no more than seconds
    (pictures / "3.png").unlink()
    (pictures / "a.png").write_bytes(png(240))
    drawing = Drawing()
    predict([pictures], tmp_path / "out", draw=drawing)
    assert sorted(drawing.drawn) == [60, 70, 80, 90, 240, 250]
    _, records = read(tmp_path / "out")
    names = [os.path.basename(record["file"])[0] for record in records]
    assert sorted(names) == sorted("012456789a")
    changed = records[names.index("2")]
    assert changed["detections"][0]["score"] == pytest.approx(250 / 255, abs=1e-5)


def test_a_prediction_that_has_ended_is_done_anew(pictures, tmp_path):
    predict([pictures], tmp_path / "out")
    drawing = Drawing()
    predict([pictures], tmp_path / "out", draw=drawing)
    assert len(drawing.drawn) == 10


def test_pictures_that_cannot_be_read_are_tried_again(pictures, tmp_path):
    (pictures / "1.png").write_bytes(b"half")
    stop(pictures, tmp_path / "out")
    (pictures / "1.png").write_bytes(png(10))
    summary = predict([pictures], tmp_path / "out")
    assert (summary["images"], summary["failed"]) == (10, {})


def test_a_full_disk_stops_with_a_sentence_and_keeps_what_is_there(pictures, tmp_path, monkeypatch):
    full = StorageError("cannot write drawn/6.png: No space left on device")
    with monkeypatch.context() as patch:

        def save(image, path):
            if path.endswith("/6.png"):
                patch.setattr(journal, "write_json", lambda *_: (_ for _ in ()).throw(full))
                raise full
            pathlib.Path(path).write_bytes(b"")

        pathlib.Path(tmp_path / "out" / "drawn").mkdir(parents=True)
        patch.setattr(results, "save_png", save)
        with pytest.raises(StorageError, match="No space left"):
            predict([pictures], tmp_path / "out")
    assert len(read(tmp_path / "out")[0]) == 5
    assert predict([pictures], tmp_path / "out")["images"] == 10


def test_one_output_that_cannot_be_written_is_listed_and_costs_nothing_else(pictures, tmp_path):
    """A folder lies where the drawn picture belongs."""
    predict([pictures], tmp_path / "out")
    in_the_way = tmp_path / "out" / "drawn" / "4.png"
    in_the_way.unlink()
    (in_the_way / "b").mkdir(parents=True)
    summary = predict([pictures], tmp_path / "out")
    assert (summary["images"], summary["complete"]) == (10, True)
    assert list(summary["incomplete"]) == [str(pictures / "4.png")]
    assert "cannot write" in summary["incomplete"][str(pictures / "4.png")]
    assert len(read(tmp_path / "out")[1]) == 10
    assert len(os.listdir(tmp_path / "out" / "drawn")) == 10


@pytest.mark.parametrize("name", ["drawn/a.png", "report.json", "predictions.json"])
def test_files_of_others_are_not_written_over(pictures, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[]")
    with pytest.raises(UserError, match="no prediction of edet has written it; give another"):
        predict([pictures], tmp_path / "out")
    assert path.read_text() == "[]"


def test_pictures_that_lie_where_results_go_are_not_written_over(tmp_path):
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "b.png").write_bytes(png(100))
    with pytest.raises(UserError, match=r"drawn/b\.png lies where the results are written"):
        predict([tmp_path / "drawn"], tmp_path)
    assert (tmp_path / "drawn" / "b.png").read_bytes() == png(100)


def test_a_prediction_that_is_killed_at_once_belongs_to_edet(pictures, tmp_path):
    """It has drawn a picture and noted nothing yet."""
    output = tmp_path / "out"
    Journal(str(output), [results.DetectionWriter(str(output), {}, 0.0, draw_boxes)], {}, {}, {})
    (output / "drawn").mkdir()
    (output / "drawn" / "0.png").write_bytes(png(1))
    assert predict([pictures], output)["images"] == 10
    assert not (output / "unfinished.jsonl").exists()


def test_lists_of_other_heads_do_not_outlive_a_prediction(pictures, tmp_path):
    output = tmp_path / "out"
    predict([pictures], output, stub({"detection": Boxes(), "segmentation": Masks()}))
    assert (output / "segmentation.json").exists()
    predict([pictures], output)
    assert not (output / "segmentation.json").exists()
    predict([pictures], output, stub({"segmentation": Masks()}))
    assert not (output / "predictions.json").exists()


def test_names_as_long_as_the_file_system_takes_are_written(tmp_path):
    """244 bytes and the 19 of a file aside are more than 255; 255 and an ending are too."""
    long, longest = "x" * 240 + ".jpg", "ä" * 127
    for name in (long, longest, "b.png"):
        (tmp_path / name).write_bytes(png(100))
    summary = predict([tmp_path / n for n in (long, longest, "b.png")], tmp_path / "out")
    assert (summary["images"], summary["failed"], summary["incomplete"]) == (3, {}, {})
    drawn = {name: len(name.encode()) for name in os.listdir(tmp_path / "out" / "drawn")}
    assert drawn.pop("x" * 240 + ".png") == 244
    assert drawn.pop("b.png") == 5
    ((shortened, length),) = drawn.items()
    assert summary["renamed"] == {str(tmp_path / longest): shortened}
    assert 250 <= length <= 255
    assert shortened.startswith("ä" * 120)


def test_buckets_keep_what_is_found_too(pictures):
    """ram:// is a file system of TensorFlow's, as gs:// is."""
    with pytest.raises(KeyboardInterrupt):
        predict([pictures], "ram://kept/out", draw=Drawing(60))
    names = set(tf.io.gfile.listdir("ram://kept/out"))
    assert names >= {*LISTS, "unfinished.jsonl", "report.json"}
    drawing = Drawing()
    predict([pictures], "ram://kept/out", draw=drawing)
    assert len(drawing.drawn) == 4
    with tf.io.gfile.GFile("ram://kept/out/detections.jsonl") as file:
        assert len(file.read().splitlines()) == 9


def test_a_network_that_only_segments_goes_on_too(pictures, tmp_path, monkeypatch):
    segments = stub({"segmentation": Masks()})
    (pictures / "5.png").write_bytes(png(250))

    def encode(mask):
        if mask.any():
            raise KeyboardInterrupt
        return encode_colored(mask)

    with monkeypatch.context() as patch:
        patch.setattr(results, "encode_colored", encode)
        with pytest.raises(KeyboardInterrupt):
            predict([pictures], tmp_path / "out", segments)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["images"], report["left"]) == (5, 5)
    summary = predict([pictures], tmp_path / "out", segments)
    rows = json.loads((tmp_path / "out" / "segmentation.json").read_text())
    assert summary["images"] == len(rows) == 10
    assert {row["file"][-5:]: row["classes"] for row in rows}["5.png"] == {"bright": 1.0}
    assert sorted(os.listdir(tmp_path / "out")) == [
        "masks", "overlays", "report.json", "segmentation.json",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_written_is_told_before_the_work(pictures, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*file/predictions\.json"):
        predict([pictures], tmp_path / "file", draw=Drawing(0, AssertionError))


class TestVideos:
    """A video of sixty frames, brighter by four each from 4 on."""

    @pytest.fixture
    def clip(self, tmp_path):
        av = pytest.importorskip("av", reason="needs the extra: pip install 'edet[video]'")
        path = tmp_path / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("h264", rate=10)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for k in range(60):
                image = np.full((48, 64, 3), 4 + 4 * k, "uint8")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    def test_one_that_is_stopped_within_is_kept_and_then_looked_at_again(self, clip, tmp_path):
        from edet.inference.video import Video

        def draw(image, *rest):
            if image.max() > 160:
                raise KeyboardInterrupt
            return draw_boxes(image, *rest)

        (tmp_path / "a.png").write_bytes(png(100))
        inputs, output = [tmp_path / "a.png", clip], tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            predict(inputs, output, draw=draw)
        lines, records = read(output)
        frames = [line["frame"] for line in lines if "frame" in line]
        assert frames == list(range(len(frames)))
        assert 36 <= len(frames) <= 42
        assert records[1] == {"file": str(clip), "height": 48, "width": 64, "frames": len(frames)}
        assert len(list(Video(str(output / "drawn" / "clip.mp4")))) == len(frames)
        report = json.loads((output / "report.json").read_text())
        assert (report["images"], report["videos"], report["left"]) == (1, 0, 1)

        drawing = Drawing()
        summary = predict(inputs, output, draw=drawing)
        assert len(drawing.drawn) == 60  # the picture is not among them
        assert (summary["images"], summary["videos"], summary["frames"]) == (1, 1, 60)
        lines, records = read(output)
        assert [line.get("frame") for line in lines] == [None, *range(60)]
        assert records[1]["frames"] == 60

    def test_both_heads_write_all_of_their_own(self, clip, tmp_path):
        from edet.inference.video import Video

        predictor = stub({"detection": Boxes(), "segmentation": Masks()})
        summary = predict([clip], tmp_path / "out", predictor)
        assert (summary["videos"], summary["frames"], summary["incomplete"]) == (1, 60, {})
        (row,) = json.loads((tmp_path / "out" / "segmentation.json").read_text())
        assert row["mask"] == "masks/clip.mkv"
        masks = [frame.image for frame in Video(str(tmp_path / "out" / "masks" / "clip.mkv"))]
        assert masks[0].shape[:2] == (48, 64)
        values = [np.unique(mask).tolist() for mask in masks]
        assert values[:20] == [[0]] * 20
        assert values[-20:] == [[1]] * 20
        assert row["classes"]["bright"] == pytest.approx(values.count([1]) / 60, abs=1e-4)
        overlays = list(Video(str(tmp_path / "out" / "overlays" / "clip.mp4")))
        assert len(overlays) == 60
        assert overlays[0].image.shape[0] > 48  # the legend is below
        assert len(list(Video(str(tmp_path / "out" / "drawn" / "clip.mp4")))) == 60
