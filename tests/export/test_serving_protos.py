"""The messages are, byte for byte, those of tensorflow-serving-api 2.21.0, which printed these."""

import numpy as np

from edet.export.serving_protos import (
    PredictionLog,
    PredictRequest,
    PredictResponse,
    arrays_of,
    predict_request,
)

# PredictRequest(model_spec=ModelSpec(name="m", signature_name="raw"),
#                inputs={"images": make_tensor_proto([b"a\xff"])})
REQUEST = bytes.fromhex("0a080a016d1a0372617712160a06696d61676573120c0807120412020801420261ff")
# PredictionLog(predict_log=PredictLog(request=...))
LOG = bytes.fromhex("32240a22") + REQUEST
# PredictResponse(outputs={"boxes": make_tensor_proto([[1, 2.5]], float32)},
#                 model_spec=ModelSpec(name="m", version=3)); edet does not read the model_spec
RESPONSE = bytes.fromhex(
    "0a1f0a05626f786573121608011208120208011202080222080000803f0000204012070a016d12020803"
)


def test_a_request_and_its_log_are_written_as_by_the_package():
    request = predict_request("m", "raw", {"images": np.array([b"a\xff"], object)})
    assert request.SerializeToString() == REQUEST
    assert PredictionLog(predict_log={"request": request}).SerializeToString() == LOG


def test_a_request_of_the_package_is_read():
    request = PredictRequest.FromString(REQUEST)
    assert (request.model_spec.name, request.model_spec.signature_name) == ("m", "raw")
    assert arrays_of(request.inputs) == {"images": np.array([b"a\xff"], object)}


def test_a_response_of_the_package_is_read():
    outputs = arrays_of(PredictResponse.FromString(RESPONSE).outputs)
    assert list(outputs) == ["boxes"]
    np.testing.assert_array_equal(outputs["boxes"], np.array([[1, 2.5]], np.float32))
