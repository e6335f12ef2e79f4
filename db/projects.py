"""Projects and the questions that wait in them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, literal_column, select, update

from db.compare_schema import Assignment, Candidate, EvaluationFace, Project, Triplet
from db.connected import Connected, now_ms
from db.errors import AlreadyThere, NotThere
from db.types import NewProject, NewTriplet, Progress, ProjectRow

RANKS = 2**62
KEYS_AT_ONCE = 500
LEASED = Assignment.state == literal_column("'leased'")
"""Spelled out, because SQLite uses the index of leases only where it can see the word."""


class Projects(Connected):
    """The part of the store that keeps what shall be asked."""

    def add_project(self, project: NewProject, *, evaluation_faces: Iterable[int] = ()) -> ProjectRow:
        """Add a project and the faces it keeps out of training; raises AlreadyThere when the name is taken."""
        values = asdict(project) | {"state": "open", "created_ms": now_ms()}
        with self._write() as connection:
            insert = self._insert(Project).values(values).on_conflict_do_nothing().returning(Project.id)
            new = connection.scalar(insert)
            if new is None:
                raise AlreadyThere(f"there is a project called {project.name!r}")
            rows = [{"project_id": new, "face_id": int(face_id)} for face_id in evaluation_faces]
            if rows:
                connection.execute(self._insert(EvaluationFace).on_conflict_do_nothing(), rows)
        return self.project(project.name)

    def project(self, name_or_id: str | int) -> ProjectRow:
        """Return a project; raises NotThere."""
        matches = Project.id == name_or_id if isinstance(name_or_id, int) else Project.name == name_or_id
        with self._read() as connection:
            row = connection.execute(select(Project.__table__).where(matches)).mappings().one_or_none()
        if row is None:
            raise NotThere(f"there is no project {name_or_id!r}")
        return ProjectRow(**row)

    def projects(self) -> list[ProjectRow]:
        """Return all projects in the order they were made."""
        with self._read() as connection:
            rows = connection.execute(select(Project.__table__).order_by(Project.id)).mappings()
            return [ProjectRow(**row) for row in rows]

    def set_project_state(self, project_id: int, state: str) -> None:
        """Open, pause or close a project."""
        with self._write() as connection:
            connection.execute(update(Project).where(Project.id == project_id).values(state=state))

    def evaluation_faces(self, project_id: int) -> set[int]:
        """Return the faces kept out of training."""
        query = select(EvaluationFace.face_id).where(EvaluationFace.project_id == project_id)
        with self._read() as connection:
            return {int(face_id) for face_id in connection.scalars(query)}

    def add_triplets(self, project_id: int, triplets: Sequence[NewTriplet]) -> int:
        """Queue questions at random places and return how many were new; the same three faces are asked once."""
        made = now_ms()
        rows = [
            {
                "project_id": project_id, "key": triplet.key or key_of(triplet), "mode": triplet.mode,
                "face_1_id": triplet.faces[0], "face_2_id": triplet.faces[1], "face_3_id": triplet.faces[2],
                "kind": triplet.kind, "purpose": triplet.purpose, "sampler": triplet.sampler, "score": triplet.score,
                "model_run_id": triplet.model_run_id, "gold_face_id": triplet.gold_face_id,
                "explanation": triplet.explanation, "wanted": triplet.wanted, "taken": 0,
                "model_version": triplet.model_version,
                "rank": secrets.randbelow(RANKS), "created_ms": made,
            }
            for triplet in triplets
        ]  # fmt: skip
        rows.sort(key=lambda row: str(row["key"]))  # in any other order, two processes could wait for each other
        if not rows:
            return 0
        count = select(func.count()).select_from(Triplet).where(Triplet.project_id == project_id)
        with self._write() as connection:
            before = connection.scalar(count) or 0
            connection.execute(self._insert(Triplet).on_conflict_do_nothing(), rows)
            self._add_candidates(connection, project_id, [triplet for triplet in triplets if triplet.more_faces])
            return (connection.scalar(count) or 0) - before

    def _add_candidates(self, connection: Connection, project_id: int, grids: Sequence[NewTriplet]) -> None:
        places = {grid.key or key_of(grid): grid.more_faces for grid in grids}
        for start in range(0, len(grids), KEYS_AT_ONCE):
            keys = list(places)[start : start + KEYS_AT_ONCE]
            mine = select(Triplet.id, Triplet.key).where(Triplet.project_id == project_id, Triplet.key.in_(keys))
            rows = [
                {"triplet_id": triplet_id, "place": place, "face_id": face_id}
                for triplet_id, key in connection.execute(mine)
                for place, face_id in enumerate(places[key], start=4)
            ]
            if rows:
                connection.execute(self._insert(Candidate).on_conflict_do_nothing(), rows)

    def count_waiting(self, project_id: int, *, at_most: int = 1000) -> int:
        """Return how many training questions still want answers; stops counting at `at_most`."""
        waiting = select(Triplet.id).where(
            Triplet.project_id == project_id, Triplet.purpose == "train", Triplet.taken < Triplet.wanted
        )
        with self._read() as connection:
            return connection.scalar(select(func.count()).select_from(waiting.limit(at_most).subquery())) or 0

    def count_triplets(self, project_id: int, *, purpose: str) -> int:
        """Return how many questions of one purpose there are."""
        query = select(func.count()).where(Triplet.project_id == project_id, Triplet.purpose == purpose)
        with self._read() as connection:
            return connection.scalar(query) or 0

    def example_triplet(self, project_id: int) -> tuple[tuple[int, int, int], int] | None:
        """Return the faces and the odd one of a clear question, for instructions; None when there is none."""
        clear = (
            select(Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id, Triplet.gold_face_id)
            .where(Triplet.project_id == project_id, Triplet.gold_face_id.is_not(None))
            .where(Triplet.purpose == "gold")
            .order_by(Triplet.score.desc(), Triplet.id)
            .limit(1)
        )
        with self._read() as connection:
            row = connection.execute(clear).one_or_none()
        if row is None:
            return None
        first, second, third, odd = (int(face_id) for face_id in row)
        return (first, second, third), odd

    def progress(self, project_id: int, annotator_id: int) -> Progress:
        """Return how far the project is, and this person in it."""
        sums = select(func.sum(Triplet.wanted), func.sum(Triplet.taken)).where(Triplet.project_id == project_id)
        leased = select(func.count()).where(Assignment.project_id == project_id, LEASED)
        mine = select(func.count()).where(
            Assignment.annotator_id == annotator_id, Assignment.project_id == project_id,
            Assignment.state == "answered",
        )  # fmt: skip
        done = select(func.count()).where(
            Assignment.annotator_id == annotator_id, Assignment.project_id == project_id,
            Assignment.purpose == "qualification", Assignment.state == "answered",
        )  # fmt: skip
        there = select(func.count()).where(Triplet.project_id == project_id, Triplet.purpose == "qualification")
        asked = select(Project.qualification).where(Project.id == project_id)
        with self._read() as connection:
            wanted, taken = connection.execute(sums).one()
            held = connection.scalar(leased.where(Assignment.counted)) or 0
            to_do = min(connection.scalar(asked) or 0, connection.scalar(there) or 0) - (connection.scalar(done) or 0)
            own = connection.scalar(mine) or 0
        return Progress(int(wanted or 0), max(int(taken or 0) - held, 0), own, max(to_do, 0))


def key_of(triplet: NewTriplet) -> str:
    """Return what tells a question from others: its mode and faces, in any order but for the head's."""
    faces = [*triplet.faces, *triplet.more_faces]
    ordered = sorted(faces) if triplet.mode == "odd_one_out" else [faces[0], *sorted(faces[1:])]
    return f"{triplet.mode}:{'-'.join(map(str, ordered))}"
