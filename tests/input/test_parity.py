"""The pipeline from a record to a labelled batch against the reference's reader.

The committed figures of pixels are every fourth to eighth pixel (test_resize, test_augment and
test_pipeline use them); with ../shared beside the checkout all pixels are compared here.
"""

import numpy as np
import pytest
import tensorflow as tf

from edet.config import schema
from edet.geometry.anchors import make_anchors
from edet.geometry.targets import assign_targets
from edet.image.letterbox import fit, letterbox, normalize_images, pad_bottom_right
from edet.input import augment
from edet.input.pipeline import make_train_dataset
from edet.input.windows import make_eval_dataset
from tests.input.test_augment import golden_case, place, place_as_the_reference

MODEL = schema.ModelConfig()
LITE = schema.ModelConfig(mean_rgb=(127.0,) * 3, stddev_rgb=(128.0,) * 3)
IDS = (1000, 1001, 1002, 1003)


def config(**augment_settings):
    return schema.replace(
        schema.Config(),
        model={"image_size": 128},
        # Crowd boxes are left out in training only.
        data={"batch_size": 4, "max_boxes": 10, "skip_crowd": augment_settings["jitter_min"] < 1},
        augment=augment_settings | {"horizontal_flip": False},
    )


@pytest.mark.parametrize(("kind", "scale"), [("train", 0.75), ("eval", 1.0)])
def test_labels_of_the_references_records_equal_its_readers(kind, scale, golden):
    """tiny.tfrecord through our pipeline and target assignment; the reader's scale is fixed.

    Our evaluation needs no labels; a scale of 1 and no flip make the same boxes in training.
    """
    settings = config(jitter_min=scale, jitter_max=scale)
    (batch,) = make_train_dataset(settings, [str(golden / "tiny.tfrecord")]).take(1)
    anchors = make_anchors((128, 128), range(3, 8), settings.model.anchors)
    targets = assign_targets(anchors, batch["gt_boxes"], batch["gt_classes"], 0.5)
    figures = np.load(golden / "pipeline_targets.npz")
    order = np.argsort(batch["image_ids"])
    for row, source_id in zip(order, IDS, strict=True):
        expected = {
            key: figures[f"{kind}/{source_id}/{key}"]
            for key in ("positive", "class_targets", "box_targets")
        }
        positive = np.flatnonzero(targets.class_targets[row] >= 0)
        np.testing.assert_array_equal(positive, expected["positive"])
        assert targets.num_positives[row] == len(positive)
        classes = targets.class_targets.numpy()[row, positive]
        np.testing.assert_array_equal(classes, expected["class_targets"])
        # Both compute in float32; boxes of up to 128 pixels over anchors of 32 and more.
        deltas = targets.box_targets.numpy()[row, positive]
        np.testing.assert_allclose(deltas, expected["box_targets"], atol=2e-6)


def test_every_pixel_of_an_evaluation_batch_equals_the_reference(golden, shared):
    """Seen: 1e-6. The reference normalises first, we resize first."""
    settings = config(jitter_min=1.0, jitter_max=1.0)
    records = [str(golden / "tiny.tfrecord")]
    (batch,) = make_eval_dataset(settings.model, records, 4)
    figures = np.load(shared / "golden" / "pipeline_eval.npz")
    expected = np.concatenate([figures["0/images"], figures["1/images"]])
    found = normalize_images(batch["images"], settings.model)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize(("key", "model"), [("out", MODEL), ("lite_out", LITE)])
def test_every_pixel_of_a_letterbox_equals_the_reference(case, key, model, shared):
    figures = np.load(shared / "golden" / "preprocess.npz")
    size = tuple(int(side) for side in figures[f"{case}/out_size"])
    image, *_ = letterbox(figures[f"{case}/image"], size, model.mean_rgb)
    found = normalize_images(image, model)
    np.testing.assert_allclose(found, figures[f"{case}/{key}"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("case", range(5))
def test_every_pixel_of_a_jittered_crop_equals_the_reference(case, shared):
    """Our own crops lie up to half a pixel beside (test_augment), so its rule stands for them."""
    figure, size, draws = golden_case(np.load(shared / "golden" / "train_preprocess.npz"), case)
    is_whole = case in (1, 4)
    placed = place if is_whole else place_as_the_reference
    image, boxes = placed(figure["image"], figure["boxes"], draws, size)
    found = normalize_images(pad_bottom_right(image, size, MODEL.mean_rgb), MODEL)
    np.testing.assert_allclose(found, figure["out"], rtol=0, atol=2e-6)
    boxes, is_kept = augment.clip_boxes(tf.cast(boxes, tf.float32), size, min_visible=0.0)
    np.testing.assert_allclose(boxes[is_kept], figure["out_boxes"], rtol=1e-5, atol=1e-5)


# ---- the reference's own photo, 636 x 1024, whose pixels are not among the figures ----


@pytest.mark.parametrize(("name", "side"), [("512", 512), ("640", 640), ("lite320", 320)])
def test_the_photo_has_the_size_and_scale_of_the_reference(name, side, golden):
    figures = np.load(golden / "photo.npz")
    height, width, _ = figures["decoded_shape"]
    scales, size = fit(tf.constant(height, tf.int32), tf.constant(width, tf.int32), [side, side])
    assert size.numpy().tolist() == figures[f"{name}/scaled_hw"].tolist()
    for scale in scales.numpy():
        assert scale == figures[f"{name}/scale"]
        assert np.float32(1) / scale == np.float32(figures[f"{name}/scale_to_original"])


def test_a_picture_of_the_photos_mean_color_has_the_photos_mean_after_preprocessing(golden):
    """At half size every output pixel is the mean of four, so only the photo's mean matters.

    Normalisation and padding are in it: 318 of 512 rows, the rest 0.
    """
    figures = np.load(golden / "photo.npz")
    image = np.broadcast_to(figures["decoded_mean"].astype("f4"), figures["decoded_shape"])
    fitted, *_ = letterbox(image, (512, 512), MODEL.mean_rgb)
    found = normalize_images(fitted, MODEL).numpy().mean((0, 1), dtype="f8")
    # The reference's mean of 262,144 pixels is a sum in float32.
    np.testing.assert_allclose(found, figures["512/channel_mean"], rtol=0, atol=1e-5)
