"""Answers added up in the database, a part at a time; projects as they are changed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import aliased

from db import framed
from db.agreement import PLACES
from db.compare_schema import Annotator, Answer, Assignment, Project, Triplet
from db.connected import Connected, now_ms
from db.errors import NotThere, WrongShape
from db.schema import Deletion
from db.tally import COARSE_MS, COARSE_UNTIL_MS, FINE_MS, FINE_UNTIL_MS, FORM, HARDEST_KEPT, Change, Hard, Key, Tally
from db.team_schema import Counted
from db.types import ProjectRow

AT_ONCE = 50_000
"""Answers that are counted in one go, about a second of work."""
AT_A_LOOK = 5_000
"""Answers that are added up while somebody waits."""
SETTLED_MS = 60_000
"""PostgreSQL gives out ids before rows can be seen: counts are kept only up to answers older than this."""
CHANGEABLE = frozenset(
    "question instructions overlap evaluation_overlap gold_share repeat_share qualification sampler_mix lease_ms "
    "on_delete state".split()
)
OLDER, AGAIN = aliased(Answer), aliased(Assignment)


class Team(Connected):
    """The part of the store that an admin looks at."""

    def count_answers_on(self, project_id: int, *, most: int = AT_ONCE) -> Tally:
        """Add up to `most` further answers to the kept counts, keep them, and return them.

        Counts begin anew when somebody or a face was deleted, or a person was excluded or let in again. Several
        processes may do this at once: whoever is late returns what the other kept.
        """
        with self._read() as connection:
            start = self._kept(connection, project_id)
            settled = self._settled()
            end = _end(connection, project_id, start.to_answer_id, most, settled_before=settled)
            asked = _newest_question(connection, start.to_triplet_id, settled_before=settled)
            if end is None and asked == start.to_triplet_id:
                return start
            after = start.plus(_change(connection, project_id, start, end or start.to_answer_id, asked))
        self._keep(project_id, after)
        return after

    def tally(self, project_id: int, *, most: int = AT_A_LOOK) -> tuple[Tally, int]:
        """Return the counts of now and 0, or of the past and about how many answers they lack when more than `most`.

        Nothing is written: `count_answers_on` catches up.
        """
        with self._read() as connection:
            start = self._kept(connection, project_id)
            later = select(Answer.id).where(Answer.project_id == project_id, Answer.id > start.to_answer_id)
            newest = connection.scalar(select(func.max(Answer.id)).where(Answer.project_id == project_id)) or 0
            behind = connection.scalar(select(func.count()).select_from(later.limit(most + 1).subquery())) or 0
            if behind > most:
                return start, max(newest - start.to_answer_id, behind)
            asked = _newest_question(connection, start.to_triplet_id)
            return start.plus(_change(connection, project_id, start, newest, asked)), 0

    def forget_counts(self, project_id: int) -> None:
        """Count everything anew at the next look."""
        with self._write() as connection:
            connection.execute(delete(Counted).where(Counted.project_id == project_id))

    def shared_votes(self, project_id: int, *, most: int = 100_000) -> list[tuple[int, int, int]]:
        """Return (question, person, place of the chosen face) of the newest votes, for estimates of reliability."""
        query = _votes(_stands(None)).where(Answer.project_id == project_id).order_by(Answer.id.desc()).limit(most)
        with self._read() as connection:
            return [(int(row[0]), int(row[1]), int(row[2])) for row in connection.execute(query)]

    def update_project(self, project_id: int, **values: Any) -> ProjectRow:
        """Change a project; its name, gallery, vectors and mode stay as they are. Questions queued already stay too."""
        wrong = set(values) - CHANGEABLE
        if wrong:
            raise WrongShape(f"a project's {', '.join(sorted(wrong))} cannot be changed")
        with self._write() as connection:
            if values:
                connection.execute(update(Project).where(Project.id == project_id).values(values))
            row = connection.execute(select(Project.__table__).where(Project.id == project_id)).mappings().one_or_none()
        if row is None:
            raise NotThere(f"there is no project {project_id}")
        return ProjectRow(**row)

    def _settled(self) -> int | None:
        return now_ms() - SETTLED_MS if self.engine.dialect.name == "postgresql" else None

    def _kept(self, connection: Connection, project_id: int) -> Tally:
        """Return the kept counts, or none where they hold no longer."""
        row = connection.execute(
            select(Counted.to_answer_id, Counted.content).where(Counted.project_id == project_id)
        ).one_or_none()
        nothing = Tally(deletions=_deletions(connection))
        if row is None or row.content.get("form") != FORM:
            return nothing
        kept = Tally.from_json(row.to_answer_id, row.content)
        people = {int(key[0]) for key, _ in kept.of("person")}
        good = kept.deletions == nothing.deletions and kept.left_out == _left_out(connection, people)
        return kept if good else nothing

    def _keep(self, project_id: int, tally: Tally) -> None:
        values = {
            "project_id": project_id, "to_answer_id": tally.to_answer_id, "content": tally.to_json(),
            "created_ms": now_ms(),
        }  # fmt: skip
        insert = self._insert(Counted).values(values)
        insert = insert.on_conflict_do_update(index_elements=["project_id"], set_=values)
        with self._write() as connection:
            connection.execute(insert)


def _end(connection: Connection, project_id: int, start: int, most: int, *, settled_before: int | None) -> int | None:
    """Return the id of the last answer of the next part, None when there is none."""
    later = select(Answer.id).where(Answer.project_id == project_id, Answer.id > start).order_by(Answer.id)
    if settled_before is not None:
        young = later.where(Answer.created_ms >= settled_before).limit(1)
        first = connection.scalar(young)
        if first is not None:
            later = later.where(Answer.id < first)
    last = connection.scalar(select(func.max(later.limit(most).subquery().c.id)))
    return int(last) if last is not None else None


def _newest_question(connection: Connection, start: int, *, settled_before: int | None = None) -> int:
    """Return up to which question, of whatever project, wanted answers can be counted."""
    if settled_before is not None:
        young = select(func.min(Triplet.id)).where(Triplet.id > start, Triplet.created_ms >= settled_before)
        first = connection.scalar(young)
        if first is not None:
            return int(first) - 1
    return max(start, connection.scalar(select(func.max(Triplet.id))) or 0)


def _wanted(connection: Connection, project_id: int, start: int, end: int) -> Counter[Key]:
    # Adding nothing keeps the database from reading all questions of the project for the few new ones.
    mine = Triplet.project_id + 0 == project_id
    query = select(Triplet.purpose, func.sum(Triplet.wanted)).where(mine, Triplet.id > start, Triplet.id <= end)
    rows = connection.execute(query.where(Triplet.wanted.is_not(None)).group_by(Triplet.purpose))
    return Counter({("wanted", purpose): int(total or 0) for purpose, total in rows})


def _change(connection: Connection, project_id: int, before: Tally, end: int, asked: int) -> Change:
    """Count what the answers after `before` up to `end` add, what they supersede, and questions up to `asked`."""
    if end == before.to_answer_id:
        return _change_of_questions(connection, project_id, before, asked)
    start = before.to_answer_id
    new = and_(Answer.project_id == project_id, Answer.id > start, Answer.id <= end)
    # Adding nothing makes the database look for the few that were superseded, not through all that came before.
    gone = and_(
        Answer.superseded_by_id > start, Answer.superseded_by_id <= end, Answer.project_id + 0 == project_id,
        Answer.id + 0 <= start, Answer.choice != "undo",
    )  # fmt: skip
    added, taken = (_single(connection, rows) for rows in (and_(new, _stands(end)), gone))
    asked_again = select(Answer.triplet_id).where(new)
    are_framed = framed.any_among(connection, asked_again)
    said = framed.said_to(connection, asked_again, _stands(end)) if are_framed else {}
    added.update(_compared(connection, asked_again, end))
    added.update(framed.compared(said))
    added.update(_wanted(connection, project_id, before.to_triplet_id, asked))
    if start:
        taken.update(_compared(connection, asked_again, start))
        if are_framed:
            taken.update(framed.compared(framed.said_to(connection, asked_again, _stands(start))))
    known = [hard.triplet_id for hard in before.hardest]
    touched = connection.scalars(select(Triplet.id).where(Triplet.id.in_(known), Triplet.id.in_(asked_again)))
    everybody = {int(key[0]) for counts in (before.counts, added) for key in _people(counts)}
    return Change(
        to_answer_id=end,
        to_triplet_id=asked,
        added=added,
        taken=taken,
        touched=frozenset(int(one) for one in touched),
        hardest=(*_hardest(connection, asked_again, end), *framed.disputed_ones(said)),
        deletions=before.deletions,
        left_out=_left_out(connection, everybody),
    )


def _change_of_questions(connection: Connection, project_id: int, before: Tally, asked: int) -> Change:
    return Change(
        to_answer_id=before.to_answer_id,
        to_triplet_id=asked,
        added=_wanted(connection, project_id, before.to_triplet_id, asked),
        taken=Counter(),
        touched=frozenset(),
        hardest=(),
        deletions=before.deletions,
        left_out=before.left_out,
    )


def _people(counts: Counter[Key]) -> list[Key]:
    return [key[1:] for key in counts if key[0] == "person"]


def _single(connection: Connection, rows: ColumnElement[bool]) -> Counter[Key]:
    """Count what each answer tells by itself: whose, when, how fast, on which side, right where that is known."""
    places = {
        f"{name} {place}": _times(_stood(mode, place))
        for name, mode in (("three", "odd_one_out"), ("two", "head_two"))
        for place in PLACES[name]
    }
    sums = {
        "answers": func.count(),
        "cannot_tell": _times(Answer.choice == "cannot_tell"),
        "gold": _times(_IS_GOLD),
        "gold_right": _times(and_(_IS_GOLD, _IS_RIGHT)),
        **places,
    }
    by_person = (
        select(Answer.annotator_id, Triplet.purpose, Assignment.counted, *sums.values())
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .where(rows)
        .group_by(Answer.annotator_id, Triplet.purpose, Assignment.counted)
    )
    found: Counter[Key] = Counter()
    for person, purpose, counted, *values in connection.execute(by_person):
        for name, value in zip(sums, values, strict=True):
            found["person", int(person), name] += int(value)
        if counted:
            found["given", purpose] += int(values[0])
    measured = select(Answer.annotator_id, _BUCKET, func.count()).where(rows, Answer.response_ms.is_not(None))
    for person, bucket, count in connection.execute(measured.group_by(Answer.annotator_id, _BUCKET)):
        found["speed", int(person), int(bucket)] += int(count)
    hour = Answer.created_ms // 3_600_000
    for when, count in connection.execute(select(hour, func.count()).where(rows).group_by(hour)):
        found["hour", int(when)] += int(count)
    found.update(framed.places_of_nine(connection, rows))
    return found


def _compared(connection: Connection, triplets: Select[int], newest: int) -> Counter[Key]:
    """Count what answers to some questions tell about each other, as they stood when `newest` was the newest."""
    votes = _votes(_stands(newest), mode="odd_one_out").where(Answer.triplet_id.in_(triplets)).subquery()
    three = [func.sum(_one(votes.c.chosen == face)).over(partition_by=votes.c.triplet_id) for face in (1, 2, 3)]
    told = select(votes.c.annotator_id, *(one.label(f"n{n}") for n, one in enumerate(three)), votes.c.chosen).subquery()
    found: Counter[Key] = Counter()
    for *key, count in connection.execute(select(*told.c, func.count()).group_by(*told.c)):
        found["vote", *map(int, key)] += int(count)
    for person, again, same in connection.execute(_repeats(triplets, newest)):
        found["person", int(person), "again"] += int(again)
        found["person", int(person), "same"] += int(same)
    return found


def _votes(stands: ColumnElement[bool], *, mode: str | None = None) -> Select[Any, *tuple[Any, ...]]:
    """Votes that are compared with others': a chosen face, the first time a person saw the question.

    Those of one mode, or of both in which one of three faces is named.
    """
    return (
        select(Answer.triplet_id, Answer.annotator_id, _CHOSEN.label("chosen"))
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Annotator, Annotator.id == Answer.annotator_id)
        .where(stands, Answer.choice == "face", Assignment.pass_number == 0)
        .where(Triplet.mode == mode if mode else Triplet.mode != "grid")
        .where(Annotator.role != "visitor", Annotator.state != "excluded")
    )


def _repeats(triplets: Select[int], newest: int) -> Select[Any, *tuple[Any, ...]]:
    """Per person: designed repeats whose first answer stands too, and how many were answered alike."""
    new, old = ([func.coalesce(face, 0) for face in (one.face_id, one.second_face_id)] for one in (Answer, OLDER))
    same = and_(
        Answer.choice == OLDER.choice,
        or_(and_(new[0] == old[0], new[1] == old[1]), and_(new[0] == old[1], new[1] == old[0])),
    )
    first = and_(
        AGAIN.triplet_id == Assignment.triplet_id, AGAIN.annotator_id == Assignment.annotator_id, AGAIN.pass_number == 0
    )
    return (
        select(Assignment.annotator_id, func.count(), _times(same))
        .join(AGAIN, first)
        .join(Answer, Answer.assignment_id == Assignment.id)
        .join(OLDER, OLDER.assignment_id == AGAIN.id)
        .where(Assignment.triplet_id.in_(triplets), Assignment.pass_number == 1)
        .where(_stands(newest), _stands(newest, OLDER))
        .group_by(Assignment.annotator_id)
    )


def _hardest(connection: Connection, triplets: Select[int], newest: int) -> tuple[Hard, ...]:
    votes = _votes(_stands(newest), mode="odd_one_out").where(Answer.triplet_id.in_(triplets)).subquery()
    one, two, three = (func.sum(_one(votes.c.chosen == face)) for face in (1, 2, 3))
    most = case((and_(one >= two, one >= three), one), (two >= three, two), else_=three)
    query = (
        select(votes.c.triplet_id, one, two, three)
        .group_by(votes.c.triplet_id)
        .having(func.count() >= 3)
        .order_by(most * 1.0 / func.count(), func.count().desc(), votes.c.triplet_id)
        .limit(HARDEST_KEPT)
    )
    rows = connection.execute(query)
    return tuple(Hard(int(number), (int(a), int(b), int(c))) for number, a, b, c in rows)


def _stands(newest: int | None, answer: Any = Answer) -> ColumnElement[bool]:
    """An answer that stood when `newest` was the newest, or stands now."""
    if newest is None:
        return and_(answer.superseded_by_id.is_(None), answer.choice != "undo")
    kept = or_(answer.superseded_by_id.is_(None), answer.superseded_by_id > newest)
    return and_(answer.id <= newest, kept, answer.choice != "undo")


def _deletions(connection: Connection) -> int:
    return connection.scalar(select(func.max(Deletion.id))) or 0


def _left_out(connection: Connection, people: set[int]) -> frozenset[int]:
    query = select(Annotator.id).where(or_(Annotator.role == "visitor", Annotator.state == "excluded"))
    return frozenset(int(one) for one in connection.scalars(query)) & people


def _one(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _times(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(_one(condition)), 0)


def _stood(mode: str, place: int) -> ColumnElement[bool]:
    """The chosen face of a question in this mode stood in this place of three; imported answers do not tell where."""
    sign = case((_CHOSEN == 1, "1"), (_CHOSEN == 2, "2"), else_="3")
    shown = func.substr(Assignment.display_order, place, 1) == sign
    return and_(Answer.choice == "face", Triplet.mode == mode, Assignment.purpose != "import", shown)


_CHOSEN = case((Answer.face_id == Triplet.face_1_id, 1), (Answer.face_id == Triplet.face_2_id, 2), else_=3)
_IS_GOLD = and_(
    Triplet.purpose.in_(["gold", "qualification"]), Triplet.gold_face_id.is_not(None), Answer.choice != "bad_picture"
)
_IS_RIGHT = or_(Answer.face_id == Triplet.gold_face_id, Answer.second_face_id == Triplet.gold_face_id)
_BUCKET = case(
    (Answer.response_ms < FINE_UNTIL_MS, Answer.response_ms // FINE_MS),
    (Answer.response_ms < COARSE_UNTIL_MS,
     FINE_UNTIL_MS // FINE_MS + (Answer.response_ms - FINE_UNTIL_MS) // COARSE_MS),
    else_=FINE_UNTIL_MS // FINE_MS + (COARSE_UNTIL_MS - FINE_UNTIL_MS) // COARSE_MS,
)  # fmt: skip
