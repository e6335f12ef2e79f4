"""Occlusion for people: a photo and a face to what hides it, what may lie behind it, and the expression of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.deepfever import CROP_SCALE, ExpressionNet
from models.device import place
from models.errors import BadInput, MissingWeights
from models.faces.align import cut, units, upright_matrix
from models.faces.detect import whole_picture
from models.faces.finder import FaceFinder
from models.faces.network import FaceNet
from models.latent_ofer.chain import OfficialChain
from models.occlusion.align import face_matrix
from models.occlusion.autoencoder import FaceAutoencoder, Guess
from models.occlusion.detector import PatchFeatures, PatchSvdd, smoothed
from models.occlusion.diffusion import FaceDiffusion, OnStep, fill, modes_of
from models.occlusion.hub import HubInpainting
from models.occlusion.lama import Lama
from models.occlusion.painting import blend, inpaint, into_photo, lit_like
from models.occlusion.recogniser import LatentExpression, activation
from models.occlusion.refiner import Refiner, turned_mean, with_mirror
from models.occlusion.results import Detection, FaceCrop, Recognition, Reconstruction
from models.occlusion.shaped import ShapedPrior
from models.types import EMOTIONS, Crop, Face, Image, Points, check_image

Result = TypeVar("Result")
METHODS = {
    "mien": "Autoencoder and refiner",
    "diffusion": "Diffusion, several guesses",
    "telea": "Telea (OpenCV)",
    "navier_stokes": "Navier-Stokes (OpenCV)",
    "mean_face": "Mean face",
    "latent_ofer": "Latent-OFER, the authors' files",
    "lama": "LaMa, your file",
    "hub": "Inpainting model of the Hub",
}
"""Every way to fill a hole, by name; `OcclusionReader.methods` has those that can be used here."""
DRAWN = ("diffusion", "hub")
"""Methods that draw several guesses in steps."""
DIFFUSION_STEPS = 20
DIFFUSION_SAMPLES = 4
MOST_SAMPLES = 16


@dataclass(frozen=True, eq=False)
class Networks:
    """The chain's networks; None where the weights are not there."""

    autoencoder: FaceAutoencoder
    landmarks: FaceNet
    expression: ExpressionNet
    expression_backend: str
    detector: PatchSvdd | None = None
    refiner: Refiner | None = None
    shaped: ShapedPrior | None = None
    recogniser: LatentExpression | None = None
    diffusion: FaceDiffusion | None = None
    official: OfficialChain | None = None
    lama: Lama | None = None
    hub: Callable[[], HubInpainting] | None = None
    """Loads, at the first call, the model that the host named."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the expression network sees in one crop."""

    features: Tensor
    """(1, F) its hidden layer."""
    vector: Tensor
    """(1, 64) of unit length."""
    attention: NDArray[np.float32]
    """(g, g) class activation of the strongest emotion over the crop's patches, largest 1."""


@dataclass(frozen=True, eq=False)
class PlainGuess:
    """What autoencoder and refiner make of a crop, not clipped."""

    coarse: Tensor
    """(1, 3, S, S)"""
    refined: Tensor
    """(1, 3, S, S) the same as coarse without a refiner"""
    latents: Tensor
    """(1, g * g, decoder width)"""


class OcclusionReader:
    """The chain: detect, reconstruct, recognise, paste back. Holds networks and nothing of any visitor."""

    def __init__(self, networks: Networks, *, backend: str, device: torch.device) -> None:
        self.networks = networks
        self.backend = backend
        self.device = device
        self.size = int(networks.autoencoder.config["image_size"])
        self.grid = networks.autoencoder.grid
        self._features = place(
            PatchFeatures(networks.autoencoder, networks.landmarks), device=device, dtype=torch.float32
        )
        self._finder = FaceFinder(networks.landmarks, whole_picture, device=device, dtype=torch.float32)

    @property
    def methods(self) -> dict[str, str]:
        """Title of each method that can be used here, by name, the usual one first."""
        net = self.networks
        there: dict[str, object] = {
            "mien": net.refiner,
            "diffusion": net.diffusion,
            "latent_ofer": net.official,
            "lama": net.lama,
            "hub": net.hub,
        }
        return {name: title for name, title in METHODS.items() if there.get(name, True) is not None}

    def crop(self, image: Image, face: Face) -> FaceCrop:
        """Cut the square in which the face's bones lie where the networks expect them."""
        return self.crop_at(image, face.landmarks)

    def crop_at(self, image: Image, landmarks: Points) -> FaceCrop:
        """The same from landmarks (478, 3) in pixels of the picture."""
        crop = cut(image, face_matrix(landmarks, size=self.size), size=self.size)
        return FaceCrop(crop, crop.to_crop(landmarks))

    def detect(self, crop: FaceCrop) -> Detection:
        """Say how far each patch is from what an uncovered face shows; raises MissingWeights without a detector."""
        detector = _needed(self.networks.detector, "svdd")
        spent: dict[str, float] = {}
        distances = _timed(spent, "detect", lambda: self._distances(detector, crop.pixels))
        return Detection(distances, float(detector.radius), self.size, spent)

    def reconstruct(
        self,
        crop: FaceCrop,
        mask: NDArray[np.bool_],
        *,
        method: str = "mien",
        steps: int = DIFFUSION_STEPS,
        samples: int = DIFFUSION_SAMPLES,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Reconstruction:
        """Guess what the mask (S, S) hides; steps, samples, seed and on_step are the diffusion's and the Hub model's.

        Raises BadInput for a mask that hides nothing, everything or has another size, MissingWeights for a method whose
        weights are not there, Cancelled when `on_step` answers False.
        """
        self._check(crop, mask, method)
        spent: dict[str, float] = {}
        if method == "mien":
            coarse, refined = self._mien(crop.pixels, mask, spent)
        elif method in DRAWN:
            draw = self._diffusion if method == "diffusion" else self._hub
            found = draw(crop.pixels, mask, spent, steps, samples, seed, on_step)
            blends = tuple(blend(crop.pixels, one, mask) for one in found)
            return Reconstruction(method, found[0], found[0], blends[0], mask, blends, spent)
        elif method == "latent_ofer":
            official = _brought(self.networks.official, "mae-base")
            filled = _timed(spent, "official", lambda: official.fill(crop.pixels, mask))
            coarse, refined = filled.coarse, filled.coarse if filled.refined is None else filled.refined
            spent |= filled.milliseconds
        elif method == "lama":
            lama = _brought(self.networks.lama, "lama")
            coarse = refined = _timed(spent, "coarse", lambda: lama.fill(crop.pixels, mask))
        else:
            coarse = refined = self._plain(crop.pixels, mask, method, spent)
        blended = _timed(spent, "blended", lambda: blend(crop.pixels, refined, mask))
        return Reconstruction(method, coarse, refined, blended, mask, (blended,), spent)

    def recognise(self, crop_image: Image, mask: NDArray[np.bool_] | None = None) -> Recognition:
        """Read the expression of a crop's pixels (S, S, 3), complete or hidden in part.

        With a mask (S, S), of what was hidden before it was filled, latents of the patches join what the convolutions
        see; without one, or without the weights for it, the expression network alone is asked.
        """
        self._check_pixels(crop_image)
        spent: dict[str, float] = {}
        look = _timed(spent, "convolutions", lambda: self.look(crop_image))
        vector = look.vector
        tokens = np.zeros((self.grid, self.grid), bool)
        recogniser = self.networks.recogniser
        if mask is not None and mask.any() and recogniser is not None:
            vector = _timed(spent, "latents", lambda: self._joined(recogniser, look, *self.latents(crop_image, mask)))
            tokens.flat[recogniser.relevant.cpu().numpy()] = True
        emotions = self._emotions(vector)[0]
        return Recognition(
            dict(zip(EMOTIONS, map(float, emotions), strict=True)),
            np.asarray(vector[0].cpu().numpy(), np.float32),
            look.attention,
            tokens,
            self.networks.expression_backend,
            spent,
        )

    def guesses(self, pixels: Image, mask: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """The plain and the shaped guess (1, 3, S, S) of a crop behind a mask (S, S), not clipped; for training.

        They lie on the CPU. Raises MissingWeights without the shaped prior.
        """
        spent: dict[str, float] = {}
        plain = self._plain_guess(pixels, mask, spent).refined
        return plain.cpu(), self._shaped_guess(pixels, mask, plain, spent).cpu()

    def paste_back(self, image: Image, crop: FaceCrop | Crop, blended: Image, mask: NDArray[np.bool_]) -> Image:
        """Lay the filled pixels over the photo at its own size: only hidden ones change, softly at the rim."""
        check_image(image)
        return into_photo(image, crop.crop if isinstance(crop, FaceCrop) else crop, blended, mask)

    def look(self, pixels: Image) -> Look:
        """What the expression network sees in a crop (S, S, 3), with its class activation; also for training."""
        square, to_square = self._expression_crop(pixels)
        with torch.no_grad():
            maps = self.networks.expression.trunk(self._tensor([square]))
        cam, features, vector = activation(self.networks.expression, maps)
        heat = cv2.warpAffine(
            cam[0].float().cpu().numpy(), self._patches_from_maps(to_square, cam.shape[-1]), (self.grid,) * 2
        )
        return Look(features, vector, (heat / max(float(heat.max()), 1e-9)).astype(np.float32))

    @torch.inference_mode()
    def latents(self, pixels: Image, mask: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """The autoencoder's latents (1, g * g, width) of a crop, and which patches are hidden (1, g * g)."""
        autoencoder, covered = self.networks.autoencoder, self._mask(mask)
        hidden = autoencoder.hidden_patches(covered)
        return autoencoder(self._tensor([pixels]), hidden, covered).latents, hidden

    # The stages

    @torch.inference_mode()
    def _distances(self, detector: PatchSvdd, pixels: Image) -> NDArray[np.float32]:
        distances = smoothed(detector(self._features(self._tensor([pixels]))))
        return distances[0].reshape(self.grid, self.grid).cpu().numpy()

    def _mien(self, pixels: Image, mask: NDArray[np.bool_], spent: dict[str, float]) -> tuple[Image, Image]:
        _needed(self.networks.refiner, "refiner")
        plain = self._plain_guess(pixels, mask, spent)
        return _image(plain.coarse), _image(self._best_guess(pixels, mask, plain, spent))

    @torch.inference_mode()
    def _plain_guess(self, pixels: Image, mask: NDArray[np.bool_], spent: dict[str, float]) -> PlainGuess:
        """Means of the crop's own guess and its mirror image's: their errors differ."""
        image, covered = with_mirror(self._tensor([pixels])), with_mirror(self._mask(mask))
        guess = _timed(spent, "coarse", lambda: self._guess(image, covered))
        refined = coarse = torch.where(covered > 0, guess.predicted, image)
        refiner = self.networks.refiner
        if refiner is not None:
            refined = _timed(spent, "refined", lambda: refiner(image, covered, coarse, guess.latents))
            refined = torch.where(covered > 0, refined, image)
        return PlainGuess(turned_mean(coarse), turned_mean(refined), guess.latents[:1])

    def _best_guess(self, pixels: Image, mask: NDArray[np.bool_], plain: PlainGuess, spent: dict[str, float]) -> Tensor:
        """Go from the plain guess towards the shaped one, where there is one: (1, 3, S, S)."""
        network = self.networks.shaped
        if network is None:
            return plain.refined
        return torch.lerp(plain.refined, self._shaped_guess(pixels, mask, plain.refined, spent), network.share)

    @torch.inference_mode()
    def _shaped_guess(self, pixels: Image, mask: NDArray[np.bool_], plain: Tensor, spent: dict[str, float]) -> Tensor:
        """Guess (1, 3, S, S) in the mean face's shape, from points that are read off the plain guess (1, 3, S, S)."""
        network = _needed(self.networks.shaped, "shaped_prior")
        image, covered = self._tensor([pixels]), self._mask(mask)
        face = _timed(spent, "points", lambda: self._finder.read_whole(_image(plain)))
        points = torch.from_numpy(units(face.landmarks[None, :, :2], self.size)).to(self.device)
        found = _timed(spent, "shaped", lambda: network(image, covered, points))
        return torch.where(covered > 0, found, image)

    @torch.inference_mode()
    def _diffusion(
        self, pixels: Image, mask: NDArray[np.bool_], spent: dict[str, float],
        steps: int, samples: int, seed: int, on_step: OnStep | None,
    ) -> list[Image]:  # fmt: skip
        network = _needed(self.networks.diffusion, "diffusion")
        _check_effort(samples, steps)
        image, covered = self._tensor([pixels]), self._mask(mask)
        plain = self._plain_guess(pixels, mask, spent)
        best = self._best_guess(pixels, mask, plain, spent).clamp(0, 1)
        edge = int(network.config["size"])
        small = [functional.interpolate(one, size=(edge, edge), mode="area") for one in (best, covered)]
        small[1] = (small[1] > 0).float()
        modes = modes_of(self.networks.autoencoder.prior, small[1][0])
        options = {"steps": steps, "samples": samples, "seed": seed, "on_step": on_step}
        found = _timed(spent, "diffusion", lambda: fill(network, small[0], small[1], modes, **options))
        return _timed(spent, "sharpened", lambda: self._sharpened(found, image, covered, plain.latents))

    def _hub(
        self, pixels: Image, mask: NDArray[np.bool_], spent: dict[str, float],
        steps: int, samples: int, seed: int, on_step: OnStep | None,
    ) -> list[Image]:  # fmt: skip
        load = self.networks.hub
        if load is None:
            raise MissingWeights("no inpainting model is named here; the host does that with MIEN_INPAINT_MODEL")
        _check_effort(samples, steps)
        model = load()
        return _timed(
            spent,
            "hub model",
            lambda: model.fill(pixels, mask, steps=steps, samples=samples, seed=seed, on_step=on_step),
        )

    def _sharpened(self, found: Tensor, image: Tensor, covered: Tensor, latents: Tensor) -> list[Image]:
        """Bring small guesses (N, 3, s, s) to full size, through the refiner where there is one."""
        large = functional.interpolate(found, size=image.shape[-2:], mode="bicubic").clamp(0, 1)
        large = torch.where(covered > 0, large, image)
        if self.networks.refiner is not None:
            count = len(large)
            wide = image.expand(count, -1, -1, -1), covered.expand(count, -1, -1, -1)
            large = self.networks.refiner(*wide, large, latents.expand(count, -1, -1))
        large = torch.where(covered > 0, large, image)
        return [_image(one[None]) for one in large]

    def _plain(self, pixels: Image, mask: NDArray[np.bool_], method: str, spent: dict[str, float]) -> Image:
        if method == "mean_face":
            return _timed(spent, "coarse", lambda: lit_like(self._mean_face(), pixels, mask))
        return _timed(spent, "coarse", lambda: inpaint(pixels, mask, method=method))

    def _mean_face(self) -> NDArray[np.float32]:
        small = self.networks.autoencoder.prior.picture.float()
        large = functional.interpolate(small, size=(self.size, self.size), mode="bicubic")
        return np.ascontiguousarray(large[0].permute(1, 2, 0).cpu().numpy() * 255)

    @torch.inference_mode()
    def _joined(self, recogniser: LatentExpression, look: Look, latents: Tensor, hidden: Tensor) -> Tensor:
        return recogniser(latents, hidden, look.features.clone(), look.vector.clone())

    @torch.inference_mode()
    def _emotions(self, vector: Tensor) -> NDArray[np.float32]:
        network = self.networks.expression
        spread = (vector * vector.shape[1] ** 0.5).to(network.compact.weight.dtype)
        return network.emotions(spread).float().softmax(1).cpu().numpy()

    @torch.no_grad()
    def _expression_crop(self, pixels: Image) -> tuple[Image, NDArray[np.float64]]:
        """Find the landmarks of the crop itself and cut what the expression network looks at, with the matrix to it."""
        small = cv2.resize(pixels, (self._landmark_size,) * 2, interpolation=cv2.INTER_LINEAR)
        reading = self.networks.landmarks(self._tensor([small]))
        places = reading.landmarks[0].float().cpu().numpy() * self.size / 2 + (self.size - 1) / 2
        size = int(self.networks.expression.config["size"])
        found = cut(pixels, upright_matrix(places, size=size, scale=CROP_SCALE), size=size)
        return found.pixels, found.crop_from_image

    @property
    def _landmark_size(self) -> int:
        return int(self.networks.landmarks.config["size"])

    def _patches_from_maps(self, to_square: NDArray[np.float64], cells: int) -> NDArray[np.float64]:
        """(2, 3) from the trunk's cells to the crop's patches, given crop pixels to square pixels (3, 3)."""
        square = int(self.networks.expression.config["size"])
        patch_from_crop = np.linalg.inv(_scaling(self.size / self.grid))
        return (patch_from_crop @ np.linalg.inv(to_square) @ _scaling(square / cells))[:2]

    def _guess(self, image: Tensor, covered: Tensor) -> Guess:
        return self.networks.autoencoder(image, self.networks.autoencoder.hidden_patches(covered), covered)

    # Pixels and checks

    def _tensor(self, pictures: list[Image]) -> Tensor:
        pixels = torch.from_numpy(np.stack(pictures)).to(self.device).permute(0, 3, 1, 2).float() / 255
        return pixels.contiguous(memory_format=torch.channels_last)

    def _mask(self, mask: NDArray[np.bool_]) -> Tensor:
        return torch.from_numpy(mask.astype(np.float32)).to(self.device)[None, None]

    def _check(self, crop: FaceCrop, mask: NDArray[np.bool_], method: str) -> None:
        self._check_pixels(crop.pixels)
        if method not in METHODS:
            raise BadInput(f"no method is called {method!r}; there are {', '.join(METHODS)}")
        if mask.shape != (self.size, self.size) or mask.dtype != np.bool_:
            raise BadInput(f"the mask must be bool ({self.size}, {self.size}), got {mask.dtype} {mask.shape}")
        if not mask.any():
            raise BadInput("nothing is marked as hidden; paint over the hidden part, or lower the radius")
        patches = mask.reshape(self.grid, self.size // self.grid, self.grid, -1).any((1, 3))
        if patches.mean() > 0.95:
            raise BadInput("too little of the face is left to see; mark less of it as hidden")

    def _check_pixels(self, pixels: Image) -> None:
        check_image(pixels)
        if pixels.shape[:2] != (self.size, self.size):
            raise BadInput(f"expected a crop of {self.size} px, got {pixels.shape[1]}x{pixels.shape[0]}")


def _scaling(edge: float) -> NDArray[np.float64]:
    """(3, 3) from cells to pixels: the middle of a cell lies half of it from its edge."""
    return np.array([[edge, 0, (edge - 1) / 2], [0, edge, (edge - 1) / 2], [0, 0, 1]])


def _image(tensor: Tensor) -> Image:
    pixels = (tensor[0].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def _needed(network: Result | None, name: str) -> Result:
    if network is None:
        raise MissingWeights(f"the weights {name!r} are not in pretrained; run `mien train {name}`")
    return network


def _brought(network: Result | None, name: str) -> Result:
    if network is None:
        raise MissingWeights(f"this needs a file of your own; bring it with `mien weights add {name} PATH`")
    return network


def _check_effort(samples: int, steps: int) -> None:
    if not 1 <= samples <= MOST_SAMPLES or not 1 <= steps <= 250:
        raise BadInput(f"1 to {MOST_SAMPLES} samples in 1 to 250 steps, got {samples} in {steps}")


def _timed(spent: dict[str, float], name: str, work: Callable[[], Result]) -> Result:
    """Do something and note the milliseconds it took."""
    begun = time.perf_counter()
    result = work()
    spent[name] = (time.perf_counter() - begun) * 1000
    return result
