"""When a newer version brings another expression network, the map shows what that one reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from studio.context import Context
from studio.services import gallery
from studio.services.compare import first_project
from studio.services.map_session import MapChoice, open_map, present_backend
from studio.services.tuned import expression_networks
from studio.settings import read_settings
from tests.drawn_faces import BACKEND, add_drawn_gallery

OLD = "deepfever@0000000a"


def test_the_map_is_read_again_by_a_new_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings({"MIEN_DATA_DIR": str(tmp_path)})
    engine = open_database(settings.database_url)
    context = Context(settings, Store(engine))
    with monkeypatch.context() as patched:
        patched.setattr(gallery, "read_missing", lambda *_, **__: None)
        starters = gallery.ensure_starter_gallery(context)
    faces = [face.id for face in context.store.faces(starters.id)]
    vectors = np.random.default_rng(0).normal(size=(len(faces), 64)).astype(np.float32)
    context.store.add_vectors(faces, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), backend=OLD)
    atlas = open_map(context, MapChoice())
    assert atlas.backend == present_backend() != OLD
    assert len(atlas) == len(faces)
    assert open_map(context, MapChoice(backend=OLD)).backend == OLD
    engine.dispose()


def test_codes_of_the_latent_space_are_no_expressions(tmp_path: Path) -> None:
    engine = open_database(read_settings({"MIEN_DATA_DIR": str(tmp_path)}).database_url)
    store = Store(engine)
    gallery_id = add_drawn_gallery(store)
    faces, vectors = store.vectors(gallery_id, backend=BACKEND)
    store.add_vectors(faces, vectors, backend="dfc_vae-0000000a")
    assert expression_networks(store, gallery_id) == [BACKEND]
    project = first_project(store)
    assert project is not None and project.backend == BACKEND
    engine.dispose()
