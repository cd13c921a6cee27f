"""The client over real sockets: the Detector's answers, sentences for mistakes, and a storm."""

import json
import re
import socket
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from edet.cli import serve_client
from edet.cli.common import call, parsed
from edet.cli.serve_client import ask, ask_grpc, ask_rest, define_flags
from edet.errors import UserError
from edet.export.saved_model import export_saved_model
from edet.image.files import decode_picture
from edet.inference.detector import Detector
from tests.cli.model_server import serving
from tests.conftest import REPOSITORY
from tests.export.test_saved_model import assert_same_detections, small_network
from tests.pictures import encoded


@pytest.fixture(scope="module")
def parts():
    return small_network()


@pytest.fixture(scope="module")
def detector(parts):
    return Detector(*parts)


@pytest.fixture(scope="module")
def server(parts, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("served") / "small")
    with serving(export_saved_model(*parts, folder), "small") as running:
        yield running


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(3)
    sizes = ((40, 90), (70, 30), (64, 64))
    return [rng.integers(0, 256, (*size, 3), "uint8") for size in sizes]


@pytest.fixture
def folder(tmp_path, pictures):
    for k, picture in enumerate(pictures):
        (tmp_path / f"{k}.png").write_bytes(encoded(picture))
    return tmp_path


def client(*arguments: str) -> int:
    return call(ask, parsed(define_flags, list(arguments)), [])


def ask_over(protocol, server, pictures, **options):
    if protocol == "rest":
        return ask_rest(server.rest, server.name, pictures, **options)
    return ask_grpc(server.grpc, server.name, pictures, **options)


def assert_rows_are_right(rows, detector, pictures):
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert_same_detections(found, detector(pictures), pictures)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_rows_are_the_detectors(server, detector, pictures, protocol):
    rows = ask_over(protocol, server, [encoded(picture) for picture in pictures])
    assert_rows_are_right(rows, detector, pictures)


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_json_has_every_file_with_its_detections(
    server, detector, pictures, folder, capsys, protocol
):
    address = getattr(server, protocol)
    code = client(
        f"--pictures={folder}/*.png", f"--{protocol}={address}", "--name=small", "--format=json",
        "--min_score=0.3", "--batch_size=2",
    )  # fmt: skip
    assert code == 0
    answers = json.loads(capsys.readouterr().out)
    assert [answer["file"] for answer in answers] == [f"{folder}/{k}.png" for k in range(3)]
    expected = detector(pictures)
    for k, answer in enumerate(answers):
        scores = expected["scores"][k][expected["scores"][k] >= 0.3]
        assert len(scores) > 0
        found = [detection["score"] for detection in answer["detections"]]
        np.testing.assert_allclose(found, scores, atol=2e-4)
        best, box = answer["detections"][0], expected["boxes"][k, 0]
        assert best["category_id"] == expected["classes"][k, 0]
        assert best["category"] == detector.labels[best["category_id"]]
        np.testing.assert_allclose(
            best["bbox"], [box[1], box[0], box[3] - box[1], box[2] - box[0]], atol=0.02
        )


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_broken_file_is_named_and_the_others_are_answered(server, folder, capsys, protocol):
    (folder / "broken.png").write_bytes(b"<html>404</html>")
    code = client(
        f"--pictures={folder}/*.png", f"--{protocol}={getattr(server, protocol)}", "--name=small"
    )
    printed = capsys.readouterr()
    assert code == 2
    assert printed.err == f"1 of 4 pictures cannot be decoded: {folder}/broken.png.\n"
    assert "Größe" in printed.out


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_that_is_not_there_is_told(folder, capsys):
    port = free_port()
    for flag in (f"--rest=http://127.0.0.1:{port}", f"--grpc=127.0.0.1:{port}"):
        assert client(f"--pictures={folder}/0.png", flag) == 2
        error = capsys.readouterr().err
        assert str(port) in error
        assert len(error.splitlines()) == 1


def test_a_server_that_does_not_answer_in_time_is_told(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        flags = (f"--pictures={folder}/0.png", "--timeout=0.2")
        assert client(*flags, f"--rest=http://127.0.0.1:{port}") == 2
        assert "did not answer within 0.2 s" in capsys.readouterr().err
        assert client(*flags, f"--grpc=127.0.0.1:{port}") == 2
        assert "DEADLINE_EXCEEDED" in capsys.readouterr().err


def test_an_unknown_model_is_told(server, folder, capsys):
    for flag in (f"--rest={server.rest}", f"--grpc={server.grpc}"):
        assert client(f"--pictures={folder}/0.png", "--name=large", flag) == 2
        assert "Servable not found for request: Latest(large)" in capsys.readouterr().err


def test_an_unknown_signature_is_told(server):
    for protocol in ("rest", "grpc"):
        with pytest.raises(UserError, match='"unheard" not found'):
            ask_over(protocol, server, [b""], signature="unheard")


def test_the_wrong_port_is_told(server, folder, capsys):
    """A gRPC port does not speak HTTP/1; a web server does, but says nothing of predictions."""
    assert client(f"--pictures={folder}/0.png", f"--rest=http://{server.grpc}") == 2
    assert "cannot reach" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer():
            connection, _ = web.accept()
            with connection:
                connection.recv(1 << 20)
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops")

        threading.Thread(target=answer, daemon=True).start()
        port = web.getsockname()[1]
        assert client(f"--pictures={folder}/0.png", f"--rest=http://127.0.0.1:{port}") == 2
    assert "answers 502 without predictions; is it the REST port" in capsys.readouterr().err


def test_a_model_that_finds_no_objects_is_told(folder, capsys, monkeypatch):
    rows = [{"decoded": True, "class_map": [[0]]}]
    monkeypatch.setattr(serve_client, "ask_rest", lambda *_: rows)
    assert client(f"--pictures={folder}/*.png") == 2
    assert "finds no objects, it answers with class_map, decoded" in capsys.readouterr().err


@pytest.mark.parametrize(
    "rows", [[], [[1, 2]], None, [{}], [{"decoded": True, "num_detections": 3, "scores": [0.9]}]]
)
def test_a_server_of_something_else_is_told(folder, capsys, monkeypatch, rows):
    monkeypatch.setattr(serve_client, "ask_rest", lambda *_: rows)
    assert client(f"--pictures={folder}/0.png") == 2
    message = capsys.readouterr().err
    assert "something else than detections" in message and message.count("\n") == 1


def test_what_is_answered_is_not_lost_to_a_server_that_goes(folder, capsys, monkeypatch):
    answers = iter([[{"decoded": True, "num_detections": 0}]])

    def ask_rest(*_):
        if rows := next(answers, None):
            return rows
        raise UserError("the server is gone.")

    monkeypatch.setattr(serve_client, "ask_rest", ask_rest)
    assert client(f"--pictures={folder}/*.png", "--batch_size=1", "--format=json") == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [{"file": f"{folder}/0.png", "detections": []}]
    assert printed.err == "the server is gone. 1 of 3 pictures are answered.\n"


def test_no_pictures_are_told(capsys):
    assert client("--pictures=/nowhere/*.png") == 2
    assert "--pictures = '/nowhere/*.png' matches no file" in capsys.readouterr().err


def test_the_compose_file_and_the_batching_file_fit_together_and_the_client():
    folder = REPOSITORY / "docs" / "serving"
    (service,) = yaml.safe_load((folder / "compose.yaml").read_text())["services"].values()
    model, batching = (volume.removesuffix(":ro") for volume in service["volumes"])
    assert model.endswith(f":/models/{service['environment']['MODEL_NAME']}")
    mine, inside = batching.split(":")
    assert f"--batching_parameters_file={inside}" in service["command"]
    settings = dict(re.findall(r"^(\w+) \{ value: (\d+) \}$", (folder / mine).read_text(), re.M))
    assert set(settings) == {
        "max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches",
    }  # fmt: skip
    assert int(settings["max_batch_size"]) == parsed(define_flags, ["--pictures=x"]).batch_size


def broken_files() -> list[bytes]:
    """Forty seeded mutations of a JPEG, and files that are no pictures or claim to be huge ones."""
    rng = np.random.default_rng(4)
    jpeg = encoded(rng.integers(0, 256, (40, 90, 3), "uint8"), "jpeg")
    good = np.frombuffer(jpeg, np.uint8)
    files = [b"", b"\xff", b"<html>", rng.bytes(2000), jpeg[:500], png_header(60000)]
    files += [b"GIF89a\0\0\0\0", b"BM" + bytes(60), b"RIFF\0\0\0\0WEBPVP8 "]
    for _ in range(40):
        mutated = good.copy()
        places = rng.integers(0, len(mutated), rng.integers(1, 20))
        mutated[places] = rng.integers(0, 256, len(places))
        files.append(mutated.tobytes())
    return files


def png_header(side: int) -> bytes:
    """Returns a PNG without pixels that claims side x side of them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header))


def test_broken_files_are_refused_and_good_requests_between_them_answered(
    server, detector, pictures
):
    good, refused, answered = encoded(pictures[0]), 0, 0
    for k, data in enumerate(broken_files()):
        try:
            picture = decode_picture(data)
        except UserError:
            picture = None
        if picture is None:
            with pytest.raises(UserError, match=r"image 1 of 2 \(\d+ bytes\) cannot be decoded"):
                ask_rest(server.rest, "small", [good, data], signature="serving_default")
            refused += 1
        else:
            rows = ask_grpc(server.grpc, "small", [data], signature="serving_default")
            assert_rows_are_right(rows, detector, [picture.numpy()])
            answered += 1
        if k % 10 == 0:
            assert_rows_are_right(ask_rest(server.rest, "small", [good]), detector, pictures[:1])
    assert refused > 10
    assert answered > 10


def test_eight_clients_at_once_each_get_their_own_answer(server, detector, pictures):
    def run_client(number: int) -> int:
        rng = np.random.default_rng(number)
        for _ in range(6):
            chosen = [pictures[i] for i in rng.permutation(3)[: rng.integers(1, 4)]]
            sent = [encoded(picture) for picture in chosen]
            rows = ask_over("rest" if number % 2 else "grpc", server, [b"broken", *sent])
            assert [bool(row["decoded"]) for row in rows] == [False] + [True] * len(chosen)
            assert_rows_are_right(rows[1:], detector, chosen)
        return number

    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(run_client, range(8))) == list(range(8))
