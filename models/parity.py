"""Compare our arithmetic with stored outputs of an official implementation, array by array.

Each system has a module with `checks(fixtures, seed=..., only=...)`, which yields one `ArrayCheck` per stored array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from models.errors import BadInput

SYSTEMS: dict[str, str] = {
    "smirk": "models.smirk.parity",
    "dfc_vae": "models.dfc_vae.parity",
    "latent_ofer": "models.latent_ofer.parity",
    "fsrt": "models.fsrt.parity",
}


@dataclass(frozen=True)
class ArrayCheck:
    """One stored array against ours: the largest absolute difference and what is allowed."""

    name: str
    difference: float
    tolerance: float
    note: str = ""

    @property
    def ok(self) -> bool:
        """True when the difference is a number within the tolerance; NaN never passes."""
        return bool(self.difference <= self.tolerance)

    def line(self) -> str:
        """`name  max|diff| 1.2e-06  tolerance 1.0e-05  ok`."""
        verdict = "ok" if self.ok else "FAIL"
        tail = f"  {self.note}" if self.note else ""
        return f"{self.name:<48} max|diff| {self.difference:.3e}  tolerance {self.tolerance:.1e}  {verdict}{tail}"


def compare(name: str, ours: np.ndarray, reference: np.ndarray, *, tolerance: float, note: str = "") -> ArrayCheck:
    """Check one array; a wrong shape counts as an infinite difference and says so."""
    ours, reference = np.asarray(ours), np.asarray(reference)
    if ours.shape != reference.shape:
        return ArrayCheck(name, float("inf"), tolerance, f"shape {ours.shape}, reference {reference.shape}")
    if ours.size == 0:
        return ArrayCheck(name, 0.0, tolerance, note or "empty")
    difference = np.abs(ours.astype(np.float64) - reference.astype(np.float64)).max()
    return ArrayCheck(name, float(difference), tolerance, note)


def checks_of(system: str, fixtures: Path, *, seed: str, only: str | None = None) -> Iterator[ArrayCheck]:
    """Yield the checks of one system; raises BadInput for an unknown system or a folder without fixtures."""
    if system not in SYSTEMS:
        raise BadInput(f"no system is called {system!r}; there are {', '.join(SYSTEMS)}")
    if not fixtures.is_dir():
        raise BadInput(f"{fixtures} is not a folder of fixtures")
    module = import_module(SYSTEMS[system])
    check: Callable[..., Iterator[ArrayCheck]] = module.checks
    return check(fixtures, seed=seed, only=only)
