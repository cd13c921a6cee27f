"""The cache: what is in it is whole, harmless and the same as ever, or a sentence says why not."""

import dataclasses
import hashlib
import json
import os
import pathlib
import random
import socket
import threading
import time
import types

import pytest

from edet.errors import UserError
from edet.weights import download
from edet.weights.download import cache_folder, fetch
from edet.weights.zoo import Release
from tests.weights.hostile import GOOD, HOSTILE, member, packed
from tests.weights.server import serving, silence, status, whole

# Noise does not shrink: these archives have about 50,000 bytes.
BODY, NEWER = (packed((member("data"), random.Random(i).randbytes(50_000))) for i in range(2))
HALF = 25_000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "TIMEOUTS", (5, 0.3))
    monkeypatch.setattr(download, "TRIES", 2)
    between_tries = types.SimpleNamespace(sleep=lambda seconds: None)  # a second each
    monkeypatch.setattr("pooch.core.time", between_tries)
    return tmp_path / "cache"


def fetched(url: str, **changes) -> pathlib.Path:
    return pathlib.Path(
        fetch(dataclasses.replace(Release("toy", "efficientdet-d0", url), **changes))
    )


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def files(cache: pathlib.Path) -> set[str]:
    """Names in the cache, but for the lock."""
    return {path.name for path in cache.iterdir()} - {".lock"}


def complete(body: bytes) -> set[str]:
    """The names that a finished download leaves."""
    return {"toy.tar.gz", f"toy-{sha256(body)[:12]}", "sha256.json"}


def test_weights_are_downloaded_unpacked_and_pinned(cache):
    with serving(whole(BODY)) as server:
        folder = fetched(server.url)
    assert (folder / GOOD).read_bytes() == b"abc"
    assert (folder / "data").stat().st_size == 50_000
    assert (cache / "toy.tar.gz").read_bytes() == BODY
    assert json.loads((cache / "sha256.json").read_text()) == {"toy": sha256(BODY)}
    assert files(cache) == complete(BODY)


def test_what_is_there_is_not_downloaded_again(cache):
    with serving(whole(BODY)) as server:
        assert fetched(server.url) == fetched(server.url)
        assert len(server.requests) == 1


def test_a_tgz_keeps_its_ending(cache):
    with serving(whole(BODY)) as server:
        fetched(server.url.replace(".tar.gz", ".tgz"))
    assert (cache / "toy.tgz").exists()


def test_releases_whose_files_have_one_name_do_not_meet(cache):
    with serving(whole(BODY), whole(NEWER)) as server:
        first = fetched(server.url)
        second = fetched(server.url, name="toy-advprop")
    assert (first / "data").read_bytes() != (second / "data").read_bytes()


def test_a_broken_download_is_tried_again(cache):
    with serving(whole(BODY, stop=HALF), whole(BODY)) as server:
        fetched(server.url)
        assert len(server.requests) == 2
    assert files(cache) == complete(BODY)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (whole(BODY, stop=HALF), "25000 bytes read, .* more expected"),
        (whole(BODY, stop=HALF, then=silence), "Read timed out"),
        (silence, "Read timed out"),
        (status(404), "404 Client Error"),
        (status(503), "503 Server Error"),
    ],
    ids=["breaks", "stalls", "says nothing", "404", "503"],
)
def test_a_download_that_fails_leaves_nothing_and_says_why(cache, reply, why):
    with serving(reply) as server:
        with pytest.raises(UserError, match=f"{why}.*; if this machine has no network, put"):
            fetched(server.url)
        assert len(server.requests) == 2
        assert files(cache) == set()
        server.replies = [whole(BODY)]
        fetched(server.url)
    assert files(cache) == complete(BODY)


def test_what_a_killed_process_left_is_not_taken_for_the_file(cache):
    cache.mkdir()
    (cache / "toy.tar.gz.part").write_bytes(BODY[:HALF])
    with serving(whole(BODY)) as server:
        fetched(server.url)
    assert files(cache) == complete(BODY)


def test_a_file_that_is_cut_short_on_the_server_is_found_damaged(cache):
    with serving(whole(BODY[:-9])) as server, pytest.raises(UserError, match="is damaged or no"):
        fetched(server.url)
    assert files(cache) == set()


@pytest.fixture
def nowhere() -> str:
    """A url that nobody serves: the port was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/weights.tar.gz"


def test_offline_says_what_to_put_where(cache, nowhere):
    with pytest.raises(UserError) as refusal:
        fetched(nowhere)
    assert f"cannot download {nowhere}: " in str(refusal.value)
    assert "Connection refused" in str(refusal.value)
    assert f"put the file at {cache / 'toy.tar.gz'} by hand" in str(refusal.value)


def test_a_file_put_there_by_hand_is_used_and_pinned(cache, nowhere):
    cache.mkdir()
    (cache / "toy.tar.gz").write_bytes(BODY)
    assert (fetched(nowhere) / GOOD).read_bytes() == b"abc"
    assert files(cache) == complete(BODY)


def test_a_wrong_file_put_there_by_hand_is_named_and_not_pinned(cache, nowhere):
    cache.mkdir()
    (cache / "toy.tar.gz").write_bytes(b"<html>Sign in</html>")
    with pytest.raises(UserError, match=r"cache/toy\.tar\.gz is damaged or no \.tar\.gz"):
        fetched(nowhere)
    assert files(cache) == {"toy.tar.gz"}


@pytest.mark.parametrize("by_hand", [False, True], ids=["downloaded", "by hand"])
def test_a_changed_file_is_refused_until_its_pin_is_deleted(cache, by_hand):
    with serving(whole(BODY), whole(NEWER)) as server:
        old = fetched(server.url)
        (cache / "toy.tar.gz").unlink()
        for _ in range(2):
            if by_hand:
                (cache / "toy.tar.gz").write_bytes(NEWER)
            with pytest.raises(UserError) as refusal:
                fetched(server.url)
            was = f"has the SHA-256 {sha256(NEWER)}, but it was {sha256(BODY)} when first used"
            assert was in str(refusal.value)
            assert f"delete the entry 'toy' in {cache / 'sha256.json'}" in str(refusal.value)
        (cache / "sha256.json").write_text("{}")
        assert fetched(server.url) != old
    assert json.loads((cache / "sha256.json").read_text()) == {"toy": sha256(NEWER)}


def test_a_file_that_rots_in_the_cache_is_noticed(cache):
    with serving(whole(BODY)) as server:
        fetched(server.url)
        (cache / "toy.tar.gz").write_bytes(BODY[:-1] + b"?")
        with pytest.raises(UserError, match="has the SHA-256 .* when first used"):
            fetched(server.url)


def test_a_published_sum_decides(cache):
    with serving(whole(BODY)) as server:
        with pytest.raises(UserError, match=f"but {sha256(NEWER)} was published"):
            fetched(server.url, sha256=sha256(NEWER))
        assert files(cache) == set()
        fetched(server.url, sha256=sha256(BODY))
    assert files(cache) == complete(BODY)


@pytest.mark.parametrize("why", HOSTILE)
def test_a_hostile_archive_leaves_nothing_behind(cache, tmp_path, why):
    message, body = HOSTILE[why]
    with serving(whole(body)) as server, pytest.raises(UserError) as refusal:
        fetched(server.url)
    assert message in str(refusal.value)
    assert files(cache) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_two_at_once_download_once_and_both_get_it(cache, capsys):
    """Threads stand for processes: a lock on a file holds between any two that opened it."""
    go_on = threading.Event()
    reply = whole(BODY)
    found = []
    with serving(lambda handler: go_on.wait(5) and reply(handler)) as server:
        threads = [
            threading.Thread(target=lambda: found.append(fetched(server.url))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        said, until = "", time.monotonic() + 5
        while not (server.requests and "waiting" in said) and time.monotonic() < until:
            said += capsys.readouterr().err
            time.sleep(0.01)
        go_on.set()
        for thread in threads:
            thread.join(10)
        assert len(server.requests) == 1
    assert "waiting for another process that fills" in said
    assert found[0] == found[1]
    assert files(cache) == complete(BODY)


def test_where_the_system_has_no_locks_weights_arrive_all_the_same(cache, monkeypatch):
    monkeypatch.setattr(download, "fcntl", None)
    with serving(whole(BODY)) as server:
        assert (fetched(server.url) / GOOD).exists()


def test_a_cache_that_is_complete_needs_no_lock(cache):
    with serving(whole(BODY)) as server:
        fetched(server.url)
        (cache / ".lock").unlink()
        fetched(server.url)
    assert not (cache / ".lock").exists()


def test_the_cache_is_in_the_home_unless_said_otherwise(monkeypatch):
    monkeypatch.delenv("EDET_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == "/home/somebody/.cache/edet"
    monkeypatch.setenv("EDET_CACHE", "~/weights")
    assert cache_folder() == "/home/somebody/weights"


def test_a_cache_in_a_bucket_is_refused(monkeypatch):
    monkeypatch.setenv("EDET_CACHE", "gs://bucket/cache")
    with pytest.raises(UserError, match="EDET_CACHE is gs://bucket/cache; it must be a folder"):
        fetched("http://127.0.0.1/")


def test_a_cache_that_cannot_be_written_is_named(cache, nowhere):
    cache.write_text("a file")
    with pytest.raises(UserError, match=f"cannot use the cache {cache}: .*set EDET_CACHE"):
        fetched(nowhere)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_pins_that_cannot_be_read_are_named(cache, nowhere, text):
    cache.mkdir()
    (cache / "toy.tar.gz").write_bytes(BODY)
    (cache / "sha256.json").write_text(text)
    with pytest.raises(UserError, match=r"sha256\.json .*fix or delete it"):
        fetched(nowhere)
    assert os.path.getsize(cache / "sha256.json") == len(text)
