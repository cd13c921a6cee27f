"""Detection in picture files: COCO result JSON, and each picture with its boxes drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image
from rich.progress import track

from edet.errors import UserError
from edet.files import reason, write_json, written_aside
from edet.serving.detector import Detector

_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")

Draw = Callable[..., np.ndarray]


def find_pictures(inputs: Sequence[str]) -> list[str]:
    """Returns the picture files among files, folders (their pictures, not deeper) and globs.

    Raises:
      UserError: an input matches nothing.
    """
    found: list[str] = []
    for pattern in inputs:
        if tf.io.gfile.isdir(pattern):
            names = sorted(tf.io.gfile.listdir(pattern))
            matches = [os.path.join(pattern, n) for n in names if n.lower().endswith(_ENDINGS)]
        else:
            matches = sorted(f for f in tf.io.gfile.glob(pattern) if not tf.io.gfile.isdir(f))
        if not matches:
            raise UserError(f"{pattern} matches no picture; give files, folders or globs.")
        found += matches
    if not found:
        raise UserError("predict needs pictures: name files, folders or globs after the flags.")
    return list(dict.fromkeys(found))


def predict_files(
    detector: Detector, inputs: Sequence[str], output: str, batch_size: int, draw: Draw
) -> dict:
    """Detects objects in pictures and writes predictions.json and drawn/<name>.png.

    Args:
      detector: finds the objects.
      inputs: files, folders and globs.
      output: folder to write to.
      batch_size: pictures detected together.
      draw: `evaluation.plots.draw_boxes`.

    Returns:
      {"images": number detected, "failed": {path: reason}, "output": folder}. predictions.json has
      for every picture its file, size, and detections as COCO results: category_id, bbox
      [x, y, width, height] in pixels, score.
    """
    pictures = find_pictures(inputs)
    names = _drawn_names(pictures)
    records, failed = [], {}
    starts = range(0, len(pictures), batch_size)
    for start in track(starts, description="Detecting", disable=len(pictures) <= batch_size):
        paths, images = [], []
        for path in pictures[start : start + batch_size]:
            try:
                with tf.io.gfile.GFile(path, "rb") as file:
                    images.append(detector.decode(file.read()))
                paths.append(path)
            except (OSError, tf.errors.OpError, UserError) as error:
                failed[path] = reason(error)
        if not paths:
            continue
        found = detector(images)
        for k, (path, image) in enumerate(zip(paths, images, strict=True)):
            count = int(found["num_detections"][k])
            one = {key: found[key][k][:count] for key in ("boxes", "scores", "classes")}
            records.append(_record(path, image.shape, one, detector.labels))
            shown = one["scores"] >= detector.config.detect.draw_threshold
            drawn = draw(
                image.numpy(), one["boxes"][shown],
                [detector.labels[int(c)] for c in one["classes"][shown]], one["scores"][shown],
                list(detector.labels.values()),
            )  # fmt: skip
            _save_png(drawn, os.path.join(output, "drawn", names[path]))
    write_json(os.path.join(output, "predictions.json"), records)
    return {"images": len(records), "failed": failed, "output": output}


def _record(path: str, shape: tf.TensorShape, found: dict, labels: dict[int, str]) -> dict:
    detections = [
        {
            "category_id": int(class_id),
            "category": labels[int(class_id)],
            "bbox": [round(float(v), 2) for v in (xmin, ymin, xmax - xmin, ymax - ymin)],
            "score": round(float(score), 5),
        }
        for (ymin, xmin, ymax, xmax), score, class_id in zip(
            found["boxes"], found["scores"], found["classes"], strict=True
        )
    ]
    height, width = int(shape[0]), int(shape[1])
    return {"file": path, "height": height, "width": width, "detections": detections}


def _drawn_names(pictures: Sequence[str]) -> dict[str, str]:
    """Gives every picture its own PNG name; two of one name in different folders are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in pictures:
        stem = name = os.path.splitext(os.path.basename(path))[0]
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names[path] = f"{name}.png"
    return names


def _save_png(image: np.ndarray, path: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="png")
    with written_aside(path) as aside, tf.io.gfile.GFile(aside, "wb") as file:
        file.write(buffer.getvalue())
