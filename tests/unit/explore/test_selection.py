"""What a selection on the map becomes: a project with its own list of faces, or a slider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from models.errors import BadInput, Cancelled
from models.types import Face, Image
from studio.services import latent, selection
from studio.services.atlas import Atlas, make_atlas
from studio.services.selection import Chosen
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


def test_a_project_asks_about_the_chosen_faces_only(store: Store, atlas: Atlas) -> None:
    chosen = tuple(int(face_id) for face_id in atlas.ids[:30])
    made = selection.compare_project(store, Chosen(atlas, chosen), name=" smiles ")
    assert made.name == "smiles" and made.backend == BACKEND
    listed = store.faces(made.gallery_id, with_picture=True)
    originals = store.faces_by_id(chosen)
    assert [face.sha256 for face in listed] == [originals[face_id].sha256 for face_id in chosen]
    ids, vectors = store.vectors(made.gallery_id, backend=BACKEND)
    assert ids == [face.id for face in listed]
    np.testing.assert_allclose(vectors, atlas.vectors[atlas.rows_of(chosen)], atol=1e-6)
    assert store.count_waiting(made.id) > 0
    for name, faces in (("smiles", chosen), ("few", chosen[:5]), ("  ", chosen)):
        with pytest.raises(BadInput):
            selection.compare_project(store, Chosen(atlas, faces), name=name)


def test_a_slider_points_from_the_other_faces_to_the_chosen_ones(
    store: Store, atlas: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tuple(int(face_id) for face_id in atlas.ids[:24])
    asked: list[int] = []

    def coded(store: Store, face_id: int, known: object) -> np.ndarray:
        asked.append(face_id)
        code = np.random.default_rng(face_id).standard_normal(8).astype(np.float32)
        code[3] += 6 * (face_id in chosen)
        return code

    monkeypatch.setattr(selection, "code_of", coded)
    step = selection.fitted_step(store, Chosen(atlas, chosen), lambda words, share: True)
    assert sorted(asked) == sorted(int(face_id) for face_id in atlas.ids)
    assert int(np.abs(step).argmax()) == 3 and step[3] == pytest.approx(2, abs=0.4)
    with pytest.raises(Cancelled):
        selection.fitted_step(store, Chosen(atlas, chosen), lambda words, share: False)
    with pytest.raises(BadInput, match="at least 5"):
        selection.fitted_step(store, Chosen(atlas, chosen[:2]), lambda words, share: True)


def test_faces_that_nobody_finds_are_passed_over(store: Store, atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_found(image: Image, most: int) -> list[Face]:
        return []

    monkeypatch.setattr(latent, "find_faces", none_found)
    chosen = tuple(int(face_id) for face_id in atlas.ids[:24])
    with pytest.raises(BadInput, match="there are 0 and 0"):
        selection.fitted_step(store, Chosen(atlas, chosen), lambda words, share: True)
