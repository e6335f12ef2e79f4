"""After a promotion neighbours and the map follow the model in use; after a rollback they return."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from db.engine import open_database
from db.store import Store
from db.types import ModelRunRow, NewFace, NewPicture, NewProject, ProjectRow
from models.errors import BadInput
from models.finetune import ExpressionHead
from studio.context import Context
from studio.services import compare, finetuning, jobs, team_models, tuned
from studio.services.map_session import MapChoice, open_map
from studio.services.nearest import near_vector
from studio.settings import read_settings
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 20)
    settings = read_settings({"MIEN_DATA_DIR": str(tmp_path)})
    engine = open_database(settings.database_url)
    store = Store(engine)
    add_drawn_gallery(store)
    yield Context(settings, store)
    engine.dispose()


@pytest.fixture
def project(context: Context) -> ProjectRow:
    return compare.start_project(context.store, NewProject("Smiles", context.store.galleries()[0].id, BACKEND))


def finished(store: Store, project: ProjectRow, *, stretch: float = 1.5, better: float = 1.0) -> ModelRunRow:
    """A candidate whose head stretches one direction."""
    run = finetuning.announce(store, project)
    head = ExpressionHead(16, "diagonal", 4)
    with torch.no_grad():
        head.log_scale[0] = stretch
    figures = {"better": better, "better_over_faces": better, "head": {"dimension": 16, "kind": "diagonal", "block": 4}}
    assert store.finish_run(run.id, state="candidate", metrics=figures, weights=head.to_bytes())
    return store.run(run.id)


def test_names_tell_their_base(context: Context, project: ProjectRow) -> None:
    run = finished(context.store, project)
    named = tuned.backend_of(run)
    assert named.name == f"drawn+run{run.id}"
    assert tuned.base_of(str(named)) == BACKEND and tuned.base_of(BACKEND) == BACKEND


def test_neighbours_and_the_map_follow_and_return(context: Context, project: ProjectRow) -> None:
    store = context.store
    ids, vectors = store.vectors(project.gallery_id, backend=BACKEND)
    before = near_vector(store, vectors[3], backend=BACKEND, most=12)
    assert open_map(context, MapChoice()).backend == BACKEND
    run = finished(store, project)
    finetuning.promote(store, run)
    named = str(tuned.backend_of(run))
    moved, backend = tuned.moved(store, vectors[3], BACKEND)
    assert backend == named
    np.testing.assert_allclose(moved, store.vectors(project.gallery_id, backend=named)[1][3], atol=1e-6)
    after = near_vector(store, vectors[3], backend=BACKEND, most=12)
    assert after[0]["face"] == ids[3] and [one["face"] for one in after] != [one["face"] for one in before]
    assert open_map(context, MapChoice()).backend == named
    assert open_map(context, MapChoice(backend=BACKEND)).backend == BACKEND

    finetuning.roll_back(store, project)
    assert near_vector(store, vectors[3], backend=BACKEND, most=12) == before
    assert open_map(context, MapChoice()).backend == BACKEND


def test_faces_added_after_the_promotion_are_moved_too(context: Context, project: ProjectRow) -> None:
    store = context.store
    run = finished(store, project)
    finetuning.promote(store, run)
    other = store.add_gallery("later", credit="Ada", licence="CC0-1.0", source="made here")
    new = store.add_faces(other.id, [NewFace(NewPicture("ff" * 32, "image/png", 1, 1, b"later"))])
    store.add_vectors(new, np.eye(1, 16, dtype=np.float32), backend=BACKEND)
    assert tuned.kept_up(store, BACKEND) == str(tuned.backend_of(run))
    assert store.vectors(other.id, backend=tuned.backend_of(run))[0] == new
    assert tuned.kept_up(store, "another@1") == "another@1"


def test_only_a_surely_better_or_earlier_model_is_put_into_use_by_hand(context: Context, project: ProjectRow) -> None:
    store = context.store
    admin = store.add_annotator("Maja", role="admin")
    weak, strong = finished(store, project, better=0.8), finished(store, project)
    with pytest.raises(Exception, match="kept aside"):
        team_models.promote(context, admin, {"project": project.id, "run": weak.id})
    assert team_models.promote(context, admin, {"project": project.id, "run": strong.id})["run"]["state"] == "promoted"
    assert team_models.roll_back(context, admin, {"project": project.id}) == {"run": None}
    assert team_models.promote(context, admin, {"project": project.id, "run": strong.id})["run"]["state"] == "promoted"
    shown = team_models.versions(context, admin, {"project": project.id})
    assert [(run["id"], run["state"], run["may_promote"]) for run in shown["runs"]] == [
        (strong.id, "promoted", False), (weak.id, "candidate", False),
    ]  # fmt: skip


def test_a_fine_tuning_that_dies_or_is_stopped_leaves_a_note_and_the_model(
    context: Context, project: ProjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = context.store
    admin = store.add_annotator("Maja", role="admin")
    kept = finished(store, project)
    finetuning.promote(store, kept)
    monkeypatch.setattr(jobs, "ENTRY", "import os; print('on it', flush=True); os.kill(os.getpid(), 9)")
    run = team_models.train(context, admin, {"project": project.id})["run"]
    job = jobs.find(context.settings, f"run-{run}")
    ended(job)
    told = team_models.watch(context, admin, {"project": project.id, "run": run})
    assert told["run"]["state"] == "failed" and "not touched" in told["run"]["metrics"]["reason"]
    assert "on it" in told["log"]

    monkeypatch.setattr(jobs, "ENTRY", "import time; time.sleep(60)")
    run = team_models.train(context, admin, {"project": project.id})["run"]
    with pytest.raises(BadInput, match="under way"):
        team_models.train(context, admin, {"project": project.id})
    assert team_models.stop(context, admin, {"project": project.id, "run": run})["run"]["metrics"] == {
        "reason": "stopped"
    }
    ended(jobs.find(context.settings, f"run-{run}"))
    assert store.run(run).metrics == {"reason": "stopped"}
    in_use = finetuning.in_use(store, project)
    assert in_use is not None and in_use.id == kept.id


def ended(job: jobs.Job) -> None:
    """Wait until the process is gone and that is noted."""
    for _ in range(300):
        if (job.folder / "exit").is_file():
            return
        time.sleep(0.05)
    raise AssertionError(f"{job.name} did not end")
