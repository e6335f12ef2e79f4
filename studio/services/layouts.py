"""Where each face lies on the map: PCA at once, UMAP and t-SNE when asked, kept beside the atlas."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput, Cancelled
from studio.services.atlas import BLOCK, Atlas, nearest
from studio.services.background import Report
from studio.services.stoppable import in_own_process

Method = Literal["pca", "umap", "tsne"]
METHODS: dict[str, Method] = {"PCA": "pca", "UMAP": "umap", "t-SNE": "tsne"}
TSNE_ITERATIONS = 500
TSNE_MOST = 20_000
TSNE_EXACT = 5_000
UMAP_MOST = 100_000
PLACED_BY = 5
"""Neighbours that place a new face on a map that has no formula for it."""


@dataclass(frozen=True)
class LayoutChoice:
    """What a visitor chose; equal choices share one layout."""

    method: Method = "pca"
    dimensions: int = 2
    seed: int = 0
    neighbours: int = 15

    def name(self) -> str:
        """Return a file name; PCA depends on nothing but the faces."""
        if self.method == "pca":
            return f"pca-{self.dimensions}"
        return f"{self.method}-{self.dimensions}-seed{self.seed}-near{self.neighbours}"


def check_choice(choice: LayoutChoice, count: int) -> None:
    """Raise BadInput for a choice that cannot be laid out, saying what can."""
    if choice.method not in METHODS.values() or choice.dimensions not in (2, 3):
        raise BadInput(f"{choice.method} in {choice.dimensions} dimensions is not offered")
    if not 2 <= choice.neighbours <= 200 or not 0 <= choice.seed < 2**31:
        raise BadInput("Neighbours must be 2 to 200, and the seed a whole number from 0.")
    most = {"pca": 10**9, "umap": UMAP_MOST, "tsne": TSNE_MOST}[choice.method]
    if count > most:
        raise BadInput(f"{choice.method} would take too long for {count:,} faces; it is offered up to {most:,}.")
    if choice.method != "pca" and count <= choice.neighbours:
        raise BadInput(f"{count} faces cannot have {choice.neighbours} neighbours each; choose fewer neighbours.")


def layout(atlas: Atlas, choice: LayoutChoice, report: Report = lambda step, share: True) -> NDArray[np.float32]:
    """Return (faces, dimensions), computed once per atlas and choice; raises BadInput or Cancelled."""
    check_choice(choice, len(atlas))
    path = atlas.folder / f"{choice.name()}.npy"
    if not path.is_file():
        places = _LAYOUTS[choice.method](atlas, choice, report)
        partial = path.with_suffix(f".{hashlib.sha256(str(id(places)).encode()).hexdigest()[:8]}.part")
        with partial.open("wb") as stream:
            np.save(stream, _comfortable(places))
        partial.replace(path)
    placed: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return placed


def place(atlas: Atlas, choice: LayoutChoice, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where a new face falls: exactly for PCA (also many at once), among its nearest faces for the others."""
    if choice.method == "pca":
        mean, axes = _principal_axes(atlas)
        places = layout(atlas, choice)
        shift, scale = _comfort(atlas, choice)
        moved = ((vector.astype(np.float64) - mean) @ axes[:, : choice.dimensions] - shift) * scale
        return np.asarray(moved, places.dtype)
    near = nearest(atlas, vector, most=PLACED_BY)
    weights = 1 / (near.distances + 1e-6)
    found = (layout(atlas, choice)[near.rows] * (weights / weights.sum())[:, None]).sum(0)
    return np.asarray(found, np.float32)


def aligned(places: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn, mirror, scale and shift `places` onto `reference`, row by row: orthogonal Procrustes."""
    one, other = places.astype(np.float64), reference.astype(np.float64)
    mean, target = one.mean(0), other.mean(0)
    left, singular, right = np.linalg.svd((one - mean).T @ (other - target))
    scale = singular.sum() / max(((one - mean) ** 2).sum(), 1e-12)
    return np.asarray(scale * (one - mean) @ left @ right + target, np.float32)


def _principal_axes(atlas: Atlas) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the axes (dimension, dimension), strongest first; summed in blocks, kept on disk."""
    path = atlas.folder / "axes.npz"
    if not path.is_file():
        dimension = atlas.vectors.shape[1]
        total, products = np.zeros(dimension), np.zeros((dimension, dimension))
        for start in range(0, len(atlas), BLOCK):
            block = np.asarray(atlas.vectors[start : start + BLOCK], np.float64)
            total += block.sum(0)
            products += block.T @ block
        mean = total / len(atlas)
        _, vectors = np.linalg.eigh(products / len(atlas) - np.outer(mean, mean))
        axes = vectors[:, ::-1]
        # The sign of an axis is free: its largest part points up, so that the same faces always give the same map.
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(dimension)])
        with path.with_suffix(".part").open("wb") as stream:
            np.savez(stream, mean=mean, axes=axes)
        path.with_suffix(".part").replace(path)
    stored = np.load(path)
    return stored["mean"], stored["axes"]


def _pca(atlas: Atlas, choice: LayoutChoice, report: Report) -> NDArray[np.float64]:
    mean, axes = _principal_axes(atlas)
    chosen = axes[:, : choice.dimensions]
    blocks = [
        (np.asarray(atlas.vectors[start : start + BLOCK], np.float64) - mean) @ chosen
        for start in range(0, len(atlas), BLOCK)
    ]
    places = np.concatenate(blocks)
    if places.shape[1] < choice.dimensions:
        raise BadInput(f"vectors of {places.shape[1]} numbers have no {choice.dimensions} dimensions")
    middle, reach = _frame(places)
    file = atlas.folder / f"{choice.name()}.json"
    file.write_text(json.dumps({"shift": middle.tolist(), "scale": 1 / reach}))
    return places


def _comfort(atlas: Atlas, choice: LayoutChoice) -> tuple[NDArray[np.float64], float]:
    about = json.loads((atlas.folder / f"{choice.name()}.json").read_text())
    return np.array(about["shift"]), float(about["scale"])


def _umap(atlas: Atlas, choice: LayoutChoice, report: Report) -> NDArray[np.float64]:
    start = np.array(layout(atlas, LayoutChoice("pca", choice.dimensions)), np.float32) * 10
    found: NDArray[np.float64] = in_own_process(
        umap_places,
        (np.array(atlas.vectors), start, choice.neighbours, choice.seed),
        go_on=lambda: _go_on(report, "Arranging by UMAP", None),
    )
    return found


def umap_places(
    vectors: NDArray[np.float32], start: NDArray[np.float32], neighbours: int, seed: int
) -> NDArray[np.float64]:
    """Return UMAP's places from a start (faces, dimensions); nothing can stop it but the end of its process."""
    import umap  # noqa: PLC0415 - compiles for seconds; only when somebody asks for it

    reducer = umap.UMAP(
        n_components=start.shape[1],
        n_neighbors=neighbours,
        random_state=seed,
        n_jobs=1,  # what a fixed seed asks for
        init=start,
        min_dist=0.1,
    )
    return np.asarray(reducer.fit_transform(vectors), np.float64)


def _tsne(atlas: Atlas, choice: LayoutChoice, report: Report) -> NDArray[np.float64]:
    if choice.dimensions != 2:
        raise BadInput("t-SNE is offered in two dimensions; choose PCA or UMAP for three.")
    _go_on(report, "Finding neighbours for t-SNE", 0.0)
    from openTSNE import TSNE  # noqa: PLC0415 - only when somebody asks for it

    cancelled = []
    done = [0]

    def heard(iteration: int, error: float, places: NDArray[np.float64]) -> bool:
        # openTSNE counts again from zero in its second phase
        done[0] += 25
        is_over = not report("Arranging by t-SNE", min(done[0] / (TSNE_ITERATIONS + 250), 1.0))
        cancelled.append(is_over)
        return is_over

    start = np.array(layout(atlas, LayoutChoice("pca", 2)), np.float64) * 1e-4
    embedder = TSNE(
        perplexity=choice.neighbours,
        # "auto" would load a library that compiles for a minute
        neighbors="exact" if len(atlas) <= TSNE_EXACT else "annoy",
        n_iter=TSNE_ITERATIONS,
        random_state=choice.seed,
        initialization=start,
        callbacks=heard,
        callbacks_every_iters=25,
        n_jobs=1,
    )
    places = np.asarray(embedder.fit(np.array(atlas.vectors, np.float64)), np.float64)
    if any(cancelled):
        raise Cancelled("The arrangement was stopped; the map is as it was.")
    return places


_LAYOUTS: dict[Method, Callable[[Atlas, LayoutChoice, Report], NDArray[np.float64]]] = {
    "pca": _pca,
    "umap": _umap,
    "tsne": _tsne,
}


def _go_on(report: Report, step: str, share: float | None) -> None:
    if not report(step, share):
        raise Cancelled("The arrangement was stopped; the map is as it was.")


def _frame(places: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    low, high = np.percentile(places, [0.5, 99.5], axis=0)
    return (low + high) / 2, max(float((high - low).max()) / 2, 1e-9)


def _comfortable(places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Shift and scale, alike in all directions, so that nearly all faces lie within -1 and 1."""
    middle, reach = _frame(places)
    return np.asarray((places - middle) / reach, np.float32)
