"""history.csv stays in order over restarts, and the lines tell the time left."""

import io

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from edet.errors import StorageError
from edet.training.log import COLUMNS, Evaluations, History, Reporter, read_history
from edet.training.loop import METRICS


def rows(*steps):
    return [dict.fromkeys(COLUMNS, 1.5) | {"step": step} for step in steps]


def steps_of(path):
    return [int(row["step"]) for row in read_history(str(path))]


def test_rows_after_the_checkpoint_are_written_again(tmp_path):
    path = tmp_path / "history.csv"
    History(str(path), first_step=0).add(rows(0, 1, 2, 3))
    History(str(path), first_step=2).add(rows(2, 3, 4))
    assert steps_of(path) == [0, 1, 2, 3, 4]


def test_a_row_cut_off_by_a_kill_is_forgotten(tmp_path):
    path = tmp_path / "history.csv"
    History(str(path), first_step=0).add(rows(0, 1))
    with path.open("a") as file:
        file.write("2,0.5")
    assert steps_of(path) == [0, 1]
    History(str(path), first_step=2).add(rows(2))
    assert steps_of(path) == [0, 1, 2]
    assert read_history(str(path))[2]["total_loss"] == "1.5"


def test_a_history_in_a_bucket_is_written_before_a_checkpoint_and_not_at_every_step():
    """ram:// is a file system of TensorFlow's, as gs:// is."""
    path = "ram://history/history.csv"
    history = History(path, first_step=0)
    history.add(rows(0, 1))
    history.add(rows(2))
    assert read_history(path) == []
    history.flush()
    assert [row["step"] for row in read_history(path)] == ["0", "1", "2"]
    history.flush()
    assert len(read_history(path)) == 3


def test_workers_that_are_not_the_chief_write_nothing(tmp_path, capsys):
    reporter = Reporter(str(tmp_path), 0, total_steps=10, batch_size=4, is_chief=False)
    metrics = {name: np.full(5, 2.0) for name in METRICS}
    reporter.add(5, metrics, np.zeros((5, 4), np.int64), seconds=0.01)
    reporter.tell()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_line_has_the_loss_and_the_time_left(tmp_path):
    reporter = Reporter(str(tmp_path), first_step=0, total_steps=10, batch_size=4)
    reporter.console = Console(file=io.StringIO(), width=200)
    metrics = {name: np.full(5, 2.0) for name in METRICS} | {"replaced_images": np.zeros(5)}
    images = np.arange(20).reshape(5, 4)
    for first, last in ((0, 2), (2, 5)):
        part = {name: values[first:last] for name, values in metrics.items()}
        reporter.add(last, part, images[first:last], seconds=0.01)
        assert reporter.console.file.getvalue() == ""
    reporter.tell()
    text = reporter.console.file.getvalue()
    assert "step 5/10" in text
    assert "loss 2.0000" in text
    assert "left 0:00:00" in text
    assert "10 boxes did not fit into data.max_boxes" in text
    assert "could not be decoded" not in text
    assert "400.0 images/s" in text
    assert steps_of(tmp_path / "history.csv") == [0, 1, 2, 3, 4]
    batches = {row["images_crc32"] for row in read_history(str(tmp_path / "history.csv"))}
    assert len(batches) == 5
    assert list((tmp_path / "tensorboard").iterdir())


def test_every_evaluation_has_one_row_whatever_is_made_again(tmp_path):
    path = str(tmp_path / "evaluations.csv")
    evaluations = Evaluations(path, last_step=0)
    for step, ap in ((10, 0.1), (20, 0.2), (20, 0.3), (30, 0.4)):
        evaluations.add(step, {"AP": ap})
    again = Evaluations(path, last_step=20)  # the run goes on from step 20
    assert [step in again for step in (10, 20, 30)] == [True, True, False]
    again.add(25, {"AP": 0.5})
    assert [(r["step"], r["AP"]) for r in read_history(path)] == [
        ("10", "0.100000"), ("20", "0.300000"), ("25", "0.500000"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["scalar", "create_file_writer"])
def test_a_full_disk_under_tensorboard_may_pass(name, tmp_path, monkeypatch):
    """TensorFlow flushes by itself, at any value; its error is that of a device's full memory."""

    def fail(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.summary, name, fail)
    with pytest.raises(StorageError, match="TensorBoard's files: No space left"):
        reporter = Reporter(str(tmp_path), 0, total_steps=10, batch_size=4)
        reporter.evaluation(5, {"AP": 0.5}, str(tmp_path / "none.png"))
