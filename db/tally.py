"""Answers added up: counts that answers can be added to and taken from, and the figures that follow from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from db.agreement import HASTY_MS, PLACES, Person, disputed, krippendorff_alpha, position_chance, strong_share
from db.ballots import PAIRS

Key = tuple[str | int, ...]
"""Its first word says what is counted: person, speed, hour, given, wanted, vote, or framed, which is in twelfths."""
FINE_MS, COARSE_MS, FINE_UNTIL_MS, COARSE_UNTIL_MS = 50, 500, 5_000, 60_000
HARDEST_KEPT = 300
FORM = 2
"""Raised when what is counted changes: kept counts of another form are made anew."""


@dataclass(frozen=True)
class Hard:
    """A question and how often face 1, 2, 3, in mode grid to 9, was chosen."""

    triplet_id: int
    votes: tuple[int, ...]

    @property
    def order(self) -> tuple[float, int, int]:
        """Sorts the most disputed first, then the one with most votes."""
        return disputed(self.triplet_id, self.votes)


@dataclass(frozen=True, eq=False)
class Tally:
    """The answers of a project as they stood when `to_answer_id` was the newest."""

    to_answer_id: int = 0
    to_triplet_id: int = 0
    """The newest question whose wanted answers are counted."""
    counts: Counter[Key] = field(default_factory=Counter)
    hardest: tuple[Hard, ...] = ()
    """The most disputed questions with three votes or more."""
    deletions: int = 0
    """The newest deletion that was known; a later one makes the counts worthless."""
    left_out: frozenset[int] = frozenset()
    """People with answers here whose votes are not compared with others': visitors and those excluded."""

    def plus(self, change: Change) -> Tally:
        """Return the counts after a change."""
        counts = Counter(self.counts)
        counts.update(change.added)
        counts.subtract(change.taken)
        kept = [hard for hard in self.hardest if hard.triplet_id not in change.touched]
        hardest = sorted([*kept, *change.hardest], key=lambda hard: hard.order)[:HARDEST_KEPT]
        return Tally(
            to_answer_id=change.to_answer_id,
            to_triplet_id=change.to_triplet_id,
            counts=Counter({key: count for key, count in counts.items() if count}),
            hardest=tuple(hardest),
            deletions=change.deletions,
            left_out=change.left_out,
        )

    def of(self, what: str) -> Iterator[tuple[Key, int]]:
        """Yield what was counted of one sort, without its first word."""
        for key, count in self.counts.items():
            if key[0] == what:
                yield key[1:], count

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "form": FORM,
            "counts": [[*key, count] for key, count in self.counts.items()],
            "hardest": [[hard.triplet_id, *hard.votes] for hard in self.hardest],
            "to_triplet_id": self.to_triplet_id,
            "deletions": self.deletions,
            "left_out": sorted(self.left_out),
        }

    @classmethod
    def from_json(cls, to_answer_id: int, content: Mapping[str, Any]) -> Tally:
        """Return what `to_json` kept."""
        return cls(
            to_answer_id=to_answer_id,
            to_triplet_id=content["to_triplet_id"],
            counts=Counter({tuple(key): count for *key, count in content["counts"]}),
            hardest=tuple(Hard(number, tuple(votes)) for number, *votes in content["hardest"]),
            deletions=content["deletions"],
            left_out=frozenset(content["left_out"]),
        )


@dataclass(frozen=True, eq=False)
class Change:
    """What some further answers do to a tally; a change of mind takes the earlier answer out again."""

    to_answer_id: int
    to_triplet_id: int
    added: Counter[Key]
    taken: Counter[Key]
    touched: frozenset[int]
    """Those of the hardest questions that were answered again."""
    hardest: tuple[Hard, ...]
    deletions: int
    left_out: frozenset[int]


@dataclass(frozen=True)
class Agreement:
    """How far people agree in a project, about three faces if not said otherwise; None where nothing tells."""

    alpha: float | None
    strong: float | None
    ceiling: float | None
    """How often one person says what most of the others say."""
    median_person: float | None
    people: int
    questions: int
    """Questions that two people or more answered by choosing a face."""
    framed_alpha: float | None = None
    """Of comparisons with a framed face; one answer to nine faces stands for twelve of them, a twelfth each."""
    framed_strong: float | None = None


def bucket_of(response_ms: int) -> int:
    """Return in which step of 50 ms, later of half a second, a response time lies; SQL in db.team counts alike."""
    if response_ms < FINE_UNTIL_MS:
        return response_ms // FINE_MS
    return FINE_UNTIL_MS // FINE_MS + (min(response_ms, COARSE_UNTIL_MS) - FINE_UNTIL_MS) // COARSE_MS


def agreement_of(tally: Tally) -> Agreement:
    """Return the figures of a whole project."""
    votes, times = _patterns(tally, "vote", choices=3)
    framed, worth = _patterns(tally, "framed", choices=2)
    told = [(credit / judged, judged) for credit, judged in _credits(tally, "vote").values() if judged]
    judged = sum(count for _, count in told)
    return Agreement(
        alpha=krippendorff_alpha(votes, times=times),
        strong=strong_share(votes, times=times),
        ceiling=sum(share * count for share, count in told) / judged if judged else None,
        median_person=float(np.median([share for share, _ in told])) if told else None,
        people=len(told),
        questions=round(float(times[votes.sum(1) >= 2].sum())) if len(votes) else 0,
        framed_alpha=krippendorff_alpha(framed, times=worth / PAIRS),
        framed_strong=strong_share(framed, times=worth / PAIRS),
    )


def people_of(tally: Tally) -> list[Person]:
    """Return how each person answers, those with most answers first; reliability needs the answers themselves."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for (person, name), count in tally.of("person"):
        counts[int(person)][str(name)] += count
    speeds: dict[int, Counter[int]] = defaultdict(Counter)
    for (person, bucket), count in tally.of("speed"):
        speeds[int(person)][int(bucket)] += count
    told = _told_of_all(tally)
    found = [_person(one, mine, speeds[one], told.get(one, (0.0, 0))) for one, mine in counts.items()]
    return sorted(
        (person for person in found if person.answers), key=lambda person: (-person.answers, person.annotator)
    )


def hours_of(tally: Tally) -> list[tuple[int, int]]:
    """Return (hour since 1970, answers) in order; answers whose time is not known are left out."""
    return sorted((int(hour), count) for (hour,), count in tally.of("hour") if int(hour) > 0)


def progress_of(tally: Tally) -> dict[str, tuple[int, int]]:
    """Return by purpose how many answers the queue has got, and how many it asks for; where it asks for any.

    Answers of visitors, to gold questions and to repeats do not count.
    """
    given = {str(purpose): count for (purpose,), count in tally.of("given")}
    return {str(purpose): (given.get(str(purpose), 0), count) for (purpose,), count in tally.of("wanted")}


def answers_of(tally: Tally) -> int:
    """Return how many answers stand."""
    return sum(count for (_, name), count in tally.of("person") if name == "answers")


def _told_of_all(tally: Tally) -> dict[int, tuple[float, int]]:
    """Return credits and judged answers per person over all questions, in twelfths."""
    three, framed = _credits(tally, "vote"), _credits(tally, "framed")
    nothing = (0.0, 0)
    return {
        one: (
            PAIRS * three.get(one, nothing)[0] + framed.get(one, nothing)[0],
            PAIRS * three.get(one, nothing)[1] + framed.get(one, nothing)[1],
        )
        for one in {*three, *framed}
    }


def _person(name: int, mine: Counter[str], speeds: Counter[int], told: tuple[float, int]) -> Person:
    measured = sum(speeds.values())
    used = {
        layout: np.array([mine[f"{layout} {place}"] for place in places], np.float64)
        for layout, places in PLACES.items()
    }
    credit, judged = told
    return Person(
        annotator=name,
        answers=mine["answers"],
        gold=mine["gold_right"] / mine["gold"] if mine["gold"] else None,
        consistency=mine["same"] / mine["again"] if mine["again"] else None,
        median_ms=_median(speeds) if measured else None,
        hasty=sum(n for bucket, n in speeds.items() if bucket < HASTY_MS // FINE_MS) / measured if measured else None,
        position_p=position_chance(used),
        cannot_tell=mine["cannot_tell"] / mine["answers"] if mine["answers"] else 0.0,
        agreement=credit / judged if judged else None,
        reliability=None,
    )


def _median(speeds: Counter[int]) -> float:
    """Return the median in ms, as if times were spread evenly within a step."""
    half, before = sum(speeds.values()) / 2, 0
    for bucket in sorted(speeds):
        if before + speeds[bucket] >= half:
            low, high = _bounds(bucket)
            return low + (high - low) * (half - before) / speeds[bucket]
        before += speeds[bucket]
    return 0.0


def _bounds(bucket: int) -> tuple[float, float]:
    fine = FINE_UNTIL_MS // FINE_MS
    if bucket < fine:
        return bucket * FINE_MS, (bucket + 1) * FINE_MS
    return FINE_UNTIL_MS + (bucket - fine) * COARSE_MS, FINE_UNTIL_MS + (bucket - fine + 1) * COARSE_MS


def _patterns(
    tally: Tally, what: str, *, choices: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return (patterns, choices) votes and (patterns,) how many questions have them."""
    given: Counter[tuple[int, ...]] = Counter()
    for (_, *said, _), count in tally.of(what):
        given[tuple(int(one) for one in said)] += count
    votes = np.array(list(given), np.float64).reshape(-1, choices)
    return votes, np.array(list(given.values()), np.float64) / np.maximum(votes.sum(1), 1)


def _credits(tally: Tally, what: str) -> dict[int, tuple[float, int]]:
    """Return per person the credit for saying what most others say, 1/k at a tie, over how many answers.

    Told are answers to questions that at least two others answered too.
    """
    found: dict[int, tuple[float, int]] = {}
    for (person, *said, chosen), count in tally.of(what):
        others = [int(one) for one in said]
        others[int(chosen) - 1] -= 1
        if sum(others) < 2:
            continue
        top = max(others)
        credit, judged = found.get(int(person), (0.0, 0))
        share = 1 / others.count(top) if others[int(chosen) - 1] == top else 0.0
        found[int(person)] = credit + share * count, judged + count
    return found
