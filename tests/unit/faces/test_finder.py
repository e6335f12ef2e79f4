"""Real photos in, faces out; what is no face is not one."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from models import registry
from models.faces.finder import FaceFinder
from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.types import Box


def moved(box: Box, x: float) -> Box:
    return Box(box.left + x, box.top, box.right + x, box.bottom)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return registry.load("faces")


def test_the_astronaut_has_one_face_with_eyes_where_they_are(finder, photo):
    faces = finder.find(photo)
    assert len(faces) == 1
    face = faces[0]
    assert face.score > 0.5
    assert face.landmarks[IRIS_RIGHT, :2] == pytest.approx([203, 100.6], abs=4)
    assert face.landmarks[IRIS_LEFT, :2] == pytest.approx([245.5, 103], abs=4)
    assert abs(face.pose.yaw) < 20 and abs(face.pose.roll) < 15
    assert ((face.blendshapes >= 0) & (face.blendshapes <= 1)).all()


def test_the_same_photo_gives_the_same_faces(finder, photo):
    first, second = finder.find(photo)[0], finder.find(photo)[0]
    assert (first.landmarks == second.landmarks).all()
    assert (first.blendshapes == second.blendshapes).all()


def test_several_faces_come_back_once_each(finder, photo):
    head = photo[20:230, 110:330]
    wall = np.full((460, 960, 3), 120, np.uint8)
    for column in range(4):
        wall[20:230, 10 + 235 * column : 230 + 235 * column] = head
        wall[240:450, 10 + 235 * column : 230 + 235 * column] = head[:, ::-1]
    faces = finder.find(wall)
    assert len(faces) == 8
    cells = {(int(face.box.centre[0] // 240), int(face.box.centre[1] // 230)) for face in faces}
    assert len(cells) == 8


@pytest.mark.parametrize("kind", ["black", "grey", "noise", "stripes", "sky"])
def test_what_is_no_face_gives_an_empty_list(finder, kind):
    rng = np.random.default_rng(3)
    pictures = {
        "black": np.zeros((300, 400, 3), np.uint8),
        "grey": np.full((200, 200, 3), 128, np.uint8),
        "noise": rng.integers(0, 256, (300, 400, 3), dtype=np.uint8),
        "stripes": np.repeat(np.arange(300)[:, None, None] // 9 % 2 * 255, 400, 1).repeat(3, 2).astype(np.uint8),
        "sky": np.linspace([90, 140, 220], [200, 220, 250], 300)[:, None].repeat(400, 1).astype(np.uint8),
    }
    assert finder.find(pictures[kind]) == []


@pytest.mark.parametrize("name", ["coffee", "chelsea", "moon", "page", "grass", "rocket", "logo"])
def test_a_photo_of_something_else_has_no_face(finder, name):
    picture = getattr(skimage.data, name)()
    colour = picture[..., :3] if picture.ndim == 3 else np.dstack([picture] * 3)
    assert finder.find(np.ascontiguousarray(colour)) == []


def test_a_small_face_is_found_and_flagged(finder, photo):
    head = Pillow.fromarray(photo[20:260, 100:340])
    field = np.full((400, 600, 3), 150, np.uint8)
    field[100:196, 200:296] = np.asarray(head.resize((96, 96), Pillow.Resampling.LANCZOS))
    faces = finder.find(field)
    assert len(faces) == 1
    assert faces[0].box.centre == pytest.approx((248, 142), abs=14)


def test_a_face_cut_by_the_border_says_so(finder, photo):
    whole = finder.find(photo)[0]
    assert "cut by the border" not in whole.quality.flags
    for left in (180, 190, 200):
        face = finder.landmark(np.ascontiguousarray(photo[:, left:]), [moved(whole.box, -left)])[0]
        assert "cut by the border" in face.quality.flags


def test_a_large_picture_is_shrunk_for_the_search_only(finder, photo):
    large = np.asarray(Pillow.fromarray(photo).resize((3072, 3072)))
    face = finder.find(large)[0]
    assert face.landmarks[IRIS_RIGHT, :2] == pytest.approx([203 * 6, 100.6 * 6], abs=24)


def test_the_mirror_image_mirrors_the_reading(finder, photo):
    face = finder.find(photo)[0]
    mirrored = finder.find(np.ascontiguousarray(photo[:, ::-1]))[0]
    assert mirrored.pose.yaw == pytest.approx(-face.pose.yaw, abs=8)


def test_grey_levels_alone_are_refused(finder, photo):
    with pytest.raises(ValueError, match="RGB uint8"):
        finder.find(photo[..., 0])


def test_a_face_is_followed_while_it_moves_and_lost_when_it_is_gone(finder, photo):
    face = finder.find(photo)[0]
    shift = 12
    moved_photo = np.ascontiguousarray(np.roll(photo, shift, axis=1))
    followed = finder.follow(moved_photo, [face])[0]
    eyes = np.linalg.norm(face.landmarks[IRIS_RIGHT, :2] - face.landmarks[IRIS_LEFT, :2])
    off = np.linalg.norm(followed.landmarks[:, :2] - face.landmarks[:, :2] - [shift, 0], axis=1).mean()
    assert off < 0.05 * eyes
    assert finder.follow(np.full_like(photo, 128), [face]) == []
    assert finder.follow(photo, []) == []
