"""The Segmenter: from pictures of any size to the class of each of their pixels.

Evaluation, prediction and every export go through it, as detection does through the Detector.

Letters: B images, H, W pixels of a picture, h, w pixels of the network input, C classes.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from edet.config.labels import mask_labels_of
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.image.letterbox import fit, letterbox, normalize_images
from edet.inference.detector import Detector, Images, picture_pixels


class Segmenter:
    """Says what every pixel shows, with a network that has a segmentation head.

        segmenter = edet.Segmenter(network, config)
        (mask,) = segmenter([open("street.jpg", "rb").read()])
        print({segmenter.labels[value] for value in np.unique(mask)})

    Args:
      network: from `build_network(config.model)`.
      config: its `model` says how images are prepared and what the classes are called.
    """

    def __init__(self, network: keras.Model, config: Config):
        self.network = network
        # Views are the Detector's; here a picture is looked at once.
        self.config = replace(config, detect={"flip": False, "tile": (0, 0)})
        self.labels = mask_labels_of(config.model)
        pixels = tf.TensorSpec([None, *config.model.image_size, 3], tf.float32)
        self._segment = tf.function(self.segment, input_signature=[pixels])
        image = tf.TensorSpec([None, None, 3], tf.uint8)
        self._prepare = tf.function(self.prepare, input_signature=[image])

    def __call__(self, images: Images) -> list[np.ndarray]:
        """Segments a batch of pictures.

        Args:
          images: as of `Detector.__call__`.

        Returns:
          A mask of each picture, uint8 [H, W]: keys of `labels`.

        Raises:
          UserError: a picture cannot be decoded or is not uint8 [H, W, 3]; it names its place.
        """
        if len(images) == 0:
            raise UserError("the Segmenter got no images; give at least one.")
        pictures = [picture_pixels(image, k) for k, image in enumerate(images)]
        pixels = tf.stack([self._prepare(picture)[0] for picture in pictures])
        maps = self._segment(pixels).numpy()
        return [unfit(m, p.shape[:2]) for m, p in zip(maps, pictures, strict=True)]

    decode = staticmethod(Detector.decode)

    def prepare(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fits raw pixels [H, W, 3] into the input.

        Returns:
          float32 [h, w, 3] in 0-255; int32 [2], its rows and columns that show the picture.
        """
        model = self.config.model
        shape = tf.shape(image)
        size = fit(shape[0], shape[1], tf.constant(model.image_size))[1]
        return letterbox(image, model.image_size, model.pad_color)[0], size

    def segment(self, pixels: tf.Tensor) -> tf.Tensor:
        """Maps fitted raw pixels, float32 [B, h, w, 3], to class maps; in a graph, on any device.

        Returns:
          uint8 [B, h, w], keys of `labels`; what padding shows means nothing.
        """
        outputs = self.network(normalize_images(pixels, self.config.model), training=False)
        return self.classify(outputs["segmentation_logits"])

    def classify(self, logits: tf.Tensor) -> tf.Tensor:
        """Turns logits [B, h / 4, w / 4, C] into class maps, as `segment`."""
        return tf.cast(class_map(logits, self.config), tf.uint8)

    def detect(self, pixels: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `segment`, in the form in which `inference.run` calls a Detector.

        The maps are int32: several workers gather them, and TensorFlow gathers no uint8.
        """
        del scales
        return {"class_maps": tf.cast(self.segment(pixels), tf.int32)}


def class_map(logits: tf.Tensor, config: Config) -> tf.Tensor:
    """Returns the likeliest class of every pixel, int32 [B, h, w], the mask's value.

    Logits are enlarged bilinearly before the choice, so that borders are not stairs.
    """
    enlarged = tf.image.resize(logits, config.model.image_size, method="bilinear")
    values = np.array(list(mask_labels_of(config.model)), np.int32)
    return tf.gather(values, tf.argmax(enlarged, axis=-1, output_type=tf.int32))


def unfit(fitted: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Brings a class map [h, w] of a fitted picture back to the picture's own pixels [H, W]."""
    shown = fit(*(tf.constant(side) for side in size), tf.constant(fitted.shape))[1].numpy()
    rows, columns = (
        ((np.arange(side) + 0.5) * count / side).astype(int)
        for side, count in zip(size, shown, strict=True)
    )
    return fitted[np.ix_(rows, columns)]
