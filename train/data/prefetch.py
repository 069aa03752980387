"""Prefetch: a thread makes the next batches while the network computes."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

DEPTH = 2
"""Items that are ready or in the making: one to go on with, one behind it."""

_END = object()


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items in the same order, made up to DEPTH before they are asked for.

    All of them are made in one thread, so what they share needs no lock. An error of theirs is raised where its item
    would have come; closing the iterator waits for the items under way.
    """
    with ThreadPoolExecutor(1, "ahead") as maker:
        coming = deque(maker.submit(next, items, _END) for _ in range(DEPTH))
        while (item := coming.popleft().result()) is not _END:
            coming.append(maker.submit(next, items, _END))
            yield item  # type: ignore[misc]
