"""The command line: a mistake is one sentence on stderr and exit code 2, never a traceback."""

import json
import os
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from edet.cli import TOOLS, main
from edet.cli.common import meant_setting
from edet.errors import Interrupted, StorageError
from tests.conftest import REPOSITORY


@pytest.fixture
def edet(capsys):
    """Calls main.py in this process; returns its exit code and what it wrote to stderr."""

    def call(*arguments: str) -> tuple[int, str]:
        with flagsaver.flagsaver():
            flags.FLAGS.unparse_flags()
            rest = flags.FLAGS(["main.py", *arguments])
            code = main.main(rest)
        return code, capsys.readouterr().err

    return call


def test_a_setting_or_anothers_flag_that_is_taken_for_a_flag_is_named():
    said = {name: meant_setting(flags.UnrecognizedFlagError(name)) for name in ("lr", "batch-size")}
    assert said == {
        "lr": "; settings are given as --set train.learning_rate=VALUE",
        "batch-size": "; settings are given as --set data.batch_size=VALUE",
    }
    assert meant_setting(flags.UnrecognizedFlagError("model_dir")) == "; give --workdir"
    assert not meant_setting(flags.UnrecognizedFlagError("no_such_thing"))
    assert not meant_setting(flags.Error("another mistake"))


def test_without_a_mode_it_is_said_which_there_are():
    with flagsaver.flagsaver(mode="eval"):
        flags.FLAGS.unparse_flags()
        with pytest.raises(flags.IllegalFlagValueError, match="what to do: one of train, eval"):
            flags.FLAGS(["main.py"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=inspect"], "name a model with --model"),
        (["--mode=inspect", "--model=efficientdet-d9"], "did you mean 'efficientdet-d"),
        (["--mode=inspect", "--model=efficientdet-d0", "--set=model.num_clases=2"], "num_classes"),
        (["--mode=inspect", "--config=nowhere.yaml"], "cannot read config nowhere.yaml"),
        (["--mode=inspect", "--model=efficientdet-d0", "stray"], "'stray' is not a flag"),
        (
            ["--mode=train", "--set", "train.steps=3", "train.seed=1"],
            "'train.seed=1' is not a flag; give every setting a --set of its own",
        ),
        (["--mode=train", "--model=efficientdet-d0"], "data.train_records is not set"),
        (
            ["--mode=train", "--model=efficientdet-d0", "--set=data.train_records=nowhere-*"],
            "'nowhere-*' matches no file",
        ),
        (["--mode=check_data", "--model=efficientdet-d0"], "data.train_records is not set"),
        (["--mode=eval", "--model=efficientdet-d0"], "give --workdir or --weights"),
        (
            ["--mode=export", "--model=efficientdet-lite0", "--weights=nowhere"],
            "there are no weights at nowhere",
        ),
        (
            ["--mode=export", "--model=efficientdet-lite0", "--workdir=w", "--output=w.tflite"],
            "a SavedModel is a folder; add --set export.format=litert",
        ),
        (["--mode=export", "--weights=runs/mime"], "there are no weights at runs/mime"),
        (["--mode=train", "--model=efficientdet-d0", "--strategy=gpu"], "sees no GPU"),
        (
            ["--mode=train", "--model=efficientdet-d0", "--weights=efficientdet-d0"],
            "use --set train.init=efficientdet-d0",
        ),
        (["--mode=predict", "--data=d"], "--data is for train, eval"),
        (
            ["--mode=train", "--model=efficientdet-d0", "--data=nowhere"],
            "--data=nowhere needs --workdir",
        ),
        (
            ["--mode=train", "--model=efficientdet-d0", "--data=nowhere", "--workdir=w"],
            "nowhere is missing or empty",
        ),
        # Before the records are made, which may take hours.
        (
            ["--mode=train", "--model=efficientdet-d9", "--data=nowhere", "--workdir=w"],
            "did you mean 'efficientdet-d",
        ),
        (
            ["--mode=train", "--data=d", "--strategy=multi_worker"],
            "make them first with",
        ),
        (["--mode=export", "--workdir=w", "--strategy=gpu"], "--strategy is for train, eval"),
        (["--mode=predict", "--workdir=w", "--strategy=multi_worker"], "runs on one machine"),
        (["--mode=eval", "--workdir=w", "--output=o"], "--output is for predict, export, not for"),
        (["--mode=inspect", "--output="], "--output= is empty; is the variable"),
        (["--mode=predict", "--workdir=w", "--output="], "--output= is empty; is the variable"),
        (["--mode=watch", "--weights=x"], "--weights is for eval, inspect, check_data, predict,"),
        (["--mode=benchmark", "--tpu=foo"], "--tpu is for train, eval"),
        (["--mode=export", "--devices=2"], "--devices is for train, eval"),
        (["--mode=train", "--port=80"], "--port is for watch, not for train"),
        (["--mode=watch", "--set=model.fit=stretch"], "--set is for train, eval"),
        (["--mode=eval", "--weights=nowhere.tflite"], "cannot read the model file nowhere.tflite"),
        (
            ["--mode=export", "--model=efficientdet-d0", "--set=export.format=tflite"],
            "export.format is 'tflite'; give saved_model, litert (TensorFlow Lite",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(edet, arguments, message):
    code, error = edet(*arguments)
    assert code == 2
    assert error.startswith("edet: ")
    assert message in error
    assert error.count("\n") == 1


def test_the_help_names_every_tool():
    """absl prints the docstring."""
    assert all(name in main.__doc__ for name in TOOLS)
    assert max(map(len, main.__doc__.splitlines())) <= 100


def test_a_workdir_that_cannot_be_written_is_named(edet, tmp_path):
    (tmp_path / "file").write_text("")
    workdir = tmp_path / "file" / "run"
    code, error = edet(
        "--mode=inspect", "--model=efficientdet-lite0", "--set=model.image_size=64",
        f"--workdir={workdir}",
    )  # fmt: skip
    assert code == 2
    assert str(workdir) in error


@pytest.mark.parametrize(
    ("why", "code"),
    [
        (Interrupted("stopped by SIGTERM after step 7, which is saved."), 143),
        (StorageError("cannot write history.csv: no space left."), 75),
    ],
)
def test_a_training_that_may_go_on_is_one_sentence_and_a_code_of_its_own(
    why, code, edet, monkeypatch
):
    def stopped(*_, **__):
        raise why

    monkeypatch.setattr(main.workflows, "train", stopped)
    found = edet("--mode=train", "--model=efficientdet-d0", "--workdir=nowhere")
    assert found == (code, f"edet: {why}\n")


def test_inspect_prints_a_table_and_writes_json(tmp_path):
    """As a user runs it: a process of its own, from another folder."""
    run = subprocess.run(
        [
            sys.executable, str(REPOSITORY / "main.py"), "--mode=inspect",
            "--model=efficientdet-lite0", "--set=model.image_size=[64,96]", "--workdir=run",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert "multiply-adds" in run.stdout
    found = json.loads((tmp_path / "run" / "inspect.json").read_text())
    assert found["parts"]["total"]["trainable_parameters"] == 3_243_470


def test_a_tilde_behind_an_equals_sign_is_the_home_folder(edet, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, said = edet("--mode=eval", "--workdir=~/none")
    assert (code, f"{tmp_path}/none has no config.yaml" in said) == (2, True), said
