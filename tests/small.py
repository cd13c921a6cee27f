"""A network that builds and trains quickly, with every kind of layer that a large one has."""

from edet.config.schema import ModelConfig
from edet.models.efficientnet import BACKBONES

# Eight blocks of few channels instead of lite0's sixteen; the seventh has a skip connection.
BACKBONES["efficientnet-lite-tiny"] = (0.35, 0.3)


def small_model(**changes) -> ModelConfig:
    """Returns the configuration of a small network for 64 x 96 images and three classes.

    Of three levels, where five prove no more and take nearly twice as long.
    """
    values = {
        "image_size": (64, 96), "num_classes": 3, "pyramid_width": 16, "pyramid_repeats": 1,
        "head_repeats": 1, "max_level": 5, "backbone": "efficientnet-lite-tiny",
        "activation": "relu6",
    }  # fmt: skip
    return ModelConfig(**(values | changes))
