"""Measure the occlusion chain on people and kinds of occluders that training never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from models import registry
from models.dfc_vae.evaluation import faces_to_measure
from models.evaluation import match_face
from models.faces.align import cut
from models.faces.finder import FaceFinder
from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.latent_ofer.occluders import HELD_OUT_KINDS, occlude, patch_share
from models.occlusion.align import face_matrix
from models.occlusion.reader import OcclusionReader
from models.occlusion.results import FaceCrop, Reconstruction
from models.training.data import FaceSet
from models.types import EMOTIONS, Crop, Image

MOST = 120
"""Occluded faces measured, unless told otherwise."""
DIFFUSION_CASES = 40
"""Of them filled by diffusion too, which takes seconds each."""
HIDDEN = 0.5
"""Share of a patch from which it counts as hidden."""
PLAIN = ("telea", "navier_stokes", "mean_face")


@dataclass(frozen=True, eq=False)
class Case:
    """One held-out face with something drawn over its photo, and the truth."""

    kind: str
    crop: FaceCrop
    """Of the occluded photo."""
    clean: Image
    """(S, S, 3) of the photo itself."""
    mask: NDArray[np.bool_]
    """(S, S)"""
    photo: Image
    landmarks: NDArray[np.float32]
    """(478, 3) labels in pixels of the photo."""


def cases(faces: FaceSet, *, size: int, seed: int, most: int) -> Iterator[Case]:
    """Occlude each face in turn by each of the kinds kept out of training, until there are `most`."""
    rng = np.random.default_rng(seed)
    kinds = HELD_OUT_KINDS
    for number in range(min(most, len(faces) * len(kinds))):
        row = number % len(faces)
        kind = kinds[(number // len(faces) + row) % len(kinds)]
        picture, points = faces.pictures[row], faces.landmarks[row]
        hidden = occlude(picture, points, chance=rng, kinds=(kind,))
        matrix = face_matrix(points, size=size)
        crop = cut(hidden.image, matrix, size=size)
        shown = np.repeat(hidden.mask[..., None].astype(np.uint8) * 255, 3, 2)
        # any pixel of the crop that saw a hidden one belongs to the hole
        mask = cut(shown, matrix, size=size).pixels[..., 0] > 0
        clean = cut(picture, matrix, size=size).pixels
        if mask.any():
            yield Case(kind, FaceCrop(crop, crop.to_crop(points)), clean, mask, hidden.image, points)


def evaluate_occlusion(
    folder: Path,
    *,
    seed: int = 0,
    most: int = MOST,
    people: str = "held-out",
    reader: OcclusionReader | None = None,
    finder: FaceFinder | None = None,
) -> dict[str, object]:
    """Measure detection, filling and reading on labelled faces in `folder`.

    Detection counts every patch; one is hidden from half of its area. `psnr` (dB) and `ssim` are means over faces of
    the hidden pixels, with the true mask. `landmark_error` is that of the points inside the hole, over the iris
    distance, between what the landmark network reads off the filled and the clean crop. Expression vectors and emotions
    are compared with those of the clean crop; `closed` is the share of the distance that goes away.
    """
    reader = reader or registry.load("occlusion")
    faces = faces_to_measure(folder, people=people)
    rows = list(cases(faces, size=reader.size, seed=seed, most=most))
    methods = [name for name in ("mien", *PLAIN, "diffusion") if name in reader.methods]
    told: dict[str, object] = {
        "faces": len(faces), "cases": len(rows), "people": people, "seed": seed, "kinds": list(HELD_OUT_KINDS),
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    filled = {name: _fill(reader, rows, name, seed=seed) for name in methods}
    if reader.networks.detector is not None:
        told["detection"] = detection(reader, rows)
    told["filling"] = {name: filling(reader, rows, made) for name, made in filled.items()}
    told["reading"] = reading(reader, rows, filled[methods[0]])
    told["found"] = found_share(rows, finder or registry.load("faces"))
    told["milliseconds"] = milliseconds(reader, rows[:20])
    return told


def _fill(reader: OcclusionReader, rows: list[Case], method: str, *, seed: int) -> list[Reconstruction]:
    chosen = rows[:DIFFUSION_CASES] if method == "diffusion" else rows
    options = {"samples": 1, "seed": seed} if method == "diffusion" else {}
    return [reader.reconstruct(one.crop, one.mask, method=method, **options) for one in chosen]


def detection(reader: OcclusionReader, rows: list[Case]) -> dict[str, object]:
    """Scores over all patches of occluded and clean crops, and of the occluded ones by kind."""
    patch = reader.size // reader.grid
    shares = np.stack([patch_share(one.mask, size=reader.size, patch=patch) for one in rows]) >= HIDDEN
    found = np.stack([reader.detect(one.crop).patches().reshape(-1) for one in rows])
    clean = [reader.detect(FaceCrop(Crop(one.clean, np.eye(3)), one.crop.landmarks)).patches() for one in rows]
    clean_found = np.stack(clean).reshape(len(rows), -1)
    everything = scores(np.concatenate([found, clean_found]), np.concatenate([shares, np.zeros_like(shares)]))
    of_kind = np.array([one.kind for one in rows])
    by_kind = {kind: scores(found[of_kind == kind], shares[of_kind == kind]) for kind in sorted(set(of_kind))}
    return everything | {"by_kind": by_kind}


def scores(found: NDArray[np.bool_], hidden: NDArray[np.bool_]) -> dict[str, float]:
    """Balanced accuracy, precision and recall of found patches."""
    recall = float(found[hidden].mean()) if hidden.any() else float("nan")
    kept = float((~found)[~hidden].mean()) if (~hidden).any() else float("nan")
    precision = float(hidden[found].mean()) if found.any() else 0.0
    return {
        "balanced_accuracy": round((recall + kept) / 2, 4),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
    }


def filling(reader: OcclusionReader, rows: list[Case], made: list[Reconstruction]) -> dict[str, float]:
    """PSNR, SSIM and landmark error behind the holes, for as many cases as were filled."""
    psnr, ssim, errors = [], [], []
    for one, result in zip(rows, made, strict=False):
        off = (result.blended.astype(np.float64) - one.clean)[one.mask] / 255
        psnr.append(-10 * np.log10(max(float(np.square(off).mean()), 1e-8)))
        _, likeness = structural_similarity(one.clean, result.blended, channel_axis=2, data_range=255, full=True)
        ssim.append(float(likeness.mean(2)[one.mask].mean()))
        truth, points = (read_landmarks(reader, picture) for picture in (one.clean, result.blended))
        iris = max(float(np.linalg.norm(truth[IRIS_RIGHT] - truth[IRIS_LEFT])), 1.0)
        places = np.clip(np.round(truth).astype(int), 0, reader.size - 1)
        inside = one.mask[places[:, 1], places[:, 0]]
        if inside.any():
            errors.append(float(np.linalg.norm(points - truth, axis=1)[inside].mean() / iris))
    return {
        "cases": len(made),
        "psnr": round(float(np.mean(psnr)), 3),
        "ssim": round(float(np.mean(ssim)), 4),
        "landmark_error": round(float(np.mean(errors)), 4),
    }


@torch.inference_mode()
def read_landmarks(reader: OcclusionReader, pixels: Image) -> NDArray[np.float32]:
    """(478, 2) in crop pixels, as the landmark network reads them off a crop in one look."""
    network = reader.networks.landmarks
    edge = int(network.config["size"])
    small = cv2.resize(pixels, (edge, edge), interpolation=cv2.INTER_LINEAR)
    given = torch.from_numpy(small).permute(2, 0, 1)[None].to(reader.device).float() / 255
    points = network(given).landmarks[0, :, :2].float().cpu().numpy()
    return np.asarray(points * reader.size / 2 + (reader.size - 1) / 2, np.float32)


def reading(reader: OcclusionReader, rows: list[Case], made: list[Reconstruction]) -> dict[str, float]:
    """Distance to the clean crop's vector, the share of it that is closed, and agreement of the strongest emotion."""
    truth = [reader.recognise(one.clean) for one in rows]
    ways = {
        "occluded": [reader.recognise(one.crop.pixels) for one in rows],
        "reconstructed": [reader.recognise(result.blended) for result in made],
        "with_latents": [
            reader.recognise(result.blended, one.mask) for one, result in zip(rows, made, strict=True)
        ],
    }  # fmt: skip
    figures: dict[str, float] = {}
    for name, read in ways.items():
        gaps = [float(np.linalg.norm(a.vector - b.vector)) for a, b in zip(read, truth, strict=True)]
        figures[f"{name}_distance"] = round(float(np.mean(gaps)), 4)
        agree = [a.strongest == b.strongest for a, b in zip(read, truth, strict=True)]
        figures[f"{name}_agreement"] = round(float(np.mean(agree)), 4)
    for name in ("reconstructed", "with_latents"):
        figures[f"{name}_closed"] = round(1 - figures[f"{name}_distance"] / figures["occluded_distance"], 4)
    return figures | {"emotions": len(EMOTIONS)}


def found_share(rows: list[Case], finder: FaceFinder) -> float:
    """Share of the occluded photos in which the face is still found where it is."""
    return round(float(np.mean([match_face(finder.find(one.photo), one.landmarks) is not None for one in rows])), 4)


def milliseconds(reader: OcclusionReader, rows: list[Case]) -> dict[str, float]:
    """Median time of each stage of the chain, and of all of it without finding the face."""
    spent: dict[str, list[float]] = {}
    for one in rows:
        stages = reader.detect(one.crop).milliseconds if reader.networks.detector is not None else {}
        made = reader.reconstruct(one.crop, one.mask, method=next(iter(reader.methods)))
        read = reader.recognise(made.blended, one.mask)
        stages = stages | made.milliseconds | read.milliseconds
        for name, value in {**stages, "all": sum(stages.values())}.items():
            spent.setdefault(name, []).append(value)
    return {name: round(float(np.median(values)), 1) for name, values in spent.items()}
