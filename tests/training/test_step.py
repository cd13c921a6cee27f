"""One update: what it changes, that it learns, that it compiles, and what it refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import freeze, part_of
from edet.training.step import TrainingStep
from edet.training.variables import TrainingVariables
from tests.conftest import REPOSITORY
from tests.training.small import make_batch, seeded_network, small_config, small_recipe


def make(config, precision="float32", frozen=()):
    network = seeded_network(config, precision)
    freeze(network, frozen)
    step = TrainingStep(network, config, small_recipe(config))
    return network, TrainingVariables(network), step


def test_a_step_changes_weights_statistics_velocities_averages_and_the_count():
    _, variables, step = make(small_config())
    before = variables.read()
    after, metrics = step(before, make_batch(0))
    assert int(after.step) == 1
    for name in ("trainable", "non_trainable", "velocities", "averages"):
        old, new = getattr(before, name), getattr(after, name)
        changed = [bool(tf.reduce_any(a != b)) for a, b in zip(old, new, strict=True)]
        # A bias before batch norm has no gradient, and levels too small for a box no positives.
        assert np.mean(changed) > 0.8, name
    assert all(np.isfinite(float(value)) for value in metrics.values())


def test_the_state_that_was_given_is_not_touched():
    network, variables, step = make(small_config())
    before = [v.numpy() for v in network.variables]
    step(variables.read(), make_batch(0))
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_batch_is_learnt_by_heart():
    config = small_config(
        train={"learning_rate": 2.0, "clip_norm": 10.0}, loss={"weight_decay": 0.0}
    )
    _, variables, step = make(config)
    batch = make_batch(1)

    @tf.function
    def update():
        state, metrics = step(variables.read(), batch)
        variables.assign(state)
        return metrics["total_loss"]

    losses = [float(update()) for _ in range(40)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_batch_without_any_object_is_finite_and_only_pushes_classes_down():
    _, variables, step = make(small_config())
    batch = make_batch(0)
    batch["gt_classes"] = tf.fill(batch["gt_classes"].shape, -1)
    _, metrics = step(variables.read(), batch)
    assert float(metrics["positives"]) == 0
    assert float(metrics["box_loss"]) == 0
    assert float(metrics["class_loss"]) > 0


def test_a_step_that_is_not_finite_changes_only_the_count():
    config = small_config()
    _, variables, step = make(config)
    batch = make_batch(0)
    batch["images"] = tf.fill(batch["images"].shape, np.float32("nan"))
    before = variables.read()
    after, metrics = step(before, batch)
    assert not np.isfinite(float(metrics["total_loss"]))
    assert int(after.step) == 1
    for old, new in zip(tf.nest.flatten(before[1:]), tf.nest.flatten(after[1:]), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_frozen_part_stays_bit_for_bit():
    network, variables, step = make(small_config(), frozen=["backbone"])
    after, _ = step(variables.read(), make_batch(0))
    values = zip(
        [*network.trainable_variables, *network.non_trainable_variables],
        [*after.trainable, *after.non_trainable],
        strict=True,
    )
    changed = {part_of(v.path) for v, new in values if not np.array_equal(v, new)}
    assert changed == {"pyramid", "heads"}


def test_weight_decay_alone_shrinks_kernels_and_nothing_else():
    """rate x decay x weight is what one step takes off, when there is nothing to learn."""
    config = small_config(
        train={"clip_norm": 0.0, "schedule": "constant", "warmup_epochs": 0.0},
        loss={"weight_decay": 0.1, "alpha": 1.0},  # alpha 1: background weighs nothing
    )
    network, variables, step = make(config)
    batch = make_batch(0)
    batch["gt_classes"] = tf.fill(batch["gt_classes"].shape, -1)
    before = variables.read()
    after, metrics = step(before, batch)
    rate = float(metrics["learning_rate"])
    for variable, old, new in zip(
        network.trainable_variables, before.trainable, after.trainable, strict=True
    ):
        shrunk = old * (1 - 0.1 * rate) if variable.path.endswith("kernel") else old
        np.testing.assert_allclose(new, shrunk, rtol=1e-5, atol=1e-7, err_msg=variable.path)


def test_bfloat16_has_float32_losses_near_those_of_float32():
    results = []
    for precision in ("float32", "bfloat16"):
        _, variables, step = make(small_config(), precision)
        _, metrics = step(variables.read(), make_batch(0))
        assert {value.dtype for value in metrics.values()} == {tf.float32}
        results.append(float(metrics["total_loss"]))
    assert results[1] == pytest.approx(results[0], rel=0.02)


def test_the_step_compiles_under_xla_and_gives_the_same_state():
    """Static shapes and no host operation: XLA on the CPU accepts what a TPU accepts.

    Tolerance: XLA adds in another order, which moves float32 by about 1e-6 of its size.
    """
    _, variables, step = make(small_config())
    state, batch = variables.read(), make_batch(2)
    expected, _ = tf.function(step)(state, batch)
    found, _ = tf.function(step, jit_compile=True)(state, batch)
    for name in ("trainable", "averages"):
        for a, b in zip(getattr(expected, name), getattr(found, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """The final variables of the same six steps on 1, 2 and 4 logical devices.

    A process can hold one strategy only, so each count runs in a process of its own.
    """
    folder = tmp_path_factory.mktemp("replicas")
    script = REPOSITORY / "tests" / "training" / "run_replicas.py"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    runs = [
        subprocess.Popen([sys.executable, script, str(n), folder / f"{n}.npz"], env=environment)
        for n in (1, 2, 4)
    ]
    assert [run.wait() for run in runs] == [0, 0, 0]
    return {n: dict(np.load(folder / f"{n}.npz")) for n in (1, 2, 4)}


@pytest.mark.parametrize("replicas", [2, 4])
def test_any_number_of_replicas_ends_in_the_same_weights(states, replicas):
    """Six steps with synchronised batch norm, clipping that clips, decay and averages.

    Tolerance 1e-5: sums over replicas round otherwise; about 1e-6 is seen.
    """
    assert json.loads(str(states[1]["clipped"])), "the test must exercise clipping"
    for name, expected in states[1].items():
        if name != "clipped":
            np.testing.assert_allclose(
                states[replicas][name], expected, rtol=0, atol=1e-5, err_msg=name
            )
