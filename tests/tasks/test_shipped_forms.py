"""The checks of a task, against texts labelled by hand: what its form lets pass, and what it sends back."""

from __future__ import annotations

from collections import Counter

import pytest

from inkfire.files.formats import read_queries
from inkfire.records import Query
from inkfire.rewards.checks import Checks
from inkfire.tasks.task import HELD_OUT, load_task

# Labelled by hand: what an editor who keeps to the form would let pass, and what not.
KEPT = {
    "taglines-en": """
        The first warm thing in Whitby.|Sit. Stand. That's one.|Mended before the 8.14.
        Half past nine, or when it's gone.
        North-facing is not a diagnosis.|Lend us the sheets, borrow a Brontë.|It'll rain again. Bring it here.
        Yours for £2.50.|Closed Mondays: the cows insist.|The Steinway went up Tuesday. So can yours.|Open at 4.
        Ask us who you're knitting.|No lilies. Ever.|Soup; bread; home.|Pies by the front row.
        The hens' own soap.
        80% of it is rain.|Where the boats turn round.|He meets every train.
        Four in the morning, and there's butter.
        Grandad first, then the baby, then the scones.""",
    "dialogue-zh": """
        剩的。十二年前没吃完，今天给你热热。|炖的什么？……猪蹄。那得两个钟头，您先回，别说我批的。
        批……写字。你有什么不认得的字，我都认得。
        炸了！都撤下来了，一个也不少。|就懂一句，“明天见”。你别说，我今天也没跟它说。
        九八年，你踮脚了，我那时候就想跟你算这笔账。
        那狗现在会背《静夜思》了吧？明天带来，站你的位子。|我让了一辈子，红旗让，绿旗也让。今天你们先停一停。
        手给我，这是我的钥匙：凉的、糙的，磨圆了是不是？|你外婆存了3张票，WiFi也装了，你还走不走？
        我先付你一半，另一半等下雪再说。
        等雨停。地滑，我这膝盖杀得了你，走不回去。|看你吐的成色，才出来四十里。等吐不出东西了，就快到了。
        您抱着算行李，它要是叫一声，就算乘客。|会就好。名字总写上吧，白得这么干净，别算到别人头上。
        没问你饿不饿，先去把柴抱进来。
        娘，您看，鸡都上了谷席了，您是先撵它，还是先撵我？|留着几根。都拔光了，你爷爷在那边认不出我。
        签。不过门框不卖，我明天带锯子来。
        谁让你用筷子了？捧着碗喝，我擀的时候就切短了。""",
}
SENT_BACK = {
    "taglines-en": """
        Best rolls in Whitby!|Need a button?|Rolls.|Rolls for you|Your morning starts here.
        Where bread meets butter.
        A journey in every jar.|The one with the rolls that are warm when you come in.|Bread (fresh) for all.
        Hot rolls..
        “The first warm thing.”|The first warm thing 🥐.|Wait for it…|Warm rolls…and butter.|Quality to taste.
        Pies #1.
        It's not a roll, it's a hug.|新鲜面包 every day.|- The first warm thing.|Redefine breakfast now.
        Unleash the loaf.
        More than just a bakery.|Rolls — and butter.|Solutions for a hungry harbour.
        World-class buttons from Leeds.""",
    "dialogue-zh": """
        好。|不知道。你问你爸去。|（叹气）你先把柴抱进来，被子我昨天才晒过。
        老周：你全要，雨就不找我了，五毛让你。
        “没问你饿不饿。去把柴抱进来。”|【笑】三个里头有一个我自己都不敢打包票。
        *摇头*三个里头有一个我不敢打包票。
        你先把柴抱进来（指门外），被子我昨天才晒过。|母亲: 没问你饿不饿，先去把柴抱进来。
        You just sit down and eat, I made it for you.
        没问你饿不饿，先去把柴抱进来，顺便把那个|去把柴抱进来吧，去把柴抱进来吧，去把柴抱进来吧。
        「没问你饿不饿，去把柴抱进来吧。」
        你 really 不饿吗？那你 just sit down 看我 eat 好了。|等雨停了再走也不晚，你看那边的云都还没有散开，
        [起身]没问你饿不饿，先去把柴抱进来。|‘没问你饿不饿。先去把柴抱进来吧。
        没问你饿不饿，先去抱柴【停顿】被子我晒过。
        狐狸：早跟你说那件旧斗篷掉毛，你要是嫌，往后别吃鸡了。|土地公: 管用的话，我这屋顶早就补上了。
        就是说，那个，因为你昨天没有来，所以我今天就把""",
}


def failed(name: str, text: str) -> list[str]:
    task = load_task(name)
    return Checks.parse(task.checks, folder=task.folder).failures([""], [text])[0]


def cases(table: dict[str, str]) -> list[tuple[str, str]]:
    rows = ((name, text.strip()) for name, texts in table.items() for text in texts.replace("\n", "|").split("|"))
    return [(name, text) for name, text in rows if text]


def test_forty_texts_of_each_are_labelled() -> None:
    count = Counter(name for name, _ in cases(KEPT) + cases(SENT_BACK))
    assert min(count.values()) >= 40


@pytest.mark.parametrize(("name", "text"), cases(KEPT))
def test_the_form_lets_pass(name: str, text: str) -> None:
    assert failed(name, text) == []


@pytest.mark.parametrize(("name", "text"), cases(SENT_BACK))
def test_the_form_sends_back(name: str, text: str) -> None:
    assert failed(name, text) != []


@pytest.mark.parametrize("name", ["dialogue-zh", "haiku-en", "story-opening-zh", "taglines-en"])
def test_slices_are_told_without_tags_too(name: str) -> None:
    task = load_task(name)
    queries = [*task.queries(), *read_queries(task.folder / HELD_OUT)]
    untagged = [task.slice_of(Query.of(query.query)) in query.tags for query in queries]
    assert sum(untagged) > 0.85 * len(untagged)
