"""Run slow work beside a handler that reports on it, and stop it when the visitor does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")
Report = Callable[[str, float | None], bool]
"""Told the step and the share done, answers whether to go on."""
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Step:
    """What is being done, how much of it is done (None: not known), and how long it has been going on."""

    words: str
    share: float | None
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """A guess from the share done; None until there is something to guess from."""
        if not self.share or self.share < 0.05:
            return None
        return self.seconds * (1 - self.share) / self.share


@dataclass(frozen=True, eq=False)
class Done(Generic[Result]):
    """The work's result."""

    result: Result


def steps_of(work: Callable[[Report], Result], *, first: str) -> Iterator[Step | Done[Result]]:
    """Run `work` in a thread, yield its steps and at last its result; raises what it raises.

    When the generator is closed, the next report is answered with False, and the work has to stop.
    """
    stop = threading.Event()
    latest: list[tuple[str, float | None]] = [(first, None)]

    def report(words: str, share: float | None) -> bool:
        latest.append((words, share))
        return not stop.is_set()

    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, report)
        try:
            while not future.done():
                words, share = latest[-1]
                yield Step(words, share, time.monotonic() - started)
                time.sleep(POLL_SECONDS)
        finally:
            stop.set()
        yield Done(future.result())
