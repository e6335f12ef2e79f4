"""What every command that runs a network does first."""

from __future__ import annotations

from studio.services.networks import tell_registry
from studio.settings import Settings, settings


def use_settings() -> Settings:
    """Tell the registry of networks what device and folders the environment names, and return the settings."""
    chosen = settings()
    tell_registry(chosen)
    return chosen
