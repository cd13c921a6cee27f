"""A web server on this machine that behaves as badly as it is told to."""

import contextlib
import hashlib
import threading
import time
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


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


def head(handler: BaseHTTPRequestHandler, status: int, **headers: object) -> None:
    """Writes a status line and headers; underscores stand for hyphens, None leaves one out."""
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def whole(
    body: bytes,
    stop: int | None = None,
    ranges: bool = True,
    tag: str | None = "md5",
    asks_tag: bool = True,
    then: Reply = lambda handler: None,
    **headers: object,
) -> Reply:
    """Sends a file, or the range of it that is asked for.

    Args:
      body: the file.
      stop: the byte after which the connection breaks, once `then` has returned.
      ranges: whether a range is heeded.
      tag: the ETag; "md5": of the body.
      asks_tag: whether a range of another version (If-Range) is answered with the whole file.
      then: what happens before the connection breaks.
      headers: what is said differently.
    """
    tag = etag(body) if tag == "md5" else tag

    def reply(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        fits = not asks_tag or handler.headers.get("If-Range", tag) == tag
        start = int(asked) if asked and ranges and fits else 0
        if start > len(body) or (start and start == len(body)):
            head(handler, 416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
            return
        said = {"ETag": tag, "Content_Length": len(body) - start}
        if start:
            said["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        head(handler, 206 if start else 200, **(said | headers))
        handler.wfile.write(body[start:stop])
        handler.wfile.flush()
        if stop is not None:
            then(handler)

    return reply


def status(code: int) -> Reply:
    """Answers with an error page."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        head(handler, code, Content_Length=4)
        handler.wfile.write(b"page")

    return reply


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Keeps the connection open and says nothing until the server closes."""
    handler.server.closing.wait(10)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Sends a byte now and then, so that the connection never looks dead."""
    while not handler.server.closing.is_set():
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.02)


def chunked(body: bytes, **headers: object) -> Reply:
    """Sends a file in chunks, whose end no length announces."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        head(handler, 200, Transfer_Encoding="chunked", **headers)
        for start in range(0, len(body), 1000):
            block = body[start : start + 1000]
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
        handler.wfile.write(b"0\r\n\r\n")

    return reply


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Announces no length and never stops."""
    head(handler, 200)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(100_000))
