"""The latent studio's services, on a small network with random weights and made-up directions."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import av
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from models import registry
from models.dfc_vae.attributes import Attribute, Directions
from models.dfc_vae.network import DfcVae
from models.dfc_vae.space import FaceSpace
from models.errors import BadInput, Cancelled, NoFaceFound
from models.types import Face, Image
from studio.services import latent, latent_morph
from studio.services.latent import Held, Table

LATENT = 16


@pytest.fixture(scope="module")
def space() -> FaceSpace:
    torch.manual_seed(0)
    network = DfcVae(size=32, latent=LATENT, widths=(8, 16, 24))
    torch.nn.init.normal_(network.colour[3].weight, std=0.05)
    torch.nn.init.normal_(network.mean.weight, std=1.0)
    steps = np.eye(2, LATENT, dtype=np.float32)
    names = ("smile", "beard")
    attributes = tuple(Attribute(n, n.title(), "less", "more", 1.0, 1.0, "", 0.0, is_read=True) for n in names)
    spread = np.eye(LATENT, dtype=np.float32)
    directions = Directions(attributes, steps, np.zeros(LATENT, np.float32), spread, backend="test")
    return FaceSpace(network, directions, backend="test", device=torch.device("cpu"))


@pytest.fixture(autouse=True)
def installed(space: FaceSpace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: space if name == "dfc_vae" else load(name))
    yield


@pytest.fixture(scope="module")
def face(photo: Image) -> Face:
    return registry.load("faces").find(photo, most=1)[0]


def held(photo: Image, face: Face) -> Held:
    return latent.hold(photo, name="astronaut", face=face)


def test_the_same_photo_gives_the_same_code_and_sliders_at_zero_change_nothing(photo: Image, face: Face) -> None:
    one, other = held(photo, face), held(photo, face)
    np.testing.assert_array_equal(one.numbers, other.numbers)
    still = latent.edit(one, {"smile": 0.0, "beard": None})  # type: ignore[dict-item]
    np.testing.assert_array_equal(still.picture, one.rebuilt)
    assert one.source is not None
    np.testing.assert_array_equal(still.detailed, one.source.code.crop.pixels)
    np.testing.assert_array_equal(latent.into_photo(one, still, keep_detail=True), photo)


def test_sliders_move_the_code_by_steps_within_their_reach(photo: Image, face: Face) -> None:
    one = held(photo, face)
    made = latent.edit(one, {"smile": 2.0, "beard": 99.0, "nonsense": 1.0})
    np.testing.assert_allclose((made.numbers - one.numbers)[:3], [2.0, 3.0, 0.0], atol=1e-6)
    fitted = np.full(LATENT, 0.5, np.float32)
    pushed = latent.edit(one, {latent.FROM_THE_MAP: 2.0}, fitted=fitted)
    np.testing.assert_allclose(pushed.numbers - one.numbers, 1.0, atol=1e-6)


def test_an_edited_face_goes_back_into_its_photo_and_nowhere_else(photo: Image, face: Face) -> None:
    one = held(photo, face)
    made = latent.edit(one, {"smile": 3.0})
    for keep_detail in (True, False):
        result = latent.into_photo(one, made, keep_detail=keep_detail)
        assert result.shape == photo.shape and result.dtype == np.uint8
        changed = np.abs(result.astype(int) - photo).max(2) > 0
        assert changed.any()
        corners = np.array([[0, 0, 1], [32, 0, 1], [0, 32, 1], [32, 32, 1]]) @ one.source.code.crop.image_from_crop.T
        rows, columns = np.nonzero(changed)
        assert columns.min() >= corners[:, 0].min() - 2 and columns.max() <= corners[:, 0].max() + 2
        assert rows.min() >= corners[:, 1].min() - 2 and rows.max() <= corners[:, 1].max() + 2


def test_random_faces_follow_their_seed() -> None:
    np.testing.assert_array_equal(latent.random_face(3).numbers, latent.random_face(3).numbers)
    assert np.abs(latent.random_face(3).numbers - latent.random_face(4).numbers).max() > 0.1


def test_the_table_keeps_five_faces_and_knows_them_by_letter() -> None:
    table = Table()
    with pytest.raises(NoFaceFound, match="no face yet"):
        _ = table.face
    for seed in range(6):
        table = table.with_face(latent.random_face(seed))
    assert [face.name for face in table.faces] == [f"random {seed}" for seed in range(1, 6)]
    assert table.letter("A").name == "random 1" and table.face.name == "random 5"
    assert table.choosing(1).face.name == "random 2"
    assert table.choosing("x").chosen == table.chosen
    fewer = table.without(4)
    assert len(fewer.faces) == 4 and fewer.face.name == "random 4"
    with pytest.raises(NoFaceFound, match="no face E"):
        fewer.letter("E")
    mixed = latent.mixture(table, "A", "B", "C")
    expected = table.faces[0].numbers - table.faces[1].numbers + table.faces[2].numbers
    np.testing.assert_allclose(mixed.numbers, expected, atol=1e-6)


def test_an_attribute_fitted_to_a_selection_points_where_it_differs() -> None:
    rng = np.random.default_rng(0)
    chosen, others = rng.standard_normal((40, LATENT)), rng.standard_normal((60, LATENT))
    chosen[:, 2] += 3
    step = latent.fit_attribute(chosen.astype(np.float32), others.astype(np.float32))
    assert abs(step[2] - 1) < 0.2
    assert np.abs(np.delete(step, 2)).max() < 0.2
    with pytest.raises(BadInput, match="at least 5"):
        latent.fit_attribute(chosen[:4].astype(np.float32), others.astype(np.float32))


def test_the_way_begins_and_ends_at_its_faces() -> None:
    faces = [latent.random_face(seed) for seed in range(3)]
    codes = latent_morph.path(faces, 9)
    for place, face in zip((0, 4, 8), faces, strict=True):
        np.testing.assert_allclose(codes[place], face.numbers, atol=1e-5)
    assert latent_morph.strip(faces, count=5).shape == (5, 32, 32, 3)
    with pytest.raises(BadInput, match="two to five"):
        latent_morph.path(faces[:1], 9)


def test_films_can_be_played_and_stopped() -> None:
    faces = [latent.random_face(seed) for seed in range(2)]
    told: list[float | None] = []
    content = latent_morph.film(faces, "mp4", lambda words, share: told.append(share) or True)
    with av.open(io.BytesIO(content)) as clip:
        assert sum(1 for _ in clip.decode(video=0)) == 2 * (latent_morph.STAY + latent_morph.WAY - 1)
        assert clip.streams.video[0].width == latent_morph.EDGE
    assert told[0] == 0 and told[-1] == 0.9
    moving = Pillow.open(io.BytesIO(latent_morph.film(faces, "gif", lambda words, share: True)))
    assert moving.n_frames > 20  # type: ignore[attr-defined]
    with pytest.raises(Cancelled):
        latent_morph.film(faces, "mp4", lambda words, share: False)


def test_the_code_can_be_taken_along(photo: Image, face: Face) -> None:
    one = held(photo, face)
    record = json.loads(latent.code_record(one, latent.edit(one, {"smile": 1.0}), {"smile": 1.0, "beard": 0.0}))
    assert record["backend"] == "test" and record["steps"] == {"smile": 1.0}
    assert len(record["code"]) == LATENT


def test_codes_of_another_size_are_refused(space: FaceSpace) -> None:
    with pytest.raises(BadInput, match="16 finite numbers"):
        space.decode(np.zeros((1, 3), np.float32))
