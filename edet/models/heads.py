"""The class head and the box head: the same convolutions on every level (paper 3, Figure 3).

Letters: B images, h, w size of a level, W pyramid width, P anchors per location, A anchors of all
levels.
"""

from __future__ import annotations

import keras

from edet.config.schema import ModelConfig
from edet.models.layers import FILTERS, activation, batch_norm
from edet.models.pyramid import Pyramid

_RETINANET_STDDEV = 0.01  # of full convolutions in the heads (arXiv 1708.02002, section 4.1)


def head(
    pyramid: Pyramid, config: ModelConfig, values: int, name: str, bias: float = 0.0
) -> keras.KerasTensor:
    """Builds one head over the whole pyramid.

    Convolutions are shared by the levels; batch norm is not, since levels differ in statistics
    (reference).

    Args:
      pyramid: {level: [B, h, w, W]}.
      values: outputs of one anchor: K class logits, or 4 box deltas.
      name: prefix of the layers, "class_head" or "box_head".
      bias: initial bias of the last convolution.

    Returns:
      [B, A, values], anchors in the order level, y, x, octave, aspect.
    """
    convs = [
        head_conv(config, config.pyramid_width, f"{name}.conv{repeat}")
        for repeat in range(config.head_repeats)
    ]
    predict = head_conv(config, config.anchors.per_location * values, f"{name}.predict", bias)
    flat = []
    for level, x in pyramid.items():
        for repeat, conv in enumerate(convs):
            x = conv(x)
            x = batch_norm(x, config, f"{name}.bn{repeat}_p{level}")
            x = activation(x, config, f"{name}.activation{repeat}_p{level}")
        x = predict(x)
        # [B, h, w, P * values] -> [B, h * w * P, values]
        flat.append(keras.layers.Reshape((-1, values), name=f"{name}.flatten_p{level}")(x))
    if len(flat) == 1:
        return flat[0]
    return keras.layers.Concatenate(axis=1, name=f"{name}.concat")(flat)


def head_conv(
    config: ModelConfig, channels: int, name: str, bias: float = 0.0
) -> keras.layers.Layer:
    """Returns the 3 x 3 convolution that heads are made of, `config.convolution`."""
    initializers = {
        "separable": dict.fromkeys(
            ("depthwise_initializer", "pointwise_initializer"), "variance_scaling"
        ),
        "full": {"kernel_initializer": keras.initializers.RandomNormal(stddev=_RETINANET_STDDEV)},
    }[config.convolution]
    return FILTERS[config.convolution](
        channels, 3, padding="same", name=name,
        bias_initializer=keras.initializers.Constant(bias), **initializers,
    )  # fmt: skip
