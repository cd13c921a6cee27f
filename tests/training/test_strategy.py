"""Devices that are not there, and batches that cannot be shared, are refused in a sentence."""

import pytest

from edet.config.schema import Config, ConfigError, replace
from edet.errors import UserError
from edet.training.strategy import check_batch_size, make_strategy


def test_auto_on_a_machine_without_accelerators_is_one_device():
    assert make_strategy("auto").num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "sees no GPU"), ("tpu", "found no TPU at 'local'"), ("abacus", "is not one of")],
)
def test_a_missing_device_is_named(name, message):
    with pytest.raises(UserError, match=message):
        make_strategy(name)


@pytest.mark.parametrize(
    ("size", "replicas", "advice"), [(100, 8, "use 96 or 104"), (3, 8, "use 8"), (9, 2, "8 or 10")]
)
def test_a_batch_that_does_not_divide_names_the_nearest_that_do(size, replicas, advice):
    config = replace(Config(), data={"batch_size": size, "eval_batch_size": replicas})
    with pytest.raises(ConfigError, match=advice):
        check_batch_size(config, replicas)


def test_a_batch_that_divides_passes():
    check_batch_size(replace(Config(), data={"batch_size": 64, "eval_batch_size": 8}), 8)
