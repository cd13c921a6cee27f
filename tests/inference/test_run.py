"""Pictures are read ahead and come back in order."""

import threading

import pytest

from edet.inference.run import read_ahead


def test_pictures_are_read_some_at_once_and_come_in_order():
    """The first two wait for each other; every third cannot be read."""
    both = threading.Barrier(2, timeout=10)

    def read(path: str) -> int | None:
        number = int(path)
        if number < 2:
            both.wait()
        return None if number % 3 == 2 else number

    assert list(read_ahead(read, map(str, range(50)))) == [k for k in range(50) if k % 3 != 2]


def test_reading_stays_a_little_ahead_and_its_errors_are_its_own():
    asked = []

    def read(path: str) -> int:
        asked.append(path)
        return 1 // (int(path) - 30)

    pictures = read_ahead(read, map(str, range(1000)))
    assert next(pictures) == -1
    assert len(asked) < 30
    with pytest.raises(ZeroDivisionError):
        list(pictures)
