"""The segmentation head: a class for every pixel, read off one fine level (paper 5.2).

Letters: B images, H x W pixels of the network input, s stride of the level (4), C classes.
"""

from __future__ import annotations

import keras

from edet.config.schema import ModelConfig
from edet.models.heads import head_conv
from edet.models.layers import activation, batch_norm
from edet.models.pyramid import Pyramid


def segmentation_head(pyramid: Pyramid, config: ModelConfig) -> keras.KerasTensor:
    """Builds the convolutions of `model.segmentation` on their level of the pyramid.

    Returns:
      [B, ceil(H / s), ceil(W / s), C], logits before the softmax.
    """
    wanted, name = config.segmentation, "segmentation_head"
    x = pyramid[wanted.level]
    for repeat in range(wanted.repeats):
        x = head_conv(config, wanted.width, f"{name}.conv{repeat}")(x)
        x = batch_norm(x, config, f"{name}.bn{repeat}")
        x = activation(x, config, f"{name}.activation{repeat}")
    return head_conv(config, wanted.num_classes, f"{name}.predict")(x)
