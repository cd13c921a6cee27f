"""The comparison of speeds: contenders take turns, each in its own process."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from edet.cli.common import parsed
from edet.errors import UserError
from edet.files import read_json
from tools.benchmarks.c_session import CSession
from tools.benchmarks.compare_speed import Contender, _measure, define_flags, raw_in_c


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A SavedModel of one multiplication, with a signature of the name that exports have."""
    folder = str(tmp_path_factory.mktemp("model"))
    images = tf.TensorSpec([None, 4, 4, 3], tf.float32, "images")
    double = tf.function(lambda images: {"twice": 2.0 * images}, input_signature=[images])
    tf.saved_model.save(tf.Module(), folder, signatures={"raw": double})
    return folder


# It measures, which takes its time.
@pytest.mark.thorough
def test_every_contender_runs_as_often_in_every_round(saved_model):
    options = parsed(define_flags, ["--rounds=3", "--runs=2"])
    calls = []
    contenders = [
        Contender("a", "tensorflow", saved_model),
        Contender("b", "tensorflow_c", raw_in_c(saved_model)),
    ]
    times, memory = _measure(contenders, lambda: calls.append(1), options)
    assert {name: len(values) for name, values in times.items()} == {"a": 6, "b": 6, "nms": 6}
    assert min(min(values) for values in times.values()) > 0
    assert len(calls) == 3 * (2 + 2)  # two of each round are not counted
    assert 100 < memory["b"] < memory["a"]  # MiB; without Python's half of TensorFlow less


def test_a_contender_that_does_not_start_is_named(tmp_path):
    contender = Contender("broken", "litert", str(tmp_path / "none.tflite"), sys.executable)
    with pytest.raises(UserError, match="(?s)cannot measure broken: .*none.tflite"):
        _measure([contender], lambda: None, parsed(define_flags, []))


def test_the_c_library_runs_a_saved_model_or_says_why_not(saved_model):
    given = read_json(raw_in_c(saved_model), "session")
    session = CSession(**given, threads=1)
    assert session.shape == (-1, 4, 4, 3)
    images = np.arange(96, dtype=np.float32).reshape(2, 4, 4, 3)
    for _ in range(2):
        (twice,) = session(images)
        np.testing.assert_array_equal(twice, 2 * images)
    with pytest.raises(RuntimeError, match="Could not find SavedModel"):
        CSession(**given | {"folder": f"{saved_model}/none"}, threads=1)
