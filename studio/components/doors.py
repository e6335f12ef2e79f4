"""How a face walks from one tab to another without being uploaded twice.

A tab's `build` returns its `Doors`: where faces come in (`inlet`), and which components offer the face menu
(`outlets`). `connect` joins every outlet to every inlet, so a new tab appears in all menus by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from models.types import Expression, Face, Image
from studio.errors import explained

FACE_TABS = ("Expression", "Explore", "Occlusion", "Mesh", "Reenact")
"""Tabs that may take a face; a menu lists those of them that exist."""


@dataclass(frozen=True, eq=False)
class CarriedFace:
    """One face on its way: the picture it lies in, where (None: not looked for yet), and what was read off it."""

    image: Image
    face: Face | None
    name: str
    """What to call the picture, for alternative texts and file names."""
    expression: Expression | None = None


@dataclass(frozen=True, eq=False)
class Inlet:
    """Takes a carried face: `receive(carried, *inputs)` returns or yields the values of `outputs`."""

    receive: Callable[..., Any]
    inputs: Sequence[Component]
    outputs: Sequence[Component]


@dataclass(frozen=True, eq=False)
class Outlet:
    """A component with face menus: `pick(event, *inputs)` returns the face whose menu was used."""

    component: Component
    pick: Callable[..., CarriedFace]
    inputs: Sequence[Component]


@dataclass(frozen=True)
class Doors:
    """What a tab offers to its neighbours."""

    inlet: Inlet | None = None
    outlets: tuple[Outlet, ...] = ()


def slug(title: str) -> str:
    """Return a tab's id: its title in lower case."""
    return title.lower().replace(" ", "-")


def open_events() -> list[str]:
    """Return the names of the events a face menu may trigger."""
    return [f"open_in_{slug(title)}" for title in FACE_TABS]


def connect(tabs: gr.Tabs, doors: Mapping[str, Doors]) -> None:
    """Join each outlet to each inlet; call inside the Blocks, after all tabs are built."""
    carried = gr.State(None, time_to_live=1800)
    outlets = [outlet for tab in doors.values() for outlet in tab.outlets]
    inlets = [(title, tab.inlet) for title, tab in doors.items() if tab.inlet is not None]
    for outlet in outlets:
        for title, inlet in inlets:
            _join(outlet, inlet, slug(title), tabs=tabs, carried=carried)


def _join(outlet: Outlet, inlet: Inlet, tab_id: str, *, tabs: gr.Tabs, carried: gr.State) -> None:
    @explained
    def carry(event: gr.EventData, *values: Any) -> tuple[CarriedFace, Any]:
        return outlet.pick(event, *values), gr.Tabs(selected=tab_id)

    opened = getattr(outlet.component, f"open_in_{tab_id}")(
        carry,
        inputs=list(outlet.inputs),
        outputs=[carried, tabs],
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
    opened.success(
        explained(inlet.receive),
        inputs=[carried, *inlet.inputs],
        outputs=list(inlet.outputs),
        concurrency_id="gpu",
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
