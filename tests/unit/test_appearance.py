"""Starter faces: what ships is whole and varied, and the recipe's parts do what they say on real pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.appearance import starter_faces
from models.cards import PRETRAINED, check_weight, read_card
from models.errors import BadInput, BadWeights, MissingWeights
from models.faces.names import BLENDSHAPE_NAMES, IRIS_LEFT, IRIS_RIGHT
from models.training.appearance_cast import gather_cast
from models.training.appearance_compose import LARGEST_SHARE, PEOPLE_PER_REGION, Plan, compose, region_masks
from models.training.face_shapes import (
    frontal_mean,
    mirror_shapes,
    read_labels,
    similarity_frames,
)
from models.training.morph import bands, blend_regions, collapse, mix_bands, rasterise, triangulate, warp, with_surround


def test_there_are_enough_faces_with_labels_that_lie_on_them() -> None:
    faces = starter_faces()
    assert len(faces) >= 240
    assert len({face.sha256 for face in faces}) == len(faces)
    for face in faces[:: len(faces) // 12]:
        image, known = face.image, face.as_face()
        assert image.shape == (256, 256, 3)
        assert 0 < known.box.left < known.box.right < 256 and 0 < known.box.top < known.box.bottom < 256
        assert 30 < known.iris_distance < 110
        assert abs(known.pose.yaw) < 35
        right, left = (face.landmarks[k, :2].round().astype(int) for k in (IRIS_RIGHT, IRIS_LEFT))
        assert right[0] < left[0], "the person's right eye is on the picture's left"


def test_expressions_come_first_in_variety() -> None:
    coefficients = np.stack([face.coefficients for face in starter_faces()])
    column = {name: coefficients[:, k] for k, name in enumerate(BLENDSHAPE_NAMES)}
    assert (column["mouthSmileLeft"] > 0.6).sum() >= 20
    assert (column["jawOpen"] > 0.25).sum() >= 8
    assert (column["browInnerUp"] > 0.5).sum() >= 8
    assert (column["browDownLeft"] > 0.5).sum() >= 8
    assert (column["mouthPucker"] > 0.5).sum() >= 20
    assert (np.abs(column["eyeBlinkLeft"] - column["eyeBlinkRight"]) > 0.3).sum() >= 4, "winks"


def test_nobody_has_more_than_a_share_and_the_card_says_how_far_they_are() -> None:
    for face in starter_faces():
        assert face.made_from.largest_share <= LARGEST_SHARE + 1e-3
        assert len(face.made_from.sources) >= PEOPLE_PER_REGION
    card = read_card(PRETRAINED / "appearance.json")
    assert check_weight(card).stat().st_size < 4_000_000
    assert card.figures["nearest_source_distance_least"].value >= 0.4


def test_absent_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="mien train appearance"):
        starter_faces(tmp_path / "absent.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, foreign)
    with pytest.raises(BadWeights):
        starter_faces(foreign)


def test_a_picture_warped_to_its_own_shape_stays_itself() -> None:
    face = starter_faces()[0]
    points = face.landmarks.astype(np.float64)
    triangles = triangulate(points, points[:, 2])
    dense = rasterise(with_surround(points), triangles, 256)
    warped = warp(face.image, points, dense)
    # where triangles overlap at the nose's edge a pixel may come from the other side
    assert np.abs(warped - face.image).mean() < 1.0


def test_bands_collapse_to_the_picture_and_regions_of_one_picture_join_to_it() -> None:
    picture = starter_faces()[3].image.astype(np.float32)
    np.testing.assert_allclose(collapse(bands(picture)), picture, atol=1e-2)
    left = np.zeros((256, 256), np.float32)
    left[:, :128] = 1
    joined = blend_regions([bands(picture), bands(picture)], np.stack([left, 1 - left]))
    np.testing.assert_allclose(collapse(joined), picture, atol=1e-2)


def test_mixing_two_pictures_keeps_more_contrast_than_their_mean() -> None:
    pictures = np.stack([face.image.astype(np.float32) for face in starter_faces()[:2]])
    shares = np.array([0.5, 0.5])
    crisp = collapse(mix_bands(pictures, shares, crispness=1.0))
    plain = collapse(mix_bands(pictures, shares, crispness=0.0))
    np.testing.assert_allclose(plain, pictures.mean(0), atol=1e-2)
    assert bands(crisp)[0].std() > 1.15 * bands(plain)[0].std()


def test_the_common_frame_is_upright_symmetric_and_recovers_a_known_turn() -> None:
    landmarks = np.stack([face.landmarks for face in starter_faces()[:40]]).astype(np.float64)
    mean = frontal_mean(landmarks)
    np.testing.assert_allclose(mean, mirror_shapes(mean), atol=1e-9)
    assert mean[152, 1] > mean[10, 1], "the chin is below the forehead"
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    frames = similarity_frames((3 * mean @ turn.T + [5, 6, 7])[None], mean)
    np.testing.assert_allclose(frames.turn[0], [0, 12, 0], atol=1e-6)
    np.testing.assert_allclose(frames.normalised((3 * mean @ turn.T + [5, 6, 7])[None])[0], mean, atol=1e-9)


def test_eye_regions_are_the_persons_own() -> None:
    landmarks = np.stack([face.landmarks for face in starter_faces()[:10]]).astype(np.float64)
    masks = region_masks(frontal_mean(landmarks))
    assert masks["left eye"][IRIS_LEFT] > 0.9 and masks["left eye"][IRIS_RIGHT] == 0
    assert masks["mouth"][13] > 0.8 and masks["mouth"][10] == 0


def test_labels_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="mien data label"):
        read_labels(tmp_path)


@pytest.mark.slow
def test_the_same_plan_gives_the_same_face_and_a_lent_eye_changes_that_eye(faces_dir: Path) -> None:
    labels = read_labels(faces_dir / "faces256")
    cast = gather_cast(labels.subset(np.arange(0, len(labels), 2)))
    blink = BLENDSHAPE_NAMES.index("eyeBlinkLeft")
    closed = int(np.argmax(cast.coefficients[:, blink]))
    leader = int(np.argmin(np.linalg.norm(cast.coefficients - np.median(cast.coefficients, 0), axis=1)))
    plain, again = (compose(cast, Plan(5, leader, {})) for _ in range(2))
    np.testing.assert_array_equal(plain.image, again.image)
    wink = compose(cast, Plan(5, leader, {"left eye": closed}))
    assert wink.coefficients[blink] > plain.coefficients[blink] + 0.1
    assert wink.coefficients[blink + 1] == pytest.approx(plain.coefficients[blink + 1])
    gap = [one.landmarks[374, 1] - one.landmarks[386, 1] for one in (plain, wink)]
    assert gap[1] < 0.75 * gap[0]
