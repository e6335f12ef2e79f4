"""Answers as columns, for statistics and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, case, func, select

from db.compare_schema import Annotator, Answer, Assignment, Triplet
from db.connected import Connected

Column = NDArray[np.int64]
KIND_NAMES = ("one_class", "two_class", "three_class", "unknown")
PURPOSE_NAMES = ("train", "evaluation", "gold", "qualification")
BATCH = 20_000


@dataclass(frozen=True, eq=False)
class Ballots:
    """Standing answers, one place per answer in every column, oldest first."""

    answer: Column
    triplet: Column
    annotator: Column
    odd: Column
    """1, 2 or 3: the odd face of the triplet; 0 can't tell; -1 bad picture."""
    gold: Column
    """1, 2 or 3 where the right answer is known, else 0."""
    position: Column
    """1, 2 or 3: where on the screen the chosen face stood; 0 when none was chosen."""
    purpose: Column
    """Place in PURPOSE_NAMES."""
    pass_number: Column
    kind: Column
    """Place in KIND_NAMES."""
    response_ms: Column
    """-1 when it was not measured."""
    created_ms: Column
    faces: Column
    """(answers, 3) face ids in the order of the triplet."""

    def __len__(self) -> int:
        return len(self.answer)

    def where(self, keep: NDArray[np.bool_]) -> Ballots:
        """Return the answers for which `keep` is true."""
        return Ballots(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})


class BallotBox(Connected):
    """The part of the store that counts."""

    def read_ballots(self, project_id: int, *, cutoff: int | None = None, visitors: bool = False) -> Ballots:
        """Return the answers that stood when `cutoff` was the newest answer; now without it.

        Visitors and people who were excluded are left out unless asked for.
        """
        query = _ballots(project_id)
        if cutoff is None:
            query = query.where(Answer.superseded_by_id.is_(None))
        else:
            stands = (Answer.superseded_by_id.is_(None)) | (Answer.superseded_by_id > cutoff)
            query = query.where(Answer.id <= cutoff, stands)
        if not visitors:
            query = query.where(Annotator.role != "visitor", Annotator.state != "excluded")
        with self._read() as connection:
            parts = [
                np.array([tuple(row) for row in batch], np.int64)
                for batch in connection.execution_options(yield_per=BATCH).execute(query).partitions(BATCH)
            ]
        table = np.concatenate(parts) if parts else np.zeros((0, 14), np.int64)
        names = [name for name in Ballots.__dataclass_fields__ if name != "faces"]
        columns = {name: np.ascontiguousarray(table[:, place]) for place, name in enumerate(names)}
        return Ballots(**columns, faces=np.ascontiguousarray(table[:, 11:14]))


def _ballots(project_id: int) -> Select[Any]:
    chosen = case(
        (Answer.face_id == Triplet.face_1_id, 1), (Answer.face_id == Triplet.face_2_id, 2),
        (Answer.face_id == Triplet.face_3_id, 3), else_=0,
    )  # fmt: skip
    # In mode head_two people choose the face most like the head (face 1), so the odd one is the other of two.
    other = case((Answer.face_id == Triplet.face_2_id, 3), else_=2)
    odd = case(
        (Answer.choice == "cannot_tell", 0), (Answer.choice == "bad_picture", -1),
        (Triplet.mode == "head_two", other), else_=chosen,
    )  # fmt: skip
    gold = case(
        (Triplet.gold_face_id == Triplet.face_1_id, 1), (Triplet.gold_face_id == Triplet.face_2_id, 2),
        (Triplet.gold_face_id == Triplet.face_3_id, 3), else_=0,
    )  # fmt: skip
    order = Assignment.display_order
    number = case((chosen == 1, "1"), (chosen == 2, "2"), else_="3")
    position = case((chosen == 0, 0), (number == _sign(order, 1), 1), (number == _sign(order, 2), 2), else_=3)
    purpose = case(*((Triplet.purpose == name, place) for place, name in enumerate(PURPOSE_NAMES)), else_=0)
    kind = case(*((Triplet.kind == name, place) for place, name in enumerate(KIND_NAMES)), else_=3)
    response = case((Answer.response_ms.is_(None), -1), else_=Answer.response_ms)
    return (
        select(
            Answer.id, Answer.triplet_id, Answer.annotator_id, odd, gold, position, purpose, Assignment.pass_number,
            kind, response, Answer.created_ms, Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id,
        )
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Annotator, Annotator.id == Answer.annotator_id)
        .where(Answer.project_id == project_id, Answer.choice != "undo")
        .order_by(Answer.id)
    )  # fmt: skip


def _sign(order: Any, place: int) -> Any:
    return func.substr(order, place, 1)
