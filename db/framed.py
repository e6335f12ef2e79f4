"""Questions with a framed face, added up: two faces are compared with it, or eight of which two are chosen.

An answer about eight faces stands for twelve comparisons of two: each chosen face against each of the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import product

from sqlalchemy import ColumnElement, Connection, Select, select

from db.ballots import PAIRS
from db.compare_schema import Annotator, Answer, Assignment, Candidate, Triplet
from db.tally import Hard, Key

LEAST_PEOPLE = 3


@dataclass
class Said:
    """What people chose of one question."""

    faces: list[int]
    """The framed one first."""
    chosen: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    """Person, and the places of the one or two faces they chose, from 2."""


def any_among(connection: Connection, triplets: Select[int]) -> bool:
    """Tell whether any of these questions has a framed face."""
    query = select(Triplet.id).where(Triplet.id.in_(triplets), Triplet.mode != "odd_one_out").limit(1)
    return connection.execute(query).one_or_none() is not None


def said_to(connection: Connection, triplets: Select[int], stands: ColumnElement[bool]) -> dict[int, Said]:
    """Return by question what stands of what people chose on first sight; visitors and those excluded are left out."""
    three = (Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id)
    query = (
        select(Answer.triplet_id, Answer.annotator_id, Answer.face_id, Answer.second_face_id, *three)
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Annotator, Annotator.id == Answer.annotator_id)
        .where(stands, Answer.choice == "face", Assignment.pass_number == 0, Triplet.mode != "odd_one_out")
        .where(Annotator.role != "visitor", Annotator.state != "excluded", Answer.triplet_id.in_(triplets))
    )
    rows = connection.execute(query).all()
    further = _further(connection, triplets) if rows else {}
    found: dict[int, Said] = {}
    for question, person, one, two, *faces in rows:
        said = found.setdefault(int(question), Said([*map(int, faces), *further.get(int(question), ())]))
        chosen = frozenset(said.faces.index(int(face)) + 1 for face in (one, two) if face is not None)
        said.chosen.append((int(person), chosen))
    return found


def compared(questions: dict[int, Said]) -> Counter[Key]:
    """Count by person what they and all said to each comparison of two, in twelfths of an answer."""
    found: Counter[Key] = Counter()
    for said in questions.values():
        places = range(2, len(said.faces) + 1)
        own = [(person, _pairs(chosen, [one for one in places if one not in chosen])) for person, chosen in said.chosen]
        votes: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        for _, pairs in own:
            for pair, side in pairs:
                votes[pair][side - 1] += 1
        for person, pairs in own:
            for pair, side in pairs:
                found["framed", person, *votes[pair], side] += PAIRS // len(pairs)
    return found


def disputed_ones(questions: dict[int, Said]) -> list[Hard]:
    """Return the questions that three people or more answered, with how often each face was chosen."""
    found = []
    for question, said in questions.items():
        if len(said.chosen) >= LEAST_PEOPLE:
            counts = Counter(place for _, chosen in said.chosen for place in chosen)
            found.append(Hard(question, tuple(counts[place] for place in range(1, len(said.faces) + 1))))
    return found


def places_of_nine(connection: Connection, rows: ColumnElement[bool]) -> Counter[Key]:
    """Count where on the screen the two chosen of eight faces stood; imported answers do not tell."""
    if connection.execute(select(Candidate.triplet_id).limit(1)).one_or_none() is None:
        return Counter()
    three = (Triplet.face_1_id, Triplet.face_2_id, Triplet.face_3_id)
    mine = (rows, Answer.choice == "face", Triplet.mode == "grid")
    query = (
        select(Answer.triplet_id, Answer.annotator_id, Assignment.display_order, Answer.face_id, Answer.second_face_id)
        .add_columns(*three)
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .where(*mine, Assignment.purpose != "import")
    )
    asked = select(Answer.triplet_id).join(Triplet, Triplet.id == Answer.triplet_id).where(*mine)
    further = _further(connection, asked)
    found: Counter[Key] = Counter()
    for question, person, order, one, two, *faces in connection.execute(query):
        nine = [*map(int, faces), *further.get(int(question), ())]
        for face in (one, two):
            found["person", int(person), f"nine {order.index(str(nine.index(int(face)) + 1)) + 1}"] += 1
    return found


def _pairs(chosen: frozenset[int], others: list[int]) -> list[tuple[tuple[int, int], int]]:
    """Return each comparison by its places in order, and which of the two is more like the framed face: 1 or 2."""
    return [((min(a, b), max(a, b)), 1 if a < b else 2) for a, b in product(sorted(chosen), others)]


def _further(connection: Connection, triplets: Select[int]) -> dict[int, list[int]]:
    query = select(Candidate.triplet_id, Candidate.face_id).where(Candidate.triplet_id.in_(triplets))
    found: dict[int, list[int]] = {}
    for triplet_id, face_id in connection.execute(query.order_by(Candidate.triplet_id, Candidate.place)):
        found.setdefault(int(triplet_id), []).append(int(face_id))
    return found
