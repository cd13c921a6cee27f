"""What MediaPipe's ObjectDetector asks of a LiteRT file: its outputs, and TFLite metadata.

It finds outputs by the names that the metadata give them, wants float32 throughout, boxes as shares
of the input and classes as rows of a label file, which lies in the zip archive at the file's end.
It stretches a picture to the input: with `model.fit=stretch` a network is trained and evaluated so,
with `letterbox` pictures of another shape than the input are distorted as none was in training.

Shapes: D detections, h, w pixels of the network input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from edet.config.labels import class_ids, labels_of
from edet.config.schema import ModelConfig

NAME = "TFLITE_METADATA"  # of the entry in the flatbuffer
LABELS = "labels.txt"
# {our output: (its name in MediaPipe, what it is)}
OUTPUTS = {
    "boxes": (
        "location",
        "ymin, xmin, ymax, xmax as shares of the input, clipped to 0-1; 0 in padding",
    ),
    "classes": ("category", "row of labels.txt, from 0; 0 in padding"),
    "scores": ("score", "0-1, best first; 0 in padding"),
    "num_detections": ("number of detections", "rows from here on are padding"),
}
NAMES = {name for name, _ in OUTPUTS.values()}
# Values of the schema's enumerations and unions (metadata_schema.fbs of TensorFlow Lite Support).
_FEATURES, _IMAGE, _BOUNDING_BOX = 1, 2, 3
_RGB, _BOUNDARIES, _RATIO, _NORMALIZATION, _VALUE_LABELS = 1, 1, 0, 1, 3


def to_mediapipe(found: Mapping[str, tf.Tensor], model: ModelConfig) -> dict[str, tf.Tensor]:
    """Returns detections under MediaPipe's names and in its units, all float32.

    Args:
      found: of `Postprocess`: boxes [1, D, 4] in pixels of the input, classes [1, D] as ids, ...
      model: gives the size of the input and the ids.
    """
    sides = np.array([*model.image_size] * 2, np.float32)
    smaller = found["classes"][..., None] > tf.constant(class_ids(model))
    values = {
        **found,
        # MediaPipe moves what sticks out of the picture back into it, with the box's whole size.
        "boxes": tf.clip_by_value(found["boxes"] / sides, 0.0, 1.0),
        "classes": tf.reduce_sum(tf.cast(smaller, tf.float32), axis=-1),
    }
    return {name: tf.cast(values[own], tf.float32) for own, (name, _) in OUTPUTS.items()}


def from_mediapipe(
    found: Mapping[str, np.ndarray], size: Sequence[int], ids: Sequence[int]
) -> dict[str, np.ndarray]:
    """Undoes `to_mediapipe`, but for the clipping.

    Args:
      found: what the file gives, by name.
      size: height and width of its input.
      ids: the data set's id of each row of the labels.
    """
    own = {ours: found[name] for ours, (name, _) in OUTPUTS.items()}
    own["boxes"] = own["boxes"] * np.array([*size] * 2, np.float32)
    count = own["num_detections"] = own["num_detections"].astype(np.int32)
    rows = own["classes"].astype(np.int32)
    is_there = np.arange(rows.shape[1]) < count[:, None]
    own["classes"] = np.where(is_there, np.array(ids, np.int32)[rows], 0)
    return own


def label_file(model: ModelConfig) -> str:
    """Returns the names of the classes, a row each; a class without one is named by its id."""
    labels = labels_of(model)
    return "".join(f"{labels[i] or f'class {i}'}\n" for i in class_ids(model))


def tflite_metadata(model: ModelConfig, input_type: str) -> bytes:
    """Returns the flatbuffer that describes the file to MediaPipe.

    Args:
      model: its name and classes.
      input_type: "float32" or "uint8".
    """
    import flatbuffers

    writer = _Writer(flatbuffers.Builder(1024))
    # The network normalises by itself: pixels go in as they are.
    unit = writer.table({0: ("u8", _NORMALIZATION), 1: writer.table(
        {0: writer.numbers([0.0], "Float32"), 1: writer.numbers([1.0], "Float32")}
    )})  # fmt: skip
    image = writer.content(_IMAGE, writer.table({0: ("i8", _RGB)}))
    fields = {0: writer.text("images"), 3: image, 4: writer.tables([unit])}
    inputs = writer.tables([writer.table(fields)])
    labels = writer.table({0: writer.text(LABELS), 2: ("i8", _VALUE_LABELS)})
    box = writer.table({
        0: writer.numbers([1, 0, 3, 2], "Uint32"), 1: ("i8", _BOUNDARIES), 2: ("i8", _RATIO),
    })  # fmt: skip
    outputs = []
    for own, (name, what) in OUTPUTS.items():
        kind, properties = (_BOUNDING_BOX, box) if own == "boxes" else (_FEATURES, writer.table({}))
        fields = {0: writer.text(name), 1: writer.text(what)}
        fields[3] = writer.content(kind, properties)
        if own == "classes":
            fields[6] = writer.tables([labels])
        outputs.append(writer.table(fields))
    subgraph = writer.table({2: inputs, 3: writer.tables(outputs)})
    fields = {0: writer.text(model.name), 3: writer.tables([subgraph]), 7: writer.text("1.5.0")}
    fields[1] = writer.text(f"{input_type} pixels in, written by edet")
    return writer.finish(writer.table(fields), b"M001")


class _Writer:
    """Writes tables of a flatbuffer by the numbers of their fields."""

    def __init__(self, builder):
        self._builder = builder

    def text(self, value: str) -> int:
        return self._builder.CreateString(value)

    def numbers(self, values: Sequence[float], kind: str) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            getattr(self._builder, f"Prepend{kind}")(value)
        return self._builder.EndVector()

    def tables(self, places: Sequence[int]) -> int:
        self._builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self._builder.PrependUOffsetTRelative(place)
        return self._builder.EndVector()

    def content(self, kind: int, properties: int) -> int:
        return self.table({0: ("u8", kind), 1: properties})

    def table(self, fields: Mapping[int, int | tuple[str, int]]) -> int:
        """Fields are places of other parts, or numbers with their type."""
        self._builder.StartObject(max(fields, default=-1) + 1)
        for number, value in fields.items():
            if isinstance(value, int):
                self._builder.PrependUOffsetTRelativeSlot(number, value, 0)
            elif value[0] == "u8":
                self._builder.PrependUint8Slot(number, value[1], 0)
            else:
                self._builder.PrependInt8Slot(number, value[1], 0)
        return self._builder.EndObject()

    def finish(self, root: int, identifier: bytes) -> bytes:
        self._builder.Finish(root, identifier)
        return bytes(self._builder.Output())
