"""One signature of a SavedModel, run with no more of its graphs than it needs.

`tf.saved_model.load` builds every function of a file in Python, and each session or eager call
copies the library of all of them several times. Of ours, the network alone is a third.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2


class SignatureSession:
    """Runs a signature that takes one tensor.

    Args:
      folder: of the SavedModel; gs:// works.
      name: of the signature.

    Attributes:
      inputs, outputs: {name: TensorSpec}.

    Raises:
      ValueError: the file is damaged or has no such signature; tf.errors.OpError: it, or its
        weights, cannot be read.
    """

    def __init__(self, folder: str, name: str):
        with tf.io.gfile.GFile(os.path.join(folder, "saved_model.pb"), "rb") as file:
            content = file.read()
        try:
            (meta,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        except (DecodeError, ValueError) as error:
            raise ValueError("saved_model.pb is damaged") from error
        if name not in meta.signature_def:
            raise ValueError(f"it has no signature {name!r}")
        signature, saver = meta.signature_def[name], meta.saver_def
        outputs = sorted(signature.outputs.items())
        self.inputs, self.outputs = (
            {key: tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype)) for key, info in ends}
            for ends in (signature.inputs.items(), outputs)
        )
        fetched = [info.name for _, info in outputs]
        graph = tf.Graph()
        with graph.as_default():
            tf.graph_util.import_graph_def(
                _part_of(meta.graph_def, [*fetched, saver.restore_op_name]), name=""
            )
        session = tf.compat.v1.Session(graph=graph)
        variables = os.path.join(folder, "variables", "variables")
        session.run(saver.restore_op_name, {saver.filename_tensor_name: variables})
        (taken,) = signature.inputs.values()
        self._run = session.make_callable(fetched, [taken.name])

    def __call__(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the outputs by name; from any thread."""
        return dict(zip(self.outputs, self._run(value), strict=True))


def _part_of(graph: tf.compat.v1.GraphDef, wanted: Iterable[str]) -> tf.compat.v1.GraphDef:
    """Returns what nodes or tensors depend on: nodes, and the functions that these call."""
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    part = tf.compat.v1.GraphDef(versions=graph.versions)
    waiting, called = [*map(_node_of, wanted)], []
    while waiting or called:
        if waiting:
            node = nodes.pop(waiting.pop(), None)
            added = [node] if node else []
            part.node.extend(added)
            waiting += (_node_of(tensor) for one in added for tensor in one.input)
        else:
            function = functions.pop(called.pop(), None)
            added = function.node_def if function else []
            part.library.function.extend([function] if function else [])
        for attribute in (value for one in added for value in one.attr.values()):
            called += (f.name for f in (attribute.func, *attribute.list.func) if f.name)
    return part


def _node_of(tensor: str) -> str:
    """The node of "name:0" or "^name"."""
    return tensor.split(":")[0].lstrip("^")
