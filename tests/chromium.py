"""The system's Chromium, for tests of pages; they are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

PATIENCE = 60_000  # ms; machines that run tests are shared


@pytest.fixture
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'inkfire[dev]'")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=PATIENCE)
        yield opened
        opened.close()


def blank(browser: Any, **how: Any) -> Any:
    """A page that is nowhere yet."""
    page = browser.new_context(**how).new_page()
    page.set_default_timeout(PATIENCE)
    return page
