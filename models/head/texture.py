"""A head's skin out of one photo: what the photo shows, its mirror image where it does not, smooth colour elsewhere."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.head.head import Head
from models.head.parameters import HeadParameters
from models.head.rastered import rastered, towards_viewer
from models.types import Image, Points

SIZE = 512
DEPTH_SIZE = 256
"""Edge of the picture in which it is decided what hides what."""
FACING = (0.18, 0.5)
"""Cosine to the viewer from which skin is taken from the photo, and from which it counts in full."""
HIDDEN_BY, HIDDEN_BY_LIDS = 0.012, 0.0008
"""Metres behind the nearest surface from which skin, and what lies behind lids and lips, count as hidden."""
PHOTOGRAPHED = ("face", "skull")
HAIR = (0.035, 0.065)
"""Metres above the head's origin: from brows to forehead, above which the skull takes the photo's hair."""
CONTINUED = (*PHOTOGRAPHED, "neck")
"""A neck is mostly cloth and hair in photos: it takes the colours of the jaw."""
EARS = ("ear_left", "ear_right")
"""Their place is guessed: they take the colour of the cheeks."""
EAR_SHADE = 0.88
CHEEKS = (50, 280, 205, 425)
EYES = ("eye_left", "eye_right")
IRIS_FROM, IRIS_TO = 40, 180
"""Grey levels between the head's own pupils and the white of its eyes."""
IRIS_RANGE = (28, 120)
WHITE_SHADE = 0.82
"""The white of an eye lies in the shadow of its lids."""


def bake_texture(head: Head, parameters: HeadParameters, vertices: NDArray[np.float32], image: Image) -> Image:
    """Return (512, 512, 3) for `head.uvs`, row 0 at v = 1; `vertices` (V, 3) are the head's as fitted to the photo."""
    triangles, weights = _atlas(head)
    placed = parameters.to_picture(vertices)
    corners = head.faces[triangles]  # (S, S, 3)

    def spread(values: NDArray) -> NDArray:
        return np.einsum("xyk,xykc->xyc", weights, values[corners])

    shown = seen(head, parameters, placed, vertices)
    colours = _with_irises(head, image, placed, shown)
    share = spread(shown[:, None])[..., 0]  # (S, S)
    at = spread(placed[:, :2]).astype(np.float32)
    zoom = 1.0
    if parameters.scale > 4000:  # a very large face: shrink first, or pixels would be skipped
        zoom = 4000 / parameters.scale
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    taken = cv2.remap(
        image, (at[..., 0] + 0.5) * zoom - 0.5, (at[..., 1] + 0.5) * zoom - 0.5, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)  # fmt: skip
    height, width = image.shape[:2]
    inside = (
        (at[..., 0] * zoom > 1)
        & (at[..., 1] * zoom > 1)
        & (at[..., 0] * zoom < width - 2)
        & (at[..., 1] * zoom < height - 2)
    )
    share = cv2.GaussianBlur((share * inside).astype(np.float32), (0, 0), 3) * (share > 0)
    twin, twin_share = taken[:, ::-1], share[:, ::-1] * (1 - share)
    eye = spread(np.isin(head.part_of, [head.part_names.index(name) for name in EYES]).astype(np.float32)[:, None])
    total = share + twin_share
    colour = (taken * share[..., None] + twin * twin_share[..., None]) / np.maximum(total, 1e-6)[..., None]
    whole = filled(colour, np.clip(total, 0, 1))
    plain = spread(colours)
    ears = spread(np.isin(head.part_of, [head.part_names.index(name) for name in EARS]).astype(np.float32)[:, None])
    plain *= 1 + ears * (EAR_SHADE * _skin_tone(head, whole) - 1)
    own = np.isin(head.part_of, [head.part_names.index(name) for name in CONTINUED]).astype(np.float32)
    skin = spread(own[:, None])
    texture = np.clip(whole * skin + plain * (1 - skin) + 0.5, 0, 255).astype(np.uint8)
    # where front and back of an eyeball meet in the map, a thin line of the wrong one remains
    return np.where(eye > 0.5, cv2.medianBlur(texture, 5), texture)


def _with_irises(head: Head, image: Image, placed: Points, shown: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, 3) the head's own colours, the irises as dark as the photo's.

    Eyes are drawn, not photographed: they turn under their lids, and a small photo of an eye has no pupil.
    """
    colours = head.colours.astype(np.float32)
    eyes = np.isin(head.part_of, [head.part_names.index(name) for name in EYES])
    iris = eyes & (colours > IRIS_FROM).all(1) & (colours < IRIS_TO).all(1)
    look = np.flatnonzero(iris & (shown > 0.3))
    if len(look):
        height, width = image.shape[:2]
        columns = np.clip(np.rint(placed[look, 0]).astype(int), 0, width - 1)
        rows = np.clip(np.rint(placed[look, 1]).astype(int), 0, height - 1)
        pixels = image[rows, columns].astype(np.float32)
        grey = pixels.mean(1)
        seen_colour = np.median(pixels[grey <= np.median(grey)], axis=0)
        colours[iris] = np.clip(seen_colour, *IRIS_RANGE)
    colours[eyes & ~iris & (colours > IRIS_TO).all(1)] *= WHITE_SHADE
    return colours


def _skin_tone(head: Head, texture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) by what the plain skin has to be multiplied to look like the photo's cheeks."""
    at = head.uvs[head.landmark_vertices[list(CHEEKS)]] * [SIZE, -SIZE] + [0, SIZE]
    columns, rows = np.clip(at.astype(int), 0, SIZE - 1).T
    plain = head.colours[head.landmark_vertices[list(CHEEKS)]].mean(0)
    return (np.median(texture[rows, columns], axis=0) / np.maximum(plain, 1)).astype(np.float32)


@cache
def _atlas(head: Head) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(S, S) triangle and (S, S, 3) weights at each texel of the map; around the islands those of the nearest texel."""
    place = head.uvs * [2, -2] + [-1, 1]
    # the caps of skull and neck lie across the map: what is nearer to its middle, and the parts in its corners, win;
    # of an eyeball, whose front and back share a place, the front
    back = np.isin(head.part_of, [head.part_names.index(name) for name in ("skull", "neck")])
    depth = np.where(
        back, 0.2 + 0.3 * np.linalg.norm(place, axis=1), np.where(head.part_of == 0, 0.0, 0.1 - head.neutral[:, 2])
    )
    flat = np.concatenate([place, depth[:, None]], 1).astype(np.float32)
    found = rastered(flat, head.faces, size=SIZE)
    triangles, weights = found.triangles[0].numpy(), found.weights[0].numpy()
    empty = (triangles < 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(empty == 0)
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[rows, columns]] = rows * SIZE + columns
    source = nearest[labels]
    return triangles.reshape(-1)[source], weights.reshape(-1, 3)[source]


def seen(
    head: Head,
    parameters: HeadParameters,
    placed: Points,
    vertices: NDArray,
    *,
    parts: tuple[str, ...] = (*PHOTOGRAPHED, *EYES),
) -> NDArray[np.float32]:
    """(V,) how well the photo shows each vertex of some parts: it faces the viewer and nothing stands before it."""
    normals = normals_of(vertices, head.faces) @ parameters.rotation.T
    low, high = FACING
    ramp = np.clip((normals[:, 2] - low) / (high - low), 0, 1)
    facing = ramp * ramp * (3 - 2 * ramp)
    shown = np.isin(head.part_of, [head.part_names.index(name) for name in parts])
    skin = np.isin(head.part_of, [head.part_names.index(name) for name in PHOTOGRAPHED])
    screen, zoom = to_screen(placed)
    front = towards_viewer(screen, head.faces)
    found = rastered(screen, front, size=DEPTH_SIZE)
    corners = front[found.triangles[0].numpy()]
    depth = (found.weights[0].numpy() * screen[corners][..., 2]).sum(2)
    depth[~found.covered[0].numpy()] = np.inf
    cells = np.clip(((screen[:, :2] + 1) * DEPTH_SIZE / 2).astype(int), 0, DEPTH_SIZE - 1)
    nearest = cv2.dilate(depth.astype(np.float32), np.ones((3, 3), np.uint8))[cells[:, 1], cells[:, 0]]
    free = screen[:, 2] - nearest < np.where(skin, HIDDEN_BY, HIDDEN_BY_LIDS) * parameters.scale * zoom
    # beside jaw and neck a photo shows hair and background, not this skull
    low, high = HAIR
    above = np.clip((head.neutral[:, 1] - low) / (high - low), 0, 1)
    trusted = np.where(head.part_of == head.part_names.index("skull"), above, 1.0)
    return (facing * free * shown * trusted).astype(np.float32)


def to_screen(placed: Points) -> tuple[NDArray[np.float32], float]:
    """Points (V, 3) in pixels, moved and scaled into [-1, 1], and by what they were scaled."""
    low, high = placed[:, :2].min(0), placed[:, :2].max(0)
    zoom = float(1.98 / (high - low).max())
    middle = np.append((low + high) / 2, placed[:, 2].mean())
    return ((placed - middle) * zoom).astype(np.float32), zoom


def normals_of(vertices: NDArray, faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """(V, 3) unit normals, each triangle counting by its area."""
    first, second, third = (vertices[faces[:, place]] for place in range(3))
    facing = np.cross(second - first, third - first)
    total = np.zeros_like(vertices, dtype=np.float64)
    for axis in range(3):
        for place in range(3):
            total[:, axis] += np.bincount(faces[:, place], facing[:, axis], minlength=len(vertices))
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def filled(colour: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where `share` is below 1, continue the colours around: averages over ever larger squares, then back down."""
    levels = [(colour * share[..., None], share)]
    while levels[-1][1].shape[0] > 4:
        total, known = levels[-1]
        edge = known.shape[0] // 2
        small = (edge, edge)
        levels.append(
            (
                cv2.resize(total, small, interpolation=cv2.INTER_AREA),
                cv2.resize(known, small, interpolation=cv2.INTER_AREA),
            )
        )
    total, known = levels[-1]
    result = np.broadcast_to(total.sum((0, 1)) / max(known.sum(), 1e-6), total.shape).astype(np.float32)
    for total, known in reversed(levels):
        edge = known.shape[0]
        below = cv2.resize(result, (edge, edge), interpolation=cv2.INTER_LINEAR)
        own = np.clip(known, 0, 1)[..., None]
        result = np.where(known[..., None] > 1e-4, total / np.maximum(known, 1e-4)[..., None], 0) * own + below * (
            1 - own
        )
    return result
