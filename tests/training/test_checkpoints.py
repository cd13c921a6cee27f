"""Checkpoints hold everything, go on exactly, and say what is wrong with them."""

import numpy as np
import pytest

from edet.errors import UserError
from edet.training.checkpoints import Checkpoints
from edet.training.step import TrainingStep
from edet.training.variables import TrainingVariables
from edet.weights.own import find_checkpoint, read_weights
from tests.training.small import make_batch, seeded_network, small_config, small_recipe


class Run:
    """A training whose steps are called one by one."""

    def __init__(self, folder, config=None):
        config = config or small_config()
        self.network = seeded_network(config)
        self.variables = TrainingVariables(self.network)
        self.step = TrainingStep(self.network, config, small_recipe(config))
        self.checkpoints = Checkpoints(str(folder), self.variables, keep=2)

    def advance(self, steps):
        for seed in steps:
            state, _ = self.step(self.variables.read(), make_batch(seed))
            self.variables.assign(state)

    def values(self):
        by_name = self.variables.by_name()
        return {
            f"{group}/{path}": variable.numpy()
            for group in ("raw", "average", "velocity")
            for path, variable in by_name[group].items()
        }


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, first = Run(tmp_path / "whole"), Run(tmp_path / "run")
    whole.advance([0, 1, 2])
    first.advance([0, 1])
    first.checkpoints.save()
    second = Run(tmp_path / "run")
    assert second.checkpoints.restore_last()
    assert int(second.variables.step) == 2
    second.advance([2])
    found = second.values()
    for name, value in whole.values().items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_an_empty_workdir_has_nothing_to_restore(tmp_path):
    assert not Run(tmp_path).checkpoints.restore_last()
    assert find_checkpoint(str(tmp_path)) is None


def test_only_the_last_ones_are_kept_and_the_best_is_beside_them(tmp_path):
    run = Run(tmp_path)
    for step, ap in ((1, 0.2), (2, 0.5), (3, 0.3)):
        run.variables.step.assign(step)
        run.checkpoints.save()
        assert run.checkpoints.save_if_best(ap) == (ap != 0.3)
    assert run.checkpoints.best() == {"step": 2, "AP": 0.5}
    assert find_checkpoint(str(tmp_path)).endswith("best/ckpt-2")
    assert find_checkpoint(str(tmp_path), prefer="last").endswith("checkpoints/ckpt-3")
    assert len(list((tmp_path / "checkpoints").glob("*.index"))) == 2


def test_weights_are_read_by_the_names_of_the_variables(tmp_path):
    run = Run(tmp_path)
    run.advance([0])
    path = run.checkpoints.save()
    for kind in ("raw", "average"):
        weights = read_weights(path, kind)
        assert set(weights) == {v.path for v in run.network.variables}
        expected = run.variables.by_name()[kind]["class_head.predict/bias"]
        np.testing.assert_array_equal(weights["class_head.predict/bias"], expected)


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path):
    Run(tmp_path).checkpoints.save()
    other = small_config(model={"pyramid_width": 24})
    with pytest.raises(UserError, match="ckpt-0"):
        Run(tmp_path, other).checkpoints.restore_last()


def test_a_truncated_checkpoint_is_named(tmp_path):
    run = Run(tmp_path)
    run.checkpoints.save()
    data = next((tmp_path / "checkpoints").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match="ckpt-0"):
        Run(tmp_path).checkpoints.restore_last()
