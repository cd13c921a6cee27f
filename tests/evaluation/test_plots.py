"""Pictures: what is drawn where, that labels stay readable, and that files are whole."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageColor

from edet.errors import UserError
from edet.evaluation import plots
from edet.evaluation.coco import CocoEvaluator
from edet.evaluation.coco_format import GroundTruth
from edet.evaluation.pages import PANEL_SIDE
from edet.evaluation.plots import (
    MIN_SIDE,
    PALETTE,
    Picture,
    draw_boxes,
    plot_confusion_matrix,
    plot_history,
    plot_precision_recall,
    save_gallery,
)

FIRST, SECOND, THIRD = (ImageColor.getrgb(color) for color in PALETTE[:3])


def gray(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def pixels_of(image, color):
    return np.argwhere((image == color).all(axis=-1))


def result_of(rows, labels=None):
    evaluator = CocoEvaluator(rows, labels or {1: "cat", 2: "dog"})
    for row in rows:
        if len(row.boxes):
            scores = np.linspace(0.9, 0.1, len(row.boxes))[None]
            boxes, classes = row.boxes[None], row.class_ids[None]
            evaluator.add([row.image_id], boxes, scores, classes, [len(row.boxes)])
    return evaluator.result()


def test_a_box_is_drawn_on_its_edges_and_the_image_stays_as_it_was():
    image = gray(400, 600)
    drawn = draw_boxes(image, np.array([[100, 200, 300, 500]]), [""])
    assert (image == 128).all()
    assert drawn.dtype == np.uint8
    edge = pixels_of(drawn, FIRST)
    assert edge.min(axis=0).tolist() == [100, 200]
    assert edge.max(axis=0).tolist() == [300, 500]
    # Two pixels of line: the inside is untouched.
    assert (drawn[102:299, 202:499] == 128).all()


def test_a_class_has_one_colour_in_all_pictures():
    box = np.array([[50, 50, 300, 300]])
    one = draw_boxes(gray(400, 400), box, ["dog"], classes=["ant", "cat", "dog"])
    assert len(pixels_of(one, THIRD)) and not len(pixels_of(one, FIRST))
    both = draw_boxes(
        gray(400, 400), np.repeat(box, 2, axis=0) / [[1], [2]], ["dog", "cat"], classes=["cat"]
    )
    assert len(pixels_of(both, FIRST)) and len(pixels_of(both, SECOND))


def test_palette_keeps_apart_for_colour_blind_eyes_by_lightness_or_hue():
    # Machado et al. 2009, table 1, severity 1: what deuteranopic and protanopic eyes see.
    deuteranopia = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    protanopia = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
    colors = np.array([ImageColor.getrgb(color) for color in PALETTE], np.float64)
    for vision in (deuteranopia, protanopia):
        seen = colors @ np.array(vision).T
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert distance[~np.eye(len(PALETTE), dtype=bool)].min() > 25


@pytest.mark.parametrize("side", [40, 320, 512, 1600])
def test_labels_are_readable_at_any_image_size_and_stay_inside(side):
    # A box in every corner; the label cannot be above the upper ones.
    corners = np.array([[0, 0, 0.3, 0.3], [0, 0.7, 0.3, 1], [0.7, 0, 1, 0.3], [0.7, 0.7, 1, 1]])
    for corner in corners:
        drawn = draw_boxes(gray(side, side), corner[None] * side, ["bird"], [0.5])
        plain = draw_boxes(gray(side, side), corner[None] * side, [""])
        changed = np.argwhere((drawn != plain).any(axis=-1))
        height, width = changed.max(axis=0) - changed.min(axis=0) + 1
        assert 14 <= height <= drawn.shape[0] / 4
        assert width > 2 * height
        # White ink, antialiased, on the blue of the first class.
        assert (drawn.min(axis=-1) > 180).sum() > 30


def test_a_small_image_is_enlarged_by_a_whole_factor():
    image = np.arange(20 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(20, 30, 3)
    drawn = draw_boxes(image, np.zeros((0, 4)), [])
    assert drawn.shape == (220, 330, 3)
    assert max(drawn.shape) >= MIN_SIDE
    np.testing.assert_array_equal(drawn[::11, ::11], image)
    assert draw_boxes(image[:1, :1], np.zeros((0, 4)), []).shape == (320, 320, 3)


def test_lines_and_letters_of_a_panorama_go_by_its_shorter_side():
    """Two boxes of 40 x 60 pixels with labels of letters 12 pixels high, within 80 each way."""
    boxes = np.array([[10, 1000, 50, 1060], [10, 20000, 50, 20060]])
    for turned in (False, True):
        panorama = gray(38400, 64) if turned else gray(64, 38400)
        places = boxes[:, [1, 0, 3, 2]] if turned else boxes
        is_drawn = (draw_boxes(panorama, places, ["cat", "dog"], [0.9, 0.5]) != 128).any(axis=-1)
        assert is_drawn.any(axis=turned * 1).sum() <= 2 * 80
        assert is_drawn.sum() < 2 * 80 * 60


def test_a_name_wider_than_the_picture_is_cut_and_its_score_is_not():
    """To half of the picture; what fits into it stays whole."""
    box = np.array([[100, 20, 300, 600]])

    def label(name):
        drawn, empty = (draw_boxes(gray(400, 640), box, [one], [0.5]) for one in (name, ""))
        return drawn, np.argwhere((drawn != empty).any(axis=-1))

    drawn, places = label("x" * 300)
    assert 300 < np.ptp(places[:, 1]) + 1 <= 320
    cut = next(n for n in range(300) if (label("x" * n + "…")[0] == drawn).all())
    assert 30 < cut < 40
    assert np.ptp(label("x" * 60)[1][:, 1]) > 400


def test_the_best_detection_is_on_top():
    boxes = np.array([[50, 50, 350, 350]] * 2)
    drawn = draw_boxes(gray(400, 400), boxes, ["ant", "bee"], [0.9, 0.1])
    assert tuple(drawn[350, 200]) == FIRST


number = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf, 0.0]))


@settings(max_examples=60, deadline=None)
@given(boxes=st.lists(st.tuples(*[number] * 4), max_size=3))
def test_no_box_is_too_odd_to_be_drawn_or_left_out(boxes):
    boxes = np.array(boxes).reshape(-1, 4)
    drawn = draw_boxes(gray(330, 340), boxes, ["ein sehr langer Name 鳥"] * len(boxes))
    assert drawn.shape == (330, 340, 3)


@pytest.mark.parametrize(
    "box", [[-50, -50, -1, -1], [0, 400, 10, 500], [5, 5, np.nan, 9], [90, 90, 10, 10]]
)
def test_boxes_outside_or_broken_are_left_out(box):
    assert (draw_boxes(gray(400, 400), np.array([box]), ["cat"], [0.5]) == 128).all()


@pytest.mark.parametrize(
    ("image", "names", "scores", "sentence"),
    [
        (np.zeros((9, 9), np.uint8), ["a"], None, r"shape \[9, 9\]"),
        (np.zeros((9, 9, 3), np.float32), ["a"], None, "type float32"),
        (np.zeros((0, 9, 3), np.uint8), ["a"], None, r"shape \[0, 9, 3\]"),
        (gray(9, 9), ["a", "b"], None, "1 boxes with 2 names"),
        (gray(9, 9), ["a"], [0.1, 0.2], "1 names and 2 scores"),
    ],
)
def test_what_cannot_be_drawn_is_refused(image, names, scores, sentence):
    with pytest.raises(UserError, match=sentence):
        draw_boxes(image, np.zeros((1, 4)), names, scores)


def test_a_gallery_has_ground_truth_left_and_detections_right(tmp_path):
    box = np.array([[10, 10, 90, 90]])
    pictures = [
        Picture("a.jpg", gray(100, 200), box, ["cat"], box, ["dog"], [0.75]),
        Picture("b.jpg", gray(2000, 1000), box * 9, ["cat"], np.zeros((0, 4)), [], []),
    ]
    save_gallery(iter(pictures), tmp_path / "new" / "gallery.png", classes=["cat", "dog"])
    page = np.asarray(Image.open(tmp_path / "new" / "gallery.png"))
    middle = page.shape[1] // 2
    # Scaled to the panel: 240 and 480 pixels high, each under a line of text.
    assert page.shape[1] > 2 * PANEL_SIDE and 720 < page.shape[0] < 840
    assert pixels_of(page, FIRST)[:, 1].max() < middle < pixels_of(page, SECOND)[:, 1].min()


def test_the_title_of_a_picture_ends_where_the_next_one_begins(tmp_path):
    none = np.zeros((0, 4))
    picture = Picture("x" * 300, gray(100, 200), none, [], none, [], [])
    save_gallery([picture], tmp_path / "gallery.png")
    titles = np.asarray(Image.open(tmp_path / "gallery.png").convert("L"))[:24]
    ink = (titles < 128).any(axis=0)
    second = 8 + PANEL_SIDE + 8
    assert ink[8:].any() and not ink[8 + PANEL_SIDE : second].any() and ink[second:-8].any()
    assert not ink[-8:].any()


def test_an_empty_gallery_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(UserError, match="there is no picture"):
        save_gallery([], tmp_path / "gallery.png")
    assert list(tmp_path.iterdir()) == []


def is_picture(path):
    with Image.open(path) as image:
        image.load()
        return image.format == "PNG" and len(set(image.convert("L").getdata())) > 10


@pytest.mark.parametrize("classes", [1, 3, 90])
def test_confusion_matrix_picture(tmp_path, classes):
    matrix = np.diag(np.arange(classes + 1))
    plot_confusion_matrix(matrix, [f"name {k}" for k in range(classes)], tmp_path / "matrix.png")
    assert is_picture(tmp_path / "matrix.png")
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.png"]


def test_precision_recall_picture(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    boxes = np.array([[0, 0, 50, 50], [0, 100, 50, 150]], np.float32)
    rows = [
        GroundTruth(1, 200, 200, boxes, np.array([1, 1])),
        GroundTruth(2, 200, 200, boxes, np.array([1, 2])),
    ]
    plot_precision_recall(result_of(rows), tmp_path / "curves.png")
    overall, single = figures[0].axes
    labels = [line.get_label() for line in overall.lines + single.lines]
    assert labels == [
        "IoU 0.50, AP 100.0",
        "IoU 0.75, AP 100.0",
        "IoU 0.50:0.95, AP 100.0",
        "cat, AP50 100.0",
        "dog, AP50 100.0",
    ]
    np.testing.assert_allclose(
        overall.lines[0].get_xydata()[[0, 50, 100]], [[0, 1], [0.5, 1], [1, 1]]
    )


def test_precision_recall_without_ground_truth(tmp_path):
    rows = [GroundTruth(1, 9, 9, np.zeros((0, 4)), np.zeros(0, int))]
    plot_precision_recall(result_of(rows), tmp_path / "curves.png")
    assert is_picture(tmp_path / "curves.png")


HISTORY = [
    {"step": 10, "total_loss": 4.5, "class_loss": 2.5, "learning_rate": 0.01, "images_crc32": 7},
    {"step": 20, "total_loss": 3.5, "class_loss": 1.5, "learning_rate": 0.02, "images_crc32": 8},
    {"step": 20, "AP": 0.125, "AP50": 0.25},
    {"step": 30, "total_loss": math.nan, "class_loss": 1.0, "learning_rate": 0.03},
]


def test_history_panels(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    plot_history(HISTORY, tmp_path / "history.png")
    panels = {
        axes.get_title(): {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        for axes in figures[0].axes
    }
    assert list(panels) == ["loss", "learning_rate", "AP"]
    assert list(panels["loss"]) == ["total_loss", "class_loss"]
    assert panels["loss"]["class_loss"] == [[10, 2.5], [20, 1.5], [30, 1.0]]
    assert panels["AP"] == {"AP": [[20, 0.125]], "AP50": [[20, 0.25]]}


def test_history_picture(tmp_path):
    plot_history(HISTORY, tmp_path / "history.png")
    assert is_picture(tmp_path / "history.png")


@pytest.mark.parametrize("rows", [[], [{"step": 1}]])
def test_a_history_without_numbers_is_refused(tmp_path, rows):
    with pytest.raises(UserError, match=r"nothing to draw for .*history\.png"):
        plot_history(rows, tmp_path / "history.png")
    assert not (tmp_path / "history.png").exists()


def test_a_class_name_with_dollars_is_no_formula(tmp_path):
    """Between dollars, x^ is none that matplotlib could set."""
    names = ["cost $x^$", "$"]
    row = GroundTruth(1, 200, 200, np.array([[0, 0, 50, 50]], np.float32), np.array([1]))
    plot_precision_recall(result_of([row], dict(enumerate(names, 1))), tmp_path / "curves.png")
    plots.plot_confusion_matrix(np.eye(3, dtype=int), names, tmp_path / "confusion.png")
    assert len(list(tmp_path.iterdir())) == 2
