"""What people said: only ever added; a double press, a lost connection and a change of mind lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, Select, func, or_, select, update

from db.compare_schema import Answer, Assignment, Candidate, Project, Triplet
from db.connected import Connected, now_ms
from db.errors import LeaseLost, NotThere, WrongShape
from db.people import locked_annotator
from db.queue import take_place
from db.types import AnswerOutcome, NewAnswer

CHOICES = frozenset({"face", "cannot_tell", "bad_picture"})


class Answers(Connected):
    """The part of the store that keeps answers."""

    def add_answer(self, annotator_id: int, answer: NewAnswer) -> AnswerOutcome:
        """Keep an answer once and for all before returning; the same press sent again changes nothing.

        Raises NotThere for somebody else's question, WrongShape for a face that was not shown, LeaseLost when the
        lease ran out and others have given all the answers this question wants.
        """
        with self._write() as connection:
            locked_annotator(connection, annotator_id)
            question = self._own_question(connection, annotator_id, answer.assignment_id)
            _check(answer, question, _further(connection, question))
            before = connection.execute(_said(answer)).all()
            known = _known(before, answer)
            if known is not None:
                return _outcome(known, question, stored=False)
            if question["state"] == "lost":
                self._take_again(connection, question)
            new = self._append(connection, annotator_id, question, answer, last=before[-1] if before else None)
            connection.execute(update(Assignment).where(Assignment.id == question["id"]).values(state="answered"))
            return _outcome(new, question, stored=True)

    def undo_answer(self, project_id: int, annotator_id: int, *, client_key: str) -> int | None:
        """Take back the person's last standing answer and return its question's assignment; None when there is none.

        The answer stays in the table, superseded; its question is leased to the person again.
        """
        with self._write() as connection:
            locked_annotator(connection, annotator_id)
            sent = select(Answer.assignment_id).where(Answer.client_key == client_key)
            done = connection.execute(sent).one_or_none()
            if done is not None:
                return int(done.assignment_id)
            last = connection.execute(
                select(Answer.assignment_id)
                .where(Answer.annotator_id == annotator_id, Answer.project_id == project_id)
                .where(Answer.superseded_by_id.is_(None), Answer.choice != "undo")
                .order_by(Answer.id.desc())
                .limit(1)
            ).one_or_none()
            if last is None:
                return None
            question = self._own_question(connection, annotator_id, last.assignment_id)
            undo = NewAnswer(last.assignment_id, "undo", client_key)
            before = connection.execute(_said(undo)).all()[-1]
            self._append(connection, annotator_id, question, undo, last=before)
            lease = connection.scalar(select(Project.lease_ms).where(Project.id == project_id)) or 0
            values = {"state": "leased", "expires_ms": now_ms() + lease}
            connection.execute(update(Assignment).where(Assignment.id == last.assignment_id).values(values))
            return int(last.assignment_id)

    def last_answer_id(self, project_id: int) -> int:
        """Return the newest answer's id, 0 when there is none: names everything said until now."""
        query = select(func.max(Answer.id)).where(Answer.project_id == project_id)
        with self._read() as connection:
            return connection.scalar(query) or 0

    def count_answers(self, project_id: int) -> int:
        """Return how many answers stand."""
        query = select(func.count()).where(
            Answer.project_id == project_id, Answer.superseded_by_id.is_(None), Answer.choice != "undo"
        )
        with self._read() as connection:
            return connection.scalar(query) or 0

    def _own_question(self, connection: Connection, annotator_id: int, assignment_id: int) -> RowMapping:
        query = (
            select(
                Assignment.id, Assignment.project_id, Assignment.triplet_id, Assignment.state, Assignment.counted,
                Assignment.purpose, Triplet.mode, Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id,
                Triplet.gold_face_id, Triplet.explanation,
            )
            .join(Triplet, Triplet.id == Assignment.triplet_id)
            .where(Assignment.id == assignment_id, Assignment.annotator_id == annotator_id)
            .with_for_update(key_share=True, of=Assignment)
        )  # fmt: skip
        found = connection.execute(query).mappings().one_or_none()
        if found is None:
            raise NotThere(f"question {assignment_id} is not yours, or was deleted")
        return found

    def _take_again(self, connection: Connection, question: RowMapping) -> None:
        if question["counted"] and not take_place(connection, question["triplet_id"]):
            raise LeaseLost("others have answered this question while you were away; here is the next one")

    def _append(
        self,
        connection: Connection,
        annotator_id: int,
        question: RowMapping,
        answer: NewAnswer,
        *,
        last: Row[*tuple[Any, ...]] | None,
    ) -> int:
        values = {
            "project_id": question["project_id"], "assignment_id": question["id"],
            "triplet_id": question["triplet_id"], "annotator_id": annotator_id,
            "revision": last.revision + 1 if last else 0, "choice": answer.choice, "face_id": answer.face_id,
            "second_face_id": answer.second_face_id, "reason": answer.reason, "response_ms": answer.response_ms,
            "client": answer.client,
            "client_key": answer.client_key, "created_ms": now_ms(),
        }  # fmt: skip
        new = int(connection.execute(self._insert(Answer).values(values).returning(Answer.id)).scalar_one())
        if last is not None:
            connection.execute(update(Answer).where(Answer.id == last.id).values(superseded_by_id=new))
        return new


def _check(answer: NewAnswer, question: RowMapping, further: Sequence[int]) -> None:
    if answer.choice not in CHOICES:
        raise WrongShape(f"an answer is one of {', '.join(sorted(CHOICES))}, not {answer.choice!r}")
    offered = {question["face_2_id"], question["face_3_id"], *further}
    if question["mode"] == "odd_one_out":
        offered.add(question["face_1_id"])
    if (answer.choice == "face") != (answer.face_id in offered):
        raise WrongShape(f"face {answer.face_id} cannot answer question {question['id']}")
    two = answer.choice == "face" and question["mode"] == "grid"
    if two != (answer.second_face_id in offered - {answer.face_id}):
        raise WrongShape(f"face {answer.second_face_id} cannot be the second answer to question {question['id']}")


def _said(answer: NewAnswer) -> Select[*tuple[Any, ...]]:
    """What was said to the same question, oldest first, and whatever came under the same key."""
    columns = (Answer.id, Answer.assignment_id, Answer.revision, Answer.choice, Answer.client_key,
               Answer.superseded_by_id)  # fmt: skip
    same = or_(Answer.assignment_id == answer.assignment_id, Answer.client_key == answer.client_key)
    return select(*columns).where(same).order_by(Answer.revision)


def _known(before: Sequence[Row[*tuple[Any, ...]]], answer: NewAnswer) -> int | None:
    """Return the answer that this press made already, or that stands; raises WrongShape for another one's key."""
    for row in before:
        if row.client_key == answer.client_key:
            if row.assignment_id != answer.assignment_id:
                raise WrongShape(f"the key {answer.client_key!r} belongs to another answer")
            return int(row.id)
    standing = [row.id for row in before if row.superseded_by_id is None and row.choice != "undo"]
    return int(standing[0]) if standing else None


def _further(connection: Connection, question: RowMapping) -> Sequence[int]:
    if question["mode"] != "grid":
        return ()
    return connection.scalars(select(Candidate.face_id).where(Candidate.triplet_id == question["triplet_id"])).all()


def _outcome(answer_id: int, question: RowMapping, *, stored: bool) -> AnswerOutcome:
    return AnswerOutcome(answer_id, stored, question["purpose"], question["gold_face_id"], question["explanation"])
