"""WIDER FACE's and keras-yolo3's texts of many pictures."""

from edet.records.sources.shapes import BAD_IMAGE, DAMAGED
from tests.records.sources.small_folders import make, objects, read

_ZEROS = "0 0 0 0 0 0 0 0 0 0"


def test_wider_face_names_pictures_and_counts_their_faces(tmp_path):
    """10 + 30 is 40, 20 + 10 is 30; the second face cannot be told, by the fourth flag."""
    text = (
        "0--Parade/a.jpg\n2\n10 20 30 10 0 0 0 0 0 0 \n0 0 6 5 2 0 0 1 0 0 \n"
        f"0--Parade/b.jpg\n0\n{_ZEROS} \n1--Fair/c.jpg\n0\n1--Fair/d.jpg\n3\n1 2 3 4 0 0 0 0 0 0\n"
        "1--Fair/e.jpg\n2\n1 2 3 x 0 0 0 0 0 0\n0 0 6 5 cat 0 0 0 0 0 0\n"  # CVAT names classes
    )
    pictures = " ".join(
        f"WIDER_train/images/{name}.jpg"
        for name in ("0--Parade/a", "0--Parade/b", "1--Fair/c", "1--Fair/d", "1--Fair/e")
    )
    files = {"wider_face_split/wider_face_train_bbx_gt.txt": text}
    source = read(make(tmp_path, files, pictures), "wider_face")["train"]
    assert objects(source) == {
        "0--Parade/a.jpg": [("face", 20, 10, 30, 40), ("face", 0, 0, 5, 6)],
        "0--Parade/b.jpg": [], "1--Fair/c.jpg": [], "1--Fair/e.jpg": [("cat", 0, 0, 5, 6)],
    }  # fmt: skip
    assert source.examples[0].is_crowd.tolist() == [False, True]
    assert source.tally.images == {BAD_IMAGE: 1} and source.tally.boxes == {DAMAGED: 1}


def test_keras_yolo3_has_a_line_for_each_picture_and_names_beside(tmp_path):
    files = {
        "train/_annotations.txt": "my photo.jpg 10,20,40,30,1 0,0,6,5,0\n"
        "b.jpg\nc.jpg 1,2,3,4,0.5\n",
        "train/_classes.txt": "cat\ndog\n",
        "valid/_annotations.txt": "d.jpg 1,2,3,4,0\n",
        "valid/_classes.txt": "dog\n",
    }
    folder = make(tmp_path, files, "train/b.jpg train/c.jpg valid/d.jpg")
    (tmp_path / "train/my photo.jpg").touch()
    found = read(folder, "keras_yolo")
    assert objects(found["train"]) == {
        "my photo.jpg": [("dog", 20, 10, 30, 40), ("cat", 0, 0, 5, 6)], "b.jpg": [], "c.jpg": [],
    }  # fmt: skip
    assert objects(found["val"]) == {"d.jpg": [("dog", 2, 1, 4, 3)]}
    assert found["train"].labels == {0: "cat", 1: "dog"}
    assert found["train"].tally.boxes == {DAMAGED: 1}


def test_keras_yolo3_without_names_has_the_numbers(tmp_path):
    files = {"boxes.txt": "a.jpg 1,2,3,4,5\n"}
    (source,) = read(make(tmp_path, files, "a.jpg"), "keras_yolo").values()
    assert source.labels == {5: "class 5"}
