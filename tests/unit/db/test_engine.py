"""The database is brought up to date once, safely, and loses nothing on the way."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, make_url, text
from sqlalchemy.exc import IntegrityError

from db.engine import alembic_config, make_engine, on_network_mount, open_database, upgrade
from db.store import Store
from db.tables import Base


def test_an_empty_database_gets_every_table(database_url: str) -> None:
    engine = open_database(database_url)
    assert set(Base.metadata.tables) <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_migrations_and_tables_agree(database_url: str) -> None:
    upgrade(make_url(database_url))
    with make_engine(make_url(database_url), migrating=True).begin() as connection:
        command.check(alembic_config(connection))


def test_rows_of_an_older_release_survive_the_upgrade(database_url: str) -> None:
    address = make_url(database_url)
    upgrade(address, revision="0001")
    old = make_engine(address, migrating=True)
    with old.begin() as connection:
        connection.execute(text("INSERT INTO gallery VALUES (1, 'people', 'Ada', 'CC0-1.0', 'made here', 5)"))
        face = "INSERT INTO face (id, gallery_id, key, provenance, tags, created_ms) VALUES (7, 1, 'k', '{}', '{}', 6)"
        connection.execute(text(face))
        vector = (
            "INSERT INTO vector (id, face_id, backend, weight_hash, dimension, numbers) VALUES (3, 7, 'b', '', 1, :n)"
        )
        connection.execute(text(vector), {"n": b"\0\0\x80?"})
    engine = open_database(database_url)
    store = Store(engine)
    assert store.face(7).key == "k"
    ids, matrix = store.vectors(1, backend="b")
    assert (ids, matrix.tolist()) == ([7], [[1.0]])
    engine.dispose()


def test_one_can_go_back_to_nothing(database_url: str) -> None:
    open_database(database_url).dispose()
    with make_engine(make_url(database_url), migrating=True).begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert inspect(make_engine(make_url(database_url), migrating=True)).get_table_names() == ["alembic_version"]


def test_sqlite_writes_ahead_and_follows_foreign_keys(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'new' / 'mien.sqlite'}")
    with engine.connect() as connection:
        answers = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert answers == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 10_000}
    engine.dispose()


@pytest.mark.parametrize(("kind", "expected"), [("nfs4", True), ("fuse.hf-mount", True), ("ext4", False)])
def test_write_ahead_logging_is_refused_on_network_mounts(tmp_path: Path, kind: str, expected: bool) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "my share"
    share.mkdir()
    place = str(share).replace(" ", "\\040")
    mounts.write_text(f"overlay / overlay rw 0 0\nserver:/x {place} {kind} rw 0 0\n")
    assert on_network_mount(share / "deep" / "mien.sqlite", mounts=mounts) is expected
    assert not on_network_mount(tmp_path / "mien.sqlite", mounts=mounts)


def _open(url: str) -> list[str]:
    engine = open_database(url)
    names = inspect(engine).get_table_names()
    engine.dispose()
    return names


def test_processes_that_start_together_do_not_trip_over_each_other(database_url: str) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        tables = list(pool.map(_open, [database_url] * 4))
    assert all(found == tables[0] and "face" in found for found in tables)


def test_answers_of_an_older_release_survive_the_upgrade(database_url: str) -> None:
    address = make_url(database_url)
    upgrade(address, revision="0002")
    old = make_engine(address, migrating=True)
    rows = {
        "gallery": "1, 'people', 'Ada', 'CC0-1.0', 'made here', 5",
        "face (id, gallery_id, key, provenance, tags, created_ms)":
            "1, 1, 'a', '{}', '{}', 6), (2, 1, 'b', '{}', '{}', 6), (3, 1, 'c', '{}', '{}', 6",
        "annotator (id, name, role, state, created_ms)": "4, 'Ada', 'annotator', 'active', 5",
        "project": "5, 'smiles', 1, 'b@1', 'odd_one_out', 'q', 'i', 1, 6, .2, 0, 0, 0, '{}', 9, 'removed', 'open', 5",
        "evaluation_face": "5, 3",
        "triplet (id, project_id, key, mode, face_1_id, face_2_id, face_3_id, kind, purpose, sampler, wanted, taken, "
        "rank, created_ms)": "6, 5, 'k', 'head_two', 1, 2, 3, 'one_class', 'train', 'random', 1, 1, 8, 5",
        "assignment": "7, 5, 6, 4, 0, 'work', true, '132', 'answered', 8, 5, 6",
        "answer (id, project_id, assignment_id, triplet_id, annotator_id, revision, choice, face_id, client_key, "
        "superseded_by_id, created_ms)":
            "9, 5, 7, 6, 4, 1, 'face', 2, 'y', NULL, 9), (8, 5, 7, 6, 4, 0, 'face', 3, 'x', 9, 9",
    }  # fmt: skip
    with old.begin() as connection:
        for table, values in rows.items():
            connection.execute(text(f"INSERT INTO {table} VALUES ({values})"))
    engine = open_database(database_url)
    store = Store(engine)
    labels = list(store.read_labels(5))
    assert [(label.answer_id, label.odd_face, label.superseded_by) for label in labels] == [(8, "c", 9), (9, "b", None)]
    assert store.evaluation_faces(5) == {3}
    with pytest.raises(IntegrityError), engine.begin() as connection:  # the rules came along
        connection.execute(text("UPDATE triplet SET taken = 2"))
    engine.dispose()
