"""Pictures and films of a head: over its photo, turned, as a contact sheet, and turning once around."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.spatial.transform import Rotation

from models.head.drawing import Drawable, over
from models.head.parameters import HeadParameters
from models.head.reader import neutral
from models.head.repaint import repaint
from models.types import Image
from studio.services.mesh import MeshFace, painted, texture_of, the_head, vertices_of
from studio.services.mesh_graphics import draw
from studio.services.mesh_scene import EYE_PARTS, FRONT_PARTS, STAGE_SIZE, stage_of

GROUND = (250, 249, 247)
TURN_FRAMES, TURN_RATE = 48, 16
TURN_SIZE = 384
HEAD_HEIGHT = 0.335
"""Metres that the edge of a picture spans in which the head stands alone."""


def drawable(
    mesh: MeshFace,
    parameters: HeadParameters,
    *,
    look: str,
    eyes: bool = True,
    whole: bool = True,
    skin: Image | None = None,
) -> Drawable:
    """Return the head with its colours; `look` is texture, or shaded for plain colours."""
    head = mesh.head
    parts = [
        name
        for name in head.part_names
        if (eyes or name not in EYE_PARTS) and (whole or name in (*FRONT_PARTS, *EYE_PARTS))
    ]
    texture = (texture_of(mesh) if skin is None else skin) if look == "texture" else None
    return Drawable(
        parameters.to_picture(vertices_of(parameters, head)), head.part_faces(*parts), head.colours, head.uvs, texture
    )


def alone(parameters: HeadParameters, *, size: int, yaw: float = 0.0, pitch: float = 0.0) -> HeadParameters:
    """The same head in the middle of a square picture, turned by `yaw` and `pitch` degrees."""
    turn = Rotation.from_euler("xy", [pitch, yaw], degrees=True).as_matrix()
    scale = size / HEAD_HEIGHT
    middle = (turn @ np.array([0.0, -0.012, -0.07]))[:2] * scale
    return replace(
        parameters,
        rotation=turn.astype(np.float32),
        scale=scale,
        shift=np.array([size / 2 - middle[0], size / 2 + middle[1]], np.float32),
    )


def portrait(
    mesh: MeshFace,
    parameters: HeadParameters,
    *,
    size: int,
    yaw: float = 0.0,
    pitch: float = 0.0,
    look: str = "texture",
    skin: Image | None = None,
) -> Image:
    """Draw the head alone, (size, size, 3)."""
    what = drawable(mesh, alone(parameters, size=size, yaw=yaw, pitch=pitch), look=look, skin=skin)
    ground = np.full((size, size, 3), GROUND, np.uint8)
    return over(draw(what, height=size, width=size), ground)


def overlay(mesh: MeshFace, now: MeshFace, *, opacity: float = 0.85, look: str = "shaded") -> Image:
    """Draw the face of `now` over the part of the photo around the head of `mesh`, (640, 640, 3)."""
    stage, _ = stage_of(mesh)
    _, at = stage_of(now)
    picture = draw(drawable(mesh, at, look=look, whole=False), height=STAGE_SIZE, width=STAGE_SIZE)
    return over(picture, stage, opacity=opacity)


def with_expression(mesh: MeshFace, now: MeshFace) -> Image:
    """Return the photo with the expression of `now`: its own pixels, and what a network adds to them."""
    stage, before = stage_of(mesh)
    _, after = stage_of(now)
    return laid_back(mesh, painted(stage, before, after))


def carried(mesh: MeshFace, now: MeshFace) -> Image:
    """Return the photo with the expression of `now`: its own pixels alone, carried by the head."""
    stage, before = stage_of(mesh)
    _, after = stage_of(now)
    return laid_back(mesh, repaint(the_head(), before, after, stage))


def laid_back(mesh: MeshFace, stage: Image) -> Image:
    """Lay the part around the head back into the whole photo, with a soft border."""
    _, at = stage_of(mesh)
    zoom = mesh.parameters.scale / at.scale
    height, width = mesh.picture.shape[:2]
    matrix = np.array([[zoom, 0, 0], [0, zoom, 0]], np.float64)
    matrix[:, 2] = mesh.parameters.shift - zoom * at.shift
    edge = stage.shape[0]
    ramp = np.clip(np.minimum(np.arange(edge), np.arange(edge)[::-1]) / (0.06 * edge), 0, 1)
    share = cv2.warpAffine(np.minimum.outer(ramp, ramp).astype(np.float32), matrix, (width, height))[..., None]
    flags = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA
    laid = cv2.warpAffine(stage, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid * share + mesh.picture * (1 - share) + 0.5, np.uint8)


def sheet(mesh: MeshFace, now: MeshFace, *, size: int = 320) -> Image:
    """Photo, overlay, the head turned 40 degrees both ways, neutral, and plain: six views in one row."""
    skin = texture_of(mesh)
    stage, _ = stage_of(mesh)
    views = [
        cv2.resize(stage, (size, size), interpolation=cv2.INTER_AREA),
        cv2.resize(overlay(mesh, now), (size, size), interpolation=cv2.INTER_AREA),
        portrait(mesh, now.parameters, size=size, yaw=40, skin=skin),
        portrait(mesh, now.parameters, size=size, yaw=-40, skin=skin),
        portrait(mesh, neutral(now.parameters), size=size, skin=skin),
        portrait(mesh, now.parameters, size=size, look="shaded"),
    ]
    return np.concatenate([np.asarray(view, np.uint8) for view in views], 1)


def turning(mesh: MeshFace, now: MeshFace, *, look: str = "texture", size: int = TURN_SIZE) -> Iterator[Image]:
    """Yield the pictures of one turn."""
    skin = texture_of(mesh) if look == "texture" else None
    for number in range(TURN_FRAMES):
        yield portrait(mesh, now.parameters, size=size, yaw=360 * number / TURN_FRAMES, look=look, skin=skin)


def as_mp4(pictures: Iterator[Image], *, rate: int = TURN_RATE, done: Callable[[int], None] = lambda _: None) -> bytes:
    """Return pictures of one size, even in both edges, as an MP4 film that browsers play."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        track = None
        for number, picture in enumerate(pictures):
            if track is None:
                track = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
                track.height, track.width, track.pix_fmt = picture.shape[0], picture.shape[1], "yuv420p"
            container.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            done(number)
        if track is not None:
            container.mux(track.encode(None))
    return stream.getvalue()


def as_gif(pictures: Iterator[Image], *, rate: int = TURN_RATE) -> bytes:
    """Return pictures as a GIF that repeats."""
    frames = [Pillow.fromarray(picture).quantize(128) for picture in pictures]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=round(1000 / rate), loop=0)
    return stream.getvalue()


def colours_of(mesh: MeshFace) -> NDArray[np.uint8]:
    """(V, 3) the skin's colour at each vertex."""
    skin, uvs = texture_of(mesh), mesh.head.uvs
    height, width = skin.shape[:2]
    x = np.clip((uvs[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uvs[:, 1]) * height).astype(int), 0, height - 1)
    colours: NDArray[np.uint8] = skin[y, x]
    return colours
