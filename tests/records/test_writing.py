"""Sharded writing: what is cleaned, what is reported, and what a second run keeps."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from edet.errors import UserError
from edet.records import writing
from edet.records.schema import Example, parse_example
from edet.records.shards import count_records
from edet.records.sources.example_set import ExampleSet, Tally
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from tests.pictures import encoded
from tests.records.small_records import LABELS, example, jpeg


def example_set(count: int, **others) -> ExampleSet:
    boxes = [[1, 2, 3, 4]]
    return ExampleSet(
        [example(boxes, image=jpeg(value=i), source_id=str(i)) for i in range(count)], LABELS
    )


def read(shards) -> list[dict]:
    return list(tf.data.TFRecordDataset(shards).map(parse_example).as_numpy_iterator())


def test_unusable_and_missing_images_are_dropped_by_name(tmp_path):
    good = tmp_path / "good.jpg"
    good.write_bytes(jpeg())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(jpeg()[:300])
    paths = [str(good), str(bad), str(tmp_path / "gone.jpg")]
    source = ExampleSet([Example(p, str(i), [], []) for i, p in enumerate(paths)], LABELS)
    report = write_records(source, str(tmp_path / "out/train"))
    assert [record["source_id"] for record in read(report.shards)] == [b"0"]
    assert report.tally.images == {
        "written": 1,
        "written without boxes": 1,
        "dropped: unusable image": 1,
        "dropped: image missing or unreadable": 1,
    }
    saved = json.loads((tmp_path / "out/train.report.json").read_text())
    assert [problem["file"] for problem in saved["problems"]] == ["bad.jpg", "gone.jpg"]


def test_image_i_is_in_shard_i_mod_n_and_labels_lie_beside(tmp_path):
    report = write_records(example_set(5), str(tmp_path / "train"), num_shards=2)
    assert [pathlib.Path(shard).name for shard in report.shards] == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    ids = [[record["source_id"] for record in read(shard)] for shard in report.shards]
    assert ids == [[b"0", b"2", b"4"], [b"1", b"3"]]
    assert yaml.safe_load((tmp_path / "train.labels.yaml").read_text()) == LABELS
    saved = json.loads((tmp_path / "train.report.json").read_text())
    assert saved["images"]["written"] == saved["boxes"]["written"] == 5
    assert saved["classes"] == [
        {"id": 1, "name": "cat", "boxes": 5},
        {"id": 2, "name": "dog", "boxes": 0},
    ]


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    shards = [
        write_records(SyntheticSet(9, 32), str(tmp_path / name), 2, workers).shards
        for name, workers in (("one", 1), ("four", 4))
    ]
    for first, second in zip(*shards, strict=True):
        assert pathlib.Path(first).read_bytes() == pathlib.Path(second).read_bytes()


def test_the_number_of_shards_follows_the_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SHARD_BYTES", 2.5 * len(jpeg()))
    report = write_records(example_set(5), str(tmp_path / "train"))
    assert len(report.shards) == 2
    assert count_records(report.shards).num_records == 5


class _Interrupted(SyntheticSet):
    """A source that fails in its last shard, as a machine does that is taken away."""

    def shard(self, index, num_shards):
        if index == num_shards - 1:
            raise KeyboardInterrupt
        return super().shard(index, num_shards)


def test_a_second_run_goes_on_after_the_finished_shards(tmp_path):
    prefix = str(tmp_path / "train")
    with pytest.raises(KeyboardInterrupt) as stop:
        write_records(_Interrupted(6, 32), prefix, 3)
    assert stop.value.__notes__ == ["2 of 3 shards are finished; the same command goes on."]
    assert len(list(tmp_path.glob("*.tfrecord"))) == 2
    assert not list(tmp_path.glob(".*.part"))
    report = write_records(SyntheticSet(6, 32), prefix, 3)
    assert report.kept == 2
    assert report.tally.images["written"] == count_records(report.shards).num_records == 6
    assert write_records(SyntheticSet(6, 32), prefix, 3).kept == 3


def test_two_do_not_write_the_same_records_at_once(tmp_path):
    """The second begins while the first has its pictures read; with other shards, too."""
    prefix, refused = str(tmp_path / "train"), []

    class Both(SyntheticSet):
        def shard(self, index, num_shards):
            with pytest.raises(UserError, match="train is being written by a set of rec") as error:
                write_records(SyntheticSet(6, 32), prefix, 2)
            refused.append(error)
            return super().shard(index, num_shards)

    report = write_records(Both(6, 32), prefix, 3)
    assert len(refused) == 3
    assert count_records(report.shards).num_records == 6
    assert not list(tmp_path.glob("*.lock"))


def test_changed_inputs_are_written_again(tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(jpeg())

    def kept(box, labels=LABELS):
        source = ExampleSet([Example(str(photo), "1", [box], [1])], labels)
        return write_records(source, str(tmp_path / "train")).kept

    assert kept([0, 0, 1, 1]) == 0
    assert kept([0, 0, 1, 1]) == 1
    assert kept([0, 0, 1, 2]) == 0
    assert kept([0, 0, 1, 2], {1: "lion"}) == 0
    photo.write_bytes(jpeg(100, 200))
    assert kept([0, 0, 1, 2], {1: "lion"}) == 0
    shard = tmp_path / "train-00000-of-00001.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert kept([0, 0, 1, 2], {1: "lion"}) == 0
    entry = json.loads((tmp_path / "train.manifest.json").read_text())[shard.name]
    entries = (7, {}, entry | {"tally": {}}, entry | {"tally": {"images": 1}})
    damaged_entries = (json.dumps({shard.name: one}).encode() for one in entries)
    for damaged in (b"{", b"\xff\xfe\xfd", b"[5]", b"7", *damaged_entries):
        (tmp_path / "train.manifest.json").write_bytes(damaged)
        assert kept([0, 0, 1, 2], {1: "lion"}) == 0
        assert kept([0, 0, 1, 2], {1: "lion"}) == 1


def test_shards_of_another_set_are_not_mixed_in(tmp_path):
    write_records(example_set(4), str(tmp_path / "train"), num_shards=2)
    with pytest.raises(UserError, match="train-00000-of-00002.tfrecord is a shard of another set"):
        write_records(example_set(4), str(tmp_path / "train"), num_shards=1)
    write_records(example_set(4), str(tmp_path / "train-small"), num_shards=1)


@pytest.mark.parametrize("num_shards", [-1, 4])
def test_an_impossible_number_of_shards_is_refused(tmp_path, num_shards):
    with pytest.raises(UserError, match=f"--num_shards is {num_shards} for 3 images"):
        write_records(example_set(3), str(tmp_path / "train"), num_shards)


def test_an_id_that_no_training_takes_is_refused_before_the_work(tmp_path):
    source = ExampleSet(example_set(1).examples, {3_000_000_000: "cat"})
    with pytest.raises(UserError, match="has the id 3000000000; ids lie within 2147483647"):
        write_records(source, str(tmp_path / "train"))
    assert not list(tmp_path.iterdir())


def test_nothing_to_write_is_an_error_with_a_report(tmp_path):
    with pytest.raises(UserError, match="there are no images"):
        write_records(ExampleSet([], LABELS), str(tmp_path / "train"))
    empty = ExampleSet([Example(b"", "1", [], [])], LABELS)
    with pytest.raises(UserError, match="no image could be written; .*train.report.json"):
        write_records(empty, str(tmp_path / "train"))
    assert json.loads((tmp_path / "train.report.json").read_text())["problems"]


def test_annotations_that_are_all_unusable_are_reported_and_the_first_is_named(tmp_path):
    tally = Tally()
    for name in ("a.xml", "b.xml"):
        tally.image_problem(name, "dropped: annotation missing or unreadable", "no element found")
    words = "no images .*: a.xml: dropped: annotation missing .*: no element .*train.report.json"
    with pytest.raises(UserError, match=words):
        write_records(ExampleSet([], {}, tally), str(tmp_path / "train"))
    saved = json.loads((tmp_path / "train.report.json").read_text())
    assert [problem["file"] for problem in saved["problems"]] == ["a.xml", "b.xml"]


def test_boxes_that_are_all_dropped_are_an_error_with_the_commonest_reason(tmp_path):
    boxes = [[5, 5, 5, 5], [5, 6, 5, 6], [40, 40, 50, 50]]
    words = (
        "none of the 3 annotated boxes could be written, 2 of them dropped: zero-size box; fix "
        ".*train.report.json"
    )
    with pytest.raises(UserError, match=words):
        write_records(ExampleSet([example(boxes)], LABELS), str(tmp_path / "train"))
    saved = json.loads((tmp_path / "train.report.json").read_text())
    assert saved["boxes"]["dropped: zero-size box"] == 2
    read_badly = Tally()
    read_badly.box_problem("a.jpg", "dropped: its image is not in the file", 7)
    with pytest.raises(UserError, match="none of the 7 .* its image is not in the file"):
        write_records(ExampleSet([example([])], LABELS, read_badly), str(tmp_path / "val"))


def test_a_set_that_has_no_boxes_or_has_masks_is_written_without_boxes(tmp_path):
    report = write_records(ExampleSet([example([])], LABELS), str(tmp_path / "empty"))
    assert report.tally.images["written without boxes"] == 1
    masked = ExampleSet([example([[5, 5, 5, 5]])], LABELS, mask_labels={0: "sky"})
    assert write_records(masked, str(tmp_path / "masks")).tally.images["written"] == 1


def test_pictures_without_any_object_are_told_unless_they_have_masks(tmp_path):
    """As of a COCO file that a converter has lost all labels of, beside its classes."""
    empty = write_records(ExampleSet([example([])], LABELS), str(tmp_path / "empty"))
    assert empty.emptiness(has_masks=False).startswith("not one of the 1 pictures has an object")
    assert empty.emptiness(has_masks=True) == ""
    assert write_records(example_set(1), str(tmp_path / "some")).emptiness(has_masks=False) == ""


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/train\.lock"):
        write_records(example_set(1), str(tmp_path / "file" / "train"))


def test_the_tables_show_each_problem_and_how_many_more(tmp_path):
    boxes = [[5, 5, 5, 5], [1, 2, 3, 4]]
    source = ExampleSet([example(boxes, filename=f"{i}.jpg") for i in range(25)], LABELS)
    *_, problems = write_records(source, str(tmp_path / "train")).tables()
    assert problems.row_count == 21
    assert list(problems.columns[0].cells)[-1] == "and 5 more"


def test_twelve_bits_in_sixteen_are_told_with_the_setting_that_scales_them(tmp_path):
    grey = encoded(np.full((10, 20), 3520, np.uint16))
    dark = [Example(grey, str(k), [[1, 1, 5, 5]], [1]) for k in range(3)]
    other = Example(jpeg(), "other", [[1, 1, 5, 5]], [1])
    for _ in range(2):  # the second run keeps the shards and what was said of them
        report = write_records(ExampleSet([*dark, other], {1: "cat"}), str(tmp_path / "train"))
        assert report.advice().startswith(
            "the 3 pictures of 16 bits hold no value above 4095, a 16th"
        )
        assert report.tally.images["written in 16 bits, values below 4096"] == 3
    bright = write_records(ExampleSet([other], {1: "cat"}), str(tmp_path / "other"))
    assert bright.advice() == ""


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ([(20, 10), (10, 10)], "the boxes of 1 photos are of the pixels as stored, "),
        ([(20, 10), (30, 10)], ""),
        ([(10, 10)], ""),
    ],
)
def test_photos_turned_beside_photos_with_boxes_as_stored_are_told(tmp_path, sides, told):
    """On its side by EXIF, 20 x 10 pixels as annotated are the stored ones; a square is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photos = []
    for width, height in sides:
        photo = encoded(np.zeros((height, width, 3), np.uint8), "JPEG", exif=exif)
        photos.append(Example(photo, f"{width}", [[1, 1, 5, 5]], [1], height=height, width=width))
    report = write_records(ExampleSet(photos, {1: "cat"}), str(tmp_path / "train"))
    sentences = report.sentences(has_masks=False)
    assert len(sentences) == bool(told) and all(one.startswith(told) for one in sentences)
