"""What the Occlusion tab does, as named endpoints for programs; docs/api.md describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
from gradio import FileData
from gradio.events import api

from models.errors import BadInput
from models.images import encode_image, read_image
from models.types import Image
from studio.errors import explained
from studio.services import occlusion as service
from studio.services import occlusion_exports as exports
from studio.services.background import Done, steps_of
from studio.services.expression import read_photo
from studio.services.occlusion import Effort, Filled, Mask, Subject
from studio.services.occlusion_methods import DIFFUSION, DRAWN, OWN, method_called
from studio.tabs.expression_endpoints import GPU, file_of


def build() -> None:
    """Register the endpoints; call inside the Blocks."""

    @explained
    def occlusion_photo(
        photo: FileData,
        number: int = 1,
        radius: float = 1.0,
        method: str = OWN,
        mask: FileData | None = None,
        cover: str = "",
        seed: int = 0,
    ) -> dict[str, Any]:
        """Find what hides a face, guess what is behind it and read the expression before and after.

        `radius` in units of the detector's own; `mask`, a picture the size of the photo, white where hidden, takes the
        detector's place; `cover` names an occluder to draw over a clean face first, whose truth is then reported.
        """
        subject, hidden = _subject(photo, number, radius, mask, cover, seed)
        name = method_called(method).name
        if name in DRAWN:
            raise BadInput("What draws several guesses has an endpoint of its own, occlusion_guesses.")
        filled = service.fill(subject, hidden, method=name) if hidden.any() else None
        return _answer(subject, filled, radius=radius)

    @explained
    def occlusion_guesses(
        photo: FileData,
        number: int = 1,
        samples: int = 4,
        steps: int = 20,
        seed: int = 0,
        radius: float = 1.0,
        mask: FileData | None = None,
        method: str = DIFFUSION,
    ) -> Iterator[dict[str, Any]]:
        """Let the diffusion, or the host's Hub model, draw several guesses; yields progress, then all of them."""
        name = method_called(method).name
        if name not in DRAWN:
            raise BadInput(f"{name} makes one guess; occlusion_photo answers with it. Here: {', '.join(DRAWN)}.")
        effort = Effort(int(samples), int(steps), int(seed))
        subject, hidden = _subject(photo, number, radius, mask, "", 0)
        work = steps_of(
            lambda report: service.draw_guesses(subject, hidden, effort, report, method=name), first="Beginning to draw"
        )
        for step in work:
            if isinstance(step, Done):
                pictures = [_png(picture) for picture in step.result.guess.samples]
                yield {"complete": True, "guesses": pictures} | _answer(subject, step.result, radius=radius)
            else:
                yield {"complete": False, "share": step.share}

    api(occlusion_photo, api_name="occlusion_photo", **GPU)
    api(occlusion_guesses, api_name="occlusion_guesses", **GPU)


def _subject(photo: Any, number: int, radius: float, mask: Any, cover: str, seed: int) -> tuple[Subject, Mask]:
    """Return the face and what is hidden of it."""
    if not 0.05 <= float(radius) <= 20:
        raise BadInput(f"A radius is 0.05 to 20 times the detector's own, got {radius}.")
    path, name = file_of(photo)
    image = read_image(path)
    reading = read_photo(image, name=name)
    item = reading.face(number)
    subject = service.subject_of(image, item.face, name=name, number=item.number)
    if cover:
        subject = service.covered(subject, cover, seed=int(seed))
    if not mask:
        return subject, subject.mask(subject.detection.radius * float(radius))
    return subject, service.mask_of(read_image(file_of(mask)[0]), subject)


def _answer(subject: Subject, filled: Filled | None, *, radius: float) -> dict[str, Any]:
    record = exports.occlusion_record(subject, filled, radius=subject.detection.radius * float(radius))
    stages = exports.all_pictures(subject, filled, radius=subject.detection.radius * float(radius))
    photo = filled.pasted if filled is not None else subject.picture
    return record | {"stages": {name: _png(picture) for name, picture in stages.items()}, "photo": _png(photo)}


def _png(picture: Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(encode_image(np.ascontiguousarray(picture))).decode()}"
