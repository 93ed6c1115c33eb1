"""The page in a real browser, by keyboard alone, and with many raters at once; the server is killed on the way."""

from __future__ import annotations

import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from annotating import NASTY, Served
from chromium import blank

from inkfire.files.jsonl import read_jsonl
from inkfire.runs.annotate import export, status

pytestmark = pytest.mark.slow
LayOut = Callable[..., Path]
Serving = Callable[[Path], Served]
KEYS = {"1": "left", "2": "right", "3": "tie", "4": "bad"}


def visit(browser: Any, url: str, **how: Any) -> Any:
    page = blank(browser, **how)
    page.goto(url)
    return page


def position(page: Any) -> str:
    return str(page.locator("[name=position]").get_attribute("value"))


def press(page: Any, *keys: str) -> None:
    """Keys, and the page after the last one, which hears keys when it is loaded."""
    before = position(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_selector(f"main.end, [name=position]:not([value='{before}'])", state="attached")
    page.wait_for_load_state()


def test_twenty_pairs_by_keyboard_while_the_server_is_killed(lay_out: LayOut, serving: Serving, browser: Any) -> None:
    out = lay_out(n=20, repeats=0)
    server = serving(out)
    page = visit(browser, server.urls["rater-1"])
    said = []
    for i in range(20):
        key = "1234"[i % 4]
        if i == 9:
            port = server.port
            server.kill()
            page.keyboard.press(key)
            page.wait_for_selector("#trouble:has-text('Not saved: the server does not answer')")
            server.start(port)
        shown = page.locator("article .text").all_inner_texts()
        if "script" in shown[0]:
            assert shown[0].startswith('Dear <script>document.title = "taken"</script> U+202Egnirts')
            assert page.title() == f"{i + 1} of 20 · Short wishes"
        if i == 12:  # said otherwise, taken back, and said with a note
            press(page, "4")
            page.keyboard.press("u")
            page.wait_for_selector("button.before[value=bad]")
            page.wait_for_load_state()
            page.keyboard.press("n")
            page.keyboard.type("12 u 3")
            page.keyboard.press("Escape")
        press(page, key)
        said.append((key, shown))
    assert page.locator("h1").inner_text() == "All 20 are rated. Thank you."
    server.kill()
    export(out)
    rows = list(read_jsonl(out / "export" / "votes.jsonl"))
    assert [row["position"] for row in rows] == list(range(1, 21))
    for row, (key, shown) in zip(rows, said, strict=True):
        left = row[row["left"]]
        assert shown[0].startswith("Dear <script>") == left.startswith(NASTY[:10])
        side = {"tie": "tie", "both bad": "bad"}.get(row["winner"], "left" if row["left"] == "chosen" else "right")
        assert side == KEYS[key]
    assert [row["note"] for row in rows if row["note"]] == ["12 u 3"]
    assert all(0 < row["seconds"] < 600 for row in rows)


def test_two_raters_at_once_and_a_rubric_by_keyboard(lay_out: LayOut, serving: Serving, browser: Any) -> None:
    out = lay_out(n=3, mode="rubric", raters=2, repeats=0)
    server = serving(out)
    pages = [visit(browser, url) for url in server.urls.values()]
    for _ in range(3):
        press(pages[0], "3", "2", "1", "3", "2", "Enter")
        pages[1].keyboard.press("Enter")
        pages[1].wait_for_selector("#trouble:has-text('No points yet for language')")
        press(pages[1], "1", "ArrowRight", "ArrowDown", "2", "ArrowUp", "ArrowLeft", "ArrowDown", "3", "3", "Enter")
    assert [page.locator("main.end").count() for page in pages] == [1, 1]
    server.kill()
    assert [one["done"] for one in status(out)["raters"].values()] == [3, 3]
    points = {row["rater"]: list(row["points"].values()) for row in read_jsonl(out / "votes.jsonl")}
    assert points == {"rater-1": [3, 2, 1, 3, 2], "rater-2": [1, 1, 1, 3, 3]}


@pytest.mark.parametrize("mode", ["pairwise", "rubric"])
def test_on_a_phone_the_buttons_stay_in_view(lay_out: LayOut, serving: Serving, browser: Any, mode: str) -> None:
    server = serving(lay_out(n=2, mode=mode, repeats=0, lines=200))
    for width, height in ((390, 844), (1280, 720)):
        page = visit(browser, server.urls["rater-1"], viewport={"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        button = page.locator("button[name=choice] >> nth=-1" if mode == "pairwise" else "button.next").bounding_box()
        assert button["y"] + button["height"] <= height
        assert page.locator("main").evaluate("one => one.scrollTop") == 0
        page.keyboard.press("PageDown")
        assert page.locator("main").evaluate("one => one.scrollTop") > 0


def test_fifty_raters_lose_no_vote(lay_out: LayOut, serving: Serving) -> None:
    out = lay_out(n=4, raters=50, repeats=0)
    server = serving(out)
    troubles: list[str] = []

    def rate(url: str) -> None:
        try:
            for _ in range(4):
                with urllib.request.urlopen(url, timeout=60) as answer:
                    found = re.search(r'name="position" value="(\d+)"', answer.read().decode())
                assert found
                data = urllib.parse.urlencode({"position": found[1], "choice": "left", "seconds": "1"}).encode()
                with urllib.request.urlopen(f"{url}/vote", data, timeout=60) as answer:
                    assert answer.status == 200  # led back to the page
        except Exception as error:  # of a thread, which nobody else would see
            troubles.append(repr(error))

    threads = [threading.Thread(target=rate, args=(url,)) for url in server.urls.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.kill()  # at once: what was answered is on disk
    assert troubles == []
    assert (status(out)["done"], len(list(read_jsonl(out / "votes.jsonl")))) == (200, 200)
