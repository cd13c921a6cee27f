"""keras.applications' ResNets: their files load, and the feature maps are theirs."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from edet.config.loading import load_config
from edet.errors import UserError
from edet.models.efficientdet import build_network
from edet.weights.loading import holds_detector, load_weights

SIZE = (64, 96)
LEVELS = {"conv3_block4_out": "conv3block4_out", "conv4_block6_out": "conv4block6_out",
          "conv5_block3_out": "conv5block3_out"}  # fmt: skip


@pytest.fixture(scope="module")
def theirs():
    """A ResNet-50 of keras.applications in which every weight differs from its initial value."""
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(*SIZE, 3))
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "kernel" not in variable.path:
            variable.assign(rng.uniform(0.5, 1.0, variable.shape))
    return model


@pytest.fixture(scope="module")
def official(theirs, tmp_path_factory):
    """The layout that keras.applications publishes: a group a layer, names of fixed length."""
    path = tmp_path_factory.mktemp("resnet") / "resnet50_weights_tf_dim_ordering_notop.h5"
    with h5py.File(path, "w") as file:
        for layer in theirs.layers:
            group = file.create_group(layer.name)
            names = [f"{variable.path}:0" for variable in layer.variables]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.variables, strict=True):
                group[name] = variable.numpy()
    return path


@pytest.fixture(scope="module")
def network():
    overrides = [f"model.image_size={list(SIZE)}", "model.head_repeats=1", "model.num_classes=3"]
    return build_network(load_config("retinanet-resnet50", overrides=overrides).model)


def test_the_feature_maps_are_those_of_keras_applications(theirs, official, network):
    """Raw pixels through both pipelines; within 1e-5 of each map's maximum."""
    report = load_weights(network, official)
    assert not any(path.startswith("backbone.") for path in report.reinitialized)
    assert report.unused == ()
    assert report.notes == ()
    pixels = np.random.default_rng(1).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)
    config = network.model_config
    normalized = (pixels - np.float32(config.mean_rgb)) / np.float32(config.stddev_rgb)
    outputs = [network.get_layer(f"backbone.{name}").output for name in LEVELS.values()]
    found = keras.Model(network.input, outputs)(normalized)
    outputs = [theirs.get_layer(name).output for name in LEVELS]
    caffe = keras.applications.resnet.preprocess_input(pixels.copy())
    for ours, expected in zip(found, keras.Model(theirs.input, outputs)(caffe), strict=True):
        limit = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=limit)


def test_a_whole_model_that_keras_saved_loads_too(theirs, official, network, tmp_path):
    load_weights(network, official)
    expected = {v.path: v.numpy() for v in network.variables}
    for variable in network.variables:
        variable.assign(variable * 0)
    theirs.save(tmp_path / "whole.h5")
    report = load_weights(network, tmp_path / "whole.h5")
    assert len(report.loaded) == 265  # 53 convolutions, each with a batch norm of four
    for variable in network.variables:
        if variable.path.startswith("backbone."):
            np.testing.assert_array_equal(variable, expected[variable.path])


def test_another_resnet_is_refused(official, network, tmp_path):
    path = tmp_path / "resnet101.h5"
    path.write_bytes(official.read_bytes())
    with h5py.File(path, "a") as file:
        group = file.create_group("conv4_block7_1_conv")
        group.attrs["weight_names"] = [b"conv4_block7_1_conv/kernel:0"]
        group["conv4_block7_1_conv/kernel:0"] = np.zeros((1, 1, 1024, 256), np.float32)
    with pytest.raises(UserError, match="resnet50: one has conv4_block7_1_conv/kernel"):
        load_weights(network, path)


def test_other_pixels_than_the_weights_expect_are_noted(official, network, monkeypatch):
    other = dataclasses.replace(network.model_config, stddev_rgb=(58.0, 57.0, 57.0))
    monkeypatch.setattr(network, "model_config", other)
    (note,) = load_weights(network, official).notes
    assert "another model.stddev_rgb than the configuration has" in note
    assert "model.mean_rgb=[123.68, 116.779, 103.939]" in note


def test_it_is_a_backbone_not_a_detector(official):
    assert not holds_detector(official)
