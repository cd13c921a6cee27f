"""Passes of Grappler are left out for training on CPUs, for no other graph and no other device."""

import pytest
import tensorflow as tf

from edet.runtime.graphs import training_graphs


def folds_constants() -> bool:
    return tf.config.optimizer.get_experimental_options().get("constant_folding", True)


def test_passes_are_off_while_cpus_train_and_on_again_after_an_error():
    with pytest.raises(KeyError), training_graphs(tf.distribute.get_strategy()):
        assert not folds_constants()
        raise KeyError
    assert folds_constants()


def test_they_stay_on_where_a_gpu_trains(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    with training_graphs(tf.distribute.get_strategy()):
        assert folds_constants()
