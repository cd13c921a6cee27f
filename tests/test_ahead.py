"""Results in the order of the items, with no more begun than is asked for."""

import concurrent.futures
import itertools
import time

from edet.ahead import in_order


def test_results_come_in_the_order_of_the_items():
    """The first takes longest."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        work = lambda k: time.sleep(0.02 * (3 - k)) or 10 * k  # noqa: E731
        assert list(in_order(pool, work, range(4), 3)) == [0, 10, 20, 30]


def test_of_endless_items_only_those_ahead_are_taken():
    taken = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        items = (taken.append(k) or k for k in itertools.count())
        found = in_order(pool, str, items, 3)
        assert [next(found) for _ in range(2)] == ["0", "1"]
    assert taken == [0, 1, 2, 3, 4]
