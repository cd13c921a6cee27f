"""What the stories share."""

import functools
import json
import os
import threading
import time
import types

import numpy as np

from edet.config.schema import Config, replace
from edet.export.exported import is_exported
from edet.files import write_json
from edet.ownership import owned
from edet.workflows import common


def test_the_ending_of_an_exported_file_may_be_in_capitals():
    assert is_exported("a/MODEL.TFLITE") and is_exported("b.Onnx") and not is_exported("c.h5")


def test_figures_of_two_that_write_at_once_are_both_kept(tmp_path, monkeypatch):
    models = tmp_path / "models.json"

    def other():
        with owned(f"{models}.lock", "models.json", "another export", "wait"):
            begun.set()
            time.sleep(0.3)
            write_json(models, {"a.onnx": {"bytes": 1}})

    begun = threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    common.keep_figures(str(tmp_path), str(tmp_path / "b.onnx"), {"bytes": 2})
    thread.join()
    assert json.loads(models.read_text()) == {"a.onnx": {"bytes": 1}, "b.onnx": {"bytes": 2}}
    assert os.listdir(tmp_path) == ["models.json"]


def test_figures_that_cannot_be_kept_end_nothing(tmp_path, monkeypatch, capsys):
    models = tmp_path / "models.json"
    keep = functools.partial(common.keep_figures, str(tmp_path), str(tmp_path / "b.onnx"))
    for damage in ("{", "[]", '{"b.onnx": 3}'):
        models.write_text(damage)
        keep({"bytes": 2})
        assert json.loads(models.read_text()) == {"b.onnx": {"bytes": 2}}
    assert capsys.readouterr().out.count("It is written anew.") == 2
    monkeypatch.setattr(common, "_LOCK_TRIES", 1)
    with owned(f"{models}.lock", "models.json", "another export", "wait"):
        keep({"bytes": 4})
    said = capsys.readouterr().out
    assert said.startswith("warning: the figures of") and "written by another export" in said
    assert json.loads(models.read_text()) == {"b.onnx": {"bytes": 2}}


def test_results_depend_on_every_weight_and_on_the_settings_of_model_and_detection(monkeypatch):
    def conditions(weight: float, **sections) -> dict[str, str]:
        network = types.SimpleNamespace(get_weights=lambda: [np.zeros(2), np.array([1, weight])])
        monkeypatch.setattr(common, "load_network", lambda *_: network)
        config = replace(Config(), **{"model": {"num_classes": 2}, **sections})
        return common.load_predictor(config, "no/exported/file").conditions()

    first = conditions(3.0)
    assert conditions(3.0) == conditions(3.0, data={"eval_batch_size": 3}) == first
    assert conditions(3.0 + 1e-6)["weights"] != first["weights"]
    for section in ({"detect": {"flip": True}}, {"model": {"num_classes": 3}}):
        other = conditions(3.0, **section)
        assert other["weights"] == first["weights"]
        assert other["settings"] != first["settings"]
