"""Events whose progress is hidden touch no component but their outputs."""

from __future__ import annotations

import json
import subprocess
import sys

PAGE = """
import json
import gradio as gr
from studio.hidden_progress import show_nowhere

with gr.Blocks() as page:
    button, text = gr.Button(), gr.Textbox()
    button.click(lambda: "1", None, text, show_progress="hidden")
    button.click(lambda: "2", None, text)
    button.click(lambda: "3", None, text, show_progress="hidden", show_progress_on=button)
    show_nowhere(page)
events = page.get_config_file()["dependencies"]
print(json.dumps([[one["show_progress_on"], one["outputs"]] for one in events]), button._id, text._id, sep="|")
"""


def test_only_hidden_progress_is_shown_nowhere() -> None:
    # in a process of its own: Gradio leaves event loops open, which would be collected during some other test
    done = subprocess.run([sys.executable, "-c", PAGE], capture_output=True, text=True, check=True)
    events, button, text = done.stdout.strip().splitlines()[-1].split("|")
    assert json.loads(events) == [[[], [int(text)]], [None, [int(text)]], [[int(button)], [int(text)]]]
