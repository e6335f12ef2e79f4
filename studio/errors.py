"""The edge of the tabs: what went wrong is said in words, with an id where we did not expect it.

MienError (models/errors.py)   shown as it stands: its message says what happened and what to do
anything else                  logged with its traceback under an id; the person sees the id, never the traceback
"""

from __future__ import annotations

import functools
import inspect
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import gradio as gr

from models.errors import BadInput, MienError, MissingWeights, NoFaceFound

log = logging.getLogger("mien")

P = ParamSpec("P")
R = TypeVar("R")

TITLES: tuple[tuple[type[MienError], str], ...] = (
    (BadInput, "This file cannot be used"),
    (NoFaceFound, "No face found"),
    (MissingWeights, "Weights are missing"),
    (MienError, "That did not work"),
)


def explained(handler: Callable[P, R]) -> Callable[P, R]:
    """Turn every error of a handler, or of a handler that yields, into a message a person can use."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def steps(*args: P.args, **kwargs: P.kwargs) -> Iterator[object]:
            with _in_words(handler.__name__):
                yield from handler(*args, **kwargs)

        return steps  # type: ignore[return-value]  # a generator function stays one

    @functools.wraps(handler)
    def once(*args: P.args, **kwargs: P.kwargs) -> R:
        with _in_words(handler.__name__):
            return handler(*args, **kwargs)

    return once


def title_of(error: MienError) -> str:
    """Return the heading under which an error's message is shown."""
    return next(words for kind, words in TITLES if isinstance(error, kind))


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except MienError as error:
        raise gr.Error(str(error), title=title_of(error), duration=12, print_exception=False) from error
    except Exception as error:
        identifier = secrets.token_hex(4)
        log.exception("error %s in %s", identifier, name)
        message = f"Something unexpected happened. Try again; if it stays, report it with the id {identifier}."
        raise gr.Error(message, title="That did not work", duration=None, print_exception=False) from error
