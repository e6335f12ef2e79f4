"""What admins decide about questions that people disagree on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from db.compare_schema import Triplet
from db.connected import Connected, now_ms
from db.errors import NotThere, WrongShape
from db.tally import HARDEST_KEPT
from db.team_schema import Adjudication
from db.types import AdjudicationRow, NewAdjudication, TripletRow


class Decisions(Connected):
    """The part of the store that keeps decisions beside the votes."""

    def triplets_by_id(self, triplet_ids: Sequence[int]) -> dict[int, TripletRow]:
        """Return the questions there are among a few ids."""
        query = select(*(getattr(Triplet, name) for name in TripletRow.__dataclass_fields__))
        with self._read() as connection:
            rows = connection.execute(query.where(Triplet.id.in_(list(triplet_ids)[:HARDEST_KEPT])))
            return {row.id: TripletRow(*row) for row in rows}

    def add_adjudication(self, project_id: int, admin_id: int, decided: NewAdjudication) -> int:
        """Keep what an admin decided about a question, beside its votes, and return its id; nothing is replaced."""
        three = (Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id)
        query = select(*three).where(Triplet.id == decided.triplet_id, Triplet.project_id == project_id)
        values = {
            "project_id": project_id, "triplet_id": decided.triplet_id, "annotator_id": admin_id,
            "choice": decided.choice, "face_id": decided.face_id, "note": decided.note, "created_ms": now_ms(),
        }  # fmt: skip
        with self._write() as connection:
            faces = connection.execute(query).one_or_none()
            if faces is None:
                raise NotThere(f"there is no question {decided.triplet_id} in this project")
            if (decided.choice == "face") != (decided.face_id in tuple(faces)):
                raise WrongShape(f"face {decided.face_id} cannot answer question {decided.triplet_id}")
            return int(
                connection.execute(self._insert(Adjudication).values(values).returning(Adjudication.id)).scalar_one()
            )

    def adjudications(self, project_id: int) -> list[AdjudicationRow]:
        """Return everything admins decided, the oldest first; the newest of a question counts."""
        query = select(*(getattr(Adjudication, name) for name in AdjudicationRow.__dataclass_fields__))
        with self._read() as connection:
            rows = connection.execute(query.where(Adjudication.project_id == project_id).order_by(Adjudication.id))
            return [AdjudicationRow(*row) for row in rows]
