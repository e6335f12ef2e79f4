"""The frame around the tabs: phone, dark, keyboard, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ui.conftest import Visitors
from tests.ui.test_expression_photo import give

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future

TOO_SMALL = """() => [...document.querySelectorAll('button, summary, input[type=range]')]
  .filter((element) => element.offsetParent && !element.closest('footer, .stage, .toast-wrap, .examples')
    && element.getAttribute('tabindex') !== '-1' && element.closest('[aria-hidden=true]') === null)
  .filter((element) => element.getBoundingClientRect().height < 43.5)
  .map((element) => element.outerHTML.slice(0, 120))"""


def test_a_phone_never_scrolls_sideways_and_has_thumb_high_buttons(visitors: Visitors, two_faces: Path) -> None:
    page = visitors.open(width=390, height=844)
    assert _overflow(page) == 0
    give(page, two_faces)
    page.wait_for_selector(".face-card")
    assert _overflow(page) == 0
    assert page.evaluate(TOO_SMALL) == []
    assert page.locator("#photo-zone .hint").is_hidden()
    for name in ("Clip", "Compare faces", "About"):
        open_tab(page, name)
        page.wait_for_timeout(200)
        assert _overflow(page) == 0, name


def open_tab(page: Any, name: str) -> None:
    """Open a tab, through the menu of more tabs where the bar is too narrow for it."""
    tab = page.get_by_role("tab", name=name, exact=True).locator("visible=true")
    if tab.count() == 0:
        page.locator(".overflow-menu button").first.click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.first.click()


def _overflow(page: object) -> int:
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))  # type: ignore[attr-defined]


def test_dark_follows_the_system_and_the_switch_is_remembered(visitors: Visitors) -> None:
    page = visitors.open(scheme="dark")
    ground = "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    assert page.evaluate(ground) == "rgb(21, 23, 26)"
    page.click(".theme-switch")
    assert page.evaluate(ground) == "rgb(250, 249, 247)"
    page.reload()
    page.wait_for_selector("#photo-zone .drop-zone")
    page.wait_for_function(f"{ground} === 'rgb(250, 249, 247)'")


def test_the_keyboard_reaches_everything_and_focus_is_visible(visitors: Visitors) -> None:
    page = visitors.open()
    seen: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => { const e = document.activeElement; const box = e.closest('.pick') ?? e;
                const outlined = getComputedStyle(box).outlineStyle !== 'none';
                const name = e.getAttribute('aria-label') ?? (e.innerText || e.querySelector('img')?.alt);
                return `${outlined ? '' : 'INVISIBLE '}${name}`.trim(); }"""
            )
        )
        if seen[-1].startswith("Example"):
            break
    words = " | ".join(seen)
    assert "INVISIBLE" not in words, words
    for expected in (
        "Switch between light and dark",
        "Expression",
        "Photo",
        "Drop a photo",
        "Use the camera",
        "Example",
    ):
        assert expected in words, words


def test_every_image_has_alternative_text(visitors: Visitors, two_faces: Path) -> None:
    page = visitors.open()
    give(page, two_faces)
    page.wait_for_selector(".face-card")
    without = "[...document.querySelectorAll('img')].filter((i) => i.offsetParent && !i.hasAttribute('alt')).length"
    assert page.evaluate(without.replace("i.offsetParent && ", "i.offsetParent && !i.closest('footer') && ")) == 0


def test_about_tells_what_the_weights_are(visitors: Visitors) -> None:
    page = visitors.open()
    open_tab(page, "About")
    page.wait_for_selector("#about-page .card", state="visible")
    text = page.inner_text("#about-page")
    assert "An expression is not an emotion" in text
    assert "Apache-2.0" in text and "What happens to pictures" in text
