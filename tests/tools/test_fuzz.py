"""A seeded portion of what `make fuzz` does, and what it says of a crash."""

import multiprocessing
import os

import pytest

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
    assert fuzz._listen(ours, worker, figures, 32) == 48
    assert figures.faults == ["webp 32 to 47: the process ended with code 7"]
    assert figures.inputs == 48


def test_what_a_reader_lets_through_is_a_fault(tmp_path, monkeypatch):
    class Answers(list):
        send = list.append

    def broken(inputs):
        raise TypeError("int(None)")

    monkeypatch.setattr(fuzz, "checker", lambda *_: broken)
    answers = Answers()
    fuzz._work(answers, "coco", 1, 4, 5, "")
    assert answers[0] == 1
    assert answers[1][:3] == (0, 0, ["coco 4 to 4: TypeError: int(None)"])
