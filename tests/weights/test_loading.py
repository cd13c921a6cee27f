"""Weights from every format: what fits is loaded, and the report says what does not."""

import os
import pathlib
import tarfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from edet.config.loading import load_config, save_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.models.efficientdet import build_network
from edet.training.checkpoints import Checkpoints
from edet.training.variables import TrainingVariables
from edet.weights import loading
from edet.weights.imagenet import pytorch_names
from edet.weights.loading import check_source, holds_detector, load_weights
from edet.weights.reference_names import reference_names, split
from edet.weights.released import write_released
from edet.weights.transfer import transfer_classes
from edet.weights.zoo import Release
from edet.workdir import Workdir
from tests.golden.fill import fill_with_golden_weights
from tests.golden.filler import weight
from tests.small import small_model

FUSED = small_model(fusion="fast")


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
    stored = {"other": np.zeros(2)}
    for variable in network.variables:
        if variable.path in names:
            value = np.random.default_rng(len(stored)).normal(size=variable.shape)
            axes = (2, 3, 0, 1) if "dwconv" in variable.path else (3, 2, 0, 1)
            stored[names[variable.path]] = value.transpose(axes) if value.ndim == 4 else value
    np.savez(tmp_path / "w.npz", **stored)
    report = load_weights(network, tmp_path / "w.npz")
    assert set(report.loaded) == set(names)
    assert report.unused == ("other",)
    kernel = next(v for v in network.variables if v.path == path)
    np.testing.assert_allclose(kernel.numpy()[2, 1, 5, 0], stored[names[path]][5, 0, 2, 1])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of one step: raw weights are 1 higher than the averages."""
    folder = str(tmp_path_factory.mktemp("run"))
    network = build_network(small_model())
    variables = TrainingVariables(network)
    for variable in network.variables:
        variable.assign(variable + 1)
    variables.step.assign(1)
    checkpoints = Checkpoints(Workdir(folder), variables, keep=2)
    checkpoints.save()
    return folder, {v.path: v.numpy() - 1 for v in network.variables}


@pytest.mark.parametrize(("average", "offset"), [(True, 0.0), (False, 1.0)])
def test_a_workdir_gives_the_averages_and_on_request_the_raw_weights(
    workdir, network, average, offset
):
    folder, averages = workdir
    report = load_weights(network, folder, average)
    assert not report.reinitialized
    assert not report.unused
    for variable in network.variables:
        np.testing.assert_allclose(variable, averages[variable.path] + offset, atol=1e-6)


def test_settings_that_a_run_was_trained_with_are_compared(workdir, network):
    """Weights say nothing of anchors; with others the boxes would be wrong without a word."""
    saved = pathlib.Path(workdir[0], "config.yaml")
    model = vars(network.model_config)
    try:
        save_config(replace(Config(), model=model), saved)
        assert load_weights(network, workdir[0]).notes == ()
        save_config(replace(Config(), model=model | {"anchors": {"scale": 2.0}}), saved)
        (note,) = load_weights(network, workdir[0]).notes
    finally:
        saved.unlink(missing_ok=True)
    assert note == (
        "these weights were trained with another model.anchors than the configuration has; they "
        f"expect those of {saved}"
    )


def test_other_classes_keep_everything_but_the_last_class_convolution(workdir):
    report = load_weights(build_network(small_model(num_classes=5)), workdir[0])
    assert report.reinitialized == (
        "class_head.predict/pointwise_kernel",
        "class_head.predict/bias",
    )
    assert "initial: class_head.predict" in str(report)


@pytest.fixture(scope="module")
def filled():
    """A network with fusion weights, its reference names, and two sets of values for them."""
    network = build_network(FUSED)
    names = reference_names(network, FUSED)
    fill_with_golden_weights(network, FUSED, {"salt": "w", "gains": _GAINS})
    averages = {v.path: v.numpy() for v in network.variables}
    raw = {path: value + 1 for path, value in averages.items()}
    return network, names, averages, raw


_GAINS = {"res": 1.0, "proj": 1.0, "fpn": 1.0, "head": 1.0}


def _zero(network):
    for variable in network.variables:
        variable.assign(tf.zeros_like(variable))


def _same(network, expected):
    for variable in network.variables:
        np.testing.assert_array_equal(variable.numpy(), expected[variable.path])


@pytest.mark.parametrize("average", [True, False])
def test_a_name_based_checkpoint_prefers_averages(filled, tmp_path, average):
    network, names, averages, raw = filled
    write_released(str(tmp_path), split(raw, names), split(averages, names))
    _zero(network)
    report = load_weights(network, tmp_path, average)
    assert not report.reinitialized
    assert report.unused == ("global_step",)
    _same(network, averages if average else raw)


def test_an_object_based_checkpoint_is_read_without_its_optimizer(filled, tmp_path):
    network, _, averages, _ = filled
    _write_objects(tmp_path / "ckpt-7", network, averages)
    _zero(network)
    report = load_weights(network, tmp_path / "ckpt-7")
    assert not report.reinitialized
    assert report.unused == ("optimizer/iter",)
    _same(network, averages)


def _write_objects(path, network, averages):
    """Writes an object-based checkpoint, with something of an optimizer."""
    tree: dict = {"optimizer": {"iter": tf.Variable(3)}}
    for name, value in split(averages, reference_names(network, FUSED, "object")).items():
        *scopes, leaf = name.split("/")
        place = tree
        for scope in scopes:
            place = place.setdefault(scope, {})
        place[leaf] = tf.Variable(value)
    tf.train.Checkpoint(**tree).write(str(path))


def _write_h5(path, values):
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            group = file.require_group(name.partition("/")[0])
            group[f"{name}:0"] = value
            group.attrs["weight_names"] = [*group.attrs.get("weight_names", []), f"{name}:0"]
        file.create_group("top_level_model_weights").attrs["weight_names"] = []


def test_an_h5_file_is_read(filled, tmp_path):
    network, names, averages, _ = filled
    _write_h5(tmp_path / "w.h5", split(averages, names))
    _zero(network)
    assert not load_weights(network, tmp_path / "w.h5").reinitialized
    _same(network, averages)


def test_an_archive_with_a_folder_in_it_is_read(filled, tmp_path):
    network, names, averages, raw = filled
    write_released(str(tmp_path / "efficientdet-x"), split(raw, names), split(averages, names))
    os.remove(tmp_path / "efficientdet-x" / "checkpoint")  # some archives have none
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "efficientdet-x", "efficientdet-x")
    _zero(network)
    load_weights(network, tmp_path / "x.tar.gz")
    _same(network, averages)


def test_a_checkpoint_file_cannot_lead_out_of_its_folder(filled, tmp_path):
    network, names, averages, raw = filled
    for place, values in (("elsewhere", raw), ("here", averages)):
        values = split(values, names)
        write_released(str(tmp_path / place), values, values)
    (tmp_path / "here" / "checkpoint").write_text(
        f'model_checkpoint_path: "{tmp_path}/elsewhere/model"\n'
    )
    load_weights(network, tmp_path / "here")
    _same(network, averages)


@pytest.mark.parametrize("scope", ["", "model/"])
def test_an_imagenet_checkpoint_gives_the_backbone(filled, tmp_path, scope):
    network, names, averages, raw = filled
    root = f"{FUSED.backbone}/"

    def backbone(weights):
        values = split(weights, names)
        found = {n: v for n, v in values.items() if n.startswith(root)}
        return {n.replace(root, root + scope): v for n, v in found.items()} | {
            f"{root}head/dense/kernel": np.zeros([4, 1000], np.float32)
        }

    write_released(str(tmp_path), backbone(raw), backbone(averages))
    _zero(network)
    report = load_weights(network, tmp_path)
    assert all(path.startswith("backbone.") for path in report.loaded)
    assert not any(path.startswith("backbone.") for path in report.reinitialized)
    assert report.unused == (f"{root}head/dense/kernel", "global_step")


def test_a_name_of_the_zoo_is_fetched_and_its_settings_are_compared(filled, tmp_path, monkeypatch):
    network, names, averages, raw = filled
    write_released(str(tmp_path), split(raw, names), split(averages, names))
    release = Release(
        "efficientdet-d0", "efficientdet-d0", "https://x/y.tar.gz", ("model.padding=-0.5",)
    )
    monkeypatch.setitem(loading.ZOO, "efficientdet-d0", release)
    monkeypatch.setattr(loading, "fetch", lambda wanted: str(tmp_path) if wanted is release else "")
    report = load_weights(network, "efficientdet-d0")
    assert not report.reinitialized
    assert report.notes == (
        "these weights were trained with another model.padding than the configuration has; they "
        "expect model.padding=-0.5",
    )
    assert "note: these weights" in str(report)


def test_d0_of_the_reference_is_read_bit_by_bit_from_its_three_formats(shared):
    model = load_config("efficientdet-d0", overrides=["model.image_size=128"]).model
    network = build_network(model)
    names = reference_names(network, model)
    folder = shared / "golden"
    gains = _golden_gains(folder)
    for source, average, salt in (
        ("d0_weights.h5", True, "w"), ("d0_ckpt_tf2", True, "w"), ("d0_ckpt_tf1", True, "w"),
        ("d0_ckpt_tf1", False, "raw"),
    ):  # fmt: skip
        _zero(network)
        report = load_weights(network, folder / source, average)
        assert not report.reinitialized
        assert set(report.unused) <= {"global_step"}
        expected = {v.path: v.numpy() for v in network.variables}
        found = split(expected, names)
        for name, value in found.items():
            np.testing.assert_array_equal(value, weight(name, value.shape, salt, gains), name)


def _golden_gains(folder):
    import json

    return json.loads(str(np.load(folder / "d0_128.npz")["meta"]))["gains"]


def test_a_backbone_is_told_from_a_detector(filled, workdir, tmp_path):
    _, names, _, raw = filled
    values = split(raw, names)
    root = f"{FUSED.backbone}/"
    backbone = {name: value for name, value in values.items() if name.startswith(root)}
    write_released(str(tmp_path / "whole"), values, values)
    write_released(str(tmp_path / "backbone"), backbone, backbone)
    _write_h5(tmp_path / "w.h5", values)
    np.savez(tmp_path / "w.npz", **{"_conv_stem.weight": np.zeros(3)})
    assert holds_detector(workdir[0])
    assert holds_detector(tmp_path / "whole")
    assert holds_detector(tmp_path / "w.h5")
    assert not holds_detector(tmp_path / "backbone")
    assert not holds_detector(tmp_path / "w.npz")


def test_weights_of_another_size_are_refused(filled, tmp_path):
    _, names, averages, raw = filled
    write_released(str(tmp_path), split(raw, names), split(averages, names))
    with pytest.raises(UserError, match="does not fit .* Is it made for another model?"):
        load_weights(build_network(small_model(backbone="efficientnet-lite0")), tmp_path)


def _run_of(folder, labels, offset=0.0):
    """A workdir whose last class convolution holds its own channel numbers."""
    config = replace(Config(), model=vars(small_model(labels=labels, num_classes=len(labels))))
    network = build_network(config.model)
    for variable in network.variables:
        if variable.path.startswith("class_head.predict"):
            size = int(np.prod(variable.shape))
            variable.assign(np.arange(size, dtype="float32").reshape(variable.shape))
    save_config(config, folder / "config.yaml")
    Checkpoints(Workdir(str(folder)), TrainingVariables(network), keep=1).save()
    return network


def test_classes_of_the_same_name_keep_their_logits_whatever_their_place(tmp_path):
    """Of 9 x 3 channels, class b is 1, 4, 7, ...; as class 0 of two it must be 0, 2, 4, ..."""
    _run_of(tmp_path, {1: "a", 2: "Traffic light", 3: "c"})
    network = build_network(small_model(labels={5: "traffic_light", 8: "new"}, num_classes=2))
    bias = next(v for v in network.variables if v.path == "class_head.predict/bias")
    prior = bias.numpy()[0]
    report = load_weights(network, tmp_path)
    assert report.kept_classes == ("traffic_light",)
    assert report.new_classes == ("new",)
    np.testing.assert_array_equal(bias.numpy()[0::2], np.arange(9) * 3 + 1)
    np.testing.assert_allclose(bias.numpy()[1::2], prior)
    kernel = next(v for v in network.variables if v.path == "class_head.predict/pointwise_kernel")
    np.testing.assert_array_equal(kernel.numpy()[0, 0, 2, 0::2], 2 * 27 + np.arange(9) * 3 + 1)
    assert "new classes: new" in str(report)
    assert not report.reinitialized


def test_a_full_convolution_keeps_its_classes_too():
    labels = {5: "traffic_light", 8: "new"}
    network = build_network(small_model(labels=labels, num_classes=2, convolution="full"))
    kernel, bias = "class_head.predict/kernel", "class_head.predict/bias"
    size = 3 * 3 * 16 * 27
    found = {kernel: np.arange(size).reshape(3, 3, 16, 27), bias: np.arange(27)}
    source = {1: "a", 2: "Traffic light", 3: "c"}
    assert transfer_classes(network, found, source) == (("traffic_light",), ("new",))
    np.testing.assert_array_equal(found[bias][0::2], np.arange(9) * 3 + 1)
    np.testing.assert_array_equal(found[kernel][0, 0, 2, 0::2], 2 * 27 + np.arange(9) * 3 + 1)


def test_as_many_but_other_classes_start_anew(tmp_path):
    _run_of(tmp_path, {1: "a", 2: "b"})
    network = build_network(small_model(labels={1: "x", 2: "y"}, num_classes=2))
    report = load_weights(network, tmp_path)
    assert report.kept_classes == ()
    assert report.new_classes == ("x", "y")
    assert "class_head.predict/bias" in report.reinitialized


def test_classes_without_names_are_taken_by_their_number(tmp_path):
    _run_of(tmp_path, {1: "a", 2: "b"})
    report = load_weights(build_network(small_model(num_classes=2)), tmp_path)
    assert not report.reinitialized
    assert report.new_classes == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", "there are no weights at .* or efficientnet-b0"),
        (lambda folder: "efficientdet_d0", "a name of the zoo such as efficientdet-d0, a workdir"),
        (lambda folder: folder, "holds no checkpoint; was anything"),
        (lambda folder: _write(folder / "m.tflite", b"").parent, "give the file in it, m.tflite,"),
        (lambda folder: _write(folder / "w.npz", b"not an archive"), "cannot read weights"),
        (lambda folder: _write(folder / "w.h5", b"not h5"), "cannot read weights"),
        (lambda folder: _write(folder / "w.index", b"x").with_suffix(""), "cannot read the check"),
        (lambda folder: _npz(folder / "v.npz"), "does not fit"),
        (lambda folder: _foreign(folder), "does not fit"),
        (lambda folder: _two(folder), "holds 2 sets of weights"),
    ],
)
def test_what_cannot_be_loaded_is_named(make, message, network, tmp_path):
    with pytest.raises(UserError, match=message):
        load_weights(network, make(tmp_path))


@pytest.mark.parametrize("name", ["w.weights.h5", "w.keras"])
def test_a_file_of_keras_is_named_with_what_reads_it(name, network, tmp_path):
    path = str(tmp_path / name)
    (network.save_weights if name.endswith(".h5") else network.save)(path)
    with pytest.raises(UserError, match=f"^{path} is a file of Keras 3; read it by keras.models"):
        load_weights(network, path)


def test_a_tilde_is_the_home_folder(network, tmp_path, monkeypatch):
    _npz(tmp_path / "v.npz")
    monkeypatch.setenv("HOME", str(tmp_path))
    for load in (holds_detector, check_source):
        load("~/v.npz")
    with pytest.raises(UserError, match="v.npz does not fit"):
        load_weights(network, "~/v.npz")


def _write(path, content):
    path.write_bytes(content)
    return path


def _npz(path):
    np.savez(path, something=np.zeros(3))
    return path


def _foreign(folder):
    return tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(folder / "other"))


def _two(folder):
    for name in ("a", "b"):
        (folder / f"{name}.h5").write_bytes(b"")
    return folder


def _has_fresh_cells_alone(network, source):
    report = load_weights(network, source)
    cells = {v.path for v in network.variables if v.path.startswith("pyramid.cell")}
    finer = {v.path for v in network.variables if "_p2/" in v.path}
    assert set(report.reinitialized) == cells | finer
    assert report.notes[-1] == (
        "the nodes of these weights' feature network are of other levels than this network's, so "
        "its cells start anew"
    )


def test_nodes_of_other_levels_are_not_taken_for_those_of_the_same_number(
    workdir, filled, tmp_path
):
    """Of the levels 3 to 5 node 4 makes P3, of 2 to 5 it is the first on the way down."""
    _has_fresh_cells_alone(build_network(small_model(min_level=2)), workdir[0])
    _, names, averages, raw = filled
    write_released(str(tmp_path), split(raw, names), split(averages, names))
    _has_fresh_cells_alone(build_network(small_model(fusion="fast", min_level=2)), tmp_path)


def test_levels_that_are_only_counted_are_not_taken_for_others(filled, tmp_path):
    """An object-based checkpoint of the levels 3 to 5 calls P3's batch norms the first."""
    network, _, averages, _ = filled
    _write_objects(tmp_path / "ckpt-7", network, averages)
    finer = build_network(small_model(fusion="fast", min_level=2))
    report = load_weights(finer, tmp_path / "ckpt-7")
    norms = {v.path for v in finer.variables if "_head.bn" in v.path}
    cells = {v.path for v in finer.variables if v.path.startswith("pyramid.cell")}
    assert set(report.reinitialized) == cells | norms
    assert report.notes[-1] == (
        "these weights have 3 levels without their numbers, and this network 4, so the batch norms "
        "of the heads start anew"
    )


def test_nodes_of_another_network_are_those_that_both_have(workdir):
    """A quad FPN's first nodes are the BiFPN's; a PANet has none of either, whatever the levels."""
    quad = build_network(small_model(feature_network="quad_fpn"))
    report = load_weights(quad, workdir[0])
    assert report.notes == ()
    assert {f"pyramid.cell0.node{k}.conv/bias" for k in range(3, 7)} <= set(report.loaded)
    panet = load_weights(build_network(small_model(feature_network="panet")), workdir[0])
    assert panet.notes == ()
    assert not any(path.startswith("pyramid.cell") for path in panet.loaded)


def test_nodes_that_only_another_head_reads_may_be_missing(tmp_path):
    """Pixels are classified from P2, the last node on the way down, whatever follows it."""
    heads = {"heads": ("segmentation",), "segmentation": {"level": 2, "width": 8}}
    pixels = build_network(small_model(**heads))
    nodes = {path for v in pixels.variables if "node" in (path := v.path)}
    assert {path.split(".")[2] for path in nodes} == {"node4", "node5", "node6"}
    Checkpoints(Workdir(str(tmp_path)), TrainingVariables(pixels), keep=2).save()
    both = build_network(small_model(**(heads | {"heads": ("detection", "segmentation")})))
    report = load_weights(both, str(tmp_path))
    assert nodes <= set(report.loaded)
    assert report.notes == ()
