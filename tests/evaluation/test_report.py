"""Tables in percent, JSON in fractions."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from edet.evaluation.coco import METRICS, CocoEvaluator
from edet.evaluation.coco_format import GroundTruth
from edet.evaluation.report import Evaluated, percent, print_report


@pytest.fixture
def result():
    """A cat of 100 x 100 pixels found with IoU 0.62, a class without ground truth, a NaN."""
    row = GroundTruth("a", 200, 200, np.array([[0, 0, 100, 100]]), np.array([1]))
    evaluator = CocoEvaluator([row], {1: "cat", 2: "dog [big]"})
    boxes = np.array([[[0, 0, 100, 62], [0, 0, 1, 1], [0, 0, 1, np.nan], [0, 0, 1, 1]]])
    evaluator.add(["a"], boxes, [[0.9, 0.8, 0.7, 0.6]], [[1, 2, 1, 7]], [4])
    return evaluator.result()


@pytest.mark.parametrize(
    ("value", "text"), [(0.3456, "34.6"), (1.0, "100.0"), (0.0, "0.0"), (-1.0, "–")]
)
def test_percent(value, text):
    assert percent(value) == text


def test_tables_hold_percent_and_every_class(result):
    out = io.StringIO()
    print_report(result, ["AP is [low]."], Console(file=out, width=80))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "AP 30.0 IoU 0.50:0.95" in lines
    assert "AP50 100.0 IoU 0.50" in lines
    assert "APs – area below 32²" in lines
    assert "ARl 30.0 area above 96²" in lines
    assert "cat 30.0 1 1" in lines
    assert "dog [big] – 0 1" in lines
    assert lines[-1] == "• AP is [low]."


def test_a_notebook_shows_tables_of_names_as_text(result):
    found = Evaluated({**result.as_dict(), "diagnosis": ["AP < 0.3 & low."]})
    found["per_class"] = {"<b>cat</b>": 0.3}
    found["ground_truths"] = {"<b>cat</b>": 1}
    found["segmentation"] = {"metrics": {"mIOU": 0.625}, "IoU": {"road": -1}}
    shown = found._repr_html_()
    assert "<tr><td>mIOU</td><td>62.5</td><td></td></tr>" in shown and "<td>–</td>" in shown
    assert "<p>AP &lt; 0.3 &amp; low.</p>" in shown
    assert "<tr><td>AP</td><td>30.0</td><td></td></tr>" in shown
    assert "<td>&lt;b&gt;cat&lt;/b&gt;</td><td>30.0</td><td>1</td>" in shown


def test_json_holds_fractions_and_counts(result):
    report = json.loads(json.dumps(result.as_dict()))
    assert list(report["metrics"]) == list(METRICS)
    assert report["metrics"]["AP"] == pytest.approx(0.3)
    assert report["per_class"] == {"cat": pytest.approx(0.3), "dog [big]": -1.0}
    assert report["per_class_and_size"]["cat"] == {"APs": -1, "APm": -1, "APl": pytest.approx(0.3)}
    del report["metrics"], report["per_class"], report["per_class_and_size"]
    assert report == {
        "images": 1,
        "images_with_detections": 1,
        "ground_truths": {"cat": 1, "dog [big]": 0},
        "detections": {"cat": 1, "dog [big]": 1},
        "unknown_classes": {"7": 1},
        "dropped": 1,
    }


def test_ap_at_a_limit_of_ones_own_is_printed_beside_cocos(result):
    out = io.StringIO()
    own = {"max_detections": 300, "AP": 0.5, "AP50": 0.75, "AP75": 0.25}
    print_report(dataclasses.replace(result, own_limit=own), (), Console(file=out, width=120))
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "AP50 75.0 IoU 0.50, with 300 detections per image and class instead of 100" in lines
