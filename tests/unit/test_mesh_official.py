"""SMIRK's official networks in the Mesh tab: offered when both files are here, as vertices only."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models import registry
from models.errors import BadInput, MissingWeights
from models.smirk.encoder import SmirkEncoder
from models.smirk.reader import SmirkReader
from models.smirk.rule_face import face_arrays
from models.types import Box, Face, HeadPose, Image
from studio.services import mesh_official
from studio.services.mesh_official import OfficialFace, official_scene, write_official
from studio.services.mesh_orders import Order


@pytest.fixture(scope="module")
def face(photo: Image) -> OfficialFace:
    around = np.linspace(0, 2 * np.pi, 478)
    points = np.stack((222 + 45 * np.cos(around), 118 + 60 * np.sin(around), 0 * around), 1).astype(np.float32)
    found = Face(Box(177, 58, 267, 178), 1.0, points, np.zeros(52, np.float32), HeadPose(0, 0, 0))
    read = SmirkReader(SmirkEncoder().eval(), face_arrays("unit")).read(photo, found)
    return OfficialFace(1, found, photo, read, read, 50.0)


def test_it_is_not_offered_without_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_official, "find_weight", lambda name, *folders: None)
    assert not mesh_official.is_here()
    monkeypatch.setattr(registry, "places", lambda: registry.Places())
    with pytest.raises(MissingWeights, match="mien weights add"):
        registry.BROUGHT_BUILDERS["smirk"]()


def test_the_browser_gets_vertices_and_no_basis(face: OfficialFace) -> None:
    message = json.loads(official_scene(face))
    assert message["baked"]["vertices"] == 5023
    assert not {"shapes", "basis"} & set(message) and len(json.dumps(message)) < 600_000
    assert np.linalg.det(np.reshape(message["rotation"], (3, 3))) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", ["obj", "ply", "stl", "npz", "json"])
def test_its_files_are_written(face: OfficialFace, kind: str) -> None:
    assert len(write_official(face, Order(kind)).content) > 500


def test_what_needs_the_open_head_is_refused(face: OfficialFace) -> None:
    with pytest.raises(BadInput, match="open head"):
        write_official(face, Order("glb"))
