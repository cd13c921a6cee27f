"""A training's end is judged, and its settings exist; `tests/test_resuming.py` has real ones."""

import contextlib
import types

import pytest

from edet.config.loading import load_config
from edet.errors import UserError
from tools.checks.lives import Life, prepare


@pytest.mark.parametrize(
    ("code", "said", "is_right"),
    [
        (130, "edet: stopped by Ctrl-C.", True),
        (1, "edet: stopped by Ctrl-C.", False),
        (130, "", False),
        (130, "edet: stopped by Ctrl-C. Traceback", False),
    ],
)
def test_an_end_must_have_its_code_and_sentence_and_no_traceback(tmp_path, code, said, is_right):
    process = types.SimpleNamespace(returncode=code)
    log = tmp_path / "run.log"
    log.write_text(said)
    life = types.SimpleNamespace(process=process, log=log, lasts_until=lambda *_, **__: False)
    with contextlib.nullcontext() if is_right else pytest.raises(UserError, match="run.log"):
        assert Life.finish(life, 130, "stopped by Ctrl-C") == said


def test_the_settings_of_its_runs_exist(tmp_path):
    command, every = prepare(tmp_path, 40, ["train.keep=3"])
    assert every == 8
    load_config("efficientdet-lite0", overrides=[a[6:] for a in command if a.startswith("--set=")])
    assert len(list((tmp_path / "records").glob("*.tfrecord"))) == 2
