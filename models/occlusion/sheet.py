"""A picture of the chain on unseen faces: what came in, what was found, and what was made of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models import registry
from models.dfc_vae.evaluation import faces_to_measure
from models.errors import BadInput
from models.images import encode_image
from models.occlusion.evaluation import Case, cases
from models.occlusion.reader import OcclusionReader
from models.types import Image

MADE = ("sfhq_t2i",)
"""Sources of generated faces: nobody's picture is shown."""
COUNT, ACROSS = 24, 8


def contact_sheet(folder: Path, target: Path, *, seed: int = 0, reader: OcclusionReader | None = None) -> None:
    """Write a JPEG of 24 held-out generated faces: occluded, distances, coarse, refined, diffusion, Telea, clean."""
    reader = reader or registry.load("occlusion")
    faces = faces_to_measure(folder, people="held-out")
    faces = faces.rows(np.isin(faces.source, MADE))
    if not len(faces):
        raise BadInput(f"{folder} has no generated face of people kept out of training; a sheet shows only those")
    rows = np.unique(np.linspace(0, len(faces) - 1, COUNT).round().astype(int))
    chosen = faces.rows(np.isin(np.arange(len(faces)), rows))
    columns = [_column(reader, one) for one in cases(chosen, size=reader.size, seed=seed, most=len(rows))]
    bands = [np.concatenate(columns[start : start + ACROSS], 1) for start in range(0, len(columns), ACROSS)]
    widest = max(band.shape[1] for band in bands)
    padded = [np.pad(band, ((0, 8), (0, widest - band.shape[1]), (0, 0)), constant_values=255) for band in bands]
    target.write_bytes(encode_image(np.concatenate(padded, 0), "JPEG", quality=82))


def _column(reader: OcclusionReader, one: Case) -> Image:
    pictures = [one.crop.pixels]
    if reader.networks.detector is not None:
        pictures.append(heat(one.crop.pixels, reader.detect(one.crop).share))
    made = reader.reconstruct(one.crop, one.mask, method=next(iter(reader.methods)))
    pictures += [made.coarse, made.blended]
    if "diffusion" in reader.methods:
        pictures.append(reader.reconstruct(one.crop, one.mask, method="diffusion", samples=1).blended)
    pictures += [reader.reconstruct(one.crop, one.mask, method="telea").blended, one.clean]
    return np.concatenate(pictures, 0)


def heat(pixels: Image, share: NDArray[np.float32]) -> Image:
    """A crop in grey with a map (g, g) of shares laid over it in warm colour."""
    size = pixels.shape[0]
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    strength = cv2.resize(np.clip(share, 0, 1), (size, size), interpolation=cv2.INTER_NEAREST)[..., None]
    warm = np.array([235, 96, 52], np.float32)
    return np.asarray(grey * (1 - 0.75 * strength) + warm * 0.75 * strength, dtype=np.uint8)
