"""Serves a SavedModel for tools/serve_check.py; runs in that tool's environment, without edet.

  python tools/checks/serve_check_server.py SAVED_MODEL HTTP_PORT TRITON_GRPC_PORT PREDICT_PORT

On 127.0.0.1, with NVIDIA's Triton: the model "strict" (signature serving_default, every request
alone) and "tolerant" (requests that come together are merged into batches). On PREDICT_PORT the
PredictionService of tensorflow-serving-api, with that package's own messages and service.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_HOST = "127.0.0.1"
_NUMPY_TYPES = {tf.string: np.bytes_, tf.bool: np.bool_}

Answer = Callable[[np.ndarray], dict[str, np.ndarray]]


def main(path: str, http_port: str, grpc_port: str, predict_port: str) -> None:
    """Serves until the process is told to end; then Triton's own processes end too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signatures = tf.saved_model.load(path).signatures
    service = _predict_service(signatures)
    service.add_insecure_port(f"{_HOST}:{predict_port}")
    service.start()
    ports = TritonConfig(
        http_address=_HOST, http_port=int(http_port), grpc_address=_HOST, grpc_port=int(grpc_port),
        allow_metrics=False,
    )  # fmt: skip
    with Triton(config=ports) as triton:
        strict = _answer(signatures["serving_default"])
        triton.bind(
            "strict", lambda requests: [strict(request["image_bytes"]) for request in requests],
            [Tensor(name="image_bytes", dtype=np.bytes_, shape=(-1,))],
            _outputs(signatures["serving_default"], batched=False),
            config=ModelConfig(batching=False),
        )  # fmt: skip
        tolerant = _answer(signatures["tolerant"])
        triton.bind(
            "tolerant", batch(lambda image_bytes: tolerant(image_bytes[:, 0])),
            [Tensor(name="image_bytes", dtype=np.bytes_, shape=(1,))],
            _outputs(signatures["tolerant"], batched=True),
            config=ModelConfig(
                max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=5000)
            ),
        )  # fmt: skip
        triton.serve()


def _answer(signature: Callable) -> Answer:
    def answer(image_bytes: np.ndarray) -> dict[str, np.ndarray]:
        found = signature(image_bytes=tf.constant(image_bytes.tolist(), tf.string))
        return {name: _two_axes(value.numpy()) for name, value in found.items()}

    return answer


def _two_axes(value: np.ndarray) -> np.ndarray:
    """Triton does not take a number for an image: [B] becomes [B, 1]."""
    return value[:, None] if value.ndim == 1 else value


def _outputs(signature: Callable, batched: bool) -> list[Tensor]:
    return [
        Tensor(
            name=name,
            dtype=_NUMPY_TYPES.get(spec.dtype, spec.dtype.as_numpy_dtype),
            shape=(() if batched else (-1,)) + (tuple(spec.shape.as_list()[1:]) or (1,)),
        )
        for name, spec in signature.structured_outputs.items()
    ]


def _predict_service(signatures: dict[str, Callable]) -> grpc.Server:
    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            signature = signatures[request.model_spec.signature_name]
            inputs = {key: tf.constant(tf.make_ndarray(v)) for key, v in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(request.model_spec)
            try:
                outputs = signature(**inputs)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    return server


if __name__ == "__main__":
    main(*sys.argv[1:])
