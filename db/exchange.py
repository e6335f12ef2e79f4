"""Answers in and out, with everything around them; an import is kept whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, delete, func, literal, select, update
from sqlalchemy.exc import IntegrityError

from db.compare_schema import Annotator, Answer, Assignment, Candidate, Triplet
from db.connected import now_ms
from db.errors import AlreadyThere
from db.galleries import Galleries
from db.projects import RANKS
from db.schema import Face
from db.team_schema import Adjudication, Counted
from db.types import LabelRecord, NewFace

BATCH = 5_000
AT_ONCE = 50_000
NOT_DECIDED = (None, None, None)
FACES = ("face_1", "face_2", "face_3", "gold_face", "odd_face", "second_face")


class Exchange(Galleries):
    """The part of the store that carries answers between studios and files."""

    def read_labels(
        self, project_id: int, *, cutoff: int | None = None, decided_to: int | None = None
    ) -> Iterator[LabelRecord]:
        """Yield every answer ever given, oldest first; `cutoff` shows the table as it was when that answer was new.

        Decisions of admins travel along, those up to `decided_to`, all without it.
        """
        for columns in self.read_label_columns(project_id, cutoff=cutoff, decided_to=decided_to):
            for values in zip(*columns.values(), strict=True):
                yield LabelRecord(*values)

    def read_label_columns(
        self, project_id: int, *, cutoff: int | None = None, decided_to: int | None = None
    ) -> Iterator[dict[str, Sequence[Any]]]:
        """Yield what `read_labels` does by columns, named as LabelRecord's fields, some thousand answers at a time."""
        query = _records(project_id)
        if cutoff is not None:
            query = query.where(Answer.id <= cutoff)
        with self._read() as connection:
            names = _names(connection, project_id, decided_to)
            for rows in _driver_rows(connection, query):
                yield _label_columns(rows, names, cutoff)

    def add_labels(
        self, project_id: int, gallery_id: int, *, faces: Mapping[str, NewFace], records: Iterable[LabelRecord]
    ) -> int:
        """Import answers with their questions, people and faces; return how many.

        All or nothing: whatever goes wrong, nothing of the import stays. Raises AlreadyThere when an answer's client
        key is known, as when a file is imported twice.
        """
        try:
            with self._write() as connection:
                return self._import(connection, project_id, gallery_id, faces, list(records))
        except IntegrityError as error:
            raise AlreadyThere("these answers, or some of them, were imported before; nothing was changed") from error

    def _import(
        self,
        connection: Connection,
        project_id: int,
        gallery_id: int,
        faces: Mapping[str, NewFace],
        records: Sequence[LabelRecord],
    ) -> int:
        face_ids = {key: self._add_face(connection, gallery_id, face) for key, face in faces.items()}
        people = self._import_people(connection, records)
        triplets = self._import_triplets(connection, project_id, records, face_ids)
        shown: dict[tuple[int, int, int], LabelRecord] = {}
        for record in records:
            where = (triplets[record.triplet_key], people[record.annotator], record.pass_number)
            shown.setdefault(where, record)
        assignments = self._import_assignments(connection, project_id, shown, records, triplets, people)
        new = self._import_answers(connection, project_id, records, triplets, people, assignments, face_ids)
        _chain(connection, records, new)
        self._import_decisions(connection, project_id, records, triplets, face_ids)
        _count(connection, project_id)
        connection.execute(delete(Counted).where(Counted.project_id == project_id))
        return len(records)

    def _import_people(self, connection: Connection, records: Sequence[LabelRecord]) -> dict[str, int]:
        met = {record.annotator: record for record in records}
        for name, record in met.items():
            values = {
                "name": name, "role": record.annotator_role, "state": record.annotator_state, "created_ms": now_ms(),
            }  # fmt: skip
            connection.execute(self._insert(Annotator).values(values).on_conflict_do_nothing())
        known = connection.execute(select(Annotator.name, Annotator.id)).all()
        return {row.name: int(row.id) for row in known if row.name in met}

    def _import_triplets(
        self,
        connection: Connection,
        project_id: int,
        records: Sequence[LabelRecord],
        faces: Mapping[str, int],
    ) -> dict[str, int]:
        asked = {record.triplet_key: record for record in records}
        spread = max(RANKS // max(len(asked), 1), 1)
        rows = [
            {
                "project_id": project_id, "key": key, "mode": one.mode, "kind": one.kind, "purpose": one.purpose,
                "face_1_id": faces[one.face_1], "face_2_id": faces[one.face_2], "face_3_id": faces[one.face_3],
                "sampler": one.sampler, "score": one.score, "model_run_id": None, "explanation": one.explanation,
                "gold_face_id": faces[one.gold_face] if one.gold_face else None,
                "model_version": one.model_version,
                "wanted": one.wanted, "taken": 0, "rank": place * spread, "created_ms": one.leased_ms,
            }
            for place, (key, one) in enumerate(asked.items())
        ]  # fmt: skip
        for start in range(0, len(rows), BATCH):
            connection.execute(self._insert(Triplet).on_conflict_do_nothing(), rows[start : start + BATCH])
        known = connection.execute(select(Triplet.key, Triplet.id).where(Triplet.project_id == project_id)).all()
        ids = {row.key: int(row.id) for row in known}
        further = [
            {"triplet_id": ids[key], "place": place, "face_id": faces[face]}
            for key, one in asked.items()
            for place, face in enumerate(further_faces(one), start=4)
        ]
        for start in range(0, len(further), BATCH):
            connection.execute(self._insert(Candidate).on_conflict_do_nothing(), further[start : start + BATCH])
        return ids

    def _import_assignments(
        self,
        connection: Connection,
        project_id: int,
        shown: Mapping[tuple[int, int, int], LabelRecord],
        records: Sequence[LabelRecord],
        triplets: Mapping[str, int],
        people: Mapping[str, int],
    ) -> dict[tuple[int, int, int], int]:
        undone = {
            (triplets[one.triplet_key], people[one.annotator], one.pass_number)
            for one in records
            if one.choice == "undo" and one.superseded_by is None
        }
        rows = [
            {
                "project_id": project_id, "triplet_id": where[0], "annotator_id": where[1], "pass_number": where[2],
                "purpose": one.shown_as, "counted": one.counted, "display_order": one.display_order,
                "state": "lost" if where in undone else "answered", "rank": 0,
                "leased_ms": one.leased_ms, "expires_ms": one.leased_ms,
            }
            for where, one in shown.items()
        ]  # fmt: skip
        return dict(zip(shown, self._insert_many(connection, Assignment, rows), strict=True))

    def _import_answers(
        self,
        connection: Connection,
        project_id: int,
        records: Sequence[LabelRecord],
        triplets: Mapping[str, int],
        people: Mapping[str, int],
        assignments: Mapping[tuple[int, int, int], int],
        faces: Mapping[str, int],
    ) -> list[int]:
        rows: list[dict[str, Any]] = []
        for one in records:
            where = (triplets[one.triplet_key], people[one.annotator], one.pass_number)
            rows.append({
                "project_id": project_id, "assignment_id": assignments[where], "triplet_id": where[0],
                "annotator_id": where[1], "revision": one.revision, "choice": one.choice,
                "face_id": faces[one.odd_face] if one.odd_face else None,
                "second_face_id": faces[one.second_face] if one.second_face else None, "reason": one.reason,
                "response_ms": one.response_ms, "client": json.loads(one.client) if one.client else None,
                "client_key": one.client_key, "created_ms": one.created_ms,
            })  # fmt: skip
        return self._insert_many(connection, Answer, rows)

    def _import_decisions(
        self,
        connection: Connection,
        project_id: int,
        records: Sequence[LabelRecord],
        triplets: Mapping[str, int],
        faces: Mapping[str, int],
    ) -> None:
        """Keep decisions that came along; who made them is not known here."""
        decided = {one.triplet_key: one for one in records if one.decided}
        rows = [
            {
                "project_id": project_id, "triplet_id": triplets[key], "choice": one.decided, "created_ms": now_ms(),
                "face_id": faces[one.decided_face] if one.decided_face else None,
                "second_face_id": faces[one.decided_second_face] if one.decided_second_face else None,
            }
            for key, one in decided.items()
        ]  # fmt: skip
        if rows:
            connection.execute(self._insert(Adjudication), rows)

    def _insert_many(self, connection: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> list[int]:
        insert = self._insert(table).returning(table.id, sort_by_parameter_order=True)
        new: list[int] = []
        for start in range(0, len(rows), BATCH):
            new.extend(int(one) for one in connection.scalars(insert, rows[start : start + BATCH]))
        return new


def _chain(connection: Connection, records: Sequence[LabelRecord], new: Sequence[int]) -> None:
    """Point each superseded answer to the one that followed it."""
    said: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    for record, answer_id in zip(records, new, strict=True):
        where = (record.triplet_key, record.annotator, record.pass_number)
        said.setdefault(where, []).append((record.revision, answer_id))
    for revisions in said.values():
        for (_, earlier), (_, later) in pairwise(sorted(revisions)):
            connection.execute(update(Answer).where(Answer.id == earlier).values(superseded_by_id=later))


def _count(connection: Connection, project_id: int) -> None:
    """Set how many answers of each question are taken; a question wants at least those it has."""
    given = (
        select(func.count())
        .where(Assignment.triplet_id == Triplet.id, Assignment.counted, Assignment.state != "lost")
        .scalar_subquery()
    )
    mine = Triplet.project_id == project_id
    connection.execute(update(Triplet).where(mine, Triplet.wanted < given).values(wanted=given))
    connection.execute(update(Triplet).where(mine).values(taken=given))


def _driver_rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Sequence[Any]]:
    """Yield the driver's own tuples, many at once: wrapping a million of them takes as long as reading them."""
    words = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    on_server = ("labels",) if connection.dialect.name == "postgresql" else ()
    with closing(connection.connection.cursor(*on_server)) as cursor:
        cursor.execute(words)
        while rows := cursor.fetchmany(AT_ONCE):
            yield rows


def further_faces(record: LabelRecord) -> list[str]:
    """Return the keys of the fourth to ninth face; none in other modes than grid."""
    return list(json.loads(record.more_faces)) if record.more_faces else []


def _records(project_id: int) -> Select[*tuple[Any, ...]]:
    """Everything in the order of LabelRecord's fields; faces and people by their ids, the client as it was written."""
    columns = (
        Answer.id, Triplet.key, Triplet.mode, Triplet.kind, Triplet.purpose, Triplet.sampler, Triplet.score,
        Triplet.model_run_id, Triplet.wanted, Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id,
        Triplet.gold_face_id, Triplet.explanation, Answer.annotator_id, literal(None), literal(None),
        Assignment.pass_number, Assignment.purpose, Assignment.counted, Assignment.display_order,
        Assignment.leased_ms, Answer.revision, Answer.choice, Answer.face_id, Answer.reason, Answer.response_ms,
        cast(Answer.client, Text), Answer.client_key, Answer.superseded_by_id, Answer.created_ms,
        Triplet.model_version, Triplet.id, Answer.second_face_id, Triplet.id, literal(None), literal(None),
    )  # fmt: skip
    return (
        select(*columns)
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .where(Answer.project_id == project_id)
        .order_by(Answer.id)
    )


@dataclass(frozen=True, eq=False)
class _Names:
    """What ids stand for."""

    faces: dict[int | None, str | None]
    people: dict[int, tuple[str, str, str]]
    """Name, role and state."""
    further: dict[int, str]
    """JSON list of the further faces of a question in mode grid."""
    decided: dict[int, tuple[str, str | None, str | None]]
    """What admins decided last about a question, and the keys of the faces."""


def _names(connection: Connection, project_id: int, decided_to: int | None) -> _Names:
    asked = select(Triplet.id).where(Triplet.project_id == project_id, Triplet.mode == "grid")
    candidates = select(Candidate.triplet_id, Candidate.face_id).where(Candidate.triplet_id.in_(asked))
    faces: dict[int | None, str | None] = {None: None}
    faces |= {int(row.id): row.key for row in connection.execute(select(Face.id, Face.key))}
    people = connection.execute(select(Annotator.id, Annotator.name, Annotator.role, Annotator.state))
    more: dict[int, list[str | None]] = {}
    for triplet_id, face_id in connection.execute(candidates.order_by(Candidate.triplet_id, Candidate.place)):
        more.setdefault(int(triplet_id), []).append(faces[face_id])
    decisions = select(Adjudication).where(Adjudication.project_id == project_id).order_by(Adjudication.id)
    if decided_to is not None:
        decisions = decisions.where(Adjudication.id <= decided_to)
    return _Names(
        faces,
        {int(row.id): (row.name, row.role, row.state) for row in people},
        {triplet_id: json.dumps(keys, ensure_ascii=False) for triplet_id, keys in more.items()},
        {
            int(row.triplet_id): (row.choice, faces[row.face_id], faces[row.second_face_id])
            for row in connection.execute(decisions)
        },
    )


def _label_columns(rows: Sequence[Any], names: _Names, cutoff: int | None) -> dict[str, Sequence[Any]]:
    fields = LabelRecord.__dataclass_fields__
    columns: dict[str, Sequence[Any]] = dict(zip(fields, zip(*rows, strict=True), strict=True))
    for name in FACES:
        columns[name] = [names.faces[face] for face in columns[name]]
    people = [names.people[person] for person in columns["annotator"]]
    for place, name in enumerate(("annotator", "annotator_role", "annotator_state")):
        columns[name] = [person[place] for person in people]
    columns["counted"] = [bool(counted) for counted in columns["counted"]]
    columns["more_faces"] = list(map(names.further.get, columns["more_faces"]))
    decided = [names.decided.get(triplet_id, NOT_DECIDED) for triplet_id in columns["decided"]]
    for place, name in enumerate(("decided", "decided_face", "decided_second_face")):
        columns[name] = [one[place] for one in decided]
    columns["client"] = list(map(_canonical, columns["client"]))
    if cutoff is not None:
        said = columns["superseded_by"]
        columns["superseded_by"] = [one if one is not None and one <= cutoff else None for one in said]
    return columns


@lru_cache(maxsize=4096)
def _canonical(text: str | None) -> str | None:
    """Return JSON with its names in order; the same few browsers write most of them."""
    return None if text is None else json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
