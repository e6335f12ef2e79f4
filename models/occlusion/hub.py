"""A model of the Hugging Face Hub as one more way to fill a hole: whichever inpainting pipeline the host names.

It is not Mien's, and its licence is the model's own. Off unless a host names one; needs the extra
`mien[hub-inpainting]` and, unless the host says otherwise, a GPU: on a CPU a guess takes minutes.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from models.device import precision
from models.errors import BadInput, BadWeights, Cancelled, MissingWeights
from models.occlusion.diffusion import OnStep
from models.registry import HUB_EXTRA, shown_name
from models.types import Image

PROMPT = "close-up photo of a face, natural skin, nothing in front of it"
AVOIDED = "mask, sunglasses, hand, scarf, cup, microphone, text, frame"
USUAL_SIZE, LARGEST_SIZE, SMALLEST_SIZE = 512, 1024, 16
"""Edge in pixels of the square a pipeline draws: where it does not say, and what it is held to."""
NEEDED = {"prompt", "image", "mask_image", "num_inference_steps", "generator", "callback_on_step_end"}
LOOK_AGAIN_S = 0.25
"""While somebody else's guess is drawn: how often it is asked whether to go on waiting."""


class HubInpainting:
    """Fills holes with one pipeline of diffusers; one guess at a time, whoever asks for it."""

    def __init__(self, pipeline: Any, *, name: str) -> None:
        """Raise BadWeights for a pipeline that cannot be given a mask, or not be stopped."""
        taken = set(inspect.signature(pipeline.__call__).parameters)
        lacking = sorted(NEEDED - taken)
        if lacking:
            raise BadWeights(f"{name} is a {type(pipeline).__name__}, which takes no {', '.join(lacking)}")
        self.name, self._pipeline, self._taken = name, pipeline, taken
        self.size = _edge(pipeline)
        self._turn = threading.Lock()

    def fill(
        self,
        pixels: Image,
        mask: NDArray[np.bool_],
        *,
        steps: int,
        samples: int,
        seed: int,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """Fill the mask (H, W) of a picture (H, W, 3) several times; every other pixel stays as it is.

        Raises Cancelled when `on_step` answers False, and BadInput when the model's own filter withholds every guess.
        """
        edge = (self.size, self.size)
        given = Pillow.fromarray(cv2.resize(pixels, edge, interpolation=cv2.INTER_CUBIC))
        hole = Pillow.fromarray(cv2.resize(mask.astype(np.uint8) * 255, edge, interpolation=cv2.INTER_NEAREST))
        found: list[Image] = []
        with self._own_turn(on_step, steps * samples):
            for number in range(samples):
                drawn = self._draw(given, hole, steps, _generator(seed, number), number, samples, on_step)
                if drawn is not None:
                    small = cv2.resize(drawn, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_AREA)
                    found.append(np.where(mask[..., None], small, pixels))
        if not found:
            raise BadInput(f"{self.name} withheld its pictures: its own safety filter objects. Try another seed.")
        return found

    def _draw(
        self, given: Any, hole: Any, steps: int, chance: torch.Generator, number: int, samples: int,
        on_step: OnStep | None,
    ) -> Image | None:  # fmt: skip
        """Draw one guess (size, size, 3), or None where the model's own filter withholds it."""

        def told(pipeline: Any, step: int, _moment: Any, values: dict[str, Any]) -> dict[str, Any]:
            each = max(int(getattr(pipeline, "num_timesteps", steps)), step + 1)
            if on_step is not None and not on_step(number * each + step + 1, samples * each):
                raise Cancelled("stopped before all steps were done")
            return values

        wishes = {
            "prompt": PROMPT, "negative_prompt": AVOIDED, "image": given, "mask_image": hole, "height": self.size,
            "width": self.size, "strength": 1.0, "num_inference_steps": steps, "generator": chance,
            "output_type": "np", "callback_on_step_end": told,
        }  # fmt: skip
        with torch.inference_mode():
            answer = self._pipeline(**{name: value for name, value in wishes.items() if name in self._taken})
        if any(getattr(answer, "nsfw_content_detected", None) or ()):
            return None
        picture = np.asarray(answer.images[0], np.float32)
        if picture.shape != (self.size, self.size, 3) or not np.isfinite(picture).all():
            raise BadWeights(f"{self.name} answers {picture.shape} or no numbers, not a picture of {self.size} px")
        return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)

    @contextmanager
    def _own_turn(self, on_step: OnStep | None, total: int) -> Iterator[None]:
        """Wait until nobody else draws: a pipeline keeps its schedule on itself."""
        while not self._turn.acquire(timeout=LOOK_AGAIN_S):
            if on_step is not None and not on_step(0, total):
                raise Cancelled("stopped before it was this guess's turn")
        try:
            yield
        finally:
            self._turn.release()


def load_inpainting(model: str, *, device: torch.device, on_cpu: bool) -> HubInpainting:
    """Load a pipeline from a folder, or from the Hub by its id, which fetches it the first time.

    Half precision on a GPU. Weights are read as safetensors only, and no code of the model's own is run. Raises
    MissingWeights where the extra, the model or the GPU is missing, BadWeights where it is no inpainting pipeline.
    """
    absent = [name for name in HUB_EXTRA if find_spec(name) is None]
    if absent:
        raise MissingWeights(f"{model} needs {' and '.join(absent)}: install the extra mien[hub-inpainting]")
    if device.type == "cpu" and not on_cpu:
        raise MissingWeights(f"{model} runs on a GPU; the host can allow minutes of CPU: MIEN_INPAINT_ON_CPU=on")
    folder = Path(model).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or model.startswith((".", "~"))):
        raise MissingWeights(f"the folder {folder.name!r} that MIEN_INPAINT_MODEL names is not there")
    from diffusers import AutoPipelineForInpainting  # noqa: PLC0415 - takes seconds, and needs the extra

    try:
        pipeline = AutoPipelineForInpainting.from_pretrained(
            str(folder) if folder.is_dir() else model, dtype=precision(device), use_safetensors=True
        ).to(device)
    except OSError as error:  # what the Hub's client raises, and diffusers for folders without a pipeline
        raise MissingWeights(f"{shown_name(model)} cannot be had: {_first_line(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        raise BadWeights(f"{shown_name(model)} cannot be used for inpainting: {_first_line(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    return HubInpainting(pipeline, name=shown_name(model))


def _edge(pipeline: Any) -> int:
    network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    cells = getattr(pipeline, "default_sample_size", None) or getattr(
        getattr(network, "config", None), "sample_size", None
    )
    cell = getattr(pipeline, "vae_scale_factor", None)
    if not isinstance(cells, int) or not isinstance(cell, int):
        return USUAL_SIZE
    edge = min(max(cells * cell, SMALLEST_SIZE), LARGEST_SIZE)
    return edge // (2 * cell) * (2 * cell)


def _generator(seed: int, number: int) -> torch.Generator:
    """Each guess has chances of its own, so that seed 1 does not repeat what seed 0 drew second."""
    mixed = int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(mixed)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
