"""Checks: what passes and what does not, in Chinese and English, and what is wrong with a check's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.errors import InputError
from inkfire.rewards.checks import Checks, file_in

WHOLE = [
    "祝外婆八十大寿，身体硬朗，笑口常开！",
    "中秋快乐，月圆人更圆。",
    "百年好合",  # a motto
    "愿你，平安喜乐。🎂",
    "她说：“生日快乐！”",
    "新婚快乐～",
    "明天会更好……",
    "祝你生日快乐！#生日 #祝福",
    "老师，谢谢您。\n——您的学生小明",
    "新年快乐！(*^▽^*)",
    "Happy birthday, Grandma!",
    "May your day be bright.",
    "Love you. — Mum",
    "“Well done, you!”",
    "Congratulations 🎉",
    "Merry Christmas",
    "Thank you for everything.\nYours, Anna",
    "See you at eight?",
]
BROKEN = [
    "祝你生日快乐，",
    "愿你在新的一年里，每一天都像春天的花园一样，开满了",
    "祝福像流水，",
    "第一，祝你健康；第二，",
    "（祝你",
    "祝你生日快乐！愿你的每一天都",
    "亲爱的妈妈：",
    "",
    "   ",
    "May your day be bright and your",
    "I hope that you will find many",
    "Happy birthday, dear Grandma,",
    "Wishing you a year of joy! May every morning bring you",
    "With love and",
    "Three things I wish for you:",
    "Grandma, the kitchen still smells of your bread when we -",
]
LOOPING = [
    "愿你如星辰般闪耀，愿你如星辰般闪耀。",
    "祝你快乐，祝你快乐，祝你快乐。",
    "生日快乐生日快乐生日快乐",
    "春风得意马蹄疾，一日看尽长安花，春风得意马蹄疾。",
    "一帆风顺，万事如意，一帆风顺，万事如意。",
    "愿你的笑容像阳光一样温暖，愿你的日子里你的笑容像阳光一样温暖。",
    "哈哈哈哈哈哈哈哈哈哈哈哈",
    "星星和月亮都祝福你星星和月亮都祝福你",
    "May your day be bright. May your day be bright.",
    "all the best to all the best to all the best to you",
    "I wish you a very happy birthday and a very happy new year, I wish you a very happy birthday and more.",
    "so so so so so so so so",
    "Grandma, thank you for the bread and the stories, thank you for the bread and the stories.",
    "we love you so we love you so we love you so",
    "ha ha ha ha ha ha ha ha ha ha",
]
STEADY = [
    "春风得意，夏日清凉，秋实满仓，冬雪安详。",
    "生日快乐！祝你岁岁平安，年年有今日，岁岁有今朝。",
    "爷爷的茶、爷爷的棋、爷爷的故事，我都记得。",
    "愿你健康，愿你快乐，愿你常回家。",
    "好好好，就这么办。",
    "一生一世一双人。",
    "哈哈哈，又老一岁了！",
    "愿你出走半生，归来仍是少年。",
    "Happy birthday, happy birthday!",
    "More cake, more tea, more time with you.",
    "May you laugh, may you rest, may you be home by eight.",
    "You were there at the start, you were there at the end, and you never asked why.",
    "Ha ha ha, another year!",
    "To the best baker, the best listener, the best grandma I know.",
    "",
]


@pytest.mark.parametrize(
    ("check", "passing", "failing"),
    [
        (
            "length:5..12",
            ["12345", "祝你生日快乐！", "百年好合呀", "  12345  ", "x" * 12, "happy days!", "好" * 12, "一二三四五六"],
            ["", "1234", "好" * 13, "x" * 13, "   1234   ", "祝你", "a very long one", "好"],
        ),
        (
            "length:4..",
            ["好好好好", "abcd", "好" * 500, "ab d", "祝你快乐", "x" * 9, "一二三四", "12 34"],
            ["", "abc", "好好好", " abc ", "祝你", "x", "\n\n\n\n", "   "],
        ),
        (
            "words:2..4",
            ["well done", "one two three four", "祝你", "祝你快乐", "don't stop", "新年，好！", "A 好", "x, y; z"],
            ["", "one", "one two three four five", "祝你生日快乐", "!!!", "好", "co-op a b c d", "。"],
        ),
        ("finished", WHOLE, BROKEN),
        ("no-repeat", STEADY, LOOPING),
        (
            "language:zh",
            [
                "祝你生日快乐！",
                "外婆，八十大寿快乐。",
                "祝你的PPT一次通过。",
                "新年快乐🎉",
                "2024，万事顺遂。",
                "祝李雷先生和韩梅梅小姐百年好合，A组全体同事敬贺，祝福常在。",
                "龍年大吉",
                "Linda，圣诞快乐！给你留了杯热红酒。",
                "想家就拨FaceTime，几点我们都接。",
                "百年好合",
            ],
            [
                "祝你 happy 每一天",
                "祝你 Happy Birthday，天天开心。",
                "Congratulations!",
                "Happy birthday!",
                "生日おめでとう",
                "С днём рождения",
                "祝你every day都开心，forever young。",
                "",
                "！！！",
                "생일 축하해",
            ],
        ),
        (
            "language:en",
            [
                "May your day be bright.",
                "Happy birthday, Zoë!",
                "I hope that you and your family have a warm and quiet winter.",
                "Eid Mubarak to you and all of your family, from the whole team in the office.",
                "Well done!",
                "Congratulations",
                "Thank you for the tea, the talks and the long way home.",
                "Merry Christmas to you, Señora García, and to all of the house.",
            ],
            [
                "祝你生日快乐",
                "Alles Gute zum Geburtstag, ich wünsche dir und deiner Familie das Beste auf der Welt",
                "Que ce jour soit le plus beau de ta vie et que tu sois entourée de tous les tiens",
                "Happy 生日 to you my dear 朋友们",
                "С днём рождения",
                "",
                "123!",
                "Feliz cumpleaños, que la vida te dé todo lo que esperas y mucho más de lo que pides",
            ],
        ),
        (
            "forbid:如春风,slop,a new chapter",
            [
                "祝你快乐",
                "春风如你",
                "A sloppy kiss",
                "a new chapters",
                "",
                "Well done",
                "如 春风",
                "slo p",
            ],
            [
                "愿你如春风",
                "Slop!",
                "what SLOP this is",
                "It is a new chapter.",
                "A NEW CHAPTER begins",
                "如春风。",
                "slop-free",
                "x，如春风般",
            ],
        ),
        (
            "require:外婆,Anna",
            [
                "外婆和Anna",
                "Anna，外婆",
                "anna! 外婆!",
                "外婆, ANNA",
                "Dear Anna: 外婆",
                "外婆（Anna）",
                "Anna-外婆",
                "Anna外婆",
            ],
            ["外婆", "Anna", "", "外 婆 Anna", "外婆 Annabel", "Hanna 外婆", "奶奶 Anna", "外婆A"],
        ),
        (
            r"regex:[！!]$",
            ["好！", "well done!", "!", "！", "a\n!", "祝你生日快乐！", "x!!", "?!"],
            ["", "好", "!x", "well done.", "！ ", "。", "! a", "?"],
        ),
    ],
)
def test_what_passes(check: str, passing: list[str], failing: list[str]) -> None:
    assert len(passing) + len(failing) >= 15
    checks = Checks.parse([check])
    found = checks.failures([""] * len(passing), passing)
    assert [text for text, names in zip(passing, found, strict=True) if names] == []
    found = checks.failures([""] * len(failing), failing)
    assert [text for text, names in zip(failing, found, strict=True) if names != [check]] == []


def test_a_text_that_met_the_limit_is_not_finished() -> None:
    checks = Checks.parse(["finished"])
    assert checks.failures(["q"] * 3, ["好。"] * 3, [None, False, True]) == [[], [], ["finished"]]


GOOD = [
    "祝外婆八十大寿，身体硬朗，笑口常开，岁岁有今朝！",
    "May every loaf you bake this year rise as high as our love.",
]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (GOOD[0], False),
        (GOOD[1], False),
        ("亲爱的外婆：" + GOOD[0], False),
        (GOOD[1] + " Anna", False),
        ("身体硬朗，笑口常开，岁岁平安。", False),  # 11 of its 15 characters
        ("the bread and every loaf you bake this year", False),
        ("每一个清晨都有阳光照在你的窗台上，愿你身体硬朗，笑口常开。", True),  # eleven of 29... a third at most
        ("祝外婆长寿！", True),
        ("笑口常开", True),  # four characters are chance
        ("Thank you for the tea and for the long way home.", True),
        ("", True),
        ("祝外婆", True),
        ("外婆，愿八十年的风都变成今天的好天气。", True),
        ("as high as", False),
        ("our love", False),  # eight characters, all of it
    ],
)
def test_no_copy(text: str, passes: bool, tmp_path: Path) -> None:
    """The longest piece that a text of the file has too, of eight characters at least, over the text's length."""
    rows = "\n".join(f'{{"query": "q", "response": "{response}"}}' for response in GOOD)
    (tmp_path / "good.jsonl").write_text(rows)
    checks = Checks.parse(["no-copy:good.jsonl:0.4"], folder=tmp_path)
    assert (checks.failures(["q"], [text]) == [[]]) is passes


def test_lists_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "slop.txt").write_text("# what everybody writes\n如春风\n\nsky's the limit\n")
    checks = Checks.parse(["forbid:slop.txt"], folder=tmp_path)
    texts = ["如春风", "The sky's the limit!", "#", "what everybody writes"]
    assert [bool(names) for names in checks.failures(["q"] * 4, texts)] == [True, True, False, False]
    specs = ["forbid:slop.txt", "require:a/b", "forbid:a,b.c", "no-copy:g.jsonl:0.3", "python:m.py:f", "finished"]
    assert [file_in(spec) for spec in specs] == ["slop.txt", "a/b", "", "g.jsonl", "m.py", ""]


def test_a_function_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def named(query, response):\n    return query[:2] in response\n"
        "def scored(query, response):\n    return 0.5\n"
        "def fails(query, response):\n    return 1 / 0\n"
    )
    checks = Checks.parse(["python:mine.py:named"], folder=tmp_path)
    assert checks.failures(["外婆的生日", "外婆的生日"], ["外婆好", "你好"]) == [[], ["python:mine.py:named"]]
    with pytest.raises(InputError, match=r"answered 0\.5: a check says True or False"):
        Checks.parse(["python:mine.py:scored"], folder=tmp_path).failures(["q"], ["a"])
    with pytest.raises(InputError, match=r"python:mine\.py:fails fails on 'a': ZeroDivisionError"):
        Checks.parse(["python:mine.py:fails"], folder=tmp_path).failures(["q"], ["a"])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("lenght:3..4", "unknown check; did you mean 'length'"),
        ("length:30", "a range is needed"),
        ("length:..", "a range is needed"),
        ("length:9..3", "nothing is between 9 and 3"),
        ("finished:yes", "nothing follows its name"),
        ("fluent:0.1", "nothing follows its name"),
        ("language:xx", "language:xx cannot be told"),
        ("language", "cannot be told"),
        ("forbid", "a list of words is needed"),
        ("forbid:none.txt", "no such file"),
        ("regex:", "a pattern is needed"),
        ("regex:(", "unterminated|missing"),
        ("no-copy:good.jsonl", "a file and a share are needed"),
        ("no-copy:none.jsonl:0.3", "none.jsonl"),
        ("no-copy:none.jsonl:3", "a file and a share are needed"),
        ("python:none.py:f", "no such file"),
    ],
)
def test_what_is_wrong_with_a_check(check: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        Checks.parse([check], folder=tmp_path)
    assert repr(check) in str(error.value)


def test_the_failures_stand_in_the_order_given() -> None:
    checks = Checks.parse(["finished", "length:3..20", "no-repeat"])
    assert checks.names == ("finished", "length:3..20", "no-repeat")
    assert checks.failures(["q", "q"], ["Well done!", "or,"]) == [[], ["finished"]]
    assert checks.failures(["q"], [","]) == [["finished", "length:3..20"]]
