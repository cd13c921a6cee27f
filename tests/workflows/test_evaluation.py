"""What an evaluation says and keeps; its numbers are tests/evaluation's."""

import types

import pytest
import tensorflow as tf

from edet.config.schema import Config
from edet.errors import StorageError, UserError
from edet.workdir import Workdir
from edet.workflows import evaluation
from edet.workflows.scoring import Summary


def test_a_full_disk_takes_the_files_of_an_evaluation_and_not_its_numbers(monkeypatch, tmp_path):
    """They were worked out for hours, and nothing had been printed."""

    def fail(*_):
        raise StorageError("cannot write detections.json: No space left on device")

    said = []
    summary = Summary({"AP": 0.5}, {}, ("AP", 0.5), "", {}, [lambda: said.append("AP 50.0")])
    fake = types.SimpleNamespace(run=lambda: summary, save=fail)
    monkeypatch.setattr(evaluation, "Evaluation", lambda *_, **__: fake)
    monkeypatch.setattr(evaluation, "checked_records", lambda *_: None)
    predictor = types.SimpleNamespace(model=Config().model)
    with pytest.raises(StorageError, match="No space left"):
        evaluation.evaluate_predictor(Config(), str(tmp_path), predictor, "weights")
    assert said == ["AP 50.0"]


def test_a_file_in_the_workdir_of_another_network_is_evaluated_alone(monkeypatch, tmp_path, capsys):
    def load_predictor(config, weights):
        if weights == "m.onnx":
            return types.SimpleNamespace(model=config.model)
        raise UserError("it has no values for 62 parts of the network")

    summary = Summary({"AP": 0.5}, {"images": 3}, ("AP", 0.5), "", {}, [])
    fake = types.SimpleNamespace(run=lambda: summary, save=lambda *_: None)
    replacements = {
        "Evaluation": lambda *_, **__: fake, "load_predictor": load_predictor,
        "checked_records": lambda *_: None, "detect_of": lambda _, config: config.detect,
    }  # fmt: skip
    for name, value in replacements.items():
        monkeypatch.setattr(evaluation, name, value)
    monkeypatch.setattr(evaluation, "is_exported", lambda _: True)
    monkeypatch.setattr(Workdir, "checkpoint", lambda _: "ckpt-3")
    here = tf.distribute.get_strategy()
    found = evaluation.evaluate(Config(), str(tmp_path), here, "m.onnx")
    assert found == {"file": "m.onnx", "images": 3}
    said = " ".join(capsys.readouterr().out.split())
    assert f"m.onnx is evaluated alone, without the network of {tmp_path}: it has no values" in said
