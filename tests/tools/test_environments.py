"""Environments are made once, completely, and anew where other packages are wanted."""

import sys
import types

import pytest

from edet.errors import UserError
from tools.checks import environments
from tools.checks.environments import make_environment


@pytest.fixture
def commands(monkeypatch):
    """The ends of what was run, of which nothing runs; what holds "broken" fails."""
    told = []

    def run(command):
        told.append(" ".join(command[1:]))
        return types.SimpleNamespace(returncode=int("broken" in command))

    monkeypatch.setattr(environments.subprocess, "run", run)
    return told


def test_an_environment_is_made_once_and_anew_for_other_packages(tmp_path, commands):
    python = str(tmp_path / "bin" / "python")
    assert make_environment(tmp_path, ["a==1", "b==2"], ["c==3"]) == python
    first = [
        f"-m venv --clear {tmp_path}", "-m pip install --quiet a==1 b==2",
        "-m pip install --quiet --no-deps c==3",
    ]  # fmt: skip
    assert commands == first
    assert make_environment(str(tmp_path), ["a==1", "b==2"], ["c==3"]) == python
    assert commands == first
    make_environment(tmp_path, ["a==2"])
    assert commands[3:] == [f"-m venv --clear {tmp_path}", "-m pip install --quiet a==2"]


def test_one_that_could_not_be_made_is_not_taken_for_ready(tmp_path, commands):
    for _ in range(2):
        with pytest.raises(UserError, match=f"cannot make the environment {tmp_path}; pip's"):
            make_environment(tmp_path, ["broken"])
    assert len(commands) == 4


def test_where_nothing_is_wanted_this_python_does(tmp_path, commands):
    assert make_environment(tmp_path / "none", []) == sys.executable
    assert commands == []
