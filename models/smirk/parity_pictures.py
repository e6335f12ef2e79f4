"""The picture half of SMIRK's parity: rendering, cropping, masks and sampled pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from models.parity import ArrayCheck, compare
from models.smirk import crop, masking, rule, rule_face
from models.smirk.camera import project
from models.smirk.shading import DEPTH_OFFSET, Surface, render
from models.types import Crop

SIZE = 224
SHARE_OFF, OFF_BY = 5e-4, 1e-3
GREY_LEVEL, PIXELS = 1.0, 1e-4
BLOCK = 12

Reference = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One frame and face of the preparation checks."""

    name: str
    height: int
    width: int
    radius: float
    centre: tuple[float, float]

    def frame(self, seed: str) -> np.ndarray:
        """(height, width, 3) blocks of noise."""
        shape = (-(-self.height // BLOCK), -(-self.width // BLOCK), 3)
        blocks = np.floor(256 * rule.unit(seed, f"prep/{self.name}/frame", shape)).astype(np.uint8)
        return np.ascontiguousarray(blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[: self.height, : self.width])

    def landmarks(self, seed: str) -> np.ndarray:
        """(478, 2) pixels."""
        spread = rule.signed(seed, f"prep/{self.name}/lmk", (478, 2)) * (0.8, 1.0)
        return np.array(self.centre) + self.radius * spread


CASES = (
    Case("small", 120, 160, 50, (80, 60)),
    Case("large", 600, 480, 210, (250, 330)),
    Case("edge", 240, 320, 90, (60, 70)),
)


def render_checks(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    """Silhouettes, shading and projection of a stored mesh, as a face without its surroundings and whole."""
    vertices, camera = torch.from_numpy(reference["verts"]), torch.from_numpy(reference["cam"])
    triangles, face = torch.from_numpy(reference["faces"]), torch.from_numpy(reference["face_mask"])
    surfaces = {
        "face": Surface.of(triangles, vertices=face),
        "full": Surface.of(triangles, vertices=torch.arange(vertices.shape[1])),
    }
    for name, surface in surfaces.items():
        yield compare(f"{name}/faces", surface.triangles.numpy(), reference[f"{name}/faces"], tolerance=0.0)
        yield from _drawn(reference, name, render(vertices, surface, camera=camera).numpy())
        screen = project(vertices, camera)
        stored = reference[f"{name}/transformed_vertices"].astype(np.float64)
        if name == "full":  # the official renderer leaves its depth offset in the array it returns
            stored[..., 2] -= DEPTH_OFFSET
        yield compare(f"{name}/transformed_vertices", screen.numpy(), stored, tolerance=2e-6)
        points = project(vertices[:, ::50], camera)[..., :2]
        yield compare(f"{name}/landmarks_mp", points.numpy(), reference[f"{name}/landmarks_mp"], tolerance=1e-6)


def _drawn(reference: Reference, name: str, picture: np.ndarray) -> Iterator[ArrayCheck]:
    grey = picture[:, 0]
    stored_mask = _bits(reference[f"{name}/mask_bits"], grey.shape)
    yield compare(f"{name}/mask_bits", grey > 0, stored_mask, tolerance=0.0, note="pixels covered by one side only")
    stored = reference[f"{name}/rendered_img_u16"] / 65535.0
    if stored.shape != grey.shape:
        yield compare(f"{name}/rendered_img_u16", grey, stored, tolerance=SHARE_OFF)
        return
    share = max((np.abs(ours - theirs) > OFF_BY).mean() for ours, theirs in zip(grey, stored, strict=True))
    note = f"share of a view's pixels off by more than {OFF_BY}"
    yield ArrayCheck(f"{name}/rendered_img_u16", float(share), SHARE_OFF, note)


def _bits(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape).astype(bool)


def prep_checks(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    """Crops and the way back, hulls, the masked photo, and pixels under points of a mesh."""
    for case in CASES:
        yield from _crop_checks(reference, seed, case)
    yield from _masking_checks(reference, seed)
    samples = rule_face.landmark_set(seed, "samples", (1, 400))
    screen = torch.from_numpy(rule_face.template(seed) * 7.0 * (1.0, -1.0, -1.0))[None]
    places = masking.SurfaceSamples(torch.from_numpy(samples.triangles), torch.from_numpy(samples.weights))
    pixels = masking.sampled_pixels(screen.float(), torch.from_numpy(rule_face.triangles()), places, size=SIZE)
    yield compare("points/pixels", pixels.numpy(), reference["points/pixels"], tolerance=0.0)
    corners = torch.from_numpy(rule.signed(seed, "tri", (50, 3, 3)).astype(np.float32))
    areas = masking.triangle_areas(corners).numpy()
    yield compare("triangle_area", areas, reference["triangle_area"], tolerance=1e-6)


def _crop_checks(reference: Reference, seed: str, case: Case) -> Iterator[ArrayCheck]:
    frame, landmarks = case.frame(seed), case.landmarks(seed)
    made = crop.cut(frame, landmarks)
    moved = landmarks @ made.crop_from_image[:2, :2].T + made.crop_from_image[:2, 2]
    back = crop.paste_back(made.pixels, made, shape=frame.shape[:2])
    name = case.name
    yield compare(f"{name}/tform", made.crop_from_image, reference[f"{name}/tform"], tolerance=1e-8)
    yield compare(f"{name}/crop_every4", made.pixels[::4, ::4], reference[f"{name}/crop_every4"], tolerance=GREY_LEVEL)
    mean = made.pixels.mean(axis=(0, 1))
    yield compare(f"{name}/crop_mean", mean, reference[f"{name}/crop_mean"], tolerance=0.05)
    yield compare(f"{name}/lmk", moved, reference[f"{name}/lmk"], tolerance=PIXELS)
    yield compare(
        f"{name}/paste_back_every6", back[::6, ::6], reference[f"{name}/paste_back_every6"], tolerance=GREY_LEVEL
    )
    ours = masking.hull_mask(moved, size=SIZE)
    stored = _bits(reference[f"{name}/hull_mask_bits"], ours.shape)
    off = (ours > 0) != stored
    yield ArrayCheck(
        f"{name}/hull_mask_bits",
        float((off & ~_rim(stored)).sum()),
        0.0,
        f"pixels off beyond the one-pixel rim; {int(off.sum())} on it",
    )


def _rim(mask: np.ndarray) -> np.ndarray:
    """Pixels that touch the border between the two sides of a mask."""
    square = np.ones((3, 3), np.uint8)
    values = mask.astype(np.uint8)
    return cv2.dilate(values, square) != cv2.erode(values, square)


def _masking_checks(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    case = next(case for case in CASES if case.name == "large")
    made: Crop = crop.cut(case.frame(seed), case.landmarks(seed))
    photo = torch.from_numpy(made.pixels).permute(2, 0, 1)[None] / 255.0
    hull = torch.from_numpy(_bits(reference["large/hull_mask_bits"], (SIZE, SIZE))).float()[None, None]
    rendered = torch.zeros(1, 1, SIZE, SIZE)
    rendered[..., 70:150, 80:140] = 1.0
    points = torch.from_numpy(rule.unit(seed, "prep/pmask", (1, 1, SIZE, SIZE)) < 0.02) * rendered
    wide = masking.widen_hole(hull)[0, 0].numpy() > 0
    stored = _bits(reference["masking/dilated_hull_bits"], wide.shape)
    yield compare("masking/dilated_hull_bits", wide, stored, tolerance=0.0)
    result = masking.masked_photo(photo, hull, rendered, skin=photo * points)[0]
    grey_level = 1.0 / 255 + 1e-6
    yield compare(
        "masking/out_every4", result[:, ::4, ::4].numpy(), reference["masking/out_every4"], tolerance=grey_level
    )
    mean = result.mean((1, 2)).numpy()[None]
    yield compare("masking/mean", mean, reference["masking/mean"], tolerance=1e-4)
    shown = result.numpy().any(axis=0)
    stored = _bits(reference["masking/nonzero_bits"], shown.shape)
    yield compare("masking/nonzero_bits", shown, stored, tolerance=0.0)
