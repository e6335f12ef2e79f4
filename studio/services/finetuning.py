"""From a project's answers to a better embedding: collect, fit, judge on kept-out faces, put into use or keep aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from db.agreement import leave_one_out_ceiling
from db.ballots import PURPOSE_NAMES, Ballots
from db.store import Store
from db.types import ModelRunRow, ProjectRow
from models import triplets
from models.errors import Cancelled
from models.triplets import Comparisons
from studio.services.trunk_tuning import tune_trunk
from studio.services.tuned import backend_of, forget_vectors, has_trunk, load_head, write_vectors

if TYPE_CHECKING:
    from models.finetune import ExpressionHead
    from models.finetune_trunk import TunedTrunk

Vectors = NDArray[np.float32]
SURE, SURE_OVER_FACES = 0.95, 0.8
"""Share of paired resamples, of triplets and of faces, in which a new model must beat the one in use to replace it."""
LEARNING_PARTS = (1 / 8, 1 / 4, 1 / 2)
DECIDED_TO = "decided_to"
"""Hyperparameter: the newest decision of an admin that a run saw; runs from before there was such a thing saw none."""
KIND_WORDS = ("one_class", "two_class", "three_class")


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a fine-tuning learns from and is judged by; no face is in both."""

    face_ids: list[int]
    vectors: Vectors
    training: Comparisons
    evaluation: Comparisons
    """Evaluation questions: they decide whether a model is put into use, and its figures are reported on them."""
    ballots: Ballots
    """The answers to evaluation questions, one by one."""


def collect(store: Store, project: ProjectRow, *, cutoff: int | None = None, decided_to: int | None = None) -> Lesson:
    """Gather the answers up to one, and decisions up to one; the same two give the same lesson, whatever came since.

    What an admin decided about a training question replaces the votes on it.
    """
    face_ids, vectors = store.vectors(project.gallery_id, backend=project.backend)
    decided = store.decided(project.id, up_to=decided_to)
    ballots = store.read_ballots(project.id, cutoff=cutoff, decided=decided)
    known = _all_among(ballots, face_ids)
    chosen = ballots.where(known & (ballots.odd > 0) & (ballots.pass_number == 0))
    held_out = np.isin(chosen.faces, list(store.evaluation_faces(project.id)))
    asked_to_judge = chosen.purpose == PURPOSE_NAMES.index("evaluation")
    training = chosen.where((chosen.purpose == PURPOSE_NAMES.index("train")) & ~held_out.any(1))
    judged = chosen.where(asked_to_judge & held_out.all(1) & (chosen.mode == 0))
    place = {face_id: number for number, face_id in enumerate(face_ids)}
    return Lesson(
        face_ids,
        vectors,
        comparisons(training, place),
        comparisons(judged, place),
        judged,
    )


def _all_among(ballots: Ballots, faces: list[int]) -> NDArray[np.bool_]:
    if not len(ballots):
        return np.zeros(0, bool)
    return np.asarray(np.isin(ballots.faces, faces).all(1), dtype=bool)


def comparisons(ballots: Ballots, place: dict[int, int]) -> Comparisons:
    """Add up answers by question; `place` says in which row of the vectors a face is."""
    asked, first, where = np.unique(ballots.triplet, return_index=True, return_inverse=True)
    votes = np.zeros((len(asked), 3))
    np.add.at(votes, (where, ballots.odd - 1), 1)
    total = votes.sum(1)
    places = np.array([[place[int(face)] for face in row] for row in ballots.faces[first]], np.int64).reshape(-1, 3)
    heads = ballots.mode[first] > 0
    return Comparisons(places, votes / total[:, None], total.astype(np.int64), ballots.kind[first], heads)


def finetune(
    store: Store,
    project: ProjectRow,
    *,
    run: ModelRunRow | None = None,
    trunk: bool = False,
    seed: int = 0,
    learning: bool = False,
    progress: Callable[[float, str], None] = lambda _share, _step: None,
) -> ModelRunRow:
    """Fit, judge, and put the new model into use if a paired bootstrap says it is better; else keep it as candidate.

    `run` continues one that was announced with `announce`. `learning` also measures what fewer answers would have
    given, about as long again. A model in use stays in use whatever goes wrong here.
    """
    run = run or announce(store, project, seed=seed, trunk=trunk)
    lesson = collect(store, project, cutoff=run.cutoff_answer_id, decided_to=decided_to(run))
    answers = int(lesson.training.votes.sum())

    def tell(share: float, step: str) -> None:
        progress(share, step)
        if not store.update_run(run.id, metrics={"progress": round(share, 3), "step": step}):
            raise Cancelled("the fine-tuning was stopped")

    try:
        metrics, head = _fit_and_judge(store, project, lesson, answers, run=run, seed=seed, tell=tell)
        if learning and head is not None:
            metrics["learning"] = learning_curve(lesson, metrics, seed=seed, tell=tell)
    except Cancelled:
        store.finish_run(run.id, state="failed", metrics={"reason": "stopped"})
        return store.run(run.id)
    except Exception as error:
        store.finish_run(run.id, state="failed", metrics={"reason": f"{type(error).__name__}: {error}"})
        raise
    if not store.finish_run(run.id, state="candidate", metrics=metrics, weights=head.to_bytes() if head else None):
        return store.run(run.id)
    if head is not None and surely_better(metrics):
        promote(store, store.run(run.id), told=progress)
    return store.run(run.id)


def surely_better(metrics: dict[str, Any]) -> bool:
    """Tell whether the paired bootstrap says that a model beats the one in use."""
    return bool(metrics.get("better", 0) >= SURE and metrics.get("better_over_faces", 0) >= SURE_OVER_FACES)


def announce(store: Store, project: ProjectRow, *, seed: int = 0, trunk: bool = False) -> ModelRunRow:
    """Note a fine-tuning that is about to begin on everything answered and decided so far."""
    decisions = store.adjudications(project.id)
    settings = {"seed": seed, "base": project.backend, DECIDED_TO: decisions[-1].id if decisions else 0}
    settings |= {"trunk": True} if trunk else {}
    cutoff = store.last_answer_id(project.id)
    return store.add_run(project.id, backend=project.backend, cutoff_answer_id=cutoff, hyperparameters=settings)


def decided_to(run: ModelRunRow) -> int:
    """Return the newest decision that a run learned from, 0 where it learned from none."""
    return int(run.hyperparameters.get(DECIDED_TO, 0))


def promote(store: Store, run: ModelRunRow, *, told: Callable[[float, str], None] = lambda _share, _step: None) -> None:
    """Put a model into use: its vectors are written first, then it becomes the project's model."""
    project = store.project(run.project_id)
    write_vectors(store, run, told=told)
    before = in_use(store, project)
    store.promote_run(run.id)
    if before is not None and before.id != run.id:
        forget_vectors(store, before)


def roll_back(store: Store, project: ProjectRow) -> ModelRunRow | None:
    """Return to the model before the one in use, or to the untouched vectors; returns what is in use then."""
    current = in_use(store, project)
    if current is None:
        return None
    parent = store.run(current.parent_id) if current.parent_id is not None else None
    if parent is not None and parent.weights is not None:
        promote(store, parent)
        return store.run(parent.id)
    store.retire_runs(project.id)
    forget_vectors(store, current)
    return None


def in_use(store: Store, project: ProjectRow) -> ModelRunRow | None:
    """Return the promoted run of a project, or None while the untouched vectors are in use."""
    return next((run for run in store.runs(project.id) if run.state == "promoted"), None)


def _fit_and_judge(
    store: Store, project: ProjectRow, lesson: Lesson, answers: int, *, run: ModelRunRow, seed: int,
    tell: Callable[[float, str], None],
) -> tuple[dict[str, Any], ExpressionHead | TunedTrunk | None]:  # fmt: skip
    from models.finetune import Plan, fit  # noqa: PLC0415

    current = in_use(store, project)
    base_vectors = in_use_vectors(store, lesson, current) if current else lesson.vectors
    metrics: dict[str, Any] = {"answers": answers, "base": judge(lesson, lesson.vectors)}
    metrics |= {"ceiling": leave_one_out_ceiling(lesson.ballots), "better": 0.0}
    if answers < triplets.ENOUGH:
        return metrics | {"reason": f"collecting: {answers} of {triplets.ENOUGH} answers"}, None
    found = fit(lesson.vectors, lesson.training, plan=Plan(seed=seed), progress=tell)
    if found is None:
        return metrics | {"reason": "no head predicts held-out answers better than the vectors in use"}, None
    tuned, temperature, model = found.head.apply_to(lesson.vectors), found.temperature, None
    if run.hyperparameters.get("trunk"):
        with_trunk = tune_trunk(store, project, lesson, found, answers, seed=seed, tell=tell)
        metrics |= with_trunk.metrics
        if with_trunk.fit is not None:
            tuned, temperature, model = with_trunk.vectors, with_trunk.fit.temperature, with_trunk.fit.tuned
    ours, theirs = (triplets.credits(vectors, lesson.evaluation) for vectors in (tuned, base_vectors))
    better, over_faces = triplets.chance_of_better(ours, theirs, lesson.evaluation.places, seed=seed)
    config = {name: found.head.config[name] for name in ("dimension", "kind", "block")}
    return metrics | {
        "tuned": judge(lesson, tuned, temperature=temperature),
        "in_use": judge(lesson, base_vectors),
        "better": better,
        "better_over_faces": over_faces,
        "head": config,
        "parameters": sum(value.numel() for value in found.head.parameters()),
        "anchor": found.anchor,
        "steps": found.steps,
        "held_out_loss": found.held_out_loss,
        "base_loss": found.base_loss,
        "curve": [round(value, 5) for value in found.curve],
    }, model or found.head


def in_use_vectors(store: Store, lesson: Lesson, current: ModelRunRow) -> Vectors:
    """Return the lesson's vectors as the model in use has them: written where it read pictures, else moved."""
    after = load_head(current).apply_to(lesson.vectors)
    if has_trunk(current):
        row_of = {face_id: row for row, face_id in enumerate(lesson.face_ids)}
        project = store.project(current.project_id)
        ids, written = store.vectors(project.gallery_id, backend=backend_of(current))
        for face_id, vector in zip(ids, written, strict=True):
            if face_id in row_of:
                after[row_of[face_id]] = vector
    return after


def judge(lesson: Lesson, vectors: Vectors, *, temperature: float | None = None) -> dict[str, Any]:
    """Return the figures of vectors on the evaluation questions: all, strongly agreed, by kind; calibration."""
    from models.finetune import calibrated_temperature  # noqa: PLC0415

    said = lesson.evaluation
    if not len(said):
        return {"accuracy": asdict(triplets.accuracy(np.zeros(0), said.places)), "chance": 1 / 3}
    credit = triplets.credits(vectors, said)
    strong = said.shares.max(1) >= triplets.STRONG
    figures: dict[str, Any] = {"accuracy": asdict(triplets.accuracy(credit, said.places)), "chance": 1 / 3}
    figures["strong"] = asdict(triplets.accuracy(credit[strong], said.places[strong]))
    for number, name in enumerate(KIND_WORDS):
        of_kind = said.kinds == number
        figures[name] = asdict(triplets.accuracy(credit[of_kind], said.places[of_kind]))
    temperature = temperature or calibrated_temperature(
        lesson.vectors, lesson.training if len(lesson.training) else said
    )
    chances = triplets.odd_one_out_chances(vectors, said.places, temperature=temperature)
    return figures | {
        "log_loss": triplets.log_loss(chances, said),
        "calibration_error": triplets.calibration_error(chances, said),
        "calibration": [asdict(one) for one in triplets.calibration(chances, said)],
    }


def learning_curve(
    lesson: Lesson, metrics: dict[str, Any], *, seed: int, tell: Callable[[float, str], None]
) -> list[dict[str, Any]]:
    """Return the accuracy on kept-out faces after none, an eighth, a quarter, half and all of the answers.

    Each part goes through the same fitting; where it finds no head better than the untouched vectors, those count.
    """
    from models.finetune import Plan, fit  # noqa: PLC0415

    order = np.random.default_rng(seed).permutation(len(lesson.training))
    points = [{"answers": 0, "head": None} | metrics["base"]["accuracy"]]
    for share in LEARNING_PARTS:
        part = lesson.training.where(order[: round(share * len(order))])
        answers = int(part.votes.sum())
        if answers < triplets.ENOUGH:
            continue
        tell(0.9 + share / 10, f"what {answers} answers would have given")
        found = fit(lesson.vectors, part, plan=Plan(seed=seed))
        vectors = found.head.apply_to(lesson.vectors) if found else lesson.vectors
        judged = triplets.accuracy(triplets.credits(vectors, lesson.evaluation), lesson.evaluation.places)
        points.append({"answers": answers, "head": found.kind if found else None} | asdict(judged))
    points.append({"answers": metrics["answers"], "head": metrics["head"]["kind"]} | metrics["tuned"]["accuracy"])
    return points
