"""ImageNet weights of the EfficientNet-Lite backbones under their PyTorch names, as npz.

"_blocks.3._expand_conv.weight" (out, in, height, width), "_blocks.3._bn0.running_mean", ... The
arrays are transposed to Keras' layout; the ImageNet head stays unused.
"""

from __future__ import annotations

import keras
import numpy as np

_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
         "moving_variance": "running_var"}  # fmt: skip
_BLOCK = {
    "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
    "project_conv": "_project_conv", "project_bn": "_bn2",
}  # fmt: skip


def pytorch_names(network: keras.Model) -> dict[str, str]:
    """Returns {path of a backbone variable: its PyTorch name}; blocks count from 0 in order."""
    blocks: dict[str, int] = {}
    names = {}
    for variable in network.variables:
        layer, _, leaf = variable.path.rpartition("/")
        if layer == "backbone.stem_conv":
            scope = "_conv_stem"
        elif layer == "backbone.stem_bn":
            scope = "_bn0"
        elif layer.startswith("backbone.block"):
            block, _, kind = layer.removeprefix("backbone.block").partition("_")
            if kind not in _BLOCK:  # squeeze and excitation: the lite networks have none
                continue
            scope = f"_blocks.{blocks.setdefault(block, len(blocks))}.{_BLOCK[kind]}"
        else:
            continue
        names[variable.path] = f"{scope}.{_NORM.get(leaf, 'weight')}"
    return names


def to_keras_layout(name: str, value: np.ndarray) -> np.ndarray:
    """Transposes a convolution kernel (out, in, h, w), or (channels, 1, h, w) in depth."""
    if value.ndim != 4:
        return value
    return value.transpose(2, 3, 0, 1) if "depthwise" in name else value.transpose(2, 3, 1, 0)
