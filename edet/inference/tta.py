"""Test-time augmentation: a predictor that looks at pictures mirrored and in tiles, too.

What it wraps stays unchanged (as in detectron2's GeneralizedRCNNWithTTA): the same network and
heads see every window of a picture, the boxes of all go into one suppression.

Shapes: B windows of a batch · V windows of a picture · h, w pixels of the network input ·
M candidates of a window.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from edet.config.schema import DetectConfig
from edet.inference.predictor import Images, Outputs, Predictor, picture_pixels, with_masks
from edet.input.windows import cut_view, is_uncut, make_windows, place_boxes

_CANDIDATES = ("boxes", "scores", "classes")


class AugmentedPredictor(Predictor):
    """A predictor whose pictures are looked at several times; boxes of all windows are merged.

    Pixels are classified in the whole picture alone.

    Args:
      predictor: its network has a detection head.
      detect: `flip`, `tile` and `tile_overlap` say which windows.
      batch_size: windows at once, of a call.
    """

    def __init__(self, predictor: Predictor, detect: DetectConfig, batch_size: int):
        super().__init__(predictor.network, predictor.heads, predictor.model)
        self.windows = functools.partial(make_windows, detect=detect)
        self._batch_size = batch_size
        self._postprocess = self.heads["detection"].postprocess
        self._merge = tf.function(self._postprocess.merge_views, autograph=False)
        model = self.model
        image, window = tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([5], tf.int32)
        self._cut = tf.function(
            lambda image, window: cut_view(image, window, model), [image, window], autograph=False
        )
        self._step = tf.function(self.step, autograph=False, reduce_retracing=True)

    def __call__(self, images: Images) -> dict[str, np.ndarray | list[np.ndarray]]:
        """As `Predictor.__call__`; the windows of a picture are looked at some at once."""
        pictures = picture_pixels(images, self.model.white_level)
        found = [next(self.collect(self._steps(picture))) for picture in pictures]
        names = [name for name in found[0] if name != "image_index"]
        joined = {name: np.concatenate([one[name] for one in found]) for name in names}
        return with_masks(joined, pictures, self.model.fit)

    def _steps(self, image: tf.Tensor) -> Iterator[Outputs]:
        """Yields what the steps of one picture find."""
        windows = self.windows(*image.shape[:2])
        for start in range(0, len(windows), self._batch_size):
            views = [self._cut(image, w) for w in windows[start : start + self._batch_size]]
            batch = {name: tf.stack([view[name] for view in views]) for name in views[0]}
            index = tf.zeros(len(views), tf.int32)
            counted = {"image_index": index, "num_views": index + len(windows)}
            yield {**self._step(batch), **counted, "image_scales": batch["image_scales"]}

    def step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Finds the candidates of windows in the frames of their pictures.

        Args:
          batch: what `cut_view` returns, B windows.

        Returns:
          "boxes" [B, M, 4], "scores" [B, M] and "classes" [B, M], indices; a box that the cut of a
          tile went through has the score 0. And what the other heads find.
        """
        outputs = self.network(batch["images"])
        found = {}
        for name, head in self.heads.items():
            if name != "detection":
                found |= head(outputs, batch["image_scales"])
        boxes, scores, classes = self._postprocess.candidates(
            outputs["class_logits"], outputs["box_deltas"]
        )
        boxes = place_boxes(boxes, batch["placements"])
        scores = tf.where(is_uncut(boxes, batch["limits"]), scores, 0.0)
        return found | {"boxes": boxes, "scores": scores, "classes": classes}

    def collect(self, steps: Iterable[Outputs]) -> Iterator[dict[str, np.ndarray]]:
        """As `Predictor.collect`, picture by picture, as soon as all windows of one are there.

        The candidates of a picture wait on the host until its last window is done.
        """
        candidates: dict[int, list[tuple[tf.Tensor, ...]]] = {}
        others: dict[int, dict[str, np.ndarray]] = {}  # of the whole picture, the first window
        for found in steps:
            index, num_views = found["image_index"].numpy(), found["num_views"].numpy()
            for row, i in enumerate(index.tolist()):
                if i < 0:
                    continue
                if i not in candidates:
                    candidates[i] = []
                    names = found.keys() - {*_CANDIDATES, "num_views"}
                    others[i] = {name: found[name][row : row + 1].numpy() for name in names}
                candidates[i].append(tuple(found[name][row] for name in _CANDIDATES))
                if len(candidates[i]) == num_views[row]:
                    parts = (tf.stack(part) for part in zip(*candidates.pop(i), strict=True))
                    whole = others.pop(i)
                    scales = tf.constant(whole.pop("image_scales")[0])
                    merged = self._merge(*parts, scales)
                    yield whole | {name: value.numpy() for name, value in merged.items()}
