"""What code can tell about a text by looking at it: is it whole, does it loop, which language is it in.

Each is a yes or no that a policy is held to (``checks.py``). They see accidents, not quality: a text that passes all of
them can still say nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from inkfire.stats.texts import is_mixed, script_mix, units

_TERMINAL = set("。！？!?.…‽⁉⁈؟۔।॥~～♪♫")
_CLOSING = set("”’\"'」』）)】]》〉»›*_")
_OPEN = set(",，、;；:：-–—(（[“‘「『")
_TAGS = re.compile(r"(?:\s*#[^\s#]+#?)+$")
_SIGNATURE = re.compile(r"[—–-]{1,2}\s*\S.{0,30}|(?:[^\W\d_][\w'’]*[, ]+){0,5}(?!May |I |You |We )[A-ZÀ-Þ][\w'’.]+")
"""What may stand under a whole text: a dash and a name, or a few words that end in a name."""
_SEPARATORS = re.compile(r"[。！？!?….,，、；;：:\n]+")
_PAIRS = ("（）", "()", "“”", "「」", "『』", "【】", "《》")
_SHORT, _SHORT_WORDS = 16, 5
"""Units up to which a text without such a mark is whole: a motto, a couplet, four characters for a door frame."""


def finished(text: str, truncated: bool | None = None) -> bool:
    """Whether the last sentence is whole.

    It ends with a mark that ends sentences (closing quotes and brackets, emoji, hashtags and a short signature may
    follow), or the text is short and has no such mark at all.

    Args:
        truncated: whether the text met the limit before its end token, where the caller knows; then it is not whole.

    >>> finished("祝你生日快乐！"), finished("祝你生日快乐，"), finished("百年好合"), finished("Love you. — Mum")
    (True, False, True, True)
    """
    text = _TAGS.sub("", text.strip())
    if truncated or not text:
        return False
    if _ends(text):
        return True
    if text[-1] in _OPEN:
        return False
    end = max((i for i, char in enumerate(text) if char in _TERMINAL or char == "\n"), default=-1)
    rest = text[end + 1 :].strip()
    if end >= 0:
        return _SIGNATURE.fullmatch(rest) is not None
    if any(text.count(pair[0]) > text.count(pair[1]) for pair in _PAIRS):
        return False
    words, spaced = units(text), script_mix(text).get("latin", 0) > 0.5
    return len(words) <= (_SHORT_WORDS if spaced else _SHORT) and not set(words[-1:]) & _WORDS["en"]


def _ends(text: str) -> bool:
    for char in reversed(text):
        if char in _TERMINAL:
            return True
        emoji = unicodedata.category(char) in ("So", "Sk") or char in "\u200d\ufe0f"
        if emoji:
            return True
        if char not in _CLOSING and not char.isspace():
            return False
    return False


def loops(text: str) -> bool:
    """Whether a text goes round in circles: a clause of four units twice, eight units in a row twice, or four in a row
    three times.

    >>> loops("愿你如星辰般闪耀，愿你如星辰般闪耀。"), loops("春风得意，夏日清凉，秋实满仓，冬雪安详。")
    (True, False)
    """
    clauses = Counter(tuple(of) for clause in _SEPARATORS.split(text) if len(of := units(clause)) >= 4)
    if clauses and max(clauses.values()) >= 2:
        return True
    row = units(text)
    fours = max(Counter(zip(row, row[1:], row[2:], row[3:], strict=False)).values(), default=0)
    if fours != 2:
        return fours > 2
    eights = [tuple(row[i : i + 8]) for i in range(len(row) - 7)]
    return len(set(eights)) < len(eights)


_SCRIPT_OF = {"zh": "han", "ja": "kana", "ko": "hangul"} | dict.fromkeys(
    ("ru", "uk", "bg", "sr", "be", "mk"), "cyrillic"
)

# Words that no text in the language is long without.
_FUNCTION_WORDS = {
    "en": "the a an and of to in is it you your that for with on be this are have not we our may at as from i my me",
    "de": "der die das und ein eine ist nicht ich du wir mit für auf den dem zu von es sie dich dir mein sich auch",
    "fr": "le la les de des et un une est que vous tu je pour dans en ne pas du au ce sur avec votre ton ta mon ma qui",
    "es": "el la los las de y un una es que en por para con no tu te mi se al del lo su más como este esta",
    "it": "il la lo gli le di e un una è che in per con non tu ti mi si al del della sono più come questo questa",
    "pt": "o a os as de e um uma é que em por para com não tu você te meu minha se ao do da no na mais como",
    "nl": "de het een en van is in dat je jij ik niet met voor op te zijn jouw mijn we maar ook aan er",
    "sv": "och att det en ett är i på som för med du jag inte av till din min vi har den men om",
    "pl": "i w na nie się jest to z do że ty ja jak dla twój mój od po co o ale już by",
    "tr": "ve bir bu da de için ile çok sen ben gibi ama daha ne var her o mi sana bana",
    "vi": "và là của có cho một được không trong bạn tôi với những các này đã sẽ anh em",
    "id": "dan yang di itu ini untuk dengan kamu aku dari ke tidak akan ada pada anda semoga saya",
}
_WORDS = {code: frozenset(words.split()) for code, words in _FUNCTION_WORDS.items()}
_ABBREVIATION = re.compile(r"(?<![A-Za-z])(?:[A-Z][a-z]?-?){2,}\d*(?![A-Za-z])")
"""PPT, VIP, WiFi, Wi-Fi: words of any language by now."""
_NAME = re.compile(r"(?<![A-Za-z] )(?<![A-Za-z])[A-Z][A-Za-z]+(?! ?[A-Za-z])")
"""Linda, FaceTime: a capital, and no word of its script beside it."""


def in_language(text: str, code: str) -> bool:
    """Whether a text is in a language: by its script, among Latin ones by their function words.

    A name or a brand in another script passes, a phrase does not (a tenth of the letters, names apart). A Latin text of
    fewer than eight words is judged by its script alone: "Happy birthday, Zoë!" has no function word.

    Raises:
        ValueError: there is nothing to tell this language by.

    >>> in_language("祝你 happy 每一天", "zh"), in_language("May your day be bright.", "en")
    (False, True)
    """
    text = _ABBREVIATION.sub("", text)
    script = _SCRIPT_OF.get(code) or ("latin" if code in _WORDS else None)
    if script is None:
        raise ValueError(f"language:{code} cannot be told; known: {', '.join(sorted({*_SCRIPT_OF, *_WORDS}))}")
    text = text if script == "latin" else _NAME.sub("", text)
    if not any(map(str.isalpha, text)) or is_mixed(text, script, 0.1):
        return False
    words = units(text)
    if script != "latin" or len(words) < 8:
        return True
    found = Counter(words)
    share = {other: sum(found[word] for word in known.intersection(found)) for other, known in _WORDS.items()}
    return share[code] > 0 and share[code] == max(share.values())
