"""Detection in files: pictures and videos of any sizes, written as COCO results and drawn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edet.errors import UserError
from edet.files import PICTURE_ENDINGS, list_folder, match_files
from edet.image.files import read_picture, save_png
from edet.inference import video
from edet.inference.detector import Detector
from edet.inference.results import (
    lines_file,
    list_file,
    names_of_outputs,
    picture_lines,
    to_coco,
)
from edet.inference.run import Found, detection_of_pictures

Draw = Callable[..., np.ndarray]
Write = Callable[[dict], None]


@dataclass
class Inputs:
    """The files that were asked for, each once, in order."""

    pictures: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # in folders, neither picture nor video


def find_inputs(inputs: Sequence[str]) -> Inputs:
    """Sorts out files, folders (their files, not deeper) and globs.

    A file that is named, or matched by a glob, counts as a picture whatever its ending, unless it
    has that of a video; in a folder the ending decides.

    Raises:
      UserError: an input holds no picture and no video.
    """
    found = Inputs()
    for pattern in map(os.path.expanduser, inputs):
        if tf.io.gfile.isdir(pattern):
            names = [os.path.join(pattern, name) for name in sorted(list_folder(pattern))]
            matches = [
                name for name in names if name.lower().endswith(PICTURE_ENDINGS + video.ENDINGS)
            ]
            rest = sorted({name for name in names if name[-1] != "/"} - set(matches))
            found.others += [name for name in rest if not tf.io.gfile.isdir(name)]
        else:
            matches = match_files(pattern)
        if not matches:
            raise UserError(
                f"{pattern} matches no picture and no video; give files, folders or globs."
            )
        for path in matches:
            is_video = path.lower().endswith(video.ENDINGS)
            (found.videos if is_video else found.pictures).append(path)
    if not (found.pictures or found.videos):
        raise UserError(
            "predict needs pictures or videos: name files, folders or globs after the flags."
        )
    once = [list(dict.fromkeys(p)) for p in (found.pictures, found.videos, found.others)]
    return Inputs(*once)


def predict_files(
    detector: Detector, inputs: Sequence[str], output: str, draw: Draw,
    strategy: tf.distribute.Strategy | None = None,
) -> dict:  # fmt: skip
    """Detects objects in pictures and videos, and writes what it finds into a folder.

    - predictions.json: a list. For every picture its file, height, width, and detections as COCO
      results with the category's name; for every video its file, height, width and frames.
    - detections.jsonl: every detection on a line, as COCO results: file_name, frame (from 0, of a
      video), category_id, bbox [x, y, width, height] in pixels, score; and image_id where the name
      of a picture is a number, as COCO's are.
    - drawn/<name>.png and drawn/<name>.mp4, with scores of `detect.draw_threshold` and above.

    Every file is written aside and renamed when it is complete.

    Args:
      detector: finds the objects; its `data.eval_batch_size` is how many it looks at together.
      inputs: files, folders and globs.
      output: folder to write to.
      draw: `evaluation.plots.draw_boxes`.
      strategy: of one machine, in whose scope the network was made; by default one device.

    Returns:
      {"images", "videos", "frames": numbers detected in, "failed": {path: reason}, "incomplete":
      {path: reason} of videos of which a part was lost, "others": files of folders that are
      neither, "output": folder}.

    Raises:
      UserError: nothing to detect in, or the output cannot be written.
    """
    found = find_inputs(inputs)
    if found.videos and not found.pictures and not video.is_available():
        raise UserError(f"{found.videos[0]} is a video, and {video.INSTALL}.")
    failed: dict[str, str] = {}
    incomplete: dict[str, str] = {}
    with (
        list_file(os.path.join(output, "predictions.json")) as add_record,
        lines_file(os.path.join(output, "detections.jsonl")) as add_line,
        _progress() as progress,
    ):
        detect = detection_of_pictures(strategy or tf.distribute.get_strategy(), detector)
        run = _Run(detector, detect, output, draw, add_record, add_line, progress)
        num_images = run.detect_in_pictures(found.pictures, failed)
        frames = {}
        for path, name in names_of_outputs(found.videos, ".mp4").items():
            try:
                frames[path], complaint = run.detect_in_video(path, name)
                if complaint:
                    incomplete[path] = complaint
            except _Unreadable as error:
                failed[path] = str(error)
    return {
        "images": num_images,
        "videos": len(frames),
        "frames": sum(frames.values()),
        "failed": failed,
        "incomplete": incomplete,
        "others": found.others,
        "output": output,
    }


class _Unreadable(Exception):
    """A video that gives no frame; says why."""


@dataclass(frozen=True)
class _Run:
    """One call of `predict_files`: how to detect, and where everything goes."""

    detector: Detector
    detect: Callable[[tf.data.Dataset], Found]
    output: str
    draw: Draw
    add_record: Write
    add_line: Write
    progress: Progress

    def detect_in_pictures(self, paths: Sequence[str], failed: dict[str, str]) -> int:
        """Returns the number of pictures that could be read; `failed` gets the others."""
        held: dict[int, np.ndarray] = {}  # decoded, until its detections come and it is drawn

        def decode(number: tf.Tensor) -> tf.Tensor:
            """Returns a picture, uint8 [h, w, 3]; without pixels where it cannot be read."""
            path = paths[int(number)]
            try:
                image = read_picture(path)
            except UserError as error:
                failed[path] = str(error)
                return tf.zeros([0, 0, 3], tf.uint8)
            held[int(number)] = image.numpy()
            return image

        def load(number: tf.Tensor) -> dict[str, tf.Tensor]:
            image = tf.py_function(decode, [number], tf.uint8)
            image = tf.ensure_shape(image, [None, None, 3])
            return {"image": image, "image_index": tf.cast(number, tf.int32)}

        pictures = tf.data.Dataset.range(len(paths)).map(load, num_parallel_calls=tf.data.AUTOTUNE)
        pictures = pictures.filter(lambda picture: tf.size(picture["image"]) > 0)
        names = names_of_outputs(paths, ".png")
        task = self.progress.add_task("pictures", total=len(paths), visible=bool(paths))
        done = 0
        with ThreadPoolExecutor() as pool:
            for found in self.detect(pictures):
                rows = found["image_index"].tolist()
                for row, number in enumerate(rows):
                    self._tell_picture(paths[number], held[number], to_coco(found, row))
                # Encoding a PNG takes as long as a small network, and leaves Python's lock free.
                jobs = [
                    pool.submit(
                        save_png, self._drawn(held.pop(number), found, row),
                        os.path.join(self.output, "drawn", names[paths[number]]),
                    )
                    for row, number in enumerate(rows)
                ]  # fmt: skip
                for job in jobs:
                    job.result()
                done += len(rows)
                self.progress.update(task, completed=rows[-1] + 1)
        self.progress.update(task, completed=len(paths))
        return done

    def detect_in_video(self, path: str, name: str) -> tuple[int, str]:
        """Returns the number of frames, and what was wrong with the video, if anything.

        Raises:
          _Unreadable: there is no frame.
        """
        if not video.is_available():
            raise _Unreadable(video.INSTALL)
        try:
            source = video.Video(path)
        except UserError as error:
            raise _Unreadable(str(error)) from error
        held: dict[int, video.Frame] = {}

        def read() -> Iterator[dict]:
            for number, frame in enumerate(source):
                held[number] = frame
                yield {"image": frame.image, "image_index": number}

        frames = tf.data.Dataset.from_generator(
            read,
            output_signature={
                "image": tf.TensorSpec([None, None, 3], tf.uint8),
                "image_index": tf.TensorSpec([], tf.int32),
            },
        )
        task = self.progress.add_task(os.path.basename(path), total=source.num_frames or None)
        count, size = 0, (0, 0)
        with contextlib.ExitStack() as stack:
            add_frame = None
            for found in self.detect(frames):
                for row, number in enumerate(found["image_index"].tolist()):
                    if add_frame is None:  # a video without frames leaves no file
                        target = os.path.join(self.output, "drawn", name)
                        add_frame = stack.enter_context(video.drawn_video(target, source))
                    frame = held.pop(number)
                    size = frame.image.shape[:2]
                    for result in to_coco(found, row):
                        self.add_line({"file_name": path, "frame": number, **result})
                    add_frame(self._drawn(frame.image, found, row), frame.time)
                    count += 1
                self.progress.update(task, completed=count)
        self.progress.update(task, total=count)
        if not count:
            raise _Unreadable(source.complaint or "holds no frame")
        height, width = size
        self.add_record({"file": path, "height": height, "width": width, "frames": count})
        return count, source.complaint

    def _tell_picture(self, path: str, image: np.ndarray, results: list[dict]) -> None:
        labels = self.detector.labels
        detections = [{**result, "category": labels[result["category_id"]]} for result in results]
        height, width = image.shape[:2]
        self.add_record({"file": path, "height": height, "width": width, "detections": detections})
        for line in picture_lines(path, results):
            self.add_line(line)

    def _drawn(self, image: np.ndarray, found: dict[str, np.ndarray], row: int) -> np.ndarray:
        """Draws what is sure enough in one picture of a batch."""
        labels = self.detector.labels
        shown = found["scores"][row] >= self.detector.config.detect.draw_threshold
        shown &= np.arange(len(shown)) < found["num_detections"][row]
        return self.draw(
            image, found["boxes"][row][shown],
            [labels[int(class_id)] for class_id in found["classes"][row][shown]],
            found["scores"][row][shown], list(labels.values()),
        )  # fmt: skip


def _progress() -> Progress:
    """A line for the pictures and one for every video, with the time that is left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=Console(stderr=True),
    )  # fmt: skip
