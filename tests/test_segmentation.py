"""Segmentation from records to files: a small network learns four drawn scenes by heart."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet import workflows
from edet.config.loading import load_config
from edet.config.schema import replace
from edet.errors import UserError
from edet.records.masks import encode_mask
from edet.records.schema import Example, Mask, encode_example
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.workdir import Workdir
from edet.workflows.configuration import run_config
from tests import small

pytestmark = pytest.mark.usefixtures("undrawn")
assert small.BACKBONES  # importing it makes its backbone known

OVERRIDES = [
    "model.heads=[segmentation]", "model.image_size=64", "model.backbone=efficientnet-lite-tiny",
    "model.pyramid_width=24", "model.pyramid_repeats=1", "model.max_level=5",
    "model.segmentation.labels={0: background, 1: disc, 2: square, 3: triangle}",
    "model.segmentation.level=1", "model.segmentation.width=24", "model.segmentation.repeats=1",
    "augment.horizontal_flip=false", "augment.jitter_min=1", "augment.jitter_max=1",
    "data.batch_size=4", "data.eval_batch_size=3", "train.learning_rate=3", "loss.weight_decay=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    output = str(tmp_path_factory.mktemp("records") / "all")
    write_records(SyntheticSet(4, size=64, seed=2), output)
    return f"{output}-*"


def configured(records, *overrides):
    paths = [f"data.{name}_records={records}" for name in ("train", "eval")]
    return load_config("efficientdet-lite0", overrides=[*OVERRIDES, *paths, *overrides])


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.get_strategy()


@pytest.fixture(scope="module")
def workdir(records, strategy, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("run"))
    config = configured(records, "train.steps=120", "train.eval_every=120")
    workflows.train(config, folder, strategy, evaluate_too=True)
    return folder


def test_the_scenes_are_learnt_by_heart_and_the_best_checkpoint_is_that_of_miou(workdir, strategy):
    config = run_config(workdir, None, None, [])
    found = workflows.evaluate(config, workdir, strategy, "")["segmentation"]
    assert found["metrics"]["mIOU"] >= 0.9
    assert found["images"] == 4
    assert np.sum(found["confusion"]) == found["pixels"] == 4 * 64 * 64
    best = json.loads(tf.io.gfile.GFile(f"{workdir}/best/best.json").read())
    assert best["mIOU"] == pytest.approx(found["metrics"]["mIOU"])
    assert tf.io.gfile.exists(f"{workdir}/segmentation.png")
    rows = Workdir(workdir).history()
    assert float(rows[0]["segmentation_loss"]) > 10 * float(rows[-1]["segmentation_loss"])


@pytest.mark.parametrize(("masks", "shown"), [([None] * 9 + [64], True), ([32], False)])
def test_pictures_that_cannot_be_shown_beside_their_masks_end_nothing(
    masks, shown, workdir, strategy, tmp_path
):
    examples = [
        Example(encode_mask(np.zeros((64, 64), np.uint8)), f"{k}", [], [], 64, 64,
                mask=side and Mask(encode_mask(np.zeros((side, side), np.uint8))))
        for k, side in enumerate(masks)
    ]  # fmt: skip
    path = str(tmp_path / "eval.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for example in examples:
            writer.write(encode_example(example, {}, "png"))
    config = run_config(workdir, None, None, [f"data.eval_records={path}"])
    pathlib.Path(workdir, "segmentation.png").unlink(missing_ok=True)
    found = workflows.evaluate(config, workdir, strategy, "")
    assert set(found["segmentation"]["metrics"]) == {"mIOU", "pixel_accuracy"}
    assert tf.io.gfile.exists(f"{workdir}/segmentation.png") == shown


def test_pictures_get_masks_overlays_and_shares(workdir, tmp_path):
    picture = tmp_path / "street.png"
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(picture)
    (tmp_path / "broken.jpg").write_bytes(b"x")
    config = run_config(workdir, None, None, [])
    inputs = [str(picture), str(tmp_path / "broken.jpg")]
    summary = workflows.predict(config, workdir, "", inputs, str(tmp_path / "out"))
    assert summary["images"] == 1
    assert list(summary["failed"]) == inputs[1:]
    (row,) = json.loads((tmp_path / "out" / "segmentation.json").read_text())
    assert (row["height"], row["width"], row["mask"]) == (50, 70, "masks/street.png")
    assert sum(row["classes"].values()) == pytest.approx(1, abs=1e-3)
    with Image.open(tmp_path / "out" / "masks" / "street.png") as mask:
        assert mask.mode == "P" and mask.size == (70, 50)
    assert (tmp_path / "out" / "overlays" / "street.png").exists()
    page = json.loads(pathlib.Path(workdir, "report", "predict.json").read_text())
    assert page == [
        ["Pictures", [{"title": "street.png", "note": "", "size": [70, 50], "boxes": []}]]
    ]


def test_a_prediction_does_not_write_over_an_evaluations_segmentation_json(workdir, tmp_path):
    config = run_config(workdir, None, None, [])
    with pytest.raises(UserError, match="is a workdir, where segmentation.json is an evaluation's"):
        workflows.predict(config, workdir, "", [str(tmp_path)], workdir)


def test_it_is_said_that_pixels_are_classified_once(workdir, strategy, records, capsys):
    """`detect.flip` changes nothing of them; and a shard without a record has no mask's fault."""
    config = run_config(workdir, None, None, ["detect.flip=true"])
    workflows.evaluate(config, workdir, strategy, "")
    assert "detect.flip and detect.tile are of boxes" in capsys.readouterr().out
    empty = pathlib.Path(workdir, "empty.tfrecord")
    empty.write_bytes(b"")
    config = replace(config, data={"eval_records": str(empty)})
    with pytest.raises(UserError, match="there are no records in .*empty.tfrecord"):
        workflows.evaluate(config, workdir, strategy, "")


# tests/inference/test_segmenter.py shows it of the pixels of single pictures.
@pytest.mark.thorough
def test_an_exported_file_has_the_networks_miou(workdir, strategy, tmp_path, capsys):
    config = replace(run_config(workdir, None, None, []), export={"format": "litert"})
    exported = workflows.export(config, workdir, "", str(tmp_path / "m.tflite"))
    capsys.readouterr()
    found = workflows.evaluate(config, workdir, strategy, exported["litert"])
    assert "difference +0.00" in capsys.readouterr().out
    assert found["network"]["mIOU"] >= 0.9


# tests/inference/test_segmenter.py shows one pass for both heads, tests/training their losses.
@pytest.mark.thorough
def test_boxes_and_pixels_are_trained_evaluated_and_predicted_together(
    records, strategy, tmp_path, eagerly
):
    config = configured(
        records, "model.heads=[detection, segmentation]", "train.steps=1", "train.eval_every=1",
        "model.labels={1: disc, 2: square, 3: triangle}", "model.head_repeats=1",
    )  # fmt: skip
    workdir = str(tmp_path / "run")
    summary = workflows.train(config, workdir, strategy, evaluate_too=True)
    assert set(summary["best"]) == {"step", "AP+mIOU"}
    for name, metric in (("eval", "AP50"), ("segmentation", "mIOU")):
        assert metric in json.loads(pathlib.Path(workdir, f"{name}.json").read_text())["metrics"]
    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "broken.jpg").write_bytes(b"x")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    inputs = [str(tmp_path / name) for name in ("a.png", "broken.jpg", "clip.mp4")]
    summary = workflows.predict(config, workdir, "", inputs, str(tmp_path / "out"))
    assert (summary["images"], summary["videos"]) == (1, 0)
    assert list(summary["failed"]) == inputs[1:]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written >= {"predictions.json", "drawn", "segmentation.json", "masks", "overlays"}
    rows = [json.loads((tmp_path / "out" / f"{name}.json").read_text())
            for name in ("predictions", "segmentation")]  # fmt: skip
    assert [[row["file"] for row in of_head] for of_head in rows] == [inputs[:1]] * 2


def test_a_network_without_boxes_is_inspected_but_not_benchmarked(records):
    config = configured(records)
    assert workflows.inspect(config)["anchors"] == 0
    with pytest.raises(UserError, match="model.heads has no detection"):
        workflows.benchmark(config, "", "")
