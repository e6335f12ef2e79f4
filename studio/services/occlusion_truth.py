"""Where a clean face was covered the truth is known: how near the guess comes to it, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from models import registry
from models.faces.align import eye_distance
from models.types import Box, Image, Points
from studio.gpu import on_gpu
from studio.services.comparison import distance
from studio.services.occlusion import Cover, Filled, Mask, Subject

HIDDEN_PATCH = 0.3
"""Share of a patch that has to be covered for the patch to count as hidden."""
HARDLY = 0.05
"""Distance of two vectors under which a cover changed nothing worth speaking of."""


@dataclass(frozen=True)
class Hits:
    """The detector's patches against what was really drawn, each 0..1."""

    precision: float
    recall: float
    balanced_accuracy: float


@dataclass(frozen=True)
class Closeness:
    """How near a guess comes to the clean face inside the hole."""

    psnr: float
    """Decibels over the hidden pixels."""
    ssim: float
    """Mean structural similarity over the hidden pixels, 1 the same."""
    landmark_error: float | None
    """Mean distance of hidden landmarks, over the distance of the irises; None where no face was found again."""


@dataclass(frozen=True)
class Truth:
    """Everything that can be said because the clean face is known."""

    hits: Hits
    guess: Closeness
    telea: Closeness
    """The same for the plainest method."""
    occluded: Closeness
    before: float
    """Distance of the covered face's vector to the clean one's, 0..2."""
    after: float
    """The same of the completed face's."""

    @property
    def closed(self) -> float | None:
        """Share of the distance that the guess closed; None where the cover hardly changed anything."""
        return None if self.before < HARDLY else 1 - self.after / self.before


def truth_of(subject: Subject, filled: Filled) -> Truth | None:
    """Measure a guess against the clean face; None where the face was not covered here."""
    cover = subject.cover
    if cover is None:
        return None
    telea = registry.load("occlusion").reconstruct(subject.crop, filled.mask, method="telea").blended
    return Truth(
        hits=hits(subject.detection.patches(), cover.mask),
        guess=_closeness(subject, cover, filled.blended, filled.mask),
        telea=_closeness(subject, cover, telea, filled.mask),
        occluded=_closeness(subject, cover, subject.crop.pixels, filled.mask),
        before=distance(subject.before.vector, cover.clean.vector),
        after=distance(filled.after.vector, cover.clean.vector),
    )


def hits(found: NDArray[np.bool_], hidden: Mask) -> Hits:
    """Compare patches (g, g) found beyond the radius with the really hidden pixels (S, S)."""
    grid = len(found)
    edge = len(hidden) // grid
    shares = hidden[: grid * edge, : grid * edge].reshape(grid, edge, grid, edge).mean((1, 3))
    wanted = shares > HIDDEN_PATCH
    right = float((found & wanted).sum())
    recall = right / max(int(wanted.sum()), 1)
    spared = float((~found & ~wanted).sum()) / max(int((~wanted).sum()), 1)
    return Hits(right / max(int(found.sum()), 1), recall, (recall + spared) / 2)


def hole_psnr(truth: Image, picture: Image, mask: Mask) -> float:
    """Decibels over the hidden pixels of two pictures (S, S, 3); infinite where they are the same."""
    error = np.square(truth[mask].astype(np.float64) - picture[mask]).mean() if mask.any() else 0.0
    return float(10 * np.log10(255**2 / error)) if error > 0 else float("inf")


def hole_ssim(truth: Image, picture: Image, mask: Mask) -> float:
    """Structural similarity of two pictures (S, S, 3), averaged over the hidden pixels."""
    _, similar = structural_similarity(  # type: ignore[no-untyped-call]
        truth, picture, channel_axis=2, full=True, gaussian_weights=True, sigma=1.5
    )
    return float(similar.mean(axis=2)[mask].mean()) if mask.any() else 1.0


@on_gpu
def find_again(picture: Image, box: Box) -> Points | None:
    """Return the landmarks (478, 3) of the face at a known place, None where there is none to be seen."""
    found = registry.load("faces").landmark(picture, [box])
    return found[0].landmarks if found else None


def hidden_error(clean: Points, found: Points | None, hidden: Mask) -> float | None:
    """Mean distance of the landmarks that are hidden in a picture (H, W), over the distance of the irises."""
    if found is None:
        return None
    places = np.round(clean[:, :2]).astype(int)
    inside = (places >= 0).all(1) & (places[:, 0] < hidden.shape[1]) & (places[:, 1] < hidden.shape[0])
    inside[inside] = hidden[places[inside, 1], places[inside, 0]]
    if not inside.any():
        return None
    error = np.linalg.norm(clean[inside, :2] - found[inside, :2], axis=1).mean()
    return float(error / eye_distance(clean))


def _closeness(subject: Subject, cover: Cover, picture: Image, mask: Mask) -> Closeness:
    clean = cover.clean_crop.pixels
    pasted = registry.load("occlusion").paste_back(subject.picture, subject.crop, picture, mask)
    error = hidden_error(subject.face.landmarks, find_again(pasted, subject.face.box), cover.picture_mask)
    return Closeness(hole_psnr(clean, picture, cover.mask), hole_ssim(clean, picture, cover.mask), error)


def vector_words(subject: Subject, filled: Filled | None) -> str:
    """Say how far apart the vectors lie, and what is known of which is right."""
    if filled is None:
        if subject.cover is None:
            return "There is nothing to compare yet: nothing is hidden."
        moved = distance(subject.before.vector, subject.cover.clean.vector)
        return f"The cover moved the vector by {moved:.2f} (0 the same, 2 opposite)."
    apart = distance(subject.before.vector, filled.after.vector)
    if subject.cover is None:
        return (
            f"The guess moved the vector by {apart:.2f} (0 the same, 2 opposite). Whether that is nearer to the truth "
            "cannot be known here; cover a clean face to see."
        )
    before = distance(subject.before.vector, subject.cover.clean.vector)
    after = distance(filled.after.vector, subject.cover.clean.vector)
    told = f"Distance to the clean face's vector: {before:.2f} covered, {after:.2f} completed"
    if before < HARDLY:
        return f"{told}. The cover hardly changed the reading, so there was little to win."
    closed = 1 - after / before
    return f"{told}: {closed * 100:.0f} % closed." if closed >= 0 else f"{told}: the guess made it worse."


def truth_facts(truth: Truth) -> list[tuple[str, str, str]]:
    """Return the figures of a truth as name, figure and exact words."""
    hit, guess, telea = truth.hits, truth.guess, truth.telea
    return [
        (
            f"Inside the mask; Telea {telea.psnr:.1f} dB", f"{guess.psnr:.1f} dB",
            "peak signal-to-noise ratio against the clean face over the covered pixels; Telea's filling of the same "
            "mask beside it",
        ),
        (
            f"Structure inside; Telea {telea.ssim:.2f}", f"{guess.ssim:.2f}",
            "structural similarity (SSIM) over the covered pixels, 1 the same",
        ),
        (
            f"Landmark error; Telea {_error(telea.landmark_error)}", _error(guess.landmark_error),
            "mean distance of the covered landmarks, found again on the completed photo, over that of the irises",
        ),
        (
            "Vector's way to the clean one", closed_words(truth.closed),
            f"distance to the clean face's vector: {truth.before:.2f} covered, {truth.after:.2f} completed",
        ),
        (
            "Covered patches found", f"{hit.recall * 100:.0f} %",
            f"recall {hit.recall:.2f}, balanced accuracy {hit.balanced_accuracy:.2f}, at the detector's own radius",
        ),
        (
            "Found patches that are covered", f"{hit.precision * 100:.0f} %", f"precision {hit.precision:.2f}",
        ),
    ]  # fmt: skip


def closed_words(share: float | None) -> str:
    """Say how much of the distance to the clean face's vector was closed."""
    if share is None:
        return "little to win"
    return f"{share * 100:.0f} % closed" if share >= 0 else f"{-share * 100:.0f} % further off"


def _error(value: float | None) -> str:
    return "no face found" if value is None else f"{value * 100:.1f} %"


def truth_record(truth: Truth) -> dict[str, object]:
    """Return the figures as plain values."""

    def closeness(one: Closeness) -> dict[str, float | None]:
        error = None if one.landmark_error is None else round(one.landmark_error, 5)
        return {"psnr_db": round(min(one.psnr, 99.0), 3), "ssim": round(one.ssim, 4), "landmark_error": error}

    return {
        "detector": {name: round(getattr(truth.hits, name), 4) for name in truth.hits.__dataclass_fields__},
        "guess": closeness(truth.guess), "telea": closeness(truth.telea), "occluded": closeness(truth.occluded),
        "vector_distance_before": round(truth.before, 5), "vector_distance_after": round(truth.after, 5),
        "closed": None if truth.closed is None else round(truth.closed, 4),
    }  # fmt: skip
