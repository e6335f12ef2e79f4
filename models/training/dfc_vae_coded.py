"""Training faces in the latent space: what the sliders are fitted to, coded once and kept in the run's folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.dfc_vae.attributes import METERS
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import CropReadings
from models.faces.names import MIRRORED_BLENDSHAPES
from models.faces.network import FaceNet
from models.faces.pose import head_pose
from models.training.data import MADE, FaceSet, read_faces, split
from models.training.dfc_vae_crops import exact_crops

log = logging.getLogger(__name__)

OWN = ("sfhq_t2i", "london", "webmorph_cc0")
"""Sources of photos, one or two of a person."""
CLEAR = ("sfhq_t2i", "london")
"""Sources whose readings say how much faces differ."""
WARPED_PEOPLE = 220
"""People whose warps are taken too, drawn by chance."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Training faces in the latent space; the second half are the first's mirrored."""

    codes: NDArray[np.float64]
    """(N, latent)"""
    values: NDArray[np.float64]
    """(N, meters) of the labels, over their standard deviations."""
    units: NDArray[np.float64]
    """(meters,) those standard deviations among clear photos."""
    person: NDArray[np.str_]
    """(N,) a warp belongs to the person it was made from."""
    source: NDArray[np.str_]
    caption: NDArray[np.str_]

    def of(self, *sources: str) -> NDArray[np.bool_]:
        """(N,) which rows come from one of these sources."""
        return np.isin(self.source, sources)


def code_faces(data: Path, network: DfcVae, reader: FaceNet, *, kept: Path) -> Coded:
    """Code the training people's photos, clips and some warps, or read `kept` (.npz) when it is there."""
    if kept.is_file():
        log.info("codes of %s", kept.name)
        return Coded(**np.load(kept))
    training, _ = split(read_faces(data, sets=("faces256", "clips")))
    faces = joined(training, _some_warps(data, training))
    coded = _coded(network, faces, reader)
    np.savez(kept, **vars(coded))
    return coded


def joined(one: FaceSet, other: FaceSet) -> FaceSet:
    """Return both sets as one."""
    both = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("landmarks", "blendshapes", "identity", "caption", "source")
    }
    return FaceSet(pictures=[*one.pictures, *other.pictures], **both)


def _some_warps(data: Path, training: FaceSet) -> FaceSet:
    """Read the warps of some of the training people; reading all would take longer than all the rest."""
    folder = data / MADE[0]
    if not (folder / "labels.npz").is_file():
        return training.rows(np.zeros(len(training), bool))
    labels = np.load(folder / "labels.npz")
    people = {_warped_name(name): name for name in training.identity[np.isin(training.source, OWN)].tolist()}
    # A warp is named after the person and the picture's number among that person's.
    owner = np.array([people.get(name.rpartition("_")[0], "") for name in labels["identity"].tolist()])
    chosen = np.random.default_rng(0).permutation(np.unique(owner[owner != ""]))[:WARPED_PEOPLE]
    rows = np.flatnonzero(np.isin(owner, chosen))
    log.info("%d warps of %d people", len(rows), len(chosen))
    pictures = [cv2.imread(str(folder / str(labels["path"][row]))) for row in rows]
    return FaceSet(
        pictures=[cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures],
        landmarks=labels["landmarks"][rows].astype(np.float32),
        blendshapes=labels["blendshapes"][rows].astype(np.float32),
        identity=owner[rows],
        caption=np.full(len(rows), ""),
        source=np.full(len(rows), MADE[0]),
    )


def _warped_name(identity: str) -> str:
    return identity.replace("/", "__")


@torch.inference_mode()
def _coded(network: DfcVae, faces: FaceSet, reader: FaceNet) -> Coded:
    crops = exact_crops(faces, size=network.size)
    codes = []
    for place, part in enumerate(torch.cat([crops, crops.flip(-1)]).split(64)):
        codes.append(network.encode(part.float() / 255).mean)
        if place % 10 == 0:
            log.info("%d of %d faces coded", 64 * place, 2 * len(faces))
    mean = reader.mean_shape.float().numpy()
    yaw = np.array([head_pose(points, mean).yaw for points in faces.landmarks], np.float32)
    plain = CropReadings(faces.landmarks, faces.blendshapes, yaw)
    turned = CropReadings(faces.landmarks, faces.blendshapes[:, MIRRORED_BLENDSHAPES], -yaw)
    values = np.concatenate(
        [np.stack([side.strength(meter.weights) for meter in METERS], 1) for side in (plain, turned)]
    ).astype(np.float64)
    source = np.tile(faces.source, 2)
    clear = np.isin(source, CLEAR)
    units = values[clear].std(0) if clear.any() else values.std(0)
    person = np.concatenate([faces.identity, np.char.add(faces.identity, " mirrored")])
    return Coded(
        codes=torch.cat(codes).double().numpy(),
        values=values / units,
        units=units,
        person=person,
        source=source,
        caption=np.tile(faces.caption, 2),
    )
