"""The segmentation head: the paper's costs, shapes, and what it leaves as it was."""

import numpy as np
import pytest
import tensorflow as tf

from edet.config.labels import mask_labels_of
from edet.config.loading import load_config
from edet.config.schema import ConfigError, ModelConfig, SegmentationConfig
from edet.models.complexity import count_cost, outline
from edet.models.efficientdet import build_network
from edet.weights.reference_names import reference_names
from tests.conftest import REPOSITORY
from tests.small import small_model

CONFIGS = REPOSITORY / "configs" / "paper" / "segmentation"
SMALL = SegmentationConfig(num_classes=4, width=8, repeats=1)


def test_the_papers_network_has_its_parameters_and_multiply_adds_within_three_percent():
    """Table 3: 17M and 18B; P2 to P7, 128 channels x 3, a head of 256 channels x 3 on P2."""
    model = load_config(path=CONFIGS / "voc.yaml").model
    assert list(model.pyramid_levels) == [2, 3, 4, 5, 6, 7]
    assert (model.backbone, model.pyramid_width, model.pyramid_repeats, model.heads) == (
        "efficientnet-b4", 128, 3, ("segmentation",),
    )  # fmt: skip
    network = outline(model)
    assert {name: y.shape for name, y in network.output.items()} == {
        "segmentation_logits": (None, 156, 156, 21)
    }
    cost = count_cost(network)["total"]
    assert cost.trainable_parameters == pytest.approx(17e6, rel=0.03)
    assert cost.multiply_adds == pytest.approx(18e9, rel=0.03)


def test_a_joint_network_detects_on_p3_to_p7_and_segments_p2():
    heads = ("detection", "segmentation")
    model = small_model(max_level=7, heads=heads, segmentation=SMALL)
    network = build_network(model)
    outputs = network(tf.zeros((2, 64, 96, 3)))
    assert outputs["segmentation_logits"].shape == (2, 16, 24, 4)
    alone = build_network(small_model(max_level=7))(tf.zeros((2, 64, 96, 3)))
    for name in ("class_logits", "box_deltas"):
        assert outputs[name].shape == alone[name].shape


def test_a_detector_has_the_variables_that_it_had():
    """Released weights know no other names, whatever the settings of the other head are."""
    before = [v.path for v in outline(small_model()).variables]
    after = [v.path for v in outline(small_model(segmentation=SMALL)).variables]
    assert before == after


def test_projecting_once_makes_one_projection_a_level():
    def projections(**changes):
        return [v.path for v in outline(small_model(max_level=7, **changes)).variables
                if v.path.startswith("pyramid") and v.path.endswith("_conv/kernel")]  # fmt: skip

    # The small backbone's P3 has the pyramid's width already.
    assert sorted(projections(project_once=True)) == [
        f"pyramid.p{level}_conv/kernel" for level in (4, 5)
    ]
    assert len(projections()) == 5  # P4 and P5 of the way down, P4 and P5 up, P6


def test_what_the_reference_does_not_have_keeps_our_names():
    model = small_model(heads=("segmentation",), segmentation=SMALL)
    names = reference_names(outline(model), model)
    kernel = "segmentation_head.predict/pointwise_kernel"
    assert names[kernel] == [kernel]
    assert names["backbone.stem_conv/kernel"] == ["efficientnet-lite-tiny/stem/conv2d/kernel"]


def test_labels_of_masks_count_the_classes_and_voc_has_a_background():
    assert mask_labels_of(ModelConfig())[0] == "background"
    assert mask_labels_of(ModelConfig())[20] == "tvmonitor"
    found = load_config(overrides=["model.segmentation.labels={0: road, 7: sky}"]).model
    assert found.segmentation.num_classes == 2
    assert mask_labels_of(found) == {0: "road", 7: "sky"}
    numbered = load_config(overrides=["model.segmentation.num_classes=3"]).model
    assert mask_labels_of(numbered) == {0: "class 0", 1: "class 1", 2: "class 2"}


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("model.heads=[panoptic]", "name one or both of detection, segmentation"),
        ("model.heads=[]", "name one or both"),
        ("model.segmentation.level=6", "levels 1-5"),
        ("model.segmentation.labels={0: a, 255: b}", "0 to 253"),
        ("model.segmentation.num_classes=1", "2 to 254"),
        ("model.segmentation.widht=3", "did you mean model.segmentation.width"),
    ],
)
def test_a_head_that_cannot_be_is_refused(override, why):
    with pytest.raises(ConfigError, match=why):
        load_config(overrides=[override])


def test_the_committed_experiments_say_what_they_are():
    joint = load_config(path=CONFIGS / "joint.yaml").model
    assert joint.detects and joint.segments
    assert np.array_equal(joint.levels, range(3, 8))
