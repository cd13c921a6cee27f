"""--strategy=tpu as far as it goes without one: doubles stand in for the resolver and strategy."""

import json

import pytest
import tensorflow as tf

from edet import workflows
from edet.config.loading import load_config
from edet.records.sources.synthetic import SyntheticSet
from edet.records.writing import write_records
from edet.runtime.devices import make_strategy
from tests import small

assert small.BACKBONES  # importing it makes its backbone known


class Resolver:
    """Takes what TPUClusterResolver takes."""

    def __init__(self, tpu=None, zone=None, project=None):
        self.asked = {"tpu": tpu, "zone": zone, "project": project}


class Cores(tf.distribute.OneDeviceStrategy):
    """One core. What a TPU refuses, its `run` refuses: shapes that vary, and strings."""

    def __init__(self, resolver: Resolver):
        super().__init__("/cpu:0")
        self.resolver, self.runs = resolver, 0

    def run(self, fn, args=(), kwargs=None, options=None):
        self.runs += 1
        for x in tf.nest.flatten((args, kwargs or {})):
            assert x.shape.is_fully_defined(), x
            assert x.dtype != tf.string, x
        graph = tf.compat.v1.get_default_graph()
        before = len(graph.get_operations())
        result = super().run(fn, args, kwargs, options)
        kinds = {operation.type for operation in graph.get_operations()[before:]}
        assert not kinds & {"PyFunc", "EagerPyFunc", "RaggedTensorToTensor", "Where", "Unique"}
        return result


@pytest.fixture
def calls(monkeypatch):
    """What happened to the machinery of TPUs, in order."""
    made = []
    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", Resolver)
    monkeypatch.setattr(
        tf.config, "experimental_connect_to_cluster", lambda resolver: made.append("connect")
    )
    monkeypatch.setattr(
        tf.tpu.experimental, "initialize_tpu_system", lambda resolver: made.append("initialize")
    )
    monkeypatch.setattr(tf.distribute, "TPUStrategy", Cores)
    return made


def test_a_tpu_is_found_by_its_name_zone_and_project(calls):
    strategy = make_strategy("tpu", tpu="pod", zone="us-central1-a", project="pictures")
    asked = {"tpu": "pod", "zone": "us-central1-a", "project": "pictures"}
    assert strategy.resolver.asked == asked
    assert calls == ["connect", "initialize"]


@pytest.mark.parametrize("tpu", ["", "local"])
def test_the_tpu_of_this_machine_needs_no_name_and_no_connection(calls, tpu):
    strategy = make_strategy("tpu", tpu=tpu)
    assert strategy.resolver.asked == {"tpu": "local", "zone": None, "project": None}
    assert calls == ["initialize"]


def test_a_name_alone_means_a_tpu(calls):
    assert isinstance(make_strategy("auto", tpu="pod"), Cores)


# tests/training/test_replicas.py shows replicas, tests/training/test_step.py bfloat16.
@pytest.mark.thorough
def test_training_and_evaluation_run_on_the_cores_in_bfloat16(calls, tmp_path, undrawn):
    """Two steps, then five images in steps of three: every one counted once."""
    write_records(SyntheticSet(8, size=64, seed=0), str(tmp_path / "train"))
    write_records(SyntheticSet(5, size=64, seed=1), str(tmp_path / "eval"))
    config = load_config(
        "efficientdet-lite0",
        overrides=[
            "model.image_size=64", "model.backbone=efficientnet-lite-tiny", "model.max_level=5",
            "model.labels={1: disc, 2: square, 3: triangle}", "model.pyramid_width=16",
            "model.pyramid_repeats=1", "model.head_repeats=1", "train.steps=2",
            "train.log_every=2", "train.eval_every=2", "data.batch_size=4",
            "data.eval_batch_size=3",
            f"data.train_records={tmp_path}/train-*", f"data.eval_records={tmp_path}/eval-*",
        ],
    )  # fmt: skip
    strategy = make_strategy("tpu", tpu="local")
    workdir = tmp_path / "run"
    workflows.train(config, str(workdir), strategy, evaluate_too=True)
    assert json.loads((workdir / "recipe.json").read_text())["precision"] == "bfloat16"
    assert json.loads((workdir / "eval.json").read_text())["images"] == 5
    assert strategy.runs >= 2  # one graph that trains, one that detects
