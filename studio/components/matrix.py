"""Two to nine faces side by side, the odd one marked, and the distances between them as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from studio.components.markup import render
from studio.components.scripts import script
from studio.services.comparison import Comparison
from studio.services.gather import NamedFace


@dataclass(frozen=True)
class Verdict:
    """What the comparison says, in words."""

    title: str
    text: str
    odd: int | None = None
    """Index of the face to mark."""


class Matrix(gr.HTML):
    """Triggers `drop` with the `place` of a face to leave out, and the face menu's events."""

    def __init__(self, **options: Any) -> None:
        super().__init__(js_on_load=script("matrix"), apply_default_css=False, **options)


def matrix(comparison: Comparison | None, faces: Sequence[NamedFace]) -> str:
    """Return verdict, faces and table; without a comparison, one face that waits for others."""
    distances = comparison.distances if comparison is not None else None
    apart = distances[np.triu_indices(len(faces), k=1)] if distances is not None else np.zeros(1)
    return render(
        "matrix.html",
        verdict=verdict(comparison),
        faces=faces,
        distances=distances,
        farthest=float(apart.max()),
        span=max(float(np.ptp(apart)), 1e-6),
    )


def verdict(comparison: Comparison | None) -> Verdict:
    """Say which face is the odd one out, or that none clearly is."""
    if comparison is None:
        return Verdict("", "One more face is needed to compare.")
    one, other = comparison.closest
    gap = float(comparison.distances[one, other])
    if comparison.odd is None:
        return Verdict(f"Distance {gap:.2f}", "0 is the same expression, 2 the opposite.")
    alike = f"Faces {one + 1} and {other + 1} are most alike, distance {gap:.2f}."
    if comparison.is_close_call:
        return Verdict("No clear odd one out", f"Face {comparison.odd + 1} comes first by very little. {alike}")
    return Verdict(f"Face {comparison.odd + 1} is the odd one out", alike, comparison.odd)
