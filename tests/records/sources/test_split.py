"""Dividing a set without splits: what shows the same stays together, and nothing moves later."""

import pytest

from edet.errors import UserError
from edet.records.sources.annotations import AnnotatedImage, AnnotatedObject
from edet.records.sources.split import divide


def images(*names, label=1):
    return [AnnotatedImage(name, name, [AnnotatedObject(label, (0, 0, 1, 1))]) for name in names]


def names(part):
    return [image.name for image in part]


def sides(part, key):
    return {key(image.name) for image in part}


def folder_of(name):
    return name.split("/")[0]


VIDEOS = images(*(f"clip{v}/frame_{f:04d}.jpg" for v in range(12) for f in range(30)))


def test_every_picture_is_on_one_side_in_its_order():
    photos = images(*(f"{'abcdefghij'[k % 10]}x{k}y.jpg" for k in range(400)))
    train, val, how = divide(photos, 0.2, seed=0)
    assert sorted(names(train) + names(val)) == sorted(names(photos))
    assert [name for name in names(photos) if name in set(names(val))] == names(val)
    assert 60 <= len(val) <= 100  # of 400 drawn with 0.2: 80, and 8 is their deviation
    assert f"{len(train)} pictures for training and {len(val)} for validation" in how


def test_frames_of_one_folder_are_on_one_side():
    train, val, how = divide(VIDEOS, 0.2, seed=0)
    assert not sides(train, folder_of) & sides(val, folder_of)
    assert "divided by folder, of which there are 12" in how
    assert 36 <= len(val) <= 144  # half and twice of 72


def test_frames_in_one_folder_go_by_their_name_without_the_number():
    """Names end as tools write them: frame_0001, -12, (3), and Roboflow's marks behind."""
    endings = ("_{:04d}.jpg", "-{}.png", " ({}).jpg", "_mp4-{}_jpg.rf.0123456789abcdef.jpg")
    frames = images(
        *(f"images/v{chr(97 + v)}{endings[v % 4].format(f)}" for v in range(10) for f in range(20))
    )
    train, val, how = divide(frames, 0.3, seed=1)
    assert "divided by series, of which there are 10" in how
    assert not sides(train, lambda n: n[:9]) & sides(val, lambda n: n[:9])


def test_what_label_studio_puts_before_a_name_is_no_part_of_it():
    frames = images(
        *(f"{k * 7919 + 0xABCD0000:08x}-clip{'abcdef'[k % 6]}_{k}.jpg" for k in range(120))
    )
    train, val, how = divide(frames, 0.3, seed=0)
    assert "divided by series, of which there are 6" in how
    assert not sides(train, lambda n: n[9:14]) & sides(val, lambda n: n[9:14])


def test_copies_of_a_photo_are_on_one_side_even_where_all_names_are_numbers():
    copies = images(
        *(f"train/{k}_jpg.rf.{c * 4096 + k:032x}.jpg" for k in range(100) for c in range(3))
    )
    train, val, how = divide(copies, 0.2, seed=0)
    assert "divided by photo, of which there are 100" in how
    assert not sides(train, lambda n: n.split(".rf.")[0]) & sides(val, lambda n: n.split(".rf.")[0])
    assert "most names differ in a number alone: if they are frames of one video" in how


def test_folders_and_names_of_classes_are_not_divided_by():
    """By folder, or by the name before the number, training would never see some classes."""
    for form in ("{}/{}.jpg", "{}_{}.jpg"):
        pictures = []
        for label in range(8):
            kind = f"kind{'abcdefgh'[label]}"
            pictures += images(*(form.format(kind, k) for k in range(25)), label=label)
        train, val, how = divide(pictures, 0.2, seed=0)
        assert "divided by photo" in how
        for part in (train, val):
            assert {image.objects[0].label for image in part} == set(range(8))


def test_one_folder_with_most_pictures_is_no_reason_to_leave_it_whole():
    lopsided = images(*(f"all/p{k}q.jpg" for k in range(100)), *(f"f{k}/a.jpg" for k in range(9)))
    assert "divided by photo, of which there are 109" in divide(lopsided, 0.2, 0)[2]


def test_pictures_that_are_added_move_no_others():
    val = set(names(divide(VIDEOS, 0.2, seed=3)[1]))
    more = VIDEOS + images(
        *(f"clip{v}/frame_{f:04d}.jpg" for v in range(12) for f in range(30, 40))
    )
    later = set(names(divide(more[::-1], 0.2, seed=3)[1]))
    assert val == later & set(names(VIDEOS))


def test_the_seed_and_nothing_else_decides():
    assert divide(VIDEOS, 0.2, 5) == divide(VIDEOS, 0.2, 5)
    assert len({tuple(names(divide(VIDEOS, 0.2, seed)[1])) for seed in range(5)}) > 1


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize(
    "pictures",
    [
        images("a.jpg", "b.jpg"),
        images("1.jpg", "2.jpg", "3.jpg"),
        images("a.rf.00.jpg", "a.rf.01.jpg"),  # copies of one photo: nothing else to divide
        images(*(f"{k}/{k}.jpg" for k in range(6))),
    ],
)
def test_no_side_is_empty(pictures, share):
    for seed in range(20):
        train, val, _ = divide(pictures, share, seed)
        assert train
        assert val
        assert len(train) + len(val) == len(pictures)


def test_few_pictures_come_near_to_the_share_with_every_seed():
    few = images(*(f"{name}.jpg" for name in "abcdefghij"))
    assert {len(divide(few, 0.2, seed)[1]) for seed in range(100)} <= {1, 2, 3, 4}


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(UserError, match=r"--val_share=.* must be above 0 and below 1"):
        divide(VIDEOS, share, 0)


@pytest.mark.parametrize("pictures", [[], images("a.jpg"), images("a.jpg", "a.jpg")])
def test_less_than_two_pictures_are_refused(pictures):
    with pytest.raises(UserError, match=r"--val_share=0.2 needs two pictures or more .* are [01];"):
        divide(pictures, 0.2, 0)
