"""What faces chosen on the map can become: a project to compare, a slider of the latent studio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from db.errors import NotAllowed
from studio.components.status import note, working
from studio.context import Context
from studio.errors import explained
from studio.services import selection
from studio.services.atlas import open_atlas
from studio.services.background import Done, steps_of
from studio.services.latent import Table
from studio.services.map_session import home_of
from studio.services.selection import Chosen
from studio.tabs.explore_controls import Result
from studio.tabs.explore_desk import Desk
from studio.tabs.explore_events import GPU, QUICK


class Actions:
    """The wiring; holds the components and nothing of any visitor."""

    def __init__(self, context: Context, result: Result, desk: gr.State, table: gr.State, modes: gr.Tabs) -> None:
        self.context, self.result, self.desk, self.table, self.modes = context, result, desk, table, modes

    def wire(self) -> None:
        """Join components and handlers."""
        to = self.result
        to.compare.click(explained(self.compare), [to.project, self.desk], [to.status], **QUICK)
        fitted = to.fit.click(explained(self.fit), [self.desk, self.table], [to.status, self.table, self.modes], **GPU)
        fitted.failure(lambda: "", None, [to.status], **QUICK)
        to.status.cancel(lambda: "", None, [to.status], cancels=[fitted], **QUICK)

    def compare(self, name: str, now: Desk) -> str:
        """Start a project among the faces in the row."""
        if self.context.settings.on_spaces:
            raise NotAllowed("Projects can be started on your own Mien, not on a public one.")
        made = selection.compare_project(self.context.store, self._chosen(now), name=name)
        return note(
            f"The project {made.name} is open",
            f"{len(now.chosen)} faces are compared in it. Open the Compare tab and choose it there.",
        )

    def fit(self, now: Desk, table: Table) -> Iterator[tuple[Any, ...]]:
        """Fit a slider to the faces in the row, and go where it is."""
        chosen = self._chosen(now)
        work = steps_of(
            lambda report: selection.fitted_step(self.context.store, chosen, report), first="Coding the faces"
        )
        for step in work:
            if isinstance(step, Done):
                words = f"{len(now.chosen)} faces against the others of the map. Its slider is called From the map."
                after = replace(table, fitted=step.result)
                yield note("A slider was fitted", words), after, gr.Tabs(selected="latent")
            else:
                yield working(step.words, share=step.share, seconds_left=step.seconds_left), gr.skip(), gr.skip()

    def _chosen(self, now: Desk) -> Chosen:
        return Chosen(open_atlas(home_of(self.context), now.key), now.chosen)
