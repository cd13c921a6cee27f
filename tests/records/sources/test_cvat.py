"""CVAT XML 1.1: shapes of pictures, subsets of a project, and frames of a video."""

import pytest

from edet.errors import UserError
from edet.records.sources.shapes import BAD_IMAGE, DAMAGED, NO_BOX, OUTLINE, ROTATED
from tests.records.sources.small_folders import make, objects, read

_BOX = 'xtl="10" ytl="20" xbr="40" ybr="30"'
_DOG = '<box label="dog" xtl="0" ytl="0" xbr="2" ybr="1"/>'


def image(*shapes, name="a.jpg", more="") -> str:
    return f'<image id="0" name="{name}" width="60" height="50" {more}>{"".join(shapes)}</image>'


def cvat(*parts) -> str:
    start = '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
    return f"{start}{''.join(parts)}</annotations>"


@pytest.mark.parametrize(
    ("drawn", "box", "note"),
    [
        (f'<box label="cat" occluded="1" outside="0" {_BOX}/>', [20, 10, 30, 40], None),
        # About the centre (25, 25): 30 wide and 10 high become 10 wide and 30 high.
        (f'<box label="cat" rotation="90" {_BOX}/>', [10, 20, 40, 30], ROTATED),
        ('<polygon label="cat" points="10,20;40.5,25;15,30"/>', [20, 10, 30, 40.5], OUTLINE),
        ('<ellipse label="cat" cx="25" cy="25" rx="15" ry="5"/>', [20, 10, 30, 40], OUTLINE),
        ('<ellipse label="cat" cx="25" cy="25" rx="15" ry="5" rotation="90"/>',
         [10, 20, 40, 30], ROTATED),
        ('<mask label="cat" rle="3, 5" left="10" top="20" width="30" height="10"/>',
         [20, 10, 30, 40], OUTLINE),
        ('<cuboid label="cat" xtl1="10" ytl1="22" xbl1="12" ybl1="30" xtr2="40" ytr2="20"/>',
         [20, 10, 30, 40], OUTLINE),
        ('<polyline label="cat" points="1,1;2,2"/>', None, NO_BOX),
        ('<points label="cat" points="1,1"/>', None, NO_BOX),
        ('<skeleton label="cat"><points label="eye" points="1,1"/></skeleton>', None, NO_BOX),
        (f'<box label="cat" outside="1" {_BOX}/>', None, "dropped: marked as outside the picture"),
        ('<box label="cat" xtl="ten" ytl="20" xbr="40" ybr="30"/>', None, DAMAGED),
        ('<box label="cat" xtl="10"/>', None, DAMAGED),
        (f"<box {_BOX}/>", None, DAMAGED),
    ],
)  # fmt: skip
def test_a_shape_is_its_bounds_or_named(tmp_path, drawn, box, note):
    folder = make(tmp_path, {"annotations.xml": cvat(image(drawn, _DOG))}, "images/a.jpg")
    source = read(folder, "cvat")[""]
    first = [("cat", *box)] if box else []
    assert objects(source) == {"a.jpg": [*first, ("dog", 0, 0, 1, 2)]}
    assert dict(source.tally.boxes) == ({note: 1} if note else {})
    assert (source.examples[0].height, source.examples[0].width) == (50, 60)


def test_the_subsets_of_a_project_are_its_splits(tmp_path):
    text = cvat(
        image(_DOG, more='subset="Train"'), image(name="b.jpg", more='subset="Validation"'),
        image(name="", more='subset="Train"'),
    )  # fmt: skip
    found = read(make(tmp_path, {"annotations.xml": text}, "images/a.jpg images/b.jpg"), "cvat")
    assert list(found) == ["train", "val"]
    assert objects(found["train"]) == {"a.jpg": [("dog", 0, 0, 1, 2)]}
    assert objects(found["val"]) == {"b.jpg": []}
    assert found["train"].tally.images == {BAD_IMAGE: 1}


def test_frames_of_a_video_are_found_by_their_number(tmp_path):
    """Frames without objects count where their pictures lie; those without picture are named."""
    frames = "".join(
        f'<box frame="{k}" outside="{outside}" keyframe="1" {_BOX}/>'
        for k, outside in ((0, 0), (1, 0), (2, 1), (3, 0))
    )
    task = "<start_frame>0</start_frame><stop_frame>3</stop_frame>"
    size = "<original_size><width>60</width><height>50</height></original_size>"
    text = cvat(f"<meta><task>{task}{size}</task></meta>", f'<track label="cat">{frames}</track>')
    names = ("frame_000000.PNG", "frame_000001.PNG", "frame_000002.PNG", "frame_000009.PNG")
    folder = make(tmp_path, {"annotations.xml": text}, " ".join(f"images/{n}" for n in names))
    source = read(folder, "cvat")[""]
    box = ("cat", 20, 10, 30, 40)
    assert list(objects(source).values()) == [[box], [box], []]
    assert [example.filename for example in source.examples] == list(names[:3])
    assert {(example.height, example.width) for example in source.examples} == {(50, 60)}
    assert source.tally.boxes == {"dropped: in a frame whose picture is not there": 1}


@pytest.mark.parametrize("start", ["", '<!DOCTYPE a [<!ENTITY b "c">]>'])
def test_what_is_no_xml_or_has_entities_is_refused_in_a_sentence(tmp_path, start):
    end = "</annotations>" if start else ""
    with pytest.raises(UserError, match=r"a\.xml is not CVAT's XML: "):
        read(make(tmp_path, {"a.xml": f"{start}<annotations><image/>{end}"}), "cvat")
