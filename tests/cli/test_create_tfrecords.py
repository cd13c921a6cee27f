"""The tool: flags to a source, records on disk, and mistakes in one sentence."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import yaml
from absl import flags
from PIL import Image

from edet.cli.common import call, parsed
from edet.cli.create_tfrecords import create, define_flags
from edet.input.ground_truth import read_ground_truth
from edet.records.schema import parse_example
from edet.records.shards import check_records, read_records


def tool(*arguments: str) -> int:
    return call(create, parsed(define_flags, list(arguments)), [])


def save_picture(path):
    """Saves a black PNG 10 pixels high and 20 wide."""
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(path)


def test_synthetic_scenes_are_written(tmp_path, capsys):
    output = tmp_path / "deep/er/train"
    arguments = ["--num_images=6", "--image_size=48", "--seed=3", "--num_shards=2"]
    assert tool("--format=synthetic", f"--output={output}", *arguments) == 0
    shards = sorted(map(str, output.parent.glob("*.tfrecord")))
    assert check_records(shards, [1, 2, 3], every_record=True).num_records == 6
    printed = capsys.readouterr().out
    assert "triangle" in printed
    assert "2 shards;" in printed


def test_a_coco_set_is_written(tmp_path):
    save_picture(tmp_path / "a.png")
    instances = {
        "images": [{"id": 1, "file_name": "a.png", "height": 10, "width": 20}],
        "categories": [{"id": 44, "name": "bottle"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 44, "bbox": [0, 0, 5, 5]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(instances))
    paths = [f"--annotations={tmp_path}/a.json", f"--images={tmp_path}"]
    assert tool("--format=coco", f"--output={tmp_path}/val", *paths) == 0
    (truth,) = read_ground_truth([f"{tmp_path}/val-00000-of-00001.tfrecord"])
    assert truth.class_ids.tolist() == [44]


@pytest.mark.parametrize("name", ["sign [/b] x", "cost [bold]", "[/]"])
def test_a_class_is_printed_as_it_is_called_whatever_markup_that_looks_like(tmp_path, capsys, name):
    save_picture(tmp_path / "a.png")
    instances = {
        "images": [{"id": 1, "file_name": "a.png", "height": 10, "width": 20}],
        "categories": [{"id": 44, "name": name}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 44, "bbox": [0, 0, 5, 5]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(instances))
    paths = [f"--annotations={tmp_path}/a.json", f"--images={tmp_path}"]
    assert tool("--format=coco", f"--output={tmp_path}/val", *paths) == 0
    assert name in capsys.readouterr().out


def names_in(shard):
    records = tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    return [parse_example(record)["source_id"].numpy().decode() for record in records]


def test_annotations_sorted_by_class_are_mixed_the_same_way_again_and_again(tmp_path):
    """40 pictures of class 1, then 40 of class 2: some 20 of each are in the first half."""
    save_picture(tmp_path / "a.png")

    def write(name, numbers, *arguments):
        images = [{"id": n, "file_name": "a.png", "height": 10, "width": 20} for n in numbers]
        boxes = [
            {"id": n, "image_id": n, "category_id": 1 + (n > 40), "bbox": [0, 0, 5, 5]}
            for n in numbers
        ]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        instances = {"images": images, "categories": categories, "annotations": boxes}
        (tmp_path / "a.json").write_text(json.dumps(instances))
        paths = [f"--annotations={tmp_path}/a.json", f"--images={tmp_path}"]
        assert tool("--format=coco", f"--output={tmp_path}/{name}", *paths, *arguments) == 0
        return [int(n) for n in names_in(tmp_path / f"{name}-00000-of-00001.tfrecord")]

    mixed = write("mixed", range(1, 81))
    assert sorted(mixed) == list(range(1, 81))
    assert 12 <= sum(number <= 40 for number in mixed[:40]) <= 28
    assert write("again", range(80, 0, -1)) == mixed  # whatever order they were listed in
    larger = write("larger", range(1, 91))
    assert [number for number in larger if number <= 80] == mixed
    assert write("kept", range(1, 81), "--noshuffle") == list(range(1, 81))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format=coco", "--annotations=a.json"], "--format=coco needs --images."),
        ([], "give --data=FOLDER, or --format with"),
        (["--format=yolo"], "--format=yolo needs --data."),
        (["--data=x", "--images=y"], "--images means nothing for --data; leave it out."),
        (["--data=none"], "none is missing or empty; give the folder of a data set."),
        (["--format=voc"], "--format=voc needs --voc_root."),
        (["--format=tfds", "--split=train"], "--format=tfds needs --tfds_name."),
        (["--format=synthetic"], "--format=synthetic needs --num_images."),
        (
            ["--format=synthetic", "--num_images=2", "--split=train"],
            "--split means nothing for --format=synthetic; leave it out.",
        ),
        (
            ["--format=synthetic", "--num_images=2", "--beam=runner=FlinkRunner"],
            "--beam=runner=FlinkRunner means nothing without --runner=beam.",
        ),
        (["--format=voc", "--voc_root=none"], "none/Annotations is missing"),
        (["--format=voc", "--voc_root=none", "--labels=none.yaml"], "cannot read label map"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, capsys, arguments, words):
    assert tool(f"--output={tmp_path}/train", *arguments) == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("name", ["records/", "set [v2]/train", "train*", "what?"])
def test_a_prefix_that_hides_its_files_or_is_a_glob_is_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert tool("--format=synthetic", f"--output={name}", "--num_images=1", "--image_size=32") == 2
    message = capsys.readouterr().err
    assert f"--output={name}" in message
    assert "such as records/train" in message
    assert not list(tmp_path.iterdir())


def test_what_is_no_flag_is_refused(capsys):
    options = parsed(define_flags, ["--format=voc", "--output=x"])
    assert call(create, options, ["train"]) == 2
    assert "'train' is not a flag" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--format=voc"], ["--output=x", "--format=pascal"]])
def test_what_every_run_needs_is_required(arguments):
    with pytest.raises(flags.Error):
        parsed(define_flags, arguments)


def test_blood_cells_keep_all_but_two_boxes(shared, tmp_path):
    root = shared / "data" / "bccd"
    assert tool("--format=voc", f"--voc_root={root}", f"--output={tmp_path}/all") == 0
    report = json.loads((tmp_path / "all.report.json").read_text())
    assert report["images"]["written"] == 364
    assert {row["name"]: row["boxes"] for row in report["classes"]} == {
        "Platelets": 361,
        "RBC": 4153,  # of 4155; the two boxes of no size are RBC
        "WBC": 372,
    }
    assert sorted(problem["file"] for problem in report["problems"]) == [
        "BloodImage_00338.jpg",
        "BloodImage_00343.jpg",
    ]


def test_a_folder_is_enough_and_its_splits_have_one_label_map(tmp_path, capsys):
    """Of two COCO files that list only their own classes, val's 0 is train's 2, by name."""
    _write_coco(tmp_path, "train", {0: "ant", 1: "bee", 2: "cat"}, [0, 1, 2])
    _write_coco(tmp_path, "val", {0: "cat", 1: "dog"}, [0, 1])
    for split in ("train", "val"):
        arguments = (f"--data={tmp_path}", f"--split={split}", f"--output={tmp_path}/out/{split}")
        assert tool(*arguments) == 0
        labels = yaml.safe_load((tmp_path / f"out/{split}.labels.yaml").read_text())
        assert labels == {0: "ant", 1: "bee", 2: "cat", 3: "dog"}
    record = next(read_records(f"{tmp_path}/out/val-00000-of-00001.tfrecord"))
    assert parse_example(tf.constant(record))["class_ids"].numpy().tolist() == [2, 3]
    assert "is a set of the format coco" in " ".join(capsys.readouterr().out.split())
    assert tool(f"--data={tmp_path}", "--split=test", f"--output={tmp_path}/out/test") == 2
    assert (
        "the splits train, val; give --split=train or --split=val, or --val_share"
        in capsys.readouterr().err
    )


def _write_coco(folder, split, names, class_ids):
    (folder / split).mkdir()
    Image.new("RGB", (16, 16)).save(folder / split / "0.png")
    objects = [
        {"id": k + 1, "image_id": 0, "category_id": c, "bbox": [1, 1 + k, 6, 6], "iscrowd": 0}
        for k, c in enumerate(class_ids)
    ]
    data = {
        "images": [{"id": 0, "file_name": "0.png", "height": 16, "width": 16}],
        "categories": [{"id": i, "name": name} for i, name in names.items()],
        "annotations": objects,
    }
    (folder / f"{split}.json").write_text(json.dumps(data))


def test_the_command_line_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "tools.create_tfrecords", "--format=voc", "--voc_root=none"]
    run = subprocess.run(
        [*command, f"--output={tmp_path}/x"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "none/Annotations is missing" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_set_without_an_object_is_refused(tmp_path, capsys):
    """It would have been trained as COCO's 90 classes."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text('[{"image": "a.png", "annotations": []}]')
    assert tool(f"--data={tmp_path}", f"--output={tmp_path}/out/train") == 2
    assert "have not one object and no class; annotate some" in capsys.readouterr().err


def test_a_set_whose_objects_cannot_be_read_is_not_one_without_objects(tmp_path, capsys):
    """Of a table with names alone there are then no classes either."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    header = "filename,xmin,ymin,xmax,ymax,class"
    (tmp_path / "boxes.csv").write_text(f'{header}\na.png,"1,5",2,6,7,cat\n')
    assert tool(f"--data={tmp_path}", f"--output={tmp_path}/out/train") == 2
    words = "none of the 1 annotated boxes could be written, 1 of them dropped: object that cannot"
    assert words in capsys.readouterr().err
