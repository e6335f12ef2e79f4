"""Who may answer: invitations, pauses, exclusions, and what becomes of people who leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from db.errors import NotAllowed, WrongShape
from db.store import Store
from db.types import AnnotatorRow
from studio.services import access

if TYPE_CHECKING:
    from studio.context import Context

Body = dict[str, Any]
LONGEST_NAME = 120


def invite(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Add a person, or take one who is there, and return the token of their invitation link."""
    name = str(body.get("name") or "").strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise WrongShape(f"a name has 1 to {LONGEST_NAME} characters")
    if name.startswith(("fec:", "removed ")):
        raise WrongShape("names that begin so belong to imported or removed people")
    passphrase = str(body.get("passphrase") or "")
    as_admin = body.get("role") == "admin"
    if passphrase:
        access.add_account(context.store, name, passphrase, admin=as_admin)
    return {"name": name, "token": access.invite(context.store, name, admin=as_admin)}


def change(context: Context, admin: AnnotatorRow, body: Body) -> Body:
    """Do one of DEEDS to a person."""
    store = context.store
    deed, number = str(body.get("deed")), body.get("person")
    if deed not in DEEDS or not isinstance(number, int):
        raise WrongShape(f"nothing is known to do called {deed!r}")
    person = store.annotator(number)
    if deed in LAST_ADMIN_MAY_NOT and person.is_admin:
        others = [one for one in store.annotators() if one.is_admin and one.id != person.id]
        if not others or person.id == admin.id:
            raise NotAllowed("an admin cannot do this to themselves, nor to the last admin; ask another admin")
    if person.role == "imported" and deed not in {"exclude", "readmit", "forget", "remove"}:
        raise NotAllowed("this person's answers were imported; they cannot sign in")
    return {"person": person.id, "name": person.name} | DEEDS[deed](store, person)


def _set(**values: str) -> Callable[[Store, AnnotatorRow], Body]:
    def deed(store: Store, person: AnnotatorRow) -> Body:
        store.set_annotator(person.id, **values)
        return {}

    return deed


def _link(store: Store, person: AnnotatorRow) -> Body:
    return {"token": access.invite(store, person.name)}


def _sign_out(store: Store, person: AnnotatorRow) -> Body:
    return {"revoked": store.revoke_access(person.id)}


def _forget(store: Store, person: AnnotatorRow) -> Body:
    store.delete_annotator(person.id, manner="anonymised")
    return {}


def _remove(store: Store, person: AnnotatorRow) -> Body:
    store.delete_annotator(person.id, manner="removed")
    return {}


DEEDS: dict[str, Callable[[Store, AnnotatorRow], Body]] = {
    "pause": _set(state="paused"),
    "resume": _set(state="active"),
    "exclude": _set(state="excluded"),
    "readmit": _set(state="active"),
    "make_admin": _set(role="admin"),
    "make_annotator": _set(role="annotator"),
    "link": _link,
    "sign_out": _sign_out,
    "forget": _forget,
    "remove": _remove,
}
LAST_ADMIN_MAY_NOT = {"pause", "exclude", "make_annotator", "forget", "remove"}
