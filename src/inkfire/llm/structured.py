"""A model's text → the object its schema asks for, or the reason why there is none. Never a default.

Models wrap JSON in prose and fences, forget braces and commas, answer twice or not at all. What is accepted:

1. The whole text is JSON. It satisfies the schema, or the reply is unparsed.
2. JSON objects stand in the text (fences and prose around them do not matter). The first that satisfies the schema
   is taken, if nothing else in the text contradicts its decisions.
3. Otherwise the first object is repaired (json-repair), must satisfy the schema, and may contain only what is written.

Limits are ours, not the answer's: a text that is too long is cut, fields that nobody asked for are left out, a missing
reason is empty, an object around the object is taken off, keys and choices may be written in any case, and a choice
between 0 and 1 as ``"1"``, ``"1.0"`` or ``true``. An order (a list of unique items) is never cut. A list of texts is
read in the forms of ``listed.py``.

A *decision* is a number, a boolean or a member of an enumeration. In 2 and 3 every decision must be the same wherever
the text states it: a quoted ``"judge": 1`` inside a broken string does not outvote the judge's own 0, and two labels
are none. In 3 it must also be complete: a truncated ``{"judge":`` has no value, and ``{"score": 1`` may have been a 12.

1.0 is 1 (JSON has one kind of number) and is returned as the integer. NaN and Infinity are not JSON. Lone surrogates
become U+FFFD, in reasons too, so that what is returned can be written as UTF-8.

>>> schema = {"type": "object", "properties": {"judge": {"enum": [0, 1]}}, "required": ["judge"]}
>>> parse('Sure! ```json\\n{"judge": 1,}\\n```', schema)
({'judge': 1}, None)
>>> parse('{"judge":', schema)
(None, 'judge: no complete value is written in the reply')
>>> parse('{"judge": 0} or rather {"judge": 1}', schema)
(None, 'the reply contradicts itself on judge')
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from inkfire.llm.base import JsonSchema
from inkfire.llm.listed import listed, names_of

_LONGEST = 200_000  # characters looked at; a longer reply is a runaway
_STARTS = 64  # positions at which an object is looked for
_BRACES = 500  # opening braces in what is worth repairing: json-repair is slow on thousands
_WHY = 200  # characters of a reason

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_TYPES = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


class _NotJson(ValueError):
    """JSON to Python's parser, not to us."""


def parse(text: str, schema: JsonSchema) -> tuple[Any, str | None]:
    """The object in ``text`` that satisfies ``schema`` and None; or None and why there is none.

    Args:
        text: a model's reply, thinking already stripped (``thinking.strip``).
        schema: the JSON Schema of an object.
    """
    parsed, why = _parse(well_formed(text).strip().lstrip("\ufeff"), schema)
    if why is None:
        return parsed, None
    return None, well_formed(why if len(why) <= _WHY else why[: _WHY - 1] + "…")  # it may quote the reply


def _parse(text: str, schema: JsonSchema) -> tuple[Any, str | None]:
    if not text:
        return None, "the reply is empty"
    if len(text) > _LONGEST:
        return None, f"the reply is too long ({len(text)} characters)"
    try:
        whole = _DECODER.decode(text)
    except _NotJson as error:
        return None, str(error)
    except (ValueError, RecursionError):
        return _search(text, schema)
    if isinstance(whole, list) and names_of(schema) is None:
        return _search(text, schema)
    if isinstance(whole, str):  # JSON that was made JSON once more
        return _search(whole, schema)
    if not isinstance(whole, dict | list):
        return None, f"the reply is a JSON {_TYPES.get(type(whole), 'null')}, not an object"
    return _accept(whole, schema)


def well_formed(text: str) -> str:
    """``text`` with surrogate pairs joined and lone surrogates replaced by U+FFFD, so that it encodes as UTF-8."""
    try:
        text.encode()  # far faster than to search
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out and (out[key] != value or type(out[key]) is not type(value)):
            raise _NotJson(f"the reply contradicts itself on {key[:40]}")
        out[key] = value
    return out


def _constant(name: str) -> Any:
    raise _NotJson(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, strict=False)

# ---- objects within text -------------------------------------------------------------------------------------------


def _search(text: str, schema: JsonSchema) -> tuple[Any, str | None]:
    openings = "{[" if names_of(schema) else "{"
    if not set(openings) & set(text):
        return None, "no JSON object in the reply"
    accepted, why = None, None
    for found in (found for opening in openings for found in _objects(text, opening)):
        accepted, problem = _accept(found, schema)
        why = why or problem
        if accepted is not None:
            break
    repaired = accepted is None
    if repaired:
        accepted, problem = _repair(text, schema)
        why = why or problem
    if accepted is None:
        return None, why
    contradiction = _contradicted(accepted, schema, text, repaired=repaired)
    return (None, contradiction) if contradiction else (accepted, None)


def _objects(text: str, opening: str) -> Iterator[Any]:
    """The JSON objects (or the lists, by their opening bracket) that stand in the text."""
    position = text.find(opening)
    for _ in range(_STARTS):
        if position < 0:
            return
        try:
            found, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
        else:
            yield found
        position = text.find(opening, position)


def _repair(text: str, schema: JsonSchema) -> tuple[Any, str | None]:
    """The first object of the text mended by json-repair, if that invents nothing."""
    if text.count("{") > _BRACES:
        return None, "the reply is not JSON and cannot be repaired"
    import json_repair

    for name in _decisions(schema):
        if any(not complete for _, complete in _written(name, text)):
            return None, f"{name}: no complete value is written in the reply"
    try:
        repaired = json_repair.loads(text[text.index("{") :], skip_json_loads=True)
    except Exception:  # whatever a repair trips over, the reply is the cause
        repaired = None
    if isinstance(repaired, list):  # what follows the object comes back beside it
        repaired = next((part for part in repaired if isinstance(part, dict)), None)
    if not isinstance(repaired, dict):
        return None, "the reply is not JSON and cannot be repaired"
    readings = (_squeeze(text), _squeeze(_ESCAPE.sub(_unescape, text)))
    for leaf in (leaf for _, leaf in _leaves(repaired) if isinstance(leaf, str)):
        if not any(_squeeze(leaf) in reading for reading in readings) or (not leaf and '""' not in text):
            return None, "the reply is not JSON and cannot be repaired without inventing a text"
    return _accept(repaired, schema)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Whatever is neither an object nor a list, with the key that it stands under."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _leaves(child, name)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child, key)
    else:
        yield key, value


def _squeeze(text: str) -> str:
    return "".join(text.split())


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)


# ---- decisions -----------------------------------------------------------------------------------------------------


def _decisions(schema: JsonSchema) -> dict[str, JsonSchema]:
    """The properties that decide something: enumerations, numbers and booleans, nested ones too."""
    found: dict[str, JsonSchema] = {}
    for name, sub in schema.get("properties", {}).items():
        if _decides(sub):
            found[name] = sub
        found |= _decisions(sub)
    if isinstance(schema.get("items"), dict):
        found |= _decisions(schema["items"])
    return found


def _decides(schema: JsonSchema) -> bool:
    return "enum" in schema or "const" in schema or schema.get("type") in ("integer", "number", "boolean")


def _contradicted(value: Any, schema: JsonSchema, text: str, *, repaired: bool) -> str | None:
    """Why the text does not bear out the decisions of ``value``, or None."""
    for name, sub in _decisions(schema).items():
        taken = {_token(leaf) for key, leaf in _leaves(value) if key == name}
        written = {_token(_read(said, sub)) for said, _ in _written(name, text)}
        if written - taken:
            return f"the reply contradicts itself on {name}"
        if repaired and taken - written:
            return f"{name}: no complete value is written in the reply"
    for name in [name for name, sub in schema.get("properties", {}).items() if sub.get("uniqueItems")]:
        lists = re.findall(rf"{re.escape(name)}\W*[:：]\s*\[([^\[\]]*)\]", text, re.IGNORECASE)
        if len({tuple(re.findall(r"\w+", one.casefold())) for one in lists}) > 1:
            return f"the reply contradicts itself on {name}"
    return None


def _token(value: Any) -> str:
    """A decision as text, so that true is not 1, "1" is not 1, and 1.0 is."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)


@functools.cache
def _pattern(name: str) -> re.Pattern[str]:
    quote = r"\\*[\"'“”]"
    number = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
    value = rf"(?:{quote}(?P<string>[^\"'“”\\\n]{{0,80}}){quote}|(?P<number>{number})|(?P<word>\w+))"
    # Complete: closed, or followed by a comma or the next key. "0, 1", "0 or 1", "1/0" and the end of the text are not.
    tail = rf"(?P<tail>\s*(?:[}}\]]|[,，]\s*(?:$|[}}\]\"'“”\\]|\w+\s*[:：])|{quote}|\w+\s*[:：]))?"
    return re.compile(
        rf"(?<!\w)(?P<quoted>{quote})?{re.escape(name)}(?:{quote})?\s*[:：]\s*(?:{value}{tail})?", re.IGNORECASE
    )


def _written(name: str, text: str) -> Iterator[tuple[Any, bool]]:
    """Every value that the text states for ``name``, and whether it is complete."""
    for match in _pattern(name).finditer(text):
        word = match["word"]
        said: Any
        if match["number"]:
            said = float(match["number"])
        elif match["string"] is not None:
            said = match["string"]
        elif word and word.lower() in ("true", "false"):
            said = word.lower() == "true"
        elif match["quoted"] or text[max(0, match.start() - 20) : match.start()].rstrip().endswith(("{", ",")):
            said = word or ""
        else:
            continue  # prose: "judge: I think …"
        yield said, match["tail"] is not None


# ---- what was meant ------------------------------------------------------------------------------------------------

_TWIN = re.compile(r"label|verdict|judg|decision|answer|final|result|winner|prefer|choice", re.IGNORECASE)
_YES_NO: dict[Any, int] = {"good": 1, "yes": 1, "true": 1, "bad": 0, "no": 0, "false": 0}


def _read(value: Any, schema: JsonSchema) -> Any:
    """A decision as its schema writes it: a number in quotes, true for 1, another letter case."""
    members = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    yes_or_no = set(map(_token, members)) == {"0", "1"}
    if isinstance(value, bool):
        return int(value) if yes_or_no else value
    if not isinstance(value, str):
        return value
    said = value.strip()
    if schema.get("type") in ("integer", "number") or any(type(member) is int for member in members):
        if yes_or_no and said.lower() in ("true", "false"):
            return int(said.lower() == "true")
        return int(float(said)) if re.fullmatch(r"-?\d{1,9}(?:\.0+)?", said) else value
    same = [member for member in members if isinstance(member, str) and member.casefold() == said.casefold()]
    return same[0] if len(same) == 1 and value not in members else value


def _meant(value: Any, schema: JsonSchema) -> Any:
    """``value`` as its schema would have it, where that is plain.

    Raises:
        _NotJson: the same key twice, with two values; or a decision and a field beside it that says otherwise.
    """
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        most = len(value) if schema.get("uniqueItems") else schema.get("maxItems", len(value))  # an order is whole
        return [_meant(item, schema["items"]) for item in value[:most]]
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return value[: schema["maxLength"] - 1] + "…"
    if schema.get("type") == "string" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return _meant("\n".join(value), schema)
    if not isinstance(value, dict) or "properties" not in schema:
        return _read(value, schema) if _decides(schema) else value
    properties = schema["properties"]
    known = {name.casefold(): name for name in properties}
    inner = [child for child in value.values() if isinstance(child, dict)]
    if len(value) == len(inner) == 1 and not known.keys() & {key.strip().casefold() for key in value}:
        return _meant(inner[0], schema)  # an object around the object
    out: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for key, child in value.items():
        name = key if key in properties else known.get(key.strip().casefold())
        if name is None:
            others[key] = child
            continue
        if child is None and properties[name].get("type") == "string":  # it is missing
            continue
        child = _meant(child, properties[name])
        if name in out and _token(out[name]) != _token(child):
            raise _NotJson(f"the reply contradicts itself on {name}")
        out[name] = child
    decided = {name: properties[name] for name in out if _decides(properties[name])}
    for name, sub in decided.items():
        if any(_opposes(key, said, name, out[name], sub, alone=len(decided) == 1) for key, said in _leaves(others)):
            raise _NotJson(f"the reply contradicts itself on {name}")
    if decided:  # a reason may be missing where the decision is there
        for name in schema.get("required", ()):
            if properties.get(name, {}).get("type") == "string" and not _decides(properties[name]):
                out.setdefault(name, "")
    return out if schema.get("additionalProperties") is False else others | out


def _opposes(key: str, said: Any, name: str, taken: Any, schema: JsonSchema, *, alone: bool) -> bool:
    """Whether a field that nobody asked for states another decision: under the same name, or one that means it."""
    if key.casefold() == name.casefold():
        return _token(_read(said, schema)) != _token(taken)
    if not alone or not _TWIN.search(key):
        return False
    read = _read(_YES_NO.get(said.strip().casefold(), said) if isinstance(said, str) else said, schema)
    members = [_token(member) for member in schema.get("enum", ())]
    return _token(read) in members and _token(read) != _token(taken)


# ---- the schema ----------------------------------------------------------------------------------------------------


def _accept(value: Any, schema: JsonSchema) -> tuple[Any, str | None]:
    """``value`` normalised, or the first thing that the schema has against it."""
    try:
        value = _meant(listed(value, schema), schema)
        error = next(_validator(json.dumps(schema)).iter_errors(value), None)
        if error is not None:
            where = ".".join(str(part) for part in error.absolute_path)
            return None, f"{where}: {error.message}" if where else str(error.message)
        return _normal(value, schema), None
    except _NotJson as error:
        return None, str(error)
    except RecursionError:
        return None, "the reply is nested too deeply"


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    import jsonschema  # type: ignore[import-untyped]

    return jsonschema.Draft202012Validator(json.loads(schema))


def _normal(value: Any, schema: JsonSchema) -> Any:
    """Integral numbers as int where the schema means integers, well-formed strings, no infinities (1e999)."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {well_formed(key): _normal(child, properties.get(key, {})) for key, child in value.items()}
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_normal(child, items if isinstance(items, dict) else {}) for child in value]
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NotJson(f"{value} is not a JSON value")
        integers = schema.get("type") == "integer" or any(
            isinstance(member, int) for member in (*schema.get("enum", ()), schema.get("const"))
        )
        return int(value) if integers and value.is_integer() else value
    return value
