"""The server of a page: this machine alone, isolated, files of one folder and nothing else."""

import io
import socket
import struct
import sys
import threading

import pytest
import requests

from edet.cli.serve_web import serve_until_stopped, server_of
from edet.errors import UserError


@pytest.fixture
def server(tmp_path):
    (tmp_path / "web" / "litert").mkdir(parents=True)
    (tmp_path / "secret").write_text("no")
    (tmp_path / "web" / "index.html").write_text("page")
    (tmp_path / "web" / "litert" / "run.wasm").write_bytes(b"\0asm")
    with server_of(str(tmp_path / "web"), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def get(server, path, **headers):
    return requests.get(f"http://127.0.0.1:{server.server_port}{path}", headers=headers, timeout=10)


def test_it_listens_on_this_machine_alone_and_isolates_the_page(server):
    assert server.server_address[0] == "127.0.0.1"
    answer = get(server, "/")
    assert answer.text == "page"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert get(server, "/litert/run.wasm").headers["Content-Type"] == "application/wasm"


def test_a_name_of_another_site_that_leads_here_is_refused(server):
    assert get(server, "/", Host="edet.invalid:8000").status_code == 403
    assert get(server, "/", Host=f"localhost:{server.server_port}").status_code == 200


def test_folders_are_not_listed_and_nothing_outside_is_given(server):
    assert get(server, "/litert/").status_code == 404
    request = requests.Request("GET", f"http://127.0.0.1:{server.server_port}/").prepare()
    request.url = f"http://127.0.0.1:{server.server_port}/%2e%2e/secret"
    assert requests.Session().send(request, timeout=10).status_code == 404


def test_a_tab_that_is_closed_while_a_model_loads_is_no_error(server, tmp_path, capfd):
    (tmp_path / "web" / "model.tflite").write_bytes(bytes(20_000_000))
    server.daemon_threads = False  # so that closing waits for the request
    with socket.create_connection(("127.0.0.1", server.server_port)) as tab:
        tab.sendall(b"GET /model.tflite HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert tab.recv(4) == b"HTTP"
        tab.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.shutdown()
    server.server_close()
    assert not capfd.readouterr().err


def test_where_it_serves_is_said_at_once_where_a_program_reads_it(server, monkeypatch):
    """A pipe is given what is printed when it fills up, or at the end."""
    said = []

    class Pipe(io.StringIO):
        def flush(self):
            said.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Pipe())
    monkeypatch.setattr(server, "serve_forever", lambda: said.append("serves"))
    serve_until_stopped(server, "web")
    url = f"http://127.0.0.1:{server.server_port}"
    assert said == [f"{url} shows web; Ctrl-C ends it.\n", "serves"]


def test_a_folder_without_a_page_and_a_port_in_use_are_named(server, tmp_path):
    with pytest.raises(UserError, match=r"has no index\.html; give what --set export\.format=web"):
        server_of(str(tmp_path), 0)
    with pytest.raises(UserError, match=f"cannot listen on port {server.server_port}: .*another"):
        server_of(str(tmp_path / "web"), server.server_port)
