"""Records of others as a source: classes by name, GZIP, lists of any kind, pictures read late."""

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.records.schema import check_kinds, checked_features
from edet.records.shards import read_records
from edet.records.sources import tfrecord
from edet.records.sources.example_set import stamps_of
from edet.records.sources.formats import open_folder
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from edet.records.writing import write_records
from tests.records.small_records import one_box, png, tf_example
from tests.records.sources.small_folders import make, objects, read

_ID, _TEXT = "image__object__class__label", "image__object__class__text"


def record(class_id=0, name="cat", source_id=b"", **others) -> bytes:
    """One box [0.25, 0, 0.75, 0.5] of a picture of 20x8 pixels."""
    classes = {_ID: [] if class_id is None else [class_id], _TEXT: [name.encode()] if name else []}
    names = {"image__source_id": [source_id], "image__filename": [b"photo.png"]}
    return one_box(**{**classes, **names, **others})


def write(path, *records, packed="") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), packed) as writer:
        for one in records:
            writer.write(one)


def test_splits_that_number_their_classes_each_for_itself_get_one_map_from_0(tmp_path):
    """As FiftyOne writes them: labels from 0 in the order of appearance."""
    write(tmp_path / "train/a.tfrecord", record(0, "cat", b"1"), record(1, "dog", b"2"))
    write(tmp_path / "val/a.tfrecord-00000-of-00001", record(0, "dog", b"1"))
    found = read(make(tmp_path, {}), "tfrecord")
    assert found["train"].labels == found["val"].labels == {0: "cat", 1: "dog"}
    assert objects(found["train"]) == {
        "1": [("cat", 0.25, 0, 0.75, 0.5)],
        "2": [("dog", 0.25, 0, 0.75, 0.5)],
    }
    assert objects(found["val"]) == {"1": [("dog", 0.25, 0, 0.75, 0.5)]}


@pytest.mark.parametrize(
    ("records", "labels", "names"),
    [
        ([record(1, ""), record(2, "")], {1: "cat", 2: "dog"}, ["cat", "dog"]),  # of the pbtxt
        ([record(7, "")], {7: "class 7"}, ["class 7"]),
        ([record(None, "eel"), record(None, "cat")], {1: "cat", 2: "eel"}, ["eel", "cat"]),
        ([record(0, "a"), record(0, "b")], {1: "a", 2: "b"}, ["a", "b"]),
    ],
    ids=["label map", "ids alone", "names alone", "one id of two classes"],
)  # fmt: skip
def test_classes_come_from_names_ids_or_the_label_map(tmp_path, records, labels, names):
    write(tmp_path / "Objects.tfrecord", *records)
    text = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n"
    folder = make(tmp_path, {"Objects_label_map.pbtxt": text})
    source = read(folder, "tfrecord")[""]
    assert source.labels == labels
    assert [things[0][0] for things in objects(source).values()] == names


@pytest.mark.parametrize("packed", ["", "GZIP"])
def test_pictures_are_read_when_a_shard_is_written_in_any_order(tmp_path, packed):
    file = tmp_path / ("in.tfrecord" + (".gz" if packed else ""))
    sizes = [(8, 20), (16, 4), (6, 6)]
    pictures = [
        record(0, "cat", f"{k}".encode(), image__encoded=[png(*size)], image__object__area=[5.0],
               image__object__is_crowd=[k % 2])
        for k, size in enumerate(sizes)
    ]  # fmt: skip
    write(file, *pictures, packed=packed)
    source = read(make(tmp_path, {}), "tfrecord")[""].shuffled()
    report = write_records(source, str(tmp_path / "out" / "train"), num_shards=2)
    features = [checked_features(r, "r") for shard in report.shards for r in read_records(shard)]
    found = {}
    for one in features:
        (source_id,), (name,) = (
            one[f"image/{key}"].bytes_list.value for key in ("source_id", "filename")
        )
        ints = [f"image/{key}" for key in ("height", "width", "object/is_crowd")]
        floats = ["image/object/bbox/xmax", "image/object/area"]
        numbers = [one[key].int64_list.value[0] for key in ints]
        found[source_id.decode()] = (*numbers, *(one[k].float_list.value[0] for k in floats), name)
    assert found == {f"{k}": (*size, k % 2, 0.5, 5.0, b"photo.png") for k, size in enumerate(sizes)}
    assert write_records(source, str(tmp_path / "out" / "train"), num_shards=2).kept == 2


def test_a_file_is_asked_once_whether_it_has_changed_however_many_shards_there_are(
    tmp_path, monkeypatch
):
    """Buckets answer slowly."""
    asked = []

    def stamps(files):
        asked.extend(files)
        return stamps_of(files)

    monkeypatch.setattr(tfrecord, "stamps_of", stamps)
    write(tmp_path / "a.tfrecord", *(record(1, "cat", f"{k}".encode()) for k in range(3)))
    source = read(make(tmp_path, {}), "tfrecord")[""]
    assert len({source.fingerprint(shard, 3) for shard in range(3)}) == 3
    assert asked == [f"{tmp_path}/a.tfrecord"]


def test_empty_lists_of_another_kind_are_a_picture_without_objects(tmp_path):
    nothing = {f"image__object__bbox__{side}": [] for side in ("ymin", "xmin", "ymax", "xmax")}
    ints = tf.train.Feature(int64_list=tf.train.Int64List())
    example = tf.train.Example.FromString(tf_example(image__encoded=[png(4, 4)]))
    for key in nothing:
        example.features.feature[key.replace("__", "/")].CopyFrom(ints)
    odd = example.SerializeToString()
    with pytest.raises(
        UserError, match="int64_list in image/object/bbox/ymin, which takes float_list"
    ):
        check_kinds(checked_features(odd, "record 0"), "record 0")
    write(tmp_path / "a.tfrecord", odd, record(1, "cat", b"x"))
    source = read(make(tmp_path, {}), "tfrecord")[""]
    assert [len(things) for things in objects(source).values()] == [0, 1]


def test_a_crowd_may_be_a_number_or_a_word(tmp_path):
    """In files that end as Kaggle's do."""
    flags = ([1], [1.0], [b"1"], [b"True"], [0], [0.0], [b"false"])
    records = (
        record(1, "cat", f"{k}".encode(), image__object__is_crowd=f) for k, f in enumerate(flags)
    )
    write(tmp_path / "train.tfrec", *records)
    source = read(make(tmp_path, {}), "tfrecord")["train"]
    crowds = [bool(example.is_crowd) for example in source.examples]
    assert crowds == [True] * 4 + [False] * 3


def test_damaged_records_are_named_and_a_damaged_file_is_a_sentence(tmp_path):
    sides = {"image__object__bbox__xmin": [0.0, 0.1]}
    write(
        tmp_path / "a.tfrecord", record(1, "cat", b"x"), b"\xff", record(**sides), record(None, "")
    )
    source = read(make(tmp_path, {}), "tfrecord")[""]
    assert source.tally.images == {BAD_IMAGE: 2} and source.tally.boxes == {DAMAGED: 1}
    assert objects(source)["x"] == [("cat", 0.25, 0, 0.75, 0.5)]
    data = (tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "a.tfrecord").write_bytes(data[:-3])
    with pytest.raises(UserError, match=r"a\.tfrecord is cut off or damaged after 3 good"):
        read(make(tmp_path, {}), "tfrecord")


def test_boxes_in_pixels_are_refused(tmp_path):
    pixels = {"image__object__bbox__ymax": [6.0], "image__object__bbox__xmax": [10.0]}
    write(tmp_path / "a.tfrecord", record(**pixels))
    with pytest.raises(UserError, match="look like pixels"):
        read(make(tmp_path, {}), "tfrecord")


def test_splits_whose_pictures_are_called_alike_are_not_one(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split / "a.tfrecord", record(1, source_id=b"1"), record(1, source_id=b"2"))
    said = []
    found = open_folder(str(tmp_path), val_share=0.5, log=said.append)
    assert {split: len(source) for split, source in found.items()} == {"train": 2, "val": 2}
    assert [text for text in said if "is the split train" in text] == []
