"""Compares the speed of what edet exports with its peers, as ratios in one run.

  make peers                                     their environment, .venv-peers (some 2 GB)
  python tools/compare_speed.py                  D0: every contender, milliseconds and ratios
  python tools/compare_speed.py --model=efficientdet-lite0 --output=lite0.json

Every contender runs in a process of its own with --threads threads, and the processes take turns,
a few runs each, round by round: whatever else the machine does meets all of them alike. Ratios are
of medians, to the same network exported by Keras alone, unfolded. Memory is the most that a process
held until it was warm, its libraries included. Peers without an environment are left out and named.
Weights are random, which does not change the time.

    plain          keras.export of the network as it trains: variables, batch norm, fusion weights
    saved_model    the signature `raw` of our export; saved_model_c that signature alone in
                   TensorFlow's C library, as servers run it
    litert         our float32 file; litert_int8 our int8 file
    onnx           our file in onnxruntime; onnx_openvino the same in OpenVINO
    effdet_*       effdet's model of the same name: PyTorch as it comes, channels last; its ONNX
                   file in onnxruntime and in OpenVINO
    yolo26n_*      Ultralytics' smallest at 640x640, whatever the model here, in the same two; its
                   detections are those of the network, without suppression, like those of
    deimv2_n_*     DEIMv2-N at 640x640, and
    rf_detr_nano_* RF-DETR nano at 384x384, both as transformers has them
    total          our SavedModel from an encoded 480x640 picture to detections
    nms            of that, from logits and deltas to detections
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from rich.progress import track
from rich.table import Table
from tensorflow.core.protobuf import saved_model_pb2

from edet.cli.common import run
from edet.config.labels import detectable
from edet.config.loading import load_config
from edet.config.schema import Config
from edet.errors import UserError
from edet.export.benchmark import machine_peak
from edet.export.litert import export_litert
from edet.export.onnx import export_onnx
from edet.export.saved_model import export_saved_model
from edet.files import content_of, write_json
from edet.geometry.anchors import make_anchors
from edet.inference.postprocess import Postprocess
from edet.models.complexity import count_cost
from edet.models.efficientdet import build_network
from edet.terminal import Console

_HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(os.path.dirname(_HERE)), ".venv-peers", "bin", "python")
_WORKER = os.path.join(_HERE, "speed_worker.py")


@dataclass(frozen=True)
class Contender:
    """One row: a file or model, what runs it, and the Python that has the library."""

    name: str
    engine: str  # of speed_worker.py
    path: str
    python: str = sys.executable


def define_flags(to: flags.FlagValues) -> None:
    """Defines this tool's flags."""
    flags.DEFINE_string("model", "efficientdet-d0", "a named model", flag_values=to)
    flags.DEFINE_integer("threads", 2, "threads of each contender", 1, flag_values=to)
    flags.DEFINE_integer("batch", 1, "pictures of a run", 1, flag_values=to)
    flags.DEFINE_integer("rounds", 8, "turns of each contender", 1, flag_values=to)
    flags.DEFINE_integer("runs", 6, "runs in a turn", 1, flag_values=to)
    flags.DEFINE_multi_string("set", [], "a setting, as of main.py", flag_values=to)
    flags.DEFINE_string("output", "", "JSON file to write", flag_values=to)


def compare(options: flags.FlagValues) -> None:
    """Exports, measures, prints a table and writes it as JSON."""
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    config = load_config(options.model, overrides=options.set)
    with tempfile.TemporaryDirectory() as folder:
        network = network_like_trained(config)
        cost = count_cost(network)["total"]
        contenders = _export(network, config, folder) + _peers(config, folder)
        times, memory = _measure(contenders, _nms(config, options.batch), options)
    base = statistics.median(times["plain"])
    rows = {
        name: {
            "milliseconds": statistics.median(values),
            "least": min(values),
            "ratio": statistics.median(values) / base,
            "peak_mib": memory.get(name),
        }
        for name, values in times.items()
    }
    summary = {
        "model": options.model,
        "image_size": config.model.image_size,
        "threads": options.threads,
        "batch": options.batch,
        "multiply_adds": cost.multiply_adds,
        "peak_multiply_adds_per_second": machine_peak(),
        "load": os.getloadavg()[0],
        "rows": rows,
    }
    if options.output:
        write_json(options.output, summary)
    Console().print(_table(summary))


def network_like_trained(config: Config) -> keras.Model:
    """Returns a network with offsets and statistics as after training."""
    keras.utils.set_random_seed(0)
    network = build_network(config.model)
    _randomize(network)
    return network


def outputs_like_trained(config: Config, batch: int) -> dict[str, tf.Tensor]:
    """Returns class logits and box deltas such as a trained network's."""
    model, rng = config.model, np.random.default_rng(0)
    anchors = len(make_anchors(model.image_size, model.levels, model.anchors))
    logits = rng.normal(-6, 1, (batch, anchors, model.num_classes))
    logits[..., ~np.array(detectable(model))] -= 6  # no image of the training set has these classes
    deltas = rng.normal(0, 0.3, (batch, anchors, 4))
    outputs = {"class_logits": logits, "box_deltas": deltas}
    return {name: tf.constant(value, tf.float32) for name, value in outputs.items()}


def _nms(config: Config, batch: int) -> Callable[[], object]:
    """Returns what the SavedModel does after the network, on outputs like a network's."""
    outputs = outputs_like_trained(config, batch)
    postprocess = Postprocess.of(config.model, config.detect)
    run = tf.function(
        lambda x: postprocess(**x, scales=tf.ones([batch, 2]), target="cpu"), autograph=False
    )
    return lambda: run(outputs)["scores"].numpy()


def _export(network: keras.Model, config: Config, folder: str) -> list[Contender]:
    """Writes every format of ours and returns what to run."""
    spec = tf.TensorSpec([None, *config.model.image_size, 3])
    archive = keras.export.ExportArchive()
    archive.track(network)
    archive.add_endpoint("serve", lambda x: network(x, training=False), input_signature=[spec])
    plain = os.path.join(folder, "plain")
    archive.write_out(plain, verbose=False)
    saved_model = export_saved_model(network, config, os.path.join(folder, "saved_model"))
    one = dataclasses.replace(config.export, signatures="raw")
    raw = export_saved_model(
        network, dataclasses.replace(config, export=one), os.path.join(folder, "raw")
    )
    contenders = [
        Contender("plain", "tensorflow", plain),
        Contender("saved_model", "tensorflow", saved_model),
        Contender("saved_model_c", "tensorflow_c", raw_in_c(raw)),
        Contender("total", "tensorflow_total", saved_model),
    ]
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(0, 255, (*config.model.image_size, 3)).astype("f4") for _ in range(4)]
    for name, precision in (("litert", "float32"), ("litert_int8", "int8")):
        path = os.path.join(folder, f"{name}.tflite")
        wanted = _network_only(config, "litert", precision)
        export_litert(network, wanted, path, pictures if precision == "int8" else ())
        contenders.append(Contender(name, "litert", path))
    onnx = os.path.join(folder, "ours.onnx")
    export_onnx(network, _network_only(config, "onnx", "float32"), onnx)
    contenders.append(Contender("onnx", "onnxruntime", onnx))
    if os.path.exists(PEERS):
        contenders.append(Contender("onnx_openvino", "openvino", onnx, PEERS))
    return contenders


def raw_in_c(folder: str) -> str:
    """Writes what `CSession` takes to run a SavedModel's signature `raw`; returns the file."""
    content = content_of(os.path.join(folder, "saved_model.pb"))
    signature = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def["raw"]
    (given,) = (info.name for info in signature.inputs.values())
    taken = [signature.outputs[name].name for name in sorted(signature.outputs)]
    path = f"{folder}.json"
    write_json(path, {"folder": folder, "given": given, "taken": taken})
    return path


def _randomize(network: keras.Model) -> None:
    """Gives offsets and statistics values as after training, so that no zero is optimised away."""
    rng = np.random.default_rng(0)
    for variable in network.variables:
        name = variable.path.rsplit("/", 1)[-1]
        if name in ("bias", "beta", "moving_mean"):
            variable.assign(variable.numpy() + rng.normal(0, 0.1, variable.shape))
        elif name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))


def _network_only(config: Config, form: str, precision: str) -> Config:
    export = dataclasses.replace(config.export, format=form, precision=precision, outputs="network")
    return dataclasses.replace(config, export=export)


def _peers(config: Config, folder: str) -> list[Contender]:
    """effdet's model of this name and others' smallest, as far as they are installed and export."""
    if not os.path.exists(PEERS):
        print("without peers and OpenVINO: `make peers` installs them", file=sys.stderr)
        return []
    effdet = "tf_" + config.model.name.replace("-", "_")
    contenders = []
    for library, model, label in (
        ("effdet", effdet, "effdet"),
        ("ultralytics", "yolo26n", "yolo26n"),
        ("transformers", "deimv2-n", "deimv2_n"),
        ("transformers", "rf-detr-nano", "rf_detr_nano"),
    ):
        path = os.path.join(folder, f"{label}.onnx")
        command = [PEERS, _WORKER, "export", library, model, path]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            print(f"without {library}'s {model}: {done.stderr[-200:]}", file=sys.stderr)
            continue
        if library == "effdet":
            contenders.append(Contender("effdet_pytorch", "effdet", effdet, PEERS))
        contenders += [
            Contender(f"{label}_{runtime}", runtime, path, PEERS)
            for runtime in ("onnxruntime", "openvino")
        ]
    return contenders


def _measure(
    contenders: list[Contender], nms: Callable[[], object], options: flags.FlagValues
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Returns the milliseconds of every run of every contender, in rounds, and their memory."""
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders} | {"nms": []}
    with contextlib.ExitStack() as stack:
        started = {c.name: stack.enter_context(_worker(c, options)) for c in contenders}
        memory = {name: mib for name, (_, _, mib) in started.items()}
        workers = {name: pipes for name, (*pipes, _) in started.items()}
        for _ in track(range(options.rounds), "measuring", console=Console(stderr=True)):
            for name, (questions, answers) in workers.items():
                print(options.runs, file=questions, flush=True)
                times[name] += json.loads(answers.readline())
            for run_number in range(options.runs + 2):
                start = time.perf_counter()
                nms()
                if run_number >= 2:  # this process has been idle
                    times["nms"].append(1000 * (time.perf_counter() - start))
    return times, memory


@contextlib.contextmanager
def _worker(contender: Contender, options: flags.FlagValues) -> Iterator[tuple[IO, IO, float]]:
    """Starts a contender's process; gives its stdin, stdout and peak in MiB once it is warm."""
    command = [
        contender.python, _WORKER, contender.engine, str(options.threads), str(options.batch),
        contender.path,
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,  # it ends with its stdin, not by the terminal's Ctrl-C
        )  # fmt: skip
        try:
            if not (memory := process.stdout.readline()):
                process.wait()
                log.seek(0)
                raise UserError(f"cannot measure {contender.name}: {log.read()[-300:]}")
            yield process.stdin, process.stdout, json.loads(memory)
        finally:
            process.stdin.close()
            process.wait()


def _table(summary: dict) -> Table:
    size = "x".join(map(str, summary["image_size"]))
    peak = summary["peak_multiply_adds_per_second"]
    arithmetic = 1000 * summary["multiply_adds"] * summary["batch"] / peak
    table = Table(
        title=f"{summary['model']} at {size}, batch {summary['batch']}, {summary['threads']} "
        "threads",
        caption=f"arithmetic alone, at the speed of a large matrix product: {arithmetic:.1f} ms",
    )
    for heading in ("contender", "median ms", "least ms", "of plain", "peak MiB"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for name, row in summary["rows"].items():
        table.add_row(
            name, f"{row['milliseconds']:.1f}", f"{row['least']:.1f}", f"{row['ratio']:.2f}",
            f"{row['peak_mib']:.0f}" if row["peak_mib"] else "",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    run(define_flags, compare)
