"""About: what Mien is and is not, what happens to pictures, and a card for every set of weights."""

from __future__ import annotations

from models.cards import all_cards
from studio.components.about import AboutPage
from studio.components.doors import Doors
from studio.context import Context

TITLE = "About"


def build(context: Context) -> Doors:
    """Lay out the page from the cards that lie beside the weights."""
    AboutPage(list(all_cards().values()))
    return Doors()
