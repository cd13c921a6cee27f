"""The check finds out servers that answer wrongly; fake servers stand for the real ones."""

import numpy as np
import pytest

from edet.cli.common import call, parsed
from edet.errors import UserError
from tests.pictures import encoded
from tools.checks.serve_check import (
    Refused,
    Truth,
    check,
    damage,
    define_flags,
    send_at_once,
    send_each,
)

GOOD = {b"one": 1.0, b"two": 2.0}
REFUSAL = "assertion failed: [image 0 of 1 (6 bytes) cannot be decoded]"


def row(value: float) -> dict:
    return {
        "boxes": np.full((2, 4), value), "scores": np.full(2, 0.5), "classes": np.array([3, 0]),
        "num_detections": np.array(1),
    }  # fmt: skip


class FakeTruth(Truth):
    """Knows two pictures, and that all others are broken."""

    def __init__(self):
        self._known = None

    def __call__(self, picture):
        return row(GOOD[picture]) if picture in GOOD else None


def honest(pictures):
    if any(picture not in GOOD for picture in pictures):
        raise Refused(REFUSAL)
    return [row(GOOD[picture]) for picture in pictures]


def tolerant(pictures):
    return [row(GOOD.get(picture, 0.0)) | {"decoded": picture in GOOD} for picture in pictures]


def mixes_up(pictures):
    return [row(3.0 - GOOD[picture]) for picture in pictures if picture in GOOD]


def refuses_all(_):
    raise Refused(REFUSAL)


def answers_all(pictures):
    return [row(1.0) for _ in pictures]


@pytest.mark.parametrize("server", [honest, tolerant])
def test_a_right_server_has_no_wrong_answers(server):
    counts = send_each({"it": server}, [b"one", b"broken", b"two"], [b"two"], FakeTruth())
    assert counts == {
        "pictures": 3, "servers": 1, "answered": 2, "refused": 1,
        "good ones after a refusal": 1, "wrong": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("server", "pictures", "wrong"),
    [
        (mixes_up, [b"one", b"two"], 2),
        (answers_all, [b"one", b"broken"], 1),
        (answers_all, [b"two"], 1),
    ],
)
def test_a_wrong_server_is_found_out(server, pictures, wrong):
    assert send_each({"it": server}, pictures, [b"one"], FakeTruth())["wrong"] == wrong


def test_a_server_that_recovers_from_nothing_is_found_out():
    with pytest.raises(Refused):
        send_each({"it": refuses_all}, [b"broken"], [b"one"], FakeTruth())


def test_an_error_that_is_no_refusal_is_told():
    def fails(_):
        raise Refused("out of memory")

    with pytest.raises(UserError, match="it answered with a strange error: out of memory"):
        send_each({"it": fails}, [b"broken"], [b"one"], FakeTruth())


def test_clients_at_once_count_their_wrong_answers():
    for server, share in ((honest, 0), (mixes_up, 1)):
        figures = send_at_once({"it": server}, list(GOOD), FakeTruth(), 3, 0.05, seed=0)
        assert figures["clients"] == 3
        assert figures["requests"] >= 3
        assert (figures["wrong"] > 0) == share


def test_damage_is_by_seed_and_of_every_kind():
    picture = bytes(range(256)) * 4
    copies = [damage(picture, np.random.default_rng(seed)) for seed in range(30)]
    assert copies == [damage(picture, np.random.default_rng(seed)) for seed in range(30)]
    assert sum(copy != picture for copy in copies) >= 29  # a byte may be replaced by itself
    assert all(copy[:2] == picture[:2] for copy in copies)
    lengths = np.sign([len(copy) - len(picture) for copy in copies])
    assert set(lengths.tolist()) == {-1, 0, 1}


def test_mistakes_are_told_before_anything_is_installed(tmp_path, capsys):
    def run(*arguments):
        return call(check, parsed(define_flags, list(arguments)), [])

    (tmp_path / "1.png").write_bytes(encoded(np.zeros((4, 4, 3), "uint8")))
    assert run(f"--saved_model={tmp_path}", f"--pictures={tmp_path}/*.jpg") == 2
    assert "matches no file" in capsys.readouterr().err
    assert run(f"--saved_model={tmp_path}", f"--pictures={tmp_path}/*.png") == 2
    assert "has no good JPEG to damage" in capsys.readouterr().err
    assert run(f"--saved_model={tmp_path}", f"--pictures={tmp_path}/*.png", "--damaged=0") == 2
    assert f"cannot load the SavedModel {tmp_path}" in capsys.readouterr().err
