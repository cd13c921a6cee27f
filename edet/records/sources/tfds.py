"""Reads detection sets of tensorflow-datasets, an optional extra, as a Source of examples.

Such a set has a sequence of objects with a `bbox` ([ymin, xmin, ymax, xmax] in 0-1) and a class
label from 0. Class ids are label + 1, since edet has no class 0.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from edet.errors import UserError
from edet.records.schema import Example
from edet.records.sources.example_set import Tally


def read_tfds(name: str, split: str, data_dir: str | None = None) -> TfdsSet:
    """Returns a split of a set; downloads and prepares it where that has not been done.

    Args:
      name: as in the catalogue: "voc/2007", "coco/2017", "kitti".
      split: "train", "validation", or a part of one such as "train[:10%]".
      data_dir: where the sets are kept; None takes TFDS's own default.

    Raises:
      UserError: tensorflow-datasets is not installed, there is no such set or split, or its
        objects have no bbox and class label.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            "tensorflow-datasets is not installed; run pip install 'edet[tfds]'."
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        text = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"--tfds_name {name!r} is no set of TFDS: {text}.") from error
    builder.download_and_prepare()
    return TfdsSet(builder, split)


class TfdsSet:
    """A Source over a prepared TFDS builder; images are read as the shards are written.

    A shard holds a run of neighbours, not every n-th image, so that each image is read once. TFDS
    has shuffled the set when it prepared it.
    """

    def __init__(self, builder: Any, split: str):
        self._builder, self._split = builder, split
        try:
            self._num_images = builder.info.splits[split].num_examples
        except (KeyError, ValueError) as error:
            found = ", ".join(builder.info.splits) or "none"
            raise UserError(f"{builder.name} has no split {split!r}; it has {found}.") from error
        self._objects, self._label = _object_features(builder)
        names = builder.info.features[self._objects].feature[self._label].names
        self.labels = dict(enumerate(names, start=1))
        self.mask_labels: dict[int, str] = {}
        self.tally = Tally()

    def __len__(self) -> int:
        return self._num_images

    def num_bytes(self) -> int:
        """The split's part of the bytes on disk."""
        info = self._builder.info
        return info.dataset_size * self._num_images // max(info.splits.total_num_examples, 1)

    def shard(self, index: int, num_shards: int) -> Iterator[Example]:
        """Reads the index-th of num_shards runs of the split."""
        import tensorflow_datasets as tfds

        part = tfds.even_splits(self._split, num_shards)[index]
        decoders = {"image": tfds.decode.SkipDecoding()}
        dataset = self._builder.as_dataset(split=part, decoders=decoders)
        for number, item in enumerate(tfds.as_numpy(dataset)):
            yield self._example(item, f"{self._split} shard {index} image {number}")

    def fingerprint(self, index: int, num_shards: int) -> str:
        """Name, version and range; TFDS never changes a prepared version."""
        return f"{self._builder.info.full_name} {self._split} {index}/{num_shards}"

    def _example(self, item: dict[str, Any], place: str) -> Example:
        objects = item[self._objects]
        # Without a name of its own, an image is known by the hash of its bytes (parse_example).
        name = item.get("image/id", item.get("image/filename", b""))
        source_id = name.decode() if isinstance(name, bytes) else str(name)
        height, width = _stored_size(item["image"])
        return Example(
            image=item["image"],
            source_id=source_id,
            boxes=objects["bbox"] * np.array([height, width] * 2, np.float32),
            class_ids=objects[self._label] + 1,
            height=height,
            width=width,
            is_crowd=objects.get("is_crowd"),
            areas=objects.get("area"),
            filename=source_id or place,
        )


def _object_features(builder: Any) -> tuple[str, str]:
    """Returns the names of the sequence that has a bbox and of its class label."""
    for name, feature in builder.info.features.items():
        fields = getattr(feature, "feature", {})
        if hasattr(fields, "items") and "bbox" in fields:
            labels = [key for key, field in fields.items() if hasattr(field, "names")]
            if labels:
                return name, "label" if "label" in labels else labels[0]
    raise UserError(
        f"{builder.name} has no objects with a bbox and a class label (it has "
        f"{', '.join(builder.info.features)}); it is not a detection set."
    )


def _stored_size(encoded: bytes) -> tuple[int, int]:
    """The (height, width) that bbox refers to: TFDS does not turn photos by their EXIF."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.height, image.width
    except OSError:
        return 1, 1  # The writer drops and reports an image that does not open.
