"""The check sees what it is to see; `tests/test_resuming.py` kills real processes."""

import pytest

from edet.errors import UserError
from edet.step_log import StepLog
from edet.training.log import COLUMNS
from tools.checks import kill_check


def write_history(folder, losses, batch=7):
    folder.mkdir(exist_ok=True)
    rows = [
        dict.fromkeys(COLUMNS, 1) | {"step": step, "total_loss": loss, "images_crc32": batch}
        for step, loss in enumerate(losses)
    ]
    StepLog(str(folder / "history.csv")).add(rows)


def write_checkpoint(folder, step, suffixes=(".index", ".data-00000-of-00001")):
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        (folder / "checkpoints" / f"ckpt-{step}{suffix}").write_text("")


def test_another_loss_and_other_images_are_seen(tmp_path):
    write_history(tmp_path / "whole", [4.0, 2.0, 1.0])
    write_history(tmp_path / "same", [4.0, 2.0])
    write_history(tmp_path / "other", [4.0, 2.5], batch=8)
    compare = kill_check._compare
    assert compare(tmp_path / "same", tmp_path / "whole") == (0.0, 0)
    assert compare(tmp_path / "other", tmp_path / "whole") == (0.25, 2)


def test_a_write_that_was_broken_off_is_seen_by_what_it_left(tmp_path):
    write_checkpoint(tmp_path, 2)
    assert kill_check._broken_writes(tmp_path) == set()
    write_checkpoint(tmp_path, 4, suffixes=[".data-00000-of-00001"])
    (tmp_path / "best" / "ckpt-4_temp").mkdir(parents=True)
    assert kill_check._broken_writes(tmp_path) == {
        f"{tmp_path}/checkpoints/ckpt-4.data-00000-of-00001", f"{tmp_path}/best/ckpt-4_temp",
    }  # fmt: skip


def test_an_evaluation_lasts_from_its_checkpoint_to_its_row(tmp_path):
    def is_evaluating():
        return kill_check._is_evaluating(tmp_path, every=4)

    write_history(tmp_path, [3.0] * 4)
    assert not is_evaluating()
    write_checkpoint(tmp_path, 4)
    assert is_evaluating()
    StepLog(str(tmp_path / "evaluations.csv")).add([{"step": 4, "AP": 0.5}])
    assert not is_evaluating()


def test_a_run_that_says_it_is_saved_must_have_every_step(tmp_path):
    write_history(tmp_path, [3.0] * 4)
    write_checkpoint(tmp_path, 4)
    for said in ("after step 4, which is saved", "; step 4 is saved", "stopped before any step"):
        kill_check._check_saved(said, tmp_path)
    write_history(tmp_path, [3.0] * 5)
    for step in (4, 5):
        with pytest.raises(UserError, match=f"says 'step {step} is saved', but its last checkpoi"):
            kill_check._check_saved(f"step {step} is saved", tmp_path)
