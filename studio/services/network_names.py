"""What networks are called on the page: their files' names say little to a visitor."""

from __future__ import annotations

from collections.abc import Sequence

from db.types import Backend
from studio.services.tuned import MARK, base_of

KNOWN = {"deepfever": "Expression network", "dfc_vae": "Latent space"}


def network_titles(backends: Sequence[str]) -> list[str]:
    """Return what to call networks on the page; those that would be called alike are told apart by their weights."""
    titles = [_title(Backend.parse(backend)) for backend in backends]
    return [
        title if titles.count(title) == 1 else f"{title}, {base_of(backend).rpartition('-')[2]}"
        for title, backend in zip(titles, backends, strict=True)
    ]


def titled_networks(backends: Sequence[str]) -> list[tuple[str, str]]:
    """Return (title, network) for a list to choose from."""
    return list(zip(network_titles(backends), backends, strict=True))


def _title(named: Backend) -> str:
    base, mark, run = named.name.partition(MARK)
    family = base.rpartition("-")[0] or base
    title = KNOWN.get(family, base)
    return f"{title}, run {run}" if mark else title
