"""How well pixels are classified: intersection over union by class, and its mean (mIOU).

Shapes: B pictures of a batch · H, W pixels of a picture · h, w pixels of the network input ·
C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from edet.config.labels import distinct_names
from edet.errors import UserError
from edet.evaluation.report import percent
from edet.input.masks import index_table


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """An evaluation.

    Attributes:
      confusion: int64 [C, C], pixels by true class (row) and found class (column).
      names: of the C classes, no two the same.
      images: pictures with a labelled pixel.
    """

    confusion: np.ndarray
    names: tuple[str, ...]
    images: int

    @property
    def iou(self) -> dict[str, float]:
        """IoU of each class, 0-1; -1 where no pixel is of it or was taken for it."""
        hits = np.diagonal(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hits
        values = np.where(union > 0, hits / np.maximum(union, 1), -1.0)
        return dict(zip(self.names, values.tolist(), strict=True))

    @property
    def metrics(self) -> dict[str, float]:
        """ "mIOU", the mean over classes that occur or were found, and "pixel_accuracy", 0-1."""
        seen = [value for value in self.iou.values() if value >= 0]
        pixels = int(self.confusion.sum())
        hits = int(np.trace(self.confusion))
        return {
            "mIOU": float(np.mean(seen)) if seen else 0.0,
            "pixel_accuracy": hits / max(pixels, 1),
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns what the JSON file holds."""
        return {
            "metrics": self.metrics,
            "IoU": self.iou,
            "images": self.images,
            "pixels": int(self.confusion.sum()),
            "confusion": self.confusion.tolist(),
        }

    def tables(self) -> list[Table]:
        """The classes with their IoU and what they are mistaken for, and the means."""
        classes = Table("class", "IoU", "pixels", "most often mistaken for", title="segmentation")
        wrong = self.confusion - np.diag(np.diagonal(self.confusion))
        for k, (name, value) in enumerate(self.iou.items()):
            if value < 0:
                continue
            other = int(np.argmax(wrong[k]))
            count, total = int(wrong[k, other]), int(self.confusion[k].sum())
            mistake = f"{self.names[other]} ({percent(count / total)} %)" if count else ""
            classes.add_row(escape(name), percent(value), f"{total:,}", escape(mistake))
        means = Table("metric", "value", title=f"{self.images} pictures")
        for name, value in self.metrics.items():
            means.add_row(name, percent(value))
        return [classes, means]


class SegmentationEvaluator:
    """Counts pixels, picture by picture.

    Args:
      labels: {value of the masks: name}.
      truth: gives the masks of all pictures in their order, uint8 [H, W]; [1, 1] where there is
        none. `update` needs it.
      restore: brings a class map [h, w] back to a picture's own pixels: (map, (H, W)) -> [H, W].
      num_examples: how many pictures `examples` keeps.

    Attributes:
      examples: {number of the picture: (true mask, found mask)} of the first that have a mask.
    """

    def __init__(
        self,
        labels: dict[int, str],
        truth: Callable[[], Iterator[np.ndarray]] = lambda: iter(()),
        restore: Callable[[np.ndarray, tuple[int, int]], np.ndarray] | None = None,
        num_examples: int = 8,
    ):
        self._labels = dict(sorted(labels.items()))
        self._table = index_table(list(self._labels))
        self._read_truth, self._restore, self._num_examples = truth, restore, num_examples
        self.reset()

    def reset(self) -> None:
        """Forgets all pictures, as before another evaluation of them."""
        self._confusion = np.zeros((len(self._labels), len(self._labels)), np.int64)
        self._images = 0
        self._truth, self._waiting = enumerate(self._read_truth()), {}
        self.examples: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def update(self, batch: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
        """Adds a batch, see `Evaluator`, at the pictures' own size: "class_maps" [B, h, w]."""
        for index, found in zip(batch["image_index"].tolist(), outputs["class_maps"], strict=True):
            truth = self._take_truth(index)
            if truth.shape == (1, 1):  # the record has no mask
                continue
            found = self._restore(found, truth.shape)
            self.add(truth, found, f"record {index}")
            if len(self.examples) < self._num_examples:
                self.examples[index] = truth, found

    def _take_truth(self, index: int) -> np.ndarray:
        """Returns the mask of a picture; each is asked for once, about in order."""
        while index not in self._waiting:
            number, mask = next(self._truth)
            self._waiting[number] = mask
        return self._waiting.pop(index)

    def add(self, truth: np.ndarray, found: np.ndarray, name: str) -> None:
        """Adds one picture.

        Args:
          truth: uint8 [H, W], keys of the labels, or 255 where a pixel does not count.
          found: uint8 [H, W], keys of the labels.
          name: of the picture, for errors.

        Raises:
          UserError: the truth has another value.
        """
        truth, found = self._table[truth], self._table[found]
        counts = truth != self._table[255]
        truth, found = truth[counts].astype(np.int64), found[counts]
        classes = len(self._labels)
        if truth.size and truth.max() >= classes:
            raise UserError(
                f"the mask of {name} has values that model.segmentation.labels lacks; set them to "
                "those of the data set."
            )
        pairs = np.bincount(truth * classes + found, minlength=classes**2)
        self._confusion += pairs.reshape(classes, classes)
        self._images += bool(truth.size)

    def result(self) -> SegmentationResult:
        """Returns the counts so far."""
        names = tuple(distinct_names(self._labels).values())
        return SegmentationResult(self._confusion.copy(), names, self._images)
