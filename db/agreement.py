"""Statistics over answers: how far people agree, with each other and with themselves.

Questions about three faces and those with a framed face are kept apart: by chance people agree in a third of the first
and in half of the others. An answer to nine faces is taken as its twelve comparisons of two, each counting a twelfth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from db.ballots import GRID, PAIRS, PURPOSE_NAMES, Ballots, Column

HASTY_MS = 600
CHOICES = 3
TURNS = 60
PLACES = {"three": (1, 2, 3), "two": (2, 3), "nine": tuple(range(2, 10))}
"""Where a chosen face may stand, by mode in the order of MODE_NAMES; a framed face stands first."""
LEAST_FOR_POSITION = 15
GOLD = (PURPOSE_NAMES.index("gold"), PURPOSE_NAMES.index("qualification"))


@dataclass(frozen=True)
class Person:
    """How one person answers; None where there is nothing to tell from."""

    annotator: int
    answers: int
    gold: float | None
    """Share of gold questions answered as most people do."""
    consistency: float | None
    """Share of designed repeats answered alike."""
    median_ms: float | None
    hasty: float | None
    """Share of measured answers under 600 ms."""
    position_p: float | None
    """Chance of so uneven a use of the places on the screen if they did not matter."""
    cannot_tell: float
    agreement: float | None
    """Share of answers that are what most others said."""
    reliability: float | None
    """Dawid and Skene's estimate: chance of a right answer."""


def votes_by_question(ballots: Ballots) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return question ids and (questions, 3) votes for each face; only chosen faces, only first passes."""
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0))
    asked, where = np.unique(chosen.triplet, return_inverse=True)
    votes = np.zeros((len(asked), CHOICES))
    np.add.at(votes, (where, chosen.odd - 1), 1)
    return asked, votes


def krippendorff_alpha(votes: NDArray[np.float64], *, times: NDArray[np.float64] | None = None) -> float | None:
    """Return nominal alpha of (questions, choices) votes: 1 agreement, 0 chance; None without a pair to compare.

    `times` (questions,) says how many questions each row stands for. Krippendorff, Computing Krippendorff's
    alpha-reliability (2011), section C: from the coincidences of choices.
    """
    enough = votes.sum(1) >= 2
    pairable, weight = votes[enough], _times(votes, times)[enough]
    if not len(pairable):
        return None
    raters = pairable.sum(1)
    total = (raters * weight).sum()
    observed = ((raters**2 - (pairable**2).sum(1)) / (raters - 1) * weight).sum() / total
    shares = (pairable * weight[:, None]).sum(0)
    expected = (total**2 - (shares**2).sum()) / (total * (total - 1))
    return float(1 - observed / expected) if expected > 0 else None


def strong_share(
    votes: NDArray[np.float64], *, least: int = 3, times: NDArray[np.float64] | None = None
) -> float | None:
    """Return the share of questions with at least `least` votes on which two thirds agree; `times` as above."""
    enough = votes.sum(1) >= least
    asked, weight = votes[enough], _times(votes, times)[enough]
    if not len(asked):
        return None
    return float(np.average(asked.max(1) >= asked.sum(1) * 2 / 3 - 1e-9, weights=weight))


def leave_one_out_ceiling(ballots: Ballots) -> dict[str, float | int] | None:
    """Return how often one person says what most of the others say: the mean, the median person, and of how many.

    Ties among the others count as 1/k. Three faces alone; None where no such question has three answers.
    """
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0) & (ballots.mode == 0))
    credit, judged = _agreement_with_others(chosen)
    if not judged.any():
        return None
    people = [float(credit[judged & (chosen.annotator == one)].mean()) for one in np.unique(chosen.annotator[judged])]
    return {"mean": float(credit[judged].mean()), "median": float(np.median(people)), "people": len(people)}


def dawid_skene(ballots: Ballots) -> dict[int, float]:
    """Return each person's chance of a right answer, by expectation maximisation over confusion matrices.

    Dawid and Skene, Applied Statistics 28 (1979). Questions with one answer tell little and are left out; those with
    nine faces too, because their twelve comparisons are not twelve opinions.
    """
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0) & (ballots.mode != GRID))
    return reliability(chosen.triplet, chosen.annotator, chosen.odd - 1)


def reliability(triplet: Column, annotator: Column, choice: Column) -> dict[int, float]:
    """Return what `dawid_skene` does for votes (n,) of question, person, and choice counted from 0."""
    if not len(triplet):
        return {}
    _, where, counts = np.unique(triplet, return_inverse=True, return_counts=True)
    shared = counts[where] > 1
    question = np.unique(where[shared], return_inverse=True)[1]
    names, person = np.unique(annotator[shared], return_inverse=True)
    said = choice[shared]
    if not len(said):
        return {}
    belief = _sums(question * CHOICES + said, np.ones(len(said)), question.max() + 1)
    belief /= belief.sum(1, keepdims=True)
    prior = 0.5 + np.eye(CHOICES)  # mild: people are not random
    for _ in range(TURNS):
        said_by = [_sums(person * CHOICES + said, belief[question, truth], len(names)) for truth in range(CHOICES)]
        confusion = np.stack(said_by, axis=1) + prior  # (people, truth, said)
        confusion /= confusion.sum(2, keepdims=True)
        logs = np.log(confusion)
        logits = np.log(belief.mean(0) + 1e-9) + np.stack(
            [np.bincount(question, logs[person, truth, said], len(belief)) for truth in range(CHOICES)], axis=1
        )
        belief = np.exp(logits - logits.max(1, keepdims=True))
        belief /= belief.sum(1, keepdims=True)
    right = np.einsum("pkk,k->p", confusion, belief.mean(0))
    return {int(name): float(value) for name, value in zip(names, right, strict=True)}


def framed_votes(ballots: Ballots) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (comparisons, 3) votes of questions with a framed face, and what each comparison counts."""
    framed = ballots.where(ballots.mode > 0)
    asked, votes = votes_by_question(framed)
    return votes, np.where(asked < 0, 1 / PAIRS, 1.0)


def position_chance(used: dict[str, NDArray[np.float64]]) -> float | None:
    """Return the p of even use of the places, by layout as in PLACES; None where too few were used.

    The chi-square statistics of the layouts are added up, and their degrees of freedom. Two faces chosen at once cannot
    stand in one place, which makes the test a little too lenient there.
    """
    enough = [counts for counts in used.values() if counts.sum() >= LEAST_FOR_POSITION]
    if not enough:
        return None
    total = sum(float(((counts - counts.mean()) ** 2 / counts.mean()).sum()) for counts in enough)
    return float(chdtrc(sum(len(counts) - 1 for counts in enough), total))


def people(ballots: Ballots) -> list[Person]:
    """Return how each person answers, those with most answers first."""
    credit, judged = _agreement_with_others(ballots)
    reliability = dawid_skene(ballots)
    same = _consistency(ballots)
    found = []
    for one in np.unique(ballots.annotator):
        mine = ballots.annotator == one
        found.append(_person(int(one), ballots.where(mine), credit[mine], judged[mine], reliability, same))
    return sorted(found, key=lambda person: -person.answers)


def hardest(ballots: Ballots, *, count: int = 20, least: int = 3) -> list[tuple[int, tuple[int, ...]]]:
    """Return the questions on which people disagree most, with how often face 1, 2, 3 (to 9) was chosen."""
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0))
    grid = chosen.mode == GRID
    face = np.where(chosen.mode == 0, chosen.odd, 5 - chosen.odd)
    pair = -chosen.triplet % 100
    face = np.where(grid, np.where(chosen.odd == 3, pair // 10, pair % 10) + 1, face)
    found = []
    for question, first in zip(*np.unique(chosen.question, return_index=True), strict=True):
        mine = chosen.question == question
        counts = np.bincount(face[mine], chosen.worth[mine] * np.where(grid[mine], 2, 1), 10 if grid[first] else 4)
        votes = tuple(round(float(value)) for value in counts[1:])
        if sum(votes) >= least * (2 if grid[first] else 1):
            found.append((disputed(int(question), votes), votes))
    return [(order[2], votes) for order, votes in sorted(found)[:count]]


def disputed(question: int, votes: tuple[int, ...]) -> tuple[float, int, int]:
    """Return what sorts the most disputed question first: the share of the most chosen, then how many chose.

    Of nine faces two are chosen by each, and the share is that of the two most chosen.
    """
    picks = 1 if len(votes) == CHOICES else 2
    return sum(sorted(votes)[-picks:]) / sum(votes), -sum(votes) // picks, question


def _person(
    name: int,
    mine: Ballots,
    credit: NDArray[np.float64],
    judged: NDArray[np.bool_],
    reliability: dict[int, float],
    same: dict[int, float],
) -> Person:
    gold = mine.where((mine.gold > 0) & np.isin(mine.purpose, GOLD) & (mine.odd >= 0))
    wrong = set(gold.answer[gold.odd != gold.gold].tolist())
    known = np.unique(gold.answer)
    once = mine.where(mine.firsts)
    measured = once.response_ms[once.response_ms >= 0]
    return Person(
        annotator=name,
        answers=len(once),
        gold=_mean(np.array([answer not in wrong for answer in known.tolist()], bool)),
        consistency=same.get(name),
        median_ms=float(np.median(measured)) if len(measured) else None,
        hasty=_mean(measured < HASTY_MS),
        position_p=position_chance(_places_used(mine)),
        cannot_tell=float((once.odd == 0).mean()),
        agreement=float(np.average(credit[judged], weights=mine.worth[judged])) if judged.any() else None,
        reliability=reliability.get(name),
    )


def _places_used(mine: Ballots) -> dict[str, NDArray[np.float64]]:
    used = {}
    for number, (name, places) in enumerate(PLACES.items()):
        shown = (mine.mode == number) & (mine.position > 0)
        counts = np.bincount(mine.position[shown], minlength=places[-1] + 1).astype(np.float64)
        used[name] = counts[places[0] : places[-1] + 1] / (PAIRS // 2 if number == GRID else 1)
    return used


def _sums(place: Column, weight: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    summed: NDArray[np.float64] = np.asarray(np.bincount(place, weight, rows * CHOICES), np.float64)
    return summed.reshape(rows, CHOICES)


def _times(votes: NDArray[np.float64], times: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return np.ones(len(votes)) if times is None else times


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _agreement_with_others(ballots: Ballots) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return per answer how far it is what most others say (1/k where k choices share most), and whether it is told.

    Told are answers that chose a face on their first pass and that at least two others answered too.
    """
    chosen = (ballots.odd > 0) & (ballots.pass_number == 0)
    credit, judged = np.zeros(len(ballots)), np.zeros(len(ballots), bool)
    asked, votes = votes_by_question(ballots)
    if not len(asked):
        return credit, judged
    rows = np.flatnonzero(chosen)
    others = votes[np.searchsorted(asked, ballots.triplet[rows])].copy()
    own = (np.arange(len(rows)), ballots.odd[rows] - 1)
    others[own] -= 1
    top = others == others.max(1, keepdims=True)
    credit[rows] = top[own] / top.sum(1)
    judged[rows] = others.sum(1) >= 2
    return credit, judged


def _consistency(ballots: Ballots) -> dict[int, float]:
    """Return per person the share of designed repeats answered as the first time."""
    repeated = ballots.where(np.isin(ballots.question, np.unique(ballots.question[ballots.pass_number == 1])))
    said: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
    keys = (repeated.question, repeated.annotator, repeated.pass_number, repeated.triplet, repeated.odd)
    for question, annotator, number, triplet, odd in zip(*(column.tolist() for column in keys), strict=True):
        said.setdefault((question, annotator, number), set()).add((triplet, odd))
    alike: dict[int, list[bool]] = {}
    for (question, annotator, number), words in said.items():
        if number == 1 and (question, annotator, 0) in said:
            alike.setdefault(annotator, []).append(said[question, annotator, 0] == words)
    return {annotator: float(np.mean(values)) for annotator, values in alike.items()}
