"""What the Team tab opens with: how far a project is, how people answer, and what they disagree on."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from db import agreement
from db.errors import NotThere, WrongShape
from db.tally import Tally, agreement_of, answers_of, hours_of, people_of, progress_of
from db.types import AdjudicationRow, AnnotatorRow, NewAdjudication, ProjectRow, TripletRow
from models.errors import MienError
from models.images import encode_image
from studio.services import gallery, team_plots
from studio.services.sprites import face_thumbnail
from studio.services.tuned import expression_networks

if TYPE_CHECKING:
    from studio.context import Context

Body = dict[str, Any]
SHOWN_EDGE = 200
QUESTIONS_AT_ONCE = 10
PURPOSES = {"train": "Training", "evaluation": "Evaluation"}
FIGURES = (
    "answers gold consistency median_ms hasty position_p cannot_tell agreement reliability".split()
)  # of db.agreement.Person


def project_of(context: Context, body: Body) -> ProjectRow:
    """Return the project a browser asks about; raises NotThere."""
    chosen = body.get("project")
    if not isinstance(chosen, int):
        raise NotThere("choose a project first")
    return context.store.project(chosen)


def overview(context: Context, admin: AnnotatorRow, body: Body) -> Body:
    """Return projects, galleries, and the chosen or first project's figures from the answers added up."""
    store = context.store
    projects = store.projects()
    shown: Body = {
        "person": {"name": admin.name, "id": admin.id},
        "projects": [asdict(project) for project in projects],
        "galleries": [_gallery(context, row.id, row.name) for row in store.galleries()],
        "starter": gallery.STARTER,
    }
    wanted = body.get("project")
    chosen = next((one for one in projects if one.id == wanted), None)
    chosen = chosen or next((one for one in projects if one.state == "open"), projects[0] if projects else None)
    if chosen is None:
        return shown | {"project": None, "people": _people(context, Tally())}
    tally, behind = store.tally(chosen.id)
    return shown | {"project": chosen.id} | figures(context, tally, behind=behind)


def count_on(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Add up the next part of a project's answers and return the figures so far."""
    project = project_of(context, body)
    before = body.get("to")
    kept = context.store.count_answers_on(project.id)
    tally, behind = context.store.tally(project.id)
    stuck = behind > 0 and kept.to_answer_id == before  # on PostgreSQL the newest are kept after a minute
    return {"project": project.id, "stuck": stuck} | figures(context, tally, behind=behind)


def figures(context: Context, tally: Tally, *, behind: int) -> Body:
    """Return everything that follows from a tally; `behind` says how many answers it lacks."""
    progress = progress_of(tally)
    return {
        "to": tally.to_answer_id,
        "behind": behind,
        "answers": answers_of(tally),
        "progress": [
            {"purpose": words, "given": progress[name][0], "wanted": progress[name][1]}
            for name, words in PURPOSES.items()
            if name in progress
        ],
        "throughput": team_plots.throughput(hours_of(tally)),
        "agreement": asdict(agreement_of(tally)),
        "hard": len(tally.hardest),
        "people": _people(context, tally),
    }


def reliability(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return Dawid and Skene's estimate per person from the newest votes."""
    votes = np.array(context.store.shared_votes(project_of(context, body).id), np.int64).reshape(-1, 3)
    found = agreement.reliability(votes[:, 0], votes[:, 1], votes[:, 2] - 1)
    return {"votes": len(votes), "reliability": {str(person): value for person, value in found.items()}}


def hardest(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return a page of the most disputed questions: faces, votes, and what an admin decided."""
    project = project_of(context, body)
    start = max(int(body.get("start") or 0), 0)
    hard = context.store.tally(project.id)[0].hardest
    page = hard[start : start + QUESTIONS_AT_ONCE]
    triplets = context.store.triplets_by_id([one.triplet_id for one in page])
    decided = {row.triplet_id: row for row in context.store.adjudications(project.id)}
    names = {person.id: person.name for person in context.store.annotators()}
    return {
        "start": start,
        "count": len(hard),
        "questions": [
            _question(context, triplets[one.triplet_id], one.votes)
            | {"decided": _decided(decided.get(one.triplet_id), names)}
            for one in page
            if one.triplet_id in triplets
        ],
    }


def adjudicate(context: Context, admin: AnnotatorRow, body: Body) -> Body:
    """Keep what an admin decided about a question."""
    try:
        face, second = (int(body[name]) if body.get(name) is not None else None for name in ("face", "second"))
        note = str(body.get("note") or "").strip()[:400]
        decided = NewAdjudication(int(body["triplet"]), str(body["choice"]), face, note or None, second)
    except (KeyError, TypeError, ValueError) as error:
        raise WrongShape(f"this decision cannot be read: {error}") from error
    if decided.choice not in {"face", "cannot_tell", "bad_picture"}:
        raise WrongShape(f"a decision is face, cannot_tell or bad_picture, not {decided.choice!r}")
    project = project_of(context, body)
    context.store.add_adjudication(project.id, admin.id, decided)
    newest = context.store.adjudications(project.id)[-1]
    return {"decided": _decided(newest, {admin.id: admin.name})}


def decisions(context: Context, _admin: AnnotatorRow, body: Body) -> Body:
    """Return everything admins decided in a project, as rows for a table."""
    project = project_of(context, body)
    names = {person.id: person.name for person in context.store.annotators()}
    rows = context.store.adjudications(project.id)
    return {"rows": [{"id": row.id, "triplet": row.triplet_id} | (_decided(row, names) or {}) for row in rows]}


def _people(context: Context, tally: Tally) -> list[Body]:
    """Return everybody who is invited or has answered; visitors who tried it are one row."""
    told = {person.annotator: {name: getattr(person, name) for name in FIGURES} for person in people_of(tally)}
    rows: list[Body] = []
    tried = 0
    for person in context.store.annotators():
        mine = told.get(person.id)
        if person.role == "visitor":
            tried += mine["answers"] if mine else 0
        elif mine or person.state != "removed":
            shown = {name: getattr(person, name) for name in ("id", "name", "role", "state", "hub_user")}
            rows.append(shown | (mine or dict.fromkeys(FIGURES) | {"answers": 0}))
    if tried:
        rows.append({"id": None, "name": "Visitors who tried it", "role": "visitor", "state": "active"}
                    | dict.fromkeys(FIGURES) | {"answers": tried})  # fmt: skip
    return sorted(rows, key=lambda row: -row["answers"])


def _gallery(context: Context, gallery_id: int, name: str) -> Body:
    backends = expression_networks(context.store, gallery_id)
    return {"id": gallery_id, "name": name, "faces": context.store.count_faces(gallery_id), "backends": backends}


def _question(context: Context, triplet: TripletRow, votes: tuple[int, ...]) -> Body:
    faces = [
        {"id": face_id, "src": _picture(context, face_id), "votes": count}
        for face_id, count in zip(triplet.faces, votes, strict=False)  # a face deleted meanwhile shortens a grid
    ]
    return {
        "triplet": triplet.id, "mode": triplet.mode, "kind": triplet.kind.replace("_", " "),
        "purpose": triplet.purpose, "expected": triplet.gold_face_id, "faces": faces,
    }  # fmt: skip


def _picture(context: Context, face_id: int) -> str | None:
    try:
        content = encode_image(face_thumbnail(context.store, face_id, edge=SHOWN_EDGE), "JPEG", quality=85)
    except (NotThere, MienError, OSError):  # deleted meanwhile, or only its vector is here
        return None
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()


def _decided(row: AdjudicationRow | None, names: dict[int, str]) -> Body | None:
    if row is None:
        return None
    who = names.get(row.annotator_id or 0, "somebody who was removed")
    return {
        "choice": row.choice, "face": row.face_id, "second": row.second_face_id, "note": row.note, "by": who,
        "at": row.created_ms,
    }  # fmt: skip
