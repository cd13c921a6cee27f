"""Blocks of the backbones against the published table."""

import pytest

from edet.config.schema import ConfigError
from edet.models.efficientnet import BACKBONES, blocks_of, round_channels, stem_channels
from edet.models.resnet import RESNETS

# (stem, channels of stages 1-7, blocks, trap: input channels of block 0)
TABLE = {
    "efficientnet-b0": (32, (16, 24, 40, 80, 112, 192, 320), 16),
    "efficientnet-b1": (32, (16, 24, 40, 80, 112, 192, 320), 23),
    "efficientnet-b2": (32, (16, 24, 48, 88, 120, 208, 352), 23),
    "efficientnet-b3": (40, (24, 32, 48, 96, 136, 232, 384), 26),
    "efficientnet-b4": (48, (24, 32, 56, 112, 160, 272, 448), 32),
    "efficientnet-b5": (48, (24, 40, 64, 128, 176, 304, 512), 39),
    "efficientnet-b6": (56, (32, 40, 72, 144, 200, 344, 576), 45),
    "efficientnet-b7": (64, (32, 48, 80, 160, 224, 384, 640), 55),
    "efficientnet-lite0": (32, (16, 24, 40, 80, 112, 192, 320), 16),
    "efficientnet-lite1": (32, (16, 24, 40, 80, 112, 192, 320), 21),
    "efficientnet-lite2": (32, (16, 24, 48, 88, 120, 208, 352), 21),
    "efficientnet-lite3": (32, (24, 32, 48, 96, 136, 232, 384), 24),
    "efficientnet-lite4": (32, (24, 32, 56, 112, 160, 272, 448), 30),
}


def test_every_backbone_is_in_the_table():
    assert set(TABLE) == set(BACKBONES) - {"efficientnet-lite-tiny"}  # the tests' own


@pytest.mark.parametrize("backbone", TABLE)
def test_widths_and_depths_are_the_published_ones(backbone):
    stem, widths, count = TABLE[backbone]
    blocks = blocks_of(backbone)
    assert stem_channels(backbone) == blocks[0].channels_in == stem
    assert tuple(dict.fromkeys(b.channels_out for b in blocks)) == widths
    assert len(blocks) == count


def test_only_the_first_block_of_a_stage_strides():
    strides = {b.name: b.stride for b in blocks_of("efficientnet-b0") if b.stride > 1}
    assert strides == {"2a": 2, "3a": 2, "4a": 2, "6a": 2}


@pytest.mark.parametrize(
    ("channels", "width", "rounded"),
    # 32 * 1.1 = 35.2 -> 32, which is more than 90 %; 24 * 1.2 = 28.8 -> 32; 16 * 0.35 = 5.6 -> 8
    [(32, 1.1, 32), (24, 1.2, 32), (16, 0.35, 8), (112, 1.0, 112)],
)
def test_channels_round_to_eight(channels, width, rounded):
    assert round_channels(channels, width) == rounded


def test_multipliers_in_the_name_are_as_good_as_the_published_name():
    assert blocks_of("efficientnet-w1.2-d1.4") == blocks_of("efficientnet-b3")
    assert stem_channels("efficientnet-w1.2-d1") == stem_channels("efficientnet-b3") == 40
    assert len(blocks_of("efficientnet-w1-d1.3")) == 24  # repeats 2, 3, 3, 4, 4, 6, 2


@pytest.mark.parametrize("name", ["vgg", "efficientnet-w0-d1", "efficientnet-w1.1", "resnet18"])
def test_an_unknown_backbone_is_named(name):
    with pytest.raises(ConfigError, match=f"model.backbone is '{name}'") as caught:
        blocks_of(name)
    assert all(resnet in str(caught.value) for resnet in RESNETS)
