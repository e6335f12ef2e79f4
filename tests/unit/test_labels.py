"""Answers leave and come back unchanged; a broken file leaves nothing behind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db.engine import open_database
from db.errors import AlreadyThere, BrokenFile
from db.store import Store
from db.types import NewAdjudication, NewAnswer
from studio.services import labels
from tests.unit.db.world import World, make_world

KIND = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    sqlite = f"sqlite:///{tmp_path / 'mien.sqlite'}"
    engine = open_database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    engine = open_database(f"sqlite:///{tmp_path / 'other.sqlite'}")
    yield Store(engine)
    engine.dispose()


def fec_text(*, rows: int = 12, seed: int = 0) -> str:
    """Write rows as the public files have them: same photo with two boxes, six or more raters, one rater twice."""
    rng, out = np.random.default_rng(seed), io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number in range(rows):
        row: list[Any] = []
        for place in range(3):
            left, top = rng.uniform(0, 0.4, 2)
            name = f"https://example.org/photos/{(number + place) % 5}%20a.jpg?size=big,really"
            row += [name, f"{left:.7f}", f"{left + 0.3:.6f}", f"{top:.5f}", f"{top + 0.5:.10f}"]
        row.append(KIND[number % 3])
        for rater in range(6 + number % 3):
            row += [str(rater if number != 4 else min(rater, 4)), str(rng.integers(1, 4))]
        writer.writerow(row)
    return out.getvalue() + out.getvalue().splitlines(keepends=True)[0].replace(",0,", ",77,", 1)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_fec_comes_back_column_for_column(store: Store, tmp_path: Path) -> None:
    text = fec_text()
    imported = labels.import_fec(store, write(tmp_path / "in.csv", text), project="FEC")
    assert imported.missing == imported.faces > 0
    assert labels.export_fec(store, "FEC", tmp_path / "out.csv") == len(text.splitlines())
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == text
    assert imported.answers == sum((len(row) - 16) // 2 for row in csv.reader(text.splitlines()))


def test_pictures_are_found_by_file_name_and_boxes_become_pixels(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "deep"
    folder.mkdir(parents=True)
    Image.new("RGB", (200, 100), "red").save(folder / "0 a.jpg")
    (folder / "1 a.jpg").write_text("not a picture")
    imported = labels.import_fec(
        store, write(tmp_path / "in.csv", fec_text()), project="FEC", pictures=tmp_path / "photos"
    )
    faces = store.faces(imported.project.gallery_id)
    found = [face for face in faces if face.sha256]
    assert 0 < len(found) == imported.faces - imported.missing < imported.faces
    for face in found:
        fractions = [float(side) for side in face.provenance["box"]]
        assert face.box is not None
        assert face.box["left"] == pytest.approx(fractions[0] * 200)
        assert face.box["bottom"] == pytest.approx(fractions[3] * 100)
    labels.export_fec(store, "FEC", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == fec_text()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda row: row[:15], "16 columns"),
        (lambda row: [*row, "9"], "16 columns"),
        (lambda row: [*row[:15], "FOUR", *row[16:]], "column 16"),
        (lambda row: [row[0], "x", *row[2:]], "four numbers"),
        (lambda row: [row[0], "0.9", "0.1", *row[3:]], "left < right"),
        (lambda row: [*row[:-1], "4"], "1, 2 or 3"),
        (lambda row: [*row[:-1], "1.5"], "1, 2 or 3"),
    ],
)
def test_a_broken_row_is_named_and_nothing_stays(store: Store, tmp_path: Path, damage: Any, words: str) -> None:
    rows = list(csv.reader(fec_text().splitlines()))
    rows[7] = damage(rows[7])
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    with pytest.raises(BrokenFile, match=f"line 8: .*{words}") as caught:
        labels.import_fec(store, write(tmp_path / "in.csv", out.getvalue()), project="FEC")
    assert caught.value.line == 8
    assert store.projects() == [] and store.galleries() == [] and store.annotators() == []


def test_the_same_file_twice_is_refused_and_changes_nothing(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", fec_text())
    labels.import_fec(store, path, project="FEC")
    before = list(store.read_labels(store.project("FEC").id))
    with pytest.raises(AlreadyThere):
        labels.import_fec(store, path, project="FEC")
    assert list(store.read_labels(store.project("FEC").id)) == before


def busy(store: Store) -> World:
    """A project in which everything happened: undo, gold, repeats, bad pictures, a visitor."""
    world = make_world(store, triplets=30, wanted=2, repeat_share=0.3, gold_share=0.2)
    world.ask_gold(6)
    ada, bob, visitor = world.person("Ada"), world.person("Bob"), world.person("visitor", role="visitor")
    for person in (ada, bob, visitor):
        for number in range(36):
            questions = world.take(person)
            if not questions:
                break
            if number % 7 == 3:
                said = NewAnswer(questions[0].assignment_id, "bad_picture", f"{person}-{number}", reason="blurred, ü")
                store.add_answer(person, said)
            elif number % 7 == 4:
                said = NewAnswer(
                    questions[0].assignment_id, "cannot_tell", f"{person}-{number}", client={"device": "touch"}
                )
                store.add_answer(person, said)
            else:
                world.say(person, questions[0], key=f"{person}-{number}")
            if number % 9 == 5:
                store.undo_answer(world.project.id, person, client_key=f"undo-{person}-{number}")
    return world


def essence(store: Store, project: str) -> list[dict[str, Any]]:
    """Return the records with ids replaced by their place: numbering differs between databases."""
    records = [asdict(record) for record in store.read_labels(store.project(project).id)]
    places = {record["answer_id"]: place for place, record in enumerate(records)}
    return [
        record | {"answer_id": places[record["answer_id"]], "superseded_by": places.get(record["superseded_by"])}
        for record in records
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_everything_travels(store: Store, other: Store, tmp_path: Path, suffix: str) -> None:
    world = busy(store)
    asked = store.read_ballots(world.project.id)
    decisions = [
        NewAdjudication(int(asked.triplet[0]), "face", int(asked.faces[0, 1]), "a clear smile"),
        NewAdjudication(int(asked.triplet[3]), "cannot_tell"),
    ]
    eve = world.person("Eve", role="admin")
    for decided in decisions:
        store.add_adjudication(world.project.id, eve, decided)
    path = tmp_path / f"labels{suffix}"
    count = labels.export_records(store, "smiles", path)
    imported = labels.import_records(other, path, project="smiles")
    assert imported.answers == count == len(essence(store, "smiles"))
    assert essence(other, "smiles") == essence(store, "smiles")
    assert {row["decided"] for row in essence(other, "smiles")} == {"face", "cannot_tell", None}
    labels.export_records(other, "smiles", tmp_path / f"again{suffix}")
    with pytest.raises(AlreadyThere):
        labels.import_records(other, path, project="smiles")


def test_a_broken_line_of_jsonl_is_named(other: Store, tmp_path: Path) -> None:
    make_world(other)
    for text in ("{", json.dumps({"answer_id": 1}), "[]"):
        with pytest.raises(BrokenFile, match="line 1"):
            labels.import_records(other, write(tmp_path / "x.jsonl", text + "\n"), project="new")
    assert [project.name for project in other.projects()] == ["smiles"]


def test_a_cutoff_shows_the_answers_as_they_stood(store: Store, tmp_path: Path) -> None:
    world = make_world(store)
    ada = world.person("Ada")
    first = world.say(ada, world.take(ada)[0], key="a")
    path = tmp_path / "then.jsonl"
    labels.export_records(store, "smiles", path)
    ballots = store.read_ballots(world.project.id)
    store.undo_answer(world.project.id, ada, client_key="u")
    world.say(ada, world.take(ada)[0], key="b")
    world.say(ada, world.take(ada)[0], key="c")
    labels.export_records(store, "smiles", tmp_path / "again.jsonl", cutoff=first)
    assert (tmp_path / "again.jsonl").read_text() == path.read_text()
    then = store.read_ballots(world.project.id, cutoff=first)
    for name in ("answer", "odd", "position", "faces"):
        np.testing.assert_array_equal(getattr(then, name), getattr(ballots, name))
    assert len(store.read_ballots(world.project.id)) == 2


def test_ballots_know_position_and_face(store: Store) -> None:
    world = make_world(store, triplets=20)
    ada = world.person("Ada")
    while questions := world.take(ada):
        world.say(ada, questions[0])  # always the left one
    ballots = store.read_ballots(world.project.id)
    assert set(ballots.position) == {1}
    assert set(ballots.odd) == {1, 2, 3}
    assert len(ballots.where(ballots.odd == 1)) == (ballots.odd == 1).sum()
