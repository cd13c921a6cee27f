"""The names that users know: a Detector finds objects, a Segmenter says what every pixel shows."""

from __future__ import annotations

import keras
import numpy as np

from edet.config.schema import Config, ModelConfig
from edet.errors import UserError
from edet.inference.predictor import (
    DetectionHead,
    Images,
    Network,
    Predictor,
    SegmentationHead,
    heads_of,
    of_pixels,
)
from edet.inference.tta import AugmentedPredictor


def make_predictor(network: Network, config: Config) -> Predictor:
    """Returns what looks at pictures with all heads of a network, as `detect` asks for it.

    Args:
      network: see `predictor.Network`.
      config: `model`, `detect` and `data.eval_batch_size` are used.
    """
    predictor = Predictor(network, heads_of(config), config.model)
    if config.detect.looks_once or not config.model.detects:
        return predictor
    return AugmentedPredictor(predictor, config.detect, config.data.eval_batch_size)


def _model_of(config: Config) -> ModelConfig:
    if not isinstance(config, Config):
        raise UserError(
            "a network is used with the whole configuration, of edet.load_config, and not with a "
            f"{type(config).__name__}."
        )
    return config.model


def _check(network: keras.Model, model: ModelConfig, output: str, num_classes: int) -> None:
    """Refuses a network of another model: its numbers would pass for other classes.

    Args:
      network: one that Keras knows the shapes of; others are not looked at.
      model: what it should be.
      output: the logits that are needed.
      num_classes: how many they should be.
    """
    outputs = getattr(network, "output", None)
    if not isinstance(outputs, dict):
        return
    size = network.input_shape[1:3]
    if output not in outputs:
        what = f"gives {', '.join(outputs)}, but no {output}"
    elif tuple(size) != model.image_size:
        what = f"takes pictures of {list(size)} pixels, and model.image_size is "
        what += f"{list(model.image_size)}"
    elif outputs[output].shape[-1] != num_classes:
        what = (
            f"tells {outputs[output].shape[-1]} classes apart, and the configuration {num_classes}"
        )
    else:
        return
    raise UserError(f"this network {what}; give the configuration that it was built of.")


class Detector(Predictor):
    """Finds objects with a network: a Predictor with that head alone.

        detector = edet.Detector(network, config)
        found = detector([open("street.jpg", "rb").read()])
        for box, score, class_id in zip(found["boxes"][0], found["scores"][0], found["classes"][0]):
            ...

    Args:
      network: from `build_network(config.model)`.
      config: its `model` says how images are prepared and what the classes are called, its
        `detect` how detections are chosen.

    Raises:
      UserError: the network is of another configuration, or `config` is none.
    """

    def __init__(self, network: keras.Model, config: Config):
        model = _model_of(config)
        _check(network, model, "class_logits", model.num_classes)
        head = DetectionHead(model, config.detect)
        super().__init__(of_pixels(network, model), {"detection": head}, model)
        self.labels, self.postprocess = head.labels, head.postprocess
        self._call = super().__call__
        if not config.detect.looks_once:
            self._call = AugmentedPredictor(self, config.detect, config.data.eval_batch_size)

    def __call__(self, images: Images) -> dict[str, np.ndarray]:
        """As `Predictor.__call__`; mirrored and in tiles where `detect` says so."""
        return self._call(images)


class Segmenter(Predictor):
    """Says what every pixel shows, with a network that has a segmentation head.

        segmenter = edet.Segmenter(network, config)
        (mask,) = segmenter([open("street.jpg", "rb").read()])
        print({segmenter.labels[value] for value in np.unique(mask)})

    Args:
      network: from `build_network(config.model)`.
      config: its `model` says how images are prepared and what the classes are called.

    Raises:
      UserError: the network is of another configuration, or `config` is none.
    """

    def __init__(self, network: keras.Model, config: Config):
        model = _model_of(config)
        _check(network, model, "segmentation_logits", model.segmentation.num_classes)
        head = SegmentationHead(model)
        super().__init__(of_pixels(network, model), {"segmentation": head}, model)
        self.labels = head.labels

    def __call__(self, images: Images) -> list[np.ndarray]:
        """Returns a mask of each picture, uint8 [H, W], keys of `labels`; see `Predictor`."""
        return super().__call__(images)["masks"]
