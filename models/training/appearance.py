"""Recipe of the starter faces: new people, mixed region by region from synthetic ones, varied in expression first.

Nobody's photo: every face is made of at least five people, none with more than a third, and its distance to the
nearest of them is measured against the distance between people. All sources are synthetic (SFHQ-T2I, MIT).
"""

from __future__ import annotations

import io
import json
import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from safetensors.numpy import save_file

from models import registry
from models.appearance import LANDMARKS_PER_PIXEL, MadeFrom
from models.cards import Figure, TrainingData, make_card
from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES
from models.training.appearance_cast import Cast, gather_cast
from models.training.appearance_compose import IMPORTANCE, Composed, Plan, compose
from models.training.appearance_novelty import identity_likeness, nearest_source
from models.training.face_shapes import read_labels
from models.weights import find_weight

LOG = logging.getLogger(__name__)

LEAST_DISTANCE = 0.4
"""A face nearer to one of its sources than this share of the usual distance between people is not used."""

ONE_SIDED = ("eyeBlink", "browOuterUp", "browDown", "eyeSquint", "eyeWide")
"""Actions lent to a single eye, which photos seldom show."""


def run(
    *,
    data: Path,
    out: Path,
    device: str = "cpu",
    resume: bool = True,
    count: int = 288,
    candidates: int = 520,
    size: int = 256,
    quality: int = 84,
    seed: int = 7,
    identity_network: Path | None = None,
) -> dict[str, float]:
    """Write `out`/appearance.safetensors and its card; returns the figures of the card.

    `data` holds faces256/labels.npz. With a 112 px face-recognition network (`identity_network`, or the download
    mobilefacenet) it also measures how like the faces are to the people they were mixed from. It takes minutes on the
    processor: `device` and `resume` change nothing.
    """
    started = time.monotonic()
    if candidates < count:
        raise BadInput(f"{candidates} candidates cannot give {count} faces")
    cast = gather_cast(read_labels(data / "faces256"))
    LOG.info("%d people may be mixed, each also mirrored", len(cast) // 2)
    plans = make_plans(cast, count=candidates, seed=seed)
    faces = []
    for number, plan in enumerate(plans):
        faces.append(compose(cast, plan, size=size))
        if number % 60 == 59:
            LOG.info("%d of %d faces composed", number + 1, len(plans))
    distance, between_people = nearest_source(faces, cast)
    chosen = choose_varied(faces, count=count, own=distance >= LEAST_DISTANCE)
    plans, faces = [plans[k] for k in chosen], [faces[k] for k in chosen]
    figures = {
        "faces": float(len(faces)),
        "people_mixed_from": float(len(cast) // 2),
        "largest_share": max(face.largest_share for face in faces),
        "fewest_people_in_a_face": float(min(face.people for face in faces)),
        **expression_spread(faces, cast),
        "nearest_source_distance_median": float(np.median(distance[chosen])),
        "nearest_source_distance_least": float(distance[chosen].min()),
        "nearest_other_person_distance_median": between_people,
    }
    network = identity_network or find_weight("mobilefacenet", *registry.places().weights_folders)
    if network is not None:
        figures |= identity_likeness(faces, cast, network)
    out.mkdir(parents=True, exist_ok=True)
    figures["bytes"] = float(write_faces(out / "appearance.safetensors", plans, faces, quality=quality))
    figures["seconds"] = round(time.monotonic() - started, 1)
    write_card(out / "appearance.safetensors", figures)
    return figures


def make_plans(cast: Cast, *, count: int, seed: int) -> list[Plan]:
    """Decide who leads each face: strong expressions more often, and a third with regions lent by others."""
    rng = np.random.default_rng(seed)
    weighted = cast.coefficients * IMPORTANCE
    strength = np.linalg.norm(weighted - np.median(weighted, 0), axis=1) ** 1.5
    chance = strength / strength.sum()
    leaders = rng.choice(len(cast), size=count, replace=count > len(cast), p=chance)
    plans = []
    for number, leader in enumerate(leaders):
        lenders: dict[str, int] = {}
        if number % 6 == 4:
            lenders["mouth"] = int(rng.choice(len(cast), p=chance))
        elif number % 6 == 5:
            side = "Left" if rng.random() < 0.5 else "Right"
            action = BLENDSHAPE_NAMES.index(str(rng.choice(ONE_SIDED)) + side)
            strongest = np.argsort(-cast.coefficients[:, action])[:30]
            lenders[f"{side.lower()} eye"] = int(rng.choice(strongest))
        plans.append(Plan(seed=seed * 100_000 + number, face=int(leader), lenders=lenders))
    return plans


def choose_varied(faces: list[Composed], *, count: int, own: np.ndarray) -> list[int]:
    """Pick the farthest next expression again and again, among faces that are nobody's and whose sources agree.

    `own` marks faces far enough from every source; of these, the quarter whose sources agree least is dropped.
    """
    order = np.argsort([face.disagreement for face in faces], kind="stable")
    order = order[own[order]]
    if len(order) < count:
        raise BadInput(f"only {len(order)} of {len(faces)} candidates are far enough from every source; compose more")
    pool = order[: max(count, int(len(order) * 0.75))]
    expressions = np.stack([faces[k].coefficients for k in pool]) * IMPORTANCE
    picked = [int(np.argmin(np.linalg.norm(expressions - np.median(expressions, 0), axis=1)))]
    nearest = np.linalg.norm(expressions - expressions[picked[0]], axis=1)
    while len(picked) < count:
        following = int(np.argmax(nearest))
        picked.append(following)
        nearest = np.minimum(nearest, np.linalg.norm(expressions - expressions[following], axis=1))
        nearest[picked] = -1.0
    return [int(pool[k]) for k in picked]


def expression_spread(faces: list[Composed], cast: Cast) -> dict[str, float]:
    """Standard deviation of the coefficients over the faces, and the same over the people mixed."""
    ours = np.stack([face.coefficients for face in faces]).std(0)
    theirs = cast.coefficients.std(0)
    return {
        "expression_spread": round(float(ours.mean()), 4),
        "expression_spread_sources": round(float(theirs.mean()), 4),
    }


def write_faces(file: Path, plans: list[Plan], faces: list[Composed], *, quality: int) -> int:
    """Store pictures (WebP, one after the other), landmarks, coefficients and provenance; returns the size in bytes."""
    pictures = [_encoded(face.image, quality=quality) for face in faces]
    ends = np.cumsum([len(picture) for picture in pictures])
    landmarks = np.stack([face.landmarks for face in faces]) * LANDMARKS_PER_PIXEL
    made_from = [
        MadeFrom(plan.seed, tuple(sorted(plan.lenders)), round(face.largest_share, 3), face.sources)
        for plan, face in zip(plans, faces, strict=True)
    ]
    tensors = {
        "pictures": np.frombuffer(b"".join(pictures), np.uint8).copy(),
        "picture_ends": ends.astype(np.int64),
        "landmarks": np.round(landmarks).astype(np.int16),
        "coefficients": np.stack([face.coefficients for face in faces]).astype(np.float16),
        "turn": np.stack([face.turn for face in faces]).astype(np.float16),
    }
    described = json.dumps([asdict(one) for one in made_from], separators=(",", ":"))
    save_file(tensors, file, metadata={"made_from": described})
    return file.stat().st_size


def _encoded(image: np.ndarray, *, quality: int) -> bytes:
    coded = io.BytesIO()
    PillowImage.fromarray(image).save(coded, "WEBP", quality=quality, method=6)
    return coded.getvalue()


def write_card(file: Path, measured: dict[str, float]) -> None:
    """Say what the faces are, where they come from and what was measured."""
    recipe = "mien train appearance"
    figures = {
        name: Figure(value=round(value, 4), data="faces256/sfhq_t2i", command=recipe)
        for name, value in measured.items()
    }
    make_card(
        file,
        title="Starter faces",
        what="Faces of people who do not exist, with landmarks, expression coefficients and what they were mixed from.",
        licence="Apache-2.0",
        training_data=[
            TrainingData(
                name="SFHQ-T2I, near-frontal faces (synthetic people)",
                licence="MIT",
                credit="David Beniaguev, https://github.com/SelfishGene/SFHQ-T2I-dataset",
            )
        ],
        recipe=recipe,
        figures=figures,
        limits="Hair and surroundings are soft, an earring or a frame may shine through; no profile views; the sources "
        "are synthetic, so that they show what a text-to-image model takes an expression to be.",
        day=datetime.now(UTC).date(),
    )
