"""Find the faces of a picture: propose squares, look three times through the landmark network, keep what is a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.device import place
from models.faces.align import cut, eye_distance, square, upright_matrix
from models.faces.detect import SMALLEST, Detector, Proposal, whole_picture
from models.faces.names import MIRRORED_BLENDSHAPES, MIRRORED_LANDMARKS
from models.faces.network import FaceNet
from models.faces.pose import head_pose
from models.types import Box, Crop, Face, HeadPose, Image, Points, Quality, check_image

FIRST_SCALE = 1.45
"""Crop edge over the detector's square at the first look: detectors box the inner face."""
SECOND_SCALES = (1.4,)
"""Crop edge over the landmark box at the second look, within what training shows."""
LAST_SCALES = (1.3, 1.5)
"""The same for the last look, which averages over both."""
LEAST_SCORE = 0.9
LEAST_SCORE_UNPROPOSED = 0.98
"""For squares that no detector proposed, such as the middle of the picture."""
LEAST_CONTRAST = 5.0
"""Standard deviation of a crop's grey levels, below which it shows nothing at all."""
TURNED_DEGREES = 35.0
BLUR_LIMIT = 18.0
"""Variance of the Laplacian of the grey face at 128 px, below which it counts as blurred."""
MOST_PROPOSALS = 120
BATCH = 16


@dataclass(frozen=True, eq=False)
class _Look:
    """One proposal seen through the network."""

    landmarks: Points
    blendshapes: NDArray[np.float32]
    score: float
    crop: Crop


@dataclass(frozen=True, eq=False)
class _Batch:
    """The network's answers on some crops, in crop pixels."""

    points: NDArray[np.float32]
    """(N, 478, 3)"""
    blendshapes: NDArray[np.float32]
    """(N, 52)"""
    scores: NDArray[np.float32]
    """(N,)"""


def _looks(crops: list[Crop], batch: _Batch) -> list[_Look]:
    rows = zip(crops, batch.points, batch.blendshapes, batch.scores, strict=True)
    return [_Look(crop.to_image(points), shapes, float(score), crop) for crop, points, shapes, score in rows]


def _mean_look(looks: tuple[_Look, ...]) -> _Look:
    """Average readings of one face; the first crop stands for all."""
    return _Look(
        np.mean([look.landmarks for look in looks], 0, dtype=np.float32),
        np.mean([look.blendshapes for look in looks], 0, dtype=np.float32),
        float(np.mean([look.score for look in looks])),
        looks[0].crop,
    )


class FaceFinder:
    """Faces of a picture, best first; holds nothing but the network and the detector."""

    def __init__(self, network: FaceNet, detector: Detector, *, device: torch.device, dtype: torch.dtype) -> None:
        self.network = place(network, device=device, dtype=dtype)
        self.detector = detector
        self.device, self.dtype = device, dtype
        self.size = int(network.config["size"])
        self.mean_shape = network.mean_shape.float().cpu().numpy()

    def find(self, image: Image, *, most: int = 50) -> list[Face]:
        """Return at most `most` faces from 40 px up, best first; an empty list when there is none."""
        check_image(image)
        proposals = _distinct(self.detector(image))[:MOST_PROPOSALS]
        faces = self._look_again(image, proposals, least=LEAST_SCORE)
        if not faces:
            faces = self._look_again(image, whole_picture(image), least=LEAST_SCORE_UNPROPOSED)
        return faces[:most]

    def landmark(self, image: Image, boxes: list[Box]) -> list[Face]:
        """Read faces whose places are known (a clip's previous frame, a label); one that is not a face is left out."""
        check_image(image)
        return self._look_again(image, [Proposal(box, 1.0) for box in boxes], least=LEAST_SCORE)

    def follow(self, image: Image, before: list[Face]) -> list[Face]:
        """Read faces again where they were in a clip's previous frame; those that left or are hidden are left out.

        Only the last look is taken, from the previous landmarks: half the work of `landmark`. The faces keep the order
        of `before`, so an answer shorter than it does not say which one is missing: compare the boxes.
        """
        check_image(image)
        looks = self._look_closely(image, [face.landmarks for face in before], scales=LAST_SCALES)
        return [self._face(image, look) for look in looks if look.score > LEAST_SCORE and _sensible(look.landmarks)]

    def read_whole(self, image: Image) -> Face:
        """Take the whole picture for a face crop, whatever it scores: for face sets that come already cut."""
        check_image(image)
        height, width = image.shape[:2]
        edge = float(max(height, width))
        matrix = square((width / 2 - 0.5, height / 2 - 0.5), edge * 1.1, size=self.size)
        look = self._look([cut(image, matrix, size=self.size)])[0]
        if _promising(look):
            look = self._look_closely(image, [look.landmarks], scales=SECOND_SCALES)[0]
        return self._face(image, look)

    def _look_again(self, image: Image, proposals: list[Proposal], *, least: float) -> list[Face]:
        if not proposals:
            return []
        crops = [self._first_crop(image, proposal.box) for proposal in proposals]
        crops = [crop for crop in crops if crop.pixels.std() > LEAST_CONTRAST]
        if not crops:
            return []
        first = [look for look in self._look(crops) if _promising(look)]
        places = [look.landmarks for look in first]
        second = [look for look in self._look_closely(image, places, scales=SECOND_SCALES) if _promising(look)]
        places = [look.landmarks for look in _without_doubles(second)]
        looks = self._look_closely(image, places, scales=LAST_SCALES)
        faces = [self._face(image, look) for look in looks if look.score > least and _sensible(look.landmarks)]
        return sorted(faces, key=lambda face: -_rank(face.score, face.box))

    def _first_crop(self, image: Image, box: Box) -> Crop:
        edge = max(box.width, box.height) * FIRST_SCALE
        return cut(image, square(box.centre, edge, size=self.size), size=self.size)

    def _look(self, crops: list[Crop]) -> list[_Look]:
        return _looks(crops, self._read([crop.pixels for crop in crops]))

    def _look_closely(self, image: Image, places: list[Points], *, scales: tuple[float, ...]) -> list[_Look]:
        """Read faces at these places, at some scales and both ways round, and average: steadier points than one look.

        A mirrored picture gives the mirrored reading.
        """
        if not places:
            return []
        matrices = [upright_matrix(points, size=self.size, scale=scale) for scale in scales for points in places]
        crops = [cut(image, matrix, size=self.size) for matrix in matrices]
        looks = _looks(crops, self._both_ways(crops))
        by_scale = [looks[start : start + len(places)] for start in range(0, len(looks), len(places))]
        return [_mean_look(same) for same in zip(*by_scale, strict=True)]

    def _both_ways(self, crops: list[Crop]) -> _Batch:
        squares = [crop.pixels for crop in crops]
        both = self._read([*squares, *(np.ascontiguousarray(square[:, ::-1]) for square in squares)])
        count = len(crops)
        back = both.points[count:, MIRRORED_LANDMARKS]
        back[..., 0] = self.size - 1 - back[..., 0]
        return _Batch(
            points=(both.points[:count] + back) / 2,
            blendshapes=(both.blendshapes[:count] + both.blendshapes[count:, MIRRORED_BLENDSHAPES]) / 2,
            scores=(both.scores[:count] + both.scores[count:]) / 2,
        )

    @torch.inference_mode()
    def _read(self, squares: list[Image]) -> _Batch:
        points, shapes, scores = [], [], []
        for start in range(0, len(squares), BATCH):
            pixels = torch.from_numpy(np.stack(squares[start : start + BATCH])).to(self.device)
            pixels = pixels.permute(0, 3, 1, 2).to(self.dtype) / 255  # (B, 3, size, size)
            reading = self.network(pixels.contiguous(memory_format=torch.channels_last))
            places = reading.landmarks.float().cpu().numpy() * (self.size / 2)
            places[..., :2] += (self.size - 1) / 2
            points.append(places)
            shapes.append(reading.blendshapes.float().sigmoid().cpu().numpy())
            scores.append(reading.score.float().sigmoid().cpu().numpy())
        return _Batch(np.concatenate(points), np.concatenate(shapes), np.concatenate(scores))

    def _face(self, image: Image, look: _Look) -> Face:
        box = _box(look)
        pose = head_pose(look.landmarks, self.mean_shape)
        quality = quality_of(box, pose, look.crop.pixels, image.shape[:2])
        return Face(box, look.score, look.landmarks, look.blendshapes, pose, quality)


def quality_of(box: Box, pose: HeadPose, crop: Image, shape: tuple[int, int]) -> Quality:
    """Say what makes a reading unsure; `crop` shows the face as the last look does, `shape` is height, width."""
    height, width = shape
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    fifth = grey.shape[0] // 5
    sharpness = float(cv2.Laplacian(grey[fifth:-fifth, fifth:-fifth], cv2.CV_64F).var())
    near_x, near_y = 0.04 * box.width, 0.04 * box.height
    return Quality(
        too_small=max(box.width, box.height) < SMALLEST,
        blurred=sharpness < BLUR_LIMIT,
        turned=max(abs(pose.yaw), abs(pose.pitch)) > TURNED_DEGREES,
        # the network guesses a face that is cut to lie just inside
        cut_by_border=box.left < near_x
        or box.top < near_y
        or box.right > width - near_x
        or box.bottom > height - near_y,
    )


def _sensible(landmarks: Points) -> bool:
    """Points of a face span some pixels, and the irises lie well inside the outline."""
    spread = landmarks[:, :2].max(0) - landmarks[:, :2].min(0)
    return bool(spread.min() > 8 and eye_distance(landmarks) > 0.1 * spread.max())


def _distinct(proposals: list[Proposal]) -> list[Proposal]:
    kept: list[Proposal] = []
    for proposal in proposals:
        if all(proposal.box.overlap(other.box) < 0.5 for other in kept):
            kept.append(proposal)
    return kept


def _promising(look: _Look) -> bool:
    return look.score > 0.2 and _sensible(look.landmarks)


def _box(look: _Look) -> Box:
    low, high = look.landmarks[:, :2].min(0), look.landmarks[:, :2].max(0)
    return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _rank(score: float, box: Box) -> float:
    """How good a find is: score times the square root of size."""
    return score * float(np.sqrt(max(box.width, 1.0)))


def _without_doubles(looks: list[_Look]) -> list[_Look]:
    """Keep the best of looks that lie on each other."""
    kept: list[_Look] = []
    for look in sorted(looks, key=lambda look: -_rank(look.score, _box(look))):
        if all(_box(look).overlap(_box(other)) < 0.35 for other in kept):
            kept.append(look)
    return kept
