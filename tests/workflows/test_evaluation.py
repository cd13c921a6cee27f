"""What an evaluation says and keeps; its numbers are tests/evaluation's."""

import types

import pytest

from edet.config.schema import Config
from edet.errors import StorageError
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
