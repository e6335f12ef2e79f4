"""Recipes: one module for each weight that ships, run by `mien train NAME`."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from models.device import choose_device
from models.errors import BadInput

RECIPES: dict[str, str] = {
    "faces": "models.training.faces",
    "faces_score": "models.training.faces_score",
    "deepfever": "models.training.deepfever",
    "appearance": "models.training.appearance",
    "head": "models.training.head",
    "head_actions": "models.training.head_actions",
    "smirk": "models.training.smirk",
    "smirk_synthesis": "models.training.smirk_synthesis",
    "smirk_generator": "models.training.smirk_generator",
    "fsrt": "models.training.fsrt",
    "dfc_vae": "models.training.dfc_vae",
    "dfc_vae_directions": "models.training.dfc_vae_directions",
    "dfc_vae_pixel": "models.training.dfc_vae_pixel",
    "dfc_vae_paper": "models.training.dfc_vae_paper",
    "mae": "models.training.mae",
    "svdd": "models.training.svdd",
    "refiner": "models.training.refiner",
    "shaped_prior": "models.training.shaped_prior",
    "ofer": "models.training.ofer",
    "diffusion": "models.training.diffusion",
}


def run_recipe(
    name: str,
    *,
    data: Path,
    out: Path,
    device: str = "auto",
    minutes: float | None = None,
    resume: bool = True,
    from_shipped: bool = False,
) -> dict[str, float]:
    """Train, measure on held-out people, write the weight and its card; returns the figures.

    A recipe's module has `run(data=..., out=..., device=..., minutes=..., resume=...)`; one that can go on from the
    weights that ship takes `from_shipped=...` as well. Raises BadInput for an unknown name, a folder without data, or a
    recipe that can only begin anew.
    """
    if name not in RECIPES:
        raise BadInput(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    import torch  # noqa: PLC0415 - `mien data label` runs in an environment without it

    torch.manual_seed(1)
    run = import_module(RECIPES[name]).run
    options: dict[str, Any] = {} if minutes is None else {"minutes": minutes}
    if from_shipped:
        if "from_shipped" not in signature(run).parameters:
            raise BadInput(f"the recipe {name!r} always begins anew; leave out --from-shipped")
        options["from_shipped"] = True
    figures: dict[str, float] = run(data=data, out=out, device=str(choose_device(device)), resume=resume, **options)
    return figures
