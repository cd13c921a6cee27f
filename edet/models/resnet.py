"""ResNet-50 and ResNet-101 without their ImageNet head (arXiv 1512.03385).

    image -> 7x7 /2 -> pool /2 -> conv2 -> conv3 /2 -> conv4 /2 -> conv5 /2
             level 1              level 2   level 3     level 4     level 5

A block's first convolution strides, as in the first version of the paper and in
keras.applications, whose weights fit (`edet.weights.imagenet`). Layers carry its names behind the
prefix "backbone.", but for "conv2block1" instead of "conv2_block1".
"""

from __future__ import annotations

import keras

from edet.models.layers import BatchNorm

# repeats of conv2, conv3, conv4 and conv5
RESNETS: dict[str, tuple[int, ...]] = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
_WIDTH = 64  # of conv2's bottlenecks; twice as wide from stack to stack
_EXPANSION = 4  # channels out of a block for one of its bottleneck
_EPSILON = 1.001e-5  # of batch norm in keras.applications


def resnet(
    images: keras.KerasTensor, name: str, batch_norm_momentum: float = 0.99
) -> dict[int, keras.KerasTensor]:
    """Builds one of RESNETS on a batch of normalised images [B, H, W, 3].

    Returns:
      {level: feature map}, levels 1 to 5; level l is [B, ceil(H / 2^l), ceil(W / 2^l), C].
    """
    # Zeros all around: "same" would put one more right and below when the size is even.
    x = keras.layers.ZeroPadding2D(3, name="backbone.conv1_pad")(images)
    x = _conv(x, _WIDTH, 7, 2, "valid", batch_norm_momentum, "backbone.conv1")
    features = {1: _relu(x, "backbone.conv1_relu")}
    x = keras.layers.ZeroPadding2D(1, name="backbone.pool1_pad")(features[1])
    x = keras.layers.MaxPooling2D(3, 2, name="backbone.pool1_pool")(x)
    for stack, repeats in enumerate(RESNETS[name]):
        for block in range(repeats):
            stride = 2 if stack and not block else 1
            prefix = f"backbone.conv{stack + 2}block{block + 1}"
            x = _bottleneck(x, _WIDTH * 2**stack, stride, not block, batch_norm_momentum, prefix)
        features[stack + 2] = x
    return features


def _bottleneck(
    x: keras.KerasTensor, width: int, stride: int, project: bool, momentum: float, name: str
) -> keras.KerasTensor:
    """Narrows, filters and widens; the input, projected where the shape changes, is added."""
    wide = _EXPANSION * width
    shortcut = _conv(x, wide, 1, stride, "same", momentum, f"{name}_0") if project else x
    x = _relu(_conv(x, width, 1, stride, "same", momentum, f"{name}_1"), f"{name}_1_relu")
    x = _relu(_conv(x, width, 3, 1, "same", momentum, f"{name}_2"), f"{name}_2_relu")
    x = _conv(x, wide, 1, 1, "same", momentum, f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return _relu(x, f"{name}_out")


def _conv(
    x: keras.KerasTensor, channels: int, kernel: int, stride: int, padding: str,
    momentum: float, name: str,
) -> keras.KerasTensor:  # fmt: skip
    """A convolution without bias, then batch norm."""
    x = keras.layers.Conv2D(
        channels, kernel, stride, padding, use_bias=False, kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)  # fmt: skip
    return BatchNorm(momentum, _EPSILON, name=f"{name}_bn")(x)


def _relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """ReLU, whatever `model.activation` is for the rest: the weights were trained with it."""
    return keras.layers.Activation("relu", name=name)(x)
