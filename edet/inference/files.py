"""Prediction on files: pictures and videos of any sizes, through all heads in one pass."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edet.errors import UserError
from edet.files import PICTURE_ENDINGS, absolute
from edet.globs import list_folder, match_files
from edet.image.files import read_picture
from edet.inference import video
from edet.inference.journal import Entry, Journal, version_of
from edet.inference.predictor import Predictor
from edet.inference.results import (
    DetectionWriter,
    DrawBoxes,
    DrawMask,
    Found,
    MaskWriter,
    is_shortened,
    names_of_outputs,
)
from edet.inference.run import Infer, make_picture_predictor, read_ahead
from edet.terminal import Console


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
                f"{pattern or repr(pattern)} matches no picture and no video; give files, folders "
                "or globs."
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

    `DetectionWriter` and `MaskWriter` tell what that is. Whatever stops it, all that has been found
    is kept there; called again with the same conditions, it goes on with the files that are not
    done (see `journal`). A video that was stopped within is looked at again.

    Args:
      predictor: looks at the pictures; its `conditions` say whether results may be joined.
      inputs: files, folders and globs.
      output: folder to write to.
      batch_size: windows that are looked at together.
      draw_threshold: boxes with this score and above are drawn.
      draw_boxes: `evaluation.plots.draw_boxes`.
      draw_mask: `evaluation.overlays.draw_overlay`.
      strategy: of one machine, in whose scope the network was made; by default one device.

    Returns:
      What <output>/report.json holds: {"images", "videos", "frames": numbers looked at, "failed":
      {path: reason}, "incomplete": {path: reason} of videos of which a part was lost and of files
      whose copies cannot be written, "others": files of folders that are neither, "output": folder,
      "renamed": {path: name} where the file's own is too long, "complete": True, "left": 0, the
      number of files that are not done; in the report alone it may be another}.

    Raises:
      UserError: nothing to look at, or the output cannot be written. Whatever is raised has a note
        on what is kept.
    """
    found = find_inputs(inputs)
    if found.videos and not found.pictures and not video.is_available():
        raise UserError(f"{found.videos[0]} is a video, and {video.INSTALL}.")
    writers = _writers(predictor, output, draw_threshold, draw_boxes, draw_mask)
    _refuse_within([*found.pictures, *found.videos], output, writers)
    names = names_of_outputs(found.pictures, ".png") | names_of_outputs(found.videos, ".mp4")
    summary = {
        "images": 0, "videos": 0, "frames": 0, "failed": {}, "incomplete": {},
        "others": found.others, "output": output,
        "renamed": {path: name for path, name in names.items() if is_shortened(path, name)},
    }  # fmt: skip
    journal = Journal(output, writers, names, predictor.conditions(), summary)
    infer = make_picture_predictor(predictor, strategy or tf.distribute.get_strategy(), batch_size)
    with _progress() as progress:
        if journal.notice:
            progress.console.print(journal.notice, style="yellow", markup=False, highlight=False)
        try:
            with journal:
                run = _Run(infer, predictor.model.white_level, writers, journal, summary, progress)
                run.predict_pictures([p for p in found.pictures if p not in journal.kept], names)
                for path in (p for p in found.videos if p not in journal.kept):
                    run.predict_video(path, names[path])
        except BaseException as error:
            if journal.parting:
                error.add_note(journal.parting)
            raise
    return summary


def _refuse_within(
    paths: Sequence[str], output: str, writers: Sequence[DetectionWriter | MaskWriter]
) -> None:
    """Refuses to look at files that lie where what is found in them is written."""
    folders = [os.path.join(output, name) for writer in writers for name in writer.folders]
    own = set(map(absolute, folders))
    for path in paths:
        if os.path.dirname(absolute(path)) in own:
            raise UserError(
                f"{path} lies where the results are written, and would be replaced; give another "
                "--output."
            )


def _writers(
    predictor: Predictor, output: str, threshold: float, draw_boxes: DrawBoxes, draw_mask: DrawMask
) -> list[DetectionWriter | MaskWriter]:
    heads, fit, writers = predictor.heads, predictor.model.fit, []
    if "detection" in heads:
        writers.append(DetectionWriter(output, heads["detection"].labels, threshold, draw_boxes))
    if "segmentation" in heads:
        writers.append(MaskWriter(output, heads["segmentation"].labels, draw_mask, fit))
    return writers


class _Picture(NamedTuple):
    """A picture that is looked at and then drawn."""

    entry: Entry
    image: np.ndarray  # uint8 [H, W, 3]


@dataclass
class _Run:
    """One call of `predict_files`: how pictures are predicted, and where all goes."""

    infer: Infer
    white_level: int
    writers: Sequence[DetectionWriter | MaskWriter]
    journal: Journal
    summary: dict
    progress: Progress

    def predict_pictures(self, paths: Sequence[str], names: Mapping[str, str]) -> None:
        """Writes what is found in pictures, by their outputs' names."""

        def read(path: str) -> _Picture | None:
            entry = Entry(path, names[path], version_of(path))
            try:
                return _Picture(entry, read_picture(path, self.white_level).numpy())
            except UserError as error:
                self.summary["failed"][path] = str(error)
                self.progress.advance(task)
                return None

        def write(picture: _Picture, found: Found) -> tuple[Entry, list[dict]]:
            lines = [writer.add_picture(*picture, found) for writer in self.writers]
            return picture.entry, list(itertools.chain.from_iterable(lines))

        task = self.progress.add_task("pictures", total=len(paths), visible=bool(paths))
        with ThreadPoolExecutor() as pool:
            for batch in self.infer(read_ahead(read, paths)):
                # Encoding a PNG takes as long as a small network, and leaves Python's lock free.
                for job in [pool.submit(write, *one) for one in batch]:
                    self.journal.add(*job.result())
                self.progress.advance(task, len(batch))

    def predict_video(self, path: str, name: str) -> None:
        """Writes what is found in the frames of a video; it may be none, or damaged."""
        try:
            if not video.is_available():
                raise UserError(video.INSTALL)
            source = video.Video(path)
        except UserError as error:
            self.summary["failed"][path] = str(error)
            return
        entry = Entry(path, name, version_of(path), is_whole=False)
        task = self.progress.add_task(os.path.basename(path), total=source.num_frames or None)
        try:
            with contextlib.ExitStack() as stack:
                for number, one in enumerate(itertools.chain.from_iterable(self.infer(source))):
                    if not number:  # a video without frames leaves no file
                        add = [stack.enter_context(w.video(entry, source)) for w in self.writers]
                    for add_frame in add:
                        self.journal.add_lines(add_frame(number, *one))
                    self.progress.update(task, completed=number + 1)
            entry.is_whole = True
        finally:
            if source.complaint and entry.is_whole:
                entry.complaints.append(source.complaint)
            if entry.records:
                self.journal.add(entry)
            elif entry.is_whole:
                self.summary["failed"][path] = source.complaint or "holds no frame"


def _progress() -> Progress:
    """A line for the pictures and one for every video, with the time that is left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(), console=Console(stderr=True, soft_wrap=True),
    )  # fmt: skip
