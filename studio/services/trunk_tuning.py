"""The optional part of a fine-tuning that moves the network itself: cut the faces, train, read all faces anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models import registry
from models.device import words_for
from models.triplets import Comparisons
from studio.services.gallery_crops import crops_of
from studio.services.tuned import base_network

if TYPE_CHECKING:
    from db.store import Store
    from db.types import ProjectRow
    from models.finetune import Fit
    from models.finetune_trunk import TrunkFit
    from studio.services.finetuning import Lesson

Tell = Callable[[float, str], None]
MOST_FACES = 20_000
"""Faces of a lesson that are cut and kept in memory; beyond, the trunk is left alone."""


@dataclass(frozen=True, eq=False)
class TrunkResult:
    """What came of it."""

    fit: TrunkFit | None
    """None where the head alone is as good, or where it could not be tried."""
    vectors: NDArray[np.float32]
    """The lesson's, read by trunk and head; by the head alone where a face's picture is not here."""
    metrics: dict[str, Any]
    """`trunk` with its figures where there is one, else `trunk_reason`."""


def is_offered(device: str) -> bool:
    """Tell whether the page may offer it: on a GPU, with accelerate."""
    return words_for(device) != "CPU" and find_spec("accelerate") is not None


def tune_trunk(
    store: Store, project: ProjectRow, lesson: Lesson, found: Fit, answers: int, *, seed: int, tell: Tell
) -> TrunkResult:
    """Train the last stage beside a head like the one that was found; raises Cancelled through `tell`."""
    from models.finetune_trunk import TRUNK_FROM, TrunkPlan, fit_trunk  # noqa: PLC0415 - torch loads when it is asked

    by_head = found.head.apply_to(lesson.vectors)
    asked = np.unique(np.concatenate([lesson.training.places.ravel(), lesson.evaluation.places.ravel()]))
    reason = ""
    if answers < TRUNK_FROM:
        reason = f"the trunk is tried from {TRUNK_FROM} answers on"
    elif len(asked) > MOST_FACES:
        reason = f"the trunk is tried with up to {MOST_FACES} faces"
    if reason:
        return TrunkResult(None, by_head, {"trunk_reason": reason})
    crops = crops_of(store, [lesson.face_ids[row] for row in asked], told=tell)
    rows = [int(row) for row in asked if lesson.face_ids[row] in crops]
    pictures = [crops[lesson.face_ids[row]] for row in rows]
    training = _renumbered(lesson.training, rows)
    fit = fit_trunk(
        base_network(project.backend), pictures, training, found, plan=TrunkPlan(seed=seed), progress=tell
    ) if len(training) else None  # fmt: skip
    if fit is None:
        return TrunkResult(None, by_head, {"trunk_reason": "held-out answers like the head alone as much"})
    by_head[rows] = fit.tuned.read(pictures)
    figures = {
        "faces": len(rows), "steps": fit.steps, "held_out_loss": fit.held_out_loss, "head_loss": fit.head_loss,
        "drift": fit.drift, "curve": [round(value, 5) for value in fit.curve],
        "device": words_for(registry.places().device),
    }  # fmt: skip
    return TrunkResult(fit, by_head, {"trunk": figures})


def _renumbered(comparisons: Comparisons, rows: list[int]) -> Comparisons:
    """Return the comparisons all of whose faces are among `rows`, telling of places in that list."""
    keep: NDArray[np.bool_] = np.asarray(np.isin(comparisons.places, rows).all(1), bool)
    among = comparisons.where(keep)
    return Comparisons(np.searchsorted(rows, among.places), among.shares, among.votes, among.kinds, among.heads)
