"""Every step is logged, and the lines tell the time left."""

import io

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from edet.errors import StorageError
from edet.training.log import Reporter
from edet.training.loop import METRICS
from edet.workdir import Workdir


def test_workers_that_are_not_the_chief_write_nothing(tmp_path, capsys):
    reporter = Reporter(Workdir(str(tmp_path)), 0, total_steps=10, batch_size=4, is_chief=False)
    metrics = {name: np.full(5, 2.0) for name in METRICS}
    reporter.add(5, metrics, np.zeros((5, 4), np.int64), seconds=0.01)
    reporter.log()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_line_has_the_loss_and_the_time_left(tmp_path):
    reporter = Reporter(Workdir(str(tmp_path)), first_step=0, total_steps=10, batch_size=4)
    reporter.console = Console(file=io.StringIO(), width=200)
    metrics = {name: np.full(5, 2.0) for name in METRICS} | {"replaced_images": np.zeros(5)}
    images = np.arange(20).reshape(5, 4)
    for first, last in ((0, 2), (2, 5)):
        part = {name: values[first:last] for name, values in metrics.items()}
        reporter.add(last, part, images[first:last], seconds=0.01)
        assert reporter.console.file.getvalue() == ""
    reporter.log()
    text = reporter.console.file.getvalue()
    assert "step 5/10" in text
    assert "loss 2.0000" in text
    assert "left 0:00:00" in text
    assert "10 boxes did not fit into data.max_boxes" in text
    assert "could not be decoded" not in text
    assert "400.0 images/s" in text
    history = Workdir(str(tmp_path)).history()
    assert [row["step"] for row in history] == [0, 1, 2, 3, 4]
    # This process has imported TensorFlow, and does not hold a whole machine's memory.
    assert all(100 < row["process_mib"] < 100_000 for row in history)
    batches = {row["images_crc32"] for row in history}
    assert len(batches) == 5
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("name", ["scalar", "create_file_writer"])
def test_a_full_disk_under_tensorboard_may_pass(name, tmp_path, monkeypatch):
    """TensorFlow flushes by itself, at any value; its error is that of a device's full memory."""

    def fail(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.summary, name, fail)
    with pytest.raises(StorageError, match="TensorBoard's files: No space left"):
        reporter = Reporter(Workdir(str(tmp_path)), 0, total_steps=10, batch_size=4)
        reporter.evaluation(5, {"AP": 0.5}, str(tmp_path / "none.png"))
