"""Segmentation of picture files: masks, pictures tinted by them, and a list of what they show."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edet.config.labels import distinct_names
from edet.errors import UserError
from edet.files import write_bytes
from edet.image.files import read_picture, save_png
from edet.inference.files import find_inputs
from edet.inference.results import list_file, names_of_outputs
from edet.inference.segmenter import Segmenter
from edet.records.masks import encode_colored

DrawMask = Callable[[np.ndarray, np.ndarray, dict[int, str]], np.ndarray]


def segment_files(segmenter: Segmenter, inputs: Sequence[str], output: str, draw: DrawMask) -> dict:
    """Segments pictures, and writes what it finds into a folder.

    - masks/<name>.png: the class of every pixel of the picture, with VOC's palette.
    - overlays/<name>.png: the picture tinted by its mask, with a legend.
    - segmentation.json: a list; for every picture its file, height, width, the mask's file, and
      the share of the pixels that each class has.

    Args:
      segmenter: its `data.eval_batch_size` is how many pictures it looks at together.
      inputs: files, folders and globs, as of `predict.find_inputs`.
      output: folder to write to.
      draw: `evaluation.overlays.draw_overlay`.

    Returns:
      {"images": number segmented, "failed": {path: reason}, "others": files of folders that are
      not pictures, "output": folder}.

    Raises:
      UserError: there is no picture, or the output cannot be written.
    """
    found = find_inputs(inputs)
    failed = dict.fromkeys(found.videos, "segmentation takes pictures, not videos")
    names = names_of_outputs(found.pictures, ".png")
    at_once = segmenter.config.data.eval_batch_size
    count = 0
    with (
        ThreadPoolExecutor() as pool,
        list_file(os.path.join(output, "segmentation.json")) as add,
    ):
        for start in range(0, len(found.pictures), at_once):
            paths = found.pictures[start : start + at_once]
            images = dict(zip(paths, pool.map(_read, paths), strict=True))
            failed |= {p: image for p, image in images.items() if isinstance(image, str)}
            images = {p: image for p, image in images.items() if not isinstance(image, str)}
            masks = segmenter(list(images.values())) if images else []
            jobs = []
            for (path, image), mask in zip(images.items(), masks, strict=True):
                add(_described(path, mask, segmenter.labels, f"masks/{names[path]}"))
                jobs.append(pool.submit(_save, output, names[path], image, mask, segmenter, draw))
            for job in jobs:
                job.result()
            count += len(images)
    return {"images": count, "failed": failed, "others": found.others, "output": output}


def _read(path: str) -> np.ndarray | str:
    """Returns the pixels of a picture, or why there are none."""
    try:
        return read_picture(path).numpy()
    except UserError as error:
        return str(error)


def _described(path: str, mask: np.ndarray, labels: dict[int, str], file: str) -> dict:
    values, counts = np.unique(mask, return_counts=True)
    names = distinct_names(labels)
    shares = {
        names[value]: round(count / mask.size, 5)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    }
    height, width = mask.shape
    return {"file": path, "height": height, "width": width, "mask": file, "classes": shares}


def _save(
    output: str,
    name: str,
    image: np.ndarray,
    mask: np.ndarray,
    segmenter: Segmenter,
    draw: DrawMask,
) -> None:
    save_png(draw(image, mask, segmenter.labels), os.path.join(output, "overlays", name))
    write_bytes(os.path.join(output, "masks", name), encode_colored(mask))
