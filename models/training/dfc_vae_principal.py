"""The linear code under the latent space, and the control of the same size: principal components of the crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from models.dfc_vae.align import oval
from models.dfc_vae.network import DfcVae
from models.training.loop import Batch

PCA_FILE = "pca.safetensors"
CORNERS = 0.3
"""How much a pixel in the corner, hair or background, counts against one of the face."""


def face_share(size: int) -> Tensor:
    """(size, size): how much each pixel counts."""
    return torch.from_numpy(oval(size, feather=0.25, low=CORNERS))


def some_crops(stream: Iterator[Batch], *, count: int) -> Tensor:
    """(count, 3, S, S) uint8 from a stream of batches."""
    parts, have = [], 0
    while have < count:
        parts.append(next(stream)["pixels"])
        have += len(parts[-1])
    return torch.cat(parts)[:count]


@torch.no_grad()
def lay_principal(network: DfcVae, crops: Tensor) -> None:
    """Fill the network's fixed linear code from (N, 3, S, S) uint8 crops of training faces.

    Components are those of the quarter-size pictures; what each adds at half the size follows by least squares.
    """
    code = network.principal
    small = torch.cat([functional.avg_pool2d(part.float() / 255, 4).flatten(1) for part in crops.split(256)])
    half = torch.cat([functional.avg_pool2d(part.float() / 255, 2).flatten(1) for part in crops.split(256)])
    code.mean_small.copy_(small.mean(0))
    code.mean_half.copy_(half.mean(0))
    share = _flat_share(network.size // 4)
    weighted = (small - code.mean_small) * share
    _, lengths, directions = torch.svd_lowrank(weighted, q=network.latent + 16, niter=3)
    lengths, directions = lengths[: network.latent], directions[:, : network.latent]
    whitening = (directions / lengths * len(crops) ** 0.5).T  # to variance 1
    scores = weighted @ whitening.T  # (N, latent)
    code.analysis.copy_(whitening * share)
    code.synthesis.copy_((half - code.mean_half).T @ scores / len(crops))


def _flat_share(size: int) -> Tensor:
    return face_share(size).expand(3, size, size).flatten()


@dataclass(frozen=True, eq=False)
class Pca:
    """Principal components at full size, weighted like the losses: the control that knows no convolution."""

    mean: Tensor
    """(3 * S * S,)"""
    directions: Tensor
    """(latent, 3 * S * S), orthonormal."""

    def rebuild(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] to itself through the components."""
        share = _flat_share(image.shape[-1])
        scores = functional.linear((image.flatten(1) - self.mean) * share, self.directions)  # (B, latent)
        return (scores @ self.directions / share + self.mean).view(image.shape)

    def save(self, folder: Path) -> None:
        """Write the components in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"mean": self.mean.half(), "directions": self.directions.half().contiguous()}
        save_file(tensors, folder / PCA_FILE)


def read_pca(folder: Path) -> Pca:
    """Read what `Pca.save` wrote."""
    tensors = load_file(folder / PCA_FILE)
    return Pca(tensors["mean"].float(), tensors["directions"].float())


@torch.no_grad()
def fit_pca(crops: Tensor, *, latent: int) -> Pca:
    """Fit `latent` components to (N, 3, S, S) uint8 crops of training faces."""
    flat = torch.cat([(part.float() / 255).flatten(1) for part in crops.split(256)])
    mean = flat.mean(0)
    flat -= mean
    flat *= _flat_share(crops.shape[-1])
    _, _, directions = torch.svd_lowrank(flat, q=latent + 16, niter=2)
    return Pca(mean, directions[:, :latent].T.contiguous())
