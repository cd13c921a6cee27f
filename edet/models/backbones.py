"""The backbone of a name."""

from __future__ import annotations

import keras

from edet.models.efficientnet import efficientnet
from edet.models.layers import Style
from edet.models.resnet import RESNETS, resnet


def backbone(
    images: keras.KerasTensor, name: str, drop_connect_rate: float, style: Style
) -> dict[int, keras.KerasTensor]:
    """Builds a backbone on a batch of normalised images [B, H, W, 3].

    A ResNet takes only the momentum of its batch norm from the style.

    Returns:
      {level: feature map}, levels 1 to 5; level l is [B, ceil(H / 2^l), ceil(W / 2^l), C].

    Raises:
      ConfigError: there is no such backbone.
    """
    if name in RESNETS:
        return resnet(images, name, style.batch_norm_momentum)
    return efficientnet(images, name, drop_connect_rate, style)
