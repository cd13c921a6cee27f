"""The modes on tiny drawn scenes: each works from the workdir alone, and a stopped run goes on."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from edet import workflows
from edet.checkpoint_files import read_weights
from edet.config.loading import load_config
from edet.config.schema import replace
from edet.errors import Interrupted, StorageError, UserError
from edet.export import exported as exported_files
from edet.export.litert import LiteRTFile
from edet.input.windows import make_eval_dataset
from edet.ownership import owned
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.runtime.interruption import Workers
from edet.training import pace
from edet.workdir import Workdir
from edet.workflows import scoring, training
from edet.workflows.common import checked_records, load_predictor
from edet.workflows.configuration import run_config
from edet.workflows.serving import published_latency
from edet.workflows.training import refuse_fewer_steps
from tests import small
from tests.conftest import REPOSITORY

assert small.BACKBONES  # importing it makes its backbone known

OVERRIDES = [
    "model.image_size=64", "model.backbone=efficientnet-lite-tiny",
    "model.labels={1: disc, 2: square, 3: triangle}", "model.pyramid_width=16",
    "model.pyramid_repeats=1", "model.head_repeats=1", "model.max_level=5",
    "data.batch_size=4", "data.eval_batch_size=3", "train.steps=6", "train.save_every=3",
    "train.eval_every=6", "train.log_every=2", "detect.draw_threshold=0",
]  # fmt: skip


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    write_records(SyntheticSet(12, size=64, seed=0), str(folder / "train"), num_shards=2)
    write_records(SyntheticSet(5, size=64, seed=1), str(folder / "eval"))
    return folder


@pytest.fixture(scope="module")
def config(records):
    paths = [f"data.train_records={records}/train-*", f"data.eval_records={records}/eval-*"]
    return load_config("efficientdet-lite0", overrides=OVERRIDES + paths)


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.get_strategy()


@pytest.fixture(scope="module")
def workdir(config, strategy, tmp_path_factory):
    """A finished run of six steps with an evaluation at the end."""
    folder = tmp_path_factory.mktemp("run")
    workflows.train(config, str(folder), strategy, evaluate_too=True)
    return folder


def test_a_run_leaves_everything_that_explains_it(workdir, config):
    assert {path.name for path in workdir.iterdir()} >= {
        "config.yaml", "recipe.json", "environment.json", "history.csv", "history.png",
        "evaluations.csv", "eval.json", "examples.png", "checkpoints", "best", "tensorboard",
        "report.html",
    }  # fmt: skip
    assert load_config(path=workdir / "config.yaml") == config
    assert [int(row["step"]) for row in Workdir(str(workdir)).history()] == [*range(6)]
    (start,) = json.loads((workdir / "starts.json").read_text())
    assert (start["step"], start["changed"]) == (0, [])
    page = (workdir / "report.html").read_text()
    assert "6 of 6 steps; best at step 6" in page and 'id="evaluation-strip-0"' in page
    versions = json.loads((workdir / "environment.json").read_text())["versions"]
    assert "keras" in versions
    assert json.loads((workdir / "eval.json").read_text())["images"] == 5


def test_the_workdir_alone_is_enough_for_every_mode(workdir, strategy, records, tmp_path):
    config = run_config(str(workdir), None, None, [])
    with Workdir(str(workdir)).owned("a training"):  # which an evaluation may watch
        found = workflows.evaluate(config, str(workdir), strategy, "")
    assert found == json.loads((workdir / "eval.json").read_text())
    assert (found["step"], "file" in found) == (6, False)
    results = json.loads((workdir / "detections.json").read_text())
    assert len(results) == sum(found["detections"].values()) > 0
    for page in ("precision_recall.png", "confusion.png"):
        assert min(Image.open(workdir / page).size) > 200
    exported = workflows.export(config, str(workdir), "", "")["saved_model"]
    assert exported == str(workdir / "saved_model" / "1")
    picture = tmp_path / "scene.png"
    scene = tf.io.encode_png(tf.zeros((50, 70, 3), tf.uint8))
    picture.write_bytes(scene.numpy())
    summary = workflows.predict(config, str(workdir), "", [str(picture)], "")
    assert summary["images"] == 1
    assert (workdir / "predict" / "drawn" / "scene.png").exists()
    page = (workdir / "report.html").read_text()
    assert 'id="predict-strip-0"' in page and "saved_model/1" in page
    assert page.count('type="text/plain" id="evaluation-strip-') == 1


def test_the_evaluations_of_a_training_share_the_graph_that_reads_the_pictures(
    workdir, config, strategy, monkeypatch
):
    made = []

    def make(*arguments):
        made.append(arguments)
        return make_eval_dataset(*arguments)

    monkeypatch.setattr(scoring, "make_eval_dataset", make)
    predictor = load_predictor(config, str(workdir))
    several = scoring.Evaluation(config, Workdir(""), strategy, predictor)
    first, second = several.run(), several.run()
    assert first.entries == second.entries
    assert first.entries["images"] == 5
    assert len(made) == 1


ON_TWO_DEVICES = """
import sys
from tests import small
from edet import workflows
from edet.runtime.devices import make_strategy
from edet.workflows.configuration import run_config
from edet.workflows.common import checked_records
from edet.workflows.serving import published_latency
workdir, output, *pictures = sys.argv[1:]
strategy = make_strategy("mirrored", devices=2)
config = run_config(workdir, None, None, ["data.eval_batch_size=4"])
assert workflows.predict(config, workdir, "", pictures, output, strategy)["images"] == 5
"""


@pytest.mark.thorough
def test_pictures_are_shared_out_to_all_devices_and_come_back_in_order(workdir, tmp_path):
    pictures = []
    for k in range(5):  # which is no multiple of four
        pictures.append(str(tmp_path / f"{k}.png"))
        scene = np.random.default_rng(k).integers(0, 255, (40 + k, 60, 3), np.uint8)
        Image.fromarray(scene).save(pictures[-1])
    config = run_config(str(workdir), None, None, [])
    workflows.predict(config, str(workdir), "", pictures, str(tmp_path / "one"))
    command = [sys.executable, "-c", ON_TWO_DEVICES, workdir, tmp_path / "two", *pictures]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    one, two = (
        json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("one", "two")
    )
    assert [row["file"] for row in two] == pictures
    for ours, theirs in zip(two, one, strict=True):
        scores = [[found["score"] for found in row["detections"]] for row in (ours, theirs)]
        np.testing.assert_allclose(*scores, rtol=1e-4)
        assert len(scores[0]) > 10


@pytest.mark.thorough
def test_an_exported_file_alone_is_enough_to_evaluate_and_predict(
    workdir, config, strategy, records, tmp_path, capsys, monkeypatch
):
    """An int8 file, calibrated with the training records, whose AP stands beside the network's.

    Its runtime is opened once.
    """
    opened = []
    monkeypatch.setitem(
        exported_files._TYPES, ".tflite", lambda *args: opened.append(1) or LiteRTFile(*args)
    )
    int8 = replace(config, export={"format": "litert", "precision": "int8", "outputs": "network"})
    exported = workflows.export(int8, str(workdir), "", "")
    path = str(workdir / "efficientdet-lite0-network-int8.tflite")
    assert exported == {"litert": path, "bytes": (workdir / path).stat().st_size}
    capsys.readouterr()
    beside = workflows.evaluate(config, str(workdir), strategy, path)
    assert "difference" in capsys.readouterr().out
    assert set(beside["network"]) == set(beside["metrics"])
    alone = run_config("", None, None, [f"data.eval_records={records}/eval-*"], path)
    assert alone.model == config.model
    assert workflows.evaluate(alone, "", strategy, path)["detections"] == beside["detections"]
    picture = tmp_path / "scene.png"
    picture.write_bytes(tf.io.encode_png(tf.zeros((50, 70, 3), tf.uint8)).numpy())
    assert workflows.predict(alone, "", path, [str(picture)], str(tmp_path / "out"))["images"] == 1
    assert opened == [1]
    with pytest.raises(UserError, match="is exported already"):
        workflows.export(int8, str(workdir), path, "")


def test_pictures_are_refused_where_an_export_needs_none(workdir, config):
    with pytest.raises(UserError, match=r"'street.jpg' is not a flag; only an int8 export takes"):
        workflows.export(config, str(workdir), "", "", ["street.jpg"])


def test_a_picture_is_looked_at_several_times_in_eval_but_not_by_an_export(
    workdir, strategy, tmp_path
):
    """Pictures in which nothing is found are drawn too, at any threshold of drawing."""
    settings = ["detect.flip=true", "detect.tile=[40,48]"]
    config = run_config(str(workdir), None, None, [*settings, "detect.score_threshold=0.9"])
    found = workflows.evaluate(config, str(tmp_path), strategy, str(workdir))
    assert (found["images"], sum(found["detections"].values())) == (5, 0)
    assert (found["file"], "step" in found) == (str(workdir), False)  # not this workdir's own
    assert (tmp_path / "examples.png").exists()
    for setting in settings:
        config = run_config(str(workdir), None, None, [setting])
        with pytest.raises(UserError, match=r"looks at a picture once.*--set detect.flip=false"):
            workflows.export(config, str(workdir), "", str(tmp_path / "exported"))
    assert not (tmp_path / "exported").exists()


def test_inspect_counts_the_network_without_any_weights(config):
    found = workflows.inspect(config)
    assert found["anchors"] == 9 * (8 * 8 + 4 * 4 + 2 * 2)
    parts = found["parts"]
    assert parts["total"]["trainable_parameters"] > parts["heads"]["trainable_parameters"] > 0


@pytest.mark.parametrize("mode", ["training", "evaluation", "prediction"])
def test_a_second_one_of_the_same_mode_is_refused_in_a_sentence(
    mode, workdir, config, strategy, tmp_path, monkeypatch
):
    run = Workdir(str(workdir))
    before = sorted(path.name for path in workdir.iterdir())
    sentence = f"is being written by an? {mode} already: this process, since 20.*; wait"
    if mode == "training":
        with run.owned("a training"), pytest.raises(UserError, match=f"{workdir} {sentence}"):
            workflows.train(config, str(workdir), strategy)
    elif mode == "evaluation":
        with run.owned("an evaluation"), pytest.raises(UserError, match=f"{workdir} {sentence}"):
            workflows.evaluate(config, str(workdir), strategy, "")
    else:
        monkeypatch.setattr("edet.workflows.serving.load_predictor", lambda *_: None)
        lock = f"{tmp_path}/predict.lock"
        with (
            owned(lock, str(tmp_path), "a prediction", "wait"),
            pytest.raises(UserError, match=f"{tmp_path} {sentence}"),
        ):
            workflows.predict(config, str(workdir), "", [], str(tmp_path))
    assert sorted(path.name for path in workdir.iterdir()) == before


@pytest.mark.thorough
def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_ends_as_if_it_had_not_been_full(
    workdir, config, strategy, tmp_path
):
    """The second half is lost and done again: data order and dropout go on from step 3."""
    folder = str(tmp_path / "full")
    write = tf.train.Checkpoint.write

    def fill_up(self, path):
        if not path.endswith("ckpt-3"):
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")
        return write(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.train.Checkpoint, "write", fill_up)
        with pytest.raises(UserError, match="No space left on device; the earlier ones"):
            workflows.train(config, folder, strategy)
    assert Workdir(folder).checkpoint().endswith("ckpt-3")
    workflows.train(config, folder, strategy)
    for kind in ("raw", "average", "velocity"):
        expected = read_weights(str(workdir / "checkpoints" / "ckpt-6"), kind)
        found = read_weights(f"{folder}/checkpoints/ckpt-6", kind)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6, err_msg=name)
    losses = [[row["total_loss"] for row in Workdir(run).history()] for run in (workdir, folder)]
    np.testing.assert_allclose(*np.array(losses, float), rtol=1e-5)


def test_a_run_that_is_complete_has_nothing_left_to_do(workdir, config, strategy, capsys):
    before = Workdir(str(workdir)).checkpoint("last")
    again = workflows.train(config, str(workdir), strategy, evaluate_too=True)
    assert (again["steps"], again["images_per_second"] > 0) == (6, True)
    assert Workdir(str(workdir)).checkpoint("last") == before
    said = " ".join(capsys.readouterr().out.split())
    assert "step 6 is the best; " in said and said.endswith("report.html shows the run")


def test_a_run_of_minutes_is_the_run_of_as_many_steps(
    config, strategy, tmp_path, monkeypatch, capsys, eagerly
):
    """Each step of the measured run is that of `train.steps`; the same command goes on with it."""
    monkeypatch.setattr(training, "plot_history", lambda *_: None)
    monkeypatch.setattr(pace, "_MEASURED", 0.0)
    monkeypatch.setattr(pace, "_FEWEST", 1)
    monkeypatch.setattr(pace.Pace, "steps_within", lambda self, seconds, minutes: 3)
    timed = replace(config, train={"minutes": 5.0, "steps": 0})
    counted, run = replace(config, train={"steps": 3}), Workdir(str(tmp_path / "minutes"))
    workflows.train(timed, run.path, strategy)
    workflows.train(counted, str(tmp_path / "steps"), strategy)
    of_steps = Workdir(str(tmp_path / "steps")).history()
    for name in ("total_loss", "gradient_norm", "learning_rate"):
        expected = [row[name] for row in of_steps]
        assert [row[name] for row in run.history()] == expected, name
    assert len(of_steps) == 3
    assert capsys.readouterr().out.count("measuring how many steps fit into 5 minutes") == 1
    monkeypatch.delattr(pace.Pace, "steps_within")  # nothing is measured again
    plan = training._plan(timed, run, strategy, evaluate_too=False)
    again = training._fit_to_minutes(timed, run, strategy, plan, started=0.0)
    assert again.recipe.total_steps == 3


def test_patience_without_evaluations_is_refused(config, strategy, tmp_path):
    patient = replace(config, train={"patience": 2})
    with pytest.raises(UserError, match="train.patience is 2, which counts evaluations, and"):
        workflows.train(patient, str(tmp_path / "run"), strategy)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"freeze": ("backbone",)}, r"train.freeze=\['backbone'\] would keep random weights"),
        ({"optimizer": "adamw", "learning_rate": 0.08}, "=0.08, which is the paper's for sgd"),
        ({"schedule": "stepwise"}, "train.schedule=stepwise first drops the rate after step"),
    ],
)
def test_a_new_run_of_which_nothing_good_can_come_is_refused(
    config, strategy, tmp_path, train, message
):
    run = tmp_path / "run"
    with pytest.raises(UserError, match=message):
        workflows.train(replace(config, train=train), str(run), strategy)
    assert not (run / "config.yaml").exists()


def test_a_rate_that_explodes_is_stopped_and_the_images_are_named(
    config, strategy, tmp_path, eagerly
):
    wild = replace(config, train={"learning_rate": 1e25, "clip_norm": 0.0, "warmup_epochs": 0.0})
    with pytest.raises(
        UserError,
        match=r"step \d is not finite .* on image 0-\d+ .*\(and train.recipe=modern beside",
    ):
        workflows.train(wild, str(tmp_path / "wild"), strategy)


def test_a_workdir_of_another_model_is_refused_and_kept(workdir, config, strategy):
    before = (workdir / "config.yaml").read_bytes()
    other = replace(config, model={"pyramid_width": 24})
    with pytest.raises(UserError, match="model.pyramid_width was 16, now it is 24"):
        workflows.train(other, str(workdir), strategy)
    assert (workdir / "config.yaml").read_bytes() == before


def test_labels_outside_the_map_are_refused_before_anything_starts(config, strategy, tmp_path):
    fewer = replace(config, model={"labels": {1: "disc", 2: "square"}, "num_classes": 2})
    with pytest.raises(UserError, match="train-0000.*3"):
        workflows.train(fewer, str(tmp_path / "fewer"), strategy)
    assert not (tmp_path / "fewer").exists()


def test_records_that_call_a_class_otherwise_than_the_labels_are_pointed_out(config, capsys):
    """As when the sets of training and of evaluation were numbered each by itself."""
    labels = {1: "disc", 2: "triangle", 3: "square"}
    checked_records(replace(config, model={"labels": labels}), "eval_records")
    said = " ".join(capsys.readouterr().out.split())
    assert "data.eval_records: class names differ: 2 is 'square' in the records and 'tri" in said
    checked_records(config, "eval_records")
    assert capsys.readouterr().out == ""


def test_training_stops_where_records_call_a_class_otherwise(config, strategy, tmp_path):
    other = replace(config, model={"labels": {1: "disc", 2: "triangle", 3: "square"}})
    with pytest.raises(UserError, match="data.train_records: class names differ: 2 is 'square'"):
        workflows.train(other, str(tmp_path / "other"), strategy)
    assert not (tmp_path / "other").exists()


def test_a_truncated_shard_is_named(config, strategy, records, tmp_path):
    shard = next(records.glob("train-00000-*.tfrecord"))
    (tmp_path / "cut.tfrecord").write_bytes(shard.read_bytes()[:-9])
    cut = replace(config, data={"train_records": str(tmp_path / "cut.tfrecord")})
    with pytest.raises(UserError, match="cut.tfrecord"):
        workflows.train(cut, str(tmp_path / "run"), strategy)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_device_with_too_little_memory_says_what_to_set(
    mode, config, workdir, strategy, tmp_path, monkeypatch
):
    def fail(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [512,64,64,8]")

    advice = {"train": "train.micro_batches=2", "eval": "data.eval_batch_size"}[mode]
    match = rf"too little memory \(OOM when allocating \[512,.*{advice}"
    with pytest.raises(UserError, match=match):
        if mode == "train":
            monkeypatch.setattr("edet.workflows.training.run_training", fail)
            workflows.train(config, str(tmp_path), strategy)
        else:
            monkeypatch.setattr("edet.workflows.evaluation.Evaluation", fail)
            workflows.evaluate(config, str(workdir), strategy, "")


@pytest.mark.parametrize(
    ("error", "kind", "match"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "r; No space left on device"), StorageError,
         "cannot write a file: r; No space left"),
        (tf.errors.AbortedError(None, None, "failed when reading gs://b/r"), StorageError,
         r"a bucket does not answer \(failed when reading gs://b/r\)"),
        (tf.errors.UnavailableError(None, None, "Socket closed"), Interrupted,
         r"another worker is gone \(Socket closed\)"),
    ],
)  # fmt: skip
def test_what_ends_one_of_several_evaluating_workers_is_told_apart(
    error, kind, match, config, workdir, strategy, monkeypatch
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("edet.workflows.evaluation.Evaluation", fail)
    monkeypatch.setattr(
        "edet.workflows.evaluation.Workers", lambda strategy: several(Workers(strategy))
    )
    with pytest.raises(kind, match=match):
        workflows.evaluate(config, str(workdir), strategy, "")


def several(workers):
    workers._are_several = True
    return workers


def test_an_undecodable_picture_is_an_error_in_evaluation(config, workdir, strategy, tmp_path):
    from edet.records.schema import Example, encode_example

    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    broken = Example(b"\xff\xd8 broken", "img-7", *empty, height=8, width=8)
    with tf.io.TFRecordWriter(str(tmp_path / "bad.tfrecord")) as writer:
        writer.write(encode_example(broken, config.model.labels))
    bad = replace(config, data={"eval_records": str(tmp_path / "bad.tfrecord")})
    with pytest.raises(UserError, match="img-7"):
        workflows.evaluate(bad, str(workdir), strategy, "")


def test_the_data_are_checked_and_drawn(config, tmp_path, capsys):
    result = workflows.check_data(config, str(tmp_path))
    assert (result["train"]["images"], result["eval"]["images"]) == (12, 5)
    rows = {row["name"]: row["boxes"] for row in result["train"]["classes"]}
    assert sum(rows.values()) == result["train"]["boxes"] == result["anchors"]["all"]["boxes"] > 0
    assert result["train"]["problems"] == result["eval"]["problems"] == []
    assert result["overlap"] == {"source ids": [], "pictures": []}
    assert json.loads(json.dumps(result)) == result
    printed = capsys.readouterr().out
    assert all(sentence[:40] in printed for sentence in result["sentences"])
    assert "check_data.png show the pictures" in " ".join(printed.split())
    written = sorted(path.name for path in tmp_path.iterdir())
    # The result and the page of it before it is printed.
    assert written == ["check_data.json", "check_data.png", "report", "report.html"]
    groups = dict(json.loads((tmp_path / "report" / "data.json").read_text()))
    seen = groups["What the network sees, after augmentation"]
    assert len(seen) == 8 and seen[0]["size"] == [64, 64] and any(one["boxes"] for one in seen)
    learnt = groups["The anchors that learn it"]
    for picture, anchors in zip(seen, learnt, strict=True):
        whole = f"{len(anchors['boxes'])} anchors for {len(picture['boxes'])} objects"
        assert anchors["note"] == whole
        assert len(anchors["boxes"]) >= len(picture["boxes"])  # whatever its size, one at least
    places = json.loads((tmp_path / "report" / "data-pictures.json").read_text())["places"]
    assert len(places) == sum(map(len, groups.values()))
    assert json.loads((tmp_path / "check_data.json").read_text()) == result
    with Image.open(tmp_path / "check_data.png") as page:
        assert page.height > 8 * 480  # eight square scenes under each other


def test_pictures_that_look_alike_are_drawn_side_by_side(config, records, tmp_path):
    """A brighter copy of a training scene in JPEG, among the scenes of evaluation."""
    from edet.dataset_check.check import read_image, read_set
    from edet.records.schema import Example, encode_example

    (scene, *_) = read_set([str(records / "train-00000-of-00002.tfrecord")], None, "train").images
    brighter = np.minimum(read_image(scene) * 1.1, 255).astype(np.uint8)
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    size = brighter.shape[:2]
    copy = Example(tf.io.encode_jpeg(brighter, quality=60).numpy(), "copy", *empty, *size)
    with tf.io.TFRecordWriter(str(tmp_path / "copy.tfrecord")) as writer:
        writer.write(encode_example(copy, {}))
    both = [f"{records}/eval-*", str(tmp_path / "copy.tfrecord")]
    copied = replace(config, data={"eval_records": both})
    (pair,) = workflows.check_data(copied, str(tmp_path))["near duplicates"]["train and eval"]
    assert pair["image"].startswith("image copy (")
    assert pair["looks like"] == scene.name
    with Image.open(tmp_path / "near_duplicates.png") as page:
        assert 480 < page.height < 560  # one row
    workflows.check_data(config, str(tmp_path))
    assert not (tmp_path / "near_duplicates.png").exists()


def test_a_check_survives_bad_records_and_needs_no_eval_set(config, records, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "train-bad.tfrecord")) as writer:
        writer.write(b"nonsense")
    both = f"{records}/train-*,{tmp_path}/train-bad.tfrecord"
    mixed = replace(config, data={"train_records": both, "eval_records": ""})
    result = workflows.check_data(mixed, "")
    assert result["train"]["problem counts"] == {"record of another schema": 1}
    assert result["train"]["images"] == 12
    assert "eval" not in result


@pytest.mark.parametrize(
    ("model", "weights", "overrides", "latency"),
    [
        ("efficientdet-d2", "", [], [23.0, 17.7]),
        ("efficientdet-d2", "", ["model.image_size=640"], []),
        ("efficientdet-d2", "efficientdet-d2-640", ["model.image_size=640"], [14.8]),
        ("efficientdet-d2", "efficientdet-d2-640", [], []),
        ("efficientdet-lite0", "runs/mine", [], [36.0]),
        ("efficientdet-phi1.5", "", [], []),
    ],
)
def test_published_latency_is_that_of_the_released_size_alone(model, weights, overrides, latency):
    config = load_config(model, overrides=overrides)
    assert list(published_latency(config, weights).values()) == latency


def test_fewer_steps_than_a_run_has_done_are_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-40.index").write_text("")
    refuse_fewer_steps(Workdir(str(tmp_path)), 40)
    refuse_fewer_steps(Workdir(str(tmp_path / "new")), 10)
    with pytest.raises(UserError, match=r"has done 40 steps, and train.steps .* asks for 30; ask"):
        refuse_fewer_steps(Workdir(str(tmp_path)), 30)
