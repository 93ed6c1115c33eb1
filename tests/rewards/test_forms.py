"""Forms of verse: which texts are jueju, by hand, and what a form needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import InputError
from inkfire.files.jsonl import write_jsonl
from inkfire.rewards.checks import Checks
from inkfire.rewards.forms import form, is_haiku, is_jueju, tones
from inkfire.rewards.syllables import syllables
from inkfire.runs.check import CheckInputs, check

JUEJU = {
    "five characters, set in lines": "外卖到门前，\n汤还微微烫。\n再看送餐人，\n已过三条巷。",
    "seven characters, set in lines": "地铁门开又合拢，\n人潮把我推进来。\n站名一路往前报，\n坐过三站才发呆。",
    "one line, divided by marks": "楼下修鞋摊，锤声到天晚。铁盒装零钱，硬币朝上满。",
    "two lines of two": "雪停人未起，鸟啄窗台米。\n昨夜谁来过，鞋印深到底。",
    "no marks at all, in lines": "工牌摘下来\n放进抽屉里\n抽屉推到头\n碰倒一支笔",
    "divided by blanks": "工牌摘下来 放进抽屉里 抽屉推到头 碰倒一支笔",
    "empty lines between": "工牌摘下来，\n\n放进抽屉里。\n\n抽屉推到头，\n\n碰倒一支笔。",
    "full-width blanks in front": "\u3000工牌摘下来，\n\u3000放进抽屉里。\n\u3000抽屉推到头，\n\u3000碰倒一支笔。",
    "a pause inside a line": "妈，我刚到了，\n到宿舍楼下。\n行李，不太重，\n先不说了吧。",
    "marks of a question and a cry": "谁敲门、谁在？\n猫从柜上来！\n钥匙还没响，\n鱼干已经拆。",
    "marks of the keyboard": "工牌摘下来,\n放进抽屉里.\n抽屉推到头,\n碰倒一支笔!",
    "a title's marks and quotes inside": "爷爷讲《三国》，\n我数墙上钉。\n念到“后来”处，\n茶凉人不应。",
    "an ellipsis at the end": "工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔……",
    "line 1 rhymes as well": "菜场收摊早，\n鱼贩把秤倒。\n剩下半盆虾，\n送给隔壁嫂。",
    "traditional characters": "樓下燈還亮，\n人從雨裡來。\n買完一把傘，\n站著沒撐開。",
    "level rhyme words": "楼下灯还亮，\n人从雨里来。\n买完一把伞，\n站着没撑开。",
    "oblique rhyme words": "公交末班走，\n站牌立在雪。\n手套分一只，\n各自暖半截。",
    "rhyme words of two tones": "阳台晒棉被，\n拍出旧年灰。\n一根白头发，\n捡起认是谁。",
    "an and ian": "快递堆门口，\n奶奶戴镜看。\n拆开是药盒，\n字小凑灯前。",
    "an, uan and üan": "茶馆收了伞，\n说书到下半。\n听众剩一人，\n故事不肯短。",
    "en, un and ün": "针线篮底下，\n压着小人裙。\n当年谁做的，\n早已做了军。",
    "eng and ong": "厨房水壶响，\n父亲咳一声。\n我装没醒着，\n被子拉到胸。",
    "ing and iong": "站台人散尽，\n广播又念名。\n有人回头望，\n空手似弟兄。",
    "o, e and uo": "旧楼要拆了，\n门牌摘一个。\n兜里沉甸甸，\n四十年生活。",
    "ei and ui": "食堂阿姨手，\n勺子稳如垒。\n听说我毕业，\n添肉添一回。",
    "ie and üe": "公交末班走，\n站牌立在雪。\n手套分一只，\n各自暖半截。",
    "ou and iu": "老家断了电，\n蜡烛立碗口。\n弟弟做手影，\n狗追一头牛。",
    "zhi and si": "考场发卷子，\n满屋只翻纸。\n窗外卖瓜声，\n隔墙报两次。",
    "i and ü": "病房靠窗床，\n吊瓶滴得细。\n邻床借耳机，\n放的家乡曲。",
    "i and er": "孙女学走路，\n扶墙走第二。\n爷爷蹲那头，\n空张一双臂。",
    "üe of lüe": "课间传纸条，\n老师佯未觉。\n后来同学会，\n纸条成攻略。",
    "a reading that is not the first: 行 as háng": "银行叫号声，\n老人排两行。\n存折包手帕，\n手帕带樟香。",
    "a reading that is not the first: 觉 as jiào": "夜班护士站，\n无人敢睡觉。\n铃声响一下，\n鞋底先跑到。",
    "a reading that is not the first: 都 as dū": "驾照刚到手，\n开车去旧都。\n后座两老人，\n一路指错路。",
    "a reading that is not the first: 了 as liǎo": "棋摊围一圈，\n将军吃不了。\n看客先着急，\n伸手又收好。",
    "a reading that is not the first: 朝 as zhāo": "渔船昨夜归，\n补网到今朝。\n破洞有多大，\n鱼就有多高。",
    "rare characters of the first extension": "㐀㐁㐂㐃㐄，\n㐅㐆㐇㐈来。\n㐀㐁㐂㐃㐄，\n㐅㐆㐇㐈开。",
}
NOT = {
    "nothing": "",
    "marks alone": "，。，。",
    "three lines": "工牌摘下来，\n放进抽屉里。\n碰倒一支笔。",
    "five lines": "工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔。\n没有人听见。",
    "eight lines: a regulated verse": "工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔。\n" * 2,
    "eight in four lines": "工牌摘下来，放进抽屉里。\n" * 2 + "抽屉推到头，碰倒一支笔。\n" * 2,
    "a title on top": "下班\n工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔。",
    "a title in its marks": "《下班》\n工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔。",
    "a word before it": "好的，\n工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔。",
    "four characters": "工牌摘下，\n放进柜里。\n抽屉推到，\n碰倒支笔。",
    "six characters": "工牌刚摘下来，\n慢放进抽屉里。\n抽屉推到了头，\n碰倒了一支笔。",
    "eight characters": "今天工牌又摘下来，\n今天放进那抽屉里。\n今天抽屉又推到头，\n今天碰倒了一支笔。",
    "five and seven mixed": "工牌摘下来，\n轻轻放进抽屉里。\n抽屉推到头，\n一声碰倒一支笔。",
    "one line a character short": "工牌摘下来，\n放抽屉里。\n抽屉推到头，\n碰倒一支笔。",
    "one line a character long": "工牌摘下来，\n放进抽屉里。\n抽屉推到了头，\n碰倒一支笔。",
    "lines 1 and 3 rhyme, 2 and 4 do not": "楼下灯还亮，\n人从雨里来。\n买伞没有撑，\n伞上印牡丹。",
    "an and ang": "快递堆门口，\n奶奶戴镜看。\n拆开是药盒，\n字小灯不亮。",
    "en and eng": "站台人散尽，\n广播念一人。\n有人回头望，\n夜车灯不明。",
    "in and ing": "门口晾衣绳，\n挂到两家邻。\n收错一双袜，\n隔墙喊姓名。",
    "zhi and ji": "考场发卷子，\n满屋只翻纸。\n窗外卖瓜声，\n一声比一低。",
    "e and ie": "公交末班走，\n站牌立在雪。\n手套分一只，\n各自不说热。",
    "u and ü": "下山走错路，\n借宿在小屋。\n主人不多话，\n添柴又添鱼。",
    "the same rhyme word twice": "工牌摘下来，\n放进抽屉里。\n钥匙找不见，\n还在抽屉里。",
    "a letter in a line": "工牌摘下来，\n放进WiFi里。\n抽屉推到头，\n碰倒一支笔。",
    "a digit in a line": "工牌摘下来，\n放进3号里。\n抽屉推到头，\n碰倒一支笔。",
    "an emoji at the end": "工牌摘下来，\n放进抽屉里。\n抽屉推到头，\n碰倒一支笔🙂",
    "English": "I take my badge,\nI put it by.\nThe drawer shuts,\na pen rolls by.",
    "kana in a line": "工牌摘下来，\n放进の屉里。\n抽屉推到头，\n碰倒一支笔。",
    "prose of as many characters": "今天下班的时候我把工牌摘下来放进抽屉里碰倒一支笔。",
    "a rhyme word without a reading": "㐀㐁㐂㐃㐄，\n㐅㐆㐇㐈\U0002a6d6。\n㐀㐁㐂㐃㐄，\n㐅㐆㐇㐈开。",
}


# Counted by hand. Where a word can be said in two ways, either makes the line.
HAIKU = [
    "The pond's one puddle.\nA heron has the whole town\nto choose its fish from.",
    "Snow on the snowplough.\nThe driver is in the pub\nwaiting for a lift.",
    "First frost. The scarecrow / lends nobody his jacket / and coughs all morning.",
    "A wasp in the jam.\nEveryone at the table\nhas become polite.",
    "Fire in the grate:\nthe cat moves over an inch\nand that is a gift.",
    "Our fire is out.\nGrandfather blows on the ash\nas though on his soup.",
    "Every evening\nthe same blackbird, the same tune\nwrong in the same place.",
    "Evening: the swallows\nare sewing up the barn door\nwith no thread at all.",
    "Power cut. The street\ndiscovers that it has stars\nand a violin.",
    "One flower opens.\nThe gardener, who planted\ntwo hundred, counts one.",
    "Chocolate eggs melt\nbehind the radiator.\nSomebody had plans.",
    "Memory of plums:\nmy sister on the ladder\nand I underneath.",
    "July. The ice-cream\nvan plays to a field of cows.\nThey form a short queue.",
    "The dragonfly stops\nin mid-air, as if it had\nforgotten its keys.",
    "Windowsill. One plum,\none postcard, one wasp, between\nthe two of them, rain.",
    "—Is it still raining?\n—Only on the caravan,\nmy father tells her.",
    '"Spring," says the postman,\nand hands me a gas bill with\na snail riding it.',
    "It'll be winter\nbefore he mends that shutter.\nIt bangs: yes. Yes. Yes.",
    "December. The moth\nthat ate my father's best suit\nis wearing it out.",
    "The moss's slow green\nhas reached the second letter\nof somebody's name.",
    "naïve as ever,\nthe apricot has flowered\na week before hail.",
    "wisteria drips\non the wedding photographs:\neveryone laughing",
    "Jackdaws on the roof\nreturn, one twig at a time,\nthe chimney's old nest.",
]
NO_HAIKU = {
    "nothing": "",
    "marks alone": "...\n...\n...",
    "one line": "The pond is one puddle",
    "two lines": "A wasp in the jam.\nEveryone at the table",
    "four lines": "A wasp in the jam.\nEveryone at the table\nhas become polite.\nAnd still.",
    "six and seven and five": "A wasp in the warm jam.\nEveryone at the table\nhas become polite.",
    "four and seven and five": "Wasp in the jam.\nEveryone at the table\nhas become polite.",
    "five and six and five": "A wasp in the jam.\nEveryone at table\nhas become polite.",
    "five and eight and five": "A wasp in the jam.\nEveryone at the long table\nhas become polite.",
    "five and seven and four": "A wasp in the jam.\nEveryone at the table\nbecomes polite.",
    "five and seven and six": "A wasp in the jam.\nEveryone at the table\nhas become so polite.",
    "seven and five and seven": "Everyone at the table\nhas become polite.\nEveryone at the table",
    "a title on top": "Wasp\nA wasp in the jam.\nEveryone at the table\nhas become polite.",
    "a name below": "A wasp in the jam.\nEveryone at the table\nhas become polite.\n— Anne",
    "free, short lines": "wasp\nin the jam\nwe wait",
    "digits": "At 7 the wasp.\nEveryone at the table\nhas become polite.",
    "an emoji": "A wasp in the jam.\nEveryone at the table\nhas become polite 🙂",
    "Chinese": "外卖到门前，\n汤还微微烫。\n已过三条巷。",
    "Greek letters": "A wasp in the jam.\nEveryone at the table\nhas become πολιτε.",
    "prose of seventeen syllables": "A wasp in the jam. Everyone at the table has become polite.",
    "no fire is three": "Fire, fire, smoke.\nEveryone at the table\nhas become polite and calm.",
    "a list with stars": "* A wasp in the jam.\n* Everyone at the table\n* has become polite.",
}


def test_a_word_that_can_be_said_in_two_ways_counts_as_both() -> None:
    said = {word: syllables(word) for word in ("fire", "every", "evenings", "memories", "tower", "lower", "mouth")}
    assert said == {
        "fire": (1, 2),
        "every": (2, 3),
        "evenings": (2, 3),
        "memories": (2, 3),
        "tower": (1, 2),
        "lower": (2, 2),
        "mouth": (1, 1),
    }


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("streetlamp", 2),
        ("dragonfly", 3),
        ("snowploughs", 2),
        ("moss's", 2),
        ("fox-trot", 2),
        ("puddled", 2),
        ("Café", 2),
    ],
)
def test_a_word_that_the_dictionary_lacks_is_counted_by_its_parts(word: str, count: int) -> None:
    assert syllables(word) == (count, count)


@pytest.mark.parametrize(("word", "count"), [("blorpent", 2), ("quilliano", 4), ("strendle", 2), ("vorked", 1)])
def test_a_word_that_nobody_knows_is_counted_by_its_vowels(word: str, count: int) -> None:
    least, most = syllables(word)
    assert least <= count <= most


@given(st.text(max_size=40))
def test_any_text_has_syllables_from_the_least_to_the_most(text: str) -> None:
    least, most = syllables(text)
    assert 0 <= least <= most
    assert is_haiku(text) in (True, False)


def test_check_shows_the_syllables_of_every_text(tmp_path: Path) -> None:
    texts = [
        NO_HAIKU["four and seven and five"],
        "Every evening\nthe same blackbird, the same tune\nwrong in one place.",
    ]
    write_jsonl(tmp_path / "texts.jsonl", [{"query": "q", "response": text} for text in texts])
    found = check(CheckInputs(data=(tmp_path / "texts.jsonl",), checks=("form:haiku",)))
    assert [row["syllables"] for row in found["syllables"]] == [
        [[4, 4], [7, 7], [5, 5]],
        [[4, 6], [7, 7], [4, 4]],
    ]


def test_there_are_enough_cases() -> None:
    assert len(JUEJU) + len(NOT) >= 60
    assert len(HAIKU) + len(NO_HAIKU) >= 40


@pytest.mark.parametrize("text", HAIKU)
def test_what_is_a_haiku(text: str) -> None:
    assert Checks.parse(["form:haiku"]).failures(["q"], [text]) == [[]]


@pytest.mark.parametrize("text", NO_HAIKU.values(), ids=NO_HAIKU)
def test_what_is_no_haiku(text: str) -> None:
    assert Checks.parse(["form:haiku"]).failures(["q"], [text]) == [["form:haiku"]]


@pytest.mark.parametrize("text", JUEJU.values(), ids=JUEJU)
def test_what_is_a_jueju(text: str) -> None:
    assert Checks.parse(["form:jueju"]).failures(["q"], [text]) == [[]]


@pytest.mark.parametrize("text", NOT.values(), ids=NOT)
def test_what_is_none(text: str) -> None:
    assert Checks.parse(["form:jueju"]).failures(["q"], [text]) == [["form:jueju"]]


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(text: str) -> None:
    assert is_jueju(text) in (True, False)


@given(st.text(alphabet="工牌摘下来放进抽屉里\n，。 ", max_size=60))
def test_a_jueju_has_a_tone_for_each_character(text: str) -> None:
    if is_jueju(text):
        assert {len(line) for line in tones(text)} in ({5}, {7})


def test_tones_are_those_of_today() -> None:
    assert tones(JUEJU["level rhyme words"]) == ["平仄平平仄", "平平仄仄平", "仄平平仄仄", "仄轻平平平"]


def test_check_shows_the_tones_of_what_has_the_form(tmp_path: Path) -> None:
    texts = [NOT["four characters"], JUEJU["level rhyme words"]]
    write_jsonl(tmp_path / "texts.jsonl", [{"query": "q", "response": text} for text in texts])
    found = check(CheckInputs(data=(tmp_path / "texts.jsonl",), checks=("form:jueju",)))
    assert found["failed"] == {"form:jueju": 1}
    assert [(row["line"], row["tones"]) for row in found["tones"]] == [(2, tones(texts[1]))]
    assert "tones" not in check(CheckInputs(data=(tmp_path / "texts.jsonl",), checks=("finished",)))


@pytest.mark.parametrize("name", ["jeuju", "sonnet", ""])
def test_what_is_no_form_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"check 'form:{name}': there is no form '{name}'.*known: jueju"):
        Checks.parse([f"form:{name}"])


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    with pytest.raises(InputError, match=r"check 'form:jueju'.*pip install 'inkfire\[tasks\]'"):
        Checks.parse(["form:jueju"])
    with pytest.raises(InputError):
        form("jueju")
    monkeypatch.setitem(sys.modules, "pysyllables", None)
    with pytest.raises(InputError, match=r"check 'form:haiku'.*pip install 'inkfire\[tasks\]'"):
        Checks.parse(["form:haiku"])
