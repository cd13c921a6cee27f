"""The scale halves when a gradient overflows and doubles after 2000 good updates."""

import keras
import tensorflow as tf

from edet.training.checkpoints import Checkpoints
from edet.training.loss_scale import LossScale, initial_loss_scale, next_loss_scale
from edet.training.variables import TrainingVariables
from edet.workdir import Workdir


def after(scale: float, good: int, is_finite: bool) -> tuple[float, int]:
    new = next_loss_scale(LossScale(tf.constant(scale), tf.constant(good)), tf.constant(is_finite))
    return float(new.scale), int(new.good_updates)


def test_an_overflow_halves_and_starts_to_count_again():
    assert after(32768.0, 1500, False) == (16384.0, 0)
    assert after(1.0, 0, False) == (1.0, 0)  # a loss is never made smaller


def test_good_updates_are_counted_and_the_2000th_doubles():
    assert after(1024.0, 0, True) == (1024.0, 1)
    assert after(1024.0, 1999, True) == (2048.0, 0)
    assert after(2.0**24, 1999, True) == (2.0**24, 0)


def test_a_run_starts_with_two_to_the_fifteenth():
    scale, good = initial_loss_scale()
    assert (float(scale), int(good)) == (32768.0, 0)


def run_in(folder, precision: str) -> tuple[TrainingVariables, Checkpoints]:
    """A run of one dense layer."""
    layer = keras.layers.Dense(2, name="head.dense", dtype=f"mixed_{precision}")
    variables = TrainingVariables(keras.Sequential([keras.Input((3,)), layer], name="network"))
    return variables, Checkpoints(Workdir(str(folder)), variables, keep=3)


def test_the_scale_is_in_the_checkpoint_of_a_float16_run(tmp_path):
    variables, checkpoints = run_in(tmp_path, "float16")
    variables.loss_scale.scale.assign(256.0)
    variables.loss_scale.good_updates.assign(7)
    checkpoints.save()
    again, checkpoints = run_in(tmp_path, "float16")
    assert checkpoints.restore_last()
    scale, good = again.read().loss_scale
    assert (float(scale), int(good)) == (256.0, 7)


def test_runs_go_on_from_checkpoints_of_another_precision(tmp_path):
    """bfloat16 has no scale; older checkpoints neither. float16 then starts with a fresh one."""
    before, checkpoints = run_in(tmp_path, "bfloat16")
    assert before.read().loss_scale == ()
    before.network.layers[0].kernel.assign(tf.fill([3, 2], 5.0))
    before.step.assign(3)
    checkpoints.save()
    scaled, checkpoints = run_in(tmp_path, "float16")
    assert checkpoints.restore_last()
    assert float(scaled.network.layers[0].kernel[0, 0]) == 5.0
    assert float(scaled.read().loss_scale.scale) == 2.0**15
    scaled.step.assign(4)
    checkpoints.save()
    after, checkpoints = run_in(tmp_path, "bfloat16")
    assert checkpoints.restore_last()
    assert int(after.step.numpy()) == 4
