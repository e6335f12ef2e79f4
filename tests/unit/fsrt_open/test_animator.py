"""The animator: shapes, determinism, a motion that asks for nothing, sliders, crops and the way back into the photo."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

from models.clips import ClipFrame
from models.errors import BadInput, Cancelled, NoFaceFound
from models.faces.align import pixels, units
from models.faces.finder import FaceFinder
from models.faces.names import BLENDSHAPE_NAMES
from models.faces.pose import head_pose
from models.fsrt_open.animator import Animator, Retarget, Source
from models.fsrt_open.crop import cut_box, drive_in_box, in_crop, paste_back, static_box
from models.fsrt_open.geometry import geometry
from models.fsrt_open.network import FsrtOpen
from models.fsrt_open.shelf import posed, shelf
from models.motions import Motion, mean_landmarks
from models.types import Box, Face, HeadPose, Image

SMALL = {"widths": (8, 8, 8, 8), "depths": (1, 1, 1), "dim": 64, "heads": 1, "decoder": (8, 8, 8), "expression": 8}


def a_face(size: int = 256) -> Face:
    points = pixels(posed(np.zeros(52, np.float32), np.zeros(3)).landmarks, size)
    box = Box(*(float(v) for v in (*points[:, :2].min(0), *points[:, :2].max(0))))
    return Face(box, 1.0, points, np.zeros(52, np.float32), HeadPose(0, 0, 0))


def a_picture(size: int = 256) -> Image:
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.fixture(scope="module")
def animator() -> Animator:
    torch.manual_seed(0)
    return Animator(FsrtOpen(**SMALL), backend="small", device=torch.device("cpu"))


@pytest.fixture(scope="module")
def source(animator: Animator) -> Source:
    return animator.source([a_picture()], [a_face()])


def test_an_own_pose_gives_back_about_the_source(animator: Animator, source: Source) -> None:
    image = animator.frame(source, source.drive)
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    assert (
        np.abs(image.astype(int) - source.image).mean() < 14
    )  # an untrained network mixes a little grey into the warp


def test_frames_are_the_same_alone_and_in_batches(animator: Animator, source: Source) -> None:
    drives = list(animator.retarget(shelf()["nod"], source))[:6]
    together = list(animator.frames(source, drives))
    assert len(together) == 6
    for drive, image in zip(drives, together, strict=True):
        assert np.abs(animator.frame(source, drive).astype(int) - image).max() <= 1
    again = list(animator.frames(source, drives))
    assert all(np.array_equal(one, other) for one, other in zip(together, again, strict=True))


def test_progress_counts_frames_and_may_stop_the_work(animator: Animator, source: Source) -> None:
    counted: list[int] = []
    list(animator.frames(source, list(shelf()["nod"])[:6], on_progress=counted.append))
    assert counted == [4, 6]

    def stop(_: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(animator.frames(source, shelf()["nod"], on_progress=stop))


def test_several_pictures_make_one_source_and_too_many_are_refused(animator: Animator) -> None:
    two = animator.source([a_picture(), a_picture(300)], [a_face(), a_face(300)])
    assert two.memory.keys_values[0][0].shape[2] == 2 * 256
    assert animator.frame(two, two.drive).shape == (256, 256, 3)
    for images in ([], [a_picture()] * 4):
        with pytest.raises(BadInput):
            animator.source(images, [a_face()] * len(images))
    with pytest.raises(BadInput, match="square"):
        animator.source([a_picture()[:200]], [a_face()])


def test_sliders_move_what_they_name(animator: Animator, source: Source) -> None:
    jaw = np.zeros(52, np.float32)
    jaw[BLENDSHAPE_NAMES.index("jawOpen")] = 0.5
    opened = animator.drive_from_sliders(source, coefficients=jaw)
    before, after = (drive.landmarks[14, 1] - drive.landmarks[13, 1] for drive in (source.drive, opened))
    assert after > before + 0.05
    still = animator.drive_from_sliders(source)
    assert still.landmarks == pytest.approx(source.drive.landmarks, abs=1e-5)
    turned = animator.drive_from_sliders(source, rotation=(15.0, 8.0, -5.0))
    pose = [head_pose(drive.landmarks, mean_landmarks()) for drive in (source.drive, turned)]
    assert pose[1].yaw - pose[0].yaw == pytest.approx(15, abs=1)
    assert pose[1].pitch - pose[0].pitch == pytest.approx(8, abs=1)
    assert pose[1].roll - pose[0].roll == pytest.approx(-5, abs=1)
    with pytest.raises(BadInput):
        animator.drive_from_sliders(source, coefficients=np.zeros(51))


def test_retargeting_parts(animator: Animator, source: Source) -> None:
    motion = shelf()["talk"]
    own = source.drive
    assert animator.retarget(motion, source, Retarget(part="pose")).coefficients.max() < 1e-5
    still = animator.retarget(motion, source, Retarget(part="expression", reference=0))
    assert still.rotation == pytest.approx(np.repeat(own.rotation[None], len(motion), 0), abs=1e-5)
    exact = animator.retarget(motion, source, Retarget(mode="absolute"))
    assert exact.rotation == pytest.approx(motion.rotation)


def test_the_warp_of_an_own_pose_leaves_every_place_where_it_is() -> None:
    drive = posed(np.zeros(52, np.float32), np.array([10.0, 0, 0]))
    found = geometry(drive, drive)
    middles = (np.arange(128) + 0.5) / 64 - 1
    assert found.flow[0] == pytest.approx(np.repeat(middles[None], 128, 0), abs=1e-3)
    assert found.flow[1] == pytest.approx(np.repeat(middles[:, None], 128, 1), abs=1e-3)
    assert found.coarse.min() >= 0 and found.coarse.max() <= 1 and found.coarse[4].max() == 0


def test_a_closed_mouth_has_no_cavity_and_an_open_one_has_teeth() -> None:
    coefficients = np.zeros(52, np.float32)
    closed = posed(coefficients, np.zeros(3))
    coefficients[BLENDSHAPE_NAMES.index("jawOpen")] = 0.4
    opened = posed(coefficients, np.zeros(3))
    assert geometry(closed, closed).fine[1].max() == 0
    found = geometry(closed, opened)
    mouth, teeth = found.fine[1], found.fine[4]
    assert 0.02 < teeth.sum() / mouth.sum() < 0.98 and (teeth <= mouth + 1e-6).all()
    assert found.coarse[1].max() == 0  # the source shows no mouth


def test_units_and_pixels_are_inverse() -> None:
    points = a_face(300).landmarks
    assert pixels(units(points, 300), 300) == pytest.approx(points, abs=1e-3)


def test_a_box_crop_and_a_drive_agree() -> None:
    face = a_face(400)
    box = static_box(face.landmarks)
    crop = cut_box(a_picture(400), box)
    assert units(in_crop(face, crop).landmarks, 256) == pytest.approx(drive_in_box(face, box).landmarks, abs=1e-3)


def test_the_box_holds_a_wandering_face_and_forgets_frames_without_one() -> None:
    points = np.stack([a_face().landmarks + np.array([dx, 0, 0], np.float32) for dx in (-40, 0, 60)])
    box = static_box(points)
    assert box.left < points[..., 0].min() and box.right > points[..., 0].max()
    assert box.width == pytest.approx(box.height)
    alone = static_box(points, np.array([False, True, False]))
    assert alone.centre == pytest.approx(static_box(points[1]).centre) and alone.width < box.width
    with pytest.raises(NoFaceFound):
        static_box(points, np.zeros(3, bool))


@pytest.mark.parametrize("box", [Box(30, 40, 130, 140), Box(-50, -20, 90, 120), Box(150, 150, 260, 260)])
def test_pasting_back_changes_nothing_outside_the_box(box: Box) -> None:
    photo = a_picture(200)
    result = paste_back(photo, box, np.full((256, 256, 3), 255, np.uint8))
    rows, columns = np.mgrid[:200, :200]
    outside = (columns < box.left) | (columns > box.right) | (rows < box.top) | (rows > box.bottom)
    assert np.array_equal(result[outside], photo[outside])
    middle = tuple(int(np.clip(v, 0, 199)) for v in box.centre[::-1])
    if all(0 < v < 199 for v in box.centre):
        assert result[middle].min() == 255


def test_pasting_back_what_was_cut_leaves_the_photo() -> None:
    photo, box = a_picture(300), Box(20, 30, 276, 286)
    result = paste_back(photo, box, cut_box(photo, box).pixels)
    assert np.abs(result.astype(int) - photo).max() <= 2
    far = Box(500, 500, 600, 600)
    assert np.array_equal(paste_back(photo, far, cut_box(photo, box).pixels), photo)


class OneFace:
    """Stands for the landmark network: a face where the box is, nothing in black frames."""

    def find(self, image: Image, *, most: int = 50) -> list[Face]:
        return [a_face()] if image.max() else []

    def follow(self, image: Image, before: list[Face]) -> list[Face]:
        return before if image.max() else []


def film(pattern: str) -> Iterator[ClipFrame]:
    for number, sign in enumerate(pattern):
        yield ClipFrame(number / 20, np.full((256, 256, 3), 90 if sign == "x" else 0, np.uint8))


def test_a_motion_is_read_frame_by_frame(animator: Animator) -> None:
    finder: FaceFinder = OneFace()  # type: ignore[assignment]
    reading = animator.read_clip(film("xx-x-----xx"), finder)
    assert reading.motion.fps == pytest.approx(20)
    assert reading.motion.present.tolist()[:4] == [True, True, False, True] and reading.motion.present[-1]
    assert isinstance(animator.read_motion(film("xx"), finder), Motion)
    with pytest.raises(NoFaceFound):
        animator.read_motion(film("---"), finder)
    with pytest.raises(BadInput):
        animator.read_motion(film(""), finder)
