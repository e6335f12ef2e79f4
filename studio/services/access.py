"""Who sits at the Compare tab: invitation links, name and passphrase, a Hub account, or a visitor who tries."""

from __future__ import annotations

import secrets
import time

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from db.connected import now_ms
from db.errors import NotAllowed, WrongShape
from db.store import Store
from db.types import AnnotatorRow

SESSION_MS = 90 * 24 * 3600 * 1000
CONSENT_VERSION = "1"
CONSENT = (
    "Your answers, their times and the order of the pictures are kept with your name here, to study expressions and to "
    "improve Mien's models. You may stop at any time and ask an admin to delete them."
)
SHORTEST_PASSPHRASE = 8
SLOW_DOWN_SECONDS = 0.5

_hasher = PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1)
_nobody = _hasher.hash("nobody has this passphrase")


def invite(store: Store, name: str, *, admin: bool = False) -> str:
    """Add a person, or take one who is there, and return the token of a new invitation link."""
    person = store.find_annotator(name=name) or store.add_annotator(name, role="admin" if admin else "annotator")
    if admin and person.role != "admin":
        store.set_annotator(person.id, role="admin")
    token = secrets.token_urlsafe(24)
    store.add_access(person.id, token, kind="invitation")
    return token


def add_account(store: Store, name: str, passphrase: str, *, admin: bool = False) -> AnnotatorRow:
    """Add a person with a passphrase; raises AlreadyThere, or WrongShape when it is too short."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise WrongShape(f"a passphrase needs at least {SHORTEST_PASSPHRASE} characters")
    return store.add_annotator(name, role="admin" if admin else "annotator", passphrase_hash=_hasher.hash(passphrase))


def open_session(store: Store, person: AnnotatorRow) -> str:
    """Return a new session token for a person, and note that they agreed to the current wording."""
    token = secrets.token_urlsafe(24)
    store.add_access(person.id, token, kind="session", expires_ms=now_ms() + SESSION_MS)
    store.give_consent(person.id, store.add_consent(CONSENT_VERSION, CONSENT))
    return token


def sign_in(store: Store, name: str, passphrase: str) -> str:
    """Return a session token; raises NotAllowed for a wrong name or passphrase, without saying which."""
    person = store.find_annotator(name=name)
    known = person.passphrase_hash if person and person.passphrase_hash else _nobody
    try:
        _hasher.verify(known, passphrase)
    except (VerifyMismatchError, InvalidHashError) as error:
        time.sleep(SLOW_DOWN_SECONDS)
        raise NotAllowed("this name and passphrase do not belong together") from error
    if person is None or person.state == "removed":
        raise NotAllowed("this name and passphrase do not belong together")
    return open_session(store, person)


def accept_invitation(store: Store, token: str) -> str:
    """Return a session token for the person an invitation link was made for; raises NotAllowed."""
    person = store.who(token)
    if person is None:
        raise NotAllowed("this invitation is not valid any more; ask for a new link")
    return open_session(store, person)


def from_hub(store: Store, hub_user: str, *, admins: frozenset[str] = frozenset()) -> str:
    """Return a session token for a Hub account; an unknown one becomes a visitor until an admin says otherwise.

    The accounts in `admins` are admins from then on.
    """
    person = store.find_annotator(hub_user=hub_user)
    if person is None:
        person = store.add_annotator(f"{hub_user} (Hub)", role="visitor", hub_user=hub_user)
    if hub_user in admins and person.role != "admin":
        store.set_annotator(person.id, role="admin")
    return open_session(store, person)


def visit(store: Store) -> str:
    """Return a session token for somebody who wants to try; their answers are kept apart."""
    return open_session(store, store.add_annotator(f"visitor {secrets.token_hex(6)}", role="visitor"))


def who(store: Store, token: str | None) -> AnnotatorRow:
    """Return the person of a session; every read and write of the Compare and Team tabs begins here."""
    person = store.who(token) if token else None
    if person is None:
        raise NotAllowed("please sign in again")
    return person


def admin(store: Store, token: str | None) -> AnnotatorRow:
    """Return the admin of a session; raises NotAllowed for everybody else."""
    person = who(store, token)
    if not person.is_admin:
        raise NotAllowed("this is for admins")
    return person
