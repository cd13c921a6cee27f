"""A web server on this machine that behaves as badly as it is told to."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What a server does with one request: it gets the handler, and writes an answer or not.
Reply = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Gives its replies in order, the last one for ever; keeps the headers of every request."""

    daemon_threads = True

    def __init__(self, *replies: Reply):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = list(replies)
        self.requests: list[dict[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.tar.gz"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        replies = self.server.replies
        self.server.requests.append(dict(self.headers))
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            (replies.pop(0) if len(replies) > 1 else replies[0])(self)

    def log_message(self, *_):
        """Keeps the terminal clean."""


@contextlib.contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    """Runs a server in a thread."""
    with Server(*replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


def _head(handler: BaseHTTPRequestHandler, status: int, length: int) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def whole(body: bytes, stop: int | None = None, then: Reply = lambda handler: None) -> Reply:
    """Sends a file; at byte `stop` the connection breaks, once `then` has returned."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, 200, len(body))
        handler.wfile.write(body[:stop])
        handler.wfile.flush()
        if stop is not None:
            then(handler)

    return reply


def status(code: int) -> Reply:
    """Answers with an error page."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        _head(handler, code, 4)
        handler.wfile.write(b"page")

    return reply


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Keeps the connection open and says nothing until the server closes."""
    handler.server.closing.wait(10)
