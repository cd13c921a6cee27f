"""Pictures are read ahead and come back in order; a batch may be too large for a device."""

import threading

import pytest
import tensorflow as tf

from edet.errors import UserError
from edet.inference.run import make_dataset_predictor, read_ahead


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


class TooLarge:
    """A predictor whose network does not fit into its device."""

    windows = None

    def step(self, batch):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating [8,64,64,8]")

    def collect(self, steps):
        return steps


def test_a_device_with_too_little_memory_for_a_batch_says_what_to_set():
    """Predictions and evaluations, also those of a training, look at batches here."""
    batch = {name: tf.zeros(8, tf.int32) for name in ("image_index", "image_scales", "num_views")}
    predict = make_dataset_predictor(tf.distribute.get_strategy(), TooLarge())
    with pytest.raises(UserError, match=r"too little memory \(OOM when .*eval_batch_size smaller"):
        list(predict([batch]))
