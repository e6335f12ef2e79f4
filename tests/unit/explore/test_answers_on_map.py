"""Answers as lines and as a column, and the moves between two networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from db.types import NewAnswer, NewProject, NewTriplet
from models.errors import BadInput
from studio.services.answers_on_map import answer_lines, disagreement, moves
from studio.services.atlas import Atlas, make_atlas
from studio.services.columns import column_choices
from studio.services.layouts import LayoutChoice, layout
from studio.services.network_names import network_titles
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def atlas(store: Store, tmp_path: Path) -> Atlas:
    add_drawn_gallery(store)
    return make_atlas(store, tmp_path / "explore", backend=BACKEND)


def answered(store: Store, atlas: Atlas, odd_ones: dict[str, int]) -> tuple[int, int, int]:
    """Ask about two happy faces and an angry one; each person calls the face at the given place odd."""
    faces = (int(atlas.ids[0]), int(atlas.ids[4]), int(atlas.ids[2]))
    project = store.add_project(
        NewProject("q", store.galleries()[0].id, BACKEND, gold_share=0.0, repeat_share=0.0, qualification=0)
    )
    store.add_triplets(project.id, [NewTriplet(faces, wanted=len(odd_ones))])
    for name, place in odd_ones.items():
        person = store.add_annotator(name, role="annotator").id
        question = store.take_questions(project.id, person, count=1)[0]
        store.add_answer(person, NewAnswer(question.assignment_id, "face", name, face_id=faces[place], response_ms=900))
    return faces


def test_lines_join_the_faces_people_call_alike(store: Store, atlas: Atlas) -> None:
    answered(store, atlas, {"Ada": 2, "Bob": 2, "Cem": 0})
    choice = LayoutChoice()
    (line,) = answer_lines(store, atlas, choice).lines
    places = layout(atlas, choice)
    assert line.kind == "agrees"
    np.testing.assert_allclose([line.start, line.end], [places[0], places[4]], atol=1e-6)
    split = disagreement(store, atlas)
    np.testing.assert_allclose(split[[0, 2, 4]], 1 / 3, rtol=1e-5)
    assert np.isnan(np.delete(split, [0, 2, 4])).all()


def test_a_line_contradicts_when_the_vectors_say_otherwise(store: Store, atlas: Atlas, tmp_path: Path) -> None:
    assert "disagreement" not in dict(map(reversed, column_choices(store, atlas, tmp_path / "explore")))
    answered(store, atlas, {"Ada": 0})
    found = answer_lines(store, atlas, LayoutChoice())
    assert [line.kind for line in found.lines] == ["contradicts"]
    assert (found.questions, found.contradicted) == (1, 1)
    assert "disagreement" in dict(map(reversed, column_choices(store, atlas, tmp_path / "explore")))


def test_an_even_split_joins_nobody(store: Store, atlas: Atlas) -> None:
    answered(store, atlas, {"Ada": 0, "Bob": 1})
    found = answer_lines(store, atlas, LayoutChoice())
    assert (found.lines, found.questions) == ([], 0)
    assert disagreement(store, atlas)[0] == pytest.approx(0.5)


def test_a_turned_space_moves_nobody_and_a_changed_face_moves_most(store: Store, atlas: Atlas, tmp_path: Path) -> None:
    turned = np.asarray(atlas.vectors) @ np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))[0]
    store.add_vectors(atlas.ids.tolist(), turned.astype(np.float32), backend="turned@1")
    home, choice = tmp_path / "explore", LayoutChoice()
    still = moves(store, home, atlas, choice, other="turned@1")
    lengths = [np.subtract(line.end, line.start) for line in still.lines]
    assert np.abs(lengths).max() < 1e-3
    assert still.kept_neighbours == pytest.approx(1.0)
    changed = np.array(atlas.vectors)
    changed[7] = changed[0]
    store.add_vectors(atlas.ids.tolist(), changed, backend="changed@1")
    found = moves(store, home, atlas, choice, other="changed@1")
    assert found.face_ids[0] == int(atlas.ids[7])
    with pytest.raises(BadInput, match="another network"):
        moves(store, home, atlas, choice, other=BACKEND)


def test_moves_are_seen_from_the_same_side(store: Store, atlas: Atlas, tmp_path: Path) -> None:
    """Weights of directions change which of them the map shows; faces must not all seem to run to the middle."""
    stretched = np.array(atlas.vectors) * np.linspace(0.2, 2.0, 16, dtype=np.float32)
    store.add_vectors(atlas.ids.tolist(), stretched, backend="stretched@1")
    found = moves(store, tmp_path / "explore", atlas, LayoutChoice(), other="stretched@1")
    ends, starts = np.array([line.end for line in found.lines]), np.array([line.start for line in found.lines])
    assert np.ptp(ends, axis=0).min() > 0.5 * np.ptp(starts, axis=0).min()
    assert np.corrcoef(starts.ravel(), ends.ravel())[0, 1] > 0.5


def test_networks_have_names_a_visitor_can_read() -> None:
    names = ["deepfever-46524e63+run1@.f4f6ac2e657c", "deepfever-46524e63", "dfc_vae-ab191b81", "other@1"]
    titles = ["Expression network, run 1", "Expression network", "Latent space", "other"]
    assert network_titles(names) == titles
    assert network_titles(["deepfever-aa", "deepfever-bb"]) == ["Expression network, aa", "Expression network, bb"]
