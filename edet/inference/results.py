"""What a prediction writes of each head: what its lists in JSON say, pictures and videos."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from edet.config.labels import distinct_names
from edet.config.schema import Fit
from edet.files import write_bytes
from edet.geometry.boxes import yxyx_to_xywh
from edet.image.files import save_png
from edet.image.letterbox import mask_to_picture
from edet.inference.journal import Entry
from edet.inference.video import Frame, Video, drawn_video
from edet.records.masks import encode_colored

Found = Mapping[str, np.ndarray]  # what `Predictor.predict` returns of one picture, without B
DrawBoxes = Callable[..., np.ndarray]
DrawMask = Callable[..., np.ndarray]
AddFrame = Callable[[int, Frame, Found], list[dict]]
_RESULT = ("category_id", "bbox", "score")
_LONGEST_NAME = 255  # bytes, of most file systems; a bucket takes more


class DetectionWriter:
    """Writes what is found in pictures and videos.

    - predictions.json: a list. For every picture its file, height, width, and detections as COCO
      results with the category's name; for every video its file, height, width and frames.
    - detections.jsonl: every detection on a line, as COCO results: file_name, frame (from 0, of a
      video), category_id, bbox [x, y, width, height] in pixels, score; and image_id where the name
      of a picture is a number, as COCO's are.
    - drawn/<name>.png and drawn/<name>.mp4, with scores of `threshold` and above.

    Args:
      output: folder to write to.
      labels: {class id: name}.
      threshold: a score.
      draw: `evaluation.plots.draw_boxes`.
    """

    title = "predictions"
    folders = ("drawn",)

    def __init__(self, output: str, labels: dict[int, str], threshold: float, draw: DrawBoxes):
        self._folder = os.path.join(output, "drawn")
        self._labels, self._threshold, self._draw = labels, threshold, draw

    def add_picture(self, entry: Entry, image: np.ndarray, found: Found) -> list[dict]:
        """Writes the drawn copy of a picture, uint8 [H, W, 3], in any thread; returns its lines."""
        entry.records[self.title] = {"file": entry.file, **_size(image)}
        with entry.noting():
            save_png(self._drawn(image, found), os.path.join(self._folder, entry.name))
        return result_lines(entry.file, to_coco(found))

    @contextlib.contextmanager
    def video(self, entry: Entry, source: Video) -> Iterator[AddFrame]:
        """Yields what writes the drawn copy of a frame and returns its lines."""
        with _copy(entry, os.path.join(self._folder, entry.name), source) as add:

            def add_frame(number: int, frame: Frame, found: Found) -> list[dict]:
                """Adds what is drawn of a frame; returns a row of detections.jsonl for each box."""
                add(self._drawn(frame.image, found), frame.time)
                entry.records[self.title] = {
                    "file": entry.file, **_size(frame.image), "frames": number + 1,
                }  # fmt: skip
                return result_lines(entry.file, to_coco(found), number)

            yield add_frame

    def listed(self, entry: Entry, lines: Iterable[str]) -> dict:
        """Returns what predictions.json says of a file; see `journal.Lists`."""
        record = entry.records[self.title]
        if "frames" in record:
            return record
        found = [{key: line[key] for key in _RESULT} for line in map(json.loads, lines)]
        named = [{**result, "category": self._labels[result["category_id"]]} for result in found]
        return {**record, "detections": named}

    def _drawn(self, image: np.ndarray, found: Found) -> np.ndarray:
        """Draws what is sure enough."""
        shown = found["scores"] >= self._threshold
        shown &= np.arange(len(shown)) < found["num_detections"]
        return self._draw(
            image, found["boxes"][shown],
            [self._labels[int(class_id)] for class_id in found["classes"][shown]],
            found["scores"][shown], list(self._labels.values()),
        )  # fmt: skip


class MaskWriter:
    """Writes the class of every pixel of pictures and videos.

    - masks/<name>.png: the class of every pixel of a picture, with VOC's palette; masks/<name>.mkv:
      of every frame of a video, grey and lossless (FFV1).
    - overlays/<name>.png, overlays/<name>.mp4: tinted by the mask, with a legend.
    - segmentation.json: a list; for every picture or video its file, height, width, frames of a
      video, the mask's file, and the share of the pixels that each class has.

    Args:
      output: folder to write to.
      labels: {value of the masks: name}.
      draw: `evaluation.overlays.draw_overlay`.
      fit: how pictures got into the network input, `model.fit`.
    """

    title = "segmentation"
    folders = ("masks", "overlays")

    def __init__(self, output: str, labels: dict[int, str], draw: DrawMask, fit: Fit):
        self._output, self._labels, self._draw, self._fit = output, labels, draw, fit

    def add_picture(self, entry: Entry, image: np.ndarray, found: Found) -> list[dict]:
        """Writes the mask and the overlay of a picture, uint8 [H, W, 3]; it has no lines."""
        mask = self._mask(image, found)
        name = f"masks/{entry.name}"
        with entry.noting():
            path = os.path.join(self._output, name)
            write_bytes(path, encode_colored(mask), is_one_of_many=True)
        with entry.noting():
            overlay = self._draw(image, mask, self._labels)
            save_png(overlay, os.path.join(self._output, "overlays", entry.name))
        shares = np.bincount(mask.ravel(), minlength=256) / mask.size
        entry.records[self.title] = {
            "file": entry.file, **_size(mask), "mask": name, "classes": self._named(shares),
        }  # fmt: skip
        return []

    @contextlib.contextmanager
    def video(self, entry: Entry, source: Video) -> Iterator[AddFrame]:
        """Yields what writes the mask and the overlay of a frame, which has no lines."""
        name = f"masks/{os.path.splitext(entry.name)[0]}.mkv"
        overlay = os.path.join(self._output, "overlays", entry.name)
        shares = np.zeros(256)
        with (
            _copy(entry, os.path.join(self._output, name), source) as add_mask,
            _copy(entry, overlay, source) as add_overlay,
        ):

            def add_frame(number: int, frame: Frame, found: Found) -> list[dict]:
                """Adds the mask and the overlay of a frame; returns no rows: masks have none."""
                mask = self._mask(frame.image, found)
                add_mask(mask, frame.time)
                drawn = self._draw(frame.image, mask, self._labels, shows_all=True)
                add_overlay(drawn, frame.time)
                nonlocal shares
                shares += np.bincount(mask.ravel(), minlength=256) / mask.size
                entry.records[self.title] = {
                    "file": entry.file, **_size(mask), "frames": number + 1, "mask": name,
                    "classes": self._named(shares / (number + 1)),
                }  # fmt: skip
                return []

            yield add_frame

    def listed(self, entry: Entry, lines: Iterable[str]) -> dict:
        """Returns what segmentation.json says of a file; see `journal.Lists`."""
        return entry.records[self.title]

    def _mask(self, image: np.ndarray, found: Found) -> np.ndarray:
        mask = mask_to_picture(found["class_maps"], image.shape[:2], self._fit)
        return mask.astype(np.uint8)

    def _named(self, shares: np.ndarray) -> dict[str, float]:
        names = distinct_names(self._labels)
        return {names[v]: round(shares[v], 5) for v in np.flatnonzero(shares).tolist()}


def _size(image: np.ndarray) -> dict[str, int]:
    return {"height": image.shape[0], "width": image.shape[1]}


@contextlib.contextmanager
def _copy(entry: Entry, path: str, source: Video) -> Iterator[Callable[[np.ndarray, int], None]]:
    """As `drawn_video`; one that cannot be written is noted, and its frames are left out."""
    with contextlib.ExitStack() as stack:
        add = None
        with entry.noting():
            add = stack.enter_context(drawn_video(path, source))

        def add_if_possible(image: np.ndarray, time: int) -> None:
            nonlocal add
            with entry.noting():
                if add:
                    add, then = None, add
                    then(image, time)
                    add = then

        yield add_if_possible
        with entry.noting():
            stack.close()


def to_coco(found: Found) -> list[dict]:
    """Returns the detections in one picture as COCO results.

    Args:
      found: what `Predictor.predict` returns, of one picture.

    Returns:
      For each detection, best first: category_id, bbox [x, y, width, height] in pixels, score.
    """
    count = int(found["num_detections"])
    boxes = yxyx_to_xywh(found["boxes"][:count])
    return [
        {
            "category_id": int(class_id),
            "bbox": [round(float(side), 2) for side in box],
            "score": round(float(score), 5),
        }
        for box, score, class_id in zip(boxes, found["scores"], found["classes"], strict=False)
    ]


def result_lines(path: str, results: Sequence[dict], frame: int | None = None) -> list[dict]:
    """Returns what detections.jsonl says of a picture: `to_coco`'s results with its name.

    A number as its name is its image_id, as COCO's are. Not so of a video: all of its frames would
    be one image.

    Args:
      path: of the picture or video.
      results: of the picture, or of one frame.
      frame: its number from 0, of a video.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    image_id = {"image_id": int(stem)} if stem.isdecimal() and frame is None else {}
    place = {"file_name": path} | ({} if frame is None else {"frame": frame})
    return [{**image_id, **place, **result} for result in results]


def names_of_outputs(paths: Sequence[str], ending: str) -> dict[str, str]:
    """Gives every file its own name; two of one name in different folders are numbered.

    A name that would be longer than file systems take is cut, and ends in a hash of the whole.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        name = _short(stem, ending)
        for number in itertools.count(2):
            if name not in taken:
                break
            name = _short(f"{stem}-{number}", ending)
        taken.add(name)
        names[path] = name
    return names


def _short(stem: str, ending: str) -> str:
    whole = stem.encode()
    if len(whole) + len(ending) <= _LONGEST_NAME:
        return stem + ending
    start = whole[: _LONGEST_NAME - len(ending) - 9].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(whole).hexdigest()[:8]}{ending}"


def is_shortened(path: str, name: str) -> bool:
    """Whether `names_of_outputs` had to cut the name of a file."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return not name.startswith(stem)
