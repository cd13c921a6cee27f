"""Detection in many pictures by many machines: `inference.files` as work for Apache Beam.

Every worker process loads the network once. What is written is what --mode=predict writes into
detections.jsonl, in another order; no pictures are drawn, and videos are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf
from apache_beam import Create, FlatMap, Map, Reshuffle
from apache_beam.io import WriteToText
from apache_beam.ml.inference.base import ModelHandler, RunInference

from edet.errors import UserError
from edet.image.files import read_picture
from edet.inference.files import find_inputs
from edet.inference.predictor import Predictor
from edet.inference.results import result_lines, to_coco


class DetectorHandler(ModelHandler[str, list[dict], Predictor]):
    """Tells Beam's RunInference how to load a detector and what to do with a batch of paths.

    Args:
      load: makes the detector; it is called on the workers, so it has to be picklable.
      batch_size: pictures at once, at most.
    """

    def __init__(self, load: Callable[[], Predictor], batch_size: int):
        super().__init__(min_batch_size=1, max_batch_size=batch_size)
        self._load = load

    def load_model(self) -> Predictor:
        """Loads the detector, once in each worker process."""
        return self._load()

    def run_inference(
        self,
        batch: Sequence[str],
        model: Predictor,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[list[dict]]:
        """Returns for each path what `detections.jsonl` says of it, or {"file_name", "failed"}."""
        answers: dict[str, list[dict]] = {}
        images: dict[str, tf.Tensor] = {}
        for path in batch:
            try:
                images[path] = read_picture(path, model.model.white_level)
            except UserError as error:
                answers[path] = [{"file_name": path, "failed": str(error)}]
        if images:
            found = model(list(images.values()))
            for row, path in enumerate(images):
                one = {name: value[row] for name, value in found.items()}
                answers[path] = result_lines(path, to_coco(one))
        return [answers[path] for path in batch]


def add_prediction(
    pipeline: Any,
    load: Callable[[], Predictor],
    batch_size: int,
    inputs: Sequence[str],
    output: str,
) -> None:
    """Adds the whole of a batch prediction to a pipeline.

    Writes `<output>-00000-of-000nn.jsonl`, a detection on each line as in predict's
    detections.jsonl, and `<output>.failed-*.jsonl` with the pictures that cannot be read.

    Args:
      pipeline: from `records.beam.make_pipeline`.
      load: makes the detector on a worker.
      batch_size: pictures at once.
      inputs: files, folders and globs, which a worker lists.
      output: the prefix of all files.
    """
    lines = (
        pipeline
        | "Inputs" >> Create(list(inputs))
        | "List" >> FlatMap(_pictures)
        | Reshuffle()  # or one worker would look at all that it has listed
        | RunInference(DetectorHandler(load, batch_size))
        | FlatMap(lambda answer: answer)
    )
    for name, wanted in (("", False), (".failed", True)):
        _ = (
            lines
            | f"Of{name}" >> FlatMap(_only, wanted)
            | f"Text{name}" >> Map(json.dumps, ensure_ascii=False)
            | f"Write{name}" >> WriteToText(output + name, file_name_suffix=".jsonl")
        )


def _pictures(pattern: str) -> list[str]:
    return find_inputs([pattern]).pictures


def _only(line: dict, failed: bool) -> Iterable[dict]:
    return [line] if ("failed" in line) == failed else []
