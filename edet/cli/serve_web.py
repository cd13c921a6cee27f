"""Serves a folder of --set export.format=web on this machine: http://127.0.0.1:8000.

  edet serve_web --folder=runs/mine/web

With the headers that isolate a page, so that the model may run in threads. Only this machine
reaches it, and only under its own name. Any other server of static files does as well, without
threads.
"""

from __future__ import annotations

import functools
import http.server
import os
import sys
from collections.abc import Callable
from typing import ClassVar

from absl import flags

from edet.cli.common import run
from edet.errors import UserError
from edet.files import reason

_HOSTS = ("127.0.0.1", "localhost")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this tool."""
    flags.DEFINE_string("folder", None, "What --mode=export wrote.", flag_values=values)
    flags.DEFINE_integer("port", 8000, "0 takes any free one.", 0, 65535, flag_values=values)
    flags.mark_flag_as_required("folder", flag_values=values)


class OwnNames(http.server.BaseHTTPRequestHandler):
    """Answers under this machine's own names alone.

    A page of another site may have a name of its own lead to 127.0.0.1, and would read what it
    asks for there; the browser still sends that name.
    """

    def parse_request(self) -> bool:
        """Refuses whatever is asked for under another name."""
        if not super().parse_request():
            return False
        if self.headers.get("Host", "").partition(":")[0] in _HOSTS:
            return True
        self.send_error(403, f"only {' and '.join(_HOSTS)} are served")
        return False

    def log_message(self, *args: object) -> None:
        """Says nothing of each request."""


class Handler(OwnNames, http.server.SimpleHTTPRequestHandler):
    """Gives files of one folder, and no list of them."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        # Whatever this machine's own table says: browsers refuse modules and wasm of other types.
        ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".wasm": "application/wasm",
        ".json": "application/json", ".tflite": "application/octet-stream",
    }  # fmt: skip

    def end_headers(self) -> None:
        """Adds what isolates the page, and has the browser ask for what may be exported again."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: str) -> None:
        """Refuses: a folder without a page shows nothing."""
        self.send_error(404)


def server_of(folder: str, port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server of a folder on 127.0.0.1 that listens already.

    Raises:
      UserError: the folder has no page, or the port is taken.
    """
    if not os.path.isfile(os.path.join(folder, "index.html")):
        raise UserError(f"{folder} has no index.html; give what --set export.format=web wrote.")
    return listening(functools.partial(Handler, directory=folder), port)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a tab that was closed or loaded anew meanwhile."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def listening(
    handler: Callable[..., http.server.BaseHTTPRequestHandler], port: int
) -> http.server.ThreadingHTTPServer:
    """Returns a server on 127.0.0.1; raises UserError if the port is taken."""
    try:
        return _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(f"cannot listen on port {port}: {reason(error)}; name another.") from error


def serve(options: flags.FlagValues) -> None:
    """Serves until Ctrl-C; raises what `server_of` does."""
    with server_of(options.folder, options.port) as server:
        serve_until_stopped(server, options.folder)


def serve_until_stopped(server: http.server.ThreadingHTTPServer, what: str) -> None:
    """Says where a server shows what, at once also where a program reads it, and serves."""
    print(f"http://127.0.0.1:{server.server_port} shows {what}; Ctrl-C ends it.", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    run(define_flags, serve)
