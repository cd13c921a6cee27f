"""Serves the page of a run on this machine while it trains: --mode=watch --workdir=runs/mine.

The page comes anew when the run has evaluated or written results, and its curves every quarter of a
minute. Only this machine reaches it, and only under its own name: no page of another site can ask
for it through a name that leads here.
"""

from __future__ import annotations

import functools
import hashlib
import html
import http.server

import tensorflow as tf

from edet.cli.serve_web import OwnNames, listening, serve_until_stopped
from edet.errors import UserError
from edet.globs import list_folder
from edet.report.page import page_of
from edet.workdir import Workdir

_CURVES_EVERY = 15  # seconds: history.csv grows with every step
_WAITING = '<meta http-equiv="refresh" content="5"><p>{}</p><p>This page tries again.</p>'


def state_of(workdir: Workdir) -> str:
    """Returns what changes as soon as the page would look otherwise."""
    digest = hashlib.sha256()
    for folder in (workdir.path, workdir.at("report")):
        for name in sorted(list_folder(folder)):
            path = f"{folder}/{name}"
            if name.endswith((".json", ".csv")) and tf.io.gfile.exists(path):
                stat = tf.io.gfile.stat(path)
                is_history = path == workdir.history_file
                seconds = stat.mtime_nsec // 10**9
                when = seconds // _CURVES_EVERY if is_history else (stat.mtime_nsec, stat.length)
                digest.update(repr((path, when)).encode())
    return digest.hexdigest()


class _Handler(OwnNames):
    """Gives the page, and what tells it that there is a newer one."""

    def __init__(self, *args: object, workdir: Workdir):
        self._workdir = workdir
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answers / and /state; nothing else is here."""
        path = self.path.partition("?")[0]
        try:
            if path == "/":
                return self._send(page_of(self._workdir, watched=True))
            if path == "/state":
                return self._send(state_of(self._workdir), "text/plain")
        except UserError as error:  # a file that is being replaced, a bucket that does not answer
            return self._send(_WAITING.format(html.escape(str(error))), status=503)
        return self.send_error(404)

    def _send(self, text: str, kind: str = "text/html", status: int = 200) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def server_of(workdir: str, port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server of a run's page on 127.0.0.1 that listens already.

    Raises:
      UserError: the folder is not there, or the port is taken.
    """
    if not workdir or not tf.io.gfile.isdir(workdir):
        raise UserError(f"--mode=watch needs the --workdir of a run; {workdir!r} is no folder.")
    return listening(functools.partial(_Handler, workdir=Workdir(workdir)), port)


def watch(workdir: str, port: int) -> None:
    """Serves until Ctrl-C; raises what `server_of` does."""
    with server_of(workdir, port) as server:
        serve_until_stopped(server, workdir)
