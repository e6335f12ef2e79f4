"""What the browser of the Compare tab may ask for; every call says who asks, and is checked."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from db.errors import LeaseLost, NotAllowed, NotThere
from db.store import Store
from db.types import AnnotatorRow, ProjectRow
from studio.services import access, compare
from studio.services.compare import Seat

Body = dict[str, Any]


def open_seat(store: Store, body: Body) -> Body:
    """Return the person, the project, their progress and first questions; a welcome for somebody unknown."""
    project = _project(store, body)
    if project is None:
        return {"state": "empty"}
    shown = {"project": _shown(project), "projects": [_shown(other) for other in _open_projects(store)]}
    token = body.get("token")
    if body.get("invitation"):
        token = access.accept_invitation(store, str(body["invitation"]))
    person = store.who(str(token)) if token else None
    if person is None:
        return shown | {"state": "welcome", "consent": access.CONSENT, "example": compare.example(store, project)}
    first = shown | {"state": "seated", "token": token, "person": {"name": person.name, "role": person.role}}
    progress = asdict(store.progress(project.id, person.id))
    return first | {"progress": progress} | compare.serve(store, Seat(person, project), have=set())


def take(store: Store, body: Body) -> Body:
    """Return the questions the person holds."""
    return compare.serve(store, _seat(store, body), have=_have(body))


def say(store: Store, body: Body) -> Body:
    """Keep an answer and return the questions that follow; a lost lease is told, and the next ones come anyway."""
    seat = _seat(store, body)
    try:
        told = compare.answer(store, seat, body)
    except (LeaseLost, NotThere) as error:
        told = {"stored": False, "notice": str(error)}
    return told | compare.serve(store, seat, have=_have(body))


def take_back(store: Store, body: Body) -> Body:
    """Undo the last answer and return the questions from there on."""
    seat = _seat(store, body)
    undone = compare.undo(store, seat, client_key=str(body.get("key", "")))
    return {"undone": undone} | compare.serve(store, seat, have=_have(body))


def _seat(store: Store, body: Body) -> Seat:
    person = access.who(store, str(body.get("token") or ""))
    project = _project(store, body)
    if project is None:
        raise NotAllowed("no project is open")
    return Seat(_checked(person), project)


def _checked(person: AnnotatorRow) -> AnnotatorRow:
    if person.consent_id is None:
        raise NotAllowed("please agree to how answers are kept first")
    return person


def _project(store: Store, body: Body) -> ProjectRow | None:
    chosen = body.get("project")
    if isinstance(chosen, int):
        return store.project(chosen)
    return compare.first_project(store)


def _open_projects(store: Store) -> list[ProjectRow]:
    return [project for project in store.projects() if project.state == "open"]


def _shown(project: ProjectRow) -> Body:
    names = ("id", "name", "mode", "question", "instructions")
    return {name: value for name, value in asdict(project).items() if name in names}


def _have(body: Body) -> set[int]:
    have = body.get("have")
    return {int(value) for value in have[:20] if isinstance(value, int)} if isinstance(have, list) else set()
