"""A seeded portion of what `make fuzz` does, and what it says of a crash."""

import io
import multiprocessing
import os

import pytest

from edet.cli.common import parsed
from tools.checks import fuzz
from tools.checks.damage import PICTURES, TEXTS, damaged


@pytest.mark.parametrize("kind", [*PICTURES, *TEXTS])
def test_damaged_input_is_read_or_refused(kind, tmp_path):
    check = fuzz.checker(kind, str(tmp_path))
    read = check([damaged(kind, 1, number) for number in range(60)])
    assert len(read) == 60 and 0 < sum(read) < 60


def test_a_seed_and_a_number_make_the_input_again():
    for kind in (*PICTURES, *TEXTS):
        assert damaged(kind, 1, 5) == damaged(kind, 1, 5)
        assert len({damaged(kind, seed, number) for seed in (1, 2) for number in range(5)}) > 5


def test_the_end_of_a_process_is_told_with_its_inputs():
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    worker = spawn.Process(target=os._exit, args=(7,))
    worker.start()
    theirs.send(16)
    theirs.close()
    figures = fuzz.Figures("webp", inputs=32)
    fuzz._listen(ours, worker, figures, io.StringIO("free(): invalid\npointer"), lambda: None)
    (fault,) = figures.faults
    assert fault == "webp 32 to 47: the process ended with code 7 (free(): invalid pointer)"
    assert figures.inputs == 48


def test_the_same_command_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """A stopped run has 7 of 12 inputs of one kind; another seed begins with none."""
    path = tmp_path / "fuzz.json"
    progress = fuzz.Progress(str(path), 3)
    progress.of("coco").inputs = 7
    progress.save(is_over=True)
    begun = []

    def watch(figures, count, seed, *_):
        begun.append((figures.kind, figures.inputs, count, seed))

    monkeypatch.setattr(fuzz, "watch", watch)
    for seed in (3, 4):
        options = [f"--seed={seed}", "--pictures=0", "--texts=12", f"--output={path}"]
        fuzz.fuzz(parsed(fuzz.define_flags, options))
    assert begun[:2] == [("records", 0, 12, 3), ("coco", 7, 12, 3)]
    assert begun[5] == ("coco", 0, 12, 4)


def test_what_a_reader_lets_through_is_a_fault(tmp_path, monkeypatch):
    class Answers(list):
        send = list.append

    def broken(inputs):
        raise TypeError("int(None)")

    monkeypatch.setattr(fuzz, "checker", lambda *_: broken)
    monkeypatch.setattr(os, "dup2", lambda *_: None)  # of the test's own process
    answers = Answers()
    (tmp_path / "words").touch()
    fuzz._work(answers, str(tmp_path / "words"), "coco", 1, 4, 5, "")
    assert answers[0] == 1
    assert answers[1][:3] == (0, 0, ["coco 4 to 4: TypeError: int(None)"])
