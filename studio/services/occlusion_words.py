"""What the Occlusion tab says: the ways to a mask, what a guess is worth, which weights ran and how they measured."""

from __future__ import annotations

from functools import cache

from models.cards import all_cards
from models.occlusion.results import Detection
from studio.services.occlusion import Subject
from studio.services.occlusion_methods import DIFFUSION, HUB, OWN, hub_model, method_called

FIND, PAINT, COVER = "Find it", "Paint it", "Cover a clean face"
WAYS = [FIND, PAINT, COVER]
FOUND, EXACT = "What the detector finds", "Exactly what was drawn"
GUESS = "The hidden part is a guess from the visible one, not a finding: the real face may look different."
WHAT_IT_IS = """
A face is cut so that its bones lie where they lie for every face, {size} pixels wide and high. An autoencoder looks at
all patches; a detector measures how far each is from what an uncovered face shows there. What lies beyond the radius
counts as hidden. The autoencoder then sees the rest alone and says what it implies; a refiner sharpens that; the face's
points are read off this first guess, and a second one follows them; the mean of both is shown. Only hidden pixels are
replaced. At last the expression is read again, with latents of the visible patches beside the
picture.

- **The hidden part is a guess.** It is drawn to look like a face, not to be right. Nobody is told by it: do not use it
  to recognise people, and say so when you show it.
- The detector takes whatever it has not seen on faces for a cover: heavy make-up, deep shadows, a beard, the border of
  a cut face. The mask can be painted over at any time.
- Only *Cover a clean face* knows the truth; the figures there compare with it.
- Several guesses of the diffusion, or of a Hub model, show where the photo does not tell.
"""
MEASURED = (
    (
        "svdd",
        "told_balanced_accuracy",
        100,
        "detector right in {:.0f} % of patches (balanced, covers never trained on)",
    ),
    ("shaped_prior", "hole_psnr", 1, "hidden part {:.1f} dB"),
)
"""Card, figure, what to multiply it by, and what to say of it."""
NO_FACE = (
    "Faces were looked for from 40 pixels up. One that is covered by half or more may be missed: try a photo that "
    "shows more of it. Where one face fills the whole picture, it can be taken as it is."
)
NOTHING = (
    "No patch lies beyond the radius: as far as the detector can tell, this face is not covered. Lower the radius, "
    "paint the hidden part, or cover the face with something."
)

UNSEEN = (
    "No patch lies beyond its radius. Lower the radius under Find it, choose Exactly what was drawn, or paint over it."
)


def ran(method: str, subject: Subject) -> str:
    """Name the weights that ran."""
    cards = all_cards()
    names = {
        OWN: ("svdd", "mae", "refiner", "shaped_prior"),
        DIFFUSION: ("svdd", "mae", "refiner", "shaped_prior", "diffusion"),
    }.get(method, ("svdd", "mae"))
    own = ", ".join(cards[name].backend for name in (*names, "ofer") if name in cards)
    if method in (OWN, DIFFUSION):
        return f"Own weights {own}, read by {subject.before.backend}"
    if method == HUB:
        named = f"{hub_model()}, not Mien's, under its own licence"
        return f"{named}; found by own weights {own}, read by {subject.before.backend}"
    if not method:
        return f"Own weights {own}, read by {subject.before.backend}"
    return f"{method_called(method).title}; found by own weights {own}, read by {subject.before.backend}"


@cache
def measured_words(method: str = OWN) -> str:
    """Say how good detector and, of Mien's networks, guess measured on people never trained on, as their cards say."""
    cards, said = all_cards(), []
    for name, figure, times, words in MEASURED:
        if name == "shaped_prior" and method != OWN:
            continue
        found = cards[name].figures.get(figure) if name in cards else None
        if found is not None:
            said.append(words.format(found.value * times))
    return f"measured on unseen people: {', '.join(said)}" if said else ""


def found_words(detection: Detection, radius: float) -> str:
    """Say how much of the face the detector takes for hidden."""
    share = float((detection.distances > radius).mean())
    return f"{share * 100:.0f} % of the patches lie beyond the radius"
