"""Mien's colours and fonts, without any framework: pages, charts and pictures take them from here."""

from __future__ import annotations

from dataclasses import dataclass, fields

SYSTEM_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO_FONT = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


@dataclass(frozen=True)
class Palette:
    """The colours of one brightness; every pair used for text has at least AA contrast."""

    ground: str
    panel: str
    ink: str
    quiet: str
    line: str
    accent: str
    on_accent: str
    wash: str
    """Accent thinned out: the ground of what is selected."""
    warn: str
    warn_wash: str


LIGHT = Palette(
    ground="#FAF9F7",
    panel="#FFFFFF",
    ink="#1F2328",
    quiet="#6B7280",
    line="#E5E2DC",
    accent="#0F766E",
    on_accent="#FFFFFF",
    wash="#E7F2F0",
    warn="#8A4B08",
    warn_wash="#FBF1DF",
)
DARK = Palette(
    ground="#15171A",
    panel="#1D2024",
    ink="#ECEDEE",
    quiet="#9BA1A6",
    line="#2B2F34",
    accent="#2DD4BF",
    on_accent="#0B2622",
    wash="#173230",
    warn="#F0B45B",
    warn_wash="#33291A",
)

EMOTION_COLOURS = {
    "neutral": "#8A8F98",
    "happiness": "#E69F00",
    "surprise": "#56B4E9",
    "sadness": "#0072B2",
    "anger": "#D55E00",
    "fear": "#7E57C2",
    "disgust": "#009E73",
    "contempt": "#CC79A7",
}
"""One colour for each emotion, everywhere; the order is the order of display."""


def colour_variables() -> str:
    """Return the palettes as CSS custom properties, for light and dark."""
    light, dark = (
        "".join(f"--mien-{item.name.replace('_', '-')}:{getattr(palette, item.name)};" for item in fields(palette))
        for palette in (LIGHT, DARK)
    )
    emotions = "".join(f"--emotion-{name}:{colour};" for name, colour in EMOTION_COLOURS.items())
    return f":root{{{light}{emotions}}}\n:root.dark,:root .dark{{{dark}}}\n"
