"""fusion_weights.csv holds the normalised weights, in order over restarts."""

import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import build_network
from edet.models.pyramid import WeightedFusion
from edet.training.fusion_log import FusionLog
from edet.training.log import Reporter
from edet.training.loop import METRICS
from edet.workdir import Workdir
from tests.small import small_model


def cell(fusion, nodes=2):
    """The weighted fusions of a network, without the rest of it."""
    network = tf.Module()
    network.layers = [WeightedFusion(fusion, name=f"pyramid.cell0.node{5 + k}.fusion")
                      for k in range(nodes)]  # fmt: skip
    for layer in network.layers:
        layer.build([(None, 4, 4, 3)] * 2)
    return network


@pytest.fixture
def board(tmp_path):
    return tf.summary.create_file_writer(str(tmp_path / "board"))


def test_a_row_holds_the_weights_as_they_multiply(tmp_path, board):
    network = cell("fast")
    log = FusionLog(network, Workdir(str(tmp_path)), 0)
    network.layers[1].fusion_weights.assign([3.0, 1.0])
    log.add(50, board)
    start, row = Workdir(str(tmp_path)).fusion_weights()
    assert list(row) == ["step"] + [f"cell0.node{n}.input{k}" for n in (5, 6) for k in (0, 1)]
    assert list(start.values()) == pytest.approx([0, 0.5, 0.5, 0.5, 0.5], abs=1e-4)
    assert list(row.values()) == pytest.approx([50, 0.5, 0.5, 0.75, 0.25], abs=1e-4)


@pytest.mark.parametrize("fusion", ["channel_softmax", "pixel_fast"])
def test_weights_of_channels_and_pixels_are_their_mean(fusion, tmp_path, board):
    log = FusionLog(cell(fusion, nodes=1), Workdir(str(tmp_path)), 0)
    log.add(1, board)
    _, row = Workdir(str(tmp_path)).fusion_weights()
    assert list(row.values()) == pytest.approx([1, 0.5, 0.5], abs=1e-4)


def test_rows_after_the_checkpoint_are_written_again(tmp_path, board):
    network = cell("softmax")
    log = FusionLog(network, Workdir(str(tmp_path)), 0)
    for step in (10, 20, 30):
        log.add(step, board)
    network.layers[0].fusion_weights.assign([np.log(3.0), 0.0])
    log = FusionLog(network, Workdir(str(tmp_path)), 20)
    log.add(30, board)
    rows = Workdir(str(tmp_path)).fusion_weights()
    assert [row["step"] for row in rows] == [0, 10, 20, 30]
    assert [row["cell0.node5.input0"] for row in rows] == pytest.approx([0.5, 0.5, 0.75, 0.75])


def test_a_network_that_only_sums_has_no_file(tmp_path, board):
    FusionLog(cell("fast", nodes=0), Workdir(str(tmp_path)), 0).add(10, board)
    assert not (tmp_path / "fusion_weights.csv").exists()


def test_the_reporter_writes_the_nodes_of_a_network_to_csv_and_tensorboard(tmp_path):
    network = build_network(small_model())
    fusion = FusionLog(network, Workdir(str(tmp_path)), 0)
    reporter = Reporter(Workdir(str(tmp_path)), 0, total_steps=10, batch_size=4, fusion=fusion)
    assert not (tmp_path / "fusion_weights.csv").exists()  # a worker that is not chief never adds
    metrics = {name: np.zeros(5) for name in METRICS}
    reporter.add(5, metrics, np.zeros((5, 4), np.int64), seconds=0.01)
    reporter.log()
    assert len(Workdir(str(tmp_path)).fusion_weights()[-1]) == 1 + 2 * 2 + 3 + 2
    events = next((tmp_path / "tensorboard").iterdir())
    tags = [
        v.tag for e in tf.compat.v1.train.summary_iterator(str(events)) for v in e.summary.value
    ]
    assert "fusion/cell0.node5.input2" in tags
