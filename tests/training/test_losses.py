"""Losses against the reference's figures, single numbers by hand, and finite differences."""

import json

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from edet.config.schema import AnchorConfig, LossConfig
from edet.geometry.anchors import make_anchors
from edet.geometry.boxes import coordinates
from edet.geometry.coding import decode_boxes
from edet.geometry.targets import Targets
from edet.training import losses as L
from tests.golden import filler

IOU_KINDS = ("iou", "giou", "diou", "ciou")


def value_and_gradient(function, x):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value.numpy(), tf.convert_to_tensor(tape.gradient(value, x)).numpy()


def iou_loss(boxes, gt_boxes, kind):
    """The loss of boxes [..., 4]."""
    return L.iou_loss(coordinates(boxes), coordinates(gt_boxes), kind)


def focal(logit, positive, **settings):
    """The focal loss of one logit of one anchor."""
    target = tf.constant([[0 if positive else -1]])
    return lambda x: L.focal_loss(x[None, None, None], target, LossConfig(**settings))[0, 0, 0]


# ---- class loss ----


def quality(kind, logit, overlap, **settings):
    """The loss of one logit of an anchor whose box has this overlap; None: a background anchor."""
    config = LossConfig(class_loss=kind, **settings)
    target = [[-1 if overlap is None else 0]]
    given = np.array([[overlap or 0.0]], "f4")
    return lambda x: L.quality_loss(x[None, None, None], np.array(target), given, config)[0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "overlap", "expected"),
    [
        ("quality_focal", 0.75, 0.25**2 * np.log(2)),  # |0.75 - 0.5|^2 CE
        ("quality_focal", None, 0.5**2 * np.log(2)),
        ("varifocal", 0.75, 0.75 * np.log(2)),
        ("varifocal", None, 0.75 * 0.5**2 * np.log(2)),  # 1 - alpha = 0.75
    ],
)
def test_quality_losses_of_one_logit_by_hand(kind, overlap, expected):
    """p = sigmoid(0) = 1/2, whose cross entropy is ln 2 with whatever q."""
    found = quality(kind, 0.0, overlap, gamma=2.0)(tf.constant(0.0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["quality_focal", "varifocal"])
def test_quality_losses_are_least_where_the_score_is_the_overlap(kind):
    score = np.arange(0.05, 1, 0.1).astype("f4")
    losses = [quality(kind, 0, 0.65)(tf.constant(np.log(p / (1 - p)))) for p in score]
    assert score[np.argmin(losses)] == pytest.approx(0.65)


@pytest.mark.parametrize("kind", ["quality_focal", "varifocal"])
@pytest.mark.parametrize("overlap", [0.0, 0.4, 1.0, None])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("logit", [-1e4, -60.0, 0.0, 60.0, 1e4])
def test_quality_losses_and_gradients_stay_finite(kind, overlap, gamma, logit):
    found = value_and_gradient(quality(kind, logit, overlap, gamma=gamma), np.float32(logit))
    assert np.isfinite(found).all()
    assert found[0] >= 0


def test_the_quality_of_an_anchor_is_the_overlap_of_the_box_that_it_finds():
    """The anchor itself, 10 x 10, for an object of 10 x 5: q = 1/2 = sigmoid(0), no loss left."""
    anchors = np.array([[0, 0, 10, 10]], "f4")
    deltas = [[[-0.25, 0, np.log(0.5), 0]]]
    targets = Targets(np.array([[0]]), np.array(deltas, "f4"), np.array([1.0], "f4"))
    losses = {
        logit: L.detection_losses(
            np.full((1, 1, 1), logit, "f4"), np.zeros((1, 1, 4), "f4"), targets, anchors, 1.0,
            LossConfig(class_loss="quality_focal"),
        )["class_loss"]
        for logit in (-0.1, 0.0, 0.1)
    }  # fmt: skip
    assert float(losses[0.0]) == pytest.approx(0, abs=1e-6)
    assert min(float(losses[-0.1]), float(losses[0.1])) > 1e-4


def test_focal_loss_of_one_logit_by_hand():
    # p = sigmoid(0) = 1/2: alpha * (1/2)^1.5 * ln 2 for a positive, (1 - alpha) for a negative.
    hard = 0.5**1.5 * np.log(2)
    np.testing.assert_allclose(focal(0.0, True)(tf.constant(0.0)), 0.25 * hard, rtol=1e-6)
    np.testing.assert_allclose(focal(0.0, False)(tf.constant(0.0)), 0.75 * hard, rtol=1e-6)
    # gamma 0 and alpha 1/2 leave half the cross entropy.
    plain = focal(1.0, True, gamma=0.0, alpha=0.5)(tf.constant(1.0))
    np.testing.assert_allclose(plain, 0.5 * np.log(1 + np.exp(-1)), rtol=1e-6)


def slow_focal(x, y, alpha, gamma, smoothing):
    """Reference 3.6, float64; y is 0 or 1."""
    p = 1 / (1 + np.exp(-x))
    p_t, alpha_t = y * p + (1 - y) * (1 - p), y * alpha + (1 - y) * (1 - alpha)
    soft = y * (1 - smoothing) + 0.5 * smoothing
    cross_entropy = -soft * np.log(p) - (1 - soft) * np.log(1 - p)
    return alpha_t * (1 - p_t) ** gamma * cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 1.5, 2.0])
def test_focal_loss_and_its_gradient_equal_the_textbook_formula(gamma, smoothing):
    x = np.linspace(-12, 12, 49)
    config = LossConfig(gamma=gamma, alpha=0.3, label_smoothing=smoothing)
    for target, y in ((0, 1.0), (-1, 0.0)):
        targets = np.full((1, len(x)), target, "i4")
        value, gradient = value_and_gradient(
            lambda logits, t=targets: L.focal_loss(logits, t, config),
            x[None, :, None].astype("f4"),
        )
        expected = slow_focal(x, y, 0.3, gamma, smoothing)
        np.testing.assert_allclose(value.ravel(), expected, rtol=3e-6, atol=1e-7)
        h = 1e-4
        slope = slow_focal(x + h, y, 0.3, gamma, smoothing)
        slope = (slope - slow_focal(x - h, y, 0.3, gamma, smoothing)) / (2 * h)
        np.testing.assert_allclose(gradient.ravel(), slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("logit", [-1e4, -60.0, 60.0, 1e4])
def test_focal_loss_and_gradient_stay_finite_and_right_for_extreme_logits(
    logit, positive, smoothing
):
    loss = focal(logit, positive, label_smoothing=smoothing)
    value, gradient = value_and_gradient(loss, tf.constant(logit))
    wrong = (logit < 0) == positive
    alpha = 0.25 if positive else 0.75
    # Surely wrong: the cross entropy is |logit| and the modulator 1. Surely right: nothing.
    expected = alpha * abs(logit) * (1 - smoothing / 2) if wrong else 0.0
    slope = alpha * (1 - smoothing / 2) * np.sign(logit) if wrong else 0.0
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-20)
    # Two terms of gamma |logit| cancel in the gradient; what is left keeps their rounding.
    rounding = 1e-7 * abs(logit) if wrong else 1e-20
    np.testing.assert_allclose(gradient, slope, atol=rounding)


def test_an_anchor_pulls_only_the_logit_of_its_class_up():
    logits, targets = tf.zeros((1, 2, 4)), tf.constant([[2, -1]])
    _, gradient = value_and_gradient(
        lambda x: tf.reduce_sum(L.focal_loss(x, targets, LossConfig())), logits
    )
    assert (np.sign(gradient[0]) == [[1, 1, -1, 1], [1, 1, 1, 1]]).all()


@pytest.mark.parametrize("level", [6, 7])
def test_class_loss_of_a_level_equals_the_reference(golden, level):
    figures = np.load(golden / "losses.npz")
    logits, classes = figures[f"class_logits_{level}"], figures[f"class_targets_{level}"]
    loss = tf.reduce_sum(L.focal_loss(logits, classes, LossConfig())) / figures["normalizer"]
    np.testing.assert_allclose(loss, figures[f"class_loss_{level}"], rtol=1e-6)


@pytest.mark.parametrize("level", [6, 7])
def test_class_gradient_of_a_level_is_the_slope_of_the_references_formula(golden, level):
    figures = np.load(golden / "losses.npz")
    logits, classes = figures[f"class_logits_{level}"], figures[f"class_targets_{level}"]
    _, gradient = value_and_gradient(
        lambda x: tf.reduce_sum(L.focal_loss(x, classes, LossConfig())), logits
    )
    one_hot = (classes[..., None] == np.arange(90)).astype("f8")
    x, h = logits.astype("f8"), 1e-4
    slope = slow_focal(x + h, one_hot, 0.25, 1.5, 0) - slow_focal(x - h, one_hot, 0.25, 1.5, 0)
    np.testing.assert_allclose(gradient, slope / (2 * h), rtol=1e-5, atol=1e-6)


# ---- box loss ----


def test_huber_loss_by_hand():
    # delta 0.1: 0.05^2 / 2 inside; 0.1 * (0.3 - 0.05) outside.
    np.testing.assert_allclose(
        L.huber_loss(np.array([0.0, 0.05, -0.05, 0.3, -0.3], "f4"), 0.1),
        [0, 0.00125, 0.00125, 0.025, 0.025],
        rtol=1e-6,
    )


def test_huber_loss_pulls_with_the_error_up_to_delta_and_then_with_delta():
    _, gradient = value_and_gradient(
        lambda error: L.huber_loss(error, 0.1), np.array([0.0, 0.05, -0.05, 0.3, -7.0], "f4")
    )
    np.testing.assert_allclose(gradient, [0, 0.05, -0.05, 0.1, -0.1], rtol=1e-6)


def test_box_loss_of_a_level_equals_the_reference(golden):
    figures = np.load(golden / "losses.npz")
    deltas, box_targets = figures["box_deltas"], figures["box_targets"]
    assert box_targets.all()  # no target is exactly 0: here the reference's mask is right
    loss = tf.reduce_sum(L.huber_loss(deltas - box_targets, 0.1)) / (4 * figures["normalizer"])
    np.testing.assert_allclose(loss, figures["box_loss"], rtol=1e-6)


def test_box_gradient_of_a_level_is_the_error_up_to_delta(golden):
    figures = np.load(golden / "losses.npz")
    targets = figures["box_targets"]
    _, gradient = value_and_gradient(
        lambda x: tf.reduce_sum(L.huber_loss(x - targets, 0.1)), figures["box_deltas"]
    )
    error = figures["box_deltas"] - targets
    assert 0.1 < (np.abs(error) < 0.1).mean() < 0.9  # both branches are in it
    np.testing.assert_allclose(gradient, error.clip(-0.1, 0.1), rtol=1e-6)


SMALL_ANCHORS = np.array([[0, 0, 10, 10], [0, 20, 10, 40]], "f4")


def small_losses(box_deltas, box_targets, class_targets=(0, -1), normalizer=1.0, **settings):
    """The losses of one image of two anchors, the first one positive."""
    targets = Targets(
        tf.constant([class_targets]), tf.constant([box_targets], tf.float32), tf.constant([1.0])
    )
    return L.detection_losses(
        tf.zeros((1, 2, 1)),
        [box_deltas],
        targets,
        SMALL_ANCHORS,
        normalizer,
        LossConfig(**settings),
    )


def test_a_target_of_exactly_zero_counts():
    # The object is centred on its anchor (tx = 0) and the network says 0.3. The reference masks the
    # box loss where the target is 0 and would leave the mistake alone, so a perfectly placed anchor
    # is the one that is never taught; no released weight depends on it.
    deltas, target = [[0.0, 0.3, 0.0, 0.0], [0.0] * 4], [[0.0, 0.0, 0.0, 0.0], [0.0] * 4]
    loss = small_losses(np.array(deltas, "f4"), target)["box_loss"]
    np.testing.assert_allclose(loss, 0.025 / 4, rtol=1e-6)


def test_background_anchors_have_no_box_loss():
    deltas = np.array([[0.0] * 4, [5.0] * 4], "f4")
    for kind in ("none", *IOU_KINDS):
        losses = small_losses(deltas, [[0.0] * 4, [0.0] * 4], iou_loss=kind)
        assert losses["box_loss"] == 0
        assert losses.get("iou_loss", 0) == 0


def test_total_is_the_weighted_sum_and_box_terms_are_divided_by_four_normalizers():
    deltas = np.array([[0.0, 1.0, 0.0, 0.0], [0.0] * 4], "f4")  # one anchor side to the right
    settings = {"box_weight": 7.0, "iou_weight": 3.0, "iou_loss": "iou"}
    losses = small_losses(deltas, [[0.0] * 4, [0.0] * 4], normalizer=2.0, **settings)
    np.testing.assert_allclose(losses["box_loss"], 0.095 / 8, rtol=1e-6)
    np.testing.assert_allclose(losses["iou_loss"], 1 / 8, rtol=1e-6)  # no overlap left
    # One positive and one negative logit of 0: (0.25 + 0.75) * 0.5^1.5 * ln 2.
    np.testing.assert_allclose(losses["class_loss"], 0.5**1.5 * np.log(2) / 2, rtol=1e-6)
    total = losses["class_loss"] + 7 * losses["box_loss"] + 3 * losses["iou_loss"]
    np.testing.assert_allclose(losses["total"], total, rtol=1e-6)


def test_iou_loss_is_absent_unless_asked_for():
    losses = small_losses(np.zeros((2, 4), "f4"), np.zeros((2, 4)))
    assert set(losses) == {"class_loss", "box_loss", "total"}


# ---- IoU losses ----


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("iou", [0.875, 1.0]),
        ("giou", [1.075, 1.933333]),
        ("diou", [0.9969512, 1.6243094]),
        ("ciou", [0.99931306, 1.6415315]),
    ],
)
def test_iou_losses_of_two_boxes_that_the_reference_quotes(kind, expected):
    boxes = np.array([[4, 3, 7, 5], [5, 6, 10, 7]], "f4")
    gt_boxes = np.array([[3, 4, 6, 8], [14, 14, 15, 15]], "f4")
    np.testing.assert_allclose(iou_loss(boxes, gt_boxes, kind), expected, rtol=1e-6)
    np.testing.assert_array_equal(iou_loss(boxes, np.zeros_like(boxes), kind), [0, 0])


@pytest.mark.parametrize("kind", IOU_KINDS)
def test_iou_losses_equal_the_reference(golden, kind):
    figures = np.load(golden / "iou_losses.npz")
    value, gradient = value_and_gradient(
        lambda boxes: iou_loss(boxes, figures["target"], kind), figures["pred"]
    )
    np.testing.assert_allclose(value, figures[kind], atol=2e-7)
    if kind != "ciou":  # see below
        np.testing.assert_allclose(gradient, figures[f"grad_{kind}"], atol=2e-8)


def test_ciou_teaches_the_aspect():
    # The reference hangs the aspect's gradient on the target, so that the prediction learns DIoU
    # only. Here it is the derivative of the paper's loss with the trade-off alpha held fixed.
    boxes, gt_boxes = np.array([[1.0, 2, 9, 10]]), np.array([[0.0, 0, 4, 16]])  # 8 x 8, 4 x 16

    def aspect(boxes):
        angle = np.arctan2(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0])
        return 4 / np.pi**2 * (angle - np.arctan2(16, 4)) ** 2

    v = aspect(boxes)
    iou = 3 * 8 / (64 + 64 - 3 * 8)
    alpha = v / (1 - iou + v)
    step = 1e-5 * np.eye(4)
    slope = np.array([(aspect(boxes + h) - aspect(boxes - h))[0] for h in step]) / 2e-5
    diou, diou_gradient = value_and_gradient(lambda x: iou_loss(x, gt_boxes, "diou"), boxes)
    ciou, ciou_gradient = value_and_gradient(lambda x: iou_loss(x, gt_boxes, "ciou"), boxes)
    np.testing.assert_allclose(ciou - diou, alpha * v, rtol=1e-9)
    np.testing.assert_allclose(ciou_gradient[0] - diou_gradient[0], alpha * slope, rtol=1e-6)
    assert slope[2] > 0.01  # a taller box is further from 4 x 16


@pytest.mark.parametrize("kind", IOU_KINDS)
@pytest.mark.parametrize("size", [-60.0, 0.0, 60.0])
def test_gradients_of_iou_losses_are_finite_for_wild_deltas(kind, size):
    def loss(deltas):
        return small_losses(deltas, [[0.1] * 4, [0.0] * 4], iou_loss=kind)["total"]

    value, gradient = value_and_gradient(loss, np.full((2, 4), size, "f4"))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", IOU_KINDS)
def test_a_background_anchor_never_spoils_the_gradient_of_an_iou_loss(kind):
    # Nothing holds the deltas of background anchors; 1e30 squared is inf, and 0 x inf is NaN.
    def loss(deltas):
        return small_losses(deltas, [[0.1] * 4, [0.0] * 4], iou_loss=kind)["iou_loss"]

    value, gradient = value_and_gradient(loss, np.array([[0.2] * 4, [1e30] * 4], "f4"))
    assert value > 0
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(st.integers(0, 2**32 - 1))
def test_iou_losses_are_ordered_and_zero_for_equal_boxes(seed):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 50, (2, 8, 2)), rng.uniform(1, 60, (2, 8, 2))
    boxes, gt_boxes = np.concatenate([corner, corner + side], -1).astype("f4")
    iou, giou, diou, ciou = (iou_loss(boxes, gt_boxes, kind).numpy() for kind in IOU_KINDS)
    assert (iou >= -1e-6).all()
    assert (iou <= 1).all()
    assert (giou >= iou - 1e-6).all()
    assert (giou <= 2).all()
    assert (diou >= iou - 1e-6).all()
    assert (ciou >= diou - 1e-6).all()
    for kind in IOU_KINDS:
        np.testing.assert_allclose(iou_loss(boxes, boxes, kind), 0, atol=1e-6)


# ---- whole ----


@pytest.fixture(scope="module")
def figures_128(shared):
    """Logits, deltas, targets, anchors and the file of D0 at 128 pixels, two images."""
    figures = np.load(shared / "golden" / "losses_128.npz")

    def joined(name, width):
        return np.concatenate(
            [figures[f"{name}_{level}"].reshape(2, -1, width) for level in range(3, 8)], axis=1
        )

    classes = joined("cls_targets", 1)[..., 0]
    targets = Targets(
        tf.constant(classes),
        tf.constant(joined("box_targets", 4)),
        tf.constant((classes >= 0).sum(1), tf.float32),
    )
    anchors = make_anchors((128, 128), range(3, 8), AnchorConfig())
    return joined("cls", 90), joined("box", 4), targets, anchors, figures


VARIANTS = {
    "default": {},
    "label_smoothing_0.1": {"label_smoothing": 0.1},
    "gamma2_alpha0.5": {"gamma": 2.0, "alpha": 0.5},
    "delta1": {"huber_delta": 1.0},
}


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_equal_the_reference(figures_128, variant, jit):
    logits, deltas, targets, anchors, figures = figures_128
    normalizer = L.loss_normalizer(targets.num_positives)
    assert normalizer == figures["normalizer"]
    run = tf.function(L.detection_losses, jit_compile=jit)
    # Eight targets of positive anchors are exactly 0. The reference leaves them out (see above);
    # a prediction that equals them has the same effect.
    deltas = np.where(targets.box_targets == 0, 0, deltas)
    losses = run(logits, deltas, targets, anchors, normalizer, LossConfig(**VARIANTS[variant]))
    expected = {"class_loss": "cls_loss", "box_loss": "box_loss", "total": "det_loss"}
    for name, loss in losses.items():
        # Sums of 552,420 float32 terms in another order.
        reference = figures[f"loss/{variant}/{expected[name]}"]
        np.testing.assert_allclose(loss, reference, rtol=2e-6, err_msg=name)


def test_losses_of_every_level_and_without_a_box_term_equal_the_reference(figures_128):
    logits, deltas, targets, anchors, figures = figures_128
    deltas = np.where(targets.box_targets == 0, 0, deltas)  # as above
    normalizer = figures["normalizer"]
    ends = np.cumsum([9 * side * side for side in (16, 8, 4, 2, 1)])
    for level, stop in zip(range(3, 8), ends, strict=True):
        part = slice(stop - 9 * (128 >> level) ** 2, stop)
        of_level = Targets(targets.class_targets[:, part], targets.box_targets[:, part], None)
        losses = L.detection_losses(
            logits[:, part], deltas[:, part], of_level, anchors[part], normalizer, LossConfig()
        )
        for name, key in (("class_loss", "cls"), ("box_loss", "box")):
            expected = figures[f"per_level/{key}_{level}"]
            np.testing.assert_allclose(losses[name], expected, rtol=2e-6, err_msg=f"{key} {level}")
    config = LossConfig(box_weight=0.0)
    total = L.detection_losses(logits, deltas, targets, anchors, normalizer, config)["total"]
    np.testing.assert_allclose(total, figures["loss/box_weight_0/det_loss"], rtol=2e-6)


@pytest.mark.parametrize("kind", IOU_KINDS)
def test_overlaps_are_measured_on_whole_boxes_at_their_own_anchors(figures_128, kind):
    # The reference joins the predictions level by level, images inside, but repeats the anchors
    # image by image, so with two images most deltas meet a wrong anchor. And where one target is
    # exactly 0 it sets one coordinate of both boxes to 0. Its number comes out when both mistakes
    # are repeated around `iou_loss`; `detection_losses` makes neither.
    logits, deltas, targets, anchors, figures = figures_128
    positive = targets.class_targets.numpy() >= 0
    codes, gt_codes = deltas, targets.box_targets.numpy()
    normalizer = L.loss_normalizer(targets.num_positives)

    def total(boxes, gt_boxes, rows):
        return iou_loss(boxes[rows], gt_boxes[rows], kind).numpy().sum() / (4 * normalizer)

    ends = np.cumsum([9 * side * side for side in (16, 8, 4, 2)])

    def level_major(values):
        levels = np.split(values, ends, axis=1)
        return np.concatenate([level.reshape(-1, *level.shape[2:]) for level in levels])

    mask, tiled = level_major(gt_codes != 0), np.tile(anchors, (2, 1))
    wrong = (decode_boxes(level_major(x), tiled).numpy() * mask for x in (codes, gt_codes))
    reference = figures[f"loss/{kind}/box_iou_loss"]
    np.testing.assert_allclose(total(*wrong, level_major(positive)), reference, rtol=2e-6)

    config = LossConfig(iou_loss=kind)
    losses = L.detection_losses(logits, deltas, targets, anchors, normalizer, config)
    right = total(*(decode_boxes(x, anchors).numpy() for x in (codes, gt_codes)), positive)
    np.testing.assert_allclose(losses["iou_loss"], right, rtol=1e-6)
    assert abs(right - reference) > 1e-4


def random_batch(images=4, anchors=60, classes=5):
    rng = np.random.default_rng(3)
    class_targets = np.where(
        rng.uniform(size=(images, anchors)) < 0.2, rng.integers(0, classes), -1
    )
    positive = class_targets >= 0
    targets = Targets(
        class_targets.astype("i4"),
        np.where(positive[..., None], rng.normal(0, 0.3, (images, anchors, 4)), 0).astype("f4"),
        positive.sum(1).astype("f4"),
    )
    logits = rng.normal(-2, 2, (images, anchors, classes)).astype("f4")
    deltas = rng.normal(0, 0.3, (images, anchors, 4)).astype("f4")
    return logits, deltas, targets, make_anchors((16, 16), range(3, 6), AnchorConfig())[:anchors]


def test_losses_of_replicas_add_up_to_the_loss_of_the_batch():
    logits, deltas, targets, anchors = random_batch(anchors=54)
    config, normalizer = LossConfig(iou_loss="ciou"), L.loss_normalizer(targets.num_positives)
    whole = L.detection_losses(logits, deltas, targets, anchors, normalizer, config)
    parts = [
        L.detection_losses(
            logits[part], deltas[part], Targets(*(t[part] for t in targets)), anchors, normalizer,
            config,
        )
        for part in (slice(0, 1), slice(1, 4))
    ]  # fmt: skip
    for name, loss in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), loss, rtol=1e-6)


def test_bfloat16_outputs_give_float32_losses():
    logits, deltas, targets, anchors = random_batch(anchors=54)
    low = [tf.cast(tensor, tf.bfloat16) for tensor in (logits, deltas)]
    normalizer, config = L.loss_normalizer(targets.num_positives), LossConfig(iou_loss="giou")
    losses = L.detection_losses(*low, targets, anchors, normalizer, config)
    rounded = [tf.cast(tensor, tf.float32) for tensor in low]
    expected = L.detection_losses(*rounded, targets, anchors, normalizer, config)
    for name, loss in losses.items():
        assert loss.dtype == tf.float32
        assert loss == expected[name]


def test_a_batch_without_objects_has_a_finite_loss():
    assert L.loss_normalizer(np.zeros(4, "f4")) == 1.0
    logits, deltas, targets, anchors = random_batch(anchors=54)
    nothing = Targets(np.full_like(targets.class_targets, -1), targets.box_targets * 0, None)
    losses = L.detection_losses(logits, deltas, nothing, anchors, 1.0, LossConfig())
    assert losses["box_loss"] == 0
    assert losses["total"] == losses["class_loss"] > 0


# ---- L2 ----


def test_l2_is_half_the_sum_of_squares_times_the_weight():
    kernels = [tf.constant([3.0, 4.0]), tf.constant([[2.0]], tf.bfloat16)]
    np.testing.assert_allclose(L.l2_loss(kernels, 0.1), 0.1 * (25 + 4) / 2, rtol=1e-6)
    assert L.l2_loss([], 0.1) == 0


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("backbone/stem/conv/kernel", True),
        ("head/separable/depthwise_kernel", True),
        ("head/separable/pointwise_kernel:0", True),
        ("head/separable/bias", False),
        ("backbone/stem/bn/gamma", False),
        ("cell/node/fusion_weights", False),
        ("cell/kernel/bias", False),
    ],
)
def test_l2_covers_kernels_only(path, expected):
    assert L.is_kernel(path) is expected


def test_l2_of_d0_equals_the_reference(shared):
    folder = shared / "golden"
    figures = np.load(folder / "losses_128.npz")
    meta = json.loads(str(figures["meta"]))
    variables = json.loads((folder / "d0_128_names.json").read_text())
    names = [(variable["name"], variable["shape"]) for variable in variables]
    kernels = [
        tf.constant(filler.weight(name, shape, meta["salt"], meta["gains"]))
        for name, shape in names
        if L.is_kernel(name)
    ]
    loss = L.l2_loss(kernels, meta["weight_decay"])
    np.testing.assert_allclose(loss, figures["reg_l2_loss_d0"], rtol=1e-6)
