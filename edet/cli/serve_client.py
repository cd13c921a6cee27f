"""Asks a model server what is in pictures, over REST or gRPC.

  edet serve_client --name=cells --pictures='street.jpg,more/*.png'
  edet serve_client --name=cells --pictures='more/*' --grpc=localhost:8500 --format=json

The server is TensorFlow Serving, or any that speaks its protocol, with a SavedModel that
`edet --mode=export` wrote. JSON is a list with, for every picture, "file" and either "error" or
"detections": "category_id", "category", "bbox" [x, y, width, height] in pixels, "score".

A row is one picture's part of an answer: the outputs of the signature by name, without the batch.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import requests
import rich
from absl import flags
from rich.markup import escape
from rich.table import Table

from edet.cli.common import run
from edet.errors import UserError, refuse_malformed
from edet.export.serving_protos import PREDICT_METHOD, PredictResponse, arrays_of, predict_request
from edet.files import read_bytes, reason
from edet.globs import find_files

SIGNATURE = "tolerant"  # a picture that cannot be decoded does not cost the others their answer


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string(
        "pictures", None, "Files: a glob, or several with commas.", flag_values=values
    )
    flags.DEFINE_string("name", "model", "The model's name at the server.", flag_values=values)
    flags.DEFINE_string("rest", "http://localhost:8501", "URL of the server.", flag_values=values)
    flags.DEFINE_string(
        "grpc", "", "host:port of the server; asks over gRPC instead of REST.", flag_values=values
    )
    flags.DEFINE_integer(
        "batch_size", 8, "Pictures in a request; a server that batches refuses more than its "
        "max_batch_size.", lower_bound=1, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_float("min_score", 0.3, "Shows nothing below.", flag_values=values)
    flags.DEFINE_float(
        "timeout", 60.0, "Seconds to wait for an answer.", lower_bound=0.001, flag_values=values
    )
    flags.DEFINE_enum("format", "table", ["table", "json"], "How to print.", flag_values=values)
    flags.mark_flag_as_required("pictures", flag_values=values)


def ask(options: flags.FlagValues) -> None:
    """Sends the pictures, some in each request, and prints what was found.

    Raises:
      UserError: there are no pictures, the server does not answer or refuses; at the end also when
        some pictures could not be decoded.
    """
    paths = find_files(options.pictures, "--pictures")
    answers: list[dict[str, Any]] = []
    try:
        for start in range(0, len(paths), options.batch_size):
            answers += _ask_some(options, paths[start : start + options.batch_size])
    except BaseException as error:  # the answers of hours are not lost to a server that is gone
        if answers:
            _show(answers, options.format)
            error.add_note(f"{len(answers)} of {len(paths)} pictures are answered.")
        raise
    _show(answers, options.format)
    failed = [answer["file"] for answer in answers if "error" in answer]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(answers)} pictures cannot be decoded: {', '.join(failed)}."
        )


def _ask_some(options: flags.FlagValues, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Sends some pictures in one request; returns what is printed of each."""
    pictures = [read_bytes(path, "the picture") for path in paths]
    if options.grpc:
        rows = ask_grpc(options.grpc, options.name, pictures, options.timeout)
    else:
        rows = ask_rest(options.rest, options.name, pictures, options.timeout)
    with refuse_malformed(
        f"{options.grpc or options.rest} answers {len(paths)} pictures with something else than "
        "detections", f"does {options.name} serve a model that edet exported?",
    ):  # fmt: skip
        return [
            {"file": path, **_answer(row, options.min_score)}
            for path, row in zip(paths, rows, strict=True)
        ]


def _show(answers: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    else:
        rich.print(_table(answers))


def ask_rest(
    url: str,
    model: str,
    pictures: Sequence[bytes],
    timeout: float = 60.0,
    signature: str = SIGNATURE,
) -> list[dict[str, Any]]:
    """Returns a row for each encoded picture, as TensorFlow Serving's REST interface gives it.

    Raises:
      UserError: the server cannot be reached, or its answer is an error.
    """
    address = f"{url.rstrip('/')}/v1/models/{model}:predict"
    instances = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
    question = {"signature_name": signature, "instances": instances}
    try:
        response = requests.post(address, json=question, timeout=timeout)
    except requests.Timeout as error:
        raise UserError(f"{address} did not answer within {timeout:g} s.") from error
    except requests.RequestException as error:
        raise UserError(f"cannot reach {address}: {reason(error)}.") from error
    try:
        answer = response.json()
        if "error" in answer:
            raise UserError(f"{address} refuses: {_one_line(answer['error'])}")
        return answer["predictions"]
    except (requests.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{address} answers {response.status_code} without predictions; is it the REST port of "
            "TensorFlow Serving (8501)?"
        ) from error


def ask_grpc(
    address: str,
    model: str,
    pictures: Sequence[bytes],
    timeout: float = 60.0,
    signature: str = SIGNATURE,
) -> list[dict[str, Any]]:
    """Returns a row for each encoded picture, asked over gRPC without encryption.

    Raises:
      UserError: the server cannot be reached, or its answer is an error.
    """
    request = predict_request(model, signature, {"image_bytes": np.array(pictures, object)})
    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(
            PREDICT_METHOD,
            request_serializer=type(request).SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        try:
            outputs = arrays_of(predict(request, timeout=timeout).outputs)
        except grpc.RpcError as error:
            raise UserError(
                f"gRPC server {address} refuses: {error.code().name}, {_one_line(error.details())}"
            ) from error
    return [{name: value[k] for name, value in outputs.items()} for k in range(len(pictures))]


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _answer(row: dict[str, Any], min_score: float) -> dict[str, Any]:
    """Turns a row into {"detections": [...]}, or {"error": ...}."""
    if not row["decoded"]:
        return {"error": "cannot be decoded"}
    if "num_detections" not in row:
        raise UserError(
            f"the model finds no objects, it answers with {', '.join(sorted(row))}; this client "
            "shows detections only."
        )
    detections = []
    for k in range(int(row["num_detections"])):
        if row["scores"][k] < min_score:
            break  # best first
        ymin, xmin, ymax, xmax = (float(value) for value in row["boxes"][k])
        name = row["class_names"][k]
        detections.append(
            {
                "category_id": int(row["classes"][k]),
                "category": name.decode() if isinstance(name, bytes) else name,
                "bbox": [round(value, 2) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
                "score": round(float(row["scores"][k]), 4),
            }
        )
    return {"detections": detections}


def _table(answers: list[dict[str, Any]]) -> Table:
    table = Table("file", "class", "score", "x", "y", "width", "height")
    for answer in answers:
        file = escape(answer["file"])
        if "error" in answer:
            table.add_row(file, escape(answer["error"]))
        elif not answer["detections"]:
            table.add_row(file, "nothing")
        for found in answer.get("detections", []):
            numbers = [f"{value:.0f}" for value in found["bbox"]]
            table.add_row(file, escape(found["category"]), f"{found['score']:.2f}", *numbers)
    return table


if __name__ == "__main__":
    run(define_flags, ask)
