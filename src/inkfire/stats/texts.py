"""Measures of texts that need no model: diversity, near-duplicates, language mix.

A unit is a character in scripts written without spaces (Han, kana) and a word elsewhere, so that the numbers of a
Chinese and an English task mean the same.

>>> units("祝你 happy day!")
['祝', '你', 'happy', 'day']
>>> distinct(["新年好", "新年乐"], 1)
0.6666666666666666
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Any

import numpy as np

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+(?:['’][^\\W_{_UNSPACED}]+)*")
_SCRIPTS = {
    "han": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    "kana": re.compile("[\u3040-\u30ff]"),
    "hangul": re.compile("[\u1100-\u11ff\uac00-\ud7af]"),
    "latin": re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"),
    "cyrillic": re.compile("[\u0400-\u04ff]"),
}


def units(text: str) -> list[str]:
    """Lower-cased words, and single characters of scripts without spaces; punctuation is left out."""
    return _UNIT.findall(text.lower())


def distinct(texts: Sequence[str], n: int) -> float:
    """distinct-n (Li et al. 2016): different n-grams of units over all n-grams of the set; 0 when there are none."""
    grams = [gram for text in texts for gram in zip(*(units(text)[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else 0.0


def script_mix(text: str) -> dict[str, float]:
    """Share of each script among the letters of a text (han, kana, hangul, latin, cyrillic, other); {} without any."""
    letters = Counter(filter(str.isalpha, text))
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[_script(letter)] += count
    return {name: scripts[name] / letters.total() for name in (*_SCRIPTS, "other") if name in scripts}


@lru_cache(maxsize=1 << 16)
def _script(letter: str) -> str:
    return next((name for name, chars in _SCRIPTS.items() if chars.match(letter)), "other")


def main_script(texts: Sequence[str]) -> str | None:
    """The script of most letters of a set of texts; None without letters. Japanese, which has two, counts as kana."""
    total: Counter[str] = Counter()
    for text in texts:
        for name, share in script_mix(text).items():
            total[name] += round(share * len(text))
    if total["kana"] > 0.1 * total.total():
        return "kana"
    return max(total, key=lambda name: total[name]) if total else None


def is_mixed(text: str, script: str, share: float = 0.05) -> bool:
    """Whether more than ``share`` of a text's letters are of another script than ``script``.

    A brand or a name in a text of some length stays below; an English word in the place of a Chinese one does not.
    """
    own = ("kana", "han") if script == "kana" else (script,)
    mix = script_mix(text)
    return bool(mix) and 1 - sum(mix.get(name, 0.0) for name in own) > share


_REFUSAL = re.compile(
    r"""
    \bas\ an?\ (?:ai\b|artificial\ intelligence|(?:large\ )?language\ model)
    | ^\W*(?:(?:i['’]m|i\ am)\ (?:very\ |so\ )?sorry|sorry|unfortunately|i\ apologi[sz]e)\b.{0,40}
      \b(?:can(?:no|['’])?t|can\ not|won['’]t|unable\ to|not\ able\ to)\s+
      (?:help|assist|provide|generate|create|write|produce|fulfil|comply|answer|do\ that|continue)
    | ^\W*i\ (?:can(?:no|['’])?t|can\ not|won['’]t|am\ unable\ to|am\ not\ able\ to)\s+
      (?:help|assist|provide|generate|create|write|produce|fulfil|comply|answer|do\ that)
    | 作为(?:一[个名款])?(?:ai|人工智能|大?语言模型|大模型|智能助手)
    | ^.{0,6}(?:抱歉|对不起|不好意思).{0,8}(?:无法|不能|不便|没法|没办法).{0,6}
      (?:提供|生成|回答|满足|协助|帮助|完成|处理|撰写|创作|回复|帮[你您]写|为[你您]写)
    | ^我?(?:无法|不能)(?:提供|生成|回答|满足|协助|撰写|创作)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def is_refusal(text: str) -> bool:
    """Whether a text begins as a model does that declines to write it (English and Chinese).

    >>> is_refusal("抱歉，我无法生成这样的内容。"), is_refusal("抱歉，我不能来参加你的婚礼，祝你们幸福。")
    (True, False)
    """
    return _REFUSAL.search(text.strip()[:200]) is not None


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> list[tuple[int, int]]:
    """(earlier, later) index of every text that nearly repeats an earlier one: each later text once.

    Near means a Jaccard similarity of character 3-grams of at least ``threshold`` (0 < threshold ≤ 1), case and
    blanks apart. Exact, by prefix filtering (Chaudhuri et al. 2006): two sets that are this similar share one of
    their rarest n-grams, so only texts that do are compared. 25,000 short texts take seconds.
    """
    folded = [fold(text) for text in texts]
    first: dict[str, int] = {}
    for index, text in enumerate(folded):
        first.setdefault(text, index)
    kept = list(first.values())
    nearest = dict(zip(kept, kept, strict=True))
    if len(kept) > 1:
        for i, j in _similar_pairs(list(first), threshold):
            nearest[kept[j]] = min(nearest[kept[j]], kept[i])
    found = ((nearest[first[text]], index) for index, text in enumerate(folded))
    return [(earlier, later) for earlier, later in found if earlier != later]


def repeats(theirs: Set[str], ours: Set[str], threshold: float = 0.8) -> set[str]:
    """Those of our texts that repeat one of theirs, exactly or nearly (see :func:`near_duplicates`)."""
    both = [*sorted(theirs), *sorted(ours)]  # theirs first: the earliest text that one of ours is near to is shown
    found = near_duplicates(both, threshold)
    return {both[later] for earlier, later in found if earlier < len(theirs) <= later}


def fold(text: str) -> str:
    """A text but for case and blanks."""
    return " ".join(text.lower().split())


def trigrams(text: str) -> list[str]:
    """Runs of three characters; a text of fewer is one itself."""
    return [text[i : i + 3] for i in range(len(text) - 2)] or [text]


def _similar_pairs(texts: Sequence[str], threshold: float) -> list[tuple[int, int]]:
    """(i, j) with i < j of all texts that are near each other; the texts all differ."""
    from scipy.sparse import triu
    from sklearn.feature_extraction.text import CountVectorizer

    sets: Any = CountVectorizer(analyzer=trigrams, binary=True, dtype=np.int32).fit_transform(texts)
    rare_first = np.argsort(np.asarray(sets.sum(axis=0)).ravel(), kind="stable")
    sets = sets[:, rare_first].tocsr()
    sets.sort_indices()
    sizes = np.diff(sets.indptr)
    keep = sizes - np.ceil(threshold * sizes - 1e-9).astype(int) + 1  # length of each prefix
    position = np.arange(sets.nnz) - np.repeat(sets.indptr[:-1], sizes)
    prefixes = sets.copy()
    prefixes.data = (position < np.repeat(keep, sizes)).astype(np.int32)
    prefixes.eliminate_zeros()
    candidates = triu(prefixes @ prefixes.T, k=1, format="coo")
    left, right = candidates.row, candidates.col
    similar: list[tuple[int, int]] = []
    for start in range(0, len(left), 100_000):
        i, j = left[start : start + 100_000], right[start : start + 100_000]
        shared = np.asarray(sets[i].multiply(sets[j]).sum(axis=1)).ravel()
        close = shared >= threshold * (sizes[i] + sizes[j] - shared) - 1e-9
        similar.extend(zip(i[close].tolist(), j[close].tolist(), strict=True))
    return similar
