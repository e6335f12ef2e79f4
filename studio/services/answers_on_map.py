"""What annotators and other networks say, drawn over the map: answers as lines, and faces that moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from db.agreement import votes_by_question
from models.errors import BadInput
from studio.services.atlas import Atlas, make_atlas
from studio.services.layouts import LayoutChoice, aligned, layout, place

if TYPE_CHECKING:
    from db.store import Store

MOST_LINES = 400
MOST_MOVED = 60
Kind = Literal["agrees", "contradicts", "moved"]


@dataclass(frozen=True)
class Line:
    """A line on the map, from one place to another."""

    start: tuple[float, float]
    end: tuple[float, float]
    kind: Kind


@dataclass(frozen=True, eq=False)
class Questions:
    """Answered questions whose three faces are on the map."""

    rows: NDArray[np.int64]
    """(questions, 3) rows of the atlas."""
    votes: NDArray[np.float64]
    """(questions, 3) how often each face was called the odd one."""


def questions_on(store: Store, atlas: Atlas) -> Questions:
    """Collect the answers of all projects about faces of this atlas."""
    rows, votes = [], []
    for project in store.projects():
        ballots = store.read_ballots(project.id)
        if not len(ballots):
            continue
        triplets, counted = votes_by_question(ballots)
        faces = {int(triplet): face for triplet, face in zip(ballots.triplet, ballots.faces, strict=True)}
        for triplet, count in zip(triplets.tolist(), counted, strict=True):
            found = np.searchsorted(atlas.ids, faces[triplet])
            inside = np.minimum(found, len(atlas) - 1)
            if (np.asarray(atlas.ids[inside]) == faces[triplet]).all() and count[:3].sum() > 0:
                rows.append(inside)
                votes.append(count[:3])
    if not rows:
        return Questions(np.zeros((0, 3), np.int64), np.zeros((0, 3)))
    return Questions(np.stack(rows).astype(np.int64), np.stack(votes).astype(np.float64))


def disagreement(store: Store, atlas: Atlas) -> NDArray[np.float32]:
    """Return for each face how far people disagree about it: one minus the share of the most frequent answer.

    The mean over its questions with at least two votes; NaN for faces without one.
    """
    asked = questions_on(store, atlas)
    total = asked.votes.sum(1)
    several = total >= 2
    split = 1 - asked.votes[several].max(1) / total[several]
    sums, counts = np.zeros(len(atlas)), np.zeros(len(atlas))
    for seat in range(3):
        np.add.at(sums, asked.rows[several][:, seat], split)
        np.add.at(counts, asked.rows[several][:, seat], 1)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, sums / counts, np.nan).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Answers:
    """Answered questions as lines, and how many there are beyond those that are drawn."""

    lines: list[Line]
    """At most MOST_LINES, evenly from first to last; contradictions last, so that they lie on top."""
    questions: int
    """Those on which people are not split evenly: of the others nobody can say who is alike."""
    contradicted: int


def answer_lines(store: Store, atlas: Atlas, choice: LayoutChoice) -> Answers:
    """Join the two faces that most people call alike; the line contradicts where the vectors say otherwise."""
    asked = questions_on(store, atlas)
    clear = (asked.votes == asked.votes.max(1, keepdims=True)).sum(1) == 1
    rows, odd = asked.rows[clear], asked.votes[clear].argmax(1)
    vectors = np.asarray(atlas.vectors[rows.ravel()], np.float64).reshape(*rows.shape, atlas.vectors.shape[1])
    gaps = np.linalg.norm(vectors[:, [1, 0, 0]] - vectors[:, [2, 2, 1]], axis=2)  # gap without face 0, 1, 2
    contradicts = gaps.argmin(1) != odd
    places = np.asarray(layout(atlas, choice))
    drawn = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_LINES)).round().astype(int))
    lines = []
    for number in drawn[np.argsort(contradicts[drawn], kind="stable")]:
        one, other = np.delete(rows[number], odd[number])
        kind: Kind = "contradicts" if contradicts[number] else "agrees"
        lines.append(Line(_pair(places[one]), _pair(places[other]), kind))
    return Answers(lines, len(rows), int(contradicts.sum()))


@dataclass(frozen=True, eq=False)
class Moves:
    """Faces that another network puts elsewhere."""

    lines: list[Line]
    face_ids: list[int]
    """The same faces, those that moved most first."""
    kept_neighbours: float
    """Mean share of the ten nearest faces that both networks agree on."""


def moves(store: Store, home: Path, atlas: Atlas, choice: LayoutChoice, *, other: str) -> Moves:
    """Join the places of faces with those that another network gives them, the furthest moves first.

    On the PCA map its vectors are turned, mirrored and scaled to fit these ones in all their dimensions and then shown
    from the same side; laying flat maps over each other would draw most faces to the middle. Other arrangements have no
    formula for new vectors, and vectors of another length have none of these dimensions: there the maps are laid over
    each other.
    """
    if other == atlas.backend:
        raise BadInput("Choose another network to compare with.")
    second = make_atlas(store, home, backend=other, gallery_ids=tuple(atlas.galleries))
    both, here, there = np.intersect1d(atlas.ids, second.ids, return_indices=True)
    if len(both) < 3:
        raise BadInput(f"{other} has read fewer than three of these faces.")
    places = np.asarray(layout(atlas, choice))[here]
    one, two = np.asarray(atlas.vectors[here]), np.asarray(second.vectors[there])
    if choice.method == "pca" and one.shape == two.shape:
        moved = place(atlas, choice, aligned(two, one))
    else:
        moved = aligned(np.asarray(layout(second, choice))[there], places)
    furthest = np.argsort(-np.linalg.norm(moved - places, axis=1), kind="stable")[:MOST_MOVED]
    lines = [Line(_pair(places[row]), _pair(moved[row]), "moved") for row in furthest.tolist()]
    return Moves(lines, [int(face_id) for face_id in both[furthest]], _kept(one, two))


def _kept(one: NDArray[np.float32], other: NDArray[np.float32], *, near: int = 10, most: int = 500) -> float:
    near = min(near, len(one) - 1)
    rows = np.random.default_rng(0).choice(len(one), min(most, len(one)), replace=False)
    first, second = _nearest_rows(one, rows, near), _nearest_rows(other, rows, near)
    return float(np.mean([len(set(a) & set(b)) / near for a, b in zip(first, second, strict=True)]))


def _nearest_rows(vectors: NDArray[np.float32], rows: NDArray[np.int64], near: int) -> list[list[int]]:
    score = (vectors**2).sum(1)[None] - 2 * vectors[rows] @ vectors.T
    score[np.arange(len(rows)), rows] = np.inf
    best: list[list[int]] = np.argsort(score, axis=1)[:, :near].tolist()
    return best


def _pair(place: Sequence[float] | NDArray[np.float32]) -> tuple[float, float]:
    return float(place[0]), float(place[1])
