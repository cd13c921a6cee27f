"""What the stories share."""

import types

import numpy as np

from edet.config.schema import Config, replace
from edet.export.exported import is_exported
from edet.workflows import common


def test_the_ending_of_an_exported_file_may_be_in_capitals():
    assert is_exported("a/MODEL.TFLITE") and is_exported("b.Onnx") and not is_exported("c.h5")


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
