"""What a prediction writes: of each head its lists in JSON and its pictures."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from edet.config.labels import distinct_names
from edet.errors import UserError
from edet.files import reason, write_bytes, written_aside
from edet.geometry.boxes import yxyx_to_xywh
from edet.image.files import save_png
from edet.image.letterbox import mask_to_picture
from edet.records.masks import encode_colored

Found = Mapping[str, np.ndarray]  # what `Predictor.predict` returns of one picture, without B
DrawBoxes = Callable[..., np.ndarray]
DrawMask = Callable[[np.ndarray, np.ndarray, dict[int, str]], np.ndarray]


class DetectionWriter:
    """Writes what is found in pictures and videos.

    - predictions.json: a list. For every picture its file, height, width, and detections as COCO
      results with the category's name; for every video its file, height, width and frames.
    - detections.jsonl: every detection on a line, as COCO results: file_name, frame (from 0, of a
      video), category_id, bbox [x, y, width, height] in pixels, score; and image_id where the name
      of a picture is a number, as COCO's are.
    - drawn/<name>.png and drawn/<name>.mp4, with scores of `threshold` and above.

    Args:
      stack: closes the files.
      output: folder to write to.
      labels: {class id: name}.
      threshold: a score.
      draw: `evaluation.plots.draw_boxes`.
    """

    def __init__(
        self, stack: contextlib.ExitStack, output: str, labels: dict[int, str], threshold: float,
        draw: DrawBoxes,
    ):  # fmt: skip
        self._add_record = stack.enter_context(list_file(os.path.join(output, "predictions.json")))
        self._add_line = stack.enter_context(lines_file(os.path.join(output, "detections.jsonl")))
        self._folder = os.path.join(output, "drawn")
        self._labels, self._threshold, self._draw = labels, threshold, draw

    def add_picture(
        self, path: str, name: str, image: np.ndarray, found: Found
    ) -> Callable[[], None]:
        """Writes the lines of a picture, uint8 [H, W, 3]; returns what draws it, in any thread."""
        results = to_coco(found)
        named = [{**result, "category": self._labels[result["category_id"]]} for result in results]
        height, width = image.shape[:2]
        self._add_record({"file": path, "height": height, "width": width, "detections": named})
        for line in picture_lines(path, results):
            self._add_line(line)
        return lambda: save_png(self.drawn(image, found), os.path.join(self._folder, name))

    def path_of_video(self, name: str) -> str:
        """Returns where the drawn copy of a video belongs."""
        return os.path.join(self._folder, name)

    def add_frame(self, path: str, number: int, found: Found) -> None:
        """Writes the lines of a frame."""
        for result in to_coco(found):
            self._add_line({"file_name": path, "frame": number, **result})

    def add_video(self, path: str, size: tuple[int, int], frames: int) -> None:
        """Writes the record of a video after its frames."""
        self._add_record({"file": path, "height": size[0], "width": size[1], "frames": frames})

    def drawn(self, image: np.ndarray, found: Found) -> np.ndarray:
        """Draws what is sure enough."""
        shown = found["scores"] >= self._threshold
        shown &= np.arange(len(shown)) < found["num_detections"]
        return self._draw(
            image, found["boxes"][shown],
            [self._labels[int(class_id)] for class_id in found["classes"][shown]],
            found["scores"][shown], list(self._labels.values()),
        )  # fmt: skip


class MaskWriter:
    """Writes the class of every pixel of pictures.

    - masks/<name>.png: the class of every pixel of the picture, with VOC's palette.
    - overlays/<name>.png: the picture tinted by its mask, with a legend.
    - segmentation.json: a list; for every picture its file, height, width, the mask's file, and
      the share of the pixels that each class has.

    Args:
      stack: closes the files.
      output: folder to write to.
      labels: {value of the masks: name}.
      draw: `evaluation.overlays.draw_overlay`.
    """

    def __init__(
        self, stack: contextlib.ExitStack, output: str, labels: dict[int, str], draw: DrawMask
    ):
        self._add = stack.enter_context(list_file(os.path.join(output, "segmentation.json")))
        self._output, self._labels, self._draw = output, labels, draw

    def add_picture(
        self, path: str, name: str, image: np.ndarray, found: Found
    ) -> Callable[[], None]:
        """Writes the line of a picture, uint8 [H, W, 3]; returns what saves it, in any thread."""
        mask = mask_to_picture(found["class_maps"], image.shape[:2]).astype(np.uint8)
        values, counts = np.unique(mask, return_counts=True)
        names = distinct_names(self._labels)
        shares = {
            names[value]: round(count / mask.size, 5)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True)
        }
        height, width = mask.shape
        self._add({"file": path, "height": height, "width": width, "mask": f"masks/{name}",
                   "classes": shares})  # fmt: skip
        return lambda: self._save(name, image, mask)

    def _save(self, name: str, image: np.ndarray, mask: np.ndarray) -> None:
        overlay = self._draw(image, mask, self._labels)
        save_png(overlay, os.path.join(self._output, "overlays", name))
        write_bytes(os.path.join(self._output, "masks", name), encode_colored(mask))


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


def picture_lines(path: str, results: Sequence[dict]) -> list[dict]:
    """Returns what detections.jsonl says of a picture: `to_coco`'s results with its name.

    A number as its name is its image_id, as COCO's are.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    image_id = {"image_id": int(stem)} if stem.isdecimal() else {}
    return [{**image_id, "file_name": path, **result} for result in results]


def names_of_outputs(paths: Sequence[str], ending: str) -> dict[str, str]:
    """Gives every file its own name; two of one name in different folders are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        stem = name = os.path.splitext(os.path.basename(path))[0]
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names[path] = f"{name}{ending}"
    return names


@contextlib.contextmanager
def lines_file(path: str) -> Iterator[Callable[[dict], None]]:
    """Yields what adds one object to a file of JSON lines, which appears when the block succeeds.

    Raises:
      UserError: it cannot be written.
    """
    with _text_file(path) as write:
        yield lambda value: write(json.dumps(value, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def list_file(path: str) -> Iterator[Callable[[dict], None]]:
    """Yields what adds one object to a JSON list, a line each; nothing is kept in memory.

    Raises:
      UserError: it cannot be written.
    """
    with _text_file(path) as write:
        before = "["

        def add(value: dict) -> None:
            nonlocal before
            write(f"{before}\n{json.dumps(value, ensure_ascii=False)}")
            before = ","

        yield add
        write("[]\n" if before == "[" else "\n]\n")


@contextlib.contextmanager
def _text_file(path: str) -> Iterator[Callable[[str], None]]:
    with grown_aside(path) as aside:
        file = tf.io.gfile.GFile(aside, "w")

        def write(text: str) -> None:
            with _refused(path):
                file.write(text)

        write("")  # a folder that cannot be written is told before the work, not after it
        try:
            yield write
        finally:
            with _refused(path):
                file.close()


@contextlib.contextmanager
def _refused(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


class _Stopped(Exception):
    """Carries an error of the work through `written_aside`, which would take it for its own."""


@contextlib.contextmanager
def grown_aside(path: str) -> Iterator[str]:
    """As `written_aside`, for a file that grows while other work goes on in the block.

    Errors of that work stay what they are; whoever writes the file words its own.
    """
    try:
        with written_aside(path) as aside:
            try:
                yield aside
            except Exception as error:
                raise _Stopped from error
    except _Stopped as stopped:
        raise stopped.__cause__ from stopped.__cause__.__cause__
