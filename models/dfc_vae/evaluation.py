"""Measure reconstructions: ours, the same network trained on pixels alone, and principal components of its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor

from models import registry
from models.dfc_vae.align import bone_matrix, oval
from models.dfc_vae.losses import TrunkTaps, relative_layer_errors
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import CropReadings, read_crops
from models.errors import BadInput, MissingWeights
from models.faces.names import IRIS_LEFT, IRIS_RIGHT
from models.faces.network import FaceNet
from models.images import encode_image
from models.training.data import LOOK_ONLY, FaceSet, read_faces, split
from models.training.dfc_vae_crops import exact_crops
from models.training.dfc_vae_principal import PCA_FILE, read_pca
from models.types import Box, Face, HeadPose

Rebuild = Callable[[Tensor], Tensor]
"""(B, 3, S, S) in [0, 1] to itself."""
FACE_BLOCKS = (1, 3)
CLEAR = ("sfhq_t2i", "london", "webmorph_cc0")
"""Sources with colour photographs: the ones the figures are about."""


def evaluate_latent(folder: Path, *, people: str = "all", controls: Path | None = None) -> dict[str, object]:
    """Rebuild every aligned face of `folder` and compare with the original.

    `controls` is a run of `mien train dfc_vae_pixel`; without it only our own network is measured. Means over faces,
    except sharpness, a median: PSNR (dB) and SSIM of the face, landmark error over the iris distance and blendshape
    correlation as our landmark network reads original and reconstruction, distance of expression vectors (a network
    that no loss knows), feature error, and sharpness (variance of the Laplacian over the original's).
    """
    faces = faces_to_measure(folder, people=people)
    crops = exact_crops(faces, size=128)
    ruler = Ruler.shipped(crops, faces)
    rows: dict[str, object] = {"faces": len(faces), "people": people}
    for name, rebuild in rebuilders(controls).items():
        rows[name] = ruler.compare(rebuild)
    return rows


def faces_to_measure(folder: Path, *, people: str) -> FaceSet:
    """Return the colour photographs of `folder`, or those of people training never saw."""
    faces = read_faces(folder, sets=("faces256",))
    if people == "held-out":
        faces = split(faces)[1]
        known = np.isin(faces.source, CLEAR)
        faces = faces.rows(known) if known.any() else faces
    elif people != "all":
        raise BadInput(f"people must be all or held-out, got {people!r}")
    if not len(faces):
        raise BadInput(f"{folder} has no face to measure on")
    return faces


def rebuilders(controls: Path | None) -> dict[str, Rebuild]:
    """Return the shipped network and, where there is a run of controls, those; raises MissingWeights."""
    found: dict[str, Rebuild] = {"ours": _shipped_network()}
    if controls is None:
        return found
    if not (controls / "config.json").is_file():
        raise MissingWeights(f"{controls} holds no network; make the controls with `mien train dfc_vae_pixel`")
    found["pixel"] = DfcVae.from_pretrained(controls).eval()
    if (controls / PCA_FILE).is_file():
        found["pca"] = read_pca(controls).rebuild
    return found


def _shipped_network() -> DfcVae:
    config, tensors, _ = registry.shipped("dfc_vae")
    network = DfcVae(**config)
    network.load_state_dict(tensors)
    return network.eval()


@torch.inference_mode()
def contact_sheet(folder: Path, target: Path, *, people: str, controls: Path | None, count: int = 24) -> None:
    """Write a JPEG of faces, evenly taken, each above its reconstructions: ours, pixel control, PCA."""
    faces = faces_to_measure(folder, people=people)
    faces = faces.rows(~np.isin(faces.source, LOOK_ONLY))
    rows = np.unique(np.linspace(0, len(faces) - 1, count).round().astype(int))
    crops = exact_crops(faces, size=128)[rows].float() / 255
    lines = [crops, *(rebuild(crops).float().clamp(0, 1) for rebuild in rebuilders(controls).values())]
    half = (len(rows) + 1) // 2
    bands = [
        np.concatenate(list((line[start : start + half].permute(0, 2, 3, 1).numpy() * 255 + 0.5).astype(np.uint8)), 1)
        for start in (0, half)
        for line in lines
    ]
    widest = max(band.shape[1] for band in bands)
    padded = [np.pad(band, ((0, 0), (0, widest - band.shape[1]), (0, 0)), constant_values=255) for band in bands]
    target.write_bytes(encode_image(np.concatenate(padded, 0), "JPEG", quality=80))


@dataclass(frozen=True, eq=False)
class Ruler:
    """The originals and what every network reads off them."""

    crops: Tensor
    """(N, 3, S, S) in [0, 1]"""
    faces: tuple[Face, ...]
    """Where each face lies in its crop, from the labels."""
    network: FaceNet
    readings: CropReadings
    vectors: NDArray[np.float32]

    @classmethod
    def shipped(cls, crops: Tensor, labelled: FaceSet) -> Ruler:
        """Build it with the networks that ship, from (N, 3, S, S) uint8 crops and their labels."""
        config, tensors, _ = registry.shipped("faces")
        network = FaceNet(**config)
        network.load_state_dict(tensors)
        network.eval()
        unit = crops.float() / 255
        readings = read_crops(network, unit)
        faces = tuple(_face(points, crops.shape[-1]) for points in labelled.landmarks)
        return cls(unit, faces, network, readings, expression_vectors(unit, faces))

    @torch.inference_mode()
    def compare(self, rebuild: Rebuild) -> dict[str, float]:
        """Figures of one way to rebuild the crops."""
        outputs = torch.cat([rebuild(part).float().clamp(0, 1) for part in self.crops.split(32)])
        readings = read_crops(self.network, outputs)
        vectors = expression_vectors(outputs, self.faces)
        taps = TrunkTaps(self.network.trunk, blocks=FACE_BLOCKS)
        pairs = zip(self.crops.split(32), outputs.split(32), strict=True)
        features = [relative_layer_errors(taps(a), taps(b)).mean() * len(a) for a, b in pairs]
        figures = pixel_figures(self.crops, outputs) | {
            "landmark_error": float(_gaps(self.readings.landmarks, readings.landmarks).mean()),
            "blendshape_corr": _correlation(self.readings.blendshapes, readings.blendshapes),
            "expression_distance": float(np.linalg.norm(vectors - self.vectors, axis=1).mean()),
            "feature_error": float(torch.stack(features).sum() / len(outputs)),
        }
        return {name: round(value, 4) for name, value in figures.items()}


def pixel_figures(originals: Tensor, outputs: Tensor) -> dict[str, float]:
    """PSNR, SSIM and sharpness within the face's oval, from two (N, 3, S, S) in [0, 1]."""
    share = oval(originals.shape[-1], feather=0.1)
    psnr, ssim, sharp = [], [], []
    for one, other in zip(originals.numpy(), outputs.numpy(), strict=True):
        error = (np.square(one - other).mean(0) * share).sum() / share.sum()
        psnr.append(-10 * np.log10(max(float(error), 1e-10)))
        _, likeness = structural_similarity(one, other, channel_axis=0, data_range=1.0, full=True)
        ssim.append(float((likeness.mean(0) * share).sum() / share.sum()))
        sharp.append(_sharpness(other, share) / max(_sharpness(one, share), 1e-9))
    return {"psnr": float(np.mean(psnr)), "ssim": float(np.mean(ssim)), "sharpness": float(np.median(sharp))}


def _sharpness(picture: NDArray[np.float32], share: NDArray[np.float32]) -> float:
    grey = cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[share > 0.5].var())


def _gaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    iris = np.linalg.norm(one[:, IRIS_RIGHT, :2] - one[:, IRIS_LEFT, :2], axis=1)
    gaps: NDArray[np.float32] = np.linalg.norm(one[..., :2] - other[..., :2], axis=2).mean(1) / iris
    return gaps


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    varied = np.flatnonzero(one.std(0) > 0.03)
    return float(np.mean([np.corrcoef(one[:, i], other[:, i])[0, 1] for i in varied]))


def _face(landmarks: NDArray[np.float32], size: int) -> Face:
    matrix = bone_matrix(landmarks, size=size)
    points = landmarks.astype(np.float32).copy()
    points[:, :2] = landmarks[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    points[:, 2] *= np.hypot(*matrix[:2, 0])
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return Face(box, 1.0, points, np.zeros(52, np.float32), HeadPose(0.0, 0.0, 0.0))


def expression_vectors(crops: Tensor, faces: tuple[Face, ...]) -> NDArray[np.float32]:
    """(N, 64) expression vectors of (N, 3, S, S) crops in [0, 1]."""
    reader = registry.load("deepfever")
    pictures = (crops.permute(0, 2, 3, 1).numpy() * 255 + 0.5).astype(np.uint8)
    read = [
        reader.read(np.ascontiguousarray(picture), [face])[0] for picture, face in zip(pictures, faces, strict=True)
    ]
    return np.stack([expression.vector for expression in read])
