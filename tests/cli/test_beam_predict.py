"""The tool: flags to a pipeline, and mistakes in one sentence."""

import sys

import pytest

from edet.cli.beam_predict import define_flags, predict
from edet.cli.common import call, parsed


def tool(*arguments: str) -> int:
    return call(predict, parsed(define_flags, ["--inputs=a", "--output=out/x", *arguments]), [])


def test_without_beam_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert tool("--weights=efficientdet-d0") == 2
    assert capsys.readouterr().err == (
        "Apache Beam is not installed; pip install 'edet[beam]' (docs/large_scale.md).\n"
    )


def test_weights_are_needed_and_settings_are_checked(capsys):
    pytest.importorskip("apache_beam")
    assert tool() == 2
    assert "needs trained weights: give --workdir or --weights." in capsys.readouterr().err
    assert tool("--weights=efficientdet-d0", "--set=data.eval_batch_siz=3") == 2
    assert "did you mean data.eval_batch_size" in capsys.readouterr().err


def test_the_flags_reach_the_pipeline(monkeypatch, capsys):
    pytest.importorskip("apache_beam")
    given = []
    monkeypatch.setattr("edet.inference.beam.add_prediction", lambda *words: given.append(words))
    options = ["--weights=efficientdet-d0", "--inputs=b/*.jpg", "--set=data.eval_batch_size=3"]
    assert tool(*options, "--beam=direct_num_workers=1") == 0
    ((pipeline, load, batch_size, inputs, output),) = given
    assert pipeline.options.get_all_options()["direct_num_workers"] == 1
    assert load.args[0].model.name == "efficientdet-d0"
    assert load.args[1:] == ("efficientdet-d0",)
    assert (batch_size, inputs, output) == (3, ["a", "b/*.jpg"], "out/x")
    assert "detections -> out/x-*.jsonl" in capsys.readouterr().out
