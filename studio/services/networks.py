"""What the networks run on, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.settings import Settings


def tell_registry(settings: Settings) -> None:
    """Tell the registry of networks its device and folders; raises RuntimeError when networks run on others already."""
    from models import registry  # noqa: PLC0415 - commands say `--help` without it

    registry.configure(
        device=settings.device,
        weights_folders=settings.weights_folders,
        inpaint_model=settings.inpaint_model,
        inpaint_on_cpu=settings.inpaint_on_cpu,
    )
