"""Recipes: one module for each weight that ships, run by `mien train NAME`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from models.device import choose_device
from models.errors import BadInput

RECIPES: dict[str, str] = {
    "faces": "models.training.faces",
    "deepfever": "models.training.deepfever",
    "appearance": "models.training.appearance",
    "head": "models.training.head",
    "dfc_vae": "models.training.dfc_vae",
    "dfc_vae_pixel": "models.training.dfc_vae_pixel",
    "dfc_vae_paper": "models.training.dfc_vae_paper",
}


def run_recipe(
    name: str,
    *,
    data: Path,
    out: Path,
    device: str = "auto",
    minutes: float | None = None,
    resume: bool = True,
) -> dict[str, float]:
    """Train, measure on held-out people, write the weight and its card; returns the figures.

    A recipe's module has `run(data=..., out=..., device=..., minutes=..., resume=...)`. Raises BadInput for an unknown
    name or a folder without data.
    """
    if name not in RECIPES:
        raise BadInput(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    import torch  # noqa: PLC0415 - `mien data label` runs in an environment without it

    torch.manual_seed(1)
    run = import_module(RECIPES[name]).run
    options = {} if minutes is None else {"minutes": minutes}
    figures: dict[str, float] = run(data=data, out=out, device=str(choose_device(device)), resume=resume, **options)
    return figures
