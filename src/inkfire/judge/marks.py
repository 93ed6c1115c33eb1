"""Characters that show nothing: which of them are writing, and which hide something.

Persian, Hindi, Khmer and others cannot be spelled without joiners and breaks, a flag is a sequence, Hebrew beside Latin
needs direction marks, an emoji or a Chinese character may choose its shape. Such a character is writing where it does
that work, once; anywhere else, or twice in a row, it hides something.

>>> [len(visible("می\\u200cخواهم")), len(visible("ig\\u200cnore"))]
[8, 6]
"""

from __future__ import annotations

import re
import unicodedata

# Letters, and the marks on them, of scripts that are spelled with joiners, or in which a break stands between words.
_JOINED = re.compile(
    "[\u0620-\u065f\u066e-\u06d3\u06d5-\u06dc\u06df-\u06e8\u06ea-\u06ef\u06fa-\u06ff\u0710-\u07fa\u0840-\u085b"
    "\u08a0-\u08e1\u08e3-\u0dff\u0f40-\u0fbc\u1000-\u109f\u1780-\u17b3\u17b6-\u17dd\u1820-\u18aa\u1900-\u1cff"
    "\ua840-\ua877\ua880-\ua8ff\ua930-\ua9ff\uaa00-\uaadf\uaae0-\uaaf6\uabc0-\uabed\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00010a3f\U00010d00-\U00010d27\U00011000-\U000116cf\U0001e900-\U0001e94b]"
)
_UNSPACED = re.compile("[\u0e01-\u0e4e\u0e81-\u0edf\u0f40-\u0fbc\u1000-\u109f\u1780-\u17dd\u1950-\u19df\ua980-\ua9df]")
_JOINERS, _BREAK, _VOWEL_SEPARATOR = "\u200c\u200d", "\u200b", "\u180e"
_DIRECTIONS = "\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2068\u2069"  # not the overrides U+202D and U+202E
_SHOWN = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"  # of the category of controls, and yet they are drawn
_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800"
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_IDEOGRAPHIC = "\U000e0100"
_SUSPECT = re.compile(f"[{_BLANKS}]|{_VARIATION.pattern}|[\U000e0000-\U000e007f]")
_FLAG = re.compile(  # England's, Scotland's, a state's …: a black flag, a region's code in tags, the tag that ends it
    "\U0001f3f4[\U000e0061-\U000e007a]{2}[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,3}\U000e007f"
)


def visible(text: str) -> str:
    """``text`` without the characters that hide something; those that are writing stay."""
    if text.isascii() and text.isprintable():
        return text
    flags = {i for match in _FLAG.finditer(text) for i in range(*match.span())}
    rtl = any(char.isalpha() and unicodedata.bidirectional(char) in ("R", "AL") for char in text)
    after, afters = "", [""] * len(text)
    for i in reversed(range(len(text))):
        afters[i] = after
        after = after if _shows_nothing(text[i]) else text[i]
    kept = [""]
    for i, char in enumerate(text):
        if i in flags or not _shows_nothing(char) or _is_writing(char, kept[-1], afters[i], rtl):
            kept.append(char)
    return "".join(kept)


def without_marks(text: str) -> str:
    """``text`` without any character that shows nothing, writing or not: how a rule reads it."""
    return "".join(char for char in text if not _shows_nothing(char))


def _is_writing(char: str, before: str, after: str, rtl: bool) -> bool:
    """Whether a character that shows nothing does its work between what stands before it and what is shown after it."""
    if char in _JOINERS:
        return _joins(before, after) or (char == "\u200d" and _pictorial(before) and _pictorial(after))
    if char == _BREAK:
        return bool(_UNSPACED.match(before) and _UNSPACED.match(after))
    if char == _VOWEL_SEPARATOR:
        return "\u1820" <= before <= "\u18aa"
    if char in _DIRECTIONS:
        return rtl and not (before and before in _DIRECTIONS) and not (_runs_right(before) and _runs_right(after))
    return bool(_VARIATION.match(char)) and _varies(before, char)


def _shows_nothing(char: str) -> bool:
    if _SUSPECT.match(char):
        return True
    category = unicodedata.category(char)
    return (category == "Cf" and not re.match(f"[{_SHOWN}]", char)) or (category == "Cc" and char not in "\n\r\t")


def _joins(before: str, after: str) -> bool:
    """Between two letters of such a script, or at a word's end behind a virama (a half form, a Malayalam chillu)."""
    if not _JOINED.match(before):
        return False
    return bool(_JOINED.match(after)) or (unicodedata.combining(before) == 9 and not after.isalnum())


def _runs_right(char: str) -> bool:
    """A letter of a word from left to right, which no direction mark cuts in two."""
    return char.isalpha() and unicodedata.bidirectional(char) == "L"


def _varies(before: str, char: str) -> bool:
    """A variation selector has a base that has variants: no letter of Latin, no blank, no other such character."""
    if not before or before.isspace() or _shows_nothing(before):
        return False
    if char >= _IDEOGRAPHIC:
        return unicodedata.name(before, "").startswith("CJK")
    return not (before.isascii() and before.isalpha())


def _pictorial(char: str) -> bool:
    return bool(char) and (unicodedata.category(char) in ("So", "Sk") or char == "\ufe0f")
