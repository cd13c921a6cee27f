"""TensorFlow Serving's Predict messages, without its package.

`tensorflow-serving-api` requires the wheel `tensorflow`, which pip would install over
tensorflow-cpu or tensorflow-tpu. Declared here are the few fields that edet writes and reads of
tensorflow_serving/apis/model.proto, predict.proto and prediction_log.proto, under the same
numbers, so that the bytes are the same; the test holds them against the package's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow.core.framework import tensor_pb2

PREDICT_METHOD = "/tensorflow.serving.PredictionService/Predict"

# A map field is written as repeated entries of a key (1) and a value (2). The package is a name of
# our own, so that the real messages can be imported in the same process.
_DECLARATIONS = f"""
name: "edet/serving/messages.proto" package: "edet.serving" syntax: "proto3"
dependency: "{tensor_pb2.DESCRIPTOR.name}"
message_type {{
  name: "ModelSpec"
  field {{ name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }}
  field {{ name: "signature_name" number: 3 label: LABEL_OPTIONAL type: TYPE_STRING }}
}}
message_type {{
  name: "NamedTensor"
  field {{ name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }}
  field {{ name: "tensor" number: 2 label: LABEL_OPTIONAL type_name: ".tensorflow.TensorProto" }}
}}
message_type {{
  name: "PredictRequest"
  field {{ name: "model_spec" number: 1 label: LABEL_OPTIONAL type_name: "ModelSpec" }}
  field {{ name: "inputs" number: 2 label: LABEL_REPEATED type_name: "NamedTensor" }}
}}
message_type {{
  name: "PredictResponse"
  field {{ name: "outputs" number: 1 label: LABEL_REPEATED type_name: "NamedTensor" }}
}}
message_type {{
  name: "PredictLog"
  field {{ name: "request" number: 1 label: LABEL_OPTIONAL type_name: "PredictRequest" }}
}}
message_type {{
  name: "PredictionLog"
  field {{ name: "predict_log" number: 6 label: LABEL_OPTIONAL type_name: "PredictLog" }}
}}
"""


def _classes() -> dict[str, type]:
    declared = text_format.Parse(_DECLARATIONS, descriptor_pb2.FileDescriptorProto())
    for message in declared.message_type:
        for field in message.field:
            if field.type_name:
                field.type = field.TYPE_MESSAGE
    pool = descriptor_pool.Default()
    pool.Add(declared)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{declared.package}.{message.name}")
        )
        for message in declared.message_type
    }


_CLASSES = _classes()
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
PredictionLog = _CLASSES["PredictionLog"]


def predict_request(
    model: str, signature: str, inputs: Mapping[str, np.ndarray | tensor_pb2.TensorProto]
) -> PredictRequest:
    """Returns the request that asks a signature of a model by the names of its inputs."""
    request = PredictRequest(model_spec={"name": model, "signature_name": signature})
    for name, value in inputs.items():
        request.inputs.add(name=name, tensor=tf.make_tensor_proto(value))
    return request


def arrays_of(tensors) -> dict[str, np.ndarray]:
    """Returns the arrays of a request's `inputs` or a response's `outputs` by name."""
    return {item.name: tf.make_ndarray(item.tensor) for item in tensors}
