"""A photo and a face in it to a 3D head: encoded once, then reshaped, drawn and painted back as often as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.device import inference
from models.errors import MissingWeights
from models.smirk import crop as cropping
from models.smirk import masking
from models.smirk.camera import project, screen_to_pixels
from models.smirk.encoder import Coefficients, SmirkEncoder
from models.smirk.face_arrays import FaceArrays
from models.smirk.fast import for_inference
from models.smirk.flame import FlameLayer
from models.smirk.generator import SmirkGenerator
from models.smirk.shading import Surface, render
from models.types import Crop, Face, Image, Points, check_image

SIZE = cropping.CROP_SIZE
SKIN_SAMPLES = 500
"""In training between 100 and 2,508 pixels of skin were left; the middle of that range on a logarithmic scale."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FaceParameters:
    """What SMIRK reads off one face."""

    pose: Floats
    """(3,) rotation of the head, axis times angle in radians"""
    camera: Floats
    """(3,) scale, x, y"""
    shape: Floats
    """(300,) identity"""
    expression: Floats
    """(50,)"""
    eyelids: Floats
    """(2,) left, right, 0 open .. 1 closed"""
    jaw: Floats
    """(3,) rotation of the jaw, axis times angle in radians"""


@dataclass(frozen=True, eq=False)
class SmirkFace:
    """One face in three dimensions, and where it stands in its photo."""

    parameters: FaceParameters
    vertices: Floats
    """(5023, 3) metres in face space: x to the image's right, y up, z towards the camera; posed"""
    triangles: NDArray[np.int64]
    """(9976, 3)"""
    vertices_image: Points
    """(5023, 3) pixels of the photo: x right, y down, smaller z is nearer"""
    crop: Crop
    landmarks_crop: Points
    """(478, 2 or 3) MediaPipe's points in crop pixels"""


class SmirkReader:
    """SMIRK behind one door: pixels in, `SmirkFace` out; nothing in it changes after it is made."""

    def __init__(
        self,
        encoder: SmirkEncoder,
        arrays: FaceArrays,
        *,
        generator: SmirkGenerator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._device = torch.device(device)
        self._encoder = for_inference(encoder, device=self._device)
        self._generator = None if generator is None else for_inference(generator, device=self._device)
        self._flame = FlameLayer(arrays).to(self._device)
        self._arrays = arrays
        every = torch.arange(len(arrays.template), device=self._device)
        self._head = Surface.of(self._flame.triangles, vertices=every)
        self._face = self._head
        if arrays.face_vertices is not None:
            face_vertices = torch.as_tensor(arrays.face_vertices, device=self._device)
            self._face = Surface.of(self._flame.triangles, vertices=face_vertices)
        self._triangles = arrays.triangles.astype(np.int64)
        self._triangles.setflags(write=False)

    def read(self, image: Image, face: Face) -> SmirkFace:
        """Read the head off one face of an RGB uint8 photo."""
        return self.read_landmarks(image, face.landmarks)

    def read_landmarks(self, image: Image, landmarks: Points) -> SmirkFace:
        """The same from (n, 2 or 3) landmarks in pixels: only their outline is needed."""
        made = cropping.cut(check_image(image), landmarks)
        with torch.inference_mode():
            given = self._encoder(self._to_tensor(made.pixels))
        return self._posed(given, made, made.to_crop(landmarks))

    def reshape(self, face: SmirkFace, parameters: FaceParameters) -> SmirkFace:
        """The same face and photo with other parameters; costs a few milliseconds."""
        return self._posed(self._to_coefficients(parameters), face.crop, face.landmarks_crop)

    def draw(self, face: SmirkFace, *, size: int = SIZE, surface: str = "face") -> NDArray[np.float32]:
        """Shade the face as seen in its crop: (size, size) in [0, 0.8), 0 where there is no face.

        `surface` is "face", or "head" with eyeballs, ears, scalp and neck.
        """
        surfaces = {"face": self._face, "head": self._head}
        if surface not in surfaces:
            raise ValueError(f"surface must be one of {', '.join(surfaces)}, got {surface!r}")
        with torch.inference_mode():
            return self._drawn(face, surfaces[surface], size=size)[0, 0].cpu().numpy()

    def repaint(self, original: SmirkFace, edited: SmirkFace, *, seed: int = 0) -> Image:
        """Paint the original photo's crop anew, with the edited face in it: (224, 224, 3).

        The skin's colours are sampled on the original face and carried to the same places of the edited one. Raises
        MissingWeights when the generator, the face mask or the sampling regions were not brought.
        """
        if self._generator is None:
            raise MissingWeights("painting a face needs SMIRK's generator: `mien weights add smirk PATH`")
        if self._arrays.face_vertices is None or self._arrays.triangle_weights is None:
            raise MissingWeights(
                "painting a face needs the masks of SMIRK's `assets` folder: `mien weights add flame FOLDER`"
            )
        with torch.inference_mode():
            picture = self._generator_input(original, edited, seed=seed)
        with inference(self._device):
            painted = self._generator(picture)[0].float().cpu()
        return (painted.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)

    def _generator_input(self, original: SmirkFace, edited: SmirkFace, *, seed: int) -> torch.Tensor:
        """(1, 6, 224, 224): the edited face drawn, and the photo without its face but with sampled skin."""
        photo = self._to_tensor(original.crop.pixels)
        drawn = self._drawn(edited, self._face, size=SIZE)
        source, target = (self._screen(face) for face in (original, edited))
        weights = torch.as_tensor(self._arrays.triangle_weights, device=self._device, dtype=torch.float32)
        triangles = self._flame.triangles
        random = torch.Generator(self._device).manual_seed(seed)
        samples = masking.sample_surface(source, triangles, weights, count=SKIN_SAMPLES, random=random)
        places = [masking.sampled_pixels(screen, triangles, samples, size=SIZE) for screen in (source, target)]
        skin = masking.carry_pixels(photo, source=places[0], target=places[1])
        hull = torch.from_numpy(masking.hull_mask(original.landmarks_crop, size=SIZE)).to(self._device)
        rest = masking.masked_photo(photo, hull[None, None], (drawn > 0).to(photo.dtype), skin=skin)
        return torch.cat((drawn.expand(-1, 3, -1, -1), rest), dim=1)

    def _posed(self, given: Coefficients, made: Crop, landmarks_crop: Points) -> SmirkFace:
        with torch.inference_mode():
            vertices = self._flame(given).vertices
            screen = project(vertices, given.camera)
            pixels = torch.cat((screen_to_pixels(screen, SIZE), screen[..., 2:] * (SIZE / 2)), dim=-1)
        return SmirkFace(
            parameters=FaceParameters(**{name: _array(getattr(given, name)[0]) for name in _NAMES}),
            vertices=_array(vertices[0]),
            triangles=self._triangles,
            vertices_image=made.to_image(_array(pixels[0])),
            crop=made,
            landmarks_crop=landmarks_crop,
        )

    def _drawn(self, face: SmirkFace, surface: Surface, *, size: int) -> torch.Tensor:
        vertices = torch.from_numpy(face.vertices).to(self._device)[None]
        camera = torch.from_numpy(face.parameters.camera).to(self._device)[None]
        return render(vertices, surface, camera=camera, size=size)

    def _screen(self, face: SmirkFace) -> torch.Tensor:
        vertices = torch.from_numpy(face.vertices).to(self._device)[None]
        return project(vertices, torch.from_numpy(face.parameters.camera).to(self._device)[None])

    def _to_tensor(self, pixels: Image) -> torch.Tensor:
        """(224, 224, 3) uint8 -> (1, 3, 224, 224) float32 in [0, 1]."""
        return torch.from_numpy(pixels).to(self._device).permute(2, 0, 1)[None].float() / 255.0

    def _to_coefficients(self, parameters: FaceParameters) -> Coefficients:
        return Coefficients(
            **{name: torch.as_tensor(getattr(parameters, name), device=self._device)[None] for name in _NAMES}
        )


_NAMES: Sequence[str] = tuple(FaceParameters.__dataclass_fields__)


def _array(tensor: torch.Tensor) -> Floats:
    array: Floats = tensor.float().cpu().numpy().copy()
    return array
