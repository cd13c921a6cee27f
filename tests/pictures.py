"""Pictures as files, in memory."""

import io

import numpy as np
from PIL import Image


def encoded(image: np.ndarray | Image.Image, kind: str = "png", **options) -> bytes:
    """A file of a picture, with the options of Pillow's `save`."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()
