"""Prediction on files: pictures and videos of any sizes, through all heads in one pass."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edet.errors import UserError
from edet.files import PICTURE_ENDINGS, list_folder, match_files
from edet.image.files import read_picture
from edet.inference import video
from edet.inference.predictor import Predictor
from edet.inference.results import (
    DetectionWriter,
    DrawBoxes,
    DrawMask,
    MaskWriter,
    names_of_outputs,
)
from edet.inference.run import Look, look_with, read_ahead
from edet.terminal import Console

_NO_VIDEOS = "segmentation takes pictures, not videos"


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
    predictor: Predictor, inputs: Sequence[str], output: str, batch_size: int,
    draw_threshold: float, draw_boxes: DrawBoxes, draw_mask: DrawMask,
    strategy: tf.distribute.Strategy | None = None,
) -> dict:  # fmt: skip
    """Looks at pictures and videos, each once, and writes what all heads find into a folder.

    `DetectionWriter` and `MaskWriter` tell what that is. Every file is written aside and renamed
    when it is complete.

    Args:
      predictor: looks at the pictures.
      inputs: files, folders and globs.
      output: folder to write to.
      batch_size: windows that are looked at together.
      draw_threshold: boxes with this score and above are drawn.
      draw_boxes: `evaluation.plots.draw_boxes`.
      draw_mask: `evaluation.overlays.draw_overlay`.
      strategy: of one machine, in whose scope the network was made; by default one device.

    Returns:
      {"images", "videos", "frames": numbers looked at, "failed": {path: reason}, "incomplete":
      {path: reason} of videos of which a part was lost, or whose pixels were not classified,
      "others": files of folders that are neither, "output": folder}.

    Raises:
      UserError: nothing to look at, or the output cannot be written.
    """
    found = find_inputs(inputs)
    takes_videos = "detection" in predictor.heads
    if takes_videos and found.videos and not found.pictures and not video.is_available():
        raise UserError(f"{found.videos[0]} is a video, and {video.INSTALL}.")
    failed = {} if takes_videos else dict.fromkeys(found.videos, _NO_VIDEOS)
    incomplete: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        boxes = masks = None
        if takes_videos:
            labels = predictor.heads["detection"].labels
            boxes = DetectionWriter(stack, output, labels, draw_threshold, draw_boxes)
        if "segmentation" in predictor.heads:
            labels = predictor.heads["segmentation"].labels
            masks = MaskWriter(stack, output, labels, draw_mask)
        look = look_with(predictor, strategy or tf.distribute.get_strategy(), batch_size)
        progress = stack.enter_context(_progress())
        run = _Run(look, predictor.model.white_level, boxes, masks, progress)
        num_images = run.look_at_pictures(found.pictures, failed)
        frames = {}
        for path, name in names_of_outputs(found.videos if boxes else [], ".mp4").items():
            try:
                frames[path], complaint = run.look_at_video(path, name)
            except _Unreadable as error:
                failed[path] = str(error)
                continue
            complaints = [complaint] * bool(complaint) + [_NO_VIDEOS] * bool(masks)
            if complaints:
                incomplete[path] = "; ".join(complaints)
    return {
        "images": num_images,
        "videos": len(frames),
        "frames": sum(frames.values()),
        "failed": failed,
        "incomplete": incomplete,
        "others": found.others,
        "output": output,
    }


class _Picture(NamedTuple):
    """A picture that is looked at and then drawn."""

    path: str
    image: np.ndarray  # uint8 [H, W, 3]


class _Unreadable(Exception):
    """A video that gives no frame; says why."""


class _Run:
    """One call of `predict_files`: how to look, and where everything goes."""

    def __init__(
        self, look: Look, white_level: int, boxes: DetectionWriter | None,
        masks: MaskWriter | None, progress: Progress,
    ):  # fmt: skip
        self._look, self._white_level, self._progress = look, white_level, progress
        self._boxes, self._writers = boxes, [writer for writer in (boxes, masks) if writer]

    def look_at_pictures(self, paths: Sequence[str], failed: dict[str, str]) -> int:
        """Returns the number of pictures that could be read; `failed` gets the others."""

        def read(path: str) -> _Picture | None:
            try:
                return _Picture(path, read_picture(path, self._white_level).numpy())
            except UserError as error:
                failed[path] = str(error)
                self._progress.advance(task)
                return None

        names = names_of_outputs(paths, ".png")
        task = self._progress.add_task("pictures", total=len(paths), visible=bool(paths))
        done = 0
        with ThreadPoolExecutor() as pool:
            for batch in self._look(read_ahead(read, paths)):
                # Encoding a PNG takes as long as a small network, and leaves Python's lock free.
                jobs = [
                    pool.submit(writer.add_picture(path, names[path], image, found))
                    for (path, image), found in batch
                    for writer in self._writers
                ]
                for job in jobs:
                    job.result()
                done += len(batch)
                self._progress.advance(task, len(batch))
        return done

    def look_at_video(self, path: str, name: str) -> tuple[int, str]:
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
        task = self._progress.add_task(os.path.basename(path), total=source.num_frames or None)
        count = 0
        with contextlib.ExitStack() as stack:
            for frame, found in itertools.chain.from_iterable(self._look(source)):
                if not count:  # a video without frames leaves no file
                    target, size = self._boxes.path_of_video(name), frame.image.shape[:2]
                    add_frame = stack.enter_context(video.drawn_video(target, source))
                self._boxes.add_frame(path, count, found)
                add_frame(self._boxes.drawn(frame.image, found), frame.time)
                count += 1
                self._progress.update(task, completed=count)
        self._progress.update(task, total=count)
        if not count:
            raise _Unreadable(source.complaint or "holds no frame")
        self._boxes.add_video(path, size, count)
        return count, source.complaint


def _progress() -> Progress:
    """A line for the pictures and one for every video, with the time that is left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=Console(stderr=True),
    )  # fmt: skip
