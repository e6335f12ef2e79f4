"""The team's desk without a browser: who may look, what is told, people, projects, files."""

from __future__ import annotations

import base64
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from db.engine import open_database
from db.errors import NotAllowed, NotThere, WrongShape
from db.store import Store
from db.types import AnnotatorRow, NewAnswer, NewProject, ProjectRow
from models.errors import BadInput
from studio.context import Context
from studio.services import access, compare, team, team_files, team_people, team_projects
from studio.settings import environment_of, read_settings
from studio.tabs import team as tab
from tests.drawn_faces import BACKEND, add_drawn_gallery, draw


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setattr(compare, "EVALUATION_TRIPLETS", 20)
    settings = read_settings({"MIEN_DATA_DIR": str(tmp_path)})
    engine = open_database(settings.database_url)
    store = Store(engine)
    add_drawn_gallery(store)
    yield Context(settings, store)
    engine.dispose()


@pytest.fixture
def project(context: Context) -> ProjectRow:
    return compare.start_project(
        context.store, NewProject("Smiles", context.store.galleries()[0].id, BACKEND, overlap=3, qualification=0)
    )


@pytest.fixture
def admin(context: Context) -> AnnotatorRow:
    return context.store.add_annotator("Maja", role="admin")


def answer(store: Store, project: ProjectRow, *people: int, questions: int) -> None:
    for person in people:
        for question in store.take_questions(project.id, person, count=questions):
            key = f"{person}-{question.assignment_id}"
            face = min(question.faces) if person % 2 else question.faces_shown[0]
            store.add_answer(person, NewAnswer(question.assignment_id, "face", key, face_id=face, response_ms=700))


def calls(context: Context, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """The functions a browser can call."""
    found: list[Any] = []
    monkeypatch.setattr(tab, "TeamBoard", lambda functions: found.extend(functions))
    tab.build(context)
    return {function.__name__: function for function in found}


def test_nobody_but_an_admin_is_told_anything(
    context: Context, project: ProjectRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = calls(context, monkeypatch)
    visitor, annotator = (
        access.visit(context.store),
        access.accept_invitation(context.store, access.invite(context.store, "Bob")),
    )
    for token in (None, "made up", visitor, annotator):
        assert served["team_open"]({"token": token})["state"] == "closed"
        for name, function in served.items():
            if name not in ("team_open", "team_sign_in"):
                told = function({"token": token, "project": project.id, "person": 1, "deed": "remove"})
                assert set(told) == {"error", "kind"}, name
    assert served["team_sign_in"]({"name": "Bob", "passphrase": "guessed it"})["kind"] == "NotAllowed"
    invitation = access.invite(context.store, "Maja", admin=True)
    told = served["team_open"]({"invitation": invitation})
    assert told["state"] == "open" and told["person"]["name"] == "Maja"
    assert served["team_overview"]({"token": told["token"]})["project"] == project.id
    access.add_account(context.store, "Eve", "correct horse", admin=True)
    assert served["team_sign_in"]({"name": "Eve", "passphrase": "correct horse"})["state"] == "open"


def test_an_uploaded_path_must_be_an_upload(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    served = calls(context, monkeypatch)
    token = access.accept_invitation(context.store, access.invite(context.store, "Maja", admin=True))
    told = served["team_import"]({"token": token, "path": str(context.settings.data_dir / "mien.sqlite"), "into": "x"})
    assert told["kind"] == "BadInput"


def test_a_hub_account_is_an_admin_where_the_host_says_so(context: Context) -> None:
    admins = read_settings({"MIEN_ADMINS": "ada, grace", "MIEN_DATA_DIR": "x"}).admins
    assert admins == {"ada", "grace"}
    for name, role in (("ada", "admin"), ("bob", "visitor")):
        person = context.store.who(access.from_hub(context.store, name, admins=admins))
        assert person is not None and person.role == role


def test_an_empty_studio_says_so_and_offers_galleries(context: Context, admin: AnnotatorRow) -> None:
    told = team.overview(context, admin, {})
    assert told["project"] is None
    assert [(one["name"], one["backends"]) for one in told["galleries"]] == [("Drawn faces", [BACKEND])]
    assert [one["name"] for one in told["people"]] == ["Maja"]


def test_the_overview_tells_progress_people_and_agreement(
    context: Context, admin: AnnotatorRow, project: ProjectRow
) -> None:
    people = [context.store.add_annotator(name).id for name in ("Ada", "Bob", "Cleo")]
    visitor = context.store.add_annotator("visitor 1", role="visitor").id
    answer(context.store, project, *people, visitor, questions=30)
    told = team.overview(context, admin, {"project": project.id})
    assert (told["answers"], told["behind"]) == (120, 0)
    assert (
        sum(one["given"] for one in told["progress"])
        + sum(context.store.tally(project.id)[0].counts["person", person, "gold"] for person in people)
        == 90
    )
    assert [(one["name"], one["answers"]) for one in told["people"]] == [
        ("Ada", 30), ("Bob", 30), ("Cleo", 30), ("Visitors who tried it", 30), ("Maja", 0),
    ]  # fmt: skip
    assert told["throughput"]["step"] == "hour" and sum(told["throughput"]["data"][0]["y"]) == 120
    assert told["agreement"]["questions"] > 0
    assert set(team.reliability(context, admin, {"project": project.id})["reliability"]) <= {str(one) for one in people}
    counted = team.count_on(context, admin, {"project": project.id, "to": told["to"]})
    assert counted["answers"] == 120 and not counted["stuck"]
    with pytest.raises(NotThere):
        team.count_on(context, admin, {})


def test_disputed_questions_are_shown_and_decided(context: Context, admin: AnnotatorRow, project: ProjectRow) -> None:
    people = [context.store.add_annotator(name).id for name in ("Ada", "Bob", "Cleo", "Dan")]
    answer(context.store, project, *people, questions=200)
    told = team.hardest(context, admin, {"project": project.id})
    first = told["questions"][0]
    assert len(told["questions"]) == 10 and told["count"] > 10 and first["decided"] is None
    assert all(face["src"].startswith("data:image/jpeg;base64,") for face in first["faces"])
    said = {
        "project": project.id,
        "triplet": first["triplet"],
        "choice": "face",
        "face": first["faces"][0]["id"],
        "note": " smile ",
    }
    decided = team.adjudicate(context, admin, said)["decided"]
    assert (decided["by"], decided["note"], decided["face"]) == ("Maja", "smile", first["faces"][0]["id"])
    again = team.hardest(context, admin, {"project": project.id})["questions"][0]
    assert again["decided"] == decided and [face["votes"] for face in again["faces"]] == [
        face["votes"] for face in first["faces"]
    ]
    assert [row["triplet"] for row in team.decisions(context, admin, {"project": project.id})["rows"]] == [
        first["triplet"]
    ]
    for wrong in ({"choice": "maybe"}, {"face": "x"}, {"face": None}):
        with pytest.raises(WrongShape):
            team.adjudicate(context, admin, said | wrong)


def test_people_are_invited_paused_excluded_and_forgotten(context: Context, admin: AnnotatorRow) -> None:
    made = team_people.invite(context, admin, {"name": " Ada ", "role": "annotator", "passphrase": "correct horse"})
    ada = context.store.who(access.accept_invitation(context.store, made["token"]))
    assert ada is not None and (ada.name, ada.role) == ("Ada", "annotator")
    assert access.sign_in(context.store, "Ada", "correct horse")

    def do(deed: str, person: int = ada.id) -> dict[str, Any]:
        return team_people.change(context, admin, {"person": person, "deed": deed})

    for deed, state in (("pause", "paused"), ("resume", "active"), ("exclude", "excluded"), ("readmit", "active")):
        do(deed)
        assert context.store.annotator(ada.id).state == state
    do("make_admin")
    assert context.store.annotator(ada.id).is_admin
    assert do("sign_out")["revoked"] > 0 and context.store.who(made["token"]) is None
    assert context.store.who(do("link")["token"]) is not None
    do("make_annotator")
    do("forget")
    assert context.store.annotator(ada.id).state == "removed"
    do("remove")
    with pytest.raises(NotThere):
        context.store.annotator(ada.id)
    for deed in ("pause", "exclude", "make_annotator", "remove"):
        with pytest.raises(NotAllowed, match="last admin"):
            do(deed, admin.id)
    for wrong in ({"name": ""}, {"name": "x" * 121}, {"name": "fec:7"}, {"name": "Bob", "passphrase": "short"}):
        with pytest.raises(WrongShape):
            team_people.invite(context, admin, wrong)


def test_projects_are_made_and_changed_but_wrong_values_are_refused(context: Context, admin: AnnotatorRow) -> None:
    gallery = context.store.galleries()[0].id
    asked = {"name": "Frowns", "gallery": gallery, "mode": "odd_one_out", "overlap": 2, "gold_share": 0.1,
             "sampler_mix": {"random": 0.8, "nearest": 0.2, "active": 0}, "question": "Which frowns most?"}  # fmt: skip
    made = team_projects.make(context, admin, asked)["saved"]
    assert (made["backend"], made["overlap"], made["sampler_mix"]) == (BACKEND, 2, {"random": 0.8, "nearest": 0.2})
    changed = team_projects.change(context, admin, {"project": made["id"], "overlap": 5, "state": "paused"})["saved"]
    assert (changed["overlap"], changed["state"], changed["question"]) == (5, "paused", "Which frowns most?")
    wrong: list[dict[str, Any]] = [
        {"overlap": 0}, {"overlap": "many"}, {"gold_share": 2}, {"sampler_mix": {"magic": 1}}, {"sampler_mix": {}},
        {"state": "gone"}, {"question": " "},
    ]  # fmt: skip
    for values in wrong:
        with pytest.raises(WrongShape):
            team_projects.change(context, admin, {"project": made["id"]} | values)
    for values in ({"name": ""}, {"mode": "ten"}, {"gallery": 99}, {"backend": "unknown@1"}):
        with pytest.raises(WrongShape):
            team_projects.make(context, admin, asked | values)


def wait(context: Context, admin: AnnotatorRow, job: str) -> dict[str, Any]:
    for _ in range(2400):
        told = team_files.state(context, admin, {"job": job})
        if told["state"] != "running":
            return told
        time.sleep(0.1)
    raise AssertionError("the command did not end within four minutes")


def test_answers_leave_and_come_back_by_processes_of_their_own(
    context: Context, admin: AnnotatorRow, project: ProjectRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = context.store.add_annotator("Ada").id
    answer(context.store, project, person, questions=12)
    monkeypatch.setattr(team_files, "PIECE", 1000)
    job = team_files.export(context, admin, {"project": project.id, "format": "jsonl"})["job"]
    told = wait(context, admin, job)
    assert (told["state"], told["name"], told["log"]) == ("done", "Smiles.jsonl", "12 answers")
    content = b"".join(
        base64.b64decode(team_files.piece(context, admin, {"job": job, "start": start})["content"])
        for start in range(0, told["size"], 1000)
    )
    assert content.count(b"\n") == 12
    with pytest.raises(BadInput):  # it is deleted once it was handed over
        team_files.state(context, admin, {"job": job})
    sent = tmp_path / "sent.jsonl"
    sent.write_bytes(content + b"{broken\n")
    job = team_files.take_in(context, admin, {"into": "Copied"}, path=sent)["job"]
    told = wait(context, admin, job)
    assert told["state"] == "failed" and "line 13" in told["log"]
    with pytest.raises(BadInput):
        team_files.state(context, admin, {"job": "../../etc"})
    for wrong in ({"format": "xlsx"}, {"format": None}):
        with pytest.raises(WrongShape):
            team_files.export(context, admin, {"project": project.id} | wrong)


def fec_with_pictures(folder: Path) -> tuple[Path, Path]:
    """FEC's columns about three pictures, of which the ZIP file holds two, one of them deep in folders."""
    names = ("a.png", "b.png", "c.png")
    faces = ",".join(f"http://example.org/{name},0.1,0.9,0.1,0.9" for name in names)
    csv = folder / "fec.csv"
    csv.write_text(f"{faces},TWO_CLASS_TRIPLET,1,2,2,2,3,1\n")
    archive = folder / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for number, name in enumerate(("a.png", "../../deep/b.png", "notes.txt")):
            opened.writestr(name, draw(0.2 * number, 0.1, skin=(220, 180, 140)))
    return csv, archive


def test_fec_comes_with_its_pictures(context: Context, admin: AnnotatorRow, tmp_path: Path) -> None:
    csv, archive = fec_with_pictures(tmp_path)
    job = team_files.take_in(context, admin, {"into": "FEC"}, path=csv, pictures=archive)["job"]
    told = wait(context, admin, job)
    assert (told["state"], told["log"]) == ("done", "3 answers about 3 faces; pictures of 1 are missing")
    project = context.store.project("FEC")
    faces = context.store.faces(project.gallery_id, with_picture=True)
    assert len(faces) == 2 and not (context.settings.data_dir.parent / "deep").exists()
    assert compare.face_picture(context.store, faces[0]).startswith("data:image/jpeg")
    archive.write_bytes(b"no zip file")
    broken = wait(context, admin, team_files.take_in(context, admin, {"into": "X"}, path=csv, pictures=archive)["job"])
    assert broken["state"] == "failed" and broken["log"].startswith("the ZIP file with pictures cannot be read")
    assert [one.name for one in context.store.projects()] == ["FEC"]
    for wrong in (tmp_path / "pictures.rar", tmp_path / "answers.jsonl"):
        with pytest.raises(WrongShape):
            team_files.take_in(
                context, admin, {"into": "X"}, path=csv if wrong.suffix == ".rar" else wrong, pictures=wrong
            )


def test_a_process_of_its_own_sees_the_same_settings(context: Context) -> None:
    environment = environment_of(context.settings)
    assert read_settings(environment).database_url == context.settings.database_url
    assert "PATH" in environment
