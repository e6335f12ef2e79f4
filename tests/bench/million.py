"""A store with a million answers: `python -m tests.bench.million [--answers 1000000] [--postgres]`.

Fills a store by SQL, then times what people wait for: the next question, the export, the ballots a fine-tuning reads,
and the counts the Team tab opens with. Prints one line of JSON; seconds unless the name says ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from db import tally
from db.engine import open_database
from db.store import Store
from db.types import NewAnswer, NewProject
from studio.services import compare, labels
from studio.services.compare import Seat
from tests.drawn_faces import BACKEND, add_drawn_gallery
from tests.postgres_server import running_server

PEOPLE, OVERLAP, FACES = 40, 3, 240
NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
    "INSERT INTO {table} ({columns}) SELECT {values} FROM n"
)


def fill(store: Store, *, answers: int) -> int:
    """Add a project with this many answers and half as many questions again still open; return its id."""
    gallery = add_drawn_gallery(store, count=FACES)
    project = compare.start_project(store, NewProject("million", gallery, BACKEND, overlap=OVERLAP)).id
    people = [store.add_annotator(f"person {number}").id for number in range(PEOPLE)]
    asked = answers // OVERLAP
    faces = [face.id for face in store.faces(gallery)]
    with store._write() as connection:
        newest = {name: _newest(connection, name) for name in ("triplet", "assignment", "answer")}
        _add_triplets(connection, project, faces[0], count=asked * 3 // 2, full=asked, after=newest["triplet"])
        _add_assignments(connection, project, people[0], count=asked * OVERLAP, newest=newest)
        _add_answers(connection, project, people[0], faces[0], count=asked * OVERLAP, newest=newest)
        if connection.dialect.name == "postgresql":
            for name in newest:
                last = _newest(connection, name)
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), {last})"))
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return project


def _newest(connection: Connection, table: str) -> int:
    return int(connection.scalar(text(f"SELECT coalesce(max(id), 0) FROM {table}")) or 0)


def _add_triplets(connection: Connection, project: int, face: int, *, count: int, full: int, after: int) -> None:
    one, two, three = (f"{face} + (i * {step} + {start}) % {FACES}" for step, start in ((7, 0), (7, 1), (7, 3)))
    rank = "(i * CAST(2654435761 AS BIGINT)) % CAST(4294967296 AS BIGINT) * 1000000000"
    _insert(connection, "triplet", 1, count, {
        "id": f"{after} + i", "project_id": str(project), "key": "'t' || i", "mode": "'odd_one_out'",
        "face_1_id": one, "face_2_id": two, "face_3_id": three, "kind": "'unknown'", "purpose": "'train'",
        "sampler": "'random'", "wanted": str(OVERLAP), "taken": f"CASE WHEN i <= {full} THEN {OVERLAP} ELSE 0 END",
        "rank": rank, "created_ms": "0",
    })  # fmt: skip


def _add_assignments(connection: Connection, project: int, person: int, *, count: int, newest: dict[str, int]) -> None:
    who = f"{person} + ((i - 1) / {OVERLAP} * 7 + (i - 1) % {OVERLAP} * 11) % {PEOPLE}"
    order = "CASE i % 6 WHEN 0 THEN '123' WHEN 1 THEN '132' WHEN 2 THEN '213' WHEN 3 THEN '231' WHEN 4 THEN '312' "
    _insert(connection, "assignment", 1, count, {
        "id": f"{newest['assignment']} + i", "project_id": str(project),
        "triplet_id": f"{newest['triplet']} + (i - 1) / {OVERLAP} + 1", "annotator_id": who, "pass_number": "0",
        "purpose": "CASE WHEN i <= 1200 THEN 'qualification' ELSE 'work' END", "counted": "true",
        "display_order": order + "ELSE '321' END", "state": "'answered'", "rank": "i", "leased_ms": "i * 100",
        "expires_ms": "i * 100",
    })  # fmt: skip


def _add_answers(
    connection: Connection, project: int, person: int, face: int, *, count: int, newest: dict[str, int]
) -> None:
    who = f"{person} + ((i - 1) / {OVERLAP} * 7 + (i - 1) % {OVERLAP} * 11) % {PEOPLE}"
    asked = f"((i - 1) / {OVERLAP} + 1)"
    chosen = f"{face} + ({asked} * 7 + CASE (i * 13 + {asked}) % 5 WHEN 0 THEN 1 WHEN 1 THEN 3 ELSE 0 END) % {FACES}"
    _insert(connection, "answer", 1, count, {
        "id": f"{newest['answer']} + i", "project_id": str(project), "assignment_id": f"{newest['assignment']} + i",
        "triplet_id": f"{newest['triplet']} + {asked}", "annotator_id": who, "revision": "0",
        "choice": "CASE WHEN i % 25 = 0 THEN 'cannot_tell' ELSE 'face' END",
        "face_id": f"CASE WHEN i % 25 = 0 THEN NULL ELSE {chosen} END", "response_ms": "500 + i * 37 % 4000",
        "client": """'{"device": "touch", "version": "1"}'""", "client_key": "'k' || i",
        "created_ms": f"{time.time_ns() // 1_000_000} - {count} * CAST(2000 AS BIGINT) + i * CAST(2000 AS BIGINT)",
    })  # fmt: skip


def _insert(connection: Connection, table: str, first: int, last: int, values: dict[str, str]) -> None:
    columns = ", ".join(values)
    filled = NUMBERS.format(table=table, columns=columns, values=", ".join(values.values()), first=first, last=last)
    connection.execute(text(filled))  # which leaves percent signs alone


def measure(store: Store, project_id: int, folder: Path) -> dict[str, Any]:
    """Time what people wait for."""
    project = store.project(project_id)
    person = next(one for one in store.annotators() if one.name == "person 5")
    seat = Seat(person, project)
    told: dict[str, Any] = {"answers": store.count_answers(project_id)}
    with timed(told, "open_seat"):
        store.progress(project_id, person.id)
    told |= _answer_for_a_while(store, seat, 60)
    with timed(told, "count_everything_once"):
        while store.count_answers_on(project_id).to_answer_id < store.last_answer_id(project_id):
            if store.engine.dialect.name == "postgresql" and store.tally(project_id)[1] == 0:
                break
    with timed(told, "team_figures"):
        counts, _ = store.tally(project_id)
        tally.people_of(counts), tally.agreement_of(counts), tally.hours_of(counts), tally.progress_of(counts)
    with timed(told, "ballots"):
        told["ballots_rows"] = len(store.read_ballots(project_id))
    with timed(told, "export_parquet"):
        labels.export_records(store, project.name, folder / "answers.parquet")
    told["parquet_mb"] = round((folder / "answers.parquet").stat().st_size / 1e6, 1)
    told["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    return told


def _answer_for_a_while(store: Store, seat: Seat, count: int) -> dict[str, Any]:
    """Return how long the next question and an answer took; `computed` is this process's share."""
    spent: dict[str, list[tuple[float, float]]] = {"next_question_ms": [], "answer_ms": [], "faces_ms": []}

    def clock(name: str, call: Callable[[], Any]) -> Any:
        began, computed = time.perf_counter(), time.process_time()
        result = call()
        spent[name].append((time.perf_counter() - began, time.process_time() - computed))
        return result

    for number in range(count):
        held = clock("next_question_ms", partial(store.take_questions, seat.project.id, seat.person.id, count=3))
        question = held[0]
        said = NewAnswer(question.assignment_id, "face", f"{time.time()} {number}", face_id=question.faces_shown[0])
        clock("answer_ms", partial(store.add_answer, seat.person.id, said))
        if number % 6 == 0:
            clock("faces_ms", partial(compare.serve, store, seat, have=set()))
    return {
        name: {"median": _ms(np.median(wall)), "p95": _ms(np.percentile(wall, 95)), "computed": _ms(np.median(own))}
        for name, (wall, own) in ((name, np.transpose(times)) for name, times in spent.items())
    }


@contextmanager
def timed(told: dict[str, Any], name: str) -> Iterator[None]:
    """Note how many seconds the block took, and how many of them this process computed: others may be busy here."""
    began, computed = time.perf_counter(), time.process_time()
    yield
    told[name] = round(time.perf_counter() - began, 2)
    told[f"{name}_cpu"] = round(time.process_time() - computed, 2)


def _ms(seconds: Any) -> float:
    return round(float(seconds) * 1000, 1)


def main() -> None:
    """Fill, measure, print."""
    options = argparse.ArgumentParser()
    options.add_argument("--answers", type=int, default=1_000_000)
    options.add_argument("--postgres", action="store_true")
    options.add_argument("--keep", type=Path, help="an SQLite file to fill once and measure again")
    chosen = options.parse_args()
    server = running_server() if chosen.postgres else nullcontext()
    with tempfile.TemporaryDirectory() as folder, server as postgres:
        with postgres.fresh_database() if postgres else nullcontext() as fresh:
            file = chosen.keep or Path(folder) / "mien.sqlite"
            filled = file.exists()
            engine = open_database(fresh or f"sqlite:///{file}")
            store, told = Store(engine), {}  # type: ignore[var-annotated]
            with timed(told, "fill"):
                project = store.project("million").id if filled else fill(store, answers=chosen.answers)
            print(json.dumps(told | measure(store, project, Path(folder))))
            engine.dispose()


if __name__ == "__main__":
    main()
