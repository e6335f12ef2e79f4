"""The Compare tab: three faces, which one differs most in expression."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Callable
from typing import Any

import gradio as gr
from sqlalchemy.exc import SQLAlchemyError

from db.errors import StoreError
from models.errors import MienError, MissingWeights
from studio.components.doors import Doors
from studio.components.triplet_card import TripletCard
from studio.context import Context
from studio.services import access, gallery, seat

TITLE = "Compare"
log = logging.getLogger("mien")
UNEXPECTED = (
    SQLAlchemyError,
    OSError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a fault of ours or of the database may raise; told with an id, logged with its traceback."""

Body = dict[str, Any]
Call = Callable[[Body], Body]


def build(context: Context) -> Doors:
    """Lay out the tab; each call takes what the browser sent and returns what it shows."""
    store = context.store

    def compare_open(body: Body) -> Body:
        _prepare(context)
        return seat.open_seat(store, body)

    def compare_visit(body: Body) -> Body:
        return seat.open_seat(store, body | {"token": access.visit(store)})

    def compare_sign_in(body: Body) -> Body:
        token = access.sign_in(store, str(body.get("name", "")), str(body.get("passphrase", "")))
        return seat.open_seat(store, body | {"token": token})

    def compare_take(body: Body) -> Body:
        return seat.take(store, body)

    def compare_answer(body: Body) -> Body:
        return seat.say(store, body)

    def compare_undo(body: Body) -> Body:
        return seat.take_back(store, body)

    calls: tuple[Call, ...] = (
        compare_open, compare_visit, compare_sign_in, compare_take, compare_answer, compare_undo,
    )  # fmt: skip
    if context.settings.on_spaces:
        gr.LoginButton(elem_id="compare-hub")

        def compare_hub(body: Body, profile: gr.OAuthProfile | None) -> Body:
            if profile is None:
                return {"error": "sign in with Hugging Face first"}
            return seat.open_seat(
                store, body | {"token": access.from_hub(store, profile.username, admins=context.settings.admins)}
            )

        calls = (*calls, in_words(compare_hub))
    TripletCard([in_words(call) for call in calls])
    return Doors()


def _prepare(context: Context) -> None:
    """Fill the starter gallery when nothing was ever compared here; without weights the tab says what is missing."""
    if context.store.projects():
        return
    try:
        gallery.ensure_starter_gallery(context)
    except MissingWeights as error:
        log.warning("the starter gallery has no vectors yet: %s", error)


def in_words(call: Callable[..., Body]) -> Callable[..., Body]:
    """Turn errors into a sentence for the person: these calls are answered in the page, not in a message box."""

    @functools.wraps(call)
    def explained(*values: Any) -> Body:
        try:
            return call(*values)
        except (StoreError, MienError) as error:
            return {"error": str(error), "kind": type(error).__name__}
        except UNEXPECTED:
            identifier = secrets.token_hex(4)
            log.exception("error %s in %s", identifier, call.__name__)
            return {"error": f"Something unexpected happened. Try again; if it stays, report the id {identifier}."}

    return explained
