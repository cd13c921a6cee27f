"""Evaluations while training: what they were measured on decides whether they count."""

import sys
import types

import pytest
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import replace
from edet.records.shards import RecordSet
from edet.training.checkpoints import Checkpoints
from edet.workdir import Workdir
from edet.workflows import validation
from edet.workflows.scoring import Summary, conditions


class Run:
    """A run without a network: the AP of step k is k / 100, of another set's k / 1000."""

    def __init__(self, folder, step, records, monkeypatch, patience=0):
        self.workdir, self.step, self.measured = Workdir(str(folder)), tf.Variable(step), []
        self.saved = []
        self.loaded, self.scale = None, 100 if records == "a" else 1000
        self.checkpoints = Checkpoints(self.workdir, self, keep=3)
        monkeypatch.setattr(
            validation, "load_weights", lambda _, path: setattr(self, "loaded", path)
        )
        reporter = types.SimpleNamespace(is_chief=True, evaluation=lambda *_: None)
        self.evaluate = validation.Validation(
            self, self.workdir, None, self, self.checkpoints, reporter,
            {"records": f"2 with fingerprint {records}"}, goes_on=step > 0, patience=patience,
        )  # fmt: skip

    def by_name(self):
        return {"step": self.step}

    def copy_averages_to(self, _):
        self.loaded = None

    def run(self, check):
        of = int(self.loaded.rpartition("-")[2]) if self.loaded else int(self.step)
        self.measured.append(of)
        return Summary({"AP": of / self.scale}, {}, ("AP", of / self.scale), "page.png", {}, [])

    def save(self, summary, more):
        assert more == {"step": self.measured[-1]}
        self.saved.append(more["step"])

    def train(self, *steps):
        for step in steps:
            self.step.assign(step)
            self.checkpoints.save()
            self.evaluate(step, lambda: None)
        return self.measured

    def aps(self):
        return [(row["step"], row["AP"]) for row in self.workdir.evaluations()]


@pytest.fixture
def start(tmp_path, monkeypatch):
    return lambda step, records, *more: Run(tmp_path, step, records, monkeypatch, *more)


def test_a_run_that_goes_on_with_the_same_records_repeats_nothing(start):
    assert start(0, "a").train(3, 6) == [3, 6]
    again = start(6, "a")
    again.evaluate(6, lambda: None)
    assert (again.measured, again.checkpoints.best()) == ([], {"step": 6, "AP": 0.06})


def test_what_is_written_is_of_the_best_which_every_other_mode_takes(start):
    run = start(0, "a")
    run.train(3, 6, 2)  # the last one is the worst
    assert (run.measured, run.saved) == ([3, 6, 2], [3, 6])


def test_a_best_that_was_not_written_before_a_kill_is_written_afterwards(start, monkeypatch):
    run = start(0, "a")
    run.train(3)
    monkeypatch.setattr(run, "save", lambda summary, more: sys.exit(1))
    with pytest.raises(SystemExit):
        run.train(6)
    again = start(6, "a")
    again.evaluate(6, lambda: None)
    assert (again.measured, again.saved) == ([6], [6])


def test_with_other_records_the_best_and_the_last_step_are_measured_again(start, capsys):
    """And the best of before stays only if it is the best of these, too."""
    first = start(0, "a")
    first.train(6, 3)  # the best is not the last
    again = start(3, "b")
    again.evaluate(3, lambda: None)
    assert again.measured == [6, 3]
    assert again.checkpoints.best() == {"step": 6, "AP": 0.006}
    assert again.aps() == [(3, 0.003)]
    said = " ".join(capsys.readouterr().out.split())
    assert "ckpt-6, the best so far, is measured again: its score is of records 2 with f" in said
    assert again.train(9) == [6, 3, 9]
    assert again.checkpoints.best() == {"step": 9, "AP": 0.009}


@pytest.mark.parametrize("patience", [0, 2])
def test_a_training_is_over_when_so_many_evaluations_are_no_better(start, capsys, patience):
    """Steps 3 and 6 rise to AP 0.06; 7 and 8, with 0.05 and 0.04, are worse."""
    run = start(0, "a", patience)
    over = []
    for step, ap in ((3, 0.03), (6, 0.06), (7, 0.05), (8, 0.04)):
        run.step.assign(step)
        run.checkpoints.save()
        run.scale = step / ap
        over.append(run.evaluate(step, lambda: None))
    assert over == [False, False, False, patience == 2]
    said = " ".join(capsys.readouterr().out.split())
    assert ("the last 2 evaluations were no better than that of step 6" in said) == over[-1]
    again = start(8, "a", patience)  # the same command once more trains no further
    assert again.evaluate(8, lambda: None) == over[-1]
    assert again.measured == []


def test_the_best_of_a_run_whose_checkpoints_were_removed_gives_way(start, capsys):
    start(0, "a").train(6)
    anew = start(0, "a")
    assert anew.train(3) == [3]
    assert anew.checkpoints.best() == {"step": 3, "AP": 0.03}
    assert "of a run whose checkpoints are gone" in " ".join(capsys.readouterr().out.split())


def test_the_settings_that_change_ap_are_among_the_conditions():
    config = load_config("efficientdet-d0")
    records = RecordSet(["x"], [5], "0123456789abcdef" * 4)
    found = conditions(config, records, "float32")
    assert found["records"] == "5 with fingerprint 0123456789abcdef"
    for detect, other in (({"flip": True}, True), ({"draw_threshold": 0.9}, False)):
        changed = conditions(replace(config, detect=detect), records, "float32")
        assert (changed != found) == other
    assert conditions(config, records, "bfloat16") != found
