"""`mien labels push` against a server of our own that speaks the few calls it needs; never against the real Hub."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from db.engine import open_database
from db.store import Store
from tests.conftest import ROOT
from tests.unit.db.world import make_world


class FakeHub(BaseHTTPRequestHandler):
    seen: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(size)
        self.seen.append((self.path, content))
        address = f"http://127.0.0.1:{self.server.server_address[1]}/datasets/ada/answers"
        told: dict[str, Any] = {}
        if self.path.endswith("/repos/create"):
            told = {"url": address, "name": "ada/answers"}
        elif "/preupload/" in self.path:
            asked = json.loads(content)["files"]
            told = {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]}
        elif "/commit/" in self.path:
            told = {"success": True, "commitOid": "0" * 40, "commitUrl": f"{address}/commit/{'0' * 40}"}
        self._reply(told)

    def do_GET(self) -> None:
        self.seen.append((self.path, b""))
        self._reply({"id": "ada/answers", "sha": "0" * 40, "siblings": []})

    def _reply(self, told: dict[str, Any]) -> None:
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_answers_are_pushed_as_a_private_dataset(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mien.sqlite'}"
    world = make_world(Store(open_database(url)))
    ada = world.person("Ada")
    world.say(ada, world.take(ada)[0])
    world.store.engine.dispose()
    handler = type("Handler", (FakeHub,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_TOKEN": "hf_made_up", "HF_HOME": str(tmp_path),
        "MIEN_DATABASE_URL": url, "MIEN_DATA_DIR": str(tmp_path), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    code = "import sys; from studio.cli import app; sys.argv = ['mien', *sys.argv[1:]]; app()"
    command = [sys.executable, "-c", code, "labels", "push", "smiles", "ada/answers"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=240
    )
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stderr
    assert "1 answers are at" in done.stdout
    calls = dict(handler.seen)
    created = json.loads(calls["/api/repos/create"])
    assert created.get("private") is True or created.get("visibility") == "private"
    commit = next(content for path, content in handler.seen if "/commit/" in path)
    lines = [json.loads(line) for line in commit.decode().splitlines()]
    file = next(line["value"] for line in lines if line["key"] == "file")
    assert file["path"] == "data/answers.parquet"
    (tmp_path / "back.parquet").write_bytes(base64.b64decode(file["content"]))
    assert parquet.read_table(tmp_path / "back.parquet").num_rows == 1
