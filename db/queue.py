"""Who is shown which question: leases that expire, overlap that is never exceeded, nothing seen twice by accident."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, update

from db.compare_schema import Assignment, Candidate, Project, Triplet
from db.connected import Connected, now_ms
from db.errors import NotAllowed, NotThere
from db.people import locked_annotator
from db.projects import LEASED
from db.types import AnnotatorRow, ProjectRow, Question

REPEAT_AFTER = 20
"""Answers between a question and its designed repeat."""
EXPIRED_AT_ONCE = 200
EVALUATION_SHARE = 0.2
"""Of the questions that are work: those that judge models, as long as there are any that a person has not seen."""
KINDS_OF_WORK = ("train", "evaluation")
REMEMBERED = 100
"""Latest questions of a person among which their last place is looked for; of one person there may be thousands."""

_chance = random.SystemRandom()
Found = Row[*tuple[Any, ...]]


class Queue(Connected):
    """The part of the store that hands out questions."""

    def take_questions(self, project_id: int, annotator_id: int, *, count: int = 2) -> list[Question]:
        """Lease up to `count` questions to a person, those they hold already first; fewer when none are left.

        A lease is renewed by calling this again, on this device or another. Raises NotAllowed when the person or the
        project is paused.
        """
        self._return_expired(project_id, besides=annotator_id)
        with self._write() as connection:
            person = locked_annotator(connection, annotator_id)
            project = _open_project(connection, project_id)
            held = self._renew(connection, project, person, count)
            while len(held) < count and (question := self._lease_one(connection, project, person)) is not None:
                held.append(question)
        return held

    def return_questions(self, project_id: int, annotator_id: int) -> int:
        """Give back what a person holds without an answer, as when they stop; returns how many."""
        with self._write() as connection:
            mine = _leases(project_id).where(Assignment.annotator_id == annotator_id)
            return _lose(connection, mine)

    def _return_expired(self, project_id: int, *, besides: int) -> None:
        # A transaction of its own, so that nobody waits for a question while holding another.
        late = _leases(project_id).where(Assignment.expires_ms < now_ms(), Assignment.annotator_id != besides)
        late = late.limit(EXPIRED_AT_ONCE)
        with self._read() as connection:
            if connection.execute(late.limit(1)).one_or_none() is None:
                return
        with self._write() as connection:
            _lose(connection, late.with_for_update(skip_locked=True, key_share=True, of=Assignment))

    def _renew(self, connection: Connection, project: ProjectRow, person: AnnotatorRow, count: int) -> list[Question]:
        """Return what the person holds, and take again what they lost and nobody else has answered since."""
        mine = and_(Assignment.project_id == project.id, Assignment.annotator_id == person.id)
        now = now_ms()
        until = now + project.lease_ms
        open_ones = _questions().where(mine, Assignment.state.in_(["leased", "lost"])).order_by(Assignment.id)
        rows = connection.execute(open_ones).all()
        held = [row for row in rows if row.state == "leased"]
        if any(row.expires_ms < now + project.lease_ms // 2 for row in held):  # not at every look
            connection.execute(update(Assignment).where(mine, Assignment.state == "leased").values(expires_ms=until))
        lost = [row for row in rows if row.state == "lost" and (not row.counted or row.taken < row.wanted)]
        for row in sorted(lost, key=lambda row: int(row.triplet_id)):
            if not row.counted or take_place(connection, row.triplet_id):
                revived = update(Assignment).where(Assignment.id == row.id)
                connection.execute(revived.values(state="leased", expires_ms=until))
                held.append(row)
        first = sorted(held, key=lambda row: int(row.id))[:count]
        further = further_faces_of(connection, [row.triplet_id for row in first if row.mode == "grid"])
        return [
            Question(row.id, row.triplet_id, row.mode, (*row[-3:], *further.get(row.triplet_id, ())),
                     row.display_order, row.purpose)
            for row in first
        ]  # fmt: skip

    def _lease_one(self, connection: Connection, project: ProjectRow, person: AnnotatorRow) -> Question | None:
        for purpose in self._purposes(connection, project, person):
            if purpose == "repeat":
                triplet = _to_repeat(connection, project, person)
            elif purpose == "work":
                first = int(_chance.random() < EVALUATION_SHARE)
                triplet = self._work(connection, project, person, KINDS_OF_WORK[first])
                triplet = triplet or self._work(connection, project, person, KINDS_OF_WORK[1 - first])
            else:
                unseen = _unseen(project, person).where(Triplet.purpose == purpose)
                triplet = connection.execute(unseen).one_or_none()
            if triplet is not None:
                return self._assign(connection, project, person, triplet, purpose)
        return None

    def _purposes(self, connection: Connection, project: ProjectRow, person: AnnotatorRow) -> tuple[str, ...]:
        """What to try for the next question, best first."""
        if project.qualification and self._still_qualifies(connection, project, person):
            return ("qualification", "work")
        draw = _chance.random()
        if draw < project.gold_share:
            return ("gold", "work")
        if draw < project.gold_share + project.repeat_share:
            return ("repeat", "work")
        return ("work",)

    def _still_qualifies(self, connection: Connection, project: ProjectRow, person: AnnotatorRow) -> bool:
        shown = select(func.count()).where(
            Assignment.project_id == project.id, Assignment.annotator_id == person.id,
            Assignment.purpose == "qualification",
        )  # fmt: skip
        return (connection.scalar(shown) or 0) < project.qualification

    def _work(self, connection: Connection, project: ProjectRow, person: AnnotatorRow, kind: str) -> Found | None:
        """Take a place in a question of this kind that wants answers, after this person's last one in the queue.

        Everybody begins at the front, so that what is asked of several people is soon answered by all of them.
        """
        recent = (
            select(Assignment.id, Assignment.rank, Assignment.triplet_id)
            .where(Assignment.project_id == project.id, Assignment.annotator_id == person.id)
            .where(Assignment.purpose == "work")
            .order_by(Assignment.id.desc())
            .limit(REMEMBERED)
            .subquery()
        )
        last = connection.scalar(
            select(recent.c.rank)
            .join(Triplet, Triplet.id == recent.c.triplet_id)
            .where(Triplet.purpose == kind)
            .order_by(recent.c.id.desc())
            .limit(1)
        )
        places: list[ColumnElement[bool]] = [Triplet.rank >= 0]
        if last is not None:
            places = [Triplet.rank > last, Triplet.rank < last]
        for place in places:
            waiting = _waiting(project, person).where(Triplet.purpose == kind, place)
            while (triplet := connection.execute(waiting).one_or_none()) is not None:
                if person.role == "visitor" or take_place(connection, triplet.id):
                    return triplet
        return None

    def _assign(
        self,
        connection: Connection,
        project: ProjectRow,
        person: AnnotatorRow,
        triplet: Found,
        purpose: str,
    ) -> Question:
        further = further_faces_of(connection, [triplet.id]).get(triplet.id, ()) if triplet.mode == "grid" else ()
        order = _display_order(triplet.mode, faces=3 + len(further))
        now = now_ms()
        values = {
            "project_id": project.id, "triplet_id": triplet.id, "annotator_id": person.id,
            "pass_number": int(purpose == "repeat"), "purpose": purpose,
            "counted": purpose == "work" and person.role != "visitor", "display_order": order,
            "state": "leased", "rank": triplet.rank, "leased_ms": now, "expires_ms": now + project.lease_ms,
        }  # fmt: skip
        new = connection.execute(self._insert(Assignment).values(values).returning(Assignment.id)).scalar_one()
        return Question(int(new), triplet.id, triplet.mode, (*triplet[-3:], *further), order, purpose)


def _display_order(mode: str, *, faces: int) -> str:
    """Return which face stands where; a head stays in its place."""
    places = [str(place) for place in range(1, faces + 1)]
    heads = 0 if mode == "odd_one_out" else 1
    moved = places[heads:]
    _chance.shuffle(moved)
    return "".join([*places[:heads], *moved])


def _open_project(connection: Connection, project_id: int) -> ProjectRow:
    row = connection.execute(select(Project.__table__).where(Project.id == project_id)).mappings().one_or_none()
    if row is None:
        raise NotThere(f"there is no project {project_id}")
    project = ProjectRow(**row)
    if project.state != "open":
        raise NotAllowed(f"the project {project.name!r} is {project.state}")
    return project


def _leases(project_id: int) -> Select[int, int, bool]:
    return select(Assignment.id, Assignment.triplet_id, Assignment.counted).where(
        Assignment.project_id == project_id, LEASED
    )


def _lose(connection: Connection, leases: Select[int, int, bool]) -> int:
    rows = sorted(connection.execute(leases).all(), key=lambda row: int(row.triplet_id))
    lost = 0
    for row in rows:  # in the order of their questions, so that two who do this at once never wait for each other
        still_leased = update(Assignment).where(Assignment.id == row.id, Assignment.state == "leased")
        if not connection.execute(still_leased.values(state="lost")).rowcount:
            continue
        lost += 1
        if row.counted:
            connection.execute(update(Triplet).where(Triplet.id == row.triplet_id).values(taken=Triplet.taken - 1))
    return lost


def take_place(connection: Connection, triplet_id: int) -> bool:
    """Use up one wanted answer of a question; False when there is none left. Atomic on both databases."""
    free = update(Triplet).where(Triplet.id == triplet_id, Triplet.taken < Triplet.wanted)
    return bool(connection.execute(free.values(taken=Triplet.taken + 1)).rowcount)


def _unseen(project: ProjectRow, person: AnnotatorRow) -> Select[*tuple[Any, ...]]:
    seen = select(Assignment.id).where(Assignment.triplet_id == Triplet.id, Assignment.annotator_id == person.id)
    query = select(*_FACES).where(Triplet.project_id == project.id, ~seen.exists())
    return query.order_by(Triplet.rank).limit(1)


def _waiting(project: ProjectRow, person: AnnotatorRow) -> Select[*tuple[Any, ...]]:
    query = _unseen(project, person).where(Triplet.taken < Triplet.wanted)
    return query if person.role == "visitor" else query.with_for_update(skip_locked=True, key_share=True, of=Triplet)


def _to_repeat(connection: Connection, project: ProjectRow, person: AnnotatorRow) -> Found | None:
    """Choose one of the questions this person answered a while ago and has not been asked again."""
    mine = [Assignment.project_id == project.id, Assignment.annotator_id == person.id]
    recent = select(Assignment.triplet_id).where(*mine, Assignment.purpose == "work", Assignment.state == "answered")
    window = connection.scalars(recent.order_by(Assignment.id.desc()).offset(REPEAT_AFTER).limit(200)).all()
    # By question, person and pass alone, which is an index: of one person there may be tens of thousands.
    again = select(Assignment.triplet_id).where(
        Assignment.triplet_id.in_(window), Assignment.annotator_id == person.id, Assignment.pass_number == 1
    )
    repeated = set(connection.scalars(again))
    candidates = [triplet_id for triplet_id in window if triplet_id not in repeated]
    if not candidates:
        return None
    return connection.execute(select(*_FACES).where(Triplet.id == _chance.choice(candidates))).one()


def _questions() -> Select[*tuple[Any, ...]]:
    return select(
        Assignment.id, Assignment.triplet_id, Triplet.mode, Assignment.display_order, Assignment.purpose,
        Assignment.state, Assignment.expires_ms, Assignment.counted, Triplet.taken, Triplet.wanted,
        Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id,
    ).join(Triplet, Triplet.id == Assignment.triplet_id)  # fmt: skip


def further_faces_of(connection: Connection, triplet_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Return the fourth to ninth face of questions in mode grid."""
    if not triplet_ids:
        return {}
    query = select(Candidate.triplet_id, Candidate.face_id).where(Candidate.triplet_id.in_(triplet_ids))
    found: dict[int, tuple[int, ...]] = {}
    for triplet_id, face_id in connection.execute(query.order_by(Candidate.triplet_id, Candidate.place)):
        found[triplet_id] = (*found.get(triplet_id, ()), face_id)
    return found


_FACES = (Triplet.id, Triplet.rank, Triplet.mode, Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id)
