"""Recipe of the control: the latent space trained with pixel errors alone, for the comparison the paper is about.

It is measured and compared, never shipped.
"""

from __future__ import annotations

from pathlib import Path

from models.training.dfc_vae import batch_for, train


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 150.0) -> dict[str, float]:
    """Train as `dfc_vae` does, but for the loss; the network stays in `out/model`."""
    return train(
        data=data, out=out, minutes=minutes, device=device, resume=resume, features="pixel", batch=batch_for(device)
    )
