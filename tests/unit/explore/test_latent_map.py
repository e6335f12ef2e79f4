"""Gallery faces are coded once, kept when stopped, and mapped like any other vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from models.errors import Cancelled
from studio.services import latent, latent_map
from studio.services.atlas import make_atlas
from tests.drawn_faces import add_drawn_gallery

BACKEND = "dfc_vae-12345678"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    yield Store(engine)
    engine.dispose()


def test_codes_of_the_gallery_become_a_map(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_drawn_gallery(store, count=40)
    monkeypatch.setattr(latent, "space", lambda: SimpleNamespace(backend=BACKEND))
    asked: list[int] = []

    def coded(store: Store, face_id: int, known: object) -> np.ndarray | None:
        asked.append(face_id)
        return None if face_id % 10 == 0 else np.random.default_rng(face_id).standard_normal(8).astype(np.float32)

    monkeypatch.setattr(latent_map, "code_of", coded)
    with pytest.raises(Cancelled):
        latent_map.code_galleries(store, lambda words, share: len(asked) < 35)
    before = len(latent_map.uncoded(store))
    assert 0 < before < 40
    asked.clear()
    assert latent_map.code_galleries(store, lambda words, share: True) == before - 4
    assert len(asked) == before
    atlas = make_atlas(store, tmp_path / "explore", backend=BACKEND)
    assert len(atlas) == 36 and atlas.vectors.shape[1] == 8
    assert latent_map.is_latent(atlas.backend) and not latent_map.is_latent("deepfever-12345678")
