"""Weights survive the way into another format and back, bit by bit."""

import csv
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from edet.checkpoint_files import read_weights
from edet.cli.common import parsed
from edet.cli.convert_checkpoint import convert, define_flags
from edet.config.loading import save_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.models.efficientdet import build_network
from edet.ownership import owned
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.workdir import Workdir
from tests.small import small_model

CONFIG = replace(Config(), model=vars(small_model(fusion="channel_fast")))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Raw weights are 1 higher than the averages."""
    tmp_path = tmp_path_factory.mktemp("trained")
    network = build_network(CONFIG.model)
    variables = TrainingVariables(network)
    for variable in network.variables:
        variable.assign(variable + 1)
    save_config(CONFIG, tmp_path / "run" / "config.yaml")
    Checkpoints(Workdir(str(tmp_path / "run")), variables, keep=1).save()
    return tmp_path / "run"


def _convert(source, output, *more):
    convert(parsed(define_flags, [f"--source={source}", f"--output={output}", *more]))


def test_a_run_becomes_a_name_based_checkpoint_and_a_run_again(workdir, tmp_path, capsys):
    _convert(workdir, tmp_path / "tf1", "--to=tf1")
    assert "largest difference 0" in capsys.readouterr().out
    reader = tf.train.load_checkpoint(str(tmp_path / "tf1"))
    stem = f"{CONFIG.model.backbone}/stem/conv2d/kernel"
    raw, average = (reader.get_tensor(stem + s) for s in ("", "/ExponentialMovingAverage"))
    np.testing.assert_allclose(raw - average, 1, atol=1e-6)
    assert reader.get_tensor("fpn_cells/cell_0/fnode2/WSM_2").shape == (16,)
    assert reader.get_variable_to_dtype_map()["global_step"] == tf.int64

    save_config(CONFIG, tmp_path / "model.yaml")
    _convert(tmp_path / "tf1", tmp_path / "again", f"--config={tmp_path / 'model.yaml'}")
    for kind in ("average", "raw"):
        first = read_weights(str(workdir / "checkpoints" / "ckpt-0"), kind)
        second = read_weights(str(tmp_path / "again" / "checkpoints" / "ckpt-0"), kind)
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(second[name], value)


def test_the_table_names_every_variable_on_both_sides(workdir, tmp_path):
    _convert(workdir, tmp_path / "tf1", "--to=tf1")
    rows = list(csv.DictReader((tmp_path / "tf1" / "names.csv").open()))
    assert len(rows) == len(build_network(CONFIG.model).variables)
    fused = next(r for r in rows if r["variable"] == "pyramid.cell0.node3.fusion/fusion_weights")
    assert fused["written as"] == "fpn_cells/cell_0/fnode0/WSM fpn_cells/cell_0/fnode0/WSM_1"
    assert fused["shape"] == "2x16"
    assert {r["largest difference"] for r in rows} == {"0.0"}


def test_weights_of_another_network_are_not_half_converted(workdir, tmp_path):
    with pytest.raises(UserError, match="lacks .* of what .* has, such as .*nothing is converted"):
        _convert(workdir, tmp_path / "out", "--set=model.pyramid_repeats=2")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone(workdir, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="exists already"):
        _convert(workdir, tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


def test_two_conversions_do_not_write_one_folder(workdir, tmp_path):
    with (
        owned(f"{tmp_path}/tf1.lock", "tf1", "a conversion", "wait"),
        pytest.raises(UserError, match="tf1 is being written by a conversion already"),
    ):
        _convert(workdir, tmp_path / "tf1", "--to=tf1")


def test_a_failed_conversion_leaves_nothing(workdir, tmp_path):
    other = dataclasses.replace(small_model(), backbone="efficientnet-lite0")
    save_config(replace(Config(), model=vars(other)), tmp_path / "model.yaml")
    with pytest.raises(UserError, match="does not fit"):
        _convert(workdir, tmp_path / "out", f"--config={tmp_path / 'model.yaml'}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.yaml"]
