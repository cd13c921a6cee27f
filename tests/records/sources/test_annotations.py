"""One label map for all splits of a set, whatever each of its files says."""

import pytest

from edet.errors import UserError
from edet.records.sources.annotations import (
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
    class_ids,
    common_labels,
)
from edet.records.sources.folder import Folder
from edet.records.sources.joining import examples_of


def part(labels, used, where="train"):
    things = [AnnotatedObject(label, (0, 0, 5, 5)) for label in used]
    return Annotations(where, [AnnotatedImage("a.jpg", "a", things)], "xywh", labels=labels)


def test_splits_that_agree_keep_the_ids_of_their_files():
    train, val = part({0: "ant", 5: "bee"}, [0, 5]), part({5: "bee", 7: "cat"}, [5, 7], "val")
    assert common_labels([train, val]) == ({0: "ant", 5: "bee", 7: "cat"}, [])


def test_a_split_that_numbers_anew_is_matched_by_name():
    train, val = part({0: "ant", 1: "bee"}, [0, 1]), part({0: "bee", 1: "eel"}, [0, 1], "val")
    labels, (note,) = common_labels([train, val])
    assert labels == {0: "ant", 1: "bee", 2: "eel"}
    assert class_ids(val, labels) == {0: 1, 1: 2}
    assert note.startswith("val numbers its classes in its own way (0 is 'bee', 1 in the other")


def test_names_alone_are_numbered_over_all_splits():
    labels, _ = common_labels([part({}, ["bee", "ant"]), part({}, ["cat"], "val")])
    assert labels == {1: "ant", 2: "bee", 3: "cat"}


def test_a_class_without_a_box_in_any_split_is_left_out_and_said():
    parts = part({0: "animals", 1: "ant", 2: "bee"}, [1]), part({2: "bee"}, [2], "val")
    labels, (note,) = common_labels(parts)
    assert labels == {1: "ant", 2: "bee"}
    assert "no box has the class 0 'animals'; left out" in note
    assert common_labels(parts, keep_unused=True) == ({0: "animals", 1: "ant", 2: "bee"}, [])
    assert common_labels([part({1: "ant"}, [])]) == ({1: "ant"}, [])  # negatives alone


def test_equal_names_of_two_ids_stay_two_classes_and_are_said():
    both = part({1: "ant", 2: "ant"}, [1, 2])
    labels, (note,) = common_labels([both])
    assert labels == {1: "ant", 2: "ant"}
    assert note.startswith("the classes 1 and 2 have one name, 'ant'")
    assert class_ids(both, labels) == {1: 1, 2: 2}
    assert common_labels([part({1: "", 2: ""}, [1, 2])])[1] == []  # they are called by number


@pytest.mark.parametrize("name", ["", " "])
def test_a_class_with_boxes_and_without_a_name_is_called_by_its_number(name, tmp_path):
    (tmp_path / "a.jpg").touch()
    train, val = part({0: "ant", 3: name, 5: ""}, [0, 3]), part({0: "ant", 3: name}, [0], "val")
    for found in examples_of([train, val], Folder(str(tmp_path))):
        assert found.labels == {0: "ant", 3: "class 3"}
    assert train.examples(train.labels, Folder(str(tmp_path))).examples[0].class_ids.tolist() == [
        0, 3,
    ]  # fmt: skip


def test_an_object_without_a_name_makes_no_class(tmp_path):
    (tmp_path / "a.jpg").touch()
    (found,) = examples_of([part({}, ["bee", "", "ant"])], Folder(str(tmp_path)))
    assert found.labels == {1: "ant", 2: "bee"}
    assert [one.class_ids.tolist() for one in found.examples] == [[2, 1]]
    (problem,) = found.tally.problems
    assert problem["detail"] == "class ''"


HALF = "\ud83d"  # of a letter in UTF-16, as a tool leaves it that cuts texts by bytes


def test_a_name_that_nothing_can_write_is_a_sentence(tmp_path):
    found = part({3: HALF}, [3], where="set.json")
    with pytest.raises(UserError, match=r"set\.json: the name of class 3, .* half of a letter"):
        found.examples(found.labels, Folder(str(tmp_path)))


def test_a_picture_whose_id_nothing_can_write_is_dropped_by_name(tmp_path):
    (tmp_path / "a.jpg").touch()
    found = part({3: "ant"}, [3])
    found.images.append(AnnotatedImage("b.jpg", HALF, []))
    kept = found.examples(found.labels, Folder(str(tmp_path)))
    assert [example.source_id for example in kept.examples] == ["a"]
    assert found.tally.problems[0]["file"] == "b.jpg"
