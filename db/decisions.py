"""What admins decide about questions that people disagree on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from db.compare_schema import Triplet
from db.connected import Connected, now_ms
from db.errors import NotThere, WrongShape
from db.queue import further_faces_of
from db.tally import HARDEST_KEPT
from db.team_schema import Adjudication
from db.types import AdjudicationRow, NewAdjudication, TripletRow


class Decisions(Connected):
    """The part of the store that keeps decisions beside the votes."""

    def triplets_by_id(self, triplet_ids: Sequence[int]) -> dict[int, TripletRow]:
        """Return the questions there are among a few ids."""
        names = [name for name in TripletRow.__dataclass_fields__ if name != "more_faces"]
        wanted = list(triplet_ids)[:HARDEST_KEPT]
        with self._read() as connection:
            rows = connection.execute(select(*(getattr(Triplet, name) for name in names)).where(Triplet.id.in_(wanted)))
            further = further_faces_of(connection, wanted)
            return {row["id"]: TripletRow(**row, more_faces=further.get(row["id"], ())) for row in rows.mappings()}

    def add_adjudication(self, project_id: int, admin_id: int, decided: NewAdjudication) -> int:
        """Keep what an admin decided about a question, beside its votes, and return its id; nothing is replaced."""
        three = (Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id)
        query = select(Triplet.mode, *three).where(Triplet.id == decided.triplet_id, Triplet.project_id == project_id)
        values = {
            "project_id": project_id, "triplet_id": decided.triplet_id, "annotator_id": admin_id,
            "choice": decided.choice, "face_id": decided.face_id, "second_face_id": decided.second_face_id,
            "note": decided.note, "created_ms": now_ms(),
        }  # fmt: skip
        with self._write() as connection:
            asked = connection.execute(query).one_or_none()
            if asked is None:
                raise NotThere(f"there is no question {decided.triplet_id} in this project")
            mode, *faces = asked
            faces += further_faces_of(connection, [decided.triplet_id]).get(decided.triplet_id, ())
            _check(decided, str(mode), faces)
            return int(
                connection.execute(self._insert(Adjudication).values(values).returning(Adjudication.id)).scalar_one()
            )

    def decided(self, project_id: int, *, up_to: int | None = None) -> dict[int, AdjudicationRow]:
        """Return by question the newest decision, or the newest when decision `up_to` was the last."""
        rows = self.adjudications(project_id)
        return {row.triplet_id: row for row in rows if up_to is None or row.id <= up_to}

    def adjudications(self, project_id: int) -> list[AdjudicationRow]:
        """Return everything admins decided, the oldest first; the newest of a question counts."""
        query = select(*(getattr(Adjudication, name) for name in AdjudicationRow.__dataclass_fields__))
        with self._read() as connection:
            rows = connection.execute(query.where(Adjudication.project_id == project_id).order_by(Adjudication.id))
            return [AdjudicationRow(*row) for row in rows]


def _check(decided: NewAdjudication, mode: str, faces: Sequence[int]) -> None:
    """Raise WrongShape unless a decision could be an answer to the question; a head is never chosen."""
    offered = set(faces if mode == "odd_one_out" else faces[1:])
    two = mode == "grid" and decided.choice == "face"
    fits = (decided.choice == "face") == (decided.face_id in offered)
    if not fits or two != (decided.second_face_id in offered - {decided.face_id}):
        raise WrongShape(f"face {decided.face_id} cannot answer question {decided.triplet_id}")
