"""The page of a whole run in a real browser: it asks for nothing, nothing goes wrong, wide, on a phone, in the dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from chromium import blank

from inkfire.report.page import write_report
from inkfire.report.pair import write_comparison

pytestmark = pytest.mark.slow
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
FIVE = ["Which writer do I use?", "How sure is that?", "What did it cost?", "What might be wrong?", "What next?"]


def opened(browser: Any, path: Path, said: list[str], **how: Any) -> Any:
    """The page, shown; what it asks for and what goes wrong is ``said``."""
    page = blank(browser, **how)
    page.on("request", lambda request: said.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    assert said.pop(0) == path.as_uri()
    return page


def light(colour: str) -> float:
    """How light a colour of the style sheet is, from 0 to 1."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


def test_a_whole_run(whole: Path, browser: Any) -> None:
    path = write_report(whole)
    assert path.stat().st_size < 2_000_000
    for viewport, scheme in ((WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")):
        said: list[str] = []
        page = opened(browser, path, said, viewport=viewport, color_scheme=scheme)
        assert page.locator("dl.answers dt").all_inner_texts() == FIVE
        if viewport == WIDE:  # at a glance: above what has to be scrolled to
            for seen in (*page.locator("dl.answers > div").all(), page.locator(".two figure svg")):
                box = seen.bounding_box()
                assert box["y"] + box["height"] <= viewport["height"]
        style = "one => getComputedStyle(one)"
        back, ink = (page.locator("body").evaluate(f"{style}.{name}") for name in ("backgroundColor", "color"))
        assert page.locator("figure svg text").first.evaluate(f"{style}.fill") == ink != back
        assert (light(back) < 0.2) == (scheme == "dark")
        term = page.locator("section details.term").first
        term.locator("summary").click()
        assert term.locator("span").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert page.title() == "inkfire · small"  # no text of the run has become code
        assert said == []


def test_two_runs(whole: Path, browser: Any) -> None:
    said: list[str] = []
    page = opened(browser, write_comparison(whole, whole), said, viewport=PHONE, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert "Nothing: settings, seed and inputs are the same." in page.inner_text("main")
    assert said == []
