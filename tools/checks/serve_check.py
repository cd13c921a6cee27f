"""Serves a SavedModel with a real server over real sockets, and sends it what the world sends.

  python tools/serve_check.py --saved_model=runs/mine/saved_model/1 --pictures='pictures/*'

Each picture, 500 damaged copies of the JPEGs among them, and then good pictures from 8 clients at
once for a minute. Every answer must be that of the same SavedModel in this process; what cannot be
decoded must be refused with a sentence, and the next good picture be answered right.

The servers are NVIDIA's Triton (HTTP) and tensorflow-serving-api's own gRPC service, see
serve_check_server.py; they live in an environment that the first run installs (about 2 GB).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import requests
import rich
import tensorflow as tf
from absl import flags
from rich.progress import track

from edet.cli.common import run
from edet.cli.serve_client import ask_grpc
from edet.errors import UserError
from edet.files import read_bytes, reason, write_json
from edet.globs import find_files
from edet.image.files import decode_picture
from tools.checks.environments import make_environment

# nvidia-pytriton needs numpy < 2. tensorflow-serving-api requires the wheel `tensorflow`, and is
# happy with tensorflow-cpu; so it is installed without its dependencies.
PACKAGES = ("nvidia-pytriton==0.7.0", "tensorflow-cpu==2.21.0", "numpy<2")
ALONE = ("tensorflow-serving-api==2.21.0",)
_HOST = "127.0.0.1"
_PATIENCE = 600.0  # seconds to wait for the server or an answer, on a busy machine

Row = dict[str, Any]
Ask = Callable[[list[bytes]], list[Row]]


class Refused(Exception):
    """The server answered with an error; its message is the server's."""


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string(
        "saved_model", None, "Folder of a version, such as saved_model/1.", flag_values=values
    )
    flags.DEFINE_string(
        "pictures", None, "Files: a glob, or several with commas.", flag_values=values
    )
    flags.DEFINE_integer("damaged", 500, "Damaged JPEGs to send.", 0, flag_values=values)
    flags.DEFINE_integer("clients", 8, "Clients at once.", 1, flag_values=values)
    flags.DEFINE_float("seconds", 60.0, "How long they ask.", 0.0, flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of the damage and of the clients.", flag_values=values)
    flags.DEFINE_string("output", "", "JSON file for the figures.", flag_values=values)
    flags.DEFINE_string(
        "environment", "~/.cache/edet/serve_check", "Where the servers are installed.",
        flag_values=values,
    )  # fmt: skip
    flags.mark_flags_as_required(["saved_model", "pictures"], flag_values=values)


def check(options: flags.FlagValues) -> None:
    """Runs both parts and prints the figures.

    Raises:
      UserError: an answer was wrong, or the server could not be started or died.
    """
    files = [read_bytes(path, "the picture") for path in find_files(options.pictures, "--pictures")]
    rng = np.random.default_rng(options.seed)
    jpegs = [data for data in files if data[:3] == b"\xff\xd8\xff" and _decodes(data)]
    good = [data for data in files if _decodes(data)]
    if options.damaged and not jpegs:
        raise UserError(f"--pictures={options.pictures} has no good JPEG to damage.")
    damaged = [damage(jpegs[rng.integers(len(jpegs))], rng) for _ in range(options.damaged)]
    truth = Truth(options.saved_model)
    python = make_environment(options.environment, PACKAGES, ALONE)
    with server(options.saved_model, python) as (_, servers):
        figures = {
            "files": send_each(servers, files, good, truth),
            "damaged JPEGs": send_each(servers, damaged, good, truth),
            "clients": send_at_once(
                servers, good, truth, options.clients, options.seconds, options.seed
            ),
        }
    rich.print_json(data=figures)
    if options.output:
        write_json(options.output, figures)
    wrong = sum(part["wrong"] for part in figures.values())
    if wrong:
        raise UserError(f"{wrong} answers were wrong; the figures above say where.")


class Truth:
    """The answers of the SavedModel in this process, remembered by picture."""

    def __init__(self, path: str):
        try:
            self._model = tf.saved_model.load(path)
        except (OSError, tf.errors.OpError) as error:
            raise UserError(f"cannot load the SavedModel {path}: {reason(error)}.") from error
        self._known: dict[bytes, Row | None] = {}
        self._lock = threading.Lock()

    def __call__(self, picture: bytes) -> Row | None:
        """Returns the row of a picture, or None if it cannot be decoded."""
        with self._lock:
            if picture not in self._known:
                self._known[picture] = self._ask(picture) if _decodes(picture) else None
            return self._known[picture]

    def _ask(self, picture: bytes) -> Row:
        found = self._model.signatures["serving_default"](image_bytes=tf.constant([picture]))
        return {name: value[0].numpy() for name, value in found.items()}

    def is_right(self, row: Row, picture: bytes) -> bool:
        """Whether a server's row is this picture's: scores and boxes within float32 noise."""
        known = self(picture)
        return known is not None and all(
            np.allclose(row[name], known[name], rtol=1e-4, atol=1e-3)
            for name in ("boxes", "scores", "classes", "num_detections")
        )


def damage(picture: bytes, rng: np.random.Generator) -> bytes:
    """Returns a file with bytes changed, cut off, taken out or doubled, as a seed chooses."""
    data = bytearray(picture)
    start, length = int(rng.integers(2, len(data))), int(rng.integers(1, 200))
    kind = rng.integers(4)
    if kind == 0:
        for place in rng.integers(2, len(data), rng.integers(1, 30)):
            data[place] = rng.integers(256)
    elif kind == 1:
        del data[start:]
    elif kind == 2:
        del data[start : start + length]
    else:
        data[start:start] = data[start : start + length]
    return bytes(data)


def send_each(
    servers: dict[str, Ask], pictures: Sequence[bytes], good: Sequence[bytes], truth: Truth
) -> dict[str, int]:
    """Sends every picture to every server, a good one after each that is refused; counts."""
    counts = Counter(wrong=0)
    for k, picture in enumerate(track(pictures, "Sending pictures", transient=True)):
        is_good = truth(picture) is not None
        for name, ask in servers.items():
            try:
                (row,) = ask([picture])
                refused = not row.get("decoded", True)
            except Refused as error:
                if "cannot be decoded" not in str(error):
                    raise UserError(f"{name} answered with a strange error: {error}") from error
                refused = True
            counts["refused" if refused else "answered"] += 1
            counts["wrong"] += is_good == refused or (is_good and not truth.is_right(row, picture))
            if refused:
                next_good = good[k % len(good)]
                counts["good ones after a refusal"] += 1
                counts["wrong"] += not truth.is_right(ask([next_good])[0], next_good)
    return {"pictures": len(pictures), "servers": len(servers), **counts}


def send_at_once(
    servers: dict[str, Ask],
    good: Sequence[bytes],
    truth: Truth,
    clients: int,
    seconds: float,
    seed: int,
) -> dict[str, float]:
    """Lets clients ask at once, each its own pictures of one server in turn; counts and times."""
    for picture in good:
        truth(picture)  # known before the clock runs
    end = time.monotonic() + seconds

    def client(number: int) -> tuple[list[float], int]:
        rng, times, wrong = np.random.default_rng([seed, number]), [], 0
        ask = list(servers.values())[number % len(servers)]
        while not times or time.monotonic() < end:
            chosen = [good[i] for i in rng.integers(len(good), size=rng.integers(1, 4))]
            begin = time.monotonic()
            rows = ask(chosen)
            times.append(time.monotonic() - begin)
            wrong += sum(not truth.is_right(*pair) for pair in zip(rows, chosen, strict=True))
        return times, wrong

    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(client, range(clients)))
    times = np.concatenate([part[0] for part in parts])
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": len(times),
        "median milliseconds": round(1e3 * float(np.median(times)), 1),
        "99th percentile milliseconds": round(1e3 * float(np.percentile(times, 99)), 1),
        "wrong": sum(part[1] for part in parts),
    }


@contextlib.contextmanager
def server(saved_model: str, python: str) -> Iterator[tuple[subprocess.Popen, dict[str, Ask]]]:
    """Runs the servers in a process of their own; yields it and how to ask each."""
    script = os.path.join(os.path.dirname(__file__), "serve_check_server.py")
    # Triton's own Python must find the library of the environment's Python, not the system's.
    library = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")}
    ports = _free_ports(3)
    process = subprocess.Popen(
        [python, script, os.path.abspath(saved_model), *map(str, ports)],
        env=os.environ | library, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,  # this process ends it
    )  # fmt: skip
    models = f"http://{_HOST}:{ports[0]}/v2/models"
    try:
        _wait_until_ready(process, models)
        ask = {
            "Triton, every request alone": lambda some: _ask_triton(f"{models}/strict", some, []),
            "Triton, merged requests": lambda some: _ask_triton(f"{models}/tolerant", some, [1]),
            "PredictionService": lambda some: _ask_service(f"{_HOST}:{ports[2]}", some),
        }
        yield process, ask
        if process.poll() is not None:
            raise UserError(f"the server died with code {process.returncode}.")
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as taken:
        sockets = [taken.enter_context(socket.create_server((_HOST, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _wait_until_ready(process: subprocess.Popen, models: str) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(requests.ConnectionError):
            if all(requests.get(f"{models}/{m}/ready").ok for m in ("strict", "tolerant")):
                return
        time.sleep(1)
    raise UserError("the server did not start; run tools/checks/serve_check_server.py to see why.")


def _ask_triton(url: str, pictures: list[bytes], inner_shape: list[int]) -> list[Row]:
    """Asks in the protocol of KServe, version 2, with binary input and JSON output."""
    data = b"".join(len(picture).to_bytes(4, "little") + picture for picture in pictures)
    tensor = {
        "name": "image_bytes", "datatype": "BYTES", "shape": [len(pictures), *inner_shape],
        "parameters": {"binary_data_size": len(data)},
    }  # fmt: skip
    head = json.dumps({"inputs": [tensor]}).encode()
    response = requests.post(
        f"{url}/infer",
        data=head + data,
        headers={"Inference-Header-Content-Length": str(len(head))},
        timeout=_PATIENCE,
    )
    answer = response.json()
    if "error" in answer:
        raise Refused(answer["error"])
    arrays = {item["name"]: np.reshape(item["data"], item["shape"]) for item in answer["outputs"]}
    for name in ("num_detections", "decoded"):
        if name in arrays:
            arrays[name] = arrays[name][:, 0]
    return [{name: value[k] for name, value in arrays.items()} for k in range(len(pictures))]


def _ask_service(address: str, pictures: list[bytes]) -> list[Row]:
    try:
        return ask_grpc(address, "any", pictures, _PATIENCE, signature="serving_default")
    except UserError as error:
        raise Refused(str(error)) from error


def _decodes(picture: bytes) -> bool:
    try:
        decode_picture(picture)
    except UserError:
        return False
    return True


if __name__ == "__main__":
    run(define_flags, check)
