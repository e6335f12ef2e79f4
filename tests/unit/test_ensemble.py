"""The active sampler chooses from answers, says what it knew, and works beside the people who answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from studio.services import compare, ensemble, simulation
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 4)
    monkeypatch.setattr(ensemble, "LEAST_ANSWERS", 30)
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    yield Store(engine)
    engine.dispose()


def test_active_questions_carry_their_score_and_what_the_sampler_knew(store: Store) -> None:
    gallery = add_drawn_gallery(store)
    project = simulation._project(store, gallery, BACKEND, "active", seed=0)
    pool, rng = compare.training_pool(store, project), np.random.default_rng(0)
    assert ensemble.active_questions(store, project, pool, 20, rng=rng) is None  # too few answers
    crowd = simulation.Crowd(*store.vectors(gallery, backend=BACKEND), seed=0)
    simulation._ask(store, project, "random", 40, crowd=crowd, people=[store.add_annotator("Ada").id], seed=0)
    drawn = ensemble.active_questions(store, project, pool, 20, rng=rng) or []
    chosen = [one for one in drawn if one.sampler == "active"]
    assert len(drawn) == 20 and len(chosen) == 14
    assert all(one.score is not None and "8 heads of answers up to" in (one.model_version or "") for one in chosen)
    store.add_triplets(project.id, drawn)
    ada = store.add_annotator("Bob").id
    while held := store.take_questions(project.id, ada, count=9):
        simulation._answer_all(store, project, crowd, [ada])
        assert held
    kept = [one for one in store.read_labels(project.id) if one.sampler == "active"]
    assert kept and all(one.model_version == chosen[0].model_version for one in kept)


def test_one_project_is_filled_by_one_thread_at_a_time() -> None:
    may_end, calls = threading.Event(), []
    first = ensemble.in_background(-1, lambda: (calls.append(1), may_end.wait(10)))
    assert first is not None and ensemble.in_background(-1, lambda: calls.append(2)) is None
    may_end.set()
    first.join(10)
    again = ensemble.in_background(-1, lambda: calls.append(3))
    assert again is not None
    again.join(10)
    assert calls == [1, 3]
