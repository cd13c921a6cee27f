"""Pascal VOC folders: names to ids, splits, and xml that is wrong."""

import os

import pytest

from edet.errors import UserError
from edet.records.sources.folder import Folder
from edet.records.sources.voc import read_voc, splits
from tests.records.sources.small_folders import make, read


def obj(name="cat", box=(1, 2, 30, 40), extra="") -> str:
    """An object; `box` is xmin, ymin, xmax, ymax, the order of the xml."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(keys, box, strict=True))
    return f"<object><name>{name}</name>{extra}<bndbox>{corners}</bndbox></object>"


def xml(
    *objects: str, filename="", size="<size><width>60</width><height>50</height></size>"
) -> str:
    return f"<annotation><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"


@pytest.fixture
def voc(tmp_path):
    """Writes {stem: xml} as a VOC folder with a split "train" and returns its path."""

    def write(annotations, split=None, images=None):
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (tmp_path / folder).mkdir(parents=True)
        for stem, text in annotations.items():
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / "Annotations" / f"{stem}.xml").write_bytes(data)
        for name in images or [f"{stem}.jpg" for stem in annotations]:
            (tmp_path / "JPEGImages" / name).write_bytes(b"")
        lines = split if split is not None else list(annotations)
        (tmp_path / "ImageSets/Main/train.txt").write_text("\n".join(lines) + "\n")
        return str(tmp_path)

    return write


def test_coordinates_stand_as_they_are(voc):
    root = voc({"a": xml(obj("dog", (1, 2, 30, 40.5)), obj("cat"))})
    source = read_voc(root, "train")
    (example,) = source.examples
    assert example.boxes.tolist() == [[2, 1, 40.5, 30], [2, 1, 40, 30]]
    assert source.labels == {1: "cat", 2: "dog"}
    assert example.class_ids.tolist() == [2, 1]
    assert (example.source_id, example.height, example.width) == ("a", 50, 60)
    assert example.image.endswith("JPEGImages/a.jpg")
    assert example.areas.tolist() == [38.5 * 29, 38 * 29]


def test_every_split_gets_the_ids_of_the_whole_set(voc):
    root = voc({"a": xml(obj("bird")), "b": xml(obj("ant"))}, split=["a"])
    source = read_voc(root, "train")
    assert source.labels == {1: "ant", 2: "bird"}
    assert [example.source_id for example in source.examples] == ["a"]


def test_without_a_split_every_annotation_is_read(voc):
    box = "".join(
        f"<{side}>{9 if side[1:] == 'max' else 1}</{side}>"
        for side in ("xmin", "ymin", "xmax", "ymax")
    )
    thing = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
    root = voc({"b": xml(thing), "a": xml()}, split=[])
    assert [example.source_id for example in read_voc(root).examples] == ["a", "b"]


def test_a_split_of_one_class_names_each_image_once(voc):
    root = voc({"a": xml(), "b": xml()}, split=["b  1", "a -1", "", "b  1"])
    assert [example.source_id for example in read_voc(root, "train").examples] == ["b", "a"]


def test_a_split_names_images_with_spaces(voc):
    stems = ["blood cell 003", "blood cell 1", "\u732b 7"]
    root = voc(
        dict.fromkeys(stems, xml()), split=["\ufeff" + stems[0], stems[1], f"  {stems[2]}  -1 "]
    )
    source = read_voc(root, "train")
    assert [example.source_id for example in source.examples] == stems
    assert not source.tally.problems


def test_given_labels_decide_the_ids_and_other_names_are_reported(voc):
    root = voc({"a": xml(obj("dog"), obj("cat"), obj("eel"))})
    source = read_voc(root, "train", {5: "cat", 9: "dog"})
    assert source.examples[0].class_ids.tolist() == [9, 5]
    (problem,) = source.tally.problems
    assert problem == {
        "file": "JPEGImages/a.jpg",
        "what": "dropped: class not in the labels",
        "boxes": 1,
        "detail": "eel",
    }


@pytest.mark.parametrize("word", ["Unspecified", "none", ""])
def test_an_object_of_which_nobody_said_whether_it_is_difficult_stays(voc, word):
    root = voc({"a": xml(obj("cat", extra=f"<difficult>{word}</difficult>"))})
    source = read_voc(root, "train", skip_difficult=True)
    assert len(source.examples[0].boxes) == 1 and not source.tally.boxes


def test_difficult_boxes_stay_unless_told_otherwise(voc):
    root = voc({"a": xml(obj("cat", extra="<difficult>1</difficult>"), obj("cat"))})
    assert len(read_voc(root, "train").examples[0].boxes) == 2
    source = read_voc(root, "train", skip_difficult=True)
    assert len(source.examples[0].boxes) == 1
    assert source.tally.boxes == {"dropped: marked as difficult": 1}


def test_the_boxes_of_body_parts_are_not_objects(voc):
    part = "<part><name>head</name><bndbox><xmin>5</xmin></bndbox></part>"
    source = read_voc(voc({"a": xml(obj("person", extra=part))}), "train")
    assert source.labels == {1: "person"}
    assert source.examples[0].boxes.tolist() == [[2, 1, 40, 30]]


def test_an_image_is_found_by_stem_whatever_its_kind_and_by_name_for_a_renamed_xml(voc):
    root = voc(
        {"a": xml(filename="a.jpg"), "b": xml(filename="photo.jpg")}, images=["a.png", "photo.jpg"]
    )
    names = [example.filename for example in read_voc(root, "train").examples]
    assert names == ["a.png", "photo.jpg"]


def test_a_list_may_name_pictures_by_their_paths(voc):
    """From the set's folder, as Paddle has them, or from the root of another machine."""
    other = "JPEGImages/cam/a.jpg"
    lines = [
        "JPEGImages/a.jpg",
        "./JPEGImages/b.jpg",
        "/set/JPEGImages/c.jpg",
        r"C:\set\d.jpg",
        other,
    ]
    root = voc({name: xml(filename=f"{name}.jpg") for name in "abcde"}, split=lines)
    source = read_voc(root, "train")
    assert [example.source_id for example in source.examples] == [*"abcd"]
    assert [problem["file"] for problem in source.tally.problems] == ["JPEGImages/cam/a.xml"]


def test_an_object_that_cannot_be_read_is_dropped_and_the_others_stay(voc):
    """The comma of another language for the point, beside an empty size."""
    comma = "<object><name>cat</name><bndbox><xmin>1,5</xmin></bndbox></object>"
    size = "<size><width></width><height></height></size>"
    source = read_voc(voc({"a": f"<annotation>{size}{comma}{obj('cat')}</annotation>"}), "train")
    (example,) = source.examples
    assert (example.height, example.width, len(example.boxes)) == (-1, -1, 1)
    (problem,) = source.tally.problems
    assert (problem["file"], problem["boxes"]) == ("a.xml", 1)
    assert "object 1: could not convert string to float: '1,5'" in problem["detail"]


def test_unreadable_and_missing_annotations_are_dropped_and_reported(voc):
    bomb = '<!DOCTYPE a [<!ENTITY b "bbb">]><annotation>&b;</annotation>'
    root = voc({"a": xml(), "bad": "<annotation>", "bomb": bomb}, split=["a", "bad", "bomb", "no"])
    source = read_voc(root, "train")
    assert [example.source_id for example in source.examples] == ["a"]
    files = [problem["file"] for problem in source.tally.problems]
    assert files == ["bad.xml", "bomb.xml", "no.xml"]
    assert source.tally.images == {"dropped: annotation missing or unreadable": 3}


@pytest.mark.parametrize(
    ("declared", "saved", "name"),
    [
        ("utf-16", "utf-16", "\u732b"),
        ("", "utf-16", "\u732b"),
        ("", "utf-8-sig", "\u732b"),
        ("gb2312", "gb2312", "\u732b"),  # its bytes are an "è" in UTF-8
        ("Shift_JIS", "shift_jis", "\u732b"),
        ("ISO-8859-1", "latin-1", "b\u00eate"),
        ("windows-1251", "cp1251", "\u043a\u043e\u0442"),
        ("UTF-8", "utf-8-sig", "\u732b"),
        ("utf-16", "utf-8", "\u732b"),  # as programs that declare what they hold in memory
    ],
)
def test_xml_is_read_in_the_encoding_that_it_declares(voc, declared, saved, name):
    declaration = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    source = read_voc(voc({"a": (declaration + xml(obj(name))).encode(saved)}), "train")
    assert source.labels == {1: name}
    assert not source.tally.problems


def test_xml_whose_encoding_is_unknown_or_wrong_is_dropped_and_reported(voc):
    def declared(encoding, data=b""):
        return f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + data + xml().encode()

    bomb = (
        '<?xml version="1.0" encoding="{}"?><!DOCTYPE a [<!ENTITY b "bbb">]>'
        "<annotation>&b;</annotation>"
    )
    annotations = {
        "unknown": declared("klingon"),
        "no_text": declared("hex"),
        "wrong": declared("utf-8", "\u00ea".encode("latin-1")),
        "bomb": bomb.format("gb2312").encode("gb2312"),
        "bomb16": bomb.format("utf-16").encode("utf-16"),
    }
    source = read_voc(voc(annotations | {"good": xml()}), "train")
    assert [example.source_id for example in source.examples] == ["good"]
    details = {problem["file"]: problem["detail"] for problem in source.tally.problems}
    assert list(details) == [f"{stem}.xml" for stem in annotations]
    assert details["unknown.xml"] == "unknown encoding: klingon"
    assert "EntitiesForbidden" in details["bomb.xml"]
    assert "EntitiesForbidden" in details["bomb16.xml"]


def test_objects_without_a_whole_box_do_not_stop_the_others(voc):
    no_box = "<object><name>cat</name></object>"
    half = "<object><name>cat</name><bndbox><xmin>3</xmin></bndbox></object>"
    source = read_voc(voc({"a": xml(no_box, half, obj())}), "train")
    # The half box has no finite coordinates; the writer drops it with a count.
    assert len(source.examples[0].boxes) == 2
    assert source.tally.boxes == {"dropped: object without a bndbox": 1}


@pytest.mark.parametrize("width", ["", "<width></width>", "<width>1e999</width>"])
def test_a_size_that_is_missing_or_no_number_of_pixels_is_unknown(voc, width):
    root = voc({"a": xml(size=f"<size>{width}</size>" if width else "")})
    (example,) = read_voc(root, "train").examples
    assert (example.height, example.width) == (-1, -1)


def test_a_picture_whose_name_no_text_can_hold_is_said_with_its_folder(voc, tmp_path):
    root = voc({"a": xml()})
    open(os.fsencode(root) + b"/JPEGImages/bad\xff.jpg", "w").close()
    with pytest.raises(UserError, match=r"JPEGImages is not UTF-8 \(.*xff"):
        read_voc(root, "train")


def test_annotations_without_an_ending_are_read(tmp_path):
    """As Stanford Dogs has them, in a folder for each class."""
    files = {"Annotation/n1-cat/n1_1": xml(obj("cat"), filename="n1_1")}
    (source,) = read(make(tmp_path, files, "Images/n1-cat/n1_1.jpg"), "voc").values()
    assert [e.image for e in source.examples] == [f"{tmp_path}/Images/n1-cat/n1_1.jpg"]
    assert source.examples[0].boxes.tolist() == [[2, 1, 40, 30]]


def test_of_two_xmls_of_a_picture_both_are_seen(tmp_path):
    files = {"Annotations/a.xml": xml(obj("cat")), "images/a.xml": xml(obj("cat"), obj("dog"))}
    (source,) = read(make(tmp_path, files, "images/a.jpg"), "voc").values()
    assert [len(example.boxes) for example in source.examples] == [1]
    assert source.tally.images == {"dropped: picture that another file has too": 1}


def test_missing_parts_of_the_folder_are_named(voc, tmp_path):
    with pytest.raises(UserError, match="nowhere/Annotations is missing"):
        read_voc(str(tmp_path / "nowhere"), "train")
    root = voc({"a": xml()}, split=[])
    with pytest.raises(UserError, match="cannot read the split .*test.txt"):
        read_voc(root, "test")
    with pytest.raises(UserError, match="train.txt names no image"):
        read_voc(root, "train")
    (tmp_path / "Annotations" / "a.xml").unlink()
    (tmp_path / "Annotations" / "notes.txt").touch()
    with pytest.raises(UserError, match="Annotations is missing or has no .xml file"):
        read_voc(root)


def test_pictures_without_an_xml_are_those_without_objects(voc, tmp_path):
    root = voc({"a": xml(obj("cat"))}, split=["a", "b", "gone"])
    (tmp_path / "JPEGImages" / "b.jpg").touch()
    source = read_voc(root, "train")
    assert [(e.source_id, len(e.boxes)) for e in source.examples] == [("a", 1), ("b", 0)]
    assert source.tally.images == {
        "without annotation file (taken as without objects)": 1,
        "dropped: annotation missing or unreadable": 1,
    }


def test_folders_within_and_an_xml_beside_each_picture_are_read(tmp_path):
    """As CVAT and datumaro write folders, and as labelImg and Roboflow leave the xml."""
    for name in ("set/Annotations/cam1/0", "set/Annotations/cam2/0", "flat/train/x"):
        path = tmp_path / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(xml(obj("cat")))
        picture = tmp_path / f"{name}.jpg".replace("Annotations", "JPEGImages")
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
    source = read_voc(str(tmp_path / "set"))
    assert [example.source_id for example in source.examples] == ["cam1/0", "cam2/0"]
    assert source.examples[1].image == str(tmp_path / "set/JPEGImages/cam2/0.jpg")
    assert splits(Folder(str(tmp_path / "flat"))) == {"train": ("train/x.xml",)}
    (example,) = read_voc(str(tmp_path / "flat")).examples
    assert (example.image, len(example.boxes)) == (str(tmp_path / "flat/train/x.jpg"), 1)


def test_blood_cells_are_read_whole(shared):
    root = str(shared / "data" / "bccd")
    counts = {split: len(read_voc(root, split)) for split in ("train", "val", "test")}
    assert counts == {"train": 205, "val": 87, "test": 72}
    source = read_voc(root)
    assert source.labels == {1: "Platelets", 2: "RBC", 3: "WBC"}
    assert sum(len(example.boxes) for example in source.examples) == 4888
