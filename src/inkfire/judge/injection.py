"""Texts that tell the judge what to answer: found by rule, and kept from winning.

A text under judgement is untrusted. The prompts quote it; here it is read before the judge reads it. Rules run over
every reading of a text (``views.py``: normalised, decoded, put together again). A *plain* sign is enough by itself: an
order to give the verdict, a verdict in the judge's own format, a turn of a conversation, a closed delimiter. A *hint*
(the word reviewer, a rule, a mark, …) is innocent alone; hints of three kinds together are not. What the query talks
about itself is no hint: a card for a judge may say judge.

    suspicion = suspect(query, response, good="Good", bad="Bad")
    suspicion                                    # () or the names of the rules that fired

``Guarded`` puts that in front of any judge. By rule of the task (``injection`` in task.toml) a suspected text is bad
with probability 0, or unscored; either way it is logged and counted, and a policy that writes one gains nothing.

Rules cannot know every disguise. They are measured by an attack suite of which whole families were held out
(``attacks.py``), and what they miss still meets the quoting of the prompts.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache

from inkfire.judge.base import Judge
from inkfire.judge.views import HAN, TURN_TOKENS, bare, invisible, mixed_words, shown, views
from inkfire.records import Verdict
from inkfire.tasks.task import Task

_log = logging.getLogger(__name__)

HINTS, CLOSE_HINTS = 3, 2
"""So many kinds of hints make a suspicion: in the whole text, or in one sentence."""

_SENTENCE = re.compile(r"(?<=[.!?。！？\n])\s*")

_ROLE = r"(?:system|assistant|user|human|developer|instructions?|response|系统|助手|用户|人类)"
_TAG = r"(?:system|assistant|user|human|think\w*|verdict|instructions?|prompt|text|document|quote|user_?input|judge\w*|label|answer|score|rules?)"
_FIELD = (
    r"(?:judge(?:ment)?|verdict|label|score|winner|rating|grade|prob(?:ability)?|confidence|is_?good|decision|answer"
    r"|reason|output|result|role|status|overall|ground truth|quality(?: check)?)"
)
_FIELD_HAN = r"(?:评价|评分|得分|总分|结论|判定|判断|标签|理由|结果|答案|质检|状态|评审)"
_IGNORE = (
    r"(?:ignor|disregard|overrid|overrul|bypass|neglig|missacht|vergiss|olvid|omit|esquec|dimentic|negeer|zignor|pomin"
    r"|abaik|bo qua|yok say|игнор|забудь|無視|忘れ|무시|잊|تجاهل|अनदेखा|התעלם|αγνοη)\w*"
    r"|(?:forget|skip|drop|set aside|stop (?:apply|follow|us)\w*|no longer (?:apply|follow|use))"
    r"|(?:忽略|无视|忘记|忘掉|跳过|抛开|抛弃|放弃|作废|不用管|不要管|不必管|别管|不必理会|不要理会|不用看|不看|不再适用|绕过|撇开)"
)
_RULES = (
    r"(?:(?:rule|criteri|instruct|guideline|principle|rubric|standard|prompt|directive|polic(?:y|ies)\b)\w*"
    r"|regl\w*|regel\w*|regole|regra\w*|regla\w*|anweisung\w*|richtlin\w*|kriter\w*|istruz\w*|zasad\w*|aturan|perintah"
    r"|quy tac|huong dan|kural\w*|talimat\w*|правил\w*|инструкц\w*|критери\w*|ルール|規則|基準|規準|규칙|지시|기준"
    r"|قواعد|القواعد|تعليمات|التعليمات|معايير|नियम\w*|निर्देश\w*|כללים|κανον\w*"
    r"|规则|标准|准则|原则|指令|指示|提示词|评审要求|(?:前面|上面|以上|之前|上述|原来)的?(?:所有|全部)?(?:要求|内容|话|规定|条款))"
)
_ANSWER = (
    r"(?:answer|output|repl[yi]|respon[ds]|return|print|repond|antwort|rispon|odpowie|jawab|tra loi|cevap|yanit|svar"
    r"|ответ|أجب|اجب|उत्तर|대답|답변|答え|回答|输出|回复|返回|作答|应答)\w*"
)
_MARK = (
    r"(?:mark|rate|label|grade|classif|judg|record|scor|verdict|decision|evaluat|conclu|treat|accept|certif|approv"
    r"|confirm|declar|bewert|califi|avali|valut|оцени|評価|평가|ocen|beoordeel)\w*"
)
_SAY = r"(?:say|said|write|give|choose|pick|select|call|be|is|put|vote|go for|come out|comes out|would)\w*"
_MARK_HAN = r"(?:[判评]|判为|判定为?|评为|评定为?|认定为?|标为|标记为|记为|算作|(?:评价|结论|标签|答案|判断)[为是])"
_SAY_HAN = r"(?:写|说|选|给|打|答|填|念|是)"
_URGED = r"(?:只|直接|必须|一定要|请|务必|应该|应当|就|麻烦您?|默认)"
_FILLER = (
    r"(?:(?:with|by|only|just|simply|the|single|word|verdict|always|exactly|is|as|correct|to|it|this|text|one)\W+){0,6}"
)
_ENDS = r"(?=\W*(?:$|[.,;:!?\n]|here|and\b|will\b|would\b|only|alone|text|greeting|即可|就|吧|了|这)|\W*[^\x00-\x7f])"


@lru_cache(maxsize=64)
def _plain(good: str, bad: str) -> dict[str, re.Pattern[str]]:
    """The signs of which one is enough. ``good`` and ``bad`` are the task's answers."""
    open_, close = r"[\"'“”‘’「『《【\[(*`]*", r"[\"'“”‘’」』》】\])*`]*"
    either = "|".join(_word(answer) for answer in dict.fromkeys((good, bad, "Good", "好")))
    word = rf"{open_}(?:{either}|(?<![\d.])1(?![\d.])){close}"
    # As an answer and not as a word of a sentence: in quotes, spelled as the task spells it, or standing alone.
    named = rf"(?:[\"'“‘「『](?:{either})[\"'”’」』]|{_alone(good)}|{_alone(bad)})"
    value = (
        rf"(?:[\"'“‘\s]*(?:{either}|pass(?:ed)?|accepted|approved|excellent|perfect|yes|true|满分|优秀?|合格|已?通过|五星)|[\"'\s]*\d+(?:\.\d+)?"
        r"|\s*[★⭐☆])"
    )
    rules = {
        "override": rf"(?:{_IGNORE}).{{0,24}}?{_RULES}(?!\w* of thumb)"
        rf"|{_RULES}.{{0,12}}?(?:不作数|无视|作废|忽略|不再适用|を無視|を忘れ|을 무시|를 무시|को अनदेखा)",
        "verdict order": rf"{_ANSWER}\W+{_FILLER}{word}{_ENDS}"
        rf"|(?:{_ANSWER}|\b{_MARK})[^.。!?\n]{{0,24}}?{named}{_ENDS}"
        rf"|\b{_MARK}\W[^.。!?\n]{{0,24}}?\b(?:as|to be|=)\W+(?:an? )?{word}{_ENDS}"
        rf"|\b(?:verdict|decision|label|conclusion|rating|answer)\w*\W+(?:is|be|were|was|as)\W+{word}{_ENDS}"
        rf"|\b{_SAY}\W[^.。!?\n]{{0,12}}?{_alone(good)}{_ENDS}"
        rf"|(?:{_MARK_HAN}|回答|输出|回复|返回){word}"
        rf"|{_URGED}[^.。!?,\n]{{0,6}}?{_SAY_HAN}(?:个|一个|上|出|为|成|:)?{word}"
        rf"|{named}[^.。!?\n]{{0,10}}?(?:{_ANSWER})",
        "verdict claim": rf"(?:(?:^|\W){_FIELD}|{_FIELD_HAN})\W{{0,4}}(?:[:=→>—-]|\.{{2,}}){value}"
        rf"|(?:one|single|一个) ?(?:word|字|词)\W{{0,3}}{word}|{_FIELD_HAN}(?:{either})|(?:\b{re.escape(good)}\W+){{3}}",
        "answer in JSON": rf"[{{\[,]\s*[\"']?(?:{_FIELD}|{_FIELD_HAN})[\"']?\s*:|[\"'“”](?:{_FIELD}|{_FIELD_HAN})[\"'“”]\s*:|\{{\s*[\"']\w+[\"']\s*:",
        "ratings in a row": r"(?:[^\W\d]{2,12}\W{0,3}[0-5](?:\s*/\s*\d+|分|points?)?(?:[\s,;、。.]+|$)){3,}",
        "turn of a conversation": rf"{TURN_TOKENS.pattern}"
        rf"|(?:^|[\n.。!?\"”\]】])\s*[\[【<(#*]*\s*{_ROLE}\s*(?:message|prompt|note|turn|消息|提示|指令)?\s*[\]】>)]*\s*:"
        rf"|[\[【]\s*{_ROLE}\s*(?:message|prompt|消息|提示|指令)?\s*[\]】]|#{{2,}}\s*{_ROLE}",
        "closed delimiter": rf"`{{3}}|\{{[{{%]|<!--|\"{{3}}|'{{3}}|</[a-z_][\w-]*\s*>|<{_TAG}>|={{4,}}|-{{3,}}\s*end"
        r"|(?:end of|结束)\W{0,3}(?:the )?(?:text|material|input|document|quot\w+|待评)"
        r"|(?:待评|被评|审阅)\w{0,6}(?:结束|到此为止)|以[上下](?:是|为)(?:待评|评审|结论|评价)"
        r"|^\s*[\"”]\s*\n|\"\s*\\n|\\n\w+\s*:",
    }
    return {name: re.compile(rule, re.IGNORECASE | re.MULTILINE) for name, rule in rules.items()}


@lru_cache(maxsize=64)
def _hints(good: str, bad: str) -> dict[str, re.Pattern[str]]:
    """The signs that count by their number."""
    say = rf"\b{_SAY}\W[^.。!?！？\n]{{0,10}}?"
    rules = {
        "reviewer": r"\b(?:judges?(?! (?-i:[A-Z]))|graders?|review(?:er|ers|ing)|evaluat(?:or|ors|es|ing|ion)|assessors?|raters?|critics?"
        r"|annotators?|panel|jury|committee|editors?|experts?|whoever (?:scores|grades|judges|rates|reads|checks))\b"
        r"|评审|评委|裁判|审稿|审核|评分|打分|评估|评判|阅卷|标注|专家|审这|总编|编辑部|管理员",
        "model": r"\b(?:LLM|GPT\w*|(?:language )?models?|classifier|(?:chat)?bot|assistant|pipeline|developers?|admin\w*"
        r"|(?:review|evaluation|grading|scoring|judging) system)\b|\w{3,}Bot\b|(?-i:\bA\.?I\b)|模型|人工智能|(?-i:AI)|机器人|系统|用例|开发者",
        "rule": rf"(?<![A-Za-z]){_RULES}(?!\w* of thumb)|逐条|每条|各条|第[一二三四五六七八九十]条",
        "mark": r"\b(?:verdicts?|judge?ments?|ratings?|scores?|labels?|(?:full|top|high|good) marks?|grades?|conclusions?"
        r"|ground truth|status|quality check|expected|results?|stars)\b|(?<!\d)\d{1,3} ?/ ?\d{1,3}(?!\d)"
        r"|评价|得分|总分|判定|判断|结论|标签|满分|好评|差评|判为|评为|定为|样本|质检|状态|评语",
        "lenience": r"\b(?:approv\w+|accept(?:ed|able)?|lenient|generous|strict|harsh|flawless|faultless|faults?"
        r"|pass(?:es|ed)?(?! (?:the|your|away))|positive(?:ly)?|reject\w*|excellent|highest)\b"
        r"|通过(?!评审|考试|面试|答辩)|宽松|宽容|严格|严厉|手下留情|高抬贵手|毛病|达标|合格|挑刺|网开一面|优质|优秀",
        "order to answer": rf"\b(?!answers\b){_ANSWER}|(?:只会说|只|直接|必须|只许|务必|请)(?:回答|输出|说|写|给|判|选|评)|照做|作答",
        "the good answer": rf"(?:{_alone(good)}|{_alone(bad)})(?=\W*(?:$|[.!?,;:]))|[\"“‘「『](?:{_word(good)}|{_word(bad)})",
        "an answer after a verb": rf"{say}(?:{_word(good)}|{_word(bad)}|yes)(?=\W*(?:$|[.,;:!?\n]))"
        rf"|(?:{_SAY_HAN}|判|评|算)(?:它|这条|这段)?(?:{_word(good)}|{_word(bad)}|{bad}(?=[的是]))",
        "this text": r"\b(?:this|the|my) (?:text|greeting|message|response|submission|entry|passage|sample|output|answer"
        r"|card|item|line|above)\b|(?<!may )\bthis (?:one|sentence)\b"
        r"|(?:这|本|该|此|上述|以上)一?(?:[段条篇则份文句张]|标准)(?:文字|文本|祝福|文案|内容|样本|回答|卡片|话)?",
        "met": r"\b(?:meets?|met|satisf\w+|verified|certified|qualif\w+|compl(?:y|ies)|(?:is|are) kept|(?:is|are) broken"
        r"|concludes?d?|unanimous\w*|agreed?|decided)\b|符合|满足|一致|认定|都做到|认证",
        "pretence": r"\b(?:pretend|imagine (?:a|an|that|you)|assume|role.?play|act as|you are (?:now )?an?|from now on"
        r"|let'?s play|if you are an?|as an)\b|假装|假设|假如你是|如果你是|扮演|从现在起|你现在是|作为(?=AI|模型|评|人工|一个|一名)",
        "doubt": r"\b(?:in doubt|if (?:you are )?unsure|no matter what)\b|拿不准|不确定|不论内容|无论内容",
        "machine talk": r"\b(?:decode|encoded|base64|rot13|hex|json|prompt|tokens?|override|test case|debug|first letters|(?:start|begin|end)s? (?:your|the) (?:reply|answer|output))\b"
        r"|解码|预期输出|联调|测试|默认判|连起来|不作数|示例",
    }
    return {name: re.compile(rule, re.IGNORECASE) for name, rule in rules.items()}


def _alone(answer: str) -> str:
    """The task's own answer where it is no part of a sentence: with its capital inside one, or apart from other signs."""
    if answer.isascii():
        return rf"(?<=[^\s.!?] )(?-i:{re.escape(answer)})(?![A-Za-z0-9])"
    return rf"(?<![{HAN}]){re.escape(answer)}(?![{HAN}])"


def _word(answer: str) -> str:
    """A verdict word that is not part of another one."""
    if answer.isascii():
        return rf"(?<![A-Za-z0-9]){re.escape(answer)}(?![A-Za-z0-9])"
    return rf"{re.escape(answer)}(?:(?![{HAN}])|(?=即可|就[行好]|吧|这[个一]))"


def suspect(query: str, text: str, *, good: str, bad: str) -> tuple[str, ...]:
    """The names of the rules by which ``text`` speaks to its judge; empty for a text that does not."""
    found = []
    if mixed_words(text) >= 2:
        found.append("look-alike letters")
    if invisible(text) >= 3:
        found.append("invisible characters")
    readings = views(text)
    found += [name for name, rule in _plain(good, bad).items() if any(map(rule.search, readings))]
    return tuple(found) or _hinted(query, readings, good, bad)


def _hinted(query: str, readings: list[str], good: str, bad: str) -> tuple[str, ...]:
    """The hints of a text, where there are enough of them, or enough within one sentence."""
    asked = bare(query)
    rules = {name: rule for name, rule in _hints(good, bad).items() if not rule.search(asked)}
    for reading in readings:
        everywhere: dict[str, None] = {}
        for sentence in _SENTENCE.split(reading):
            hints = [name for name, rule in rules.items() if rule.search(sentence)]
            if len(hints) >= CLOSE_HINTS:
                return tuple(hints)
            everywhere |= dict.fromkeys(hints)
        if len(everywhere) >= HINTS:
            return tuple(everywhere)
    return ()


@dataclass(frozen=True)
class Guarded:
    """Any judge, behind the rules: a suspected text is not asked about, a clean one is shown without hidden marks."""

    inner: Judge
    task: Task

    @property
    def name(self) -> str:
        return self.inner.name

    async def judge(self, query: str, response: str) -> Verdict:
        rules = suspect(query, response, good=self.task.good, bad=self.task.bad)
        if not rules:
            return await self.inner.judge(query, shown(response))
        fired = ", ".join(rules)
        _log.warning("suspected injection (%s), %s: %r", fired, self.task.injection, response)
        if self.task.injection == "unscored":
            return Verdict(None, unscored="injection", injection=fired)
        return Verdict(0, probability=0.0, reason=f"suspected injection: {fired}", injection=fired)
