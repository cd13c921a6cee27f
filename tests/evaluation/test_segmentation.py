"""mIOU against counts made by hand."""

import io

import numpy as np
import pytest
from rich.console import Console

from edet.errors import UserError
from edet.evaluation.overlays import Masked, draw_overlay, save_mask_gallery
from edet.evaluation.segmentation import SegmentationEvaluator

LABELS = {0: "background", 3: "disc", 9: "square"}


def evaluated(*pairs, labels=LABELS):
    evaluator = SegmentationEvaluator(labels)
    for truth, found in pairs:
        evaluator.add(np.array(truth, np.uint8), np.array(found, np.uint8), "record 0")
    return evaluator.result()


def test_intersections_and_unions_are_those_counted_by_hand():
    result = evaluated(([[0, 0], [3, 3]], [[0, 3], [3, 3]]), ([[0, 3]], [[0, 0]]))
    assert result.confusion.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert result.iou == {"background": 0.5, "disc": 0.5, "square": -1.0}
    assert result.metrics == {"mIOU": 0.5, "pixel_accuracy": pytest.approx(4 / 6)}
    assert result.images == 2


def test_batches_are_compared_with_the_masks_of_their_pictures_in_any_order():
    """Also once more, as after another thousand steps; a record without a mask counts nowhere."""
    masks = [[[0, 3]], [[255]], [[9, 9]]]
    evaluator = SegmentationEvaluator(
        LABELS, lambda: (np.array(mask, np.uint8) for mask in masks),
        lambda found, size: found[: size[0], : size[1]], num_examples=1,
    )  # fmt: skip
    found = {"class_maps": np.array([[[9, 0]], [[0, 0]], [[0, 3]]], np.uint8)}
    for _ in range(2):
        evaluator.reset()
        evaluator.update({"image_index": np.array([2, 1, 0])}, found)
        result = evaluator.result()
        assert result.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
        assert (result.images, list(evaluator.examples)) == (2, [2])


def test_ignored_pixels_count_nowhere():
    result = evaluated(([[0, 255]], [[0, 9]]), ([[255, 255]], [[3, 3]]))
    assert result.metrics == {"mIOU": 1.0, "pixel_accuracy": 1.0}
    assert result.images == 1


def test_a_class_that_is_found_where_it_never_is_counts_as_zero():
    result = evaluated(([[0, 0, 0, 0]], [[0, 0, 0, 9]]))
    assert result.iou == {"background": 0.75, "disc": -1.0, "square": 0.0}
    assert result.metrics["mIOU"] == 0.375


def test_classes_without_a_name_of_their_own_count_one_by_one():
    evaluator = SegmentationEvaluator({0: "ground", 1: "other", 2: "other", 3: ""})
    evaluator.add(np.array([[0, 1, 2, 2]]), np.array([[0, 1, 1, 3]]), "record 0")
    result = evaluator.result()
    assert result.iou == {"ground": 1.0, "other (1)": 0.5, "other (2)": 0.0, "3": 0.0}
    assert result.metrics["mIOU"] == 0.375


def test_nothing_to_compare_with_is_zero_and_not_an_error():
    result = evaluated(([[255]], [[0]]))
    assert result.metrics == {"mIOU": 0.0, "pixel_accuracy": 0.0}


def test_a_value_without_a_label_is_refused():
    with pytest.raises(UserError, match="record 0 has values"):
        evaluated(([[4]], [[0]]))


def test_the_json_holds_the_matrix_and_the_table_the_mistake():
    result = evaluated(([[3, 3, 3, 3]], [[3, 3, 3, 9]]))
    assert result.as_dict()["confusion"] == [[0, 0, 0], [0, 3, 1], [0, 0, 0]]
    classes, _ = result.tables()
    assert "square (25.0 %)" in list(classes.columns[3].cells)


def test_names_that_look_like_markup_are_printed_as_they_are():
    result = evaluated(([[1, 1]], [[1, 2]]), labels={1: "a [/b] x", 2: "c [bold]"})
    console = Console(file=io.StringIO(), width=120)
    console.print(*result.tables())
    printed = console.file.getvalue()
    assert "a [/b] x" in printed
    assert "c [bold] (50.0 %)" in printed


def test_an_overlay_tints_classes_only_and_names_them_below():
    image = np.full((320, 400, 3), 100, np.uint8)
    mask = np.zeros((320, 400), np.uint8)
    mask[100:200, 100:200] = 9
    mask[:10] = 255
    drawn = draw_overlay(image, mask, LABELS)
    assert drawn.shape[0] > 320 and drawn.shape[1] == 400
    assert (drawn[250, 50] == 100).all() and (drawn[5, 5] == 100).all()
    assert drawn[150, 150].tolist() == [151, 45, 45]  # 0.45 x 100 + 0.55 x (192, 0, 0)
    assert (drawn[320:] == (192, 0, 0)).all(axis=-1).any()
    plain = draw_overlay(image, np.zeros_like(mask), LABELS)
    assert plain.shape == image.shape  # nothing to name


def test_a_name_wider_than_the_legend_is_cut():
    image, mask = np.zeros((320, 400, 3), np.uint8), np.full((320, 400), 9, np.uint8)
    legend = draw_overlay(image, mask, {9: "x" * 300})[320:]
    assert (legend[:, -8:] == 255).all() and (legend[:, -40:-8] < 128).any()


def test_the_legend_of_a_panorama_is_no_higher_than_a_line_of_small_letters():
    mask = np.full((64, 38400), 9, np.uint8)
    drawn = draw_overlay(np.zeros((64, 38400, 3), np.uint8), mask, LABELS)
    assert 64 + 14 <= len(drawn) <= 64 + 24


def test_a_mask_of_another_size_is_not_drawn():
    with pytest.raises(UserError, match="of one size"):
        draw_overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4), np.uint8), LABELS)


def test_a_gallery_needs_a_picture(tmp_path):
    picture = Masked("7", np.zeros((20, 30, 3), np.uint8), *[np.zeros((20, 30), np.uint8)] * 2)
    save_mask_gallery([picture], LABELS, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size
    with pytest.raises(UserError, match="no picture"):
        save_mask_gallery([], LABELS, tmp_path / "none.png")
