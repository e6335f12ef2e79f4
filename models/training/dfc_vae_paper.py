"""Recipe of the paper's network: 64 px and 100 numbers, with our data and ruler. It stays in its folder."""

from __future__ import annotations

from pathlib import Path

from models.training.dfc_vae import batch_for, face_ruler, train


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 90.0) -> dict[str, float]:
    """Train the paper's network; `mien weights add dfc-vae-paper` takes the file from `out/model`."""
    return train(
        data=data,
        out=out,
        minutes=minutes,
        device=device,
        resume=resume,
        paper=True,
        ruler=face_ruler(),
        batch=batch_for(device),
    )
