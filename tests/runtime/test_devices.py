"""Devices that are not there, and batches that cannot be shared, are refused in a sentence."""

import json

import pytest

from edet.config.schema import Config, ConfigError, replace
from edet.errors import UserError
from edet.runtime.devices import check_batch_size, is_tpu, make_strategy


def test_auto_on_a_machine_without_accelerators_is_one_device():
    strategy = make_strategy("auto")
    assert strategy.num_replicas_in_sync == 1
    assert not is_tpu(strategy)


@pytest.mark.parametrize(
    ("name", "message"),
    [("gpu", "sees no GPU"), ("tpu", "found no TPU at 'local'"), ("abacus", "is not one of")],
)
def test_a_missing_device_is_named(name, message):
    with pytest.raises(UserError, match=message):
        make_strategy(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "cpu", "devices": 4}, "--devices=4 is for --strategy=mirrored, but this is cpu"),
        ({"name": "auto", "zone": "europe-west4-a"}, "for --strategy=tpu, but this is cpu"),
        ({"name": "cpu", "tpu": "node-1"}, "for --strategy=tpu, but this is cpu"),
    ],
)
def test_a_setting_of_another_strategy_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make_strategy(**settings)


def test_a_tensorflow_without_tpus_is_told_in_words():
    with pytest.raises(UserError, match=r"at 'local' \(the installed TensorFlow knows none\);"):
        make_strategy("tpu")


def test_what_was_tried_for_a_tpu_is_told():
    with pytest.raises(UserError) as caught:
        make_strategy("tpu", tpu="node-1", zone="europe-west4-a", project="pictures")
    sentence = str(caught.value)
    assert "no TPU at 'node-1', zone europe-west4-a, project pictures (" in sentence
    assert "grpc://host:8470" in sentence


GOOD = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "is not set; set it on every host"),
        ("{'cluster'", "is not JSON"),
        ("[]", "lacks cluster.worker"),
        ({"cluster": {"worker": ["a:1"]}}, r"lacks .*'task'"),
        (GOOD | {"cluster": {"worker": "a:1"}}, "names the workers 'a:1'"),
        (GOOD | {"cluster": {"worker": []}}, r"names the workers \[\]"),
        (GOOD | {"cluster": {"worker": ["a"]}}, r"not a list of host:port"),
        (GOOD | {"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}, r"another type than worker \(ps"),
        (GOOD | {"task": {"type": "chief", "index": 0}}, r"another type than worker \(chief"),
        (GOOD | {"task": {"type": "worker", "index": 2}}, "index 2, but there are 2 workers"),
        (GOOD | {"task": {"type": "worker", "index": "0"}}, "index '0', but"),
    ],
)
def test_a_broken_tf_config_is_refused_before_anybody_waits(monkeypatch, config, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message):
        make_strategy("multi_worker")


@pytest.mark.parametrize(
    ("size", "replicas", "advice"), [(100, 8, "use 96 or 104"), (3, 8, "use 8"), (9, 2, "8 or 10")]
)
def test_a_batch_that_does_not_divide_names_the_nearest_that_do(size, replicas, advice):
    config = replace(Config(), data={"batch_size": size, "eval_batch_size": replicas})
    with pytest.raises(ConfigError, match=advice):
        check_batch_size(config, replicas)


def test_micro_batches_must_share_a_replicas_batch_evenly():
    config = replace(
        Config(), data={"batch_size": 64, "eval_batch_size": 8}, train={"micro_batches": 3}
    )
    with pytest.raises(ConfigError, match="8 replicas with 3 micro-batches each.* use 48 or 72"):
        check_batch_size(config, 8)
    check_batch_size(replace(config, data={"batch_size": 48}), 8)


def test_a_batch_that_nobody_uses_may_have_any_size():
    config = replace(Config(), data={"batch_size": 12, "eval_batch_size": 8})
    check_batch_size(config, 8, ["eval_batch_size"])
    with pytest.raises(ConfigError, match="data.batch_size is 12"):
        check_batch_size(config, 8)


def test_a_batch_that_divides_passes():
    check_batch_size(replace(Config(), data={"batch_size": 64, "eval_batch_size": 8}), 8)
