"""What the sections of the page are made of: runs of pixels, no ground truth, damaged files."""

import json

import numpy as np
import pytest

from edet.evaluation.segmentation import SegmentationResult
from edet.files import write_json, write_text
from edet.image.files import save_png
from edet.report.page import page_of
from edet.report.sections import evaluation, models, training
from edet.workdir import Workdir
from tests.report.small_run import write_run


def test_a_run_of_pixels_says_what_was_evaluated(tmp_path):
    """12 pictures, the means and the classes; nothing of boxes, of which there are none."""
    workdir = Workdir(str(tmp_path))
    result = SegmentationResult(np.array([[6, 2], [0, 2]]), ("road", "car"), 12)
    write_json(workdir.result_file("segmentation"), {"step": 5, **result.as_dict()})
    save_png(np.zeros((4, 4, 3), np.uint8), workdir.segmentation_page)
    values = evaluation(workdir).values
    assert values["counts"] == ["12 pictures"] and values["step"] == 5
    assert values["metrics"] == [] and values["classes"] == []
    # IoU 6/8 and 2/4
    assert values["pixels"]["classes"] == [("road", "75.0"), ("car", "50.0")]
    assert values["pixels"]["metrics"] == [("mIOU", "62.5"), ("pixel_accuracy", "80.0")]
    page = page_of(workdir)
    assert "data:image/jpeg;base64," in page and "<h3>Classes</h3>" not in page


def test_no_ground_truth_is_no_number(tmp_path):
    """COCO's -1: no large object, and an AP of a set without objects."""
    workdir = Workdir(str(tmp_path))
    write_text(workdir.evaluations_file, "step,AP,APl\n1,0.25,-1\n2,0,-1\n")
    assert training(workdir).drawn["evaluations"] == {
        "step": [1, 2], "AP": [25, 0], "APl": [None, None],
    }  # fmt: skip
    write_json(workdir.result_file("models"), {"m.tflite": {"AP": -1, "AP50": 0.5}})
    assert models(workdir).values["files"][0][3:5] == ("–", "50.0")


def test_a_number_that_json_has_no_word_for_draws_nothing(tmp_path):
    """One such number would leave the whole page without pictures."""
    workdir = Workdir(str(tmp_path))
    write_text(workdir.history_file, "step,total_loss\n0,inf\n1,nan\n2,1.5\n")
    assert training(workdir).drawn["history"]["total_loss"] == [None, None, 1.5]
    json.dumps(training(workdir).drawn, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "section", "others"),
    [("recipe.json", "training", "evaluation"), ("starts.json", "training", "data"),
     ("best/best.json", "training", "data"), ("eval.json", "evaluation", "training"),
     ("check_data.json", "data", "training"), ("predict.json", "predict", "data"),
     ("models.json", "models", "data"), ("benchmark.json", "models", "data"),
     ("report/evaluation-pictures.json", "evaluation", "training")],
)  # fmt: skip
@pytest.mark.parametrize("content", ["[1]", "5", "[", "null"])
def test_a_damaged_file_is_named_in_its_section_and_the_others_are_shown(
    tmp_path, name, section, others, content
):
    workdir = write_run(tmp_path)
    whole = page_of(workdir)
    (tmp_path / name).write_text("[[]]" if (name, content) == ("starts.json", "[1]") else content)
    page = page_of(workdir)
    part = page[page.index(f'<section id="{section}">') :].partition("</section>")[0]
    assert '<p class="note">' in part and name.rpartition("/")[2].partition("-")[0][:8] in part
    other = whole[whole.index(f'<section id="{others}">') :].partition("</section>")[0]
    assert other in page


def test_a_damaged_picture_is_named(tmp_path):
    workdir = Workdir(str(tmp_path))
    result = SegmentationResult(np.eye(2, dtype=int), ("road", "car"), 1)
    write_json(workdir.result_file("segmentation"), result.as_dict())
    write_text(workdir.segmentation_page, "no picture")
    assert "segmentation.png is a damaged picture; evaluate again" in page_of(workdir)
