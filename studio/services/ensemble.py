"""The active sampler at work: heads fitted to resampled answers, and questions where they disagree.

Fitting takes seconds, so it happens beside the people who answer: when the queue runs low, before it runs dry.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from db.errors import StoreError
from db.store import Store
from db.types import NewTriplet, ProjectRow
from models.errors import MienError
from studio.services import finetuning
from studio.services.samplers import Pool, active_triplets, random_triplets

LEAST_ANSWERS = 200
RANDOM_SHARE = 0.3
"""Of an active batch, so that no part of the faces is forgotten."""
LEAST_CAP = 6
log = logging.getLogger("mien")
_busy: set[Hashable] = set()
_lock = threading.Lock()


def active_questions(
    store: Store, project: ProjectRow, pool: Pool, count: int, *, rng: np.random.Generator
) -> list[NewTriplet] | None:
    """Return questions where bootstrapped heads disagree, part of them random; None while there are few answers.

    Each carries the model in use and what the heads were fitted to.
    """
    from models.finetune import bootstrap_heads, calibrated_temperature  # noqa: PLC0415  (torch is loaded when needed)

    cutoff = store.last_answer_id(project.id)
    lesson = finetuning.collect(store, project, cutoff=cutoff)
    if len(lesson.training) < LEAST_ANSWERS:
        return None
    heads = bootstrap_heads(lesson.vectors, lesson.training, seed=int(rng.integers(1 << 30)))
    temperature = calibrated_temperature(lesson.vectors, lesson.training)
    some = round(count * (1 - RANDOM_SHARE))
    maps = [head.apply_to for head in heads]
    cap = max(LEAST_CAP, count // 20)
    chosen = active_triplets(pool, some, heads=maps, temperature=temperature, rng=rng, cap=cap)
    current = finetuning.in_use(store, project)
    version = f"{project.backend}, {len(heads)} heads of answers up to {cutoff}"
    run = current.id if current else None
    marked = [_marked(one, run, version) for one in chosen]
    return [*marked, *random_triplets(pool, count - len(marked), rng=rng)]


def in_background(what: Hashable, work: Callable[[], object]) -> threading.Thread | None:
    """Do something slow unless it is being done already; returns the thread that does it.

    `what` names the work: a project's id for filling its queue.
    """
    with _lock:
        if what in _busy:
            return None
        _busy.add(what)

    def run() -> None:
        try:
            work()
        except (StoreError, MienError, ValueError):  # a sampler says ValueError where too few faces are left
            log.exception("what was to be done beforehand failed: %s", what)
        finally:
            with _lock:
                _busy.discard(what)

    thread = threading.Thread(target=run, name=f"beforehand {what}", daemon=True)
    thread.start()
    return thread


def _marked(triplet: NewTriplet, run: int | None, version: str) -> NewTriplet:
    return replace(triplet, model_run_id=run, model_version=version)
