"""Does annotating pay? Simulated people answer in a real store, and the real fine-tuning learns from them.

Their answers follow a hidden, distorted metric on the gallery's vectors: people weigh weak directions more than the
network does (by the square root of how little it varies there), and mix and stretch all of them at random. Because the
metric is known, what was learned is also judged by it on thousands of questions about kept-out faces, without noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.store import Store
from db.types import NewAnswer, NewProject, ProjectRow, Question
from models.triplets import pair_distances
from studio.services import compare, finetuning
from studio.services.tuned import load_head

CONSISTENT = 0.89
"""How often a simulated person says what the hidden metric says; else one of the other two."""
PEOPLE = 12
DIRECTIONS, EVENNESS, STRETCH = 8, 0.5, 0.6
ROUND = 500
AT_ONCE = 5
TRUTHS = 6000
"""Questions about kept-out faces that the hidden metric itself answers."""


@dataclass(frozen=True)
class Outcome:
    """What an amount of answers was worth."""

    seed: int
    answers: int
    sampler: str
    base: float
    """Accuracy on the questions about kept-out faces that people answered, as a fine-tuning reports it."""
    tuned: float | None
    in_use: float
    """Accuracy of the vectors in use after the decision."""
    interval: tuple[float, float] | None
    """95 %, clustered by face, of the tuned vectors; of the base where nothing was fitted."""
    promoted: bool
    better: float
    true_base: float
    """Accuracy against the hidden metric, over thousands of questions about kept-out faces."""
    true_tuned: float | None
    head: str | None
    ceiling: float | None
    note: str | None


@dataclass(frozen=True)
class Worth:
    """What an amount of answers was worth over several seeds, however the questions were chosen."""

    sampler: str
    answers: int
    seeds: int
    base: float
    learned: float
    """True accuracy of what was learned, the untouched vectors where nothing was; mean over seeds."""
    error: float
    """Standard error of the gain over the untouched vectors."""
    against_first: float
    """How much more was learned than with the first sampler, seed by seed; 0 for the first itself."""
    against_first_error: float
    promoted: int
    promoted_worse: int
    """Seeds in which the model put into use is truly worse than the untouched vectors."""


class Crowd:
    """Simulated people with one hidden metric and some noise; the n-th answer to a question is always the same."""

    def __init__(
        self,
        face_ids: Sequence[int],
        vectors: NDArray[np.float32],
        *,
        seed: int,
        consistent: float = CONSISTENT,
    ) -> None:
        rng = np.random.default_rng((seed, 1))
        centred = vectors - vectors.mean(0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:DIRECTIONS]
        mixing = np.linalg.qr(rng.normal(size=(len(directions), len(directions))))[0]
        stretch = np.exp(rng.normal(0, STRETCH, len(directions)))
        seen = centred @ directions.T
        seen /= np.maximum(seen.std(0), 1e-6) ** EVENNESS
        self.hidden = (seen @ mixing * stretch).astype(np.float32)
        self.place = {face_id: number for number, face_id in enumerate(face_ids)}
        self.rng = np.random.default_rng((seed, 2))
        self.seed, self.consistent = seed, consistent
        self.given: Counter[tuple[int, ...]] = Counter()

    def odd(self, question: Question) -> int:
        """Return the face the next simulated person chooses, whoever it is and whenever they are asked."""
        places = [self.place[face] for face in question.faces]
        number, self.given[question.faces] = self.given[question.faces], self.given[question.faces] + 1
        noise = np.random.default_rng((self.seed, 2, number, *places))
        truth = int(self.odd_places(np.array([places]))[0])
        if noise.random() >= self.consistent:
            truth = (truth + int(noise.integers(1, 3))) % 3
        return question.faces[truth]

    def odd_places(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (n,) which of three faces (n, 3) differs most by the hidden metric."""
        odd: NDArray[np.int64] = pair_distances(self.hidden, places).argmin(1)
        return odd

    def accuracy(self, vectors: NDArray[np.float32], faces: set[int]) -> float:
        """Return how often vectors say what the hidden metric says, over questions about these faces alone."""
        rows = np.array(sorted(self.place[face] for face in faces))
        rng = np.random.default_rng((self.seed, 4))
        places = np.array([rng.choice(rows, 3, replace=False) for _ in range(TRUTHS)])
        return float((pair_distances(vectors, places).argmin(1) == self.odd_places(places)).mean())


def simulate(
    store: Store,
    gallery_id: int,
    backend: str,
    *,
    amounts: Sequence[int],
    samplers: Sequence[str] = ("random",),
    seeds: Sequence[int] = (0,),
    consistent: float = CONSISTENT,
    progress: Callable[[str], None] = lambda _step: None,
) -> list[Outcome]:
    """Run one project per seed, sampler and amount, and return what each was worth.

    Of one seed all projects have the same hidden metric, kept-out faces, evaluation questions and answers to these.
    `consistent` is how often people say what the hidden metric says; a third is guessing.
    """
    face_ids, vectors = store.vectors(gallery_id, backend=backend)
    people = [store.add_annotator(f"simulated {number}").id for number in range(PEOPLE)]
    outcomes = []
    for seed in seeds:
        for sampler in samplers:
            for amount in amounts:
                crowd = Crowd(face_ids, vectors, seed=seed, consistent=consistent)
                progress(f"seed {seed}, {sampler}: {amount} answers")
                project = _project(store, gallery_id, backend, f"{sampler} {amount} {seed}", seed=seed)
                _ask(store, project, sampler, amount, crowd=crowd, people=people, seed=seed)
                progress(f"seed {seed}, {sampler}: {amount} answers, fine-tuning")
                outcomes.append(_learn(store, project, sampler, crowd=crowd, seed=seed))
    return outcomes


def worth(outcomes: Sequence[Outcome]) -> list[Worth]:
    """Return by sampler and amount what answers were worth over all seeds; the first sampler is the measure."""
    samplers = list(dict.fromkeys(one.sampler for one in outcomes))
    groups: dict[tuple[str, int], dict[int, Outcome]] = {}
    for sampler in samplers:
        mine = [one for one in outcomes if one.sampler == sampler]
        for one in mine:
            place = sum(other.seed == one.seed for other in mine[: mine.index(one)])  # amounts may fall short
            groups.setdefault((sampler, place), {})[one.seed] = one
    return [_worth(found, groups[samplers[0], place]) for (_, place), found in groups.items()]


def _worth(found: dict[int, Outcome], first: dict[int, Outcome]) -> Worth:
    learned = {seed: _learned(one) for seed, one in found.items()}
    gains = [learned[seed] - one.true_base for seed, one in found.items()]
    ahead = [learned[seed] - _learned(one) for seed, one in first.items() if seed in learned]
    used = [one for one in found.values() if one.promoted]
    example = next(iter(found.values()))
    return Worth(
        sampler=example.sampler,
        answers=example.answers,
        seeds=len(found),
        base=float(np.mean([one.true_base for one in found.values()])),
        learned=float(np.mean(list(learned.values()))),
        error=_standard_error(gains),
        against_first=float(np.mean(ahead)),
        against_first_error=_standard_error(ahead),
        promoted=len(used),
        promoted_worse=sum(_learned(one) < one.true_base for one in used),
    )


def _learned(one: Outcome) -> float:
    return one.true_base if one.true_tuned is None else one.true_tuned


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _project(store: Store, gallery_id: int, backend: str, name: str, *, seed: int) -> ProjectRow:
    settings = NewProject(name, gallery_id, backend, gold_share=0.0, repeat_share=0.0, qualification=0, sampler_mix={})
    return compare.start_project(store, settings, seed=seed)


def _ask(
    store: Store, project: ProjectRow, sampler: str, amount: int, *, crowd: Crowd, people: Sequence[int], seed: int
) -> None:
    """Queue the training questions in rounds and let the people answer until nothing waits."""
    rng = np.random.default_rng((seed, 3))
    pool = compare.training_pool(store, project)
    asked = 0
    while asked < amount:
        count = min(ROUND, amount - asked)
        triplets = compare.draw(store, project, pool, sampler, count, rng=rng)
        added = store.add_triplets(project.id, [replace(triplet, wanted=1) for triplet in triplets])
        asked += added
        _answer_all(store, project, crowd, people)
        if not added:
            return


def _answer_all(store: Store, project: ProjectRow, crowd: Crowd, people: Sequence[int]) -> None:
    busy = list(people)
    while busy:
        person = busy[int(crowd.rng.integers(len(busy)))]
        questions = store.take_questions(project.id, person, count=AT_ONCE)
        if not questions:
            busy.remove(person)
        for question in questions:
            key = f"simulated-{question.assignment_id}"
            said = NewAnswer(question.assignment_id, "face", key, face_id=crowd.odd(question), response_ms=1500)
            store.add_answer(person, said)


def _learn(store: Store, project: ProjectRow, sampler: str, *, crowd: Crowd, seed: int) -> Outcome:
    run = finetuning.finetune(store, project, seed=seed)
    figures: dict[str, Any] = run.metrics
    base = figures["base"]["accuracy"]
    tuned = figures.get("tuned", {}).get("accuracy")
    promoted = run.state == "promoted"
    if promoted:  # the next amount starts from the same untouched vectors
        finetuning.roll_back(store, project)
    untouched, kept_out = (
        store.vectors(project.gallery_id, backend=project.backend)[1],
        store.evaluation_faces(project.id),
    )
    moved = load_head(run).apply_to(untouched) if run.weights is not None else None
    return Outcome(
        seed=seed,
        answers=figures["answers"],
        sampler=sampler,
        base=round(base["value"], 4),
        tuned=round(tuned["value"], 4) if tuned else None,
        in_use=round(tuned["value"] if promoted else base["value"], 4),
        interval=tuple(round(bound, 4) for bound in (tuned or base)["clustered"]),
        promoted=promoted,
        better=round(figures["better"], 4),
        true_base=round(crowd.accuracy(untouched, kept_out), 4),
        true_tuned=round(crowd.accuracy(moved, kept_out), 4) if moved is not None else None,
        head=figures.get("head", {}).get("kind"),
        ceiling=round(figures["ceiling"]["mean"], 4) if figures["ceiling"] else None,
        note=figures.get("reason"),
    )
