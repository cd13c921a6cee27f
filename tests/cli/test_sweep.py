"""A sweep trains every point with every seed once, and says what came out."""

import json
import pathlib
import subprocess

import pytest
from matplotlib.axes import Axes

from edet.cli.common import call, parsed
from edet.cli.sweep import define_flags, read_sweep, sweep
from edet.config.loading import load_config
from edet.errors import UserError
from edet.workdir import Workdir
from edet.workflows.configuration import run_config
from tests.conftest import REPOSITORY

SWEEPS = sorted((REPOSITORY / "configs").rglob("*.sweep.yaml"))
PLAN = """
title: Rates
config: base.yaml
set: [train.steps=5]
seeds: [0, 1]
points:
  - {name: low, set: [train.learning_rate=0.1]}
  - {name: high, config: other.yaml}
"""


class Trainings:
    """In place of main.py: a training of two evaluations, the last with AP 0.2 + 0.1 * seed."""

    def __init__(self, head: str = "step,AP,AP50"):
        self.commands, self.failing, self.head = [], None, head

    def run(self, command, **_):
        self.commands.append(command)
        workdir = pathlib.Path(command[5].removeprefix("--workdir="))
        if workdir.parent.name == self.failing:
            return subprocess.CompletedProcess(command, 2, "reading\nno records match x-*.\n")
        settings = [flag.removeprefix("--set=") for flag in command if flag.startswith("--set=")]
        config = run_config("", None, command[4].removeprefix("--config="), settings)
        Workdir(str(workdir)).prepare(config)
        seed = int(workdir.name.removeprefix("seed"))
        rows = [self.head, "3,0.9,0.9", f"5,{0.2 + 0.1 * seed},0.5"]
        (workdir / "evaluations.csv").write_text("\n".join(rows) + "\n")
        mode = command[3].removeprefix("--mode=")
        (workdir / f"{mode}.json").write_text("{}")  # as main.py names it
        return subprocess.CompletedProcess(command, 0, "")


@pytest.fixture
def trainings(monkeypatch):
    trainings = Trainings()
    monkeypatch.setattr("edet.cli.sweep.run_process", trainings.run)
    return trainings


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("base.yaml", "other.yaml"):
        (tmp_path / name).write_text("train: {init: efficientdet-d0-advprop}\n")
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return parsed(define_flags, [f"--sweep={path}", f"--output={tmp_path / 'out'}"])


def test_points_that_find_no_boxes_are_compared_by_their_pixels(options, tmp_path, monkeypatch):
    """And a title or name with dollars is no formula, at which the drawing would end."""
    trainings = Trainings(head="step,mIOU,pixel_accuracy")
    monkeypatch.setattr("edet.cli.sweep.run_process", trainings.run)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("Rates", "rates for $5_$").replace("name: low", "name: $_$"))
    sweep(options)
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert found["$_$"]["mIOU"]["mean"] == pytest.approx(0.25)
    assert (tmp_path / "out" / "sweep.png").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("augment.hoe=0.1", "augment.hoe"),
        ("'model.heads=[segmentation]'", "some points find boxes and others only pixels"),
    ],
)
def test_a_mistake_in_the_last_point_is_found_before_the_first_is_trained(
    trainings, options, tmp_path, setting, message
):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.replace("config: other.yaml", f"set: [{setting}]"))
    with pytest.raises(UserError, match=message):
        sweep(options)
    assert trainings.commands == []


def test_long_names_that_begin_alike_have_places_of_their_own(options, tmp_path, trainings):
    """Cut to the same 29 letters, they would be one place on the axis."""
    path = tmp_path / "plan.yaml"
    one = "assignment by overlap and focal loss"
    path.write_text(
        PLAN.replace("name: low", f"name: {one} A").replace("name: high", f"name: {one} B")
    )
    figures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edet.cli.sweep.save_figure", lambda figure, *_, **__: figures.append(figure))
        sweep(options)
    (axes,) = figures[0].axes
    assert list(axes.get_xticks()) == [0, 1]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_point_of_a_committed_sweep_is_a_configuration(path):
    assert str(path.relative_to(REPOSITORY)) in path.read_text()  # the command that runs it
    plan = read_sweep(str(path))
    for point in plan.points:
        config = str(REPOSITORY / (point.config or plan.config))
        load_config(path=config, overrides=[*plan.set, *point.set])


def test_a_point_is_trained_with_its_settings_and_every_seed(trainings, options, tmp_path):
    sweep(options)
    out = tmp_path / "out"
    settings = [command[4:] for command in trainings.commands]
    assert settings[0] == [
        "--config=base.yaml", f"--workdir={out}/low/seed0", "--strategy=auto", "--tpu=",
        "--set=train.steps=5", "--set=train.learning_rate=0.1", "--set=train.seed=0",
    ]  # fmt: skip
    assert settings[3] == [
        "--config=other.yaml", f"--workdir={out}/high/seed1", "--strategy=auto", "--tpu=",
        "--set=train.steps=5", "--set=train.seed=1",
    ]  # fmt: skip
    assert len(settings) == 4


def test_the_last_evaluations_are_averaged_over_the_seeds(trainings, options, tmp_path):
    sweep(options)
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert list(found) == ["low", "high"]
    assert found["low"]["AP"]["mean"] == pytest.approx(0.25)
    assert found["low"]["AP"]["deviation"] == pytest.approx(0.1 / 2**0.5)
    assert found["low"]["AP50"] == {"mean": 0.5, "deviation": 0.0}
    assert (tmp_path / "out" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_given_again_trains_nothing_even_where_released_weights_bring_settings(
    trainings, options, tmp_path
):
    sweep(options)
    saved = load_config(path=tmp_path / "out" / "low" / "seed0" / "config.yaml")
    assert saved.model.padding == -1.0  # brought by train.init
    first = (tmp_path / "out" / "sweep.json").read_text()
    sweep(options)
    assert len(trainings.commands) == 4
    assert (tmp_path / "out" / "sweep.json").read_text() == first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train.steps=5", "train.steps=6", r"out/low/seed0 was trained with train\.steps=5, but"),
        ("rate=0.1", "rate=0.2", r"train\.learning_rate=0\.1, but the sweep has 0\.2 now; delete"),
        ("other.yaml", "third.yaml", r"high/seed0 was trained with data\.max_boxes=100, but"),
    ],
)
def test_a_finished_training_of_another_sweep_is_refused_before_anything_is_trained(
    old, new, message, trainings, options, tmp_path
):
    (tmp_path / "third.yaml").write_text(
        "{train: {init: efficientdet-d0-advprop}, data: {max_boxes: 7}}"
    )
    sweep(options)
    plan = PLAN.replace(old, new).replace("points:", "points:\n  - {name: new}")
    (tmp_path / "plan.yaml").write_text(plan)
    with pytest.raises(UserError, match=message):
        sweep(options)
    assert len(trainings.commands) == 4


def test_a_stopped_training_of_another_sweep_is_refused_as_a_finished_one(
    trainings, options, tmp_path
):
    sweep(options)
    (stopped,) = tmp_path.glob("**/low/seed0")
    (stopped / "train_and_eval.json").unlink()
    (tmp_path / "plan.yaml").write_text(PLAN.replace("rate=0.1", "rate=0.2"))
    with pytest.raises(UserError, match="was trained with"):
        sweep(options)
    assert len(trainings.commands) == 4


def test_points_of_two_lines_may_share_their_names(trainings, options, tmp_path, monkeypatch):
    drawn, draw = [], Axes.errorbar
    monkeypatch.setattr(Axes, "errorbar", lambda *a, **k: drawn.append((a[1], k)) or draw(*a, **k))
    points = "[{name: short, line: A}, {name: long, line: A}, {name: short, line: B}]"
    path = tmp_path / "plan.yaml"
    path.write_text(f"{{title: t, config: base.yaml, seeds: [0, 2], points: {points}}}")
    out = tmp_path / "out"
    sweep(parsed(define_flags, [f"--sweep={path}", f"--output={out}"]))
    assert [command[5] for command in trainings.commands[::2]] == [
        f"--workdir={out}/{point}/seed0" for point in ("A/short", "A/long", "B/short")
    ]
    assert list(json.loads((out / "sweep.json").read_text())) == ["A short", "A long", "B short"]
    assert [(names, how["label"], how["color"]) for names, how in drawn] == [
        ([0, 1], "A AP", "C0"),
        ([0, 1], "A AP50", "C0"),
        ([0], "B AP", "C1"),
        ([0], "B AP50", "C1"),
    ]


def test_finished_trainings_are_taken_as_they_are_after_a_failure(trainings, options, capsys):
    trainings.failing = "high"
    assert call(sweep, options, []) == 2
    assert "high with seed 0 ended with exit code 2: no records match x-*." in (
        capsys.readouterr().err
    )
    trainings.failing, done = None, len(trainings.commands)
    assert call(sweep, options, []) == 0
    assert [command[5].split("/")[-2:] for command in trainings.commands[done:]] == [
        ["high", "seed0"],
        ["high", "seed1"],
    ]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("title: [", "is not YAML"),
        ("{title: a, config: b, title: c, points: []}", "has the key 'title' twice"),
        ("[]", r"\[\] should be fields among title, config, points"),
        ("{title: a, config: b}", "points is missing or unknown"),
        ("{title: a, config: b, points: [], sed: 1}", "sed is missing or unknown"),
        ("{title: a, config: b, points: []}", "points need names"),
        ("{title: a, config: b, points: [{name: x}, {name: x}]}", "points need names"),
        ("{title: a, config: b, points: [{name: x/y}]}", "points need names"),
        ("{title: a, config: b, points: [{name: x, line: y/z}]}", "points need names"),
        ("{title: a, config: b, points: [{name: y, line: x}, {name: x y}]}", "points need names"),
        ("{title: a, config: b, points: [3]}", "3 should be fields among name, config, line, set"),
        ("{title: a, config: b, points: {name: x}}", "it must be a list"),
        ("{title: a, config: b, points: [{name: ..}]}", "points need names"),
        ("{title: a, config: b, points: [{name: x}], seeds: []}", "each once"),
        ("{title: a, config: b, points: [{name: x}], seeds: [0, 0]}", "each once"),
        ("{title: a, config: b, points: [{name: x}], seeds: [a]}", "whole numbers"),
        ("{title: a, config: b, points: [{name: x}], set: [5]}", "5 is no setting"),
    ],
)
def test_a_plan_that_cannot_be_is_named_with_its_file(plan, message, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(plan)
    with pytest.raises(UserError, match=message) as raised:
        read_sweep(str(path))
    assert str(path) in str(raised.value)
