"""The page's scripts: one shared file in the head, one file per component."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import plotly

from studio.components.doors import open_events
from studio.settings import ROOT

STATIC = ROOT / "static"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
"""Plotly's own script from the installed wheel; it is fetched when the first chart is drawn."""


@cache
def script(*names: str) -> str:
    """Return a component's script, of one file or several, with the names of the events it may trigger in front."""
    code = "\n".join((STATIC / f"{name}.js").read_text(encoding="utf-8") for name in names)
    return f"const OPEN_EVENTS = {json.dumps(open_events())};\n{code}"


def head() -> str:
    """Return what goes into the page's head."""
    where = json.dumps(str(PLOTLY))
    shared = (STATIC / "mien.js").read_text(encoding="utf-8")
    return (
        '<meta name="description" content="Mien: see, compare and move facial expression">'
        f"<script>window.mienPlotly = {where};\n{shared}</script>"
    )
