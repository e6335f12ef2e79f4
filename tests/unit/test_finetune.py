"""The head learns a hidden metric, never hurts with few answers, and is only put into use when it is better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from db.engine import open_database
from db.store import Store
from db.types import NewAdjudication, ProjectRow
from models import triplets
from models.errors import BadWeights
from models.finetune import ExpressionHead, Plan, _hinge, bootstrap_heads, fit, heads_for
from models.triplets import Comparisons
from studio.services import compare, finetuning, simulation
from studio.services.tuned import backend_of
from tests.drawn_faces import BACKEND, add_drawn_gallery


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def answers(hidden: np.ndarray, count: int, *, seed: int) -> Comparisons:
    rng = np.random.default_rng(seed)
    places = np.array([rng.choice(len(hidden), 3, replace=False) for _ in range(count)])
    odd = triplets.pair_distances(hidden, places).argmin(1)
    shares = np.zeros((count, 3))
    shares[np.arange(count), odd] = 1
    return Comparisons(places, shares, np.ones(count, np.int64), np.full(count, 3))


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Vectors in which only four of sixteen directions matter to people, and not the strongest ones."""
    rng = np.random.default_rng(3)
    raw = rng.normal(size=(120, 16)) * np.linspace(1.5, 0.5, 16)
    return unit(raw), (raw[:, 8:12] * 3).astype(np.float32)


def test_a_head_learns_what_matters_to_people(world: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, hidden = world
    found = fit(vectors, answers(hidden, 900, seed=1), plan=Plan(steps=60), kinds=("diagonal",))
    assert found is not None and found.held_out_loss < found.base_loss
    judged = answers(hidden, 400, seed=2)
    base = triplets.credits(vectors, judged).mean()
    tuned = triplets.credits(found.head.apply_to(vectors), judged).mean()
    assert tuned > base + 0.1
    chances = triplets.odd_one_out_chances(found.head.apply_to(vectors), judged.places, temperature=found.temperature)
    assert triplets.log_loss(chances, judged) < np.log(3)


def test_noise_teaches_nothing(world: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, hidden = world
    rng = np.random.default_rng(0)
    said = answers(hidden, 600, seed=1)
    noise = Comparisons(said.places, np.eye(3)[rng.integers(0, 3, 600)], said.votes, said.kinds)
    found = fit(vectors, noise, plan=Plan(steps=40), kinds=("diagonal",))
    if found is not None:  # whatever it found in noise is next to nothing
        moved = found.head.apply_to(vectors)
        assert np.median(np.sum(moved * vectors, axis=1)) > 0.9


def test_few_answers_fit_nothing_and_more_answers_more_parameters(world: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, hidden = world
    assert fit(vectors, answers(hidden, 499, seed=1)) is None
    assert [heads_for(count) for count in (499, 500, 1500, 8000)] == [
        (), ("diagonal",), ("diagonal", "low_rank"), ("diagonal", "low_rank", "full"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["diagonal", "low_rank", "full"])
def test_an_untouched_head_changes_nothing_and_survives_being_kept(kind: str) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(9, 16)))
    head = ExpressionHead(16, kind, 4)
    head.basis.copy_(torch.linalg.qr(torch.randn(16, 16)).Q)
    np.testing.assert_allclose(head.apply_to(vectors), vectors, atol=1e-6)
    with torch.no_grad():
        head.log_scale.uniform_(-1, 1)
        head.mixing.uniform_(-1, 1)
    again = ExpressionHead.from_bytes(head.to_bytes(), dimension=16, kind=kind, block=4)
    np.testing.assert_array_equal(again.apply_to(vectors), head.apply_to(vectors))
    with pytest.raises(BadWeights):
        ExpressionHead.from_bytes(b"nothing", dimension=16, kind=kind, block=4)


def test_bootstrapped_heads_differ(world: tuple[np.ndarray, np.ndarray]) -> None:
    vectors, hidden = world
    first, second = bootstrap_heads(vectors, answers(hidden, 200, seed=1), count=2, steps=10)
    assert not np.allclose(first.apply_to(vectors), second.apply_to(vectors), atol=1e-3)


def test_the_hinge_has_both_sides_and_the_margin_of_its_kind() -> None:
    squared = torch.tensor([[0.5, 0.55, 0.9], [0.5, 2.0, 2.0]])
    shares = torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    loss = _hinge(squared, shares, torch.ones(2), torch.tensor([0.1, 0.2]))
    assert float(loss) == pytest.approx(0.05 / 2)


def test_intervals_and_paired_resamples() -> None:
    rng = np.random.default_rng(0)
    places = np.array([rng.choice(40, 3, replace=False) for _ in range(500)])
    credit = (rng.random(500) < 0.8).astype(float)
    found = triplets.accuracy(credit, places)
    assert found.wilson == pytest.approx((0.763, 0.833), abs=0.04)
    assert found.clustered[0] < found.wilson[0] < found.value < found.wilson[1] < found.clustered[1]
    assert triplets.chance_of_better(credit, credit, places) == (0.5, 0.5)
    worse = credit * (rng.random(500) < 0.8)
    better, over_faces = triplets.chance_of_better(credit, worse, places)
    assert better > 0.99 and over_faces > 0.9


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 30)
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    yield Store(engine)
    engine.dispose()


def answered(store: Store, *, count: int, seed: int = 0) -> ProjectRow:
    """A project whose people follow a hidden metric."""
    gallery_id = add_drawn_gallery(store, count=60)
    project = simulation._project(store, gallery_id, BACKEND, "simulated", seed=seed)
    face_ids, vectors = store.vectors(gallery_id, backend=BACKEND)
    crowd = simulation.Crowd(face_ids, vectors, seed=seed)
    people = [store.add_annotator(f"person {number}").id for number in range(6)]
    simulation._ask(store, project, "random", count, crowd=crowd, people=people, seed=seed)
    return project


def test_from_answers_to_a_model_in_use_and_back(store: Store) -> None:
    project = answered(store, count=60)
    collecting = finetuning.finetune(store, project)
    assert collecting.state == "candidate" and "collecting: 60 of 500" in collecting.metrics["reason"]
    assert collecting.metrics["base"]["accuracy"]["triplets"] == 30
    assert collecting.metrics["ceiling"]["people"] == 6
    assert len(store.backends(project.gallery_id)) == 1

    run = finetuning.announce(store, project)
    head = ExpressionHead(16, "diagonal", 4)
    with torch.no_grad():
        head.log_scale[0] = 1.0
    metrics = {"head": {"dimension": 16, "kind": "diagonal", "block": 4}}
    assert store.finish_run(run.id, state="candidate", metrics=metrics, weights=head.to_bytes())
    finetuning.promote(store, store.run(run.id))
    base, tuned = (store.vectors(project.gallery_id, backend=one)[1] for one in
                   (BACKEND, backend_of(store.run(run.id))))  # fmt: skip
    np.testing.assert_allclose(tuned, head.apply_to(base), atol=1e-6)
    assert store.backends(project.gallery_id)[0].name == f"drawn+run{run.id}"
    assert finetuning.in_use(store, project) is not None

    assert finetuning.roll_back(store, project) is None
    assert finetuning.in_use(store, project) is None
    assert [str(backend) for backend in store.backends(project.gallery_id)] == [BACKEND]


def test_no_face_is_in_training_and_evaluation_and_a_cutoff_repeats_the_lesson(store: Store) -> None:
    project = answered(store, count=40)
    run = finetuning.announce(store, project)
    lesson = finetuning.collect(store, project, cutoff=run.cutoff_answer_id)
    assert not set(lesson.training.places.ravel()) & set(lesson.evaluation.places.ravel())
    assert int(lesson.training.votes.sum()) == 40
    assert set(lesson.evaluation.votes) == {6}
    compare.refill(store, store.project("simulated"))
    person = store.add_annotator("late").id
    for question in store.take_questions(project.id, person, count=3):
        store.undo_answer(project.id, person, client_key=f"u{question.assignment_id}")
    again = finetuning.collect(store, project, cutoff=run.cutoff_answer_id)
    np.testing.assert_array_equal(again.training.shares, lesson.training.shares)


def test_what_an_admin_decides_is_what_is_learned(store: Store) -> None:
    project = answered(store, count=40)
    eve = store.add_annotator("Eve", role="admin").id
    before = finetuning.announce(store, project)
    ballots = store.read_ballots(project.id)
    trained, judged = (ballots.where(ballots.purpose == purpose) for purpose in (0, 1))
    told, dropped, kept = int(trained.triplet[0]), int(trained.triplet[1]), int(judged.triplet[0])
    right = int(trained.faces[0, trained.odd[0] % 3])  # not the face that was chosen
    store.add_adjudication(project.id, eve, NewAdjudication(told, "face", int(trained.faces[0, trained.odd[0] - 1])))
    store.add_adjudication(project.id, eve, NewAdjudication(told, "face", right))  # the newest counts
    store.add_adjudication(project.id, eve, NewAdjudication(dropped, "cannot_tell"))
    store.add_adjudication(project.id, eve, NewAdjudication(kept, "bad_picture"))

    old = finetuning.collect(store, project, cutoff=before.cutoff_answer_id, decided_to=finetuning.decided_to(before))
    new = finetuning.collect(store, project)
    assert (len(old.training), len(new.training)) == (40, 39)
    assert len(new.evaluation) == len(old.evaluation) == 30
    place = new.face_ids.index(right)
    faces = {new.face_ids.index(int(face)) for face in trained.faces[0]}
    (row,) = [number for number, three in enumerate(new.training.places) if set(three.tolist()) == faces]
    assert new.training.places[row, new.training.shares[row].argmax()] == place and new.training.votes[row] == 1
    after = finetuning.announce(store, project)
    assert finetuning.decided_to(before) == 0 and finetuning.decided_to(after) == store.adjudications(project.id)[-1].id


def test_a_crash_or_a_stop_leaves_the_model_in_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    project = answered(store, count=40)
    run = finetuning.announce(store, project)
    monkeypatch.setattr(finetuning, "_fit_and_judge", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError):
        finetuning.finetune(store, project, run=run)
    assert store.run(run.id).state == "failed" and "broken" in store.run(run.id).metrics["reason"]
    assert finetuning.in_use(store, project) is None
