"""Records of a few bytes, some of which lack what others write."""

import numpy as np
import tensorflow as tf

from edet.records.schema import Example
from tests.pictures import encoded

LABELS = {1: "cat", 2: "dog"}


def png(height: int, width: int) -> bytes:
    return tf.io.encode_png(tf.zeros([height, width, 3], tf.uint8)).numpy()


def jpeg(height=10, width=20, value=0) -> bytes:
    return encoded(np.full((height, width, 3), value, np.uint8), "jpeg")


def example(boxes, class_ids=None, **others) -> Example:
    fields = {"image": jpeg(), "source_id": "1", "height": 10, "width": 20, "filename": "a.jpg"}
    ids = [1] * len(boxes) if class_ids is None else class_ids
    return Example(boxes=boxes, class_ids=ids, **(fields | others))


def tf_example(**features) -> bytes:
    """A tf.Example; keys say "__" for "/", values are lists of bytes, ints or floats."""

    def feature(values):
        first = values[0] if values else 0
        if isinstance(first, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(first, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    named = {key.replace("__", "/"): feature(values) for key, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def one_box(**others) -> bytes:
    """A record of one box [ymin 0.25, xmin 0, ymax 0.75, xmax 0.5] without what may be missing."""
    sides = {"ymin": [0.25], "xmin": [0.0], "ymax": [0.75], "xmax": [0.5]}
    boxes = {f"image__object__bbox__{side}": value for side, value in sides.items()}
    record = {"image__encoded": [png(8, 20)], **boxes, "image__object__class__label": [7]}
    return tf_example(**{**record, **others})


# With a field that tf.Example has not: protobuf passes over it, TensorFlow refuses the record in
# words that quote it, which are no text.
UNKNOWN_FIELD = one_box() + bytes([10, 2, 24, 0])  # features {3: 0}
