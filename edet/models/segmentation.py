"""The segmentation head: a class for every pixel, read off one fine level (paper 5.2).

Shapes: B images, H x W pixels of the network input, s stride of the level (4), C classes.
"""

from __future__ import annotations

import keras

from edet.models.heads import head_conv
from edet.models.layers import Style


def segmentation_head(
    x: keras.KerasTensor, width: int, repeats: int, classes: int, style: Style
) -> keras.KerasTensor:
    """Builds `repeats` convolutions of `width` channels, and that of the classes, on a level.

    Returns:
      [B, ceil(H / s), ceil(W / s), C], logits before the softmax.
    """
    name = "segmentation_head"
    for repeat in range(repeats):
        x = head_conv(style, width, f"{name}.conv{repeat}")(x)
        x = style.batch_norm(x, f"{name}.bn{repeat}")
        x = style.activate(x, f"{name}.activation{repeat}")
    return head_conv(style, classes, f"{name}.predict")(x)
