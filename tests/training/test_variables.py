"""A run's variables: few for a step, and one for each name in a checkpoint."""

import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import freeze
from edet.training.variables import TrainingVariables
from tests.training.small import (
    make_batch,
    modern,
    seeded_network,
    small_config,
    small_step,
    unpacked,
)


@pytest.fixture(params=["all learnt", pytest.param("backbone frozen", marks=pytest.mark.thorough)])
def trained(request):
    """A network after a step of AdamW, which keeps two numbers of each weight."""
    config = modern(small_config())
    network = seeded_network(config)
    if request.param == "backbone frozen":
        freeze(network, ["backbone"])
    variables = TrainingVariables(network, "adamw")
    state, _ = small_step(network, config)(variables.read(), make_batch(0))
    variables.assign(state)
    return network, variables


def test_vectors_of_a_kind_are_one_variable(trained):
    network, variables = trained
    learnt = [len(v.shape) == 1 for v in network.trainable_variables]
    collected = [len(v.shape) == 1 for v in network.non_trainable_variables]
    for group, kinds in (
        (variables.velocities, [learnt]), (variables.squares, [learnt]),
        (variables.averages, [learnt, collected]),
    ):  # fmt: skip
        assert sum(len(v.shape) == 1 for v in group) == len(kinds)
        assert len(group) == sum(1 + kind.count(False) for kind in kinds)


def test_every_variable_has_its_values_under_its_name(trained):
    network, variables = trained
    state, named = unpacked(variables.read()), variables.by_name()
    weights = [*network.trainable_variables, *network.non_trainable_variables]
    for name, values, own in (
        ("average", state.averages, weights),
        ("velocity", state.velocities, network.trainable_variables),
        ("square", state.squares, network.trainable_variables),
    ):
        assert list(named[name]) == [v.path for v in own]
        for variable, value in zip(own, values, strict=True):
            found = named[name][variable.path]
            assert tuple(found.shape) == tuple(variable.shape)
            np.testing.assert_array_equal(found, value, err_msg=variable.path)
    assert any(np.any(value != 0) for value in state.velocities)


def test_names_follow_the_run_and_the_run_takes_what_is_read_into_them(trained):
    _, variables = trained
    named = variables.by_name()
    for variable in variables.averages:
        variable.assign(tf.fill(variable.shape, 2.0))
    assert variables.by_name()["average"].keys() == named["average"].keys()
    for variable in named["average"].values():
        np.testing.assert_array_equal(variable, np.full(variable.shape, 2.0))
        variable.assign(tf.fill(variable.shape, 3.0))
    variables.take_named()
    for value in variables.read().averages:
        np.testing.assert_array_equal(value, np.full(value.shape, 3.0))


def test_averages_go_into_another_network_and_start_anew_from_the_weights(trained):
    network, variables = trained
    other = seeded_network(modern(small_config()))  # nothing of it is frozen
    variables.copy_averages_to(other)
    averages = variables.by_name()["average"]
    for variable in other.variables:
        np.testing.assert_array_equal(variable, averages[variable.path], err_msg=variable.path)
    variables.restart_averages()
    averages = variables.by_name()["average"]
    for variable in network.variables:
        np.testing.assert_array_equal(variable, averages[variable.path], err_msg=variable.path)
