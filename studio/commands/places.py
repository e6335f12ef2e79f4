"""What every command that runs a network does first."""

from __future__ import annotations

from studio.settings import Settings, settings


def use_settings() -> Settings:
    """Tell the registry of networks what device and folders the environment names, and return the settings."""
    from models import registry

    chosen = settings()
    registry.configure(
        device=chosen.device,
        weights_folders=chosen.weights_folders,
        inpaint_model=chosen.inpaint_model,
        inpaint_on_cpu=chosen.inpaint_on_cpu,
    )
    return chosen
