"""A visitor's face and its guess as the values of the Occlusion tab's components."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.types import Image
from studio.components.occlusion_view import Read, Stage, reading_view, stage_view
from studio.components.status import quiet_line
from studio.services.expression import shrink
from studio.services.occlusion import Filled, Mask, Subject
from studio.services.occlusion_pictures import attention_picture, distance_picture, enlarged, mask_layer
from studio.services.occlusion_truth import truth_facts, truth_of, vector_words
from studio.services.occlusion_words import GUESS, found_words, measured_words, ran

ROOM = 0.5
"""Of the face's edge, shown around it where the guess is put back."""
SLIDER_EDGE = 1000


def stages(subject: Subject, filled: Filled | None, radius: float) -> str:
    """Return the stages side by side: clean where it is known, input, distance map, coarse, refined, pasted."""
    row = [
        Stage(
            "input", "Input", "the face, cut so that its bones lie where the networks expect them", subject.crop.pixels
        )
    ]
    if subject.cover is not None:
        row.insert(0, Stage("clean", "Clean", "the face before it was covered", subject.cover.clean_crop.pixels))
    heat = distance_picture(subject.crop.pixels, subject.detection.distances, radius)
    tip = "how far each patch lies from what an uncovered face shows there; outlined: beyond the radius"
    row.append(Stage("", "Distances", tip, heat))
    if filled is not None:
        after = "after the refiner, the face's points followed; the same as coarse where neither runs"
        row += [
            Stage("coarse", "Coarse", "what the visible part implies, before the refiner", filled.guess.coarse),
            Stage("refined", "Refined", after, filled.guess.refined),
            Stage("blended", "Pasted", "only hidden pixels replaced, blended at the border", filled.blended),
        ]
    return stage_view(row)


def painting(subject: Subject, mask: Mask) -> dict[str, Any]:
    """Return the painting with a mask on the face."""
    return {"background": enlarged(subject.crop.pixels), "layers": [mask_layer(mask)], "composite": None}


def before_after(subject: Subject, filled: Filled | None) -> tuple[Image, Image] | None:
    """Return the face's surroundings in the photo, as it came and with the guess."""
    if filled is None:
        return None
    box, (height, width) = subject.face.box, subject.picture.shape[:2]
    room = ROOM * max(box.width, box.height)
    left, top = max(0, int(box.left - room)), max(0, int(box.top - room))
    right, bottom = min(width, int(box.right + room) + 1), min(height, int(box.bottom + room) + 1)
    parts = (np.ascontiguousarray(one[top:bottom, left:right]) for one in (subject.picture, filled.pasted))
    one, other = (shrink(part, SLIDER_EDGE)[0] for part in parts)
    return one, other


def reading(subject: Subject, filled: Filled | None) -> str:
    """Return what is read before, after and, where known, off the clean face."""
    reads = [Read("before", "As given", subject.before.emotions, subject.before.vector)]
    looks = [("As given", attention_picture(subject.crop.pixels, subject.before.attention))]
    facts: list[tuple[str, str, str]] = []
    if filled is not None:
        reads.append(Read("after", "Guessed", filled.after.emotions, filled.after.vector))
        looks.append(("Guessed", attention_picture(filled.blended, filled.after.attention)))
        truth = truth_of(subject, filled)
        facts = truth_facts(truth) if truth is not None else []
    if subject.cover is not None:
        clean = subject.cover.clean
        reads.append(Read("clean", "Clean", clean.emotions, clean.vector))
        looks.append(("Clean", attention_picture(subject.cover.clean_crop.pixels, clean.attention)))
    return reading_view(
        reads, attention=looks, words=vector_words(subject, filled), facts=facts, warning=GUESS if filled else ""
    )


def quiet(subject: Subject, filled: Filled | None, radius: float) -> str:
    """Return the line under the result: weights, times, how much was found."""
    found = found_words(subject.detection, radius)
    if filled is None:
        return quiet_line(ran("", subject), found, measured_words())
    spent = ", ".join(f"{step.name} {step.milliseconds:.0f} ms" for step in filled.steps)
    return quiet_line(ran(filled.guess.method, subject), spent, found, measured_words(filled.guess.method))
