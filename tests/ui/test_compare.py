"""The annotator's seat in a real browser: keys, undo, resuming, a double press, speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from db.store import Store
from db.types import NewProject
from studio.services import access
from studio.services.compare import start_project
from studio.tabs import compare
from tests.drawn_faces import BACKEND, add_drawn_gallery
from tests.ui.tab_page import tab_page

playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    with tab_page(compare, tmp_path_factory.mktemp("compare"), prepare=add_drawn_gallery) as (address, store):
        gallery = store.galleries()[0]
        start_project(store, NewProject("Work", gallery.id, BACKEND, qualification=0, gold_share=0.0, repeat_share=0.0))
        start_project(store, NewProject("Practice", gallery.id, BACKEND, qualification=3))
        for mode in ("head_two", "grid"):
            start_project(store, NewProject(mode, gallery.id, BACKEND, mode=mode, qualification=40, gold_share=0.0))
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
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def seated(page: Any, address: str, store: Store, name: str) -> int:
    """Open the tab through an invitation link and return the person's id."""
    token = access.invite(store, name)
    page.goto(f"{address}?invite={token}")
    painted(page)
    person = store.find_annotator(name=name)
    assert person is not None
    return person.id


def painted(page: Any, *, other_than: str | None = None) -> str:
    """Wait until a question other than the last is painted, and long enough that a press is no double press."""
    page.wait_for_function(
        "last => { const at = document.querySelector('.compare')?.dataset.painted; return at && at !== last }",
        arg=other_than,
        timeout=30_000,
    )
    page.wait_for_timeout(270)
    return str(page.get_attribute(".compare", "data-painted"))


def answers(store: Store, person: int) -> list[tuple[str, int | None, str | None]]:
    query = text("SELECT choice, response_ms, reason FROM answer WHERE annotator_id = :id ORDER BY id")
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query, {"id": person})]


def wait_for_answers(store: Store, person: int, count: int) -> list[tuple[str, int | None, str | None]]:
    for _ in range(200):
        if len(answers(store, person)) >= count:
            break
        time.sleep(0.05)
    return answers(store, person)


def test_keys_answer_and_the_browser_measures_the_time(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    ada = seated(page, address, store, "Ada")
    at = painted(page)
    page.keyboard.press("2")
    at = painted(page, other_than=at)
    page.keyboard.press("0")
    at = painted(page, other_than=at)
    page.keyboard.press("b")
    page.keyboard.press("2")
    painted(page, other_than=at)
    kept = wait_for_answers(store, ada, 3)
    assert [choice for choice, *_ in kept] == ["face", "cannot_tell", "bad_picture"]
    assert kept[0][1] is not None and 200 < kept[0][1] < 30_000
    assert kept[2] == ("bad_picture", None, "Blurred or cut off")


def test_a_double_press_and_a_held_key_answer_once(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    bob = seated(page, address, store, "Bob")
    at = painted(page)
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true}))"
    page.evaluate(f"for (let times = 0; times < 4; times++) {press}")  # faster than any hand, on a busy machine too
    painted(page, other_than=at)
    page.keyboard.down("1")
    for _ in range(5):
        page.keyboard.down("1")  # the browser reports these as repeats
    page.keyboard.up("1")
    page.wait_for_timeout(800)
    assert len(answers(store, bob)) == 2


def test_undo_goes_back_any_number_of_steps(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    cy = seated(page, address, store, "Cy")
    seen = [painted(page)]
    for key in "123":
        page.keyboard.press(key)
        seen.append(painted(page, other_than=seen[-1]))
    for expected in (seen[2], seen[1]):
        page.keyboard.press("u")
        page.wait_for_function("at => document.querySelector('.compare').dataset.painted === at", arg=expected)
    page.wait_for_timeout(300)
    page.keyboard.press("3")
    painted(page, other_than=seen[1])
    kept = wait_for_answers(store, cy, 6)
    assert [choice for choice, *_ in kept] == ["face", "face", "face", "undo", "undo", "face"]


def test_leaving_and_coming_back_on_another_device_resumes(studio: tuple[str, Store], page: Any, browser: Any) -> None:
    address, store = studio
    token = access.invite(store, "Dee")
    page.goto(f"{address}?invite={token}")
    at = painted(page)
    page.keyboard.press("1")
    at = painted(page, other_than=at)
    page.wait_for_timeout(500)
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    other = phone.new_page()
    other.goto(f"{address}?invite={token}")
    assert painted(other) == at
    other.tap(".face >> nth=1")
    painted(other, other_than=at)
    bottom = other.locator("[data-act=undo]").bounding_box()
    assert bottom is not None and bottom["y"] + bottom["height"] <= 844
    phone.close()


def test_practice_tells_what_was_expected(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    page.goto(f"{address}?project={store.project('Practice').id}")
    page.click(".compare .try")
    at = painted(page)
    page.keyboard.press("1")
    page.wait_for_selector(".feedback")
    assert page.locator(".face.odd").count() == 1
    chosen_is_odd = "odd" in (page.get_attribute(".face >> nth=0", "class") or "")
    assert page.inner_text(".feedback").startswith("Yes" if chosen_is_odd else "The outlined face")
    page.keyboard.press("2")  # waits for the person to go on
    assert painted(page) == at
    page.keyboard.press("Enter")
    painted(page, other_than=at)
    visitors = [person for person in store.annotators() if person.role == "visitor"]
    assert len(answers(store, visitors[-1].id)) == 1
    assert visitors[-1].consent_id is not None


def test_typing_in_a_field_answers_nothing(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    eve = seated(page, address, store, "Eve")
    page.evaluate("document.body.append(Object.assign(document.createElement('input'), {id: 'elsewhere'}))")
    page.click("#elsewhere")
    page.keyboard.type("1 2 3 0 u")
    page.wait_for_timeout(400)
    assert answers(store, eve) == []


def test_a_made_up_invitation_opens_nothing(studio: tuple[str, Store], page: Any) -> None:
    address, _ = studio
    page.goto(f"{address}?invite=made-up")
    page.wait_for_selector("text=not valid any more")


def test_the_next_faces_are_painted_at_once(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    seated(page, address, store, "Flo")
    at = painted(page)
    for number in range(25):
        page.keyboard.press("123"[number % 3])
        at = painted(page, other_than=at)
    times = page.evaluate("performance.getEntriesByName('mien-next-faces').map(entry => entry.duration)")
    p95 = float(np.percentile(times, 95))
    print(f"key press to next faces painted: median {np.median(times):.0f} ms, p95 {p95:.0f} ms over {len(times)}")
    assert len(times) == 25
    assert p95 < 300, "the aim of 100 ms is measured on a quiet machine by `make bench`"


def carry_on(page: Any, at: str) -> str:
    page.wait_for_selector(".feedback")
    page.keyboard.press("Enter")
    return painted(page, other_than=at)


def test_a_head_and_two_faces(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    page.goto(f"{address}?project={store.project('head_two').id}")
    page.click(".compare .try")
    at = painted(page)
    assert page.inner_text(".compare h2").startswith("Which of the two")
    assert (page.locator("button.face").count(), page.locator("figure.face").count()) == (2, 1)
    page.keyboard.press("3")  # there is no third
    page.keyboard.press("2")
    at = carry_on(page, at)
    page.click("button.face >> nth=0")
    carry_on(page, at)
    person = [one for one in store.annotators() if one.role == "visitor"][-1].id
    assert [choice for choice, *_ in wait_for_answers(store, person, 2)] == ["face", "face"]


def test_two_of_eight_faces(studio: tuple[str, Store], page: Any) -> None:
    address, store = studio
    page.goto(f"{address}?project={store.project('grid').id}")
    page.click(".compare .try")
    at = painted(page)
    assert page.locator("button.face").count() == 8
    for key in "335":  # marked, taken off, another one marked
        page.keyboard.press(key)
    assert page.locator(".face[aria-pressed=true]").count() == 1
    page.click("button.face >> nth=7")
    after = carry_on(page, at)
    page.keyboard.press(" ")
    assert "zoomed" in (page.get_attribute(".compare", "class") or "")
    page.keyboard.press(" ")
    page.keyboard.press("u")
    page.wait_for_function("at => document.querySelector('.compare').dataset.painted === at", arg=at)
    assert after != at
    person = [one for one in store.annotators() if one.role == "visitor"][-1].id
    kept = wait_for_answers(store, person, 2)
    assert [choice for choice, *_ in kept] == ["face", "undo"]
    assert kept[0][1] is not None and kept[0][1] > 0


@pytest.mark.parametrize("name", ["Work", "head_two", "grid"])
def test_on_a_phone_all_faces_and_buttons_are_on_the_screen(studio: tuple[str, Store], browser: Any, name: str) -> None:
    address, store = studio
    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = phone.new_page()
    page.goto(f"{address}?project={store.project(name).id}")
    page.tap(".compare .try")
    painted(page)
    boxes = page.evaluate(
        "[...document.querySelectorAll('.face, .compare > .actions button')].map(one => one.getBoundingClientRect())"
        ".map(box => [box.left, box.top, box.right, box.bottom])"
    )
    assert all(0 <= left < right <= 390 and 0 <= top < bottom <= 844 for left, top, right, bottom in boxes)
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert right - left >= 44 and bottom - top >= 44
        for other in boxes[place + 1 :]:
            assert other[0] >= right - 1 or other[2] <= left + 1 or other[1] >= bottom - 1 or other[3] <= top + 1
    phone.close()
