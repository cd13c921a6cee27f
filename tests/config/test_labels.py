"""Which logit stands for which of the data set's ids."""

import pytest

from edet.config.labels import (
    NAMED_LABELS,
    class_ids,
    detectable,
    distinct_names,
    labels_of,
    read_labels,
)
from edet.config.schema import ConfigError, ModelConfig


def test_coco_has_90_logits_and_never_emits_the_ten_ids_it_does_not_use():
    model = ModelConfig()
    assert class_ids(model) == list(range(1, 91))
    unused = [i for i, used in zip(class_ids(model), detectable(model), strict=True) if not used]
    assert unused == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    names = NAMED_LABELS["coco"]
    assert (names[1], names[13], names[44], names[90]) == (
        "person", "stop sign", "bottle", "toothbrush",
    )  # fmt: skip


def test_sparse_ids_become_logits_in_rising_order():
    model = ModelConfig(labels={30: "c", 2: "a", 7: "b"}, num_classes=3)
    assert class_ids(model) == [2, 7, 30]
    assert list(labels_of(model).values()) == ["a", "b", "c"]


def test_without_labels_ids_count_from_one():
    assert labels_of(ModelConfig(num_classes=2)) == {1: "class 1", 2: "class 2"}


def test_a_name_is_one_line():
    assert read_labels({1: " bowl\n", 2: "wine\r\n glass", 3: None}) == {
        1: "bowl", 2: "wine glass", 3: "",
    }  # fmt: skip


def test_a_letter_that_json_writes_as_two_escapes_is_one(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text(r'{1: "\ud83d\ude00 \u00fc", 2: "\ud83d"}')
    assert read_labels(str(path)) == {1: "😀 ü", 2: "\ud83d"}  # half a letter stays one


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({3: "a", 1: "a", 2: "b"}, {3: "a (3)", 1: "a (1)", 2: "b"}),
        ({5: "", 6: "5"}, {5: "5 (5)", 6: "5"}),
        ({1: "a", 2: "a", 3: "a (1)"}, {1: "a (1) (1)", 2: "a (2)", 3: "a (1)"}),
        ({1: "a", 2: "a", 3: "a (1)", 4: "a (1)"},
         {1: "a (1) (1)", 2: "a (2)", 3: "a (1) (3)", 4: "a (1) (4)"}),
    ],
)  # fmt: skip
def test_every_class_has_a_name_of_its_own(labels, names):
    assert distinct_names(labels) == names


def test_voc_has_its_twenty_classes():
    assert len(NAMED_LABELS["voc"]) == 20
    assert NAMED_LABELS["voc"][15] == "person"


@pytest.mark.parametrize("text", ["1: a\n2: 007\n", "1: a\n2: 12:30\n", "1: a\n010: b\n"])
def test_numbers_that_yaml_takes_for_others_are_refused_with_their_line(text, tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"labels\.yaml has \S+ in line 2, which YAML takes for"):
        read_labels(str(path))


def test_an_id_that_is_there_twice_is_refused_with_its_lines(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("1: cat\n2: cow\n1: dog\n")
    with pytest.raises(ConfigError, match=r"labels\.yaml has the key '1' twice, in lines 1 and 3"):
        read_labels(str(path))


@pytest.mark.parametrize(
    ("name", "read"),
    [("no", "False"), ("7", "7"), ("1.5", "1.5"), ("2024-01-02", "datetime"), ("[a]", r"\['a'\]")],
)
def test_a_name_that_yaml_does_not_take_for_text_is_refused(name, read, tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text(f"1: 'yes'\n2: {name}\n3:\n")
    with pytest.raises(
        ConfigError, match=rf"label 2 of label map .*labels\.yaml is {read}.*quotes"
    ):
        read_labels(str(path))
    path.write_text(f"1: 'yes'\n2: '{name}'\n3:\n")
    assert read_labels(str(path)) == {1: "yes", 2: name.replace("'", ""), 3: ""}


def test_a_label_map_of_the_tf_object_detection_api_is_read(tmp_path):
    """Comments, nested fields that edet has no use for, escapes, tabs and display names."""
    path = tmp_path / "label_map.pbtxt"
    path.write_text(
        "# a comment\nitem {\n\tid: 2\n\tname: 'd\\'og'\n}\n"
        'item: { name: "/m/1" id: 0; display_name: "big cat" keypoints { id: 1 label: "eye" } }\n'
    )
    assert read_labels(str(path)) == {2: "d'og", 0: "big cat"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1: cat\n2: dog\n", "has no item"),
        ("item { id: 1 name: 'cat'", "no label map of protobuf text"),
        ("item { name: 'cat' }", "an item without id or name"),
        ("item { id: 1 }", "an item without id or name"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "the id 1 twice, for 'a' and 'b'"),
        ("", "has no item"),
    ],
)
def test_a_label_map_of_protobuf_that_is_wrong_is_refused(tmp_path, text, words):
    path = tmp_path / "label_map.pbtxt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"label_map.pbtxt .*{words}"):
        read_labels(str(path))
