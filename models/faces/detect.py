"""Where faces may be: YuNet when its file is there, otherwise the Haar cascades in the OpenCV wheel.

Both only propose: the landmark network decides what is a face.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.errors import BadWeights
from models.types import Box, Image

LONGEST = 640
"""Edge in pixels to which pictures are shrunk before looking for faces."""
SMALLEST = 40
"""Smallest face edge, in pixels of the picture, that is looked for."""


@dataclass(frozen=True)
class Proposal:
    """A square where a face may be, in image pixels, and the detector's own confidence (any scale)."""

    box: Box
    confidence: float


Detector = Callable[[Image], list[Proposal]]
"""Takes RGB uint8, returns proposals in the pixels of that picture, best first."""


def shrink(image: Image, longest: int) -> tuple[Image, float]:
    """Return the picture with its longer edge at most `longest`, and small pixels per large pixel."""
    factor = longest / max(image.shape[:2])
    if factor >= 1:
        return image, 1.0
    height, width = (max(1, round(edge * factor)) for edge in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8), factor


def haar(*, neighbours: int = 3) -> Detector:
    """Build the detector that needs no file: frontal cascades, then profiles both ways round.

    `neighbours` is how many overlapping hits make a proposal: fewer find more faces and more that are none.
    """
    folder = Path(cv2.data.haarcascades)
    front = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
    plain = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
    side = cv2.CascadeClassifier(str(folder / "haarcascade_profileface.xml"))

    def detect(image: Image) -> list[Proposal]:
        small, factor = shrink(image, LONGEST)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        least = max(20, round(SMALLEST * factor * 0.8))
        found = _cascade(front, grey, least, neighbours=neighbours)
        if not found:
            found = _cascade(plain, grey, least, neighbours=neighbours)
            found += _cascade(side, grey, least, neighbours=neighbours)
            mirrored = np.ascontiguousarray(grey[:, ::-1])
            for proposal in _cascade(side, mirrored, least, neighbours=neighbours):
                box = proposal.box
                width = grey.shape[1]
                flipped = Box(width - box.right, box.top, width - box.left, box.bottom)
                found.append(Proposal(flipped, proposal.confidence))
        return [_enlarge(proposal, 1 / factor) for proposal in sorted(found, key=lambda p: -p.confidence)]

    return detect


def yunet(file: Path) -> Detector:
    """Build the YuNet detector (Wu et al. 2023) from its ONNX file; raises BadWeights when OpenCV cannot read it."""
    try:
        network = cv2.FaceDetectorYN.create(str(file), "", (320, 320), score_threshold=0.5, top_k=200)
    except cv2.error as error:
        raise BadWeights(f"{file} is not a YuNet network that OpenCV {cv2.__version__} can read") from error

    def detect(image: Image) -> list[Proposal]:
        small, factor = shrink(image, LONGEST)
        network.setInputSize((small.shape[1], small.shape[0]))
        _, rows = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        found = []
        for row in rows if rows is not None else []:
            left, top, width, height = (float(v) for v in row[:4])
            edge = max(width, height)
            x, y = left + width / 2, top + height / 2
            found.append(Proposal(Box(x - edge / 2, y - edge / 2, x + edge / 2, y + edge / 2), float(row[14])))
        return [_enlarge(proposal, 1 / factor) for proposal in sorted(found, key=lambda p: -p.confidence)]

    return detect


def whole_picture(image: Image) -> list[Proposal]:
    """Squares to try when nothing was proposed: portraits fill the picture, or its middle."""
    height, width = image.shape[:2]
    proposals = []
    for share in (0.55, 0.8):
        edge = min(height, width) * share
        for x, y in ((0.5, 0.5), (0.5, 0.35)):
            centre_x, centre_y = width * x, height * y
            box = Box(centre_x - edge / 2, centre_y - edge / 2, centre_x + edge / 2, centre_y + edge / 2)
            proposals.append(Proposal(box, 0.0))
    return proposals


def _cascade(cascade: cv2.CascadeClassifier, grey: np.ndarray, least: int, *, neighbours: int) -> list[Proposal]:
    boxes, _, weights = cascade.detectMultiScale3(
        grey, 1.1, neighbours, minSize=(least, least), outputRejectLevels=True
    )
    if len(boxes) == 0:
        return []
    return [
        Proposal(Box(float(x), float(y), float(x + w), float(y + h)), float(weight))
        for (x, y, w, h), weight in zip(boxes, np.ravel(weights), strict=True)
    ]


def _enlarge(proposal: Proposal, factor: float) -> Proposal:
    box = proposal.box
    return Proposal(
        Box(box.left * factor, box.top * factor, box.right * factor, box.bottom * factor), proposal.confidence
    )
