"""The page in a real browser: nothing fetched, nothing broken, sortable, and fit for a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from core.report import write_report
from core.task import OutcomeKind
from tests.report.test_optuna_plots import PLOTS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_the_page_works(make: Any, made: Any, browser: Any) -> None:
    long = "<img src=x onerror=alert(1)> " + "x" * 300
    trials = [
        made(0.4),
        made(0.6, {"weight": 0.5, long: long}),
        made(None, {"weight": 10.0}, OutcomeKind.FAILED, reason=long),
        made(0.5, {"weight": 2.0}),
    ]
    page = browser.new_page(viewport={"width": 390, "height": 800})
    requests: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: trouble.append(dialog.message))
    address = write_report(make(trials)).as_uri()
    page.goto(address)

    assert [url for url in requests if not url.startswith("data:")] == [address]
    widths = page.locator("img").evaluate_all("all => all.map((i) => i.naturalWidth)")
    assert widths == [8 * 16] * 3
    page.locator("details").evaluate_all("all => all.forEach((d) => { d.open = true })")
    for width in (390, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator(".plot svg").count() == 3 + len(PLOTS)
        assert page.locator(".plot svg").first.bounding_box()["height"] > 150

    def column(number: int) -> list[str]:
        cells: list[str] = page.locator(
            f".trials tbody tr > :nth-child({number})"
        ).all_inner_texts()
        return [cell.split()[0] for cell in cells]

    head = page.locator(".trials thead th").nth(2)
    head.get_by_role("button").click()
    assert column(3) == ["0.400", "0.500", "0.600", "–"]
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert column(3) == ["0.600", "0.500", "0.400", "–"]
    page.get_by_role("button", name="weight").click()
    assert column(1) == ["1", "0", "3", "2"]
    page.get_by_role("button", name="outcome").click()
    assert column(2) == ["completed"] * 3 + ["failed"]
    assert trouble == []
