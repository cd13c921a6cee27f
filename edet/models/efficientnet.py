"""EfficientNet B0-B7 and Lite0-Lite4 without their ImageNet head (arXiv 1905.11946).

    image -> stem /2 -> stage 1 /2 -> stage 2 /4 -> stage 3 /8 -> stages 4, 5 /16 -> stages 6, 7 /32
                          level 1       level 2       level 3          level 4            level 5

A level's feature map is the output of the last block of its stride. Layers carry the names of
keras.applications' EfficientNet behind the prefix "backbone.".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import keras

from edet.config.schema import ConfigError
from edet.config.sizes import BACKBONE_SCALES
from edet.models import cpu
from edet.models.layers import DropConnect, Style

# (repeats, kernel, stride, expansion, channels out), before scaling
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32
_SQUEEZE_RATIO = 0.25  # of a block's input channels

# (width, depth) multipliers
BACKBONES: dict[str, tuple[float, float]] = {
    **{f"efficientnet-b{phi}": scales for phi, scales in enumerate(BACKBONE_SCALES)},
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
    "efficientnet-lite3": (1.2, 1.4),
    "efficientnet-lite4": (1.4, 1.8),
}
# Any other multipliers by name, such as "efficientnet-w1.1-d1.3".
_FREE_NAME = re.compile(r"efficientnet-w(\d+(?:\.\d+)?)-d(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Block:
    """One mobile inverted bottleneck (MBConv)."""

    name: str  # stage and repeat, such as "2a"
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int
    squeeze: bool  # squeeze-and-excitation; the lite networks have none


def blocks_of(backbone: str) -> list[Block]:
    """Returns the blocks of a backbone in order.

    Raises:
      ConfigError: there is no such backbone.
    """
    width, depth = multipliers(backbone)
    lite = "lite" in backbone
    channels_in = stem_channels(backbone)
    blocks = []
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES, start=1):
        # Lite networks keep the first and the last stage at their unscaled depth.
        if not (lite and stage in (1, len(_STAGES))):
            repeats = math.ceil(depth * repeats)
        channels = round_channels(channels, width)
        for repeat in range(repeats):
            name = f"{stage}{chr(ord('a') + repeat)}"
            blocks.append(
                Block(
                    name, kernel, stride if repeat == 0 else 1, expansion, channels_in, channels,
                    squeeze=not lite,
                )
            )  # fmt: skip
            channels_in = channels
    return blocks


def multipliers(backbone: str) -> tuple[float, float]:
    """Returns the (width, depth) multipliers of a backbone.

    Raises:
      ConfigError: there is no such EfficientNet.
    """
    if backbone in BACKBONES:
        return BACKBONES[backbone]
    found = _FREE_NAME.fullmatch(backbone)
    scales = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not all(scales):
        raise ConfigError(
            f"model.backbone is {backbone!r}; choose one of {', '.join(BACKBONES)}, "
            "resnet50, resnet101, or name the width and depth multipliers of an EfficientNet, as "
            "efficientnet-w1.1-d1.3 does."
        )
    return scales


def round_channels(channels: int, width: float) -> int:
    """Scales a channel count and rounds it to a multiple of 8, never down by more than 10 %."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def stem_channels(backbone: str) -> int:
    """Returns the channels of the first convolution; lite networks do not scale it."""
    width = 1.0 if "lite" in backbone else multipliers(backbone)[0]
    return round_channels(_STEM_CHANNELS, width)


def efficientnet(
    images: keras.KerasTensor, name: str, drop_connect_rate: float, style: Style
) -> dict[int, keras.KerasTensor]:
    """Builds a backbone on a batch of normalised images [B, H, W, 3].

    The blocks' rates of DropConnect rise from 0 to (nearly) `drop_connect_rate`.

    Returns:
      {level: feature map}, levels 1 to 5; level l is [B, ceil(H / 2^l), ceil(W / 2^l), C].
    """
    blocks = blocks_of(name)
    x = _conv(images, stem_channels(name), 3, 2, style, "backbone.stem_conv")
    x = style.batch_norm(x, "backbone.stem_bn")
    x = style.activate(x, "backbone.stem_activation")
    features, level = {}, 1
    for index, block in enumerate(blocks):
        drop_rate = drop_connect_rate * index / len(blocks)
        x = _mbconv(x, block, style, drop_rate, index)
        last = index == len(blocks) - 1
        if last or blocks[index + 1].stride > 1:
            features[level] = x
            level += 1
    return features


def _mbconv(
    x: keras.KerasTensor, block: Block, style: Style, drop_rate: float, index: int
) -> keras.KerasTensor:
    """Expand, filter in depth, squeeze and excite, project; add the input where shapes allow."""
    prefix = f"backbone.block{block.name}_"
    inputs = x
    if block.expansion != 1:
        x = _expand(x, block.channels_in * block.expansion, style, f"{prefix}expand_")
        x = style.activate(x, f"{prefix}expand_activation")
    x = style.layers.DepthwiseConv2D(
        block.kernel, block.stride, "same", use_bias=False,
        depthwise_initializer=_normal(2.0 / block.kernel**2), name=f"{prefix}dwconv",
    )(x)  # fmt: skip
    x = style.batch_norm(x, f"{prefix}bn")
    x = style.activate(x, f"{prefix}activation")
    gate = None
    if block.squeeze:
        squeezed = max(1, int(block.channels_in * _SQUEEZE_RATIO))
        gate = _gate(x, squeezed, style, f"{prefix}se_")
        if not style.for_cpu:
            x, gate = keras.layers.Multiply(name=f"{prefix}se_excite")([x, gate]), None
    x = _conv(x, block.channels_out, 1, 1, style, f"{prefix}project_conv", gate=gate)
    x = style.batch_norm(x, f"{prefix}project_bn")
    if block.stride == 1 and block.channels_in == block.channels_out:
        if drop_rate:
            x = DropConnect(drop_rate, index, name=f"{prefix}drop")(x)
        x = keras.layers.Add(name=f"{prefix}add")([x, inputs])
    return x


def _expand(x: keras.KerasTensor, channels: int, style: Style, prefix: str) -> keras.KerasTensor:
    """A 1 x 1 convolution to more channels and its batch norm, in one where that is faster."""
    if style.for_cpu and cpu.has_fast_batch_norm(x):
        kernel = cpu.Kernel(channels, _normal(2.0 / channels), name=f"{prefix}conv")(x)
        return style.batch_norm(x, f"{prefix}bn", kernel)
    x = _conv(x, channels, 1, 1, style, f"{prefix}conv")
    return style.batch_norm(x, f"{prefix}bn")


def _gate(x: keras.KerasTensor, squeezed: int, style: Style, prefix: str) -> keras.KerasTensor:
    """Returns a factor for each channel, from the means of all channels over the image."""
    channels = x.shape[-1]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze")(x)
    gate = _conv(gate, squeezed, 1, 1, style, f"{prefix}reduce", use_bias=True)
    gate = style.activate(gate, f"{prefix}reduce_activation")
    gate = _conv(gate, channels, 1, 1, style, f"{prefix}expand", use_bias=True)
    return keras.layers.Activation("sigmoid", name=f"{prefix}gate")(gate)


def _conv(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, style: Style, name: str,
    use_bias: bool = False, gate: keras.KerasTensor | None = None,
) -> keras.KerasTensor:  # fmt: skip
    """A convolution, of x times a gate where `models.cpu` does both."""
    conv = style.layers.Conv2D(
        channels, kernel, stride, "same", use_bias=use_bias,
        kernel_initializer=_normal(2.0 / (kernel**2 * channels)), name=name,
    )  # fmt: skip
    return conv(x) if gate is None else conv(x, gate=gate)


def _normal(variance: float) -> keras.Initializer:
    """A plain normal distribution; Keras' he_normal is truncated and the reference's is not."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(variance))
