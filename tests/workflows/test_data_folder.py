"""A folder is enough: records beside the run, made once, and the settings that name them."""

import os
import shutil

import pytest
from PIL import Image

from edet.config.labels import labels_of
from edet.config.loading import load_config
from edet.errors import UserError
from edet.globs import find_files
from edet.input.ground_truth import read_ground_truth
from edet.records.shards import check_records
from edet.records.sources.folder import Folder
from edet.workdir import Workdir
from edet.workflows.data_folder import records_of


@pytest.fixture
def yolo(tmp_path):
    """Twenty pictures of a YOLO set without a split to evaluate on; two have no objects."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "data.yaml").write_text("train: images\nnames: [ant, bee, unused]\n")
    for k in range(20):
        Image.new("RGB", (20, 10)).save(folder / "images" / f"{'abcd'[k % 4]}{k}x.png")
        if k > 1:
            label = folder / "labels" / f"{'abcd'[k % 4]}{k}x.txt"
            label.write_text(f"{k % 2} 0.5 0.5 0.5 0.5\n")
    return folder


def test_the_settings_train_on_the_folder_and_a_second_call_makes_nothing(yolo, tmp_path, capsys):
    settings = records_of(str(yolo), str(tmp_path / "run"))
    config = load_config("efficientdet-d0", overrides=settings)
    assert labels_of(config.model) == {0: "ant", 1: "bee"}
    ids = list(labels_of(config.model))
    sets = {
        key: check_records(find_files(getattr(config.data, f"{key}_records"), key), ids)
        for key in ("train", "eval")
    }
    counts = [found.num_records for found in sets.values()]
    assert sum(counts) == 20
    assert counts[1] == 2  # a tenth
    truths = [truth for found in sets.values() for truth in read_ground_truth(found.files)]
    assert sum(not len(truth.boxes) for truth in truths) == 2
    said = capsys.readouterr().out
    assert "is a set of the format yolo: train 20 pictures" in " ".join(said.split())
    assert "'unused'" in said

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run/records").iterdir()}
    assert records_of(str(yolo), str(tmp_path / "run")) == settings
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert capsys.readouterr().out == ""

    (yolo / "labels" / "a0x.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    records_of(str(yolo), str(tmp_path / "run"))
    assert "format yolo" in capsys.readouterr().out


def test_runs_within_the_folder_are_no_part_of_the_set(yolo):
    """Their pictures were pictures without objects, as soon as records were made anew."""
    for name in ("one", "two"):
        run = yolo / "runs" / name
        records_of(str(yolo), str(run))
        Image.new("RGB", (20, 10)).save(run / "check_data.png")
    (yolo / "data.yaml").write_text("names: [ant, bee, unused]\n")
    assert not [file for file in Folder(str(yolo)).files if "runs" in file]
    source = (yolo / "runs/two/records/source.json").read_text()
    records_of(str(yolo), str(yolo / "runs/two"))
    assert (yolo / "runs/two/records/source.json").read_text() != source
    counts = [
        check_records(find_files(f"{yolo}/runs/two/records/{k}-*.tfrecord", k), [0, 1]).num_records
        for k in ("train", "val")
    ]
    assert sum(counts) == 20


def test_a_workdir_is_not_the_folder_of_the_data_but_may_be_around_it(yolo, tmp_path, capsys):
    with pytest.raises(UserError, match=r"--workdir=.*set/ is the folder of the data, .*set/run"):
        records_of(str(yolo), f"{yolo}/")
    records_of(str(yolo), str(tmp_path))
    capsys.readouterr()
    (yolo / "labels" / "a0x.txt").write_text("1 0.5 0.5 0.5 0.5\n")  # which was not noticed
    records_of(str(yolo), str(tmp_path))
    assert "format yolo" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run #2", "a: b", "[x]", "it's *", 'a"b\\c?', "{a}, b", " é "])
def test_a_workdir_may_have_any_name(yolo, tmp_path, name):
    """YAML takes "#2" for a comment and "a: b" for a map, and a glob "[x]" for an x."""
    (tmp_path / "it's more").mkdir()  # which a glob of "it's *" would look into
    run = tmp_path / name
    config = load_config("efficientdet-d0", overrides=records_of(str(yolo), str(run)))
    for records, split in (("train_records", "train"), ("eval_records", "val")):
        found = find_files(getattr(config.data, records), records)
        assert found == [str(run / "records" / f"{split}-00000-of-00001.tfrecord")]
    assert config.model.labels


def test_records_of_a_run_are_never_replaced_by_those_of_another_set(yolo, tmp_path):
    other, run = tmp_path / "other", tmp_path / "run"
    shutil.copytree(yolo, other)
    records_of(str(yolo), str(run))
    (run / "config.yaml").write_text("model: {name: efficientdet-d0}\n")  # it was trained
    before = {path: path.read_bytes() for path in (run / "records").iterdir()}
    with pytest.raises(
        UserError, match=r"on .*/set, of which .* for .*/other .*train.init=.*/run "
    ):
        records_of(str(other), str(run))
    assert {path: path.read_bytes() for path in before} == before
    (yolo / "labels" / "a0x.txt").write_text("1 0.5 0.5 0.5 0.5\n")  # the same set has grown
    records_of(str(yolo), str(run))


def test_records_of_a_trained_network_keep_their_classes(yolo, tmp_path, monkeypatch):
    """With a class more, ids moved: the old network was evaluated on records of other ids."""
    run = tmp_path / "run"
    records_of(str(yolo), str(run))
    before = {path: path.read_bytes() for path in (run / "records").iterdir()}
    (yolo / "data.yaml").write_text("train: images\nnames: [ant, cow]\n")
    monkeypatch.setattr(Workdir, "checkpoint", lambda run, prefer: "ckpt-3")
    with pytest.raises(UserError, match=r"new: cow; gone: bee.*train.init=.*/run keeps"):
        records_of(str(yolo), str(run))
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.setattr(Workdir, "checkpoint", lambda run, prefer: None)  # nothing is trained yet
    records_of(str(yolo), str(run))
    assert (run / "records" / "train.labels.yaml").read_text() == "0: ant\n1: cow\n"


def test_a_set_without_pictures_to_train_on_is_refused(yolo, tmp_path):
    (yolo / "data.yaml").write_text("test: images\nnames: [ant, bee]\n")
    with pytest.raises(UserError, match="has no split to train on"):
        records_of(str(yolo), str(tmp_path / "run"))
    assert not os.path.exists(tmp_path / "run/records/source.json")
