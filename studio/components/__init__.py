"""Components of our own, drawn with gr.HTML; their scripts and styles lie in static/, their markup in templates/."""

from gradio import component_meta


def _leave_sources_alone(*_: object) -> None:
    """Stand in for Gradio's habit of writing a .pyi file beside every component class it meets.

    An installed package must not change its own files, and may not be able to.
    """


component_meta.create_or_modify_pyi = _leave_sources_alone  # type: ignore[assignment]  # it answers nothing
