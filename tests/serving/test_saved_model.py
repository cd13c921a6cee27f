"""The SavedModel gives what the Detector gives, loads without edet, and appears whole."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.files import read_text
from edet.models.efficientdet import build_network
from edet.serving.detector import Detector
from edet.serving.saved_model import export_saved_model
from tests.serving.test_detector import png
from tests.small import small_model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    config = replace(Config(), model=vars(small_model(labels={3: "a", 7: "b", 9: "c"})))
    detector = Detector(build_network(config.model), config)
    folder = tmp_path_factory.mktemp("served") / "model"
    return detector, export_saved_model(detector, str(folder))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), "uint8") for size in ((40, 90), (70, 30))]


def test_bytes_of_any_sizes_give_the_detectors_answer(exported, pictures):
    detector, path = exported
    serve = tf.saved_model.load(path).signatures["serving_default"]
    found = serve(image_bytes=tf.constant([png(picture) for picture in pictures]))
    for name, value in detector(pictures).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-4, err_msg=name)


def test_images_of_one_size_give_the_detectors_answer(exported, pictures):
    detector, path = exported
    batch = np.stack([pictures[0], pictures[0][::-1]])
    found = tf.saved_model.load(path).signatures["images"](images=tf.constant(batch))
    for name, value in detector(batch).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-4, err_msg=name)


def test_raw_gives_logits_and_deltas_for_any_batch(exported):
    detector, path = exported
    raw = tf.saved_model.load(path).signatures["raw"]
    for batch in (1, 3):
        images = tf.random.stateless_normal((batch, 64, 96, 3), [1, 2])
        found, expected = raw(images=images), detector.network(images)
        assert set(found) == {"class_logits", "box_deltas"}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)


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


def test_labels_and_configuration_lie_beside_the_model(exported):
    _, path = exported
    card = json.loads(read_text(os.path.join(path, "assets.extra", "edet.json"), "card"))
    assert card["labels"] == {"3": "a", "7": "b", "9": "c"}
    assert card["config"]["model"]["image_size"] == [64, 96]


def test_versions_count_up_and_none_is_overwritten(exported):
    detector, path = exported
    folder = os.path.dirname(path)
    assert os.path.basename(path) == "1"
    with pytest.raises(UserError, match="exists already"):
        export_saved_model(detector, folder, version=1)
    assert os.listdir(folder) == ["1"]


def test_an_export_that_fails_leaves_nothing(exported, tmp_path, monkeypatch):
    detector, _ = exported

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edet.serving.saved_model._write_card", fail)
    with pytest.raises(UserError, match="No space left on device"):
        export_saved_model(detector, str(tmp_path / "model"))
    assert list((tmp_path / "model").iterdir()) == []
