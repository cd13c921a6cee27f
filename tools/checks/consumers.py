"""Gives one network's exported files to the tools of others, and tells what they make of them.

  python -m tools.checks.consumers --document=docs/consumers.md

Each tool runs in an environment of its own, made by the first run (about 3.5 GB in all).
"Difference" is the largest from edet's own outputs in TensorFlow: of a network or all boxes as a
share of the output's largest value, of detections in the scores and, where all classes are the
same, in the boxes as a share of the picture.
"Time" is processor time on one thread, as a multiple of LiteRT's for float32 with the same outputs.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from absl import flags
from PIL import Image
from rich.progress import track

from edet.cli.common import run
from edet.config.labels import labels_of
from edet.config.loading import load_config
from edet.config.schema import Config, replace
from edet.export.litert import export_litert
from edet.export.onnx import export_onnx
from edet.export.saved_model import export_saved_model
from edet.export.web import RUNTIME, export_web
from edet.files import write_json
from edet.image.letterbox import normalize_images
from edet.inference.detector import Detector
from edet.models.efficientdet import build_network
from edet.records.sources.synthetic import make_scene
from tools.checks.annotation_tools import document
from tools.checks.consumer_pages import BROWSERS
from tools.checks.environments import make_environment

Outputs = Mapping[str, np.ndarray]
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NPM = (f"@litertjs/core@{RUNTIME}", "onnxruntime-web@1.30.0")
_FIELDS = ("consumer", "version", "file", "loads", "difference", "time")


class Case(NamedTuple):
    """One consumer and one file."""

    name: str
    worker: str  # of consumer_workers or consumer_pages
    packages: tuple[str, ...]  # of its environment; none: edet's own
    file: str  # a key of `_export`
    like: str = "detections"  # what it gives: network, boxes, detections, or nothing


_OPENVINO = ("OpenVINO", "openvino", ("openvino==2026.4.1", "numpy"))
_MNN = ("MNN", "mnn", ("mnn==3.6.1", "numpy"))
# pnnx asks for PyTorch, 5 GB, which reading ONNX does not need.
_NCNN = ("ncnn through pnnx", "ncnn", (
    "--no-deps", "pnnx==20261020", "ncnn==1.0.20261020", "numpy", "requests", "tqdm", "portalocker",
))  # fmt: skip
_MEDIAPIPE = ("MediaPipe ObjectDetector", "mediapipe", ("mediapipe==1.2.3",))
_VELA = ("Vela, Ethos-U55-256", "vela", ("ethos-u-vela==5.2.0",))
CASES = (
    Case("LiteRT Interpreter", "litert", (), "litert network", "network"),
    Case("LiteRT Interpreter", "litert", (), "litert detections"),
    Case("LiteRT Interpreter", "litert", (), "litert detections int8"),
    Case("LiteRT CompiledModel", "compiled", (), "litert detections"),
    Case(*_MEDIAPIPE, "litert mediapipe"),
    Case(*_MEDIAPIPE, "litert mediapipe int8"),
    Case("litert-quantizer", "quantizer", ("litert-quantizer==0.11.0",), "litert detections"),
    Case(*_VELA, "litert network int8", "nothing"),
    Case("LiteRT.js in Chromium", "page", (), "web"),
    Case("onnxruntime", "onnxruntime", (), "onnx detections"),
    Case("onnxruntime-web in Node", "onnxruntime_web", (), "onnx detections"),
    Case("onnxruntime-web in Chromium", "onnxruntime_web_page", (), "onnx detections"),
    Case("onnxruntime through tf2onnx", "onnxruntime", (), "saved_model raw", "network"),
    Case(*_OPENVINO, "saved_model raw", "network"),
    Case(*_OPENVINO, "litert network", "network"),
    Case(*_OPENVINO, "litert boxes", "boxes"),
    Case(*_OPENVINO, "litert detections"),
    Case(*_OPENVINO, "onnx detections"),
    Case(*_MNN, "litert network", "network"),
    Case(*_MNN, "onnx network", "network"),
    Case(*_MNN, "onnx detections"),
    Case(*_NCNN, "onnx network", "network"),
    Case(*_NCNN, "onnx detections"),
    Case("coremltools, on Linux", "coremltools", ("coremltools==9.0", "tensorflow-cpu==2.21.0"),
         "saved_model raw", "nothing"),
)  # fmt: skip


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the check."""
    text = {
        "output": ("runs/consumers", "Folder for the files, which are kept."),
        "environments": (".venv-consumers", "Folder of the tools' environments."),
        "document": ("", "Text that gets the table."),
        "model": ("efficientdet-lite0", "Size of the network, untrained."),
    }
    for name, (default, about) in text.items():
        flags.DEFINE_string(name, default, about, flag_values=values)
    flags.DEFINE_list("only", [""], "Consumers whose names hold one of these; the others keep what "
                      "they gave.", flag_values=values)  # fmt: skip
    flags.DEFINE_integer("size", 128, "Side of its input.", 64, flag_values=values)


def check(options: flags.FlagValues) -> None:
    """Exports, runs every consumer, and prints and writes the table."""
    folder = pathlib.Path(options.output).absolute() / f"{options.model}-{options.size}"
    folder.mkdir(parents=True, exist_ok=True)
    environments = pathlib.Path(options.environments).absolute()
    cases = [case for case in CASES if any(some in case.name for some in options.only)]
    node_modules = _node_modules(environments)
    config = load_config(
        options.model, overrides=[f"model.image_size={options.size}", "detect.nms=hard"]
    )
    picture = make_scene(0, options.size)[0]
    network = functools.cache(lambda: spread_network(config, picture))
    files = _export(network, config, folder, picture, node_modules, {case.file for case in cases})
    given, truth = folder / "given.npz", folder / "truth.npz"
    if not truth.exists():
        np.savez(truth, **_truth(network(), config, picture))
    expected: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for key, value in np.load(truth).items():
        kind, name = key.split("/")
        expected[kind][name] = value
    pixels = picture[None].astype(np.float32)
    np.savez(given, pixels=pixels, normalised=normalize_images(pixels, config.model))
    Image.fromarray(picture).save(folder / "picture.png")
    kept = folder / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for case in track(cases, "running"):
        try:
            path = files[case.file]
            if in_browser := BROWSERS.get(case.worker):
                version, seconds, found = in_browser(path, given, node_modules)
            else:
                python = make_environment(environments / case.worker, case.packages)
                version, seconds, found = _in_process(case, python, path, given, node_modules)
            loads, difference = found if isinstance(found, str) else "yes", ""
            if loads == "yes":
                difference = difference_of(found, expected[case.like])
        except (subprocess.SubprocessError, OSError) as error:
            version, seconds, loads, difference = "", None, f"no: {_why(error)}", ""
        results[f"{case.name}, {case.file}"] = [version, loads, difference, seconds]
        write_json(str(kept), results)
    table = table_of(results)
    print(table)
    if options.document:
        document(pathlib.Path(options.document), table, "consumers")


def table_of(results: Mapping[str, list[Any]]) -> str:
    """Returns the results as Markdown, in the order of the cases."""
    seconds = {
        like: (results.get(f"LiteRT Interpreter, litert {like}") or [None])[-1]
        for like in ("network", "boxes", "detections")
    }
    rows = [_FIELDS, ("---",) * len(_FIELDS)]
    for case in CASES:
        if result := results.get(f"{case.name}, {case.file}"):
            version, loads, difference, own = result
            base = seconds.get(case.like)
            time = f"{own / base:.2f}" if own and base else ""
            rows.append((case.name, version, case.file, loads, difference, time))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def spread_network(config: Config, picture: np.ndarray) -> keras.Model:
    """Returns an untrained network whose scores in a picture lie apart, so that none change places.

    The deviation of its logits is 0.7, of its box deltas 0.3.
    """
    keras.utils.set_random_seed(0)
    network = build_network(config.model)
    pixels = normalize_images(picture[None].astype(np.float32), config.model)
    rng = np.random.default_rng(0)
    wanted = {"class_head.predict": ("class_logits", 0.7), "box_head.predict": ("box_deltas", 0.3)}
    for name, (output, deviation) in wanted.items():
        layer = network.get_layer(name)
        depthwise, pointwise, bias = layer.get_weights()
        layer.set_weights([depthwise, rng.normal(size=pointwise.shape), bias])
        seen = np.std(network(pixels, training=False)[output])
        layer.set_weights([depthwise, layer.get_weights()[1] * deviation / seen, bias])
    return network


def _export(
    network: Callable[[], keras.Model], config: Config, folder: pathlib.Path, picture: np.ndarray,
    node_modules: str, wanted: set[str],
) -> dict[str, str]:  # fmt: skip
    """Writes the files that are wanted and not there; returns where each "format ..." lies."""
    files = {}
    for name in track(sorted(wanted), "exporting"):
        kind, *rest = name.split()
        at = str(folder / name.replace(" ", "-"))
        ending = {"litert": ".tflite", "onnx": ".onnx", "saved_model": "/1"}.get(kind, "")
        if os.path.exists(at + ending):
            files[name] = at + ending
            continue
        if kind == "saved_model":
            files[name] = export_saved_model(
                network(), replace(config, export={"signatures": rest[0]}), at
            )
            continue
        settings: dict[str, Any] = {"format": kind, "precision": rest[1] if rest[1:] else "float32"}
        if kind == "web":
            settings = {"format": kind, "litert_js": node_modules}
        else:
            settings["outputs"] = rest[0]
        if rest == ["network", "int8"]:
            settings["io"] = "int8"
        parts = network(), replace(config, export=settings)
        if kind == "onnx":
            files[name] = export_onnx(*parts, at + ".onnx")
        elif kind == "web":
            files[name] = export_web(*parts, at)
        else:
            pixels = [picture.astype(np.float32)]
            files[name] = export_litert(*parts, at + ".tflite", pixels)
    return files


def _truth(network: keras.Model, config: Config, picture: np.ndarray) -> Outputs:
    """Returns what edet finds, in each of the outputs that files have: {"outputs/name": value}."""
    detector = Detector(network, config)
    raw = network(normalize_images(picture[None].astype(np.float32), config.model), training=False)
    boxes, scores = detector.heads["detection"].postprocess.decode(
        raw["class_logits"], raw["box_deltas"]
    )
    found = dict(detector([picture]))
    names = labels_of(config.model)
    found["class_names"] = np.array([[names.get(int(i), "") for i in found["classes"][0]]])
    return {
        **{f"network/{name}": value.numpy() for name, value in raw.items()},
        "boxes/boxes": boxes.numpy(),
        "boxes/scores": scores.numpy(),
        **{f"detections/{name}": value for name, value in found.items()},
        "detections/side": np.array(len(picture)),
    }


def _in_process(
    case: Case, python: str, path: str, given: pathlib.Path, node_modules: str
) -> tuple[str, float | None, Any]:
    """Returns the version, the seconds of a run and what came out, or a text in its place."""
    out = given.with_name(f"{CASES.index(case)}.npz")
    command = [python, "-m", "tools.checks.consumer_workers", case.worker, path, given, out]
    environment = os.environ | {"NODE_MODULES": node_modules, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        command, cwd=_ROOT, env=environment, check=True, capture_output=True, text=True,
        timeout=1200,
    )  # fmt: skip
    said = json.loads(result.stdout.strip().splitlines()[-1])
    if not out.exists():
        return said["version"], None, said.get("report", "converts")
    return said["version"], said["seconds"], dict(np.load(out))


def difference_of(found: Outputs, expected: Outputs) -> str:
    """Returns how far outputs lie from edet's; see the top."""
    if "num_detections" not in expected:
        shares = [
            np.abs(found[name] - value).max() / np.abs(value).max()
            for name, value in expected.items()
        ]
        return f"{max(shares):.1e}"
    kinds = "class_names" if "class_names" in found else "classes"
    count = int(expected["num_detections"][0])
    number = int(found["num_detections"].ravel()[0]) if "num_detections" in found else None
    number = found["scores"].shape[1] if number is None else number
    some = min(count, number)
    same = (found[kinds][0, :some] == expected[kinds][0, :some]).sum()
    scores = np.abs(found["scores"][0, :some] - expected["scores"][0, :some]).max(initial=0)
    if not same == some == count:  # others, or in another order: boxes are not of the same things
        return f"scores {scores:.1e}; {same} of {count} alike"
    side = float(expected["side"])
    theirs, ours = (np.clip(each["boxes"][0, :some], 0, side) for each in (found, expected))
    apart = np.abs(theirs - ours).max(axis=1, initial=0) / side
    return f"scores {scores:.1e}, boxes {np.median(apart):.1e} (most {apart.max(initial=0):.1e})"


def _why(error: Exception) -> str:
    """The last line of what a process said, for a cell of the table."""
    said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
    return said[-1].replace("|", "/")[:200] if said else type(error).__name__


def _node_modules(environments: pathlib.Path) -> str:
    """Installs LiteRT.js and onnxruntime-web once; returns their node_modules."""
    folder = environments / "node"
    if not (folder / "node_modules" / "onnxruntime-web").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--no-save", "--silent", *_NPM], cwd=folder, check=True)
    return str(folder / "node_modules")


if __name__ == "__main__":
    run(define_flags, check)
