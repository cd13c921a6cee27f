"""ONNX files: the network, and what follows it, for onnxruntime and what else reads ONNX.

See `export.portable` for the two parts and `export.exported` for running a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edet.config.schema import Config
from edet.errors import UserError
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
from edet.files import reason, write_bytes, write_json

OPSET = 18  # of April 2023; every runtime of the last years has it
_NOT_INSTALLED = (
    "ONNX needs onnx, onnxruntime and tf2onnx; install them with: pip install 'edet[onnx]'."
)


def export_onnx(network: keras.Model, config: Config, path: str) -> str:
    """Writes an .onnx file and, beside it, its metadata as .json.

    The input "images" is float32 [1, h, w, 3], fitted pixels in 0-255. The outputs are what
    `export.outputs` names; see `portable.OUTPUTS`. They and the configuration are in the
    file too.

    Args:
      network: from `build_network(config.model)`.
      config: its `export` says how.
      path: file to write, ending in .onnx; gs:// works.

    Returns:
      The path. The file appears whole or not at all.

    Raises:
      UserError: the path does not end in .onnx or cannot be written, tf2onnx is not installed, or
        soft-NMS is asked for, which ONNX has not.
    """
    tf2onnx = check_onnx(config, path)
    first, postprocess = network_of(network, config), postprocess_of(config)
    names = list(outputs_of(config))
    function = tf.function(
        lambda images: dict(zip(names, postprocess(*first(images)), strict=True)), autograph=False
    )
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=[image_spec(config.model)], opset=OPSET
    )
    _give_sizes(model)
    _drop_unused(model)
    description = metadata(config, "float32", "float32")
    for key, text in ((METADATA, json.dumps(description)), (SETTINGS, settings(config))):
        model.metadata_props.add(key=key, value=text)
    beside = description_of(path)
    write_bytes(path, model.SerializeToString())
    write_json(beside, description)
    return path


def check_onnx(config: Config, path: str) -> ModuleType:
    """Returns tf2onnx; refuses what `export_onnx` would."""
    check_target(config, path, ".onnx")
    is_suppressed = config.model.detects and config.export.outputs == "detections"
    if is_suppressed and config.detect.nms != "hard":
        raise UserError(
            f"ONNX has hard suppression only, and detect.nms is {config.detect.nms}; set "
            "detect.nms=hard, or export.outputs to boxes or network."
        )
    try:
        import tf2onnx
    except ImportError as error:
        raise UserError(_NOT_INSTALLED) from error
    return tf2onnx


def _give_sizes(model: Any) -> None:
    """Gives every Resize of an ONNX model the size to reach instead of tf2onnx's factor.

    Rounded to float32, the factor from 3 to 5 rows makes 4 of them.
    """
    import onnx

    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    for node in resizes:  # in the order of the graph: shapes are known up to the first wrong one
        constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
        shape = next(one for one in inferred if one.name == node.input[0]).type.tensor_type.shape
        factors = constants[node.input[2]]
        sizes = [round(axis.dim_value * f) for axis, f in zip(shape.dim, factors, strict=True)]
        name = f"{node.output[0]}/sizes"
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(sizes, np.int64), name)
        )
        node.input[2:] = ["", name]


def _drop_unused(model: Any) -> None:
    """Drops the initializers that no node reads; onnxruntime warns of each at every load."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [one for one in model.graph.initializer if one.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


class ONNXFile:
    """An .onnx file of ours, open in onnxruntime on the CPU.

    Args:
      content: the bytes of the file.
      path: its name, for errors.
      threads: CPU threads.

    Raises:
      UserError: it is damaged or of another origin, or onnxruntime is not installed.
    """

    def __init__(self, content: bytes, path: str, threads: int):
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(_NOT_INSTALLED) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(content, options)
        except Exception as error:  # onnxruntime's errors have no common class of their own
            raise UserError(f"cannot read the model file {path}: {reason(error)}") from error
        stored = self._session.get_modelmeta().custom_metadata_map
        if SETTINGS not in stored:
            raise UserError(f"{path} holds no {SETTINGS}: it was not written by --mode=export.")
        self.settings = stored[SETTINGS]
        self.inputs = _specs(self._session.get_inputs())
        self.outputs = {
            name: tf.TensorSpec(spec.shape, tf.float32 if spec.dtype.is_floating else tf.int32)
            for name, spec in _specs(self._session.get_outputs()).items()
        }

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one image, float32 [1, h, w, 3], fitted pixels in 0-255."""
        taken = self.inputs["images"].dtype
        images = (np.rint(images) if taken.is_integer else images).astype(taken.as_numpy_dtype)
        values = self._session.run(list(self.outputs), {"images": images})
        found = zip(self.outputs.items(), values, strict=True)
        return {name: value.astype(spec.dtype.as_numpy_dtype) for (name, spec), value in found}


def _specs(ends: Iterable[Any]) -> dict[str, tf.TensorSpec]:
    """Returns what onnxruntime tells of inputs or outputs that are tensors, of whatever type."""
    names = {"float": "float32", "double": "float64"}  # other types are called as TensorFlow's
    specs = {}
    for end in ends:
        kind = end.type.removeprefix("tensor(").removesuffix(")")
        shape = [side if isinstance(side, int) else None for side in end.shape]
        if end.type == f"tensor({kind})":
            specs[end.name] = tf.TensorSpec(shape, names.get(kind, kind))
    return specs
