"""Does annotating pay? Simulated people answer in a real store, and the real fine-tuning learns from them.

Their answers follow a hidden, distorted metric on the gallery's vectors: people weigh weak directions more than the
network does (by the square root of how little it varies there), and mix and stretch all of them at random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.store import Store
from db.types import NewAnswer, NewProject, ProjectRow, Question
from models.triplets import pair_distances
from studio.services import compare, finetuning

CONSISTENT = 0.89
"""How often a simulated person says what the hidden metric says; else one of the other two."""
PEOPLE = 12
DIRECTIONS, EVENNESS, STRETCH = 8, 0.5, 0.6
ROUND = 500
AT_ONCE = 5


@dataclass(frozen=True)
class Outcome:
    """What an amount of answers was worth."""

    answers: int
    sampler: str
    base: float
    tuned: float | None
    in_use: float
    """Accuracy of the vectors in use after the decision."""
    interval: tuple[float, float] | None
    """95 %, clustered by face, of the tuned vectors; of the base where nothing was fitted."""
    promoted: bool
    better: float
    head: str | None
    ceiling: float | None
    note: str | None


class Crowd:
    """Simulated people with one hidden metric and some noise."""

    def __init__(self, face_ids: Sequence[int], vectors: NDArray[np.float32], *, seed: int) -> None:
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

    def odd(self, question: Question) -> int:
        """Return the face a simulated person chooses."""
        places = np.array([[self.place[face] for face in question.faces]])
        truth = int(pair_distances(self.hidden, places).argmin(1)[0])
        if self.rng.random() >= CONSISTENT:
            truth = (truth + int(self.rng.integers(1, 3))) % 3
        return question.faces[truth]


def simulate(
    store: Store,
    gallery_id: int,
    backend: str,
    *,
    amounts: Sequence[int],
    samplers: Sequence[str] = ("random",),
    seed: int = 0,
    progress: Callable[[str], None] = lambda _step: None,
) -> list[Outcome]:
    """Run one project per amount and sampler, all on the same evaluation questions, and return what each was worth."""
    face_ids, vectors = store.vectors(gallery_id, backend=backend)
    people = [store.add_annotator(f"simulated {number}").id for number in range(PEOPLE)]
    outcomes = []
    for sampler in samplers:
        for amount in amounts:
            crowd = Crowd(face_ids, vectors, seed=seed)
            progress(f"{sampler}: {amount} answers")
            project = _project(store, gallery_id, backend, f"{sampler} {amount}", seed=seed)
            _ask(store, project, sampler, amount, crowd=crowd, people=people, seed=seed)
            progress(f"{sampler}: {amount} answers, fine-tuning")
            outcomes.append(_learn(store, project, sampler, amount, seed=seed))
    return outcomes


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


def _learn(store: Store, project: ProjectRow, sampler: str, amount: int, *, seed: int) -> Outcome:
    run = finetuning.finetune(store, project, seed=seed)
    figures: dict[str, Any] = run.metrics
    base = figures["base"]["accuracy"]
    tuned = figures.get("tuned", {}).get("accuracy")
    promoted = run.state == "promoted"
    if promoted:  # the next amount starts from the same untouched vectors
        finetuning.roll_back(store, project)
    return Outcome(
        answers=figures["answers"],
        sampler=sampler,
        base=round(base["value"], 4),
        tuned=round(tuned["value"], 4) if tuned else None,
        in_use=round(tuned["value"] if promoted else base["value"], 4),
        interval=tuple(round(bound, 4) for bound in (tuned or base)["clustered"]),
        promoted=promoted,
        better=round(figures["better"], 4),
        head=figures.get("head", {}).get("kind"),
        ceiling=round(figures["ceiling"]["mean"], 4) if figures["ceiling"] else None,
        note=figures.get("reason"),
    )
