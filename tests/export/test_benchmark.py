"""Timing: what is measured, and that every format is measured in a process of its own."""

import dataclasses
import multiprocessing
import os
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config, save_config
from edet.config.schema import replace
from edet.errors import UserError
from edet.export.benchmark import (
    Row,
    Subject,
    benchmark_table,
    least_seconds,
    machine_peak,
    measure,
    run_subjects,
    subject_of,
)
from edet.export.litert import export_litert
from edet.export.saved_model import export_saved_model
from edet.models.efficientdet import build_network


def test_a_call_of_20_ms_is_measured_as_such():
    assert measure(lambda: time.sleep(0.02), seconds=0.1) == pytest.approx(20, rel=0.5)


def test_it_is_told_how_long_four_parts_of_each_format_and_batch_are_measured():
    assert least_seconds(subjects=3, batches=2, seconds=5.0) == 3 * 2 * 4 * 5


def test_the_peak_is_that_of_a_processor():
    """Between a tenth and ten thousand billion multiply-adds a second."""
    assert 1e8 < machine_peak(seconds=0.01) < 1e16


class Here:
    """Of a way to start processes what `run_subjects` asks for, without a process."""

    Pipe = staticmethod(multiprocessing.Pipe)

    def __init__(self):
        self.started = 0

    def Process(self, target, args):
        def start():
            self.started += 1
            target(*args)

        return types.SimpleNamespace(start=start, ident=None, exitcode=0)


@pytest.fixture
def here(monkeypatch):
    context = Here()
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)
    return context


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Subjects of all kinds, the configuration that they were made with, and a picture."""
    folder = tmp_path_factory.mktemp("benchmark")
    config = load_config(
        "efficientdet-lite0",
        overrides=[
            "model.image_size=64", "model.pyramid_width=8", "model.num_classes=2",
            "model.backbone=efficientnet-w0.35-d0.3", "model.pyramid_repeats=1",
            "model.head_repeats=1", "model.max_level=5",
        ],
    )  # fmt: skip
    save_config(config, folder / "config.yaml")
    network = build_network(config.model)
    model = export_saved_model(network, config, str(folder / "m"))
    alone = replace(config, export={"signatures": "raw"})
    raw = export_saved_model(network, alone, str(folder / "raw"))
    file = export_litert(network, config, str(folder / "m.tflite"))
    picture = tf.io.encode_jpeg(np.zeros((48, 64, 3), np.uint8)).numpy()
    subjects = [
        Subject("keras", "keras"), Subject("served", "saved_model", model),
        Subject("raw", "saved_model", raw), Subject("file", "litert", file),
    ]  # fmt: skip
    return subjects, str(folder / "config.yaml"), picture


def test_every_format_and_batch_has_a_row_with_times(exported, here):
    """Also a file that suppresses by itself."""
    rows = run_subjects(*exported, (1, 2), seconds=0.01)
    assert here.started == 4  # one for each format
    assert [(row.name, row.batch) for row in rows] == [
        ("keras", 1), ("keras", 2), ("served", 1), ("served", 2), ("raw", 1), ("raw", 2),
        ("file", 1), ("file", 2),
    ]  # fmt: skip
    for row in rows:
        assert min(row.prepare, row.network, row.suppress) > 0
        assert row.total > row.network / 10  # medians of few runs on a busy machine


def test_a_saved_model_is_measured_as_a_server_runs_it(exported):
    (_, served, _, file), *_ = exported
    folder = os.path.dirname(served.path)
    for path in (served.path, folder, f"{folder}/"):
        assert dataclasses.replace(subject_of(path), name="served") == served
    assert subject_of(f"{folder}/").name == "m"
    assert subject_of(file.path) == dataclasses.replace(file, name="m.tflite")
    assert subject_of("x.ONNX") == Subject("x.ONNX", "onnx", "x.ONNX")


def test_memory_is_that_of_the_process_alone(exported):
    """More than 10 MiB for a network and TensorFlow's threads, and much less than this process."""
    subjects, *others = exported
    (row,) = run_subjects(subjects[-1:], *others, (1,), seconds=0.01)
    assert (row.name, row.batch) == ("file", 1)
    assert row.peak_memory is None or 10 < row.peak_memory < 2000


def test_the_table_has_a_line_for_each_row():
    rows = [Row("a", 1, 1.0, 2.0, 3.0, 4.0, None), Row("b", 2, 1.0, 2.0, 3.0, 4.0, 20.0)]
    summary = {
        "model": "m", "image_size": [64, 64], "multiply_adds": 10**9,
        "published_latency_ms": {"Titan V": 12.0},
        "machine": {"peak_multiply_adds_per_second": 5e10},
        "rows": [{**vars(row), "share_of_peak": 0.25} for row in rows],
    }  # fmt: skip
    table = benchmark_table(summary)
    assert table.row_count == 2
    assert table.caption.endswith("; its authors: 12 ms (Titan V)")
    assert "authors" not in benchmark_table(summary | {"published_latency_ms": {}}).caption


def test_a_file_that_cannot_be_read_is_a_sentence(here, tmp_path):
    save_config(load_config("efficientdet-lite0"), tmp_path / "config.yaml")
    missing = Subject("lost", "litert", str(tmp_path / "lost.tflite"))
    with pytest.raises(UserError, match=r"cannot measure lost: .*lost\.tflite"):
        run_subjects([missing], str(tmp_path / "config.yaml"), b"", (1,), seconds=0.01)
