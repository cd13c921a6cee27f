"""The page of a run that trains: this machine alone, and anew when there is something new."""

import os
import socket
import struct
import threading
import time

import pytest
import requests

from edet.cli.watch import server_of, state_of
from edet.errors import StorageError, UserError
from edet.files import write_json, write_text
from edet.workdir import Workdir


@pytest.fixture
def server(tmp_path):
    write_text(tmp_path / "history.csv", "step,total_loss\n0,2.5\n")
    with server_of(str(tmp_path), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def get(server, path, **headers):
    return requests.get(f"http://127.0.0.1:{server.server_port}{path}", headers=headers, timeout=30)


def test_it_gives_the_page_and_its_state_to_this_machine_alone(server, tmp_path):
    assert server.server_address[0] == "127.0.0.1"
    page = get(server, "/")
    assert page.status_code == 200 and "1 of 1 steps" in page.text
    assert 'data-watched="yes"' in page.text
    assert get(server, "/state").text == state_of(Workdir(str(tmp_path)))
    assert get(server, "/history.csv").status_code == 404
    assert get(server, "/", Host="edet.invalid:8000").status_code == 403


def test_a_file_that_cannot_be_read_now_is_no_end(server, tmp_path):
    write_text(tmp_path / "eval.json", "{")
    answer = get(server, "/")  # the rest is shown
    assert answer.status_code == 200 and "1 of 1 steps" in answer.text
    assert "eval.json is not JSON" in answer.text
    write_json(tmp_path / "eval.json", {})
    assert "eval.json" not in get(server, "/?from=bookmark").text


def test_a_bucket_that_does_not_answer_now_is_asked_again(server, monkeypatch):
    def unreachable(*_, **__):
        raise StorageError("cannot read gs://b/history.csv: it does not answer.")

    monkeypatch.setattr("edet.cli.watch.page_of", unreachable)
    answer = get(server, "/")
    assert answer.status_code == 503 and 'http-equiv="refresh"' in answer.text
    assert "cannot read gs://b/history.csv" in answer.text


def test_a_tab_that_is_closed_while_it_loads_is_no_error(server, tmp_path, capfd):
    """16 MB of page; the client reads one byte of it and resets the connection."""
    failed = {"a.jpg": "x" * 16_000_000}
    write_json(tmp_path / "predict.json", {"images": 0, "videos": 0, "failed": failed})
    with socket.create_connection(server.server_address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert get(server, "/state").status_code == 200
    time.sleep(0.5)  # for the thread of the first request
    assert "Traceback" not in capfd.readouterr().err


def test_results_change_the_state_and_steps_at_most_four_times_a_minute(tmp_path):
    run = Workdir(str(tmp_path))
    write_text(run.history_file, "step,total_loss\n0,2.5\n")
    os.utime(run.history_file, (1500, 1500))
    before = state_of(run)
    os.utime(run.history_file, (1514, 1514))
    assert state_of(run) == before
    os.utime(run.history_file, (1515, 1515))
    later = state_of(run)
    assert later != before
    write_json(run.result_file("eval"), {"metrics": {}})
    assert state_of(run) != later


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="needs the --workdir of a run; .*nowhere"):
        server_of(str(tmp_path / "nowhere"), 0)
