"""The table of consumers: differences by hand, and a row for each result."""

import numpy as np

from edet.cli.common import parsed
from tests.conftest import REPOSITORY
from tools.checks import consumers
from tools.checks.consumers import CASES, difference_of, table_of


def test_outputs_of_a_network_differ_by_a_share_of_the_largest_value():
    expected = {"a": np.array([1.0, -4.0]), "b": np.array([2.0])}
    found = {"a": np.array([1.2, -4.0]), "b": np.array([2.0]), "more": np.array([9.0])}
    assert difference_of(found, expected) == "5.0e-02"  # 0.2 of 4


def detections(**changes):
    return {
        "boxes": np.array([[[0, 0, 50, 50], [10, 10, 20, 40], [0, 0, 0, 0]]], np.float32),
        "scores": np.array([[0.9, 0.5, 0]], np.float32),
        "classes": np.array([[3, 7, 0]]),
        "class_names": np.array([["cat", "dog", ""]]),
        "num_detections": np.array([2]),
        "side": np.array(100),
    } | changes


def test_detections_differ_in_scores_and_in_shares_of_the_picture():
    boxes = detections()["boxes"] + [[[0, 0, 1, 0], [0, 0, 0, 5], [9, 9, 9, 9]]]
    found = detections(boxes=boxes, scores=np.array([[0.9, 0.4, 0.3]]))
    assert difference_of(found, detections()) == "scores 1.0e-01, boxes 3.0e-02 (most 5.0e-02)"


def test_other_classes_and_missing_detections_are_counted():
    found = detections(classes=np.array([[3, 3, 0]]))
    del found["class_names"]
    assert difference_of(found, detections()).endswith("; 1 of 2 alike")
    named = {"boxes": np.zeros((1, 1, 4)), "scores": np.array([[0.9]])}
    named["class_names"] = np.array([["cat"]])
    assert difference_of(named, detections()).endswith("; 1 of 2 alike")


def test_the_table_has_the_results_in_the_order_of_the_cases_and_times_of_litert():
    results = {
        "OpenVINO, litert network": ["2026", "yes", "1e-6", 3.0],
        "LiteRT Interpreter, litert network": ["2.3", "yes", "0", 2.0],
        "MNN, onnx detections": ["", "no: it is broken", "", None],
    }
    assert table_of(results).splitlines() == [
        "| consumer | version | file | loads | difference | time |",
        "| --- | --- | --- | --- | --- | --- |",
        "| LiteRT Interpreter | 2.3 | litert network | yes | 0 | 1.00 |",
        "| OpenVINO | 2026 | litert network | yes | 1e-6 | 1.50 |",
        "| MNN |  | onnx detections | no: it is broken |  |  |",
    ]


def test_files_and_truth_of_another_network_are_not_taken_for_those_of_this_one(
    tmp_path, monkeypatch
):
    found = []

    def truth(network, config, picture):
        found.append((config.model.name, config.model.image_size))
        return {"network/a": np.zeros(1)}

    monkeypatch.setattr(consumers, "_truth", truth)
    monkeypatch.setattr(consumers, "spread_network", lambda *_: None)
    monkeypatch.setattr(consumers, "_node_modules", lambda _: "")
    for size in (64, 96, 96):
        flags = [f"--output={tmp_path}", "--only=none of them", f"--size={size}"]
        consumers.check(parsed(consumers.define_flags, flags))
    assert found == [("efficientdet-lite0", (64, 64)), ("efficientdet-lite0", (96, 96))]


def test_the_document_has_a_row_for_every_case():
    text = (REPOSITORY / "docs/consumers.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    for case in CASES:
        assert any(row[0] == f"| {case.name}" and row[2] == case.file for row in rows), case
