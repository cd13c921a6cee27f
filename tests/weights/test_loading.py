"""Weights from npz and from our own checkpoints: what fits is loaded, and the report says it."""

import numpy as np
import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.models.efficientdet import build_network
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.weights.imagenet import pytorch_names
from edet.weights.loading import load_weights
from tests.small import small_model


@pytest.fixture(scope="module")
def network():
    return build_network(small_model())


def test_imagenet_lite0_gives_the_published_feature_maps(shared):
    """Within 1e-5 of each map's maximum; the reference computed in PyTorch."""
    import keras

    network = build_network(small_model(image_size=(224, 224), backbone="efficientnet-lite0"))
    report = load_weights(network, shared / "data" / "efficientnet_lite0.npz")
    assert len(report.loaded) == 240  # every variable of the backbone
    assert all(path.startswith("backbone.") for path in report.loaded)
    assert not any(path.startswith("backbone.") for path in report.reinitialized)
    assert "_fc.weight" in report.unused
    expected = np.load(shared / "data" / "efficientnet_lite0_ref.npz")
    layers = {
        "block4": "block3b_add", "block10": "block5c_add", "block15": "block7a_project_bn",
    }  # fmt: skip
    outputs = {key: network.get_layer(f"backbone.{name}").output for key, name in layers.items()}
    images = np.sin(np.arange(224 * 224 * 3).reshape(1, 224, 224, 3) * 0.01).astype("float32")
    for key, found in keras.Model(network.input, outputs)(images).items():
        limit = 1e-5 * np.abs(expected[key]).max()
        np.testing.assert_allclose(found, expected[key], rtol=0, atol=limit)


def test_npz_kernels_are_transposed_to_keras_layout(network, tmp_path):
    names = pytorch_names(network)
    path = "backbone.block2a_dwconv/kernel"
    assert names[path] == "_blocks.1._depthwise_conv.weight"
    kernel = next(v for v in network.variables if v.path == path)
    height, width, channels, _ = kernel.shape
    stored = np.random.default_rng(0).normal(size=(channels, 1, height, width)).astype("float32")
    np.savez(tmp_path / "w.npz", **{names[path]: stored, "other": np.zeros(2)})
    report = load_weights(network, tmp_path / "w.npz")
    assert report.loaded == (path,)
    assert report.unused == ("other",)
    np.testing.assert_array_equal(kernel.numpy()[2, 1, 5, 0], stored[5, 0, 2, 1])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of one step: raw weights are 1 higher than the averages."""
    folder = str(tmp_path_factory.mktemp("run"))
    network = build_network(small_model())
    variables = TrainingVariables(network)
    for variable in network.variables:
        variable.assign(variable + 1)
    variables.step.assign(1)
    checkpoints = Checkpoints(folder, variables, keep=2)
    checkpoints.save()
    return folder, {v.path: v.numpy() - 1 for v in network.variables}


def test_a_workdir_gives_the_averages(workdir, network):
    folder, averages = workdir
    report = load_weights(network, folder)
    assert not report.reinitialized
    assert not report.unused
    for variable in network.variables:
        np.testing.assert_allclose(variable, averages[variable.path], atol=1e-6)


def test_other_classes_keep_everything_but_the_last_class_convolution(workdir):
    report = load_weights(build_network(small_model(num_classes=5)), workdir[0])
    assert report.reinitialized == (
        "class_head.predict/pointwise_kernel",
        "class_head.predict/bias",
    )
    assert "initial: class_head.predict" in str(report)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", "there are no weights at"),
        (lambda folder: folder, "holds no checkpoint"),
        (lambda folder: _write(folder / "w.npz", b"not an archive"), "cannot read weights"),
        (lambda folder: _npz(folder / "v.npz"), "holds no weight of"),
        (lambda folder: _foreign(folder), "it was not written by edet"),
    ],
)
def test_what_cannot_be_loaded_is_named(make, message, network, tmp_path):
    with pytest.raises(UserError, match=message):
        load_weights(network, make(tmp_path))


def _write(path, content):
    path.write_bytes(content)
    return path


def _npz(path):
    np.savez(path, something=np.zeros(3))
    return path


def _foreign(folder):
    return tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(folder / "other"))
