"""The logs of a run stay in order over restarts, whatever a kill or a full disk leaves."""

import pytest

from edet.errors import UserError
from edet.step_log import StepLog, read_steps

COLUMNS = ("step", "total_loss", "class_loss")


def rows(*steps, value="1.5"):
    return [dict.fromkeys(COLUMNS, value) | {"step": step} for step in steps]


def started(path, first_step=0, seconds=0.0):
    log = StepLog(str(path), seconds)
    log.start(first_step, COLUMNS)
    return log


def steps_of(path):
    return [row["step"] for row in read_steps(str(path))]


def test_rows_after_the_checkpoint_are_written_again(tmp_path):
    path = tmp_path / "history.csv"
    started(path).add(rows(0, 1, 2, 3))
    started(path, first_step=2).add(rows(2, 3, 4))
    assert steps_of(path) == [0, 1, 2, 3, 4]
    assert path.read_text().count("step") == 1


@pytest.mark.parametrize("torn", ["2", "2,0.5,", "2,0.5,0.6", "2,0.5,3e-", "2,1,2,1,5\n"])
def test_a_row_cut_off_by_a_kill_or_a_full_disk_is_forgotten(torn, tmp_path):
    path = tmp_path / "history.csv"
    started(path).add(rows(0, 1))
    with path.open("a") as file:
        file.write(torn)
    assert steps_of(path) == [0, 1]
    started(path, first_step=2).add(rows(2))
    assert read_steps(str(path))[2] == {"step": 2, "total_loss": 1.5, "class_loss": 1.5}


def test_a_log_in_a_bucket_is_written_when_asked_and_not_at_every_step():
    """ram:// is a file system of TensorFlow's, as gs:// is."""
    path = "ram://history/history.csv"
    log = started(path, seconds=60)
    log.add(rows(0, 1))
    log.add(rows(2))
    assert read_steps(path) == []
    log.flush()
    assert steps_of(path) == [0, 1, 2]
    log.flush()
    assert len(read_steps(path)) == 3


def test_a_step_has_one_row_whatever_is_made_again(tmp_path):
    path = str(tmp_path / "evaluations.csv")
    evaluations = StepLog(path)
    assert read_steps(path) == []
    for step, ap in ((10, 0.1), (20, 0.2), (20, 0.3), (30, 0.4)):
        evaluations.add([{"step": step, "AP": ap}])
    StepLog(path).add([{"step": 25, "AP": 0.5}])  # the run resumes from step 20
    assert [(row["step"], row["AP"]) for row in read_steps(path)] == [
        (10, 0.1), (20, 0.3), (25, 0.5),
    ]  # fmt: skip


def test_cells_may_be_empty_but_hold_nothing_else_than_numbers(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("step,loss,AP\n1,2.5,\n2,,0.5\n,1,1\n")
    assert read_steps(str(path)) == [{"step": 1, "loss": 2.5}, {"step": 2, "AP": 0.5}]
    path.write_text("step,x\n1,two\n")
    with pytest.raises(UserError, match=r"history\.csv is not a log of a run: .*'two'"):
        read_steps(str(path))
    path.write_text("epoch,loss\n1,2\n")
    assert read_steps(str(path)) == []
