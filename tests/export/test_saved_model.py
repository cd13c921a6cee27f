"""The SavedModel gives what the Detector gives, loads without edet, and appears whole."""

import json
import os
import shutil
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tensorflow.core.protobuf import saved_model_pb2

from edet.config.schema import Config, replace
from edet.errors import StorageError, UserError
from edet.export.exported import load_exported, open_exported
from edet.export.saved_model import export_saved_model
from edet.export.serving_protos import PredictionLog, arrays_of
from edet.export.signature_session import SignatureSession
from edet.export.signatures import signatures_of
from edet.files import read_text
from edet.image.files import decode_picture
from edet.inference.detector import Detector
from edet.input.reading import decode_parsed
from edet.models.efficientdet import build_network
from edet.ownership import owned
from tests.pictures import encoded as png
from tests.small import small_model

DETECTIONS = {"boxes", "scores", "classes", "class_names", "num_detections"}
BROKEN = b"no picture"


def small_network() -> tuple[keras.Model, Config]:
    """Its statistics are those of no fresh network, and its scores are spread from 0 to 1.

    So folding has something to fold, and no noise changes the order of the detections.
    """
    config = replace(Config(), model=vars(small_model(labels={3: "a", 7: "Größe", 9: "c"})))
    keras.utils.set_random_seed(0)
    network = build_network(config.model)
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if variable.path.endswith(("moving_mean", "beta")):
            variable.assign(rng.normal(0, 0.1, variable.shape))
        elif variable.path.endswith(("moving_variance", "gamma")):
            variable.assign(rng.uniform(0.8, 1.25, variable.shape))
        elif "class_head" in variable.path and variable.path.endswith("kernel"):
            variable.assign(rng.normal(0, 0.5, variable.shape))
    return network, config


def assert_same_detections(found, expected, pictures):
    """Scores within 1e-4, boxes within 1e-4 of each picture's longer side, all else equal.

    Detections whose scores are that near to one another may have changed places.
    """
    np.testing.assert_array_equal(found["num_detections"], expected["num_detections"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-4)
    for k, picture in enumerate(pictures):
        ours, theirs = (
            {name: np.asarray(value)[k] for name, value in d.items()} for d in (found, expected)
        )
        boxes = np.abs(ours["boxes"][:, None] - theirs["boxes"]).max(-1)
        is_like = (
            (np.abs(ours["scores"][:, None] - theirs["scores"]) <= 1e-4)
            & (ours["classes"][:, None] == theirs["classes"])
            & (boxes <= 1e-4 * max(picture.shape))
        )
        assert is_like.any(axis=0).all() and is_like.any(axis=1).all()


@pytest.fixture(scope="module")
def parts():
    return small_network()


@pytest.fixture(scope="module")
def exported(parts, tmp_path_factory):
    network, config = parts
    folder = tmp_path_factory.mktemp("served") / "model"
    return Detector(network, config), export_saved_model(network, config, str(folder))


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(exported[1]).signatures


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), "uint8") for size in ((40, 90), (70, 30))]


def test_the_detector_of_these_tests_tells_its_detections_apart(exported, pictures):
    detector, _ = exported
    scores = detector(pictures)["scores"]
    assert scores.max() > 0.5
    gaps = -np.diff(np.sort(scores[scores > 0])[::-1])
    assert np.median(gaps) > 1e-4


def test_a_folder_of_one_signature_holds_no_other_and_detects_the_same(exported, parts, tmp_path):
    """What converters stumble over, decoding within a data set, is not in it."""
    network, config = parts
    picture = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
    folders, read = {}, {}
    for name in ("raw", "images"):
        single = replace(config, export={"signatures": name})
        folders[name] = export_saved_model(network, single, str(tmp_path / name))
        with open(os.path.join(folders[name], "saved_model.pb"), "rb") as file:
            read[name] = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0]
        assert set(read[name].signature_def) - {"__saved_model_init_op"} == {name}
        functions = read[name].graph_def.library.function
        kinds = {node.op for function in functions for node in function.node_def}
        assert not {kind for kind in kinds if kind.endswith("Dataset")}
    expected = exported[0]([picture])
    assert_same_detections(load_exported(folders["raw"])([picture]), expected, [picture])
    served = tf.saved_model.load(folders["images"]).signatures["images"]
    found = served(images=tf.constant(picture[None]))
    assert set(found) == DETECTIONS - {"class_names"}  # which converters have no type for
    assert_same_detections(found, expected, [picture])
    with pytest.raises(UserError, match=r"export it with export\.signatures=all or raw"):
        load_exported(folders["images"])


def test_bytes_of_any_sizes_give_the_detectors_answer(exported, signatures, pictures):
    detector, _ = exported
    encoded = tf.constant([png(picture) for picture in pictures])
    found = signatures["serving_default"](image_bytes=encoded)
    assert set(found) == DETECTIONS
    assert_same_detections(found, detector(pictures), pictures)


def test_images_of_one_size_give_the_detectors_answer(exported, signatures, pictures):
    detector, _ = exported
    batch = np.stack([pictures[0], pictures[0][::-1]])
    found = signatures["images"](images=tf.constant(batch))
    assert set(found) == DETECTIONS
    assert_same_detections(found, detector(batch), batch)


def test_a_class_whose_id_is_0_has_its_name_and_padding_none(parts, pictures):
    network, config = parts
    labels = {0: "null", 7: "b", 9: "c"}
    config = replace(config, model={"labels": labels}, detect={"score_threshold": 0.1})
    picture = tf.constant(pictures[0][None])
    found = signatures_of(network, config)["images"].function(picture)
    count, ids = int(found["num_detections"][0]), found["classes"][0].numpy().tolist()
    names = [name.decode() for name in found["class_names"][0].numpy()]
    assert names == [labels[i] for i in ids[:count]] + [""] * (100 - count)
    assert 0 in ids[:count] and count < 100


def test_a_model_that_stretches_answers_in_the_pictures_pixels(parts, pictures):
    network, config = parts
    config = replace(config, model={"fit": "stretch"})
    detector, find = Detector(network, config), signatures_of(network, config)["images"].function
    for picture in pictures:
        found = find(tf.constant(picture[None]))
        assert_same_detections(found, detector([picture]), [picture])


def test_raw_gives_logits_and_deltas_within_1e_4_for_any_batch(parts, signatures):
    network, _ = parts
    for batch in (1, 3):
        images = tf.random.stateless_normal((batch, 64, 96, 3), [1, 2])
        found, expected = signatures["raw"](images=images), network(images)
        assert set(found) == {"class_logits", "box_deltas"}
        for name, value in expected.items():
            largest = np.abs(value).max()
            np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-4 * largest)


def test_class_names_are_those_of_the_ids_and_empty_in_padding(exported, signatures, pictures):
    detector, _ = exported
    found = signatures["serving_default"](image_bytes=tf.constant([png(pictures[0])]))
    count = int(found["num_detections"][0])
    names = [name.decode() for name in found["class_names"][0].numpy()]
    assert names[:count] == [detector.labels[i] for i in found["classes"][0, :count].numpy()]
    assert set(names[:count]) == {"a", "Größe", "c"}
    assert set(names[count:]) <= {""}


def test_a_broken_picture_is_named_and_the_next_request_is_answered(exported, signatures, pictures):
    detector, _ = exported
    serve = signatures["serving_default"]
    good = png(pictures[0])
    for place, batch in ((0, [BROKEN]), (2, [good, good, good[:100], good])):
        message = rf"image {place} of {len(batch)} \({len(batch[place])} bytes\) cannot be decoded"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            serve(image_bytes=tf.constant(batch))
        found = serve(image_bytes=tf.constant([good]))
        assert_same_detections(found, detector(pictures[:1]), pictures[:1])


def test_tolerant_answers_the_others(exported, signatures, pictures):
    detector, _ = exported
    batch = tf.constant([png(pictures[0]), BROKEN, b"", png(pictures[1])])
    found = signatures["tolerant"](image_bytes=batch)
    assert set(found) == DETECTIONS | {"decoded"}
    np.testing.assert_array_equal(found["decoded"], [True, False, False, True])
    for name in ("boxes", "scores", "classes", "num_detections"):
        assert not np.any(found[name][1:3])
    assert set(found["class_names"].numpy()[1:3].flat) == {b""}
    good = {name: value.numpy()[[0, 3]] for name, value in found.items()}
    assert_same_detections(good, detector(pictures), pictures)


@pytest.mark.parametrize("name", ["serving_default", "tolerant", "images"])
def test_a_request_without_pictures_is_told_so(signatures, name):
    empty = {"images": tf.zeros([0, 8, 8, 3], tf.uint8)}
    if name != "images":
        empty = {"image_bytes": tf.constant([], tf.string)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="no images; send at least one"):
        signatures[name](**empty)


def test_one_session_answers_many_threads_as_in_a_server(exported, pictures):
    """TensorFlow Serving runs the graph in a session that all of its requests share."""
    detector, path = exported
    expected = detector(pictures)
    requests = [png(pictures[0]), BROKEN, png(pictures[1])]
    answers, errors = [], []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], path)

        def run(name, batch):
            signature = meta.signature_def[name]
            fetches = {key: info.name for key, info in signature.outputs.items()}
            return session.run(fetches, {signature.inputs["image_bytes"].name: batch})

        def client():
            for _ in range(5):
                answers.append(run("tolerant", requests))
                with pytest.raises(tf.errors.InvalidArgumentError, match="image 1 of 3"):
                    run("serving_default", requests)
                errors.append(True)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(answers), len(errors)) == (20, 20)
    for answer in answers:
        assert answer["decoded"].tolist() == [True, False, True]
        good = {name: value[[0, 2]] for name, value in answer.items()}
        assert_same_detections(good, expected, pictures)


def test_it_loads_where_there_is_no_edet(exported, pictures, tmp_path):
    detector, path = exported
    (tmp_path / "picture.png").write_bytes(png(pictures[0]))
    code = (
        "import sys, tensorflow as tf; "
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']; "
        "found = serve(image_bytes=tf.constant([open('picture.png', 'rb').read()])); "
        "assert 'edet' not in sys.modules; "
        "print(found['scores'].numpy()[0, 0])"
    )
    # An isolated interpreter in another folder: neither the checkout nor PYTHONPATH is seen.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", code, path], cwd=tmp_path, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    expected = detector([pictures[0]])["scores"][0, 0]
    assert float(run.stdout.split()[-1]) == pytest.approx(float(expected), rel=1e-4)


def test_all_signatures_share_the_weights_and_no_graph_holds_a_copy(exported):
    _, path = exported
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        graph = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs[0].graph_def
    assert "Conv2D" in {n.op for function in graph.library.function for n in function.node_def}
    weights = tf.saved_model.load(path).weights
    stored = sum(variable.numpy().nbytes for variable in weights)
    constants = sum(
        node.attr["value"].tensor.ByteSize()
        for function in graph.library.function
        if "_run_" in function.signature.name
        for node in function.node_def
        if node.op == "Const"
    )
    assert constants < 0.2 * stored
    # Suppression too is there once: an operation for each of the three classes.
    operations = [n.op for function in graph.library.function for n in function.node_def]
    assert operations.count("NonMaxSuppressionV5") == 3


def test_a_session_of_raw_alone_gives_what_the_loaded_model_gives(exported, signatures):
    images = np.random.default_rng(2).normal(size=(2, 64, 96, 3)).astype(np.float32)
    found = SignatureSession(exported[1], "raw")(images)
    expected = signatures["raw"](images=tf.constant(images))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5)


def test_a_damaged_saved_model_is_refused_with_its_folder(exported, tmp_path):
    """Of a copy whose graph, then whose weights are cut off."""
    for damaged in ("saved_model.pb", "variables/variables.data-00000-of-00001"):
        copy = shutil.copytree(exported[1], tmp_path / damaged.replace("/", "-"))
        content = (copy / damaged).read_bytes()
        (copy / damaged).write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match=f"cannot read the SavedModel {copy}"):
            load_exported(str(copy))


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "assets.extra/edet.json"]
)
def test_a_saved_model_whose_files_are_replaced_is_opened_anew(name, exported, tmp_path):
    """The folders' own times stay as they were; the network of before was taken."""
    shutil.copytree(exported[1], folder := tmp_path / "m" / "1")
    before = open_exported(str(tmp_path / "m"))
    assert open_exported(str(tmp_path / "m")) is before
    os.utime(folder / name, (1, 1))
    assert open_exported(str(tmp_path / "m")) is not before


def test_the_model_describes_itself(exported, signatures):
    _, path = exported
    card = json.loads(read_text(os.path.join(path, "assets.extra", "edet.json"), "card"))
    assert card["labels"] == {"3": "a", "7": "Größe", "9": "c"}
    assert card["config"]["model"]["image_size"] == [64, 96]
    assert set(card["signatures"]) == set(signatures)
    for name, described in card["signatures"].items():
        function = signatures[name]
        inputs, outputs = function.structured_input_signature[1], function.structured_outputs
        for kind, real in (("inputs", inputs), ("outputs", outputs)):
            assert set(described[kind]) == set(real)
            for key, spec in real.items():
                assert described[kind][key]["dtype"] == spec.dtype.name
                assert described[kind][key]["shape"] == spec.shape.as_list()
                assert described[kind][key]["about"]
    assert card["signatures"]["tolerant"]["outputs"]["boxes"]["shape"] == [None, 100, 4]


def test_labels_are_an_asset_that_fits_model_labels(exported):
    detector, path = exported
    text = read_text(os.path.join(path, "assets", "labels.yaml"), "labels")
    assert yaml.safe_load(text) == detector.labels


def test_warm_up_asks_every_signature_once_and_each_answers(exported, signatures):
    _, path = exported
    file = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    asked = []
    for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
        request = PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        inputs = {k: tf.constant(v) for k, v in arrays_of(request.inputs).items()}
        assert {len(value) for value in signatures[name](**inputs).values()} == {1}
        asked.append(name)
    assert asked == ["serving_default", "tolerant", "images", "raw"]


def test_versions_count_up_and_none_is_overwritten(exported, parts):
    _, path = exported
    folder = os.path.dirname(path)
    assert os.path.basename(path) == "1"
    with pytest.raises(UserError, match="exists already"):
        export_saved_model(*parts, folder, version=1)
    with (
        owned(f"{folder}.lock", folder, "an export", "wait"),
        pytest.raises(UserError, match="is being written by an export already: this process"),
    ):
        export_saved_model(*parts, folder)
    assert os.listdir(folder) == ["1"]


def test_an_export_that_fails_leaves_only_the_old_version(parts, tmp_path, monkeypatch):
    """What lies there while it writes is what a kill would leave: no version of the new name."""
    folder, there = tmp_path / "model", []
    (folder / "7").mkdir(parents=True)
    (folder / "7" / "saved_model.pb").write_bytes(b"old")

    def fail(*_):
        there.extend(sorted(path.name for path in folder.iterdir()))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edet.export.saved_model._write_warmup", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        export_saved_model(*parts, str(folder))
    part, old = there
    assert part.startswith(".8.") and part.endswith(".part") and old == "7"
    assert os.listdir(folder) == ["7"]
    assert (folder / "7" / "saved_model.pb").read_bytes() == b"old"


def test_the_white_level_is_one_rule_in_detector_saved_model_and_records(parts):
    network, config = parts
    config = replace(config, model={"white_level": 4095})
    values = np.random.default_rng(0).integers(0, 4096, (64, 96), np.uint16)
    picture = png(values)
    expected = np.repeat((values >> 4)[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode_picture(picture, 4095), expected)
    signatures = signatures_of(network, config)
    found = signatures["tolerant"].function(tf.constant([picture]))
    same = signatures["images"].function(tf.constant(expected[None], tf.uint8))
    np.testing.assert_allclose(found["scores"], same["scores"], rtol=0, atol=1e-6)
    record = {"encoded": tf.constant(picture), "height": 64, "width": 96}
    np.testing.assert_array_equal(decode_parsed(record, 4095)["image"], expected)
    assert np.asarray(Detector(network, config)([picture])["scores"]).max() > 0
