"""A run's folder: what it refuses, and what it takes for a run."""

import json

import pytest

from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.report.page import pictures_of
from edet.workdir import Workdir
from edet.workflows.training import _note_start


def started(tmp_path, **train) -> Workdir:
    workdir = Workdir(tmp_path)
    workdir.prepare(replace(Config(), train=train))
    return workdir


def with_checkpoint(workdir: Workdir, monkeypatch) -> Workdir:
    monkeypatch.setattr(workdir, "checkpoint", lambda prefer="best": "ckpt-3")
    return workdir


def test_a_run_that_has_saved_nothing_may_begin_as_another(tmp_path, monkeypatch):
    """The first command named a wrong backbone, say."""
    workdir = started(tmp_path)
    other = replace(Config(), model={"backbone": "efficientnet-b1"})
    assert workdir.prepare(other) == []
    assert workdir.config().model.backbone == "efficientnet-b1"
    said = "holds another run: model.backbone was efficientnet-b1.*train.init=.* starts from these"
    with pytest.raises(UserError, match=said):
        with_checkpoint(workdir, monkeypatch).prepare(Config())
    assert workdir.config().model.backbone == "efficientnet-b1"


@pytest.mark.parametrize(("old", "new"), [("sgd", "adamw"), ("adamw", "sgd")])
def test_a_run_keeps_its_optimizer(tmp_path, monkeypatch, old, new):
    rate = {"learning_rate": 0.01}
    workdir = with_checkpoint(started(tmp_path, optimizer=old, **rate), monkeypatch)
    with pytest.raises(UserError, match=f"train.optimizer was {old}, now it is {new}"):
        workdir.prepare(replace(Config(), train={"optimizer": new, **rate}))
    assert workdir.config().train.optimizer == old


def test_the_recipe_that_a_run_began_with_is_named_where_a_rate_brought_another(
    tmp_path, monkeypatch
):
    workdir = Workdir(tmp_path)
    workdir.prepare(load_config())
    with pytest.raises(
        UserError, match=r"now it is sgd; .* began with \(--set train.recipe=modern"
    ):
        with_checkpoint(workdir, monkeypatch).prepare(
            load_config(overrides=["train.learning_rate=0.002"])
        )


def test_an_empty_configuration_is_not_the_defaults(tmp_path):
    workdir = started(tmp_path)
    (tmp_path / "config.yaml").write_text("\n")
    with pytest.raises(UserError, match=r"config\.yaml is empty"):
        workdir.config()


def test_damaged_logs_and_thumbnails_end_nothing(tmp_path):
    from edet.runtime.memory import ExpectedMemory

    workdir = started(tmp_path)
    memory = ExpectedMemory(*range(len(ExpectedMemory.__dataclass_fields__)))
    for content in ("", "{}"):
        (tmp_path / "starts.json").write_text(content)
        _note_start(workdir, 5, [], memory)
        (start,) = json.loads((tmp_path / "starts.json").read_text())
        assert start["step"] == 5
        pictures = tmp_path / "report" / "evaluation-pictures.json"
        pictures.parent.mkdir(exist_ok=True)
        pictures.write_text(content)
        assert pictures_of(workdir, "evaluation") is None
