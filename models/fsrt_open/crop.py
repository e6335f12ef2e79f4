"""One square for a whole clip, faces in its pixels, and the way back into the photo."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import NoFaceFound
from models.faces.align import cut, square
from models.motions import Drive, read_drive
from models.types import Box, Crop, Face, Image, check_image

SIZE = 256
ROOM = 1.6
"""Edge of the square over the longer edge of the landmarks' box."""
WANDER = 1.25
"""Edge of the square over the box of all places that the face visits."""
FEATHER = 0.12
"""Width of the border that fades into the photo, in edges."""


def static_box(landmarks: NDArray[np.float32], present: NDArray[np.bool_] | None = None) -> Box:
    """The square that holds a face for a whole clip: (T, 478, 3) or (478, 3) points in image pixels.

    Its middle is the median of the face's; it is ROOM times the median face, or larger where the face wanders. Frames
    that are not `present` (T,) do not count; raises NoFaceFound when none is.
    """
    points = landmarks[None] if landmarks.ndim == 2 else landmarks
    points = points if present is None else points[present]
    if not len(points):
        raise NoFaceFound("no face in any frame")
    low, high = points[..., :2].min(1), points[..., :2].max(1)  # (T, 2)
    edge = float(np.median((high - low).max(1))) * ROOM
    centre = np.median((low + high) / 2, axis=0).astype(np.float64)
    reach = 2 * float(np.maximum(high.max(0) - centre, centre - low.min(0)).max())
    half = max(edge, min(reach * WANDER, 2.5 * edge)) / 2
    x, y = float(centre[0]), float(centre[1])
    return Box(x - half, y - half, x + half, y + half)


def cut_box(image: Image, box: Box, *, size: int = SIZE) -> Crop:
    """Cut a square box out of a picture; beyond the border the edge is repeated."""
    return cut(image, square(box.centre, max(box.width, box.height), size=size), size=size)


def in_crop(face: Face, crop: Crop) -> Face:
    """The same face in the pixels of an upright crop."""
    points = crop.to_crop(face.landmarks)
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return replace(face, landmarks=points, box=Box(float(low[0]), float(low[1]), float(high[0]), float(high[1])))


def drive_in_box(face: Face, box: Box) -> Drive:
    """What one face of a picture does, in units of a square box of that picture."""
    edge = max(box.width, box.height)
    points = face.landmarks.astype(np.float32) * np.float32(2 / edge)
    points[:, :2] -= np.array(box.centre, np.float32) * np.float32(2 / edge)
    return read_drive(points, face.blendshapes)


def feather(size: int, *, width: float = FEATHER) -> NDArray[np.float32]:
    """(size, size) in [0, 1]: 0 on the outermost pixels, 1 from `width` edges inside on, smooth between."""
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (width * size), 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.outer(ramp, ramp).astype(np.float32)


def paste_back(photo: Image, box: Box, frame: Image) -> Image:
    """Lay a frame over the square `box` of the photo it was cut from; outside the box no pixel changes."""
    check_image(photo)
    height, width = photo.shape[:2]
    left, top = max(int(np.floor(box.left)), 0), max(int(np.floor(box.top)), 0)
    right, bottom = min(int(np.ceil(box.right)) + 1, width), min(int(np.ceil(box.bottom)) + 1, height)
    if right <= left or bottom <= top:
        return photo.copy()
    size = frame.shape[0]
    # a map from the part of the photo that is touched to the frame's pixels
    matrix = square(box.centre, max(box.width, box.height), size=size)
    matrix = matrix @ np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1]])
    area, flags = (right - left, bottom - top), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        frame, matrix[:2], area, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    share = cv2.warpAffine(feather(size), matrix[:2], area, flags=flags)[..., None]
    result = photo.copy()
    under = photo[top:bottom, left:right]
    result[top:bottom, left:right] = np.clip(laid * share + under * (1 - share) + 0.5, 0, 255).astype(np.uint8)
    return result
