"""Events whose progress is hidden touch no component but their outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gradio as gr
import pytest

from studio.hidden_progress import show_nowhere


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """A loop of the test's own: Gradio would make one and leave it open, to be collected during some other test."""
    own = asyncio.new_event_loop()
    asyncio.set_event_loop(own)
    yield
    asyncio.set_event_loop(None)
    own.close()


def test_only_hidden_progress_is_shown_nowhere() -> None:
    with gr.Blocks() as page:
        button, text = gr.Button(), gr.Textbox()
        button.click(lambda: "1", None, text, show_progress="hidden")
        button.click(lambda: "2", None, text)
        button.click(lambda: "3", None, text, show_progress="hidden", show_progress_on=button)
        show_nowhere(page)
    told = [event["show_progress_on"] for event in page.get_config_file()["dependencies"]]
    assert told == [[], None, [button._id]]
    assert all(event["outputs"] == [text._id] for event in page.get_config_file()["dependencies"])
