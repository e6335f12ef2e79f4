"""Recipe of the controls: the latent space trained with pixel errors alone, and principal components of its size.

They are measured and compared with `mien evaluate latent`, never shipped.
"""

from __future__ import annotations

from pathlib import Path

from models.training.data import read_faces, split
from models.training.dfc_vae import PRINCIPAL_CROPS, batch_for, train
from models.training.dfc_vae_crops import BoneCrops
from models.training.dfc_vae_principal import fit_pca, some_crops


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 150.0) -> dict[str, float]:
    """Train as `dfc_vae` does, but for the loss; network and components stay in `out/model`."""
    training, _ = split(read_faces(data))
    stream = BoneCrops(training, size=128, batch=32, seed=2)
    fit_pca(some_crops(iter(stream), count=PRINCIPAL_CROPS), latent=128).save(out / "model")
    del training, stream
    return train(
        data=data, out=out, minutes=minutes, device=device, resume=resume, features="pixel", batch=batch_for(device)
    )
