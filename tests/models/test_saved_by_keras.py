"""A network is a Keras model: what Keras writes of it, Keras reads."""

import importlib
import pkgutil

import keras
import numpy as np

import edet.models
from edet.models.efficientdet import build_network
from tests.small import small_model


def test_importing_the_room_is_enough_for_keras_to_know_every_layer():
    for module in pkgutil.iter_modules(edet.models.__path__, "edet.models."):
        importlib.import_module(module.name)
    homes = {
        layer.__module__ for name, layer in keras.saving.get_custom_objects().items()
        if name.startswith("edet>")
    }  # fmt: skip
    homes = {home for home in homes if home.startswith("edet.models.")}
    assert homes == {f"edet.models.{name}" for name in edet.models.__all__}


def test_a_keras_file_is_the_same_network(tmp_path):
    network = build_network(small_model())
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    pixels = np.random.default_rng(0).normal(size=(1, *network.input_shape[1:])).astype("float32")
    found = loaded(pixels)
    for name, output in network(pixels).items():
        np.testing.assert_array_equal(found[name], output)
