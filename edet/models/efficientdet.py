"""EfficientDet: backbone -> pyramid -> repeated feature network -> two heads (paper Figure 3)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import keras

from edet.config.schema import ModelConfig
from edet.errors import UserError
from edet.models.backbones import backbone
from edet.models.heads import head
from edet.models.layers import Style
from edet.models.pyramid import cell, extend
from edet.models.segmentation import segmentation_head

PARTS = ("backbone", "pyramid", "heads")
# Every anchor starts at this probability of each class, so that the many negatives do not swamp
# the first steps (RetinaNet's prior).
_PRIOR = 0.01


def build_network(
    config: ModelConfig,
    precision: str = "float32",
    batch_norm_momentum: float | None = None,
    for_cpu: bool = False,
) -> keras.Model:
    """Builds the network of a configuration with fresh weights.

    Args:
      config: the model's section of a Config.
      precision: "float32", or "bfloat16" or "float16" for activations; variables and outputs stay
        float32.
      batch_norm_momentum: of a run that is too short for that of the configuration.
      for_cpu: the network will be trained by a CPU: the same sums in another order, faster there.

    Returns:
      A Keras model from normalised images, float32 [B, H, W, 3], to
      {"class_logits": float32 [B, A, K], "box_deltas": float32 [B, A, 4] (ty, tx, th, tw)}, with
      the A anchors in the order level, y, x, octave, aspect. H x W is `config.image_size`. Where
      `config.heads` says so, there is "segmentation_logits" float32 [B, H / s, W / s, C] too, or
      alone, with s = 2^segmentation.level. Its `model_config` is the given configuration.

    Raises:
      UserError: something else is given than a configuration's `model`.
    """
    if not isinstance(config, ModelConfig):
        raise UserError(
            "build_network takes the model of a configuration, as in build_network(config.model), "
            f"and not a {type(config).__name__}."
        )
    with _keras_settings(precision if precision == "float32" else f"mixed_{precision}"):
        return _build(config, batch_norm_momentum or config.batch_norm_momentum, for_cpu)


@contextlib.contextmanager
def _keras_settings(policy: str) -> Iterator[None]:
    """Layers that are made within are as here, whatever the user's program or keras.json sets."""
    before = keras.config.dtype_policy(), keras.config.image_data_format()
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_image_data_format(before[1])


def _build(config: ModelConfig, momentum: float, for_cpu: bool) -> keras.Model:
    style = Style(
        config.convolution, config.activation, momentum, config.batch_norm_epsilon, for_cpu
    )
    width = config.pyramid_width
    images = keras.Input((*config.image_size, 3), dtype="float32", name="images")
    features = backbone(images, config.backbone, config.drop_connect_rate, style)
    pyramid = extend(features, config.pyramid_levels, width, style, config.project_once)
    for index in range(config.pyramid_repeats):
        pyramid = cell(pyramid, config.feature_network, config.fusion, width, style, index)
    outputs = {}
    if config.detects:
        levels = {level: pyramid[level] for level in config.levels}
        repeats, anchors = config.head_repeats, config.anchors.per_location
        prior_logit = -math.log((1 - _PRIOR) / _PRIOR)
        outputs = {
            "class_logits": head(
                levels, repeats, anchors, config.num_classes, style, "class_head", prior_logit
            ),
            "box_deltas": head(levels, repeats, anchors, 4, style, "box_head"),
        }
    if config.segments:
        wanted = config.segmentation
        outputs["segmentation_logits"] = segmentation_head(
            pyramid[wanted.level], wanted.width, wanted.repeats, wanted.num_classes, style
        )
    outputs = {
        name: keras.layers.Activation("linear", dtype="float32", name=name)(value)
        for name, value in outputs.items()
    }
    network = keras.Model(images, outputs, name=config.name.replace("-", "_"))
    network.model_config = config
    return network


def part_of(path: str) -> str:
    """Returns the part, one of PARTS, that a layer's name or a variable's path belongs to."""
    prefix = path.partition(".")[0]
    return prefix if prefix in PARTS else "heads"


def freeze(network: keras.Model, parts: Sequence[str]) -> None:
    """Keeps whole parts as they are: no updates, and batch norm uses its moving statistics."""
    for layer in network.layers:
        if part_of(layer.name) in parts:
            layer.trainable = False
