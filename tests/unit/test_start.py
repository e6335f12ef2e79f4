"""From nothing to an open page: one process, its own data folder, answering over HTTP; no network loaded for it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import ROOT

SECONDS = 300
"""Long enough for a busy machine; `make run` alone takes a few."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(port: int, process: subprocess.Popen[str]) -> str:
    for _ in range(SECONDS * 4):
        assert process.poll() is None, "the studio ended instead of opening"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
                return str(page.read().decode())
        except OSError:
            time.sleep(0.25)
    pytest.fail("the page did not answer")


@pytest.mark.slow
def test_the_command_opens_a_page_and_a_database(tmp_path: Path) -> None:
    port = free_port()
    environment = os.environ | {"MIEN_DATA_DIR": str(tmp_path / "data"), "MIEN_DEVICE": "cpu", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from studio.cli import app; app()", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            page = answer(port, process)
            assert process.stdout is not None
            assert f"Mien is open at http://127.0.0.1:{port}" in process.stdout.readline()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert '"title":"Mien"' in page
    fetched = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(https?://[^\"]+)", page)
    assert not [address for address in fetched if not address.startswith("http://127.0.0.1")], "asks other servers"
    assert (tmp_path / "data" / "mien.sqlite").is_file()


def test_opening_the_page_loads_nothing_slow_and_writes_no_stubs(tmp_path: Path) -> None:
    code = (
        "import sys; from studio.settings import read_settings; from studio.start import make_context;"
        "from studio.app import build_app;"
        "build_app(make_context(read_settings({'MIEN_DATA_DIR': sys.argv[1], 'MIEN_DEVICE': 'cpu'})));"
        "print([name for name in ('torch', 'diffusers', 'sklearn', 'scipy.stats') if name in sys.modules]);"
        "print(sys.modules['gradio.component_meta'].create_or_modify_pyi.__module__)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["[]", "studio.component_stubs"], done.stderr
