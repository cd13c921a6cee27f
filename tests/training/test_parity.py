"""Three steps of D0 in training mode against the reference's, through our own TrainingStep.

What differs from the reference by design, and how the tests state it:
- It leaves out every delta whose target is exactly 0; here they are left out too, and what they
  would have added is checked on its own.
- It averages trainable variables only. Our averages of the batch-norm statistics are held against
  the same ramp over its statistics.
- Its trainer does not scale the start of the warm-up with the batch; the run is configured so.
- It reports the norm of the gradient after clipping, 10.
"""

import numpy as np
import pytest

from edet.config.schema import LossConfig
from edet.geometry.targets import assign_targets
from edet.training.losses import detection_losses, huber_loss
from tests.training import reference_steps
from tests.training.reference_steps import ANCHORS, norms


@pytest.fixture(scope="module")
def runner():
    return reference_steps.Runner()


@pytest.fixture(scope="module")
def figures(shared):
    return dict(np.load(shared / "golden" / "train_steps_256.npz"))


@pytest.fixture(scope="module")
def case(figures):
    return reference_steps.case_of_the_reference(figures)


@pytest.fixture(scope="module")
def steps(runner, case):
    return list(runner.take(case, 3))


def assert_gradients_close(found, expected, global_norm):
    """Within 1e-5 of each norm, or 1e-7 of the global one.

    The latter is the noise of sums over some 10^5 positions, and all there is of the gradient of a
    bias before batch norm, which is 0. Seen: 9.4e-6 and 3e-8.
    """
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7 * global_norm)


def assert_changes_close(found, expected):
    """Within 1e-5, or what rounding leaves of a weight of about 1 in float32. Seen: 2e-7."""
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-7)


def by_name(figures, key, names):
    """Figures in the reference's order of its variables, sorted by name."""
    order = np.argsort(figures[names])
    return figures[names][order].tolist(), figures[key][order]


def test_the_boxes_got_from_the_labels_give_these_labels_again(case, figures):
    targets = assign_targets(ANCHORS, case.gt_boxes, case.gt_classes, 0.5)
    for name, values, width in (
        ("cls", targets.class_targets, 1), ("box", targets.box_targets, 4),
    ):  # fmt: skip
        expected = np.concatenate(
            [figures[f"{name}_targets_{k}"].reshape(2, -1, width) for k in range(3, 8)], 1
        )
        np.testing.assert_allclose(np.reshape(values, expected.shape), expected, atol=2e-6)
    assert targets.num_positives.numpy().tolist() == [56, 213]
    assert figures["mean_num_positives"].tolist() == [[134.5], [134.5]]


def test_outputs_in_training_mode_equal_the_reference(steps, figures):
    """Batch norm by the statistics of the batch. Seen: 1e-5 of the largest entry."""
    start = 0
    for level, side in zip(range(3, 8), (32, 16, 8, 4, 2), strict=True):
        stop = start + 9 * side**2
        for name, key in (("class_logits", "cls"), ("box_deltas", "box")):
            if (expected := figures.get(f"train_{key}_{level}")) is not None:
                found = steps[0].outputs[name][:, start:stop].reshape(expected.shape)
                np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())
        start = stop


@pytest.mark.parametrize("k", [0, 1, 2])
def test_losses_and_rate_equal_the_reference(k, steps, figures):
    """Seen: 4e-7."""
    for ours, theirs in {
        "class_loss": "cls_loss", "box_loss": "box_loss", "l2_loss": "reg_l2_loss",
        "total_loss": "loss", "learning_rate": "learning_rate",
    }.items():  # fmt: skip
        expected = figures[f"step{k}/{theirs}"]
        assert steps[k].metrics[ours] == pytest.approx(expected, rel=5e-6), ours


def test_deltas_with_a_target_of_zero_are_all_that_our_box_loss_adds(case, steps, figures):
    """Seventeen of 1076 deltas of positive anchors; they add 0.18 % to the loss."""
    targets = assign_targets(ANCHORS, case.gt_boxes, case.gt_classes, 0.5)
    normalizer = figures["mean_num_positives"].sum() + 1
    deltas = steps[0].outputs["box_deltas"]
    ours = detection_losses(
        steps[0].outputs["class_logits"], deltas, targets, ANCHORS, normalizer, LossConfig()
    )["box_loss"]
    rows = case.left_out & (targets.class_targets.numpy() >= 0)[..., None]
    assert rows.sum() == 17
    added = huber_loss(deltas[rows], 0.1).numpy().sum() / (4 * normalizer)
    np.testing.assert_allclose(ours, figures["step0/box_loss"] + added, rtol=5e-6)
    assert added > 2e-5


def test_the_gradient_of_every_variable_equals_the_reference(steps, figures):
    names, expected = by_name(figures, "grad/norms", "grad/names")
    assert names == sorted(steps[0].gradients)
    global_norm = figures["grad/global_norm_raw"]
    assert_gradients_close(norms(steps[0].gradients), expected, global_norm)
    assert steps[0].metrics["gradient_norm"] == pytest.approx(global_norm, rel=5e-6)


def test_the_first_update_has_the_clipped_norm(steps, figures):
    velocity = np.linalg.norm(norms(steps[0].velocities)) / steps[0].metrics["learning_rate"]
    assert velocity == pytest.approx(figures["step0/gradient_norm"], rel=1e-6) == 10


@pytest.mark.parametrize("k", [0, 1, 2])
def test_every_variable_has_moved_as_far_as_in_the_reference(k, runner, steps, figures):
    """709 of them: weights by momentum and clipped gradients, statistics by batch moments."""
    names, expected = by_name(figures, f"step{k}/change_norms", "names")
    assert names == sorted(steps[k].values)
    assert_changes_close(norms(steps[k].values, runner.initial), expected)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_weights_and_their_averages_equal_the_reference(k, steps, figures):
    """Nine variables entry by entry. Seen: 1.2e-7 of the largest, a unit in the last place."""
    names = [key.removeprefix(f"step{k}/var/") for key in figures if f"step{k}/var/" in key]
    assert len(names) == 9
    for name in names:
        for kind, found in (("var", steps[k].values), ("ema", steps[k].averages)):
            expected = figures[f"step{k}/{kind}/{name}"]
            np.testing.assert_allclose(
                found[name], expected, rtol=0, atol=5e-7 * np.abs(expected).max(), err_msg=name
            )


def test_batch_norm_statistics_equal_the_reference(runner, steps, figures):
    """The moving variance follows the unbiased variance of the batch. Seen: 5e-7."""
    names = [key.removeprefix("step0/bn/") for key in figures if "step0/bn/" in key]
    assert len(names) == 216
    for name in names:
        expected = figures[f"step0/bn/{name}"]
        size = np.abs(expected).max()
        np.testing.assert_allclose(steps[0].values[name], expected, rtol=0, atol=2e-6 * size)
        # Ours are averaged too, by the ramp: a tenth of the old at the first step.
        average = 0.1 * runner.initial[name] + 0.9 * expected
        np.testing.assert_allclose(steps[0].averages[name], average, rtol=0, atol=2e-6 * size)


def test_a_repeatable_case_gives_the_recorded_figures(runner):
    """The same program gave the reference's steps above; this holds it fast on any machine."""
    recorded = np.load(reference_steps.RECORDED)
    found = reference_steps.describe(
        runner, list(runner.take(reference_steps.repeatable_case(), 2))
    )
    assert found["names"].tolist() == recorded["names"].tolist()
    np.testing.assert_allclose(found["metrics"], recorded["metrics"], rtol=5e-6)
    global_norm = np.linalg.norm(recorded["gradients"])
    assert_gradients_close(found["gradients"], recorded["gradients"], global_norm)
    for key in ("changes", "changes_of_averages"):
        assert_changes_close(found[key], recorded[key])
