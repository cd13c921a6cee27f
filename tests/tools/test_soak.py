"""What the soak takes for flat, and that each of its parts counts what was done."""

import contextlib
import os
import pathlib
import types

import numpy as np
import pytest

from edet.cli.common import call, parsed
from edet.errors import UserError
from edet.files import read_json
from edet.workdir import Workdir
from tools.checks import soak


def counting(step: int):
    """Returns what tells how many are done: a step more at each question."""
    numbers = iter(range(step, 10**6, step))
    return lambda: next(numbers)


def test_growth_is_that_of_the_largest_later_tenth_over_the_second():
    assert soak.growth([1, 200, 200, 201, 204, 208, 208, 206, 202, 200]) == pytest.approx(0.04)
    assert soak.growth([300, 200, *[198] * 8]) == pytest.approx(-0.01)


def test_a_tenth_has_the_median_of_its_looks(monkeypatch):
    """Three looks a tenth, one of which meets an evaluation's 900 MiB; the start is not counted."""
    monkeypatch.setattr(soak, "_POLL", 0)
    found = iter([5000, *[100, 900, 200] * 10])
    monkeypatch.setattr(soak, "memory_of", lambda _: next(found))
    done = iter([0, *(100 * tenth + k for tenth in range(10) for k in (1, 50, 99)), 1000])
    assert soak.watch("steps", 1, 1000, lambda: next(done)) == [200] * 10


def test_work_that_is_over_too_soon_or_ends_early_is_an_error(monkeypatch):
    monkeypatch.setattr(soak, "_POLL", 0)
    with pytest.raises(UserError, match="100 steps are over too soon"):
        soak.watch("steps", os.getpid(), 100, counting(30))
    no_process = 2**22 + 1  # higher than any number
    with pytest.raises(UserError, match="only 3 of 10 steps were done"):
        soak.watch("steps", no_process, 10, counting(3))


def test_a_part_that_grows_fails_after_all_are_written(tmp_path, monkeypatch, capsys):
    """Predictions grow by 5 %; the requests after them are watched nevertheless."""
    medians = {"predictions": [100, *[200] * 8, 210], "requests": [50] * 10}
    for part in ("train", "predict", "serve"):
        monkeypatch.setattr(soak, part, lambda *_, **__: contextlib.nullcontext((1, None)))
    monkeypatch.setattr(soak, "watch", lambda what, *_: medians[what])
    arguments = [f"--output={tmp_path}", "--steps=0"]
    assert call(soak.soak, parsed(soak.define_flags, arguments), []) == 2
    assert "memory grows with predictions; see" in capsys.readouterr().err
    found = {what: row["growth"] for what, row in read_json(tmp_path / "soak.json", "").items()}
    assert found == {"predictions": pytest.approx(0.05), "requests": 0}


def test_pictures_have_many_sizes_and_are_those_of_the_seed():
    first, again = (list(zip(range(20), soak.pictures(3), strict=False)) for _ in range(2))
    assert len({pixels.shape for _, pixels in first}) > 15
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))


@pytest.mark.parametrize(("steps", "ends"), [(3, []), (2, ["terminated"])])
def test_a_training_whose_steps_are_done_may_still_evaluate(tmp_path, monkeypatch, steps, ends):
    """It is waited for; one that is left before its third step is ended."""
    told = []
    process = types.SimpleNamespace(pid=1, terminate=lambda: told.append("terminated"))

    def life(command, workdir):
        workdir.mkdir()
        rows = "".join(f"{k}\n" for k in range(steps))
        pathlib.Path(Workdir(str(workdir)).history_file).write_text(f"step\n{rows}")
        return types.SimpleNamespace(process=process, workdir=workdir, finish=lambda: None)

    monkeypatch.setattr(soak.lives, "prepare", lambda *_, **__: ([], None))
    monkeypatch.setattr(soak.lives, "Life", life)
    with soak.train(tmp_path, 3) as (_, done):
        assert done() == steps
    assert told == ends
