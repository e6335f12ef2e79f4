"""Statistics over answers: how far people agree, with each other and with themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chisquare

from db.ballots import PURPOSE_NAMES, Ballots, Column

HASTY_MS = 600
CHOICES = 3
TURNS = 60
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
    """Chance of so uneven a use of left, middle and right if position did not matter."""
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

    Ties among the others count as 1/k. None where no question has three answers.
    """
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0))
    credit, judged = _agreement_with_others(chosen)
    if not judged.any():
        return None
    people = [float(credit[judged & (chosen.annotator == one)].mean()) for one in np.unique(chosen.annotator[judged])]
    return {"mean": float(credit[judged].mean()), "median": float(np.median(people)), "people": len(people)}


def dawid_skene(ballots: Ballots) -> dict[int, float]:
    """Return each person's chance of a right answer, by expectation maximisation over confusion matrices.

    Dawid and Skene, Applied Statistics 28 (1979). Questions with one answer tell little and are left out.
    """
    chosen = ballots.where((ballots.odd > 0) & (ballots.pass_number == 0))
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


def hardest(ballots: Ballots, *, count: int = 20, least: int = 3) -> list[tuple[int, tuple[int, int, int]]]:
    """Return the questions on which people disagree most, with their votes for face 1, 2 and 3."""
    asked, votes = votes_by_question(ballots)
    total = votes.sum(1)
    enough = np.flatnonzero(total >= least)
    share = votes[enough].max(1) / total[enough]
    order = enough[np.lexsort((-total[enough], share))][:count]
    return [(int(asked[place]), (int(votes[place, 0]), int(votes[place, 1]), int(votes[place, 2]))) for place in order]


def _person(
    name: int,
    mine: Ballots,
    credit: NDArray[np.float64],
    judged: NDArray[np.bool_],
    reliability: dict[int, float],
    same: dict[int, float],
) -> Person:
    gold = (mine.gold > 0) & np.isin(mine.purpose, GOLD) & (mine.odd >= 0)
    measured = mine.response_ms[mine.response_ms >= 0]
    used = np.bincount(mine.position[mine.position > 0], minlength=4)[1:4]
    return Person(
        annotator=name,
        answers=len(mine),
        gold=_mean((mine.odd == mine.gold)[gold]),
        consistency=same.get(name),
        median_ms=float(np.median(measured)) if len(measured) else None,
        hasty=_mean(measured < HASTY_MS),
        position_p=float(chisquare(used).pvalue) if used.sum() >= 15 else None,
        cannot_tell=float((mine.odd == 0).mean()),
        agreement=_mean(credit[judged]),
        reliability=reliability.get(name),
    )


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
    again = np.flatnonzero(ballots.pass_number == 1)
    keys = zip(ballots.triplet.tolist(), ballots.annotator.tolist(), ballots.pass_number.tolist(), strict=True)
    said = dict(zip(keys, ballots.odd.tolist(), strict=True)) if len(again) else {}
    alike: dict[int, list[bool]] = {}
    for place in again:
        triplet, annotator = int(ballots.triplet[place]), int(ballots.annotator[place])
        first = said.get((triplet, annotator, 0))
        if first is not None:
            alike.setdefault(annotator, []).append(first == int(ballots.odd[place]))
    return {annotator: float(np.mean(values)) for annotator, values in alike.items()}
