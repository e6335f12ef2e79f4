"""Simulated annotators answer together: `python -m tests.bench.compare_load --people 50 --seconds 600 --kill 3`.

Each answers about every two seconds over HTTP, with the calls of the page, and sends an answer again until it is
acknowledged. Servers are processes of their own; with --kill they are killed (-9) and started again under the load.
Prints one line of JSON: how long an answer and its next question took, what it cost, and whether any answer was lost
or doubled or any question answered too often. --processes 2 --postgres shares one PostgreSQL between two servers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from db.engine import open_database
from db.store import Store
from db.types import NewProject
from studio.services import access, compare
from tests.drawn_faces import BACKEND, add_drawn_gallery
from tests.postgres_server import running_server

PATIENCE = 300
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """One web process, started again on the same port after it was killed."""

    folder: Path
    url: str
    port: int
    process: subprocess.Popen[bytes] | None = None
    component: int = 0
    computed: float = 0.0
    """Seconds of processor time, over all lives, without the start."""
    _at_start: float = 0.0

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.bench.compare_server", str(self.folder), self.url, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                config = _fetch(self.port, "GET", "/config", None)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.3)
                continue
            found = [one["id"] for one in config["components"] if one["props"].get("elem_id") == "compare"]
            self.component, self._at_start = found[0], self._spent()
            return
        raise TimeoutError("the server did not start")

    def kill(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.computed += self._spent() - self._at_start
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        sent = {"data": body, "component_id": self.component, "fn_name": name, "session_hash": "load"}
        return _fetch(self.port, "POST", "/gradio_api/component_server", sent)

    def _spent(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass
class Told:
    """What the simulated people saw."""

    delays: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    repeated: int = 0
    refused: list[str] = field(default_factory=list)


def _fetch(port: int, method: str, path: str, body: dict[str, Any] | None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != 200:
            raise http.client.HTTPException(f"{reply.status}: {reply.read(300)!r}")
        return json.loads(reply.read())
    finally:
        connection.close()


def annotate(server: Server, token: str, until: float, pause: float, told: Told, seed: int) -> None:
    """Answer like a person until the time is up; note each acknowledged answer's delay and key."""
    chance, number = random.Random(seed), 0
    held = patiently(server, "compare_open", {"token": token}, told)[0]["questions"]
    while held and time.monotonic() < until:
        time.sleep(pause * chance.uniform(0.5, 1.5))
        question, number = held[0], number + 1
        said = {
            "token": token, "assignment": question["assignment"], "choice": "cannot_tell", "key": f"{seed}-{number}",
            "have": [one["assignment"] for one in held], "response_ms": 1200,
        }  # fmt: skip
        reply, seconds = patiently(server, "compare_answer", said, told)
        if "error" in reply:
            told.refused.append(reply["error"])
            return
        if seconds is not None:
            told.delays.append(seconds)
        if "answer" in reply:
            told.acknowledged.append(said["key"])
        held = reply["questions"]


def patiently(server: Server, name: str, body: dict[str, Any], told: Told) -> tuple[dict[str, Any], float | None]:
    """Call until there is a reply, as the page does; the delay is None where a call had to be repeated."""
    first = True
    while True:
        began = time.perf_counter()
        try:
            return server.call(name, body), time.perf_counter() - began if first else None
        except (OSError, http.client.HTTPException, ValueError):
            told.repeated += 1
            first = False
            time.sleep(0.5)


def load(servers: list[Server], tokens: list[str], seconds: float, *, pause: float, kills: int) -> Told:
    """Let everybody answer, and kill the servers in between."""
    told, until = Told(), time.monotonic() + seconds
    people = [
        threading.Thread(target=annotate, args=(servers[place % len(servers)], token, until, pause, told, place))
        for place, token in enumerate(tokens)
    ]
    for person in people:
        person.start()
    for _ in range(kills):
        time.sleep(seconds / (kills + 1))
        for server in servers:
            server.kill()
        for server in servers:
            server.start()
    for person in people:
        person.join()
    return told


def main() -> None:
    """Set up a project, let people answer, and check the database afterwards."""
    options = argparse.ArgumentParser()
    options.add_argument("--people", type=int, default=50)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--pause", type=float, default=2.0)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--kill", type=int, default=0)
    options.add_argument("--postgres", action="store_true", help="a server of its own; --url names another one")
    options.add_argument("--url", default="")
    chosen = options.parse_args()
    postgres = running_server() if chosen.postgres else nullcontext()
    with tempfile.TemporaryDirectory() as folder, postgres as running:
        with running.fresh_database() if running else nullcontext() as fresh:
            url = chosen.url or fresh or f"sqlite:///{Path(folder) / 'mien.sqlite'}"
            engine = open_database(url)
            store = Store(engine)
            gallery = add_drawn_gallery(store, count=120)
            compare.start_project(store, NewProject("load", gallery, BACKEND, overlap=3, qualification=0))
            invitations = [access.invite(store, f"person {place}") for place in range(chosen.people)]
            tokens = [access.accept_invitation(store, invitation) for invitation in invitations]
            servers = [Server(Path(folder), url, port) for port in _free_ports(chosen.processes)]
            try:
                for server in servers:
                    server.start()
                told = load(servers, tokens, chosen.seconds, pause=chosen.pause, kills=chosen.kill)
            finally:
                for server in servers:
                    server.kill()
            computed = sum(server.computed for server in servers)
            print(json.dumps({"kills": chosen.kill} | _verdict(store, told, computed)))
            engine.dispose()


def _free_ports(count: int) -> list[int]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def _verdict(store: Store, told: Told, computed: float) -> dict[str, Any]:
    delays = np.array(told.delays) * 1000
    with store.engine.connect() as connection:
        kept = [row[0] for row in connection.execute(text("SELECT client_key FROM answer"))]
        standing = (
            "SELECT count(*) FROM (SELECT a.assignment_id FROM answer a WHERE a.superseded_by_id IS NULL "
            "AND a.choice <> 'undo' GROUP BY a.assignment_id HAVING count(*) > 1) AS twice"
        )
        counted = (
            "SELECT count(*) FROM (SELECT t.id, t.taken, t.wanted, (SELECT count(*) FROM assignment s "
            "WHERE s.triplet_id = t.id AND s.counted AND s.state <> 'lost') AS used FROM triplet t "
            "WHERE t.wanted IS NOT NULL) AS all_of_them WHERE used <> taken OR used > wanted"
        )
        twice, wrong = (connection.scalar(text(query)) for query in (standing, counted))
    return {
        "answers": len(told.acknowledged),
        "median_ms": round(float(np.median(delays)), 1),
        "p95_ms": round(float(np.percentile(delays, 95)), 1),
        "server_cpu_ms_per_answer": round(computed * 1000 / max(len(told.acknowledged), 1), 1),
        "calls_repeated": told.repeated,
        "refused": len(told.refused),
        "lost": len(set(told.acknowledged) - set(kept)),
        "doubled": len(kept) - len(set(kept)) + twice,
        "questions_whose_overlap_is_not_exact": wrong,
    }


if __name__ == "__main__":
    main()
