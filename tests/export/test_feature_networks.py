"""Feature networks fold, and the one with a layer of its own is exported."""

import numpy as np
import pytest

from edet.config.schema import Config, replace
from edet.export.exported import load_exported
from edet.export.fold import fold
from edet.export.litert import export_litert
from edet.inference.detector import Detector
from edet.models.layers import BatchNorm
from edet.models.pyramid import WeightedFusion
from tests.export.test_fold import assert_same_outputs, filled
from tests.export.test_litert import assert_same_detections, spread_network
from tests.small import small_model


# of what the BiFPN lacks: nodes with one input, with attention, and with one more round
@pytest.mark.parametrize("network", ["panet", "nas_fpn", "quad_fpn"])
def test_a_folded_feature_network_keeps_its_outputs(network):
    model = filled(small_model(feature_network=network, max_level=7))
    folded = fold(model)
    assert_same_outputs(model, folded, (64, 96))
    assert not [x for x in folded.layers if isinstance(x, BatchNorm | WeightedFusion)]


def test_a_litert_file_with_global_attention_detects_what_the_detector_detects(tmp_path):
    model = small_model(feature_network="nas_fpn", max_level=7)
    config = replace(Config(), model=vars(model), export={"format": "litert"})
    network = spread_network(model)
    picture = np.kron(np.arange(240).reshape(5, 16, 3).astype("uint8"), np.ones((8, 8, 1), "uint8"))
    expected = Detector(network, config)([picture])
    assert expected["num_detections"][0] > 10
    path = export_litert(network, config, str(tmp_path / "nas.tflite"))
    assert_same_detections(load_exported(path)([picture]), expected)
