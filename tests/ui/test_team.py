"""The team's desk in a real browser: who may see it, figures, decisions, fine-tuning, files."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from db.types import NewAnswer, NewProject
from studio.services import access, trunk_tuning
from studio.services.compare import start_project
from studio.tabs import team
from tests.drawn_faces import BACKEND, add_drawn_gallery
from tests.ui.tab_page import tab_page

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future
SERVED = re.compile("component_server")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    with tab_page(team, tmp_path_factory.mktemp("team")) as (address, store):
        gallery = add_drawn_gallery(store)
        project = start_project(store, NewProject("Smiles", gallery, BACKEND, overlap=4, qualification=0))
        for place, name in enumerate(("Ada", "Bob", "Cleo", "=Dan")):
            person = store.add_annotator(name).id
            for question in store.take_questions(project.id, person, count=60):
                face = min(question.faces) if place % 2 else question.faces_shown[0]
                key = f"{person}-{question.assignment_id}"
                said = NewAnswer(question.assignment_id, "face", key, face_id=face, response_ms=400 + 400 * place)
                store.add_answer(person, said)
        yield address, store


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not there; apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert not faults


@pytest.fixture
def desk(page: Any, studio: tuple[str, Store]) -> Any:
    """The desk, opened by an admin's invitation."""
    address, store = studio
    page.goto(f"{address}?invite={access.invite(store, 'Maja', admin=True)}")
    page.wait_for_selector(".team[data-state=open]")
    return page


def go(desk: Any, section: str) -> None:
    desk.click(f".team nav button:has-text('{section}')")


def test_a_stranger_gets_an_explanation_and_a_wrong_name_no_further(page: Any, studio: tuple[str, Store]) -> None:
    address, store = studio
    page.goto(address)
    page.wait_for_selector(".team[data-state=closed]")
    assert "labels invite YOUR-NAME --admin" in page.text_content(".team")
    page.fill(".team input[name=name]", "Maja")
    page.fill(".team input[name=passphrase]", "guessed it")
    page.click(".team form button")
    page.wait_for_selector(".team .notice.wrong:has-text('do not belong together')")
    page.goto(f"{address}?invite={access.invite(store, 'Ada')}")
    page.wait_for_selector(".team:has-text('signed in as Ada, who is no admin')")


def test_the_overview_has_progress_a_chart_and_agreement(desk: Any) -> None:
    assert desk.inner_text(".team .counts") == "240 answers"
    desk.wait_for_selector(".team .progress:has-text('Training')")
    desk.wait_for_selector(".team .chart .bars path")
    assert "Krippendorff" in desk.inner_text(".team dl")
    assert "invite" not in desk.url
    desk.reload()  # the session is kept
    desk.wait_for_selector(".team[data-state=open]")


def test_people_can_be_sorted_downloaded_and_invited(desk: Any, studio: tuple[str, Store]) -> None:
    go(desk, "People")
    desk.click(".team th button:has-text('Median time')")
    names = [cell.split()[0] for cell in desk.locator(".team tbody th").all_inner_texts()]
    assert names[:4] == ["=Dan", "Cleo", "Bob", "Ada"]
    with desk.expect_download() as download:
        desk.click(".team button:has-text('Download CSV')")
    with open(download.value.path(), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["Name"] for row in rows][:2] == ["'=Dan", "Cleo"] and rows[0]["Answers"] == "60"
    assert float(rows[3]["Under 0.6 s"]) == 1

    desk.click(".team button:has-text('Invite somebody')")
    desk.fill(".team dialog input[name=name]", "Eve")
    desk.click(".team dialog button[type=submit]")
    link = desk.input_value(".team dialog input[readonly]")
    token = link.partition("invite=")[2].partition("&")[0]
    person = studio[1].who(token)
    assert person is not None and person.name == "Eve" and link.endswith("tab=compare")
    desk.click(".team dialog button:has-text('Cancel')")
    desk.wait_for_selector(".team tbody th:has-text('Eve')")


def test_excluding_asks_first_and_is_marked(desk: Any, studio: tuple[str, Store]) -> None:
    go(desk, "People")
    bob = studio[1].find_annotator(name="Bob")
    assert bob is not None
    desk.select_option(".team tr:has(th:has-text('Bob')) select", "exclude")
    desk.click(".team dialog button:has-text('Cancel')")
    assert studio[1].annotator(bob.id).state == "active"
    desk.select_option(".team tr:has(th:has-text('Bob')) select", "exclude")
    desk.click(".team dialog button.danger")
    desk.wait_for_selector(".team tr.marked th:has-text('excluded')")
    desk.select_option(".team tr:has(th:has-text('Bob')) select", "readmit")
    desk.wait_for_selector(".team .notice:has-text('Let in again')")
    assert studio[1].annotator(bob.id).state == "active"


def test_figures_that_arrive_late_leave_an_open_question_alone(desk: Any, studio: tuple[str, Store]) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        if "team_reliability" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    desk.route(SERVED, hold)
    desk.reload()
    go(desk, "People")
    desk.wait_for_selector(".team tr:has(th:has-text('Bob'))")
    desk.select_option(".team tr:has(th:has-text('Bob')) select", "exclude")
    desk.wait_for_selector(".team dialog[open]")
    assert held, "the reliability was not asked for"
    with desk.expect_response(SERVED):
        for route in held:
            route.continue_()
    desk.wait_for_timeout(500)
    assert desk.locator(".team dialog[open]").count() == 1
    desk.unroute(SERVED)
    desk.click(".team dialog button:has-text('Cancel')")
    desk.wait_for_selector(".team dialog", state="detached")
    bob = studio[1].find_annotator(name="Bob")
    assert bob is not None and bob.state == "active"


def test_a_disputed_question_is_decided(desk: Any, studio: tuple[str, Store]) -> None:
    go(desk, "Disputed")
    first = desk.locator(".team .question").first
    first.locator("figure img").first.wait_for()
    first.locator("input").fill("a clear smile")
    first.locator("button:has-text('Face 2')").click()
    first.locator("figure.chosen").wait_for()
    assert "face 2 (a clear smile), by Maja" in first.locator(".decision").inner_text()
    project = studio[1].project("Smiles")
    assert [row.note for row in studio[1].adjudications(project.id)] == ["a clear smile"]


def test_a_fine_tuning_runs_beside_the_studio_and_reports(desk: Any) -> None:
    go(desk, "Models")
    desk.click(".team button:has-text('Fine-tune now')")
    desk.wait_for_selector(".team .report:has-text('measured only'):has-text('collecting')", timeout=120_000)
    desk.wait_for_selector(".team .report .chart .scatterlayer")
    desk.wait_for_selector(".team .report table td:has-text('%')")


def test_the_trunk_is_offered_on_a_gpu_only(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go(desk, "Models")
    desk.wait_for_selector(".team button:has-text('Fine-tune now')")
    assert desk.locator(".team button:has-text('with the trunk')").count() == 0
    monkeypatch.setattr(trunk_tuning, "is_offered", lambda _device: True)
    go(desk, "Overview")
    go(desk, "Models")
    desk.wait_for_selector(".team button:has-text('Fine-tune with the trunk')")


def test_projects_are_changed_and_made(desk: Any, studio: tuple[str, Store]) -> None:
    go(desk, "Projects")
    desk.fill(".team .settings input[name=overlap]", "3")
    desk.click(".team .settings button[type=submit]")
    desk.wait_for_selector(".team .notice:has-text('Saved')")
    assert studio[1].project("Smiles").overlap == 3
    desk.click(".team button:has-text('New project')")
    desk.fill(".team dialog input[name=name]", "Frowns")
    desk.click(".team dialog button[type=submit]")
    desk.wait_for_selector(".team .notice:has-text('Frowns is open')")
    assert studio[1].project("Frowns").gallery_id == studio[1].project("Smiles").gallery_id
    studio[1].set_project_state(studio[1].project("Frowns").id, "closed")


def test_answers_go_out_and_come_in(desk: Any, studio: tuple[str, Store]) -> None:
    go(desk, "In and out")
    desk.select_option(".team select[name=format]", "jsonl")
    with desk.expect_download(timeout=120_000) as download:
        desk.click(".team button:has-text('Write the file')")
    path = Path(download.value.path())
    assert download.value.suggested_filename == "Smiles.jsonl"
    assert path.read_text(encoding="utf-8").count("\n") == 240
    broken = {"name": "broken.jsonl", "mimeType": "application/jsonl", "buffer": b"{broken\n"}
    desk.set_input_files(".team input[aria-label='File of answers']", broken)
    desk.fill(".team input[aria-label=Project]", "Copied")
    desk.click(".team button:has-text('Read it in')")
    desk.wait_for_selector(".team .notice.wrong:has-text('line 1')", timeout=120_000)
