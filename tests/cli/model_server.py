"""A small model server that speaks TensorFlow Serving's REST and gRPC protocols over real sockets.

It answers as tensorflow_serving/g3doc/api_rest.md and predict.proto say, with a SavedModel that
plain TensorFlow loaded: what `:predict` takes and gives, and the codes and bodies of its errors.
"""

import base64
import contextlib
import json
import re
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import grpc
import numpy as np
import tensorflow as tf

from edet.export.serving_protos import PREDICT_METHOD, PredictRequest, PredictResponse, arrays_of

_HTTP = {tf.errors.InvalidArgumentError: 400, tf.errors.NotFoundError: 404}


class ModelServer:
    """Serves one SavedModel; `rest` is its URL, `grpc` its host:port."""

    def __init__(self, path: str, name: str):
        self.model, self.name = tf.saved_model.load(path), name
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=self._http.serve_forever, daemon=True).start()
        self._grpc = grpc.server(futures.ThreadPoolExecutor(8))
        handler = grpc.unary_unary_rpc_method_handler(
            self._predict_grpc,
            request_deserializer=PredictRequest.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
        service, method = PREDICT_METHOD.strip("/").split("/")
        generic = grpc.method_handlers_generic_handler(service, {method: handler})
        self._grpc.add_generic_rpc_handlers((generic,))
        self.rest = f"http://127.0.0.1:{self._http.server_port}"
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None)

    def predict(self, name: str, signature: str, inputs: dict) -> dict[str, np.ndarray]:
        function = self.function(name, signature)
        (spec,) = function.structured_input_signature[1].values()
        outputs = function(**{key: tf.constant(v, spec.dtype) for key, v in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    def function(self, name: str, signature: str):
        if name != self.name:
            raise tf.errors.NotFoundError(
                None, None, f"Servable not found for request: Latest({name})"
            )
        if signature not in self.model.signatures:
            raise tf.errors.InvalidArgumentError(
                None, None, f'Serving signature name: "{signature}" not found in signature def'
            )
        return self.model.signatures[signature]

    def _predict_grpc(self, request: PredictRequest, context: grpc.ServicerContext):
        spec = request.model_spec
        try:
            signature = spec.signature_name or "serving_default"
            outputs = self.predict(spec.name, signature, arrays_of(request.inputs))
        except tf.errors.OpError as error:
            codes = {code.value[0]: code for code in grpc.StatusCode}
            context.abort(codes[error.error_code], error.message)
        return predict_response(outputs)


def predict_response(outputs: dict[str, np.ndarray]) -> PredictResponse:
    """What a server answers."""
    response = PredictResponse()
    for name, value in outputs.items():
        response.outputs.add(name=name, tensor=tf.make_tensor_proto(value))
    return response


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                match = re.fullmatch(r"/v1/models/([^/:]+):predict", self.path)
                if not match:
                    raise tf.errors.InvalidArgumentError(None, None, f"Malformed {self.path}")
                self._answer(200, _predict_json(server, match[1], body))
            except tf.errors.OpError as error:
                self._answer(_HTTP.get(type(error), 500), {"error": error.message})

        def _answer(self, code: int, answer: dict) -> None:
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            """Nothing: the standard handler writes every request to stderr."""

    return Handler


def _predict_json(server: ModelServer, name: str, body: bytes) -> dict:
    try:
        question = json.loads(body)
    except ValueError as error:
        raise tf.errors.InvalidArgumentError(None, None, f"JSON Parse error: {error}") from error
    signature = question.get("signature_name", "serving_default")
    if ("instances" in question) == ("inputs" in question):
        raise tf.errors.InvalidArgumentError(None, None, "Missing 'inputs' or 'instances' key")
    values = _decoded(question.get("instances", question.get("inputs")))
    (key,) = server.function(name, signature).structured_input_signature[1]
    found = server.predict(name, signature, {key: values})
    outputs = {key: _json(value) for key, value in found.items()}
    if "inputs" in question:
        return {"outputs": outputs}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _decoded(value):
    """Replaces {"b64": ...} by the bytes."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _json(value: np.ndarray) -> list:
    if value.dtype == object:
        value = np.vectorize(bytes.decode, otypes=[object])(value)
    return value.tolist()


@contextlib.contextmanager
def serving(path: str, name: str):
    """Serves a SavedModel while the block runs."""
    server = ModelServer(path, name)
    try:
        yield server
    finally:
        server.stop()
