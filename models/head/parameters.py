"""Where a head stands in a picture and how it is shaped: what a fit or the encoder gives, and what everything draws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.faces.names import MIRRORED_BLENDSHAPES
from models.head.head import Head
from models.types import HeadPose, Points

TO_PICTURE = np.array([1.0, -1.0, -1.0])
"""From x right, y up, z towards the viewer to a picture's x right, y down, z away."""


@dataclass(frozen=True, eq=False)
class HeadParameters:
    """One head in one picture under a camera without perspective; all arrays are float32."""

    rotation: NDArray[np.float32]
    """(3, 3) from the head's axes to the viewer's: x right, y up, z towards the viewer"""
    scale: float
    """Pixels for a metre."""
    shift: NDArray[np.float32]
    """(2,) where the head's origin lies, in pixels: x right, y down"""
    identity: NDArray[np.float32]
    """(K,) standard deviations"""
    expression: NDArray[np.float32]
    """(52,) in [0, 1], in the order of models.faces.names.BLENDSHAPE_NAMES"""

    def to_picture(self, vertices: NDArray) -> Points:
        """(V, 3) metres of the head to pixels: x right, y down, smaller z is nearer."""
        turned = (vertices @ self.rotation.T) * (self.scale * TO_PICTURE)
        turned[:, :2] += self.shift
        return turned.astype(np.float32)

    def moved(self, matrix: NDArray) -> HeadParameters:
        """The same head in a picture reached by a similarity (3, 3) without reflection."""
        zoom = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
        turn = np.eye(3)
        # the picture's y points down, the viewer's up
        turn[:2, :2] = np.diag([1, -1]) @ (matrix[:2, :2] / zoom) @ np.diag([1, -1])
        shift = matrix[:2, :2] @ self.shift + matrix[:2, 2]
        return replace(
            self,
            rotation=(turn @ self.rotation).astype(np.float32),
            scale=self.scale * zoom,
            shift=shift.astype(np.float32),
        )

    def with_expression(self, expression: NDArray[np.float32]) -> HeadParameters:
        """The same head with another expression."""
        return replace(self, expression=np.asarray(expression, np.float32))

    @property
    def pose(self) -> HeadPose:
        """Degrees, as models.types.HeadPose counts them."""
        ahead, across = self.rotation[:, 2], self.rotation[:, 0]
        return HeadPose(
            yaw=float(np.degrees(np.arctan2(ahead[0], ahead[2]))),
            pitch=float(np.degrees(np.arcsin(np.clip(-ahead[1], -1, 1)))),
            roll=float(np.degrees(np.arctan2(-across[1], across[0]))),
        )


def mirrored(parameters: HeadParameters, head: Head, *, width: float) -> HeadParameters:
    """The head of the mirrored picture, which is `width` pixels wide."""
    flip = np.diag([-1.0, 1.0, 1.0])
    return HeadParameters(
        rotation=(flip @ parameters.rotation @ flip).astype(np.float32),
        scale=parameters.scale,
        shift=np.array([width - 1 - parameters.shift[0], parameters.shift[1]], np.float32),
        identity=parameters.identity * head.identity_signs[: len(parameters.identity)],
        expression=parameters.expression[MIRRORED_BLENDSHAPES],
    )
