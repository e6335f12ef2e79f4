"""Run work that listens to nobody in a process of its own, so that it can be stopped at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from models.errors import MienError

POLL_SECONDS = 0.2


def in_own_process(work: Callable[..., Any], arguments: tuple[Any, ...], *, go_on: Callable[[], None]) -> Any:
    """Return what `work` returns for `arguments`; both travel there by pickle, so `work` is a module's function.

    `go_on` is called until the work is done; what it raises ends the process. Raises MienError when the process dies.
    """
    heard, said = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, arguments, said), daemon=True)
    process.start()
    said.close()
    try:
        while not heard.poll(POLL_SECONDS):
            go_on()
        return heard.recv()
    except EOFError as error:
        raise MienError(f"{work.__name__} ended before it was done; the log says why.") from error
    finally:
        process.terminate()
        process.join()
        heard.close()


def _run(work: Callable[..., Any], arguments: tuple[Any, ...], said: Connection) -> None:
    said.send(work(*arguments))
