"""What every tab is given: settings and memory; networks come from the registry, loaded when first asked for."""

from __future__ import annotations

from dataclasses import dataclass

from db.store import Store
from studio.settings import Settings


@dataclass(frozen=True)
class Context:
    """One per process; nothing in it changes after start, so visitors cannot see each other through it."""

    settings: Settings
    store: Store
