"""Every target finds what the definition finds, and what the reference found."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from edet.config.schema import AnchorConfig, DetectConfig
from edet.geometry import nms
from edet.geometry.anchors import make_anchors
from edet.geometry.coding import decode_boxes
from edet.inference import postprocess as module
from edet.inference.postprocess import Postprocess
from tests.geometry.test_nms import slow_detections, slow_iou

ANCHORS = make_anchors((64, 64), range(3, 8), AnchorConfig())  # 765
TARGETS = ["any", "cpu", "portable"]


def postprocess_of(anchors, config: DetectConfig, detectable=None, num_classes=90) -> Postprocess:
    """With the ids 1, 2, ..."""
    return Postprocess(anchors, range(1, num_classes + 1), config, detectable)


def detect(
    config, logits, deltas, anchors, detectable=None, target="any", from_boxes=False
) -> dict[str, np.ndarray]:
    """Detects with a target in a graph; "xla" is any device's, compiled as for a TPU.

    From decoded boxes it goes without a graph, which would differ only in its beginning; but for
    the steps of "any", which are hundreds.
    """
    postprocess = postprocess_of(anchors, config, detectable, logits.shape[-1])
    outputs, find = (logits, deltas), postprocess
    if from_boxes:
        outputs, find = postprocess.decode(*outputs), postprocess.of_boxes
    if target in ("any", "xla") or not from_boxes:
        find = tf.function(find, jit_compile=target == "xla", autograph=False)
    target = "any" if target == "xla" else target
    size = 1 if target == "portable" else len(logits)  # it takes one image at a time
    parts = [
        find(*(output[i : i + size] for output in outputs), target=target)
        for i in range(0, len(logits), size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def slow_candidates(logits, deltas, anchors, config, detectable):
    """The pairs of one image by one sort over all: of equal logits the earlier pair comes first."""
    logits = np.where(True if detectable is None else detectable, logits, -np.inf).astype("f4")
    best = np.argsort(-logits, axis=None, kind="stable")[: config.pre_nms_top_k]
    rows, classes = best // logits.shape[1], best % logits.shape[1]
    if not config.pre_nms_top_k:
        rows, classes = np.arange(len(logits)), logits.argmax(-1)
    scores = 1 / (1 + np.exp(-logits[rows, classes]))
    return decode_boxes(deltas[rows], anchors[rows]).numpy(), scores, classes


def random_outputs(seed=0, batch=2, num_classes=5, anchors=765):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 2, (batch, anchors, num_classes)).astype("f4")
    return logits, rng.normal(0, 0.3, (batch, anchors, 4)).astype("f4"), ANCHORS[:anchors]


def few_values():
    """Scores that tie between anchors, between classes of an anchor, and at the k-th place.

    Candidates of ties come in multiples of 16: what is left over when a processor's registers are
    full it rounds differently, and two sigmoids of one logit are then not equal.
    """
    logits, deltas, anchors = random_outputs(num_classes=3, anchors=752)
    return np.round(logits) + 0.0, deltas, anchors  # without -0, which XLA puts below 0


def halves():
    """Whole boxes and their halves, which overlap by exactly 0.5; a few of each at a place."""
    logits, deltas, _ = few_values()
    corners = np.stack(np.divmod(np.arange(752) // 8, 10), -1) * 16.0
    boxes = [[y, x, y + 16, x + (16 if k % 2 else 8)] for k, (y, x) in enumerate(corners)]
    return logits, 0 * deltas, np.array(boxes, "f4")


def one_class_leads(lead):
    logits, *rest = random_outputs()
    logits[..., 3] += lead  # at 20 it has all places among the best anchors
    return logits, *rest


def equal_everywhere():
    logits, *rest = random_outputs()
    return 0 * logits, *rest


def nothing_there():
    logits, *rest = random_outputs()
    return logits - 20, *rest


NOT_THE_FOURTH = [True, True, True, False, True]
HARD, AGNOSTIC = {"nms": "hard"}, {"class_agnostic": True}
# outputs, settings, what is detectable
TABLE = {
    "soft": (random_outputs, {}, None),
    "soft agnostic": (random_outputs, AGNOSTIC, None),
    "soft narrow": (random_outputs, {"sigma": 0.2, "score_threshold": 0.3}, None),
    "hard": (random_outputs, HARD, None),
    "hard agnostic": (random_outputs, HARD | AGNOSTIC, None),
    "hard loose": (random_outputs, HARD | {"iou_threshold": 0.8, "max_detections": 20}, None),
    "best class of each anchor": (random_outputs, {"pre_nms_top_k": 0}, None),
    "one candidate": (random_outputs, {"pre_nms_top_k": 1}, None),
    "fewer candidates than detections": (random_outputs, {"pre_nms_top_k": 37}, None),
    "some candidates": (random_outputs, {"pre_nms_top_k": 200}, None),
    "as many candidates as anchors": (random_outputs, {"pre_nms_top_k": 765}, None),
    "one more": (random_outputs, {"pre_nms_top_k": 766}, None),
    "ties soft": (few_values, {"pre_nms_top_k": 96}, None),
    "ties hard": (few_values, HARD | {"pre_nms_top_k": 96}, None),
    "ties hard of all": (few_values, HARD, None),
    "ties agnostic": (few_values, HARD | AGNOSTIC | {"pre_nms_top_k": 96}, None),
    "ties of the best classes": (few_values, HARD | {"pre_nms_top_k": 0}, None),
    "ties everywhere": (equal_everywhere, HARD | {"pre_nms_top_k": 48}, None),
    "overlaps at the threshold": (halves, HARD | {"pre_nms_top_k": 304}, None),
    "only padding": (nothing_there, {}, None),
    "padding": (random_outputs, HARD | {"score_threshold": 0.9}, None),
    "undetectable": (lambda: one_class_leads(0), {"pre_nms_top_k": 100}, NOT_THE_FOURTH),
    "undetectable leads": (lambda: one_class_leads(20), {"pre_nms_top_k": 100}, NOT_THE_FOURTH),
    "undetectable of all": (lambda: one_class_leads(20), {}, NOT_THE_FOURTH),
    "undetectable best": (lambda: one_class_leads(20), {"pre_nms_top_k": 0}, NOT_THE_FOURTH),
    "voting": (random_outputs, {"box_voting": True}, None),
    "voting hard agnostic": (random_outputs, HARD | AGNOSTIC | {"box_voting": True}, None),
    "voting of each anchor": (random_outputs, {"box_voting": True, "pre_nms_top_k": 0}, None),
    "voting of few, padding": (
        random_outputs,
        HARD | {"box_voting": True, "pre_nms_top_k": 50, "score_threshold": 0.9},
        None,
    ),
    "few anchors": (lambda: random_outputs(anchors=9), {}, None),
    "one anchor, one class": (lambda: random_outputs(anchors=1, num_classes=1), {}, None),
    "many classes": (
        lambda: random_outputs(anchors=90, num_classes=300),
        {"pre_nms_top_k": 400},
        None,
    ),
}


@functools.cache
def by_definition(case):
    """Boxes, scores and classes of each image's detections, once for all targets."""
    make, settings, detectable = TABLE[case]
    config, (logits, deltas, anchors) = DetectConfig(**settings), make()
    found = []
    for of_image in zip(logits, deltas, strict=True):
        boxes, scores, classes = slow_candidates(*of_image, anchors, config, detectable)
        kept = slow_detections(boxes, scores, classes, config)
        rows = [row for row, _ in kept]
        kept_boxes = boxes[rows]
        if config.box_voting:
            best = slice(10 * config.max_detections if config.pre_nms_top_k else None)
            voters = boxes[best], scores[best], classes[best]
            kept_boxes = [slow_vote(boxes[row], classes[row], *voters) for row in rows]
        found.append((kept_boxes, [score for _, score in kept], classes[rows] + 1))
    return found


def slow_vote(box, box_class, boxes, scores, classes) -> np.ndarray:
    """The mean of the boxes of a class that overlap one by more than a half, if there are any."""
    overlap = slow_iou(box, boxes)
    weights = scores * np.exp(-((1 - overlap) ** 2) / 0.025)
    weights *= (overlap > 0.5) & (classes == box_class)
    return weights @ boxes / weights.sum() if weights.any() else box


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", TABLE)
def test_every_target_finds_what_the_definition_finds(case, target):
    """From logits and deltas, and from decoded boxes and scores.

    Scores within the rounding of some float32 factors (moving classes apart costs the portable
    target a digit), the same boxes and classes in one order.
    """
    make, settings, detectable = TABLE[case]
    logits, deltas, anchors = make()
    config = DetectConfig(**settings)
    tolerance = 1e-5 if target == "portable" else 1e-6
    from_outputs, from_boxes = (
        detect(config, logits, deltas, anchors, detectable, target, from_boxes)
        for from_boxes in (False, True)
    )
    for i, (boxes, scores, classes) in enumerate(by_definition(case)):
        count = len(scores)
        for found in (from_outputs, from_boxes):
            assert found["num_detections"][i] == count
            np.testing.assert_array_equal(found["classes"][i, :count], classes)
            np.testing.assert_allclose(found["scores"][i, :count], scores, rtol=0, atol=tolerance)
            np.testing.assert_allclose(found["boxes"][i, :count], boxes, rtol=1e-6, atol=1e-4)
            for name in ("boxes", "scores", "classes"):
                assert found[name].shape[1] == config.max_detections
                assert not found[name][i, count:].any()


@pytest.mark.parametrize("k", [0, 1, 100, 765, 5000])
def test_more_classes_than_an_operation_each_is_fast_for_are_found_alike(k, monkeypatch):
    outputs, config = random_outputs(), DetectConfig(pre_nms_top_k=k)
    expected = detect(config, *outputs, target="cpu")
    monkeypatch.setattr(module, "_MOST_CLASSES", 4)
    for name, value in detect(config, *outputs, target="cpu").items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("guess", [0.0, 0.5, 0.999])
def test_a_wrong_guess_of_the_last_score_changes_nothing(guess, monkeypatch):
    """With many classes CPUs leave out what scores less; too high a guess costs a second pass."""
    outputs, config = random_outputs(num_classes=20), DetectConfig()
    expected = detect(config, *outputs, target="any")
    assert 0.5 < expected["scores"].min() < 0.999
    real = nms.suppress_with_offsets

    def wrong(*candidates):
        found = real(*candidates)
        return found._replace(scores=tf.fill(found.scores.shape, guess))

    monkeypatch.setattr(nms, "suppress_with_offsets", wrong)
    found = detect(config, *outputs, target="cpu")
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-6)


def test_the_target_of_cpus_is_as_exact_for_boxes_far_outside():
    logits, deltas, anchors = random_outputs()
    deltas[..., 2:] += 5  # 150 times the anchor's sides
    found, expected = (
        detect(DetectConfig(), logits, deltas, anchors, target=target) for target in ("cpu", "any")
    )
    assert np.abs(expected["boxes"]).max() > 10_000
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("make", [random_outputs, few_values])
@pytest.mark.parametrize("k", [0, 1, 37, 1000, 10**6])  # 1000 is more than the 765 anchors
def test_candidates_are_those_of_one_sort_over_all_pairs(k, make, jit):
    logits, deltas, anchors = make()
    config = DetectConfig(pre_nms_top_k=k)
    select = tf.function(
        postprocess_of(anchors, config).candidates, jit_compile=jit, autograph=False
    )
    found = select(logits, deltas)
    assert found[1].shape == (2, min(k, logits[0].size) if k else len(anchors))
    for i in range(2):
        boxes, scores, classes = slow_candidates(logits[i], deltas[i], anchors, config, None)
        np.testing.assert_allclose(found[0][i], boxes, rtol=1e-6, atol=1e-4)
        np.testing.assert_allclose(found[1][i], scores, rtol=1e-6)
        np.testing.assert_array_equal(found[2][i], classes)


@pytest.mark.parametrize("shift", [-100, 0.5, 100])
def test_a_sample_of_anchors_that_misleads_changes_no_candidate(shift):
    """Every 16th anchor tells nearly what the k-th best is; here these differ from all others."""
    logits, deltas, anchors = random_outputs()
    logits[:, ::16] += shift
    config = DetectConfig(pre_nms_top_k=200)
    _, scores, classes = postprocess_of(anchors, config).candidates(logits, deltas)
    for i in range(2):
        _, *expected = slow_candidates(logits[i], deltas[i], anchors, config, None)
        np.testing.assert_allclose(scores[i], expected[0], rtol=1e-6)
        np.testing.assert_array_equal(classes[i], expected[1])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("target", ["any", "cpu"])
@pytest.mark.parametrize("k", [0, 50, 10**6])
def test_a_class_that_is_not_detectable_is_as_if_it_had_never_been_there(k, target, dtype):
    logits, deltas, anchors = one_class_leads(20)
    config = DetectConfig(pre_nms_top_k=k)
    found = detect(config, tf.cast(logits, dtype), deltas, anchors, NOT_THE_FOURTH, target)
    assert 4 not in found["classes"]
    assert found["num_detections"].min() >= 50
    logits[..., 3] = -50
    without = detect(config, tf.cast(logits, dtype), deltas, anchors, target=target)
    np.testing.assert_allclose(found["scores"], without["scores"], atol=1e-6)


def test_boxes_are_in_the_pictures_pixels_and_classes_are_its_ids():
    *outputs, anchors = random_outputs(num_classes=2)
    scales = np.array([[0.5, 0.25], [2, 4]], "f4")  # of y and x
    postprocess = Postprocess(anchors, [7, 30], DetectConfig())
    plain, found = postprocess(*outputs), postprocess(*outputs, scales)
    assert set(np.unique(found["classes"])) == {7, 30}
    factors = [[[2, 4, 2, 4]], [[0.5, 0.25, 0.5, 0.25]]]
    np.testing.assert_allclose(found["boxes"], plain["boxes"] * factors, rtol=1e-6)


# name in the golden file -> settings that differ. The reference's hard mode has no score threshold.
REFERENCE_MODES = {
    "global_gaussian_0": {"class_agnostic": True},
    "global_gaussian_0.4": {"class_agnostic": True, "score_threshold": 0.4},
    "global_gaussian_sigma0.3_max20": {"class_agnostic": True, "sigma": 0.3, "max_detections": 20},
    "global_hard_0": {"class_agnostic": True, "nms": "hard", "score_threshold": 0.0},
    "global_hard_0.4": {"class_agnostic": True, "nms": "hard", "score_threshold": 0.4},
    "global_hard_iou0.3": {
        "class_agnostic": True, "nms": "hard", "score_threshold": 0.0, "iou_threshold": 0.3,
    },
    "per_class_gaussian_0": {},
    "per_class_gaussian_0.4": {"score_threshold": 0.4},
    "per_class_hard_0": {"nms": "hard", "score_threshold": 0.0},
    "per_class_hard_0.4": {"nms": "hard", "score_threshold": 0.4},
    "global_gaussian_0_topk500": {"class_agnostic": True, "pre_nms_top_k": 500},
    # TensorFlow's combined NMS: every pair of an anchor and a class is a candidate.
    "combined_0.4": {"nms": "hard", "score_threshold": 0.4, "pre_nms_top_k": 10**6},
}  # fmt: skip


def assert_equal_to_reference(mode, outputs, anchors, figures, image, target):
    """`image` is None when the figures hold one image, else its row in them."""
    tolerance = 1e-5 if target == "portable" else 4e-7
    settings = {"pre_nms_top_k": 0, **REFERENCE_MODES[mode]}
    config = DetectConfig(**settings)
    found = detect(config, outputs[0][None], outputs[1][None], anchors, target=target)
    at = (lambda a: a) if image is None else (lambda a: a[image])
    scores = at(figures[f"{mode}/scores"])
    count = len(scores) if image is None else int(figures[f"{mode}/valid_len"][image])
    assert found["num_detections"].tolist() == [count]
    # A score is a sigmoid times up to 99 factors in float32: 2.4e-7 measured (portable: 8e-6).
    np.testing.assert_allclose(found["scores"][0, :count], scores[:count], atol=tolerance)
    classes = at(figures[f"{mode}/classes"])[:count]
    np.testing.assert_array_equal(found["classes"][0, :count], classes)
    boxes = found["boxes"][0, :count]
    if config.class_agnostic or "combined" in mode:  # the reference clips in these modes only
        height, width = figures["image_size"]
        boxes = boxes.clip(0, [height, width, height, width])
    scale = figures["image_scale"] if image is None else figures["image_scales"][image]
    np.testing.assert_allclose(boxes * scale, at(figures[f"{mode}/boxes"])[:count], atol=1e-4)


@pytest.mark.parametrize("target", [*TARGETS, pytest.param("xla", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("mode", REFERENCE_MODES)
def test_detections_equal_the_reference(golden, mode, target):
    # The file keeps the 973 of 2907 anchors that score at least as much as the last detection; the
    # others can neither be detected nor lower anybody's score.
    figures = np.load(golden / "post.npz")
    anchors = make_anchors(tuple(map(int, figures["image_size"])), range(3, 8), AnchorConfig())
    outputs = figures["class_logits"], figures["box_deltas"]
    assert_equal_to_reference(mode, outputs, anchors[figures["rows"]], figures, None, target)


def all_outputs(figures):
    """Logits [2, A, K], deltas [2, A, 4] and anchors of a full golden file."""
    logits, deltas = (
        np.concatenate([figures[f"{name}_{k}"].reshape(2, -1, width) for k in range(3, 8)], 1)
        for name, width in (("cls", int(figures["num_classes"])), ("box", 4))
    )
    size = tuple(map(int, figures["image_size"]))
    return logits, deltas, make_anchors(size, range(3, 8), AnchorConfig())


@pytest.mark.parametrize("mode", REFERENCE_MODES)
@pytest.mark.parametrize(
    # 90 classes; 7, not square, whose best anchors are those of post.npz
    "file",
    ["post_0.npz", pytest.param("post_1.npz", marks=pytest.mark.thorough)],
)
def test_detections_of_all_anchors_of_two_images_equal_the_reference(shared, file, mode):
    figures = np.load(shared / "golden" / file)
    logits, deltas, anchors = all_outputs(figures)
    for image in (0, 1):
        outputs = logits[image], deltas[image]
        assert_equal_to_reference(mode, outputs, anchors, figures, image, "any")


@pytest.mark.parametrize("file", ["post_0.npz", "post_1.npz"])
def test_candidates_equal_the_reference(shared, file):
    figures = np.load(shared / "golden" / file)
    *outputs, anchors = all_outputs(figures)
    boxes, scores, classes = postprocess_of(anchors, DetectConfig(pre_nms_top_k=0)).candidates(
        *outputs
    )
    np.testing.assert_array_equal(boxes, figures["pre_nms/boxes"])
    np.testing.assert_allclose(scores, figures["pre_nms/scores"], atol=2e-7)
    np.testing.assert_array_equal(classes, figures["pre_nms/classes"])
    boxes, scores, classes = postprocess_of(anchors, DetectConfig(pre_nms_top_k=500)).candidates(
        *outputs
    )
    for image in (0, 1):  # the reference's order is not defined; no two scores are equal
        order = np.argsort(-figures["pre_nms_topk500/scores"][image])
        for found, key in ((boxes, "boxes"), (scores, "scores"), (classes, "classes")):
            expected = figures[f"pre_nms_topk500/{key}"][image][order]
            np.testing.assert_allclose(found[image], expected, atol=2e-7)
