"""Simulated annotators answer together: `python -m tests.bench.compare_load --people 50 --seconds 600`.

Each answers about every two seconds through the same calls as the browser's. Prints one line of JSON: how long an
answer and its next question took, and whether any answer was lost or doubled or any question answered too often.
With --processes 2 and --url several web processes' worth of workers share one PostgreSQL database.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from db.engine import open_database
from db.store import Store
from db.types import NewProject
from studio.services import access, compare, seat
from tests.drawn_faces import BACKEND, add_drawn_gallery


def annotate(store: Store, token: str, until: float, pause: float, told: list[tuple[float, str]], seed: int) -> None:
    """Answer like a person until the time is up; note each acknowledged answer's delay and key."""
    chance = random.Random(seed)
    held: list[dict[str, Any]] = seat.open_seat(store, {"token": token})["questions"]
    number = 0
    while held and time.monotonic() < until:
        time.sleep(pause * chance.uniform(0.5, 1.5))
        question, number = held[0], number + 1
        said = {
            "token": token, "assignment": question["assignment"], "choice": "cannot_tell", "key": f"{seed}-{number}",
            "have": [one["assignment"] for one in held], "response_ms": 1200,
        }  # fmt: skip
        began = time.perf_counter()
        reply = seat.say(store, said)
        told.append((time.perf_counter() - began, said["key"] if reply.get("stored") else ""))
        held = reply["questions"]


def work(url: str, tokens: list[str], seconds: float, pause: float, first: int, results: Any) -> None:
    """Run some annotators as threads of one process."""
    engine = open_database(url)
    store, told = Store(engine), []  # type: ignore[var-annotated]
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=annotate, args=(store, token, until, pause, told, first + place))
        for place, token in enumerate(tokens)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    results.put(told)


def main() -> None:
    """Set up a project, let people answer, and check the database afterwards."""
    options = argparse.ArgumentParser()
    options.add_argument("--people", type=int, default=50)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--pause", type=float, default=2.0)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--url", default="")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.url or f"sqlite:///{Path(folder) / 'mien.sqlite'}"
        engine = open_database(url)
        store = Store(engine)
        gallery = add_drawn_gallery(store, count=120)
        compare.start_project(store, NewProject("load", gallery, BACKEND, overlap=3, qualification=0))
        tokens = [
            access.accept_invitation(store, access.invite(store, f"person {place}")) for place in range(chosen.people)
        ]
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        share = -(-len(tokens) // chosen.processes)
        workers = [
            context.Process(target=work, args=(url, tokens[at : at + share], chosen.seconds, chosen.pause, at, results))
            for at in range(0, len(tokens), share)
        ]
        for worker in workers:
            worker.start()
        told = [one for _ in workers for one in results.get()]
        for worker in workers:
            worker.join()
        print(json.dumps(_verdict(store, told)))
        engine.dispose()


def _verdict(store: Store, told: list[tuple[float, str]]) -> dict[str, Any]:
    delays = np.array([delay for delay, _ in told]) * 1000
    acknowledged = [key for _, key in told if key]
    with store.engine.connect() as connection:
        kept = [row[0] for row in connection.execute(text("SELECT client_key FROM answer"))]
        counted = text(
            "SELECT count(*) FROM (SELECT a.triplet_id FROM answer a JOIN assignment s ON s.id = a.assignment_id "
            "JOIN triplet t ON t.id = a.triplet_id WHERE s.counted AND a.superseded_by_id IS NULL "
            "AND a.choice <> 'undo' GROUP BY a.triplet_id, t.wanted HAVING count(*) > t.wanted) AS over"
        )
        over = connection.scalar(counted)
    return {
        "answers": len(told),
        "median_ms": round(float(np.median(delays)), 1),
        "p95_ms": round(float(np.percentile(delays, 95)), 1),
        "lost": len(set(acknowledged) - set(kept)),
        "doubled": len(kept) - len(set(kept)),
        "questions_over_their_overlap": over,
    }


if __name__ == "__main__":
    main()
