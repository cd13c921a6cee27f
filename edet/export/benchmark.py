"""How long each part of inference takes on this machine, in every format.

    prepare     decode pictures and fit them into the input
    network     pixels -> class logits and box deltas, or as far as an exported file goes
    suppress    these -> detections
    total       encoded pictures -> detections, measured by itself

Every format runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import rich.markup
import rich.table
import tensorflow as tf

from edet.config.loading import load_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.export.exported import load_exported
from edet.export.saved_model import find_saved_model
from edet.image.files import decode_picture
from edet.image.letterbox import letterbox, normalize_images
from edet.inference.predictor import DetectionHead, Predictor, of_pixels
from edet.models.efficientdet import build_network
from edet.signals import running

_SECONDS, _LEAST_RUNS = 3.0, 5  # of one measurement
_PARTS = 4  # prepare, network, suppress, total
_PEAK_SIDE = 2048  # of the square matrices whose product shows what the machine can do

Call = Callable[[], object]


@dataclass(frozen=True)
class Subject:
    """What is measured: a format and, but for Keras, the file or folder that holds it."""

    name: str
    format: str  # keras, saved_model, litert, onnx
    path: str = ""


@dataclass(frozen=True)
class Row:
    """Medians of one format and batch size, in milliseconds for the whole batch."""

    name: str
    batch: int
    prepare: float
    network: float
    suppress: float
    total: float
    peak_memory: float | None  # MiB that the process had at most beyond importing TensorFlow


def subject_of(path: str) -> Subject:
    """Returns what is measured of an exported file or SavedModel: see `exported.is_exported`."""
    name, folder = os.path.basename(os.path.normpath(path)), find_saved_model(path)
    if folder:
        return Subject(name, "saved_model", folder)
    return Subject(name, "litert" if path.lower().endswith(".tflite") else "onnx", path)


def measure(call: Call, seconds: float = _SECONDS) -> float:
    """Returns the median time of a call in milliseconds, after two that are not counted."""
    for _ in range(2):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < _LEAST_RUNS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def machine_peak(seconds: float = _SECONDS) -> float:
    """Returns the float32 multiply-adds a second that a large matrix product reaches here."""
    matrix = tf.random.stateless_normal([_PEAK_SIDE, _PEAK_SIDE], [0, 0])
    product = tf.function(lambda: tf.reduce_sum(matrix @ matrix))
    return _PEAK_SIDE**3 / (measure(lambda: product().numpy(), seconds) / 1000)


def least_seconds(subjects: int, batches: int, seconds: float = _SECONDS) -> float:
    """Returns how long `run_subjects` measures at least; starting each comes on top."""
    return subjects * batches * _PARTS * seconds


def run_subjects(
    subjects: Sequence[Subject],
    config_path: str,
    picture: bytes,
    batches: Sequence[int],
    seconds: float = _SECONDS,
) -> list[Row]:
    """Measures each subject in a process of its own, one after another.

    Args:
      subjects: what to measure.
      config_path: YAML of the configuration that all were made with.
      picture: an encoded picture; a batch holds it several times.
      batches: sizes to measure.
      seconds: how long each measurement lasts at least.

    Raises:
      UserError: a process failed; its message, or its exit code.
    """
    spawn = multiprocessing.get_context("spawn")
    rows: list[Row] = []
    for subject in subjects:
        receiver, sender = spawn.Pipe(duplex=False)
        arguments = (sender, subject, config_path, picture, tuple(batches), seconds)
        process = spawn.Process(target=_run_subject, args=arguments)
        found = None
        with running(process), contextlib.suppress(EOFError):
            sender.close()
            found = receiver.recv()
        if not isinstance(found, list):
            why = found or f"its process ended with exit code {process.exitcode}"
            raise UserError(f"cannot measure {subject.name}: {why}")
        rows += found
    return rows


def benchmark_table(summary: dict) -> rich.table.Table:
    """Returns what `workflows.benchmark` found as a table."""
    size = "x".join(map(str, summary["image_size"]))
    published = ", ".join(
        f"{latency:g} ms ({machine})"
        for machine, latency in summary["published_latency_ms"].items()
    )
    table = rich.table.Table(
        title=f"{summary['model']} at {size}, milliseconds a batch (medians)",
        caption=f"{summary['multiply_adds'] / 1e9:.3g} B multiply-adds an image; a matrix product "
        f"does {summary['machine']['peak_multiply_adds_per_second'] / 1e9:.3g} B a second here"
        + (f"; its authors: {published}" if published else ""),
    )
    headings = ("format", "batch", "prepare", "network", "suppress", "total", "images/s",
                "% of peak", "MiB")  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "format" else "right", no_wrap=True)
    for row in summary["rows"]:
        memory = row["peak_memory"]
        table.add_row(
            rich.markup.escape(row["name"]), str(row["batch"]),
            *(f"{row[part]:.1f}" for part in ("prepare", "network", "suppress", "total")),
            f"{1000 * row['batch'] / row['total']:.1f}", f"{100 * row['share_of_peak']:.0f}",
            "" if memory is None else f"{memory:.0f}",
        )  # fmt: skip
    return table


def _run_subject(sender, subject: Subject, config_path: str, picture: bytes, batches, seconds):
    """The child: sends rows, or a message of what a user did wrong."""
    try:
        sender.send(_rows(subject, config_path, picture, batches, seconds))
    except UserError as error:
        sender.send(str(error))


def _rows(
    subject: Subject, config_path: str, picture: bytes, batches: Sequence[int], seconds: float
) -> list[Row]:
    before = _memory()
    config = load_config(path=config_path)
    network, finish, detect = _open(subject, config)
    suppress = tf.function(finish, autograph=False)
    model = config.model
    fit = tf.function(
        lambda image: letterbox(image, model.image_size, model.pad_color, model.fit),
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
        autograph=False,
    )
    rows = []
    for batch in batches:
        pictures = [picture] * batch
        prepared = [fit(decode_picture(p)) for p in pictures]
        pixels, scales, _ = (tf.stack(part) for part in zip(*prepared, strict=True))
        outputs = {name: tf.constant(value) for name, value in network(pixels).items()}
        times = (
            measure(call, seconds)
            for call in (
                lambda pictures=pictures: [fit(decode_picture(p)) for p in pictures],
                lambda pixels=pixels: network(pixels),
                lambda given=(outputs, scales): suppress(*given)["scores"].numpy(),
                lambda pictures=pictures: detect(pictures),
            )
        )
        rows.append(Row(subject.name, batch, *times, peak_memory=None))
    peak = None if before is None else (_memory() - before) / 2**10
    return [dataclasses.replace(row, peak_memory=peak) for row in rows]


def _memory() -> int | None:
    """KiB that this process has had at most; only Linux counts it from the process's own start."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


class _Stages(NamedTuple):
    network: Callable[[tf.Tensor], dict]  # of fitted raw pixels
    finish: Callable[[dict, tf.Tensor], dict]  # the network's outputs and scales -> detections
    detect: Callable[[list[bytes]], object]  # pictures -> detections, all of it


def _open(subject: Subject, config: Config) -> _Stages:
    head = DetectionHead(config.model, config.detect)
    if subject.format == "keras":
        run = of_pixels(build_network(config.model), config.model)
        network = tf.function(run, autograph=False)
        predictor = Predictor(run, {"detection": head}, config.model)
        return _Stages(lambda pixels: _on_host(network(pixels)), head, predictor)
    if subject.format == "saved_model":
        signatures = tf.saved_model.load(subject.path).signatures
        if {"raw", "serving_default"} <= signatures.keys():  # else it answers no whole picture
            return _served(signatures, head, config)
    predictor = load_exported(subject.path, config)
    head = predictor.heads["detection"]
    return _Stages(lambda pixels: _on_host(predictor.network(pixels)), head, predictor)


def _served(signatures: Mapping[str, Callable], head: DetectionHead, config: Config) -> _Stages:
    """Returns the stages of a SavedModel as a server runs it."""
    raw, serve = signatures["raw"], signatures["serving_default"]

    def finish(outputs: dict, scales: tf.Tensor) -> dict:
        logits, deltas = outputs["class_logits"], outputs["box_deltas"]
        return head.postprocess(logits, deltas, scales, "cpu")  # as it does

    return _Stages(
        lambda pixels: _on_host(raw(images=normalize_images(pixels, config.model))),
        finish,
        lambda pictures: _on_host(serve(image_bytes=tf.constant(pictures))),
    )


def _on_host(outputs: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in outputs.items()}
