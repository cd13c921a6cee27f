"""The class head and the box head: the same convolutions on every level (paper 3, Figure 3).

Shapes: B images, h, w size of a level, W pyramid width, P anchors per location, A anchors of all
levels.
"""

from __future__ import annotations

import keras

from edet.models.layers import Style
from edet.models.pyramid import Pyramid

_RETINANET_STDDEV = 0.01  # of full convolutions in the heads (arXiv 1708.02002, section 4.1)


def head(
    pyramid: Pyramid, repeats: int, anchors: int, values: int, style: Style, name: str,
    bias: float = 0.0,
) -> keras.KerasTensor:  # fmt: skip
    """Builds one head over the whole pyramid.

    Convolutions are shared by the levels; batch norm is not, since levels differ in statistics
    (reference).

    Args:
      pyramid: {level: [B, h, w, W]}.
      repeats: convolutions of W channels before the last one.
      anchors: P.
      values: outputs of one anchor: K class logits, or 4 box deltas.
      style: of the layers.
      name: prefix of the layers, "class_head" or "box_head".
      bias: initial bias of the last convolution.

    Returns:
      [B, A, values], anchors in the order level, y, x, octave, aspect.
    """
    width = next(iter(pyramid.values())).shape[-1]
    convs = [head_conv(style, width, f"{name}.conv{repeat}") for repeat in range(repeats)]
    predict = head_conv(style, anchors * values, f"{name}.predict", bias)
    flat = []
    for level, x in pyramid.items():
        for repeat, conv in enumerate(convs):
            x = conv(x)
            x = style.batch_norm(x, f"{name}.bn{repeat}_p{level}")
            x = style.activate(x, f"{name}.activation{repeat}_p{level}")
        x = predict(x)
        # [B, h, w, P * values] -> [B, h * w * P, values]
        flat.append(keras.layers.Reshape((-1, values), name=f"{name}.flatten_p{level}")(x))
    if len(flat) == 1:
        return flat[0]
    return keras.layers.Concatenate(axis=1, name=f"{name}.concat")(flat)


def head_conv(style: Style, channels: int, name: str, bias: float = 0.0) -> keras.layers.Layer:
    """Returns the 3 x 3 convolution that heads are made of."""
    initializers = {
        "separable": dict.fromkeys(
            ("depthwise_initializer", "pointwise_initializer"), "variance_scaling"
        ),
        "full": {"kernel_initializer": keras.initializers.RandomNormal(stddev=_RETINANET_STDDEV)},
    }[style.convolution]
    bias_initializer = keras.initializers.Constant(bias)
    return style.conv(channels, name, bias_initializer=bias_initializer, **initializers)
