"""history.csv stays in order over restarts, and the lines tell the time left."""

import io

import numpy as np
from rich.console import Console

from edet.training.hooks import COLUMNS, History, Reporter, append_evaluation, read_history
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


def test_a_line_has_the_loss_and_the_time_left(tmp_path):
    reporter = Reporter(str(tmp_path), first_step=0, total_steps=10, batch_size=4)
    reporter.console = Console(file=io.StringIO(), width=200)
    reporter.start_interval()
    metrics = {name: np.full(5, 2.0) for name in METRICS} | {"replaced_images": np.zeros(5)}
    reporter.end_interval(5, metrics)
    text = reporter.console.file.getvalue()
    assert "step 5/10" in text
    assert "loss 2.0000" in text
    assert "left 0:00:00" in text
    assert "10 boxes did not fit into data.max_boxes" in text
    assert "could not be decoded" not in text
    assert steps_of(tmp_path / "history.csv") == [0, 1, 2, 3, 4]
    assert list((tmp_path / "tensorboard").iterdir())


def test_an_evaluation_made_again_replaces_its_row(tmp_path):
    path = str(tmp_path / "evaluations.csv")
    for step, ap in ((10, 0.1), (20, 0.2), (20, 0.3)):
        append_evaluation(path, step, {"AP": ap})
    assert [(r["step"], r["AP"]) for r in read_history(path)] == [
        ("10", "0.100000"), ("20", "0.300000"),
    ]  # fmt: skip
