"""One update: what it changes, that it learns, that it compiles, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from edet.models.efficientdet import freeze, part_of
from edet.models.layers import BatchNorm
from edet.training.variables import TrainingVariables
from tests.training.small import (
    make_batch,
    modern,
    seeded_network,
    small_config,
    small_step,
    unpacked,
)


def make(config, precision="float32", frozen=()):
    network = seeded_network(config, precision)
    freeze(network, frozen)
    step = small_step(network, config)
    return network, TrainingVariables(network, config.train.optimizer), step


@pytest.fixture(scope="module")
def made():
    """A network, its variables and their step; no test assigns to them."""
    return make(small_config())


def test_a_step_changes_what_it_returns_and_nothing_that_it_was_given(made):
    """Weights, statistics, velocities, averages and the count."""
    network, variables, step = made
    values = [v.numpy() for v in network.variables]
    before = variables.read()
    after, metrics = step(before, make_batch(0))
    for variable, value in zip(network.variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert int(after.step) == 1
    for name in ("trainable", "non_trainable", "velocities", "averages"):
        old, new = getattr(unpacked(before), name), getattr(unpacked(after), name)
        changed = [bool(tf.reduce_any(a != b)) for a, b in zip(old, new, strict=True)]
        # A bias before batch norm has no gradient, and levels too small for a box no positives.
        assert np.mean(changed) > 0.8, name
    assert all(np.isfinite(float(value)) for value in metrics.values())


# tests/training/test_parity.py takes the paper's steps beside the reference.
@pytest.mark.thorough
def test_a_batch_is_learnt_by_heart():
    config = small_config(
        train={"learning_rate": 2.0, "clip_norm": 10.0}, loss={"weight_decay": 0.0}
    )
    _, variables, step = make(config)
    batch = make_batch(1)

    @tf.function(autograph=False)
    def update():
        state, metrics = step(variables.read(), batch)
        variables.assign(state)
        return metrics["total_loss"]

    losses = [float(update()) for _ in range(40)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_batch_without_any_object_is_finite_and_only_pushes_classes_down(made):
    _, variables, step = made
    batch = make_batch(0)
    batch["gt_classes"] = tf.fill(batch["gt_classes"].shape, -1)
    _, metrics = step(variables.read(), batch)
    assert float(metrics["positives"]) == 0
    assert float(metrics["box_loss"]) == 0
    assert float(metrics["class_loss"]) > 0


def test_a_step_that_is_not_finite_changes_only_the_count(made):
    _, variables, step = made
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


def test_adamw_shrinks_kernels_by_itself_and_leaves_the_loss_alone():
    """rate x decay x weight beside a step of at most the rate; biases and scales have no decay."""
    config = small_config(train={"optimizer": "adamw", "adamw_decay": 0.5, "learning_rate": 0.01})
    network, variables, step = make(config)
    before = variables.read()
    after, metrics = step(before, make_batch(0))
    rate = float(metrics["learning_rate"])
    assert float(metrics["l2_loss"]) == 0
    for variable, old, new in zip(
        network.trainable_variables, before.trainable, after.trainable, strict=True
    ):
        kept = old * (1 - 0.5 * rate) if variable.path.endswith("kernel") else old
        assert float(tf.reduce_max(tf.abs(new - kept))) <= rate * 1.001, variable.path


def test_a_batch_is_learnt_by_heart_with_the_modern_recipe():
    _, variables, step = make(modern(small_config(), learning_rate=0.04))
    update = tf.function(lambda state: step(state, make_batch(1)), autograph=False)
    state, losses = variables.read(), []
    for _ in range(40):
        state, metrics = update(state)
        losses.append(float(metrics["total_loss"]))
    assert losses[-1] < 0.5 * losses[0]


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


def one_step(
    precision="float32", batch=None, change=lambda network: None, drops=0.5, recipe="paper", **train
):
    """The state and the metrics after one step with some settings; blocks drop half the images."""
    config = small_config(
        model=vars(small_config().model) | {"drop_connect_rate": drops},
        train=vars(small_config().train) | {"precision": precision} | train,
    )
    if recipe == "modern":
        config = modern(config)
    network = seeded_network(config, precision)
    change(network)
    step = small_step(network, config)
    return step(TrainingVariables(network, config.train.optimizer).read(), batch or make_batch(0))


def freeze_batch_norm(network):
    for layer in network.layers:
        layer.trainable = not isinstance(layer, BatchNorm)


def assert_equal_states(found, expected, atol):
    """Of AdamW only what its update is made of: its first step is +-rate for any gradient but 0."""
    weights = () if found.squares else ("trainable", "averages")
    for name in (*weights, "non_trainable", "velocities", "squares"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def plain():
    return one_step()


def test_bfloat16_has_float32_losses_near_those_of_float32(plain):
    _, metrics = one_step("bfloat16")
    for value in (*metrics.values(), *plain[1].values()):
        assert value.dtype == tf.float32
    assert float(metrics["total_loss"]) == pytest.approx(float(plain[1]["total_loss"]), rel=0.02)


@pytest.mark.parametrize("recipe", ["paper", "modern"])
def test_rematerialisation_changes_nothing(plain, recipe):
    """The same operations on the same numbers; seen is a difference of 0."""
    kept = plain if recipe == "paper" else one_step(recipe=recipe)
    assert_equal_states(one_step(remat=True, recipe=recipe)[0], kept[0], atol=1e-7)


@pytest.mark.parametrize("recipe", [pytest.param("paper", marks=pytest.mark.thorough), "modern"])
def test_micro_batches_equal_the_batch_where_batch_norm_is_frozen(recipe):
    """Losses, one normaliser, one clipping, drop connect and all updates; frozen bit for bit."""
    whole, parts = (
        one_step(
            change=freeze_batch_norm,
            micro_batches=count,
            remat=count > 1,
            recipe=recipe,
            clip_norm=0.1,
        )
        for count in (1, 2)
    )
    assert float(whole[1]["gradient_norm"]) > 0.1, "the test must exercise clipping"
    assert_equal_states(parts[0], whole[0], atol=1e-6)
    for frozen, before in zip(parts[0].non_trainable, whole[0].non_trainable, strict=True):
        np.testing.assert_array_equal(frozen, before)
    for name, value in whole[1].items():
        np.testing.assert_allclose(parts[1][name], value, rtol=2e-6, err_msg=name)


def test_micro_batches_of_the_same_images_equal_the_batch_with_batch_norm():
    """Statistics of a part are those of the whole then; but for n / (n - 1) of the variance."""
    rows = make_batch(0, size=2)
    twice = {name: tf.repeat(x, 2, axis=0) for name, x in rows.items()}  # every part: both images
    whole, parts = (one_step(batch=twice, drops=0.0, micro_batches=n)[0] for n in (1, 2))
    # Tolerance: batch norm over as few as 8 numbers makes much of the last digit.
    for a, b in zip(parts.trainable, whole.trainable, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def test_batch_norm_remembers_the_mean_of_its_micro_batches():
    """What the docstring says is different: statistics are those of the parts."""
    batch = make_batch(0)
    parts = [{name: x[k::2] for name, x in batch.items()} for k in range(2)]
    separate = [one_step(batch=part, drops=0.0)[0].non_trainable for part in parts]
    together = one_step(batch=batch, drops=0.0, micro_batches=2)[0].non_trainable
    for a, b, found in zip(*separate, together, strict=True):
        np.testing.assert_allclose(found, (a + b) / 2, rtol=1e-5, atol=1e-6)


def test_float16_scales_the_loss_until_its_gradient_is_finite():
    """An overflow is not a fault: the step is skipped, and the next one has half the scale."""
    config = small_config(model=vars(small_config().model) | {"drop_connect_rate": 0.5})
    _, variables, step = make(config, "float16")
    state = variables.read()
    assert float(state.loss_scale.scale) == 2.0**15
    norms = []
    while not norms or (norms[-1] == 0 and len(norms) < 12):
        before = state
        state, metrics = step(state, make_batch(0))
        norms.append(float(metrics["gradient_norm"]))
        assert np.isfinite(norms[-1])
    assert norms[:-1] == [0.0] * (len(norms) - 1)
    assert 2 <= len(norms) < 12
    assert float(state.loss_scale.scale) == 2.0 ** (15 - len(norms) + 1)
    assert int(state.loss_scale.good_updates) == 1
    # The same drop connect in float32: what was skipped counts as a step.
    exact = small_step(seeded_network(config, "float32"), config)
    start = TrainingVariables(exact.network).read()._replace(step=before.step)
    expected = exact(start, make_batch(0))[1]["total_loss"]
    np.testing.assert_allclose(metrics["total_loss"], expected, rtol=0.02)
    assert any(
        bool(tf.reduce_any(a != b)) for a, b in zip(state.trainable, before.trainable, strict=True)
    )
    nan = make_batch(0) | {"images": tf.fill([4, 32, 48, 3], np.float32("nan"))}
    _, metrics = step(state, nan)
    assert not np.isfinite(float(metrics["total_loss"]))  # that is one


@pytest.mark.thorough
@pytest.mark.parametrize("recipe", ["paper", "modern"])
def test_the_step_compiles_under_xla_and_gives_the_same_state(recipe):
    """Static shapes and no host operation: XLA on the CPU accepts what a TPU accepts.

    With blocks computed again and two micro-batches, which hold all that the plain step has, and
    five levels: with three a sum that cancels moves a fusion weight by 2.5e-5.
    Tolerance: XLA adds in another order, which moves float32 by about 1e-6 of its size.
    """
    model = vars(small_config().model) | {"max_level": 7}
    config = small_config(model=model, train={"remat": True, "micro_batches": 2})
    if recipe == "modern":
        config = modern(config)
    _, variables, step = make(config)
    state, batch = variables.read(), make_batch(2)
    expected, _ = tf.function(step, autograph=False)(state, batch)
    found, _ = tf.function(step, jit_compile=True, autograph=False)(state, batch)
    # Of AdamW a tenth of the gradient, of which the paper's first step is a thousandth.
    names, atol = (("trainable", "averages"), 2e-5)
    if recipe == "modern":
        names, atol = (("velocities", "squares"), 2e-4)
    for name in names:
        for a, b in zip(getattr(expected, name), getattr(found, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=atol, err_msg=name)
