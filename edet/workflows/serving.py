"""What is done with a trained network: prediction, export, benchmark."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from edet.config.loading import load_config, save_config
from edet.config.schema import Config, replace
from edet.errors import UserError
from edet.evaluation.overlays import draw_overlay
from edet.evaluation.plots import draw_boxes
from edet.export.benchmark import (
    Subject,
    benchmark_table,
    least_seconds,
    machine_peak,
    run_subjects,
    subject_of,
)
from edet.export.calibration import calibration_pixels
from edet.export.exported import is_exported
from edet.export.litert import check_litert, export_litert
from edet.export.onnx import check_onnx, export_onnx
from edet.export.saved_model import export_saved_model
from edet.export.web import MODEL, check_web, export_web
from edet.files import absolute, content_of, read_bytes, read_json_or
from edet.inference.files import predict_files
from edet.models.complexity import count_cost
from edet.models.efficientdet import build_network
from edet.ownership import lock_beside, owned
from edet.records.sources.synthetic import make_scene
from edet.report.page import save_section
from edet.report.pictures import Shown, grouped
from edet.runtime.devices import check_batch_size
from edet.weights.loading import load_weights
from edet.weights.zoo import ZOO
from edet.workdir import Workdir
from edet.workflows.common import (
    config_of_file,
    console,
    keep,
    keep_figures,
    load_network,
    load_predictor,
    warn,
)

_BENCHMARK_BATCHES = (1, 8)
_PICTURES = 200  # of a prediction, on the page


def predict(
    config: Config, workdir: str, weights: str, inputs: Sequence[str], output: str,
    strategy: tf.distribute.Strategy | None = None,
) -> dict:  # fmt: skip
    """Looks at files, folders and globs, pictures and videos; see `predict_files`.

    All of a strategy's devices are used, unless the network is an exported file.

    Returns:
      What `predict_files` does; files that cannot be read are listed, not fatal.
    """
    if strategy is None or is_exported(weights):
        strategy = tf.distribute.get_strategy()
    check_batch_size(config, strategy.num_replicas_in_sync, ["eval_batch_size"])
    with strategy.scope():
        predictor = load_predictor(config, weights or workdir)
    if is_exported(weights):  # which may be of another network than the workdir
        config = dataclasses.replace(config, model=predictor.model)
    if config.model.segments and Workdir(output).has_config():
        raise UserError(
            f"--output={output} is a workdir, where segmentation.json is an evaluation's; give "
            f"{Workdir(output).predictions}, or leave it out."
        )
    output = output or Workdir(workdir).predictions
    lock = os.path.join(output, "predict.lock")
    with owned(lock, output, "a prediction", "use another --output"):
        summary = predict_files(
            predictor, inputs, output, config.data.eval_batch_size, config.detect.draw_threshold,
            draw_boxes, draw_overlay, strategy,
        )  # fmt: skip
    frames = f", {summary['frames']} frames of {summary['videos']} videos"
    written = f"{summary['images']} pictures{frames if summary['videos'] else ''} -> {output}"
    if workdir:
        _save_predictions(config, Workdir(workdir), output)
    keep(workdir, "predict", summary)
    console.print(written, markup=False)
    for verb, key in (("skipped", "failed"), ("incomplete", "incomplete"), ("named", "renamed")):
        for path, why in summary[key].items():
            warn(f"{verb} {path}: {why}")
    if others := summary["others"]:
        names = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
        why = f"left out, neither pictures nor videos: {len(others)} file(s), {names}"
        warn(why)
    if config.model.detects and (why := _undrawn(output, config.detect.draw_threshold)):
        warn(why)
    return summary


def _undrawn(output: str, threshold: float) -> str:
    """Returns why no copy shows a box though some are found, or ""."""
    best = 0.0
    with tf.io.gfile.GFile(os.path.join(output, "detections.jsonl")) as lines:
        for line in lines:
            best = max(best, json.loads(line)["score"])
            if best >= threshold:
                return ""
    if not best:
        return ""  # nothing is found
    return (
        f"nothing is drawn: the best score is {best:.3g}, and detect.draw_threshold {threshold:g}; "
        "train longer, or set it lower."
    )


def export(
    config: Config, workdir: str, weights: str, output: str, inputs: Sequence[str] = ()
) -> dict:
    """Writes the workdir's best checkpoint, or other weights, in the format that `export` names.

    Args:
      output: for LiteRT and ONNX a file, otherwise a folder; by default in the workdir.
      inputs: pictures to calibrate int8 with, instead of those of `data.train_records`.

    Returns:
      {format: path}, and of a file its "bytes".

    Raises:
      UserError: settings or pictures are at fault, or another export writes there.
    """
    _check_export(config, workdir, weights, output, inputs)
    wanted = config.export
    ending = {"litert": "tflite", "onnx": "onnx"}.get(wanted.format, "")
    precision = wanted.precision + (f"-io-{wanted.io}" if wanted.io != "auto" else "")
    name = f"{config.model.name}-{wanted.outputs}-{precision}.{ending}" if ending else "web"
    path = output or Workdir(workdir).at(name)
    check = {"litert": check_litert, "onnx": check_onnx, "web": check_web}.get(wanted.format)
    if check:  # before the weights are read
        check(config, path)
    network = load_network(config, weights or workdir)
    if wanted.format == "saved_model":
        folder = export_saved_model(network, config, output or Workdir(workdir).saved_model)
        figures = {"format": "SavedModel", "bytes": _bytes_in(folder)}
        keep_figures(workdir, folder, figures, is_new=True)
        summary = keep(workdir, "export", {"saved_model": folder})
        console.print(f"SavedModel -> {folder}", markup=False)
        return summary
    with owned(lock_beside(path), path, "an export", "name another file"):
        if wanted.format == "onnx":
            export_onnx(network, config, path)
        else:
            is_int8 = wanted.precision == "int8"
            pixels = calibration_pixels(config, inputs, warn) if is_int8 else ()
            write = export_litert if wanted.format == "litert" else export_web
            write(network, config, path, pixels)
    size = tf.io.gfile.stat(path if ending else os.path.join(path, MODEL)).length
    written = f"{wanted.format} {wanted.precision} {wanted.outputs}, {size:,} bytes -> {path}"
    kind = f"{wanted.format} {wanted.precision}"
    keep_figures(workdir, path, {"format": kind, "bytes": size}, is_new=True)
    summary = keep(workdir, "export", {wanted.format: path, "bytes": size})
    console.print(written, markup=False)
    if wanted.format == "web":
        console.print(f"edet serve_web --folder={shlex.quote(path)} shows it", markup=False)
    if wanted.precision == "dynamic":
        warn(
            "on x86 processors dynamic int8 is smaller than float32 but slower, 1.4 to 2 times; "
            "export.precision=int8 is as small and faster."
        )
    return summary


def _check_export(
    config: Config, workdir: str, weights: str, output: str, inputs: Sequence[str]
) -> None:
    """Refuses what cannot be exported, with the arguments of `export`."""
    if is_exported(weights):
        raise UserError(f"{weights} is exported already; give --weights what it was made of.")
    if inputs and config.export.precision != "int8":
        raise UserError(f"{inputs[0]!r} is not a flag; only an int8 export takes pictures.")
    if not config.detect.looks_once:
        raise UserError(
            "an exported model looks at a picture once, but detect.flip or detect.tile is set; add "
            "--set detect.flip=false --set detect.tile=[0,0]."
        )
    asked = {".tflite": "litert", ".onnx": "onnx"}.get(os.path.splitext(output)[1].lower())
    if asked and config.export.format == "saved_model":
        raise UserError(
            f"--output={output} is named as a file of export.format={asked}, and a SavedModel is a "
            f"folder; add --set export.format={asked}, or name a folder."
        )
    if output and workdir and absolute(output) == absolute(workdir):
        raise UserError(
            f"--output={output} is the workdir itself, whose checkpoints a model in it would hide; "
            f"give {os.path.join(output, 'exported')}, or leave it out."
        )


def _save_predictions(config: Config, workdir: Workdir, output: str) -> None:
    """Writes what the page shows: the first pictures with what was found in them."""

    def shown(row: Mapping[str, Any], file: str, boxes: list[list[Any]]) -> Shown:
        read = functools.partial(content_of, file)
        return Shown(os.path.basename(row["file"]), row["height"], row["width"], read, boxes)

    threshold = config.detect.draw_threshold
    pictures = [
        shown(row, row["file"], [
            [*d["bbox"], f"{d['category']} {100 * d['score']:.0f}"]
            for d in row["detections"] if d["score"] >= threshold
        ])
        for row in _first(output, "predictions", "detections")
    ]  # fmt: skip
    if not pictures:  # of pixels alone
        pictures = [
            shown(row, os.path.join(output, row["mask"].replace("masks", "overlays", 1)), [])
            for row in _first(output, "segmentation", "mask") if "frames" not in row
        ]  # fmt: skip
    data, reads = grouped({"Pictures": pictures})
    save_section(workdir, "predict", data, lambda: reads, None, config.model.white_level)


def _first(output: str, name: str, key: str) -> list[dict[str, Any]]:
    """Returns the first rows of a list that have a key."""
    rows = read_json_or(os.path.join(output, f"{name}.json"), "result", [])
    return list(itertools.islice((row for row in rows if key in row), _PICTURES))


def _bytes_in(folder: str) -> int:
    return sum(
        tf.io.gfile.stat(os.path.join(where, name)).length
        for where, _, names in tf.io.gfile.walk(folder) for name in names
    )  # fmt: skip


def benchmark(config: Config, workdir: str, weights: str, inputs: Sequence[str] = ()) -> dict:
    """Measures the parts of the pipeline from a picture to its detections, in every format.

    Without `weights` or a trained workdir the network is untrained, which is as fast. A format
    whose packages are not installed is named and left out.

    Args:
      config: what to measure.
      workdir: its best checkpoint is taken, if there is one.
      weights: other weights, or an exported file, which is then the only one measured.
      inputs: a picture; by default a drawn scene of 480 x 640.

    Returns:
      What <workdir>/benchmark.json holds; times are medians in milliseconds.
    """
    if is_exported(weights):
        config = config_of_file(config, weights)
    if not config.model.detects:
        raise UserError(
            "--mode=benchmark measures the way to detections, and model.heads has no detection."
        )
    picture = _picture(inputs)
    network = build_network(config.model)
    if not is_exported(weights) and (weights or (workdir and Workdir(workdir).checkpoint())):
        report = load_weights(network, weights or workdir)
        console.print(str(report), highlight=False, markup=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Workdir(folder).config_file
        save_config(config, path)
        if is_exported(weights):
            subjects = [subject_of(weights)]
        else:
            subjects = _export_all(network, config, folder)
        names = ", ".join(subject.name for subject in subjects)
        seconds = least_seconds(len(subjects), len(_BENCHMARK_BATCHES))
        told = f"measuring {names}, one after another, for {seconds:.0f} s or more"
        console.print(told, highlight=False, markup=False)
        rows = run_subjects(subjects, path, picture, _BENCHMARK_BATCHES)
    cost, peak = count_cost(network)["total"], machine_peak()
    summary = {
        "model": config.model.name,
        "image_size": list(config.model.image_size),
        "parameters": cost.trainable_parameters,
        "multiply_adds": cost.multiply_adds,
        "machine": {"cores": os.cpu_count(), "peak_multiply_adds_per_second": peak},
        "published_latency_ms": published_latency(config, weights),
        "rows": [
            {
                **vars(row),
                "share_of_peak": cost.multiply_adds * row.batch * 1e3 / row.network / peak,
            }
            for row in rows
        ],
    }
    if is_exported(weights):
        single = next(row for row in rows if row.batch == 1)
        keep_figures(workdir, weights, {"latency_ms": single.total})
    keep(workdir, "benchmark", summary)
    console.print(benchmark_table(summary))
    return summary


def published_latency(config: Config, weights: str) -> dict[str, float]:
    """Returns the authors' {machine: milliseconds} of this model, if it has its released size."""
    release = ZOO.get(weights) or ZOO.get(config.model.name)
    if release is None:
        return {}
    released = load_config(release.model, overrides=release.settings).model
    same = released.image_size == config.model.image_size
    return dict(release.latency) if same else {}


def _picture(inputs: Sequence[str]) -> bytes:
    if inputs:
        return read_bytes(inputs[0], "the picture")
    scene = make_scene(0, 640)[0][:480]
    return tf.io.encode_jpeg(scene).numpy()


def _export_all(network: keras.Model, config: Config, folder: str) -> list[Subject]:
    """Writes the network in every format whose packages are here."""
    portable = replace(config, export={"outputs": "network", "format": "litert"})
    subjects = [Subject("keras", "keras")]
    for name, ending, write in (
        ("saved_model", "", lambda path: export_saved_model(network, config, path)),
        ("litert", ".tflite", lambda path: export_litert(network, portable, path)),
        ("onnx", ".onnx", lambda path: export_onnx(network, portable, path)),
    ):
        try:
            path = write(os.path.join(folder, name + ending))
        except UserError as error:
            warn(f"{name} is left out: {error}")
            continue
        subjects.append(Subject(name, name, path))
    return subjects
