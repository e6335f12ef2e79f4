"""Odd-one-out comparisons of vectors: chances, accuracy, intervals. Numpy only; the fitting is in models.finetune."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PAIRS = ((1, 2), (0, 2), (0, 1))
"""The two faces that remain when face 0, 1 or 2 is the odd one."""
STRONG = 2 / 3
ENOUGH = 500
"""Below this many answers no head is fitted at all: collecting."""
RESAMPLES = 1000
CALIBRATION_BINS = 10
BATCH = 100


@dataclass(frozen=True, eq=False)
class Comparisons:
    """What people said about triplets of faces."""

    places: NDArray[np.int64]
    """(n, 3) rows of the vectors."""
    shares: Floats
    """(n, 3) share of votes for each face being the odd one; rows sum to 1."""
    votes: NDArray[np.int64]
    """(n,) votes per triplet."""
    kinds: NDArray[np.int64]
    """(n,) 0 one-class, 1 two-class, 2 three-class, 3 unknown."""
    heads: NDArray[np.bool_] | None = None
    """(n,) whether face 0 is a head that the others were compared with, so that it cannot be the odd one."""

    def __post_init__(self) -> None:
        count = len(self.places)
        shapes = (self.places.shape, self.shares.shape, self.votes.shape, self.kinds.shape)
        if shapes != ((count, 3), (count, 3), (count,), (count,)):
            raise ValueError(f"expected (n, 3), (n, 3), (n,), (n,), got {shapes}")

    def __len__(self) -> int:
        return len(self.places)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Comparisons:
        """Return a part, by mask or by index."""
        heads = None if self.heads is None else self.heads[keep]
        return Comparisons(self.places[keep], self.shares[keep], self.votes[keep], self.kinds[keep], heads)


@dataclass(frozen=True)
class Accuracy:
    """How often the nearest pair is the one people left together, ties of votes counted in parts."""

    value: float
    triplets: int
    wilson: tuple[float, float]
    """95 %, as if triplets were independent."""
    clustered: tuple[float, float]
    """95 %, resampling faces: faces repeat, so this is the wider and the honest one."""


def pair_distances(vectors: NDArray[np.float32], places: NDArray[np.int64]) -> Floats:
    """Return (n, 3): the squared distance of the two faces that remain when each face is taken out."""
    points = vectors[places].astype(np.float64)  # (n, 3, dimension)
    return np.stack([((points[:, a] - points[:, b]) ** 2).sum(-1) for a, b in PAIRS], axis=1)


def odd_one_out_chances(vectors: NDArray[np.float32], places: NDArray[np.int64], *, temperature: float) -> Floats:
    """Return (n, 3): how likely each face is the odd one, a softmax over minus the distance of the other two."""
    logits = -temperature * pair_distances(vectors, places)
    logits -= logits.max(1, keepdims=True)
    chances = np.exp(logits)
    shares: Floats = chances / chances.sum(1, keepdims=True)
    return shares


def credits(vectors: NDArray[np.float32], comparisons: Comparisons) -> Floats:
    """Return (n,): 1 where the model agrees with the most votes, 1/k where k faces share them, else 0."""
    odd = pair_distances(vectors, comparisons.places).argmin(1)
    top = np.isclose(comparisons.shares, comparisons.shares.max(1, keepdims=True))
    return np.asarray(top[np.arange(len(odd)), odd] / top.sum(1), np.float64)


def accuracy(credit: Floats, places: NDArray[np.int64], *, seed: int = 0) -> Accuracy:
    """Return the accuracy of credits (n,) with both intervals; 0 of 0 triplets spans everything."""
    from scipy.stats import binomtest  # noqa: PLC0415 - it takes a second to load

    count = len(credit)
    if not count:
        return Accuracy(0.0, 0, (0.0, 1.0), (0.0, 1.0))
    value = float(credit.mean())
    low, high = binomtest(round(value * count), count).proportion_ci(method="wilson")
    resampled = face_resamples(credit[:, None], places, seed=seed)[:, 0]
    clustered = tuple(float(bound) for bound in np.percentile(resampled, (2.5, 97.5)))
    return Accuracy(value, count, (float(low), float(high)), (clustered[0], clustered[1]))


def face_resamples(values: Floats, places: NDArray[np.int64], *, seed: int = 0, count: int = RESAMPLES) -> Floats:
    """Return (count, columns): means of `values` (n, columns) when faces are drawn with replacement.

    A triplet weighs the product of how often its three faces were drawn (Owen's pigeonhole bootstrap), which errs on
    the side of wide intervals.
    """
    rng = np.random.default_rng(seed)
    faces, where = np.unique(places, return_inverse=True)
    where = where.reshape(places.shape)
    means = []
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        drawn = rng.multinomial(len(faces), np.full(len(faces), 1 / len(faces)), size=size)  # (size, faces)
        weights = drawn[:, where].prod(-1).astype(np.float64)  # (size, n)
        total = np.maximum(weights.sum(1, keepdims=True), 1e-9)
        means.append(weights @ values / total)
    return np.concatenate(means)


def chance_of_better(ours: Floats, theirs: Floats, places: NDArray[np.int64], *, seed: int = 0) -> tuple[float, float]:
    """Return in which share of paired resamples credits `ours` beat `theirs`, resampling triplets, then faces.

    A draw counts half. The second is the careful one: it also asks whether other faces would say the same.
    """
    gain = ours - theirs
    if not len(gain):
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    over_triplets = gain[rng.integers(0, len(gain), (RESAMPLES, len(gain)))].mean(1)
    over_faces = face_resamples(gain[:, None], places, seed=seed)[:, 0]
    return _share_above_zero(over_triplets), _share_above_zero(over_faces)


def _share_above_zero(values: Floats) -> float:
    return float((values > 1e-12).mean() + 0.5 * (np.abs(values) <= 1e-12).mean())


def log_loss(chances: Floats, comparisons: Comparisons) -> float:
    """Return the mean surprise of one vote in nats; ln 3 = 1.099 is guessing."""
    surprise = -(comparisons.shares * np.log(np.maximum(chances, 1e-9))).sum(1)
    return float(np.average(surprise, weights=comparisons.votes)) if len(comparisons) else float("nan")


@dataclass(frozen=True)
class Calibration:
    """Triplets about whose odd face the model is about equally sure."""

    sure: float
    """The mean chance it gives the face it holds most likely."""
    right: float
    """The mean share of votes for that face."""
    triplets: int


def calibration(chances: Floats, comparisons: Comparisons) -> list[Calibration]:
    """Return how sure the model is and how right, in tenths from unsure to sure; tenths without triplets are absent."""
    guess = chances.argmax(1)
    rows = np.arange(len(guess))
    sure, right = chances[rows, guess], comparisons.shares[rows, guess]
    bins = np.minimum((sure * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        Calibration(float(sure[bins == one].mean()), float(right[bins == one].mean()), int((bins == one).sum()))
        for one in np.unique(bins)
    ]


def calibration_error(chances: Floats, comparisons: Comparisons) -> float:
    """Return the expected calibration error: how far the most likely face's chance is from its share of votes."""
    if not len(comparisons):
        return float("nan")
    parts = [abs(one.sure - one.right) * one.triplets for one in calibration(chances, comparisons)]
    return float(sum(parts)) / len(comparisons)
