"""Answers as columns, for statistics and training.

A question in mode grid becomes twelve: each of the two chosen faces is more like the head than each of the other six.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Text, case, cast, func, select

from db.compare_schema import Annotator, Answer, Assignment, Candidate, Triplet
from db.connected import Connected
from db.types import AdjudicationRow

Column = NDArray[np.int64]
KIND_NAMES = ("one_class", "two_class", "three_class", "unknown")
PURPOSE_NAMES = ("train", "evaluation", "gold", "qualification")
MODE_NAMES = ("odd_one_out", "head_two", "grid")
HEAD_TWO, GRID = MODE_NAMES.index("head_two"), MODE_NAMES.index("grid")
PAIRS = 12
"""Comparisons that an answer to nine faces stands for; each of the two chosen faces is in six."""
BATCH = 100_000
FACES = ("face_1", "face_2", "face_3")
CHOICE_NUMBERS = {"face": 1, "cannot_tell": 0, "bad_picture": -1}


@dataclass(frozen=True, eq=False)
class Ballots:
    """Standing answers, one place per answer in every column, oldest first; one in mode grid takes twelve places."""

    answer: Column
    triplet: Column
    """The question; below zero for one of the twelve that a question in mode grid stands for.

    Its last two digits are the places of the two faces compared, counted from the framed one, which is 0.
    """
    annotator: Column
    odd: Column
    """1, 2 or 3: the odd face of the triplet; 0 can't tell; -1 bad picture."""
    gold: Column
    """1, 2 or 3 where the right answer is known, else 0."""
    position: Column
    """1, 2 or 3: where on the screen the chosen face stood; 0 when none was chosen. In mode grid 2 to 9."""
    purpose: Column
    """Place in PURPOSE_NAMES."""
    pass_number: Column
    kind: Column
    """Place in KIND_NAMES."""
    response_ms: Column
    """-1 when it was not measured."""
    created_ms: Column
    mode: Column
    """Place in MODE_NAMES; after the first, face 1 is a head that cannot be the odd one."""
    faces: Column
    """(answers, 3) face ids in the order of the triplet."""

    def __len__(self) -> int:
        return len(self.answer)

    def where(self, keep: NDArray[np.bool_]) -> Ballots:
        """Return the answers for which `keep` is true."""
        return Ballots(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})

    @property
    def firsts(self) -> NDArray[np.bool_]:
        """True once per answer: at the only place of most, at the first of twelve."""
        return np.r_[True, self.answer[1:] != self.answer[:-1]] if len(self) else np.zeros(0, bool)

    @property
    def question(self) -> Column:
        """The question that was asked; the same for all twelve that one in mode grid stands for."""
        return np.where(self.triplet < 0, -self.triplet // 100, self.triplet)

    @property
    def worth(self) -> NDArray[np.float64]:
        """What a place counts: the twelve of one answer make one."""
        return np.where(self.triplet < 0, 1 / PAIRS, 1.0)


class BallotBox(Connected):
    """The part of the store that counts."""

    def read_ballots(
        self,
        project_id: int,
        *,
        cutoff: int | None = None,
        visitors: bool = False,
        decided: Mapping[int, AdjudicationRow] | None = None,
    ) -> Ballots:
        """Return the answers that stood when `cutoff` was the newest answer; now without it.

        Visitors and people who were excluded are left out unless asked for. `decided` replaces what people said to
        training questions by what admins decided about them; what people said to evaluation questions stays.
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
            table = _table(connection, query)
            grids = np.unique(table["triplet"][table["mode"] == GRID])
            candidates = _candidates(connection, project_id) if len(grids) else {}
        _put_decisions(table, decided or {})
        return _ballots_of(table, candidates)


def _table(connection: Connection, query: Select[Any]) -> dict[str, Column]:
    """Return whole-number columns by name; the database joins each into one text, which is the quickest way over."""
    names = [column.name for column in query.selected_columns]
    parts: dict[str, list[Column]] = {name: [np.zeros(0, np.int64)] for name in names}
    after = 0
    while True:
        batch = query.where(Answer.id > after).order_by(Answer.id).limit(BATCH).subquery()
        joined = [func.aggregate_strings(cast(batch.c[name], Text), ",") for name in names]
        row = connection.execute(select(*joined)).one()
        if row[0] is None:
            break
        for name, words in zip(names, row, strict=True):
            parts[name].append(np.fromstring(words, np.int64, sep=","))
        newest = parts[names[0]][-1]
        after = int(newest.max())
        if len(newest) < BATCH:
            break
    table = {name: np.concatenate(columns) for name, columns in parts.items()}
    order = np.argsort(table["answer"], kind="stable")
    return {name: column[order] for name, column in table.items()}


def _put_decisions(table: dict[str, Column], decided: Mapping[int, AdjudicationRow]) -> None:
    """Let everybody who answered a training question say what was decided about it."""
    may = table["purpose"] == PURPOSE_NAMES.index("train")
    for row in decided.values():
        theirs = may & (table["triplet"] == row.triplet_id)
        table["choice"][theirs] = CHOICE_NUMBERS[row.choice]
        table["chosen"][theirs] = row.face_id or 0
        table["second"][theirs] = row.second_face_id or 0


def _candidates(connection: Connection, project_id: int) -> dict[int, list[int]]:
    """Return the further faces of every question in mode grid, in their places."""
    query = (
        select(Candidate.triplet_id, Candidate.face_id)
        .join(Triplet, Triplet.id == Candidate.triplet_id)
        .where(Triplet.project_id == project_id)
        .order_by(Candidate.triplet_id, Candidate.place)
    )
    found: dict[int, list[int]] = {}
    for triplet_id, face_id in connection.execute(query):
        found.setdefault(int(triplet_id), []).append(int(face_id))
    return found


def _ballots_of(table: dict[str, Column], candidates: dict[int, list[int]]) -> Ballots:
    faces = np.stack([table[name] for name in FACES], axis=1)
    chosen = _place(table["chosen"], faces)
    gold = _place(table["gold_face"], faces)
    columns = {name: table[name] for name in Ballots.__dataclass_fields__ if name in table}
    columns |= {"faces": faces, "position": _position(chosen, table["order"])}
    # With a head people choose the face most like it, so the odd one is the other of two.
    with_head = table["mode"] != MODE_NAMES.index("odd_one_out")
    columns["odd"] = np.where(table["choice"] < 1, table["choice"], np.where(with_head, 5 - chosen, chosen))
    columns["gold"] = np.where(with_head & (gold > 0), 5 - gold, gold)
    chose_two = (table["mode"] == GRID) & (table["choice"] == 1)
    if not chose_two.any():
        return Ballots(**columns)
    rows = [_twelve(table, place, candidates) for place in np.flatnonzero(chose_two).tolist()]
    once = Ballots(**columns).where(~chose_two)
    derived = {name: np.concatenate([row[name] for row in rows]) for name in columns}
    both = {name: np.concatenate([getattr(once, name), derived[name]]) for name in columns}
    order = np.argsort(both["answer"], kind="stable")
    return Ballots(**{name: column[order] for name, column in both.items()})


def _twelve(table: dict[str, Column], row: int, candidates: dict[int, list[int]]) -> dict[str, Column]:
    """Return the questions that one answer to nine faces stands for: head, then the two compared, by their places."""
    triplet = int(table["triplet"][row])
    nine = np.array([*(table[name][row] for name in FACES), *candidates[triplet]])
    chosen = [int(np.flatnonzero(nine == table[name][row])[0]) for name in ("chosen", "second")]
    others = [place for place in range(1, len(nine)) if place not in chosen]
    pairs = np.array([(min(a, b), max(a, b), int(a < b)) for a in chosen for b in others])
    count = len(pairs)
    order = str(int(table["order"][row]))
    columns = {name: np.repeat(table[name][row], count) for name in Ballots.__dataclass_fields__ if name in table}
    gold = int(table["gold_face"][row])
    return columns | {
        "triplet": -(triplet * 100 + pairs[:, 0] * 10 + pairs[:, 1]),
        "odd": 2 + pairs[:, 2],
        "gold": np.where(nine[pairs[:, 0]] == gold, 3, np.where(nine[pairs[:, 1]] == gold, 2, 0)),
        "position": np.repeat([order.index(str(place + 1)) + 1 for place in chosen], len(others)),
        "faces": np.stack([np.repeat(nine[0], count), nine[pairs[:, 0]], nine[pairs[:, 1]]], axis=1),
    }


def _place(face: Column, faces: Column) -> Column:
    """Return 1, 2 or 3: which of the faces (n, 3) it is; 0 when it is none."""
    same = faces == face[:, None]
    return np.where(same.any(1), same.argmax(1) + 1, 0)


def _position(chosen: Column, order: Column) -> Column:
    """Return where the chosen face stood; `order` is 312 when face 3 stood left. 0 when none of three was chosen."""
    shown = np.stack([order // 100 % 10, order // 10 % 10, order % 10], axis=1)
    return np.where((chosen > 0) & (order < 1000), (shown == chosen[:, None]).argmax(1) + 1, 0)


def _ballots(project_id: int) -> Select[Any]:
    choice = case((Answer.choice == "face", 1), (Answer.choice == "cannot_tell", 0), else_=-1)
    columns = {
        "answer": Answer.id,
        "triplet": Answer.triplet_id,
        "annotator": Answer.annotator_id,
        "choice": choice,
        "chosen": func.coalesce(Answer.face_id, 0),
        "second": func.coalesce(Answer.second_face_id, 0),
        "gold_face": func.coalesce(Triplet.gold_face_id, 0),
        "order": Assignment.display_order,
        "purpose": _number(Triplet.purpose, PURPOSE_NAMES),
        "pass_number": Assignment.pass_number,
        "kind": _number(Triplet.kind, KIND_NAMES),
        "mode": _number(Triplet.mode, MODE_NAMES),
        "response_ms": func.coalesce(Answer.response_ms, -1),
        "created_ms": Answer.created_ms,
        "face_1": Triplet.face_1_id,
        "face_2": Triplet.face_2_id,
        "face_3": Triplet.face_3_id,
    }
    return (
        select(*(column.label(name) for name, column in columns.items()))
        .join(Triplet, Triplet.id == Answer.triplet_id)
        .join(Assignment, Assignment.id == Answer.assignment_id)
        .join(Annotator, Annotator.id == Answer.annotator_id)
        .where(Answer.project_id == project_id, Answer.choice != "undo")
    )


def _number(column: Any, names: tuple[str, ...]) -> Any:
    return case(*((column == name, place) for place, name in enumerate(names)), else_=0)
