"""What the command line sets before TensorFlow is imported."""

import importlib
import os
import platform
import sys

import pytest

import edet.cli

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize(
    ("arguments", "machine", "before", "after"),
    [
        (["--mode=train", "--config=a.yaml"], "x86_64", None, "1"),
        (["--mode", "train_and_eval"], "AMD64", None, "1"),
        (["--mode=train"], "x86_64", "0", "0"),
        (["--mode=eval"], "x86_64", None, None),
        (["--mode=predict", "train", "train.jpg", "--output=train"], "x86_64", None, None),
        (["--mode=train"], "aarch64", None, None),
        ([], "x86_64", None, None),
    ],
)
def test_onednn_is_on_for_trainings_unless_the_user_says_otherwise(
    monkeypatch, arguments, machine, before, after
):
    monkeypatch.setattr(sys, "argv", ["edet", *arguments])
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv(_ONEDNN, before or "")
    if before is None:
        monkeypatch.delenv(_ONEDNN)
    importlib.reload(edet.cli)
    assert os.environ.get(_ONEDNN) == after
