"""The backbone that a configuration names."""

from __future__ import annotations

import keras

from edet.config.schema import ModelConfig
from edet.models.efficientnet import efficientnet
from edet.models.resnet import RESNETS, resnet


def backbone(images: keras.KerasTensor, config: ModelConfig) -> dict[int, keras.KerasTensor]:
    """Builds `model.backbone` on a batch of normalised images [B, H, W, 3].

    Returns:
      {level: feature map}, levels 1 to 5; level l is [B, ceil(H / 2^l), ceil(W / 2^l), C].

    Raises:
      ConfigError: there is no such backbone.
    """
    return (resnet if config.backbone in RESNETS else efficientnet)(images, config)
