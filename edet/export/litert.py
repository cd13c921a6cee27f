"""LiteRT (TFLite) files: the network in a chosen precision, and what follows it in float32.

Both parts are converted on their own and then joined in the flatbuffer, so that quantising the
first never touches the second. See `export.portable` for the parts and `export.exported` for
running a file.
"""

from __future__ import annotations

import functools
import io
import json
import struct
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.errors import UserError
from edet.export import mediapipe
from edet.export.portable import (
    METADATA,
    SETTINGS,
    check_target,
    description_of,
    image_spec,
    metadata,
    network_of,
    outputs_of,
    postprocess_of,
    settings,
)
from edet.files import encoded, reason, write_bytes, write_json

SIGNATURE = "serving_default"
NOT_INSTALLED = "LiteRT needs ai-edge-litert; install it with: pip install 'edet[litert]'."

# What reading a flatbuffer or an archive of other bytes raises.
_DAMAGED = (
    KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError, struct.error,
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError,
)  # fmt: skip
_DEFAULT = [tf.lite.Optimize.DEFAULT]


def export_litert(
    network: keras.Model, config: Config, path: str, pixels: Iterable[np.ndarray] = ()
) -> str:
    """Writes a .tflite file and, beside it, its metadata as .json.

    The one signature takes "images" [1, h, w, 3], fitted pixels in 0-255: float32, for int8 uint8
    or as `export.io` says. It gives what `export.outputs` names; see `portable.OUTPUTS`. They
    and the configuration lie inside the file too: as metadata of the flatbuffer, which a tool that
    quantises it again keeps, and as a zip archive at its end, `unzip -p model.tflite edet.json`.

    Args:
      network: from `build_network(config.model)`.
      config: its `export` says how.
      path: file to write, ending in .tflite; gs:// works.
      pixels: float32 [h, w, 3] each, as `Predictor.prepare` gives them; int8 needs some.

    Returns:
      The path. The file appears whole or not at all.

    Raises:
      UserError: the path does not end in .tflite or cannot be written, what lies beside it is no
        description of a model, ai-edge-litert is not installed, or int8 has no pixels.
    """
    tools, schema = check_litert(config, path)
    precision = config.export.precision
    graph = _graph(network_of(network, config), [image_spec(config.model)])
    content = _convert(graph, _settings_of(precision, config.export.io, pixels))
    model = tools.read_model_from_bytearray(content)
    if config.export.outputs != "network":
        last = _convert(_graph(postprocess_of(config), graph.structured_outputs), {})
        _append(model, tools.read_model_from_bytearray(last))
    _sign(model, list(outputs_of(config)), schema)
    _give_unique_names(model)
    input_type, quantized = _numbers(model, schema)
    description = metadata(config, precision, input_type) | quantized
    texts = {METADATA: _json(description), SETTINGS: settings(config)}
    files = {name: encoded(text, path) for name, text in texts.items()}
    stored = dict(files)
    if config.export.outputs == "mediapipe":
        stored[mediapipe.NAME] = mediapipe.tflite_metadata(config.model, input_type)
        files[mediapipe.LABELS] = encoded(mediapipe.label_file(config.model), path)
    _store(model, stored, schema)
    content = bytes(tools.convert_object_to_bytearray(model))
    beside = description_of(path)  # which another export may have changed meanwhile
    write_bytes(path, _with_files(content, files))
    write_json(beside, description)
    return path


def check_litert(config: Config, path: str) -> tuple[ModuleType, ModuleType]:
    """Returns what flatbuffers are written with; refuses what `export_litert` would, but pixels."""
    check_target(config, path, ".tflite")
    return _flatbuffer_modules()


def _settings_of(precision: str, io: str, pixels: Iterable[np.ndarray]) -> dict[str, Any]:
    """Returns the converter's attributes for a precision, and the numbers in and out of int8."""
    if precision == "float32":
        return {}
    if precision == "float16":
        spec = tf.lite.TargetSpec(supported_types=[tf.float16])
        return {"optimizations": _DEFAULT, "target_spec": spec}
    if precision == "dynamic":
        return {"optimizations": _DEFAULT}
    samples = [_whole(image)[None].astype(np.uint8) for image in pixels]  # a quarter of the memory
    if not samples:
        raise UserError("int8 needs pictures to calibrate with; set data.train_records.")
    # One black and one white pixel give the input the range 0-255, so that uint8 is the pixel and
    # int8 the pixel - 128.
    samples[0][0, 0, 0], samples[0][0, 0, 1] = 0, 255
    spec = tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8])
    return {
        "optimizations": _DEFAULT,
        "target_spec": spec,
        "representative_dataset": lambda: ([sample.astype(np.float32)] for sample in samples),
        "inference_input_type": tf.uint8 if io == "auto" else tf.as_dtype(io),
        "inference_output_type": tf.float32 if io == "auto" else tf.as_dtype(io),
    }


def _whole(image: np.ndarray) -> np.ndarray:
    """Rounds pixels to the values that uint8 has."""
    return np.clip(np.rint(image), 0, 255).astype(np.float32)


def _graph(
    function: Callable[..., Sequence[tf.Tensor]], like: Sequence[tf.Tensor | tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """Returns a function as a graph for arguments of these shapes and types."""
    specs = [tf.TensorSpec(one.shape, one.dtype, one.name.split(":")[0]) for one in like]
    return tf.function(function, specs, autograph=False).get_concrete_function()


def _convert(graph: tf.types.experimental.ConcreteFunction, attributes: dict[str, Any]) -> bytes:
    """Converts a graph to a .tflite whose inputs and outputs have its order."""
    converter = tf.lite.TFLiteConverter([graph])
    for name, value in attributes.items():
        setattr(converter, name, value)
    with warnings.catch_warnings():
        # Calibration runs in TensorFlow's own interpreter, which announces its end each time.
        warnings.simplefilter("ignore")
        return converter.convert()


def _append(model: Any, last: Any) -> None:
    """Appends a model to another one, whose outputs are, in their order, its inputs.

    Both are flatbuffers as objects (ModelT) and have one subgraph.
    """
    graph, tail = model.subgraphs[0], last.subgraphs[0]
    if len(model.subgraphs) + len(last.subgraphs) != 2:
        raise ValueError("only models of one subgraph can be joined")
    buffers, codes = len(model.buffers), len(model.operatorCodes)
    place = dict(zip(tail.inputs, graph.outputs, strict=True))
    for index, tensor in enumerate(tail.tensors):
        if index not in place:
            place[index] = len(graph.tensors)
            tensor.buffer += buffers if tensor.buffer else 0  # buffer 0 is the empty one
            graph.tensors.append(tensor)
    for operator in tail.operators:
        operator.opcodeIndex += codes
        operator.inputs = [place.get(index, index) for index in operator.inputs]  # -1: none
        operator.outputs = [place[index] for index in operator.outputs]
    graph.operators += tail.operators
    graph.outputs = [place[index] for index in tail.outputs]
    model.buffers += last.buffers
    model.operatorCodes += last.operatorCodes


def _sign(model: Any, names: Sequence[str], schema: Any) -> None:
    """Gives a model its one signature, from "images" to `names`, and these names to its tensors."""

    def tensor_map(name: str, index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        return entry

    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE, 0
    signature.inputs = [tensor_map("images", graph.inputs[0])]
    signature.outputs = [tensor_map(*pair) for pair in zip(names, graph.outputs, strict=True)]
    model.signatureDefs = [signature]
    for entry in signature.inputs + signature.outputs:
        graph.tensors[entry.tensorIndex].name = entry.name.encode()


def _numbers(model: Any, schema: Any) -> tuple[str, dict[str, Any]]:
    """Returns the type of a model's input, and for the metadata what its quantised ends mean."""
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    kinds = {value: name.lower() for name, value in vars(schema.TensorType).items()}
    ends = {
        one.name: graph.tensors[one.tensorIndex] for one in signature.inputs + signature.outputs
    }
    quantized = {
        name: {
            "type": kinds[tensor.type],
            "scale": float(tensor.quantization.scale[0]),
            "zero_point": int(tensor.quantization.zeroPoint[0]),
        }
        for name, tensor in ends.items()
        if kinds[tensor.type] in ("int8", "uint8")
    }
    rule = {"quantization": {"rule": "value = (number - zero_point) * scale", **quantized}}
    return kinds[ends["images"].type], rule if quantized else {}


def _give_unique_names(model: Any) -> None:
    """Numbers tensors whose name another one has; OpenVINO and quantisers go by names."""
    graph = model.subgraphs[0]
    kept = {*graph.inputs, *graph.outputs}
    taken = {graph.tensors[index].name for index in kept}
    for index, tensor in enumerate(graph.tensors):
        if index in kept:
            continue
        name, number = tensor.name or b"tensor", 0
        while (new := name + b"_%d" % number if number else name) in taken:
            number += 1
        tensor.name = new
        taken.add(new)


def _store(model: Any, files: dict[str, bytes], schema: Any) -> None:
    """Puts files into a model's metadata, each as an entry of its name."""
    model.metadata = model.metadata or []
    for name, content in files.items():
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = name, len(model.buffers)
        buffer.data = list(content)
        model.buffers.append(buffer)
        model.metadata.append(entry)


def _stored(content: bytes, name: str, path: str) -> str:
    """Returns a text file of a model's metadata, or of the archive at its end.

    Raises:
      UserError: it has neither.
    """
    _, schema = _flatbuffer_modules()
    try:
        model = schema.Model.GetRootAs(content)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == name.encode():
                return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # of edet before 2026-12
            return archive.read(name).decode()
    except _DAMAGED as error:
        raise UserError(
            f"{path} holds no {name}: it was not written by --mode=export, or is damaged."
        ) from error


def _flatbuffer_modules():
    """Returns (tools, schema) of ai-edge-litert."""
    try:
        from ai_edge_litert import schema_py_generated
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError as error:
        raise UserError(NOT_INSTALLED) from error
    return flatbuffer_utils, schema_py_generated


def _with_files(model: bytes, files: dict[str, bytes]) -> bytes:
    """Appends a zip archive of text files, not packed: MediaPipe reads no other.

    It has no times: a clock before 1980 would be an error, and the same network gives the same
    bytes.
    """
    archive = io.BytesIO(model)
    with zipfile.ZipFile(archive, "a") as target:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o644 << 16  # readable where it is unpacked
            target.writestr(info, content)
    return archive.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class LiteRTFile:
    """A .tflite file of ours, open in the LiteRT interpreter with XNNPACK.

    Args:
      content: the bytes of the file.
      path: its name, for errors.
      threads: CPU threads.

    Raises:
      UserError: it is damaged or of another origin, or ai-edge-litert is not installed.
    """

    def __init__(self, content: bytes, path: str, threads: int):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(NOT_INSTALLED) from error
        self.settings = _stored(content, SETTINGS, path)
        self._in_use = threading.Lock()  # an interpreter has one set of tensors for all threads
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._run = self._interpreter.get_signature_runner(SIGNATURE)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"cannot read the model file {path}: {reason(error)}") from error
        taken, self._details = self._run.get_input_details(), self._run.get_output_details()
        self.inputs = {name: tf.TensorSpec(one["shape"]) for name, one in taken.items()}
        (self._input, *_), details = taken.values(), self._details
        self._from_mediapipe = None
        if details.keys() >= mediapipe.NAMES:
            size = self._input["shape"][1:3]
            ids = json.loads(_stored(content, METADATA, path))["class_ids"]
            self._from_mediapipe = functools.partial(mediapipe.from_mediapipe, size=size, ids=ids)
        self.outputs = {
            name: tf.TensorSpec(value.shape, value.dtype)
            for name, value in self._named(
                {name: np.zeros(one["shape"], one["dtype"]) for name, one in details.items()}
            ).items()
        }

    def _named(self, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns float32 for quantised numbers, and our names for MediaPipe's."""
        for name, detail in self._details.items():
            scale, zero_point = detail["quantization"]
            if scale:
                found[name] = (found[name].astype(np.float32) - zero_point) * np.float32(scale)
        return self._from_mediapipe(found) if self._from_mediapipe else found

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one image, float32 [1, h, w, 3], fitted pixels in 0-255."""
        scale, zero_point = self._input["quantization"]
        if scale:
            images = np.rint(_whole(images) / scale) + zero_point
        with self._in_use:
            found = self._run(images=images.astype(self._input["dtype"]))
        return self._named(found)
