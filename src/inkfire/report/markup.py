"""What a template asks about the HTML around a text: where a title is found, what titles there are, what is spoken."""

from __future__ import annotations

import re
from html import unescape

from markupsafe import Markup

from inkfire.stats.texts import main_script

_LANGUAGES = {"han": "zh", "kana": "ja", "hangul": "ko"}


def slug(title: str) -> str:
    """A title as the name of its section.

    >>> slug("Who judged, and how good they are at it")
    'who-judged-and-how-good-they-are-at-it'
    """
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


def sections(body: str) -> list[str]:
    """The titles of a page's sections, in their order."""
    return [unescape(title) for title in re.findall(r'<section id="[^"]*">\s*<h2>(.*?)</h2>', body)]


def led_by(body: Markup, contents: Markup) -> Markup:
    """A page with its contents before the first section."""
    before, section, after = body.partition("<section ")
    return before + contents + section + after


def spoken(text: object) -> Markup:
    """The attribute that says in which language a text is, so that it gets its fonts and its voice; none for letters
    that many languages share."""
    language = _LANGUAGES.get(main_script([str(text)]) or "")
    return Markup(f' lang="{language}"' if language else "")
