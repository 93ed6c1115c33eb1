"""The page: blind, escaped, for who has a token alone; what it answers for is on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from annotating import NASTY
from starlette.testclient import TestClient

from inkfire.evaluation.sitting import Sitting
from inkfire.files.jsonl import read_jsonl
from inkfire.runs.annotate import export
from inkfire.runs.rated_set import sitting
from inkfire.serve.page import as_text, rating_page

LayOut = Callable[..., Path]
TOKENS = {"rater-1": "token-one", "rater-2": "token-two"}


@contextmanager
def page(out: Path) -> Iterator[tuple[TestClient, Sitting]]:
    with sitting(out) as (found, desk):
        tokens = {rater: TOKENS[rater] for rater in found.tally.ballots}
        with TestClient(rating_page(desk, tokens), follow_redirects=False) as client:
            yield client, desk


def position(client: TestClient, token: str = "token-one") -> str:
    found = re.search(r'name="position" value="(\d+)"', client.get(f"/r/{token}").text)
    return found[1] if found else ""


def say(client: TestClient, choice: str, token: str = "token-one", **more: str) -> Any:
    data = {"position": position(client, token), "choice": choice} | more
    return client.post(f"/r/{token}/vote", data=data)


def test_nothing_that_is_sent_names_a_writer(lay_out: LayOut) -> None:
    with page(lay_out(raters=2)) as (client, _):
        sent = []
        for token in TOKENS.values():
            while position(client, token):
                shown, answer = client.get(f"/r/{token}"), say(client, "tie", token)
                sent += [shown.text, str(shown.headers), answer.text, str(answer.headers), str(answer.url)]
            sent.append(client.get(f"/r/{token}").text)
        sent += [client.get(f"/page/{name}").text for name in ("rate.css", "rate.js")]
    assert len(sent) > 200
    assert not [text for text in sent if re.search("secret|alpha|beta", text)]


@pytest.mark.parametrize(
    "path", ["/r/wrong", "/r/token-on", "/r/token-one2", "/r/%ff", "/r/", "/", "/page/page.py", "/page/..%2fpage.py"]
)
def test_who_has_no_token_sees_nothing(lay_out: LayOut, path: str) -> None:
    with page(lay_out(n=3)) as (client, desk):
        before = desk.progress("rater-1")
        for answer in (client.get(path), client.post(path + "/vote", data={"position": "1", "choice": "left"})):
            assert answer.status_code in (404, 405)
            assert len(answer.text) < 30
        assert client.post("/r/wrong/undo").status_code == 404
        assert desk.progress("rater-1") == before


def test_a_vote_is_on_disk_when_it_is_answered_and_the_side_is_undone(lay_out: LayOut) -> None:
    out = lay_out(n=6, repeats=0)
    with page(out) as (client, desk):
        firsts = []
        for i in range(6):
            shown = desk.shown("rater-1")
            assert shown is not None
            firsts.append(shown.texts[0])
            answer = say(client, "left", note=f"note {i}", seconds="2.5")
            assert (answer.status_code, answer.headers["location"]) == (303, "/r/token-one")
            assert len(list(read_jsonl(out / "votes.jsonl"))) == i + 1
        assert "All 6 are rated" in client.get("/r/token-one").text
    export(out)
    rows = list(read_jsonl(out / "export" / "votes.jsonl"))
    assert [row["chosen"] for row in rows] == firsts
    assert [(row["note"], row["seconds"]) for row in rows] == [(f"note {i}", 2.5) for i in range(6)]
    assert {row["provenance"]["chosen_source"] for row in rows} == {"secret-alpha", "secret-beta"}


def test_undo_shows_what_was_said(lay_out: LayOut) -> None:
    with page(lay_out(n=3, repeats=0)) as (client, _):
        assert re.search("<button disabled[^>]*><kbd>U", client.get("/r/token-one").text)
        say(client, "bad", note="why <not>")
        assert position(client) == "2"
        assert client.post("/r/token-one/undo").status_code == 303
        text = client.get("/r/token-one").text
        assert position(client) == "1"
        assert re.search('value="bad"[^>]*class="before"', text)
        assert 'value="why &lt;not&gt;"' in text


def test_a_rubric_has_its_dimensions_and_takes_only_points_of_the_scale(lay_out: LayOut) -> None:
    out = lay_out(n=3, mode="rubric", repeats=0)
    with page(out) as (client, desk):
        text = client.get("/r/token-one").text
        assert [text.count(f'name="points-{i}"') for i in range(6)] == [3, 3, 3, 3, 3, 0]
        points = {f"points-{i}": str(1 + i % 3) for i in range(5)}
        for wrong in ({"points-0": "4"}, {"points-4": ""}, {"points-1": "２"}, {"points-2": "-1"}, {"points-3": "1e0"}):
            answer = client.post("/r/token-one/vote", data={"position": "1"} | points | wrong)
            assert answer.status_code == 409
        assert desk.progress("rater-1") == (0, 3)
        assert client.post("/r/token-one/vote", data={"position": "1"} | points).status_code == 303
    (row,) = read_jsonl(out / "votes.jsonl")
    assert list(row["points"].values()) == [1, 2, 3, 1, 2]
    assert 0 <= row["seconds"] < 600  # by the server, where no script says it


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"position": "1"},
        {"position": "1", "choice": "a"},  # a and b are the writers': sides are asked for
        {"position": "3", "choice": "left"},  # not shown yet
        {"position": "0", "choice": "left"},
        {"position": "99", "choice": "left"},
        {"position": "١", "choice": "left"},
        {"position": "1", "choice": "left\ud800"},
    ],
)
def test_what_is_no_vote_is_told_and_counts_nothing(lay_out: LayOut, data: dict[str, str]) -> None:
    with page(lay_out(n=3)) as (client, desk):
        body = "&".join(f"{key}={value}" for key, value in data.items()).encode("utf-8", "surrogatepass")
        answer = client.post("/r/token-one/vote", content=body)
        assert (answer.status_code, desk.progress("rater-1")[0]) == (409, 0)
        assert client.post("/r/token-one/vote", content=b"x" * 70_000).status_code == 413


def test_a_full_disk_is_told_and_the_vote_is_not_counted(lay_out: LayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    with page(lay_out(n=3)) as (client, desk):
        real = os.write
        data = {"position": position(client), "choice": "left"}
        links = Path("/proc/self/fd").iterdir()
        votes = {link.name for link in links if os.path.realpath(link).endswith("votes.jsonl")}

        def full(file: int, text: bytes) -> int:
            if str(file) in votes:
                raise OSError(28, "No space left on device")
            return real(file, text)

        monkeypatch.setattr(os, "write", full)
        answer = client.post("/r/token-one/vote", data=data)
        monkeypatch.setattr(os, "write", real)
        assert (answer.status_code, desk.progress("rater-1")[0]) == (503, 0)
        assert "No space left" in answer.text
        assert client.post("/r/token-one/vote", data=data).status_code == 303


def test_texts_are_text(lay_out: LayOut) -> None:
    with page(lay_out(n=2, repeats=0)) as (client, _):
        sent = client.get("/r/token-one").text
        say(client, "left")
        sent += client.get("/r/token-one").text
    assert sent.count("<script") == 2  # the page's own
    assert "&lt;script&gt;" in sent
    assert "a &lt;i&gt;wish&lt;/i&gt;" in sent
    assert not set("\u202e\u202c\u200f\x1b") & set(sent)
    assert "U+202E</span>gnirts" in sent
    assert as_text("a\r\nb\tc\ud800") == 'a\nb\tc<span class="unseen">U+D800</span>'


def test_the_page_loads_nothing_from_elsewhere_and_is_kept_nowhere(lay_out: LayOut) -> None:
    with page(lay_out(n=2)) as (client, _):
        answer = client.get("/r/token-one")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert not re.findall(r"https?://|style=|onclick", answer.text)


def colours(css: str) -> list[dict[str, str]]:
    return [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.S)]


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_everything_can_be_read_in_both_schemes() -> None:
    css = resources.files("inkfire.serve").joinpath("static/rate.css").read_text(encoding="utf-8")
    light, dark = colours(css)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for scheme in (light, dark):
        grounds = [scheme[name] for name in ("page", "card")]
        texts = [contrast(scheme[ink], ground) for ink in ("ink", "soft", "trouble") for ground in grounds]
        texts += [contrast(scheme["ink"], scheme["mark-soft"]), contrast(scheme["mark"], scheme["mark-ink"])]
        borders = [contrast(scheme[line], ground) for line in ("line", "mark") for ground in grounds]
        assert (min(texts) >= 4.5, min(borders) >= 3) == (True, True)


def test_every_field_has_a_label(lay_out: LayOut) -> None:
    with page(lay_out(n=2, mode="rubric")) as (client, _):
        text = client.get("/r/token-one").text
    inputs = re.findall(r"<input type=\"(?:radio|text|number)\"", text)
    assert len(inputs) == 16
    assert len(re.findall(r"<label[^>]*>(?:<span>.*?</span>)?<input", text)) == 16
    assert text.count("<legend") == text.count("<fieldset") == 5
    assert '<html lang="en">' in text
    assert NASTY not in text
