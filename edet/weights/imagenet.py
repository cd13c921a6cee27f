"""ImageNet weights of the backbones in the formats that others publish.

EfficientNet-Lite under PyTorch names, as npz: "_blocks.3._expand_conv.weight" (out, in, height,
width), "_blocks.3._bn0.running_mean", ...; the arrays are transposed to Keras' layout.

ResNets as keras.applications has them, as h5: "conv2_block1_1_conv/kernel", ... Their convolutions
have biases and see blue first; see `from_keras_resnet`.

The ImageNet head stays unused.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from edet.errors import UserError
from edet.models.resnet import RESNETS

_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
         "moving_variance": "running_var"}  # fmt: skip
_BLOCK = {
    "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
    "project_conv": "_project_conv", "project_bn": "_bn2",
}  # fmt: skip

_STEM = "conv1_conv"  # of keras.applications' ResNets
_NOT_OURS = ("_conv/bias", "predictions/kernel", "predictions/bias")


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


def is_keras_resnet(network: keras.Model, values: Mapping[str, np.ndarray]) -> bool:
    """Returns whether a network has a ResNet and the values are those of keras.applications."""
    return network.model_config.backbone in RESNETS and f"{_STEM}/kernel" in values


def keras_resnet_names(
    network: keras.Model, values: Mapping[str, np.ndarray], source: str
) -> dict[str, str]:
    """Returns {path of a backbone variable: its name in keras.applications}.

    Raises:
      UserError: the values are another network's.
    """
    names = {
        variable.path: variable.path.removeprefix("backbone.").replace("block", "_block")
        for variable in network.variables
        if variable.path.startswith("backbone.")
    }
    foreign = set(names.values()) ^ {n for n in values if not n.endswith(_NOT_OURS)}
    if foreign:
        raise UserError(
            f"{source} does not hold keras.applications' {network.model_config.backbone}: one has "
            f"{min(foreign)} and the other has not. Is it another ResNet?"
        )
    return names


def from_keras_resnet(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the same function without biases, and with red first.

    A bias before batch norm shifts the mean that is taken away. keras.applications turns pixels
    into blue, green, red, as Caffe did; the first kernel is turned round instead.
    """
    changed = {name: value for name, value in values.items() if not name.endswith("_conv/bias")}
    for name, value in changed.items():
        bias = values.get(name.replace("_bn/moving_mean", "_conv/bias"))
        if name.endswith("/moving_mean") and bias is not None:
            changed[name] = value - bias
    changed[f"{_STEM}/kernel"] = values[f"{_STEM}/kernel"][:, :, ::-1]  # [7, 7, in, out]
    return changed
