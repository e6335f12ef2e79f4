"""Compose one new face: who is mixed for each region of it, in which shape, and how the surround fades."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from models.faces.names import BLENDSHAPE_NAMES
from models.training.appearance_cast import Cast
from models.training.face_shapes import FACE_OVAL
from models.training.morph import blend_regions, collapse, match_colours, mix_bands, rasterise, warp, with_surround

REGIONS = ("face", "left eye", "right eye", "mouth")
PEOPLE_PER_REGION = 5
LARGEST_SHARE = 0.28
FACE_SIDE = 160.0
"""Longer edge of the landmark box in pixels of the finished picture."""


def _importance() -> np.ndarray:
    """(52,) how much each blendshape counts when people with the same expression are looked for."""
    weights = np.ones(len(BLENDSHAPE_NAMES))
    for position, name in enumerate(BLENDSHAPE_NAMES):
        if name.startswith("eyeLook"):
            weights[position] = 0.35
        elif "Blink" in name:
            weights[position] = 1.6
    weights[BLENDSHAPE_NAMES.index("jawOpen")] = 2.0
    weights[BLENDSHAPE_NAMES.index("_neutral")] = 0.0
    return weights


IMPORTANCE = _importance()
UPPER = np.array([name.startswith(("brow", "eye")) for name in BLENDSHAPE_NAMES])
LEFT = np.array([name.endswith("Left") for name in BLENDSHAPE_NAMES])
BOTH_SIDES = np.array([not name.endswith(("Left", "Right")) for name in BLENDSHAPE_NAMES])
COEFFICIENTS_OF_REGION = {
    "face": np.ones(len(BLENDSHAPE_NAMES), bool),
    "left eye": UPPER & (LEFT | BOTH_SIDES),
    "right eye": UPPER & ~LEFT,
    "mouth": ~UPPER,
}


@dataclass(frozen=True)
class Plan:
    """What one face shall be: a leading candidate for the whole face, and others that lend a region."""

    seed: int
    face: int
    lenders: dict[str, int]


@dataclass(frozen=True, eq=False)
class Composed:
    """A finished face with all that is known of it."""

    image: np.ndarray
    """(size, size, 3) RGB uint8"""
    landmarks: np.ndarray
    """(478, 3) pixels"""
    coefficients: np.ndarray
    """(52,) mean coefficients of the people mixed, region by region"""
    turn: np.ndarray
    """(3,) pitch, yaw, roll in degrees"""
    largest_share: float
    people: int
    sources: tuple[str, ...]
    """pictures that were mixed"""
    disagreement: float
    """spread of the pictures mixed, coarse bands, in grey levels: high where beards, hands or frames were mixed in"""


def region_masks(mean: np.ndarray) -> dict[str, np.ndarray]:
    """Soft (478 + surround,) vertex weights of each lending region on the mean shape."""
    points = np.concatenate([mean[:, :2], with_surround(mean)[len(mean) :]])
    masks = {}
    for name, side, iris in (("left eye", 1, 473), ("right eye", -1, 468)):
        centre = mean[iris, :2] + [0.05 * side, -0.1]
        distance = np.linalg.norm((points - centre) / [0.52, 0.42], axis=1)
        towards = np.clip(points[:, 0] * side / 0.12, 0, 1)
        masks[name] = np.clip(1.6 - distance, 0, 1) * towards
    nose, lip = mean[2, 1], mean[0, 1]
    below = np.clip((points[:, 1] - nose) / (lip - nose), 0, 1)
    masks["mouth"] = below * np.clip(1.9 - np.abs(points[:, 0]) / 0.75, 0, 1)
    return masks


def choose_people(
    cast: Cast, *, region: str, wanted: int, around: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pick different people who make the wanted candidate's expression and look like the one around it.

    Returns their rows and their shares, which sum to one; no share exceeds LARGEST_SHARE.
    """
    counted = COEFFICIENTS_OF_REGION[region] * IMPORTANCE
    distance = (((cast.coefficients - cast.coefficients[wanted]) * counted) ** 2).sum(1) / 0.35
    distance += ((cast.skin - cast.skin[around]) ** 2).mean(1) / (70 if region == "face" else 45)
    distance += ((cast.turn - cast.turn[around])[:, :2] ** 2).sum(1) / 150
    if region == "face":
        distance += ((cast.hair - cast.hair[around]) ** 2).mean(1) / 700
    chosen, seen = [], set()
    for candidate in np.argsort(distance):
        person = cast.people[candidate]
        if person not in seen:
            seen.add(person)
            chosen.append(candidate)
        if len(chosen) == 2 * PEOPLE_PER_REGION:
            break
    later = rng.choice(chosen[2:], PEOPLE_PER_REGION - 2, replace=False)
    shares = np.clip(rng.dirichlet(np.full(PEOPLE_PER_REGION, 9.0)), 0.1, None)
    for _ in range(20):
        shares = np.minimum(shares / shares.sum(), LARGEST_SHARE)
    return np.array([*chosen[:2], *later]), shares / shares.sum()


def compose(cast: Cast, plan: Plan, *, size: int = 256, crispness: float = 0.75) -> Composed:
    """Make one face after its plan; the same plan gives the same pixels."""
    rng = np.random.default_rng(plan.seed)
    people = {"face": choose_people(cast, region="face", wanted=plan.face, around=plan.face, rng=rng)}
    for region, wanted in plan.lenders.items():
        people[region] = choose_people(cast, region=region, wanted=wanted, around=plan.face, rng=rng)
    masks = region_masks(cast.mean)
    lent = {region: masks[region] for region in plan.lenders}
    face_mask = np.clip(1 - sum(lent.values()), 0, 1) if lent else np.ones(len(next(iter(masks.values()))))
    weights = {"face": face_mask, **lent}
    shape, coefficients = _shape_and_coefficients(cast, people, weights)
    turn = people["face"][1] @ cast.turn[people["face"][0]] + rng.normal(0, [1.5, 2.5, 2.0])
    landmarks = _place(shape, turn, size=size, rng=rng)
    picture, disagreement = _paint(cast, people, weights, landmarks, size=size, crispness=crispness, rng=rng)
    everyone = np.concatenate([rows for rows, _ in people.values()])
    return Composed(
        image=picture,
        landmarks=landmarks.astype(np.float32),
        coefficients=coefficients.astype(np.float32),
        turn=turn.astype(np.float32),
        largest_share=float(max(shares.max() for _, shares in people.values())),
        people=len(set(cast.people[everyone])),
        sources=tuple(sorted(set(cast.labels.paths[cast.row[everyone]].tolist()))),
        disagreement=disagreement,
    )


def _shape_and_coefficients(
    cast: Cast, people: dict[str, tuple[np.ndarray, np.ndarray]], weights: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Blend the regions' mean shapes with the soft masks; take each coefficient from the region that shows it."""
    points = len(cast.mean)
    shape = np.zeros_like(cast.mean)
    rows, shares = people["face"]
    coefficients = shares @ cast.coefficients[rows]
    for region, (rows, shares) in people.items():
        shape += weights[region][:points, None] * np.tensordot(shares, cast.shapes[rows], 1)
        if region != "face":
            counted = COEFFICIENTS_OF_REGION[region]
            coefficients = np.where(counted, shares @ cast.coefficients[rows], coefficients)
    return shape, coefficients


def _place(shape: np.ndarray, turn: np.ndarray, *, size: int, rng: np.random.Generator) -> np.ndarray:
    """Turn the shape and put it into the picture: (478, 3) pixels."""
    turned = shape @ Rotation.from_rotvec(np.radians(turn)).as_matrix().T
    low, high = turned[:, :2].min(0), turned[:, :2].max(0)
    scale = FACE_SIDE * size / 256 / (high - low).max() * rng.uniform(0.97, 1.06)
    centre = np.array([*((low + high) / 2), 0.0])
    return (turned - centre) * scale + [size / 2, size * 0.52, 0]


def _paint(
    cast: Cast,
    people: dict[str, tuple[np.ndarray, np.ndarray]],
    weights: dict[str, np.ndarray],
    landmarks: np.ndarray,
    *,
    size: int,
    crispness: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """Warp everybody to the landmarks, mix each region's bands, join the regions, soften the surround."""
    points = with_surround(landmarks)
    dense = rasterise(points, cast.triangles, size)
    inside = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(inside, np.round(points[FACE_OVAL]).astype(np.int32), 1)
    mean = spread = None
    regions, masks, spreads = [], [], []
    for region, (rows, shares) in people.items():
        warped = np.stack([warp(*cast.picture(row), dense) for row in rows])
        if mean is None:
            mean = np.tensordot(shares, warped[:, inside > 0].mean(1), 1)
            spread = np.tensordot(shares, warped[:, inside > 0].std(1), 1)
        matched = match_colours(warped, inside > 0, mean, spread)
        spreads.append(_spread(matched, inside))
        regions.append(mix_bands(matched, shares, crispness=crispness))
        masks.append(cv2.GaussianBlur(dense.sample(weights[region]), (0, 0), size / 64))
    total = np.stack(masks)
    levels = blend_regions(regions, total / np.maximum(total.sum(0), 1e-3))
    picture = collapse(_soften_surround(levels, points, size))
    away = _radius(points, size, start=1.5, end=2.4)[..., None] * 0.9
    picture = picture * (1 - away) + _backdrop(picture[away[..., 0] > 0.3], size, rng) * away
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8)[..., ::-1]), max(spreads)


def _spread(pictures: np.ndarray, inside: np.ndarray) -> float:
    """How far (n, size, size, 3) pictures differ inside the mask once blurred, in grey levels."""
    small = np.stack([cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA) for picture in pictures])
    mask = cv2.resize(inside, (32, 32), interpolation=cv2.INTER_AREA) > 0
    return float(np.sqrt(small.var(0)[mask].mean()))


def _backdrop(surround: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A plain studio wall near the surround's own brightness, lighter on one side: (size, size, 3) BGR."""
    own = surround.mean(0)
    tint = 0.35 * own + 0.65 * own.mean() + rng.uniform(-8, 28) + rng.uniform(-6, 6, 3)
    slope = np.linspace(-1, 1, size) * rng.uniform(-22, 22)
    return np.clip(tint + slope[None, :, None] + np.zeros((size, 1, 1)), 0, 255)


def _radius(points: np.ndarray, size: int, *, start: float, end: float) -> np.ndarray:
    """(size, size) smooth step from 0 at `start` times the face's reach to 1 at `end` times."""
    face = points[FACE_OVAL]
    centre = (face.max(0) + face.min(0)) / 2
    half = (face.max(0) - face.min(0)) / 2
    rows, columns = np.mgrid[:size, :size]
    reach = np.hypot((columns - centre[0]) / half[0], (rows - centre[1]) / half[1])
    step = np.clip((reach - start) / (end - start), 0, 1)
    return (step * step * (3 - 2 * step)).astype(np.float32)


def _soften_surround(levels: list[np.ndarray], points: np.ndarray, size: int) -> list[np.ndarray]:
    """Take detail away with the distance from the face, finest first, as a lens focused on the face would."""
    softened = []
    for level, detail in enumerate(levels[:-1]):
        fade = 1 - _radius(points, size, start=1.1 + 0.1 * level, end=1.4 + 0.16 * level)
        small = cv2.resize(fade, (detail.shape[1], detail.shape[0]), interpolation=cv2.INTER_AREA)
        softened.append(detail * small[..., None])
    return [*softened, levels[-1]]
