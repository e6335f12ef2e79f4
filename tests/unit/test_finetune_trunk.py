"""The trunk's last stage learns from answers, stays near what it was, and can be taken out of use without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from db.engine import open_database
from db.store import Store
from db.types import ModelRunRow, NewFace, NewPicture, NewProject, ProjectRow
from models import finetune_trunk, registry, triplets
from models.deepfever import ExpressionNet, ExpressionReader
from models.errors import BadInput, BadWeights, Cancelled, MissingWeights
from models.finetune import ExpressionHead, Fit
from models.finetune_trunk import Tail, TrunkPlan, TunedTrunk, _by_faces, _Work, fit_trunk, trainable
from models.triplets import Comparisons
from models.types import Box, Face, HeadPose, Image
from studio.context import Context
from studio.services import compare, finetuning, gallery_crops, team_models, trunk_tuning, tuned
from studio.services.finetuning import Lesson
from studio.settings import read_settings
from tests.drawn_faces import add_drawn_gallery, draw
from tests.unit.occlusion.conftest import average_face

SIZE, BACKEND = 32, "tiny@1"
HEAD = {"dimension": 64, "kind": "diagonal", "block": 12}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> ExpressionNet:
    torch.manual_seed(0)
    small = ExpressionNet(size=SIZE, widths=(8, 8, 8, 8), depths=(1, 1, 2), hidden_size=16)
    return small.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def crops() -> list[Image]:
    """Noise before a ground whose redness is what people look at."""
    rng = np.random.default_rng(0)
    made = rng.integers(60, 200, (40, SIZE, SIZE, 3))
    made[..., 0] = np.linspace(0, 255, 40).astype(int)[:, None, None]
    return list(made.astype(np.uint8))


def answers(count: int, *, seed: int = 1, faces: int = 40) -> Comparisons:
    """People who hold the face of the most differing redness for the odd one."""
    rng, red = np.random.default_rng(seed), np.linspace(0, 1, faces, dtype=np.float32)[:, None]
    places = np.array([rng.choice(faces, 3, replace=False) for _ in range(count)])
    shares = np.zeros((count, 3))
    shares[np.arange(count), triplets.pair_distances(red, places).argmin(1)] = 1
    return Comparisons(places, shares, np.ones(count, np.int64), np.full(count, 3))


def a_fit() -> Fit:
    return Fit(ExpressionHead(**HEAD), 1.0, "diagonal", 0.1, 10, 1.0, 1.1, ())


def needs_accelerate() -> None:
    pytest.importorskip("accelerate", reason="the extra mien[trunk] is not installed")


def test_the_trunk_moves_where_answers_pull_it_and_nowhere_else(network: ExpressionNet, crops: list[Image]) -> None:
    needs_accelerate()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = fit_trunk(network, crops, answers(400), a_fit(), plan=TrunkPlan(steps=40, rate=2e-3, anchor=0.0))
    assert found is not None and found.held_out_loss < found.head_loss and found.drift > 0
    assert found.held_out_loss == pytest.approx(min(found.curve))
    start, after = Tail(network).state_dict(), found.tuned.tail.state_dict()
    changed = {name for name in start if not torch.equal(start[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"blocks", "squeeze", "hidden", "vector"}
    assert changed <= set(trainable(found.tuned.tail))  # no mean or variance of a normalisation
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    judged = answers(300, seed=9)
    alone = Tail(network)(finetune_trunk.maps_of(network, crops)).numpy()
    assert triplets.credits(found.tuned.read(crops), judged).mean() > triplets.credits(alone, judged).mean()


def test_the_anchor_holds_vectors_near_the_bases(network: ExpressionNet, crops: list[Image]) -> None:
    needs_accelerate()
    drift = {}
    for anchor in (0.0, 100.0):
        said = answers(200)
        work = _Work(network, crops, said, said, a_fit(), TrunkPlan(rate=2e-3, anchor=anchor))
        for _ in range(15):
            work.step()
        with torch.no_grad():
            drift[anchor] = float((work.tail(work.maps) - work.base).norm(dim=1).mean())
    assert 0 < drift[100.0] < drift[0.0] / 2


def test_held_out_answers_are_about_faces_that_were_asked_about() -> None:
    """Crops may hold faces that only judge; holding those out would hold out no answer at all."""
    for seed in range(5):
        said = answers(200, faces=20)
        there = Comparisons(said.places * 2 + 100, said.shares, said.votes, said.kinds)
        training, later = _by_faces(there, seed=seed)
        assert len(training) + len(later) == 200 and len(training) > len(later) > 10
        only_later = set(later.places.ravel().tolist()) - set(training.places.ravel().tolist())
        assert len(only_later) == 2
        assert np.isin(later.places, list(only_later)).any(1).all()


def test_answers_without_sense_change_nothing_and_it_can_be_stopped(
    network: ExpressionNet, crops: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_accelerate()
    said = answers(200)
    rng = np.random.default_rng(3)
    odd = np.eye(3)[rng.integers(0, 3, 200)]
    nonsense = Comparisons(said.places, odd, said.votes, said.kinds)
    plan = TrunkPlan(steps=60, rate=5e-3, anchor=0.0, look_every=20, patience=1)
    found = fit_trunk(network, crops, nonsense, a_fit(), plan=plan)
    assert found is None or found.held_out_loss > 1.0  # ln 3 = 1.099 is guessing
    with pytest.raises(Cancelled):
        fit_trunk(network, crops, said, a_fit(), cancelled=lambda: True)
    monkeypatch.setattr(finetune_trunk, "find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match=r"mien\[trunk\]"):
        fit_trunk(network, crops, said, a_fit())


def shifted(network: ExpressionNet, *, by: float = 0.05) -> TunedTrunk:
    """A trunk that was moved by hand."""
    torch.manual_seed(1)
    tail = Tail(network).eval()
    with torch.no_grad():
        for value in tail.parameters():
            value.add_(by * torch.randn_like(value))
    return TunedTrunk(network, tail, ExpressionHead(**HEAD).eval())


def test_a_trunk_is_read_again_from_its_bytes(network: ExpressionNet, crops: list[Image]) -> None:
    content = shifted(network).to_bytes()
    again = TunedTrunk.from_bytes(content, network, **HEAD)
    assert again.to_bytes() == content
    np.testing.assert_allclose(again.read(crops[:4]), shifted(network).read(crops[:4]), atol=2e-3)
    assert again.read([]).shape == (0, 64)
    torch.manual_seed(0)
    other = ExpressionNet(size=SIZE, widths=(8, 8, 8, 8), depths=(1, 1, 1), hidden_size=16)
    with pytest.raises(BadWeights, match="cannot be read"):
        TunedTrunk.from_bytes(content, other, **HEAD)


class Finder:
    """Finds one face of average shape in every drawn picture."""

    def find(self, image: Image) -> list[Face]:
        points = average_face() * 60 + np.array([80, 80, 0], np.float32)
        return [Face(Box(20, 10, 140, 150), 1.0, points, np.zeros(52, np.float32), HeadPose(0, 0, 0))]


@pytest.fixture
def context(tmp_path: Path, network: ExpressionNet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """Drawn faces, read by the tiny network."""
    reader = ExpressionReader(network, backend=BACKEND, device=CPU, dtype=torch.float32)
    loaded: dict[str, Any] = {"deepfever": reader, "faces": Finder()}
    monkeypatch.setattr(registry, "load", loaded.__getitem__)
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 20)
    monkeypatch.setattr(gallery_crops, "starter_faces", lambda: ())
    tuned._built.cache_clear()
    settings = read_settings({"MIEN_DATA_DIR": str(tmp_path), "MIEN_DEVICE": "cpu"})
    engine = open_database(settings.database_url)
    store = Store(engine)
    gallery_id = add_drawn_gallery(store, count=24)
    ids = [face.id for face in store.faces(gallery_id)]
    crops = gallery_crops.crops_of(store, ids)
    vectors = np.stack([one.vector for one in reader.read_crops([crops[face_id] for face_id in ids])])
    store.add_vectors(ids, vectors, backend=BACKEND)
    yield Context(settings, store)
    engine.dispose()


@pytest.fixture
def project(context: Context) -> ProjectRow:
    return compare.start_project(context.store, NewProject("Smiles", context.store.galleries()[0].id, BACKEND))


def finished(store: Store, project: ProjectRow, network: ExpressionNet) -> ModelRunRow:
    run = finetuning.announce(store, project, trunk=True)
    assert run.hyperparameters["trunk"] is True
    figures = {"better": 1.0, "better_over_faces": 1.0, "head": HEAD, "trunk": {"steps": 1}}
    assert store.finish_run(run.id, state="candidate", metrics=figures, weights=shifted(network).to_bytes())
    return store.run(run.id)


def test_promotion_reads_every_face_anew_and_a_rollback_restores_exactly(
    context: Context, project: ProjectRow, network: ExpressionNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, gallery = context.store, project.gallery_id
    ids, base = store.vectors(gallery, backend=BACKEND)
    run = finished(store, project, network)
    finetuning.promote(store, run)
    named = tuned.backend_of(run)
    assert str(named).startswith(f"tiny+run{run.id}@1.") and tuned.kept_up(store, BACKEND) == str(named)
    there, after = store.vectors(gallery, backend=named)
    crops = gallery_crops.crops_of(store, ids)
    assert there == ids
    np.testing.assert_allclose(after, tuned.trunk_of(run).read([crops[one] for one in ids]), atol=1e-6)
    assert np.abs(after - tuned.load_head(run).apply_to(base)).max() > 0.01  # the head alone would not give that

    finetuning.roll_back(store, project)
    assert tuned.kept_up(store, BACKEND) == BACKEND
    assert (store.vectors(gallery, backend=BACKEND)[1] == base).all()

    monkeypatch.setattr(gallery_crops, "crops_of", lambda *_: pytest.fail("pictures were read again"))
    finetuning.promote(store, store.run(run.id))
    assert (store.vectors(gallery, backend=named)[1] == after).all()


def test_new_faces_are_read_by_the_promoted_trunk(
    context: Context, project: ProjectRow, network: ExpressionNet
) -> None:
    store = context.store
    run = finished(store, project, network)
    finetuning.promote(store, run)
    _, base = store.vectors(project.gallery_id, backend=BACKEND)
    portrait = np.random.default_rng(0).integers(0, 255, (224, 224, 3)).astype(np.uint8)
    seen, name = tuned.moved(store, base[0], BACKEND, portrait=portrait)
    assert name == str(tuned.backend_of(run))
    np.testing.assert_allclose(seen, tuned.trunk_of(run).read([tuned.expression_crop(portrait)])[0], atol=1e-6)
    blind, _ = tuned.moved(store, base[0], BACKEND)  # only a vector: the head moves it
    np.testing.assert_allclose(blind, tuned.load_head(run).apply_to(base[:1])[0], atol=1e-6)

    content = draw(0.9, -0.9, skin=(200, 160, 120))
    new = store.add_faces(project.gallery_id, [NewFace(NewPicture("aa" * 32, "image/png", 160, 160, content))])
    lost = store.add_faces(project.gallery_id, [NewFace(NewPicture("bb" * 32, "image/png", 160, 160, b"no picture"))])
    store.add_vectors([*new, *lost], base[:2], backend=BACKEND)
    tuned.kept_up(store, BACKEND)
    there, after = store.vectors(project.gallery_id, backend=tuned.backend_of(run))
    crops = gallery_crops.crops_of(store, [*new, *lost])
    assert list(crops) == new
    np.testing.assert_allclose(after[there.index(new[0])], tuned.trunk_of(run).read([crops[new[0]]])[0], atol=1e-6)
    head_alone = tuned.load_head(run).apply_to(base[1:2])[0]
    np.testing.assert_allclose(after[there.index(lost[0])], head_alone, atol=1e-6)


def test_a_portrait_holds_the_crop() -> None:
    picture = np.zeros((224, 224, 3), np.uint8)
    picture[112 - 91 : 112 + 91, 112 - 91 : 112 + 91] = 200  # 224 * 1.3 / 1.6 = 182
    registry_size = registry.load("deepfever").size
    inner = tuned.expression_crop(picture)
    assert inner.shape == (registry_size, registry_size, 3) and inner.min() > 150


def test_another_network_than_the_base_is_refused(context: Context) -> None:
    with pytest.raises(BadInput, match="other@2"):
        tuned.base_network("other@2")


def test_the_lessons_faces_are_cut_and_the_trunk_tried(
    context: Context, project: ProjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_accelerate()
    store = context.store
    ids, vectors = store.vectors(project.gallery_id, backend=BACKEND)
    lesson = Lesson(ids, vectors, answers(120, faces=24), answers(40, seed=5, faces=24), None)  # type: ignore[arg-type]
    told: list[str] = []

    def tune(count: int) -> trunk_tuning.TrunkResult:
        return trunk_tuning.tune_trunk(
            store, project, lesson, a_fit(), count, seed=0, tell=lambda _share, step: told.append(step)
        )

    assert "1500 answers" in tune(120).metrics["trunk_reason"] and not told
    monkeypatch.setattr(finetune_trunk, "TRUNK_FROM", 100)
    monkeypatch.setattr(finetune_trunk, "TrunkPlan", lambda seed: TrunkPlan(20, rate=1e-3, anchor=0.0, seed=seed))
    tried = tune(120)
    assert told[0] == "cutting face 1 of 24" and "training the trunk" in told
    assert tried.vectors.shape == vectors.shape
    assert (tried.fit is None) == ("trunk_reason" in tried.metrics)
    if tried.fit is not None:
        assert tried.metrics["trunk"]["faces"] == 24 and tried.metrics["trunk"]["device"] == "CPU"


def test_the_page_offers_it_on_a_gpu_only(
    context: Context, project: ProjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = context.store.add_annotator("Maja", role="admin")
    assert team_models.versions(context, admin, {"project": project.id})["trunk"] is False
    with pytest.raises(BadInput, match="GPU"):
        team_models.train(context, admin, {"project": project.id, "trunk": True})
    monkeypatch.setattr(trunk_tuning, "words_for", lambda _device: "a graphics card")
    monkeypatch.setattr(trunk_tuning, "find_spec", lambda _name: object())
    assert team_models.versions(context, admin, {"project": project.id})["trunk"] is True
