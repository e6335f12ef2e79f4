"""A photo and a face in it to the open head: by fitting the landmarks, by the encoder, or by both together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput, MissingWeights
from models.head.actions import PointActions
from models.head.fit import HeadFit
from models.head.head import Head
from models.head.parameters import HeadParameters
from models.types import Face, Image, Points

if TYPE_CHECKING:
    from models.smirk_open.reader import OpenReader

FROM_POINTS = 0.5
"""Share of the coefficients that the points say; the rest is read off pixels. docs/mesh.md says how it was chosen."""
METHODS = ("fit", "encoder", "both")
"""fit: the landmark network's points and coefficients; encoder: `smirk_open` alone; both: the points, and the mean of
the two networks' coefficients. Where the points are used, so are the coefficients that they say by themselves."""
BEST = "fit"
"""The method that measured best on people never trained on; docs/mesh.md has the figures."""


class HeadReader:
    """One door for the tab, the command line and the evaluation; nothing in it changes after it is made."""

    def __init__(
        self,
        head: Head,
        encoder: OpenReader | None = None,
        *,
        actions: PointActions | None = None,
        method: str = BEST,
    ) -> None:
        self.head, self._fit, self._encoder, self.actions = head, HeadFit(head), encoder, actions
        self.method = method
        self._check(method)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that can run here."""
        return METHODS if self._encoder is not None else METHODS[:1]

    def backend(self, method: str | None = None) -> str:
        """Which weights run, for people and files."""
        method = method or self.method
        return "head-fit" if self._encoder is None or method == "fit" else self._encoder.backend

    def read(self, image: Image, face: Face, *, method: str | None = None) -> HeadParameters:
        """The head of one face of an RGB uint8 photo; raises BadInput for an unknown method, MissingWeights."""
        method = method or self.method
        self._check(method)
        if method == "fit":
            return self.lay(face.landmarks, face.blendshapes)
        assert self._encoder is not None  # said by _check
        seen = self._encoder.read(image, face)
        if method == "encoder":
            return seen
        return self.lay(face.landmarks, (seen.expression + face.blendshapes) / 2)

    def lay(self, landmarks: Points, read: NDArray[np.float32]) -> HeadParameters:
        """Lay the head over (478, 3) points, starting from coefficients (52,) read off pixels and off the points."""
        if self.actions is not None:
            read = (1 - FROM_POINTS) * read + FROM_POINTS * self.actions(landmarks)
        return self._fit(landmarks, read)

    def _check(self, method: str) -> None:
        if method not in METHODS:
            raise BadInput(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        if method != "fit" and self._encoder is None:
            raise MissingWeights("the encoder smirk_open is not installed; `mien train smirk --data DATA` makes it")


def neutral(parameters: HeadParameters) -> HeadParameters:
    """The same person in the same place, with every action at rest."""
    return replace(parameters, expression=parameters.expression * 0)
