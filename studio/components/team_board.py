"""The admins' desk: its script asks the server for figures and draws tables, charts and questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from studio.components.scripts import STATIC, script

PARTS = ("team", "team_figures", "team_questions", "team_models", "team_projects", "team_start")
"""The script's files; together they are one, so that they share the session and the drawing."""


class TeamBoard(gr.HTML):
    """Shows what the server functions return; each call carries the session's token and is checked."""

    def __init__(self, calls: Sequence[Callable[..., Any]], **options: Any) -> None:
        parts = [script(PARTS[0]), *((STATIC / f"{name}.js").read_text(encoding="utf-8") for name in PARTS[1:])]
        super().__init__(
            value="",
            html_template='<section class="team" aria-label="Team"></section>',
            css_template=(STATIC / "team.css").read_text(encoding="utf-8"),
            js_on_load="\n".join(parts),
            server_functions=list(calls),
            apply_default_css=False,
            elem_id="team",
            **options,
        )

    def api_info(self) -> dict[str, Any]:
        """The board takes and gives no value; its calls are its own."""
        return {"type": "string"}
