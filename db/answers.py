"""What people said: only ever added; a double press, a lost connection and a change of mind lose nothing."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, Select, func, select, update

from db.compare_schema import Answer, Assignment, Project, Triplet
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
            _check(answer, question)
            known = _known(connection, answer) or connection.scalar(_standing(answer.assignment_id))
            if known is not None:
                return _outcome(known, question, stored=False)
            if question["state"] == "lost":
                self._take_again(connection, question)
            new = self._append(connection, annotator_id, question, answer)
            connection.execute(update(Assignment).where(Assignment.id == question["id"]).values(state="answered"))
            return _outcome(new, question, stored=True)

    def undo_answer(self, project_id: int, annotator_id: int, *, client_key: str) -> int | None:
        """Take back the person's last standing answer and return its question's assignment; None when there is none.

        The answer stays in the table, superseded; its question is leased to the person again.
        """
        with self._write() as connection:
            locked_annotator(connection, annotator_id)
            before = connection.execute(
                select(Answer.assignment_id).where(Answer.client_key == client_key)
            ).one_or_none()
            if before is not None:
                return int(before.assignment_id)
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
            self._append(connection, annotator_id, question, NewAnswer(last.assignment_id, "undo", client_key))
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

    def _append(self, connection: Connection, annotator_id: int, question: RowMapping, answer: NewAnswer) -> int:
        before = select(Answer.id, Answer.revision).where(Answer.assignment_id == question["id"])
        last = connection.execute(before.order_by(Answer.revision.desc()).limit(1)).one_or_none()
        values = {
            "project_id": question["project_id"], "assignment_id": question["id"],
            "triplet_id": question["triplet_id"], "annotator_id": annotator_id,
            "revision": last.revision + 1 if last else 0, "choice": answer.choice, "face_id": answer.face_id,
            "reason": answer.reason, "response_ms": answer.response_ms, "client": answer.client,
            "client_key": answer.client_key, "created_ms": now_ms(),
        }  # fmt: skip
        new = int(connection.execute(self._insert(Answer).values(values).returning(Answer.id)).scalar_one())
        if last is not None:
            connection.execute(update(Answer).where(Answer.id == last.id).values(superseded_by_id=new))
        return new


def _check(answer: NewAnswer, question: RowMapping) -> None:
    if answer.choice not in CHOICES:
        raise WrongShape(f"an answer is one of {', '.join(sorted(CHOICES))}, not {answer.choice!r}")
    offered = {question["face_2_id"], question["face_3_id"]}
    if question["mode"] == "odd_one_out":
        offered.add(question["face_1_id"])
    if (answer.choice == "face") != (answer.face_id in offered):
        raise WrongShape(f"face {answer.face_id} cannot answer question {question['id']}")


def _known(connection: Connection, answer: NewAnswer) -> int | None:
    query = select(Answer.id, Answer.assignment_id).where(Answer.client_key == answer.client_key)
    row = connection.execute(query).one_or_none()
    if row is not None and row.assignment_id != answer.assignment_id:
        raise WrongShape(f"the key {answer.client_key!r} belongs to another answer")
    return row.id if row is not None else None


def _standing(assignment_id: int) -> Select[int]:
    return select(Answer.id).where(
        Answer.assignment_id == assignment_id, Answer.superseded_by_id.is_(None), Answer.choice != "undo"
    )


def _outcome(answer_id: int, question: RowMapping, *, stored: bool) -> AnswerOutcome:
    return AnswerOutcome(answer_id, stored, question["purpose"], question["gold_face_id"], question["explanation"])
