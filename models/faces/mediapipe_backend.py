"""MediaPipe's own Face Landmarker behind the same door as FaceFinder: used when its package and file are there."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.faces.align import cut as cut_square
from models.faces.align import square
from models.faces.finder import FaceFinder, quality_of
from models.faces.pose import head_pose
from models.training.label import ask, landmarker
from models.types import Box, Face, Image, check_image

MOST_FACES = 50


class MediaPipeFinder:
    """The official landmarker; our own finder still reads whole pictures and supplies the mean face for the pose.

    The landmarker is not safe to call from several threads at once, so calls wait for one another.
    """

    def __init__(self, task_file: Path, own: FaceFinder) -> None:
        self.teacher = landmarker(task_file, most=MOST_FACES)
        self.own = own
        self._one_at_a_time = threading.Lock()

    def find(self, image: Image, *, most: int = 50) -> list[Face]:
        """Return at most `most` faces, largest first; an empty list when there is none."""
        check_image(image)
        with self._one_at_a_time:
            answers = list(ask(self.teacher, image))
        faces = [self._face(image, landmarks, blendshapes) for landmarks, blendshapes, _ in answers]
        return sorted(faces, key=lambda face: -face.box.width * face.box.height)[:most]

    def landmark(self, image: Image, boxes: list[Box]) -> list[Face]:
        """Return the faces found that lie on the given boxes."""
        return [face for face in self.find(image) if any(face.box.overlap(box) > 0.3 for box in boxes)]

    def read_whole(self, image: Image) -> Face:
        """Take the whole picture for a face crop, as FaceFinder does."""
        return self.own.read_whole(image)

    def _face(self, image: Image, landmarks: NDArray[np.float32], blendshapes: NDArray[np.float32]) -> Face:
        low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
        box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        pose = head_pose(landmarks, self.own.mean_shape)
        edge = max(box.width, box.height) * 1.5
        look = cut_square(image, square(box.centre, edge, size=self.own.size), size=self.own.size)
        return Face(box, 1.0, landmarks, blendshapes, pose, quality_of(box, pose, look.pixels, image.shape[:2]))
