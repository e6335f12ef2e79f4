"""Comparing faces in the Expression tab, and carrying one over to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.conftest import Visitors
from tests.ui.test_expression_photo import give

pytestmark = pytest.mark.filterwarnings("ignore")  # Gradio and Starlette warn about each other's future


def test_faces_of_several_photos_are_compared_left_out_and_opened(
    visitors: Visitors, one_face: Path, two_faces: Path, no_face: Path, broken: Path
) -> None:
    page = visitors.open()
    page.get_by_role("tab", name="Compare faces").click()
    page.wait_for_selector("#compare-zone .drop-zone", state="visible")
    give(page, broken, one_face, two_faces, no_face, zone="#compare-zone")
    page.wait_for_selector(".distances")
    assert page.locator(".distances tbody tr").count() == 3
    assert "none.png" in page.inner_text("#compare-status")
    assert "broken.jpg" in page.inner_text("#compare-status")
    assert "odd one out" in page.inner_text(".verdict").lower()
    page.click(".comparison .leave >> nth=0")
    page.wait_for_function("document.querySelectorAll('.distances tbody tr').length === 2")
    page.click("#compare-matrix .face-menu summary >> nth=0")
    page.click("#compare-matrix .face-menu .entries button:text('Open in Expression')")
    page.wait_for_selector("#photo-card .face-card", state="attached")
    page.wait_for_function("document.querySelector('#photo-faces img').alt.includes('two.png')")
