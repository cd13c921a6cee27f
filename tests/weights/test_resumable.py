"""A file arrives whole and unmixed, or a sentence says why not; servers may do what they like."""

import dataclasses
import json
import pathlib
import random
import re

import pytest

from edet.errors import UserError
from edet.weights.resumable import Patience, download
from tests.weights.server import chunked, drip, endless, etag, head, serving, silence, status, whole

QUICK = Patience(connect=5, stall=10, trickle=100, tries=3, pause=0.01, most=10**6)
BODY, NEWER = (random.Random(i).randbytes(50_000) for i in range(2))
HALF = 25_000


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    return tmp_path / "file"


def get(url: str, path: pathlib.Path, stall: float = 10) -> bytes:
    download(url, str(path), dataclasses.replace(QUICK, stall=stall))
    return path.read_bytes()


def left(path: pathlib.Path) -> list[str]:
    """Names of what lies in the folder."""
    return sorted(file.name for file in path.parent.iterdir())


def end_of(body: bytes, start: int, more: bytes = b""):
    """A reply with the end of a file from `start`, whatever was asked for."""

    def reply(handler):
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        head(handler, 206, ETag=etag(body), Content_Range=span)
        handler.wfile.write(body[start:] + more)

    return reply


def test_a_broken_download_goes_on_where_it_broke(path):
    with serving(whole(BODY, stop=HALF), whole(BODY)) as server:
        assert get(server.url, path) == BODY
        assert "Range" not in server.requests[0]
        assert server.requests[1]["Range"] == "bytes=25000-"
        assert server.requests[1]["If-Range"] == etag(BODY)


def test_a_line_that_breaks_often_but_gets_on_is_borne(path):
    breaks = [whole(BODY, stop=stop) for stop in range(5_000, 50_000, 5_000)]
    with serving(*breaks, whole(BODY)) as server:
        assert get(server.url, path) == BODY
        assert len(server.requests) == 10 > QUICK.tries


@pytest.mark.parametrize("tag", [None, 'W/"1"'])
def test_a_date_stands_in_for_a_missing_or_weak_tag(path, tag):
    date = "Mon, 01 Jun 2020 10:00:00 GMT"
    first = whole(BODY, stop=HALF, tag=tag, Last_Modified=date)
    with serving(first, whole(BODY, tag=date)) as server:
        assert get(server.url, path) == BODY
        assert server.requests[1]["If-Range"] == date


def test_a_server_without_tag_or_date_is_asked_for_the_rest_all_the_same(path):
    with serving(whole(BODY, stop=HALF, tag=None), whole(BODY, tag=None)) as server:
        assert get(server.url, path) == BODY
        assert server.requests[1]["Range"] == "bytes=25000-"
        assert "If-Range" not in server.requests[1]


def test_a_server_that_ignores_ranges_starts_anew(path):
    with serving(whole(BODY, stop=HALF), whole(BODY, ranges=False)) as server:
        assert get(server.url, path) == BODY
        assert server.requests[1]["Range"] == "bytes=25000-"


def test_a_server_that_ignores_ranges_and_always_breaks_is_given_up(path):
    """The first try brings 25,000 bytes; the two that follow bring no more than it did."""
    with serving(whole(BODY, stop=HALF, ranges=False)) as server:
        with pytest.raises(UserError, match="the connection broke after 25000 of 50000 bytes"):
            get(server.url, path)
        assert len(server.requests) == 3


@pytest.mark.parametrize(("asks_tag", "requests"), [(True, 2), (False, 3)])
def test_a_file_that_changes_between_tries_is_not_mixed_with_the_old_one(path, asks_tag, requests):
    """A server that heeds If-Range sends the new file, another one its end: that is dropped."""
    with serving(whole(BODY, stop=HALF), whole(NEWER, asks_tag=asks_tag)) as server:
        assert get(server.url, path) == NEWER
        assert len(server.requests) == requests


@pytest.mark.parametrize("length", [100, 40_000, 60_000])
def test_without_a_tag_another_length_is_another_file(path, length):
    other = random.Random(2).randbytes(length)
    with serving(whole(BODY, stop=HALF, tag=None), whole(other, tag=None)) as server:
        assert get(server.url, path) == other
        assert [("Range" in headers) for headers in server.requests] == [False, True, False]


def test_a_range_that_was_not_asked_for_is_not_used(path):
    with serving(whole(BODY, stop=HALF), end_of(BODY, HALF + 1), whole(BODY)) as server:
        assert get(server.url, path) == BODY
    with serving(end_of(NEWER, HALF), whole(NEWER)) as server:
        assert get(server.url, path.with_name("other")) == NEWER


def test_a_server_that_stalls_is_given_up_and_the_next_run_goes_on(path):
    with serving(whole(BODY, stop=HALF, then=silence)) as server:
        with pytest.raises(UserError, match=r"cannot download http.*: nothing came for 0\.2 s$"):
            get(server.url, path, stall=0.2)
        assert len(server.requests) == 3
        server.replies, server.requests = [whole(BODY)], []
        assert get(server.url, path) == BODY
        assert server.requests[0]["Range"] == "bytes=25000-"


def test_a_server_that_takes_the_call_and_says_nothing_is_given_up(path):
    with serving(silence) as server, pytest.raises(UserError, match=r"nothing came for 0\.2 s"):
        get(server.url, path, stall=0.2)


def test_a_server_that_drips_is_given_up(path):
    reply = whole(BODY, stop=0, then=drip)
    with serving(reply) as server, pytest.raises(UserError, match=r"only \d+ bytes came in 0\.2 s"):
        get(server.url, path, stall=0.2)


@pytest.mark.parametrize(
    "note", ["{", "[]", '{"url": "http://elsewhere", "length": 9, "tag": null}', None]
)
def test_a_beginning_of_which_nothing_is_known_is_not_used(path, note):
    path.write_bytes(b"whose?")
    if note:
        path.with_name("file.json").write_text(note)
    with serving(whole(BODY)) as server:
        assert get(server.url, path) == BODY
        assert "Range" not in server.requests[0]


def test_a_file_that_is_whole_already_is_not_asked_for(path):
    path.write_bytes(BODY)
    with serving(status(500)) as server:
        note = {"url": server.url, "length": len(BODY), "tag": etag(BODY)}
        path.with_name("file.json").write_text(json.dumps(note))
        assert get(server.url, path) == BODY
        assert server.requests == []


@pytest.mark.parametrize("ranges", [True, False])
def test_less_than_announced_is_refused(path, ranges):
    """Asked for the nine missing bytes, the server says that there are none, or sends all again."""
    with serving(whole(BODY, ranges=ranges, Content_Length=50_009)) as server:
        with pytest.raises(UserError, match="the connection broke after 50000 of 50009 bytes"):
            get(server.url, path)
        assert len(server.requests) == 3
        assert server.requests[1]["Range"] == "bytes=50000-"


def test_more_than_announced_in_chunks_is_refused(path):
    reply = chunked(BODY, Content_Length=49_000)
    with (
        serving(reply) as server,
        pytest.raises(UserError, match="sends more .* than it announced"),
    ):
        get(server.url, path)
    assert left(path) == []


def test_more_than_announced_in_a_range_is_refused(path):
    replies = whole(BODY, stop=HALF), end_of(BODY, HALF, more=b"more")
    with serving(*replies) as server, pytest.raises(UserError, match="sends more bytes than it"):
        get(server.url, path)
    assert left(path) == []


def test_a_file_of_unknown_length_arrives(path):
    with serving(chunked(BODY)) as server:
        assert get(server.url, path) == BODY


def test_a_file_without_end_is_refused(path):
    with serving(endless) as server, pytest.raises(UserError, match="sends more bytes than it"):
        get(server.url, path)
    assert left(path) == []


def test_a_file_larger_than_any_weights_is_refused_before_it_comes(path):
    with serving(whole(b"", Content_Length=10**13)) as server:
        with pytest.raises(UserError, match="10000000000000 bytes are more than weights have"):
            get(server.url, path)
        assert len(server.requests) == 1
    assert left(path) == []


@pytest.mark.parametrize("length", ["-5", "many", "9" * 5000])
def test_a_length_that_is_none_is_not_believed(path, length):
    with serving(whole(BODY, Content_Length=length)) as server:
        assert get(server.url, path) == BODY


def test_a_file_stays_packed_when_the_server_calls_its_packing_an_encoding(path):
    with serving(whole(BODY, Content_Encoding="gzip")) as server:
        assert get(server.url, path) == BODY
        assert server.requests[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("code", [204, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(path, code):
    with serving(status(code)) as server:
        with pytest.raises(UserError, match=rf"{server.url}: the server answers {code} \w+"):
            get(server.url, path)
        assert len(server.requests) == 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_error_that_may_pass_is_tried_again(path, code):
    with serving(status(code), whole(BODY, stop=HALF), status(code), whole(BODY)) as server:
        assert get(server.url, path) == BODY
        assert server.requests[3]["Range"] == "bytes=25000-"


def test_pauses_double_and_end_with_the_last_try(path, capsys):
    with serving(status(500)) as server:
        with pytest.raises(UserError, match="the server answers 500 Internal Server Error"):
            get(server.url, path)
        assert len(server.requests) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert re.findall(r"Internal Server Error; trying again in (\S+) s", said) == ["0.01", "0.02"]


def test_progress_is_shown_on_the_standard_error(path, capsys):
    with serving(whole(BODY)) as server:
        get(server.url, path)
    out, err = capsys.readouterr()
    assert re.search(r"weights\.tar\.gz .*50\.0/50\.0 kB", err)
    assert out == ""


def test_a_folder_that_is_not_there_is_the_callers_to_tell(path):
    with serving(whole(BODY)) as server, pytest.raises(FileNotFoundError):
        get(server.url, path / "file")
