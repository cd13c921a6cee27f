"""Grappler is off for training on CPUs, for no other graph and no other device."""

import pytest
import tensorflow as tf

from edet.runtime.graphs import training_graphs


def is_off() -> bool:
    return tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)


@pytest.fixture(autouse=True)
def grappler():
    """Turns it on, which tests have off."""
    before = is_off()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def test_it_is_off_while_cpus_train_and_on_again_after_an_error():
    with pytest.raises(KeyError), training_graphs(tf.distribute.get_strategy()):
        assert is_off()
        raise KeyError
    assert not is_off()


def test_it_stays_on_where_a_gpu_trains(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    with training_graphs(tf.distribute.get_strategy()):
        assert not is_off()


def test_whoever_has_it_off_keeps_it_off(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    with training_graphs(tf.distribute.get_strategy()):
        assert is_off()
    assert is_off()
