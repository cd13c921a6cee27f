"""Settings that cannot work are refused in a sentence; see also test_loading."""

import pickle

import pytest

from edet.config.schema import (
    AnchorConfig,
    AugmentConfig,
    Config,
    ConfigError,
    DataConfig,
    DetectConfig,
    ExportConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    parse_image_size,
    replace,
)


def test_an_image_size_is_kept_as_height_and_width():
    assert ModelConfig(image_size=512).image_size == (512, 512)
    assert ModelConfig(image_size=[320, 256]).image_size == (320, 256)


def test_who_edits_a_configuration_is_told_how_to_make_another():
    config = Config()
    with pytest.raises(AttributeError, match=r"never edited; .* overrides=\['train.steps=VALUE'\]"):
        config.train.steps = 3
    with pytest.raises(ConfigError, match=r"overrides=\['model.anchors.scale=VALUE'\]"):
        config.model.anchors.scale = 3
    with pytest.raises(ConfigError, match=r"overrides=\['train.KEY=VALUE'\]"):
        config.train = TrainConfig(steps=3)
    assert config == Config()
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "512", [512], [512, 0], [1, 2, 3], None])
def test_an_impossible_image_size_is_named(size):
    with pytest.raises(ConfigError, match="model.image_size is"):
        parse_image_size(size)


def test_a_ratio_of_two_is_twice_as_wide_as_high_with_the_same_area():
    (width, height), *_ = AnchorConfig(aspect_ratios=(2.0,)).multipliers
    assert width / height == pytest.approx(2)
    assert width * height == pytest.approx(1)


def test_aspect_pairs_replace_the_ratios():
    anchors = AnchorConfig(aspect_pairs=((1.4, 0.7),), num_scales=2)
    assert anchors.multipliers == ((1.4, 0.7),)
    assert anchors.per_location == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ModelConfig(num_classes=0), "model.num_classes is 0"),
        (lambda: DetectConfig(tile=(2**31, 9)), r"detect.tile is \[2147483648, 9\]; give \[height"),
        (lambda: ModelConfig(scale=2), "setting model.scale; did you mean model.anchors.scale"),
        (lambda: ModelConfig(labels={1: "a"}, num_classes=2), "names 1 classes"),
        (lambda: ModelConfig(labels={-1: "a"}, num_classes=1), "has the id -1"),
        (lambda: ModelConfig(fusion="channel_sum"), "model.fusion is 'channel_sum'"),
        (lambda: ModelConfig(min_level=6), "levels 6-7"),
        (lambda: ModelConfig(drop_connect_rate=1.0), "drop_connect_rate is 1.0"),
        (lambda: ModelConfig(stddev_rgb=(1, 0, 1)), "stddev_rgb"),
        (lambda: ModelConfig(padding=-5.0), "model.padding is -5.0"),
        (lambda: AnchorConfig(scale=0), "anchors.scale is 0"),
        (lambda: AnchorConfig(aspect_ratios=()), "at least one aspect"),
        (lambda: DataConfig(batch_size=0), "data.batch_size is 0"),
        (lambda: AugmentConfig(jitter_min=2.0, jitter_max=1.0), "jitter_min 2.0"),
        (lambda: AugmentConfig(hue=0.6), r"augment.hue is 0.6; it must be in \[0, 0.5\]"),
        (lambda: AugmentConfig(saturation=-1), "augment.saturation is -1"),
        (lambda: AugmentConfig(brightness=1.5), "augment.brightness is 1.5"),
        (lambda: AugmentConfig(mosaic=1.5), r"augment.mosaic is 1.5; it must be in \[0, 1\]"),
        (lambda: AugmentConfig(mosaic_off=1), "augment.mosaic_off is 1"),
        (lambda: LossConfig(positive_iou=0), "positive_iou is 0"),
        (lambda: TrainConfig(learning_rate=0), "learning_rate is 0"),
        (lambda: TrainConfig(step=3), "no setting train.step; did you mean train.steps"),
        (lambda: replace(Config(), train={"steps": "3"}), "train.steps is '3'; it must be a whole"),
        (lambda: DetectConfig(tile=(2, 2)), r"detect.tile is \[2, 2\]; .*, each 8 or more, or"),
        (lambda: DetectConfig(tile=(512, 0)), r"detect.tile is \[512, 0\]; give \[height, width\]"),
        (lambda: DetectConfig(tile_overlap=1.0), "detect.tile_overlap is 1.0"),
        (lambda: TrainConfig(ema_decay=1.0), "ema_decay is 1.0"),
        (lambda: TrainConfig(freeze=("neck",)), "freeze is .'neck'.; each must be"),
        (lambda: TrainConfig(freeze=("backbone", "pyramid", "heads")), "nothing would be trained"),
        (lambda: TrainConfig(micro_batches=0), "train.micro_batches is 0; it must be at least 1"),
        (lambda: ExportConfig(precision="int8"), "int8 exists for export.format=litert only"),
        (lambda: ExportConfig(format="onnx", precision="float16"), "not for onnx"),
        (lambda: ExportConfig(outputs="boxes"), "export.outputs is boxes, but a SavedModel"),
        (
            lambda: ExportConfig(format="onnx", signatures="raw"),
            "signatures is raw, which a SavedModel",
        ),
        (lambda: ExportConfig(format="litert", io="int8"), "precision=int8 have, not float32"),
        (lambda: ExportConfig(format="litert", precision="int8", io="int8"), "of 256 steps"),
        (lambda: ExportConfig(calibration_images=0), "export.calibration_images is 0"),
    ],
)
def test_an_impossible_setting_is_named(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_replace_changes_one_field_of_one_section():
    config = replace(Config(), train={"steps": 7})
    assert config.train.steps == 7
    assert config.model == Config().model
