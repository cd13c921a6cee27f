"""Work in threads whose results are taken in order."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    pool: concurrent.futures.Executor, work: Callable[[T], R], items: Iterable[T], ahead: int
) -> Iterator[R]:
    """Yields what `work` makes of each item; at most `ahead` are begun beyond the one awaited.

    Unlike `pool.map` it takes items only as it goes on, so that they may be without end.
    """
    begun: collections.deque[concurrent.futures.Future[R]] = collections.deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) > ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
