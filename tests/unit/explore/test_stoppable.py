"""Work in a process of its own gives its result, can be stopped at once, and its death is told."""

from __future__ import annotations

import os
import time

import pytest

from models.errors import Cancelled, MienError
from studio.services.stoppable import in_own_process


def add(one: int, other: int) -> int:
    return one + other


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def die(status: int) -> None:
    os._exit(status)


def nothing() -> None:
    """Go on."""


def stopped() -> None:
    raise Cancelled("stopped")


def test_the_result_comes_back() -> None:
    assert in_own_process(add, (2, 3), go_on=nothing) == 5


def test_it_stops_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        in_own_process(sleep, (600.0,), go_on=stopped)
    assert time.monotonic() - begun < 60


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(MienError, match="ended before"):
        in_own_process(die, (3,), go_on=nothing)
