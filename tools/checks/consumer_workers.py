"""Runs one exported file in one runtime of others, in that runtime's own environment.

  python -m tools.checks.consumer_workers CONSUMER FILE INPUTS OUTPUTS

It imports nothing but NumPy and the runtime. INPUTS is an npz of "pixels", float32 [1, h, w, 3] in
0-255, and "normalised"; OUTPUTS an npz of what came out, by name. The last line printed is JSON:
the version, and the processor seconds of a run on one thread (null where nothing is run).
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

Outputs = Mapping[str, np.ndarray]
Run = Callable[[], Outputs]
_RUNS = 11


def litert(path: str, given: Outputs) -> Run:
    """The interpreter, whose signature names the outputs."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(path, num_threads=1).get_signature_runner()
    kind = run.get_input_details()["images"]["dtype"]
    pixels = given["pixels"].astype(kind)
    return lambda: run(images=pixels)


def compiled(path: str, given: Outputs) -> Run:
    """LiteRT's newer interface."""
    from ai_edge_litert.compiled_model import CompiledModel

    model = CompiledModel.from_file(path)
    details = model.get_output_tensor_details("serving_default")
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    names = model.get_signature_by_index(0)["outputs"]

    def run() -> Outputs:
        inputs[0].write(given["pixels"])
        model.run_by_index(0, inputs, outputs)
        found = {}
        for name, buffer in zip(names, outputs, strict=True):
            shape, kind = details[name]["shape"], np.dtype(details[name]["dtype"])
            found[name] = buffer.read(int(np.prod(shape)), kind).reshape(shape)
        return found

    return run


def mediapipe(path: str, given: Outputs) -> Run:
    """ObjectDetector, which gives whole pixels."""
    import mediapipe as mp
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.ObjectDetectorOptions(tasks.BaseOptions(path), score_threshold=0.0)
    detector = vision.ObjectDetector.create_from_options(options)
    picture = mp.Image(mp.ImageFormat.SRGB, given["pixels"][0].astype(np.uint8))

    def run() -> Outputs:
        rows = [  # boxes that are exactly the same come as one with several categories
            (each.bounding_box, category)
            for each in detector.detect(picture).detections
            for category in each.categories
        ]
        rows.sort(key=lambda row: -row[1].score)
        boxes = [(b.origin_y, b.origin_x, b.origin_y + b.height, b.origin_x + b.width)
                 for b, _ in rows]  # fmt: skip
        return {
            "boxes": np.array([boxes], np.float32),
            "scores": np.array([[category.score for _, category in rows]], np.float32),
            "class_names": np.array([[category.category_name for _, category in rows]]),
        }

    return run


def quantizer(path: str, given: Outputs) -> Run:
    """litert-quantizer: weights in int8; the file that it writes is run in LiteRT."""
    from litert_quantizer import quantizer as tool
    from litert_quantizer import recipe

    new = path.replace(".tflite", "-again.tflite")
    work = tool.Quantizer(path, recipe.dynamic_wi8_afp32())
    pathlib.Path(new).unlink(missing_ok=True)
    work.quantize().export_model(new)
    return litert(new, given)


def openvino(path: str, given: Outputs) -> Run:
    """OpenVINO from any of the three formats, in float32: where a processor has bf16, that is not
    its default."""
    import openvino as ov

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = ov.compile_model(ov.convert_model(path), "CPU", options)
    pixels = given["normalised" if os.path.isdir(path) else "pixels"]

    def run() -> Outputs:
        found = model(pixels)
        return {output.any_name: found[output] for output in model.outputs}

    return run


def onnxruntime(path: str, given: Outputs) -> Run:
    """Of a SavedModel, through tf2onnx."""
    import onnxruntime as runtime

    pixels = given["pixels"]
    if os.path.isdir(path):
        pixels, saved, path = given["normalised"], path, path.rstrip("/") + ".onnx"
        command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", saved]
        command += ["--signature_def", "raw", "--opset", "18", "--output", path]
        subprocess.run(command, check=True, capture_output=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    return lambda: dict(zip(names, session.run(names, {"images": pixels}), strict=True))


def mnn(path: str, given: Outputs) -> Run:
    """MNN, which converts ONNX or LiteRT first."""
    # Of MNN.tools.mnnconvert all but its import, which installs a package by the first pip of PATH.
    import _tools
    import MNN

    new, form = path + ".mnn", "ONNX" if path.endswith(".onnx") else "TFLITE"
    _tools.mnnconvert(["mnnconvert", "-f", form, "--modelFile", path, "--MNNModel", new])
    interpreter = MNN.Interpreter(new)
    session = interpreter.createSession({"numThread": 1})
    (entry,) = interpreter.getSessionInputAll(session).values()
    pixels = given["pixels"]
    order = (
        MNN.Tensor_DimensionType_Caffe if form == "ONNX" else MNN.Tensor_DimensionType_Tensorflow
    )
    data = MNN.Tensor(pixels.shape, MNN.Halide_Type_Float, pixels, order)

    def run() -> Outputs:
        entry.copyFrom(data)
        interpreter.runSession(session)
        found = {}
        for name, tensor in interpreter.getSessionOutputAll(session).items():
            found[name] = np.array(tensor.getNumpyData()).reshape(tensor.getShape())
        return found

    return run


def ncnn(path: str, given: Outputs) -> Run:
    """ncnn, through pnnx, which names outputs by number; both run without PyTorch."""
    import ncnn as runtime

    tool = importlib.metadata.distribution("pnnx").locate_file("pnnx/pnnx")
    pixels = given["pixels"][0]  # a name of its own: a Mat does not keep the array that it reads
    shape = ",".join(map(str, given["pixels"].shape))
    new = path + ".ncnn"
    command = [tool, path, f"inputshape=[{shape}]f32", "fp16=0"]
    command += [f"ncnnparam={new}.param", f"ncnnbin={new}.bin"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=os.path.dirname(path))
    with open(new + ".param") as file:
        layers = [line.split() for line in file.read().splitlines()[2:]]
    left = sorted({kind for kind, *_ in layers if "." in kind or kind.startswith("onnx")})
    if said.returncode or left:
        sys.exit(f"ncnn has no layer for {', '.join(left) or said.stderr[-100:]}")
    network = runtime.Net()
    network.opt.num_threads = 1
    network.load_param(new + ".param")
    network.load_model(new + ".bin")
    image = runtime.Mat(pixels).clone()

    def run() -> Outputs:
        extractor = network.create_extractor()
        extractor.input("in0", image)
        values = []
        for name in ("out0", "out1"):
            _, value = extractor.extract(name)
            values.append(np.array(value)[None])
        deltas, logits = sorted(values, key=lambda value: value.shape[-1])
        return {"class_logits": logits, "box_deltas": deltas}

    return run


def onnxruntime_web(path: str, given: Outputs) -> Run:
    """onnxruntime-web in Node, one thread of WebAssembly; the script lies beside this one."""
    script = pathlib.Path(__file__).with_name("onnxruntime_web.mjs")
    pixels = pathlib.Path(path + ".pixels")
    pixels.write_bytes(given["pixels"].tobytes())
    shape = ",".join(map(str, given["pixels"].shape))
    command = ["node", script, os.environ["NODE_MODULES"], path, pixels, shape, str(_RUNS)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = {
        name: np.array(value["data"], np.float32).reshape(value["dims"])
        for name, value in answer["outputs"].items()
    }

    def run() -> Outputs:
        return found

    run.version, run.seconds = answer["version"], answer["seconds"]
    return run


def coremltools(path: str, given: Outputs) -> None:
    """An mlprogram; only a Mac runs it."""
    import coremltools as ct

    ct.convert(path, source="tensorflow", convert_to="mlprogram").save(path + ".mlpackage")


def vela(path: str, given: Outputs) -> dict[str, object]:
    """Compiles for an Ethos-U55 of 256 MACs a cycle at 500 MHz; returns what it reports."""
    command = [pathlib.Path(sys.executable).with_name("vela"), path, "--show-cpu-operations"]
    folder = pathlib.Path(path + ".vela")
    command += ["--accelerator-config=ethos-u55-256", f"--output-dir={folder}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu, npu = (int(re.search(rf"{kind} operators = (\d+)", text)[1]) for kind in ("CPU", "NPU"))
    kinds = sorted(set(re.findall(r"^ *CPU: (\w+)", text, re.MULTILINE)))
    with open(next(folder.glob("*_summary_*.csv")), newline="") as file:
        (row,) = csv.DictReader(file)
    cycles, memory, flash = (
        float(row[name])
        for name in ("cycles_total", "sram_memory_used", "off_chip_flash_memory_used")
    )
    return {
        "report": f"{npu} of {npu + cpu} operators on the NPU"
        + (f" (on the CPU: {', '.join(kinds)})" if cpu else "")
        + f"; {cycles / 1e6:.1f} M cycles, {memory:.0f} KiB SRAM, {flash:.0f} KiB flash"
    }


_WORKERS = {
    worker.__name__: worker
    for worker in (
        litert, compiled, mediapipe, quantizer, openvino, onnxruntime, mnn, ncnn, onnxruntime_web,
        coremltools, vela,
    )
}  # fmt: skip
_PACKAGES = {
    "litert": "ai-edge-litert", "compiled": "ai-edge-litert", "quantizer": "litert-quantizer",
    "mnn": "MNN", "vela": "ethos-u-vela",
}  # fmt: skip


def main(consumer: str, path: str, inputs: str, outputs: str) -> None:
    """Runs the file and writes what came out; see the top."""
    run = _WORKERS[consumer](path, np.load(inputs))
    said: dict[str, object] = {"seconds": None}
    if callable(run):
        np.savez(outputs, **run())
        times = []
        for _ in range(_RUNS):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        said["seconds"] = getattr(run, "seconds", statistics.median(times))
    else:
        said |= run or {}
    version = getattr(run, "version", None)
    said["version"] = version or importlib.metadata.version(_PACKAGES.get(consumer, consumer))
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
