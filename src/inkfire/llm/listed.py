"""A list of texts in the forms that models write it in, as the one form that its schema has.

Where a schema asks for one list of objects that hold texts alone (the points of a debate), what a model means is plain
in other forms too. None of them decides anything, so nothing can be decided wrongly.

>>> text = {"type": "string"}
>>> items = {"type": "object", "properties": {"point": text, "reason": text}}
>>> schema = {"type": "object", "properties": {"points": {"type": "array", "items": items}}}
>>> listed({"points": ["stiff", {"point": "cliché"}]}, schema)
{'points': [{'point': 'stiff', 'reason': ''}, {'point': 'cliché', 'reason': ''}]}
>>> listed({"fluent": "It reads well.", "kind": "It means well."}, schema)
{'points': [{'point': 'fluent', 'reason': 'It reads well.'}, {'point': 'kind', 'reason': 'It means well.'}]}
"""

from __future__ import annotations

from typing import Any

from inkfire.llm.base import JsonSchema


def names_of(schema: JsonSchema) -> tuple[str, list[str]] | None:
    """The list's name and its items' fields, where a schema asks for nothing but one list of texts."""
    properties = schema.get("properties", {})
    if len(properties) != 1:
        return None
    [(name, array)] = properties.items()
    items = array.get("items") if array.get("type") == "array" else None
    fields = items.get("properties", {}) if isinstance(items, dict) else {}
    texts = all(field.get("type") == "string" and "enum" not in field for field in fields.values())
    return (name, list(fields)) if fields and texts else None


def listed(value: Any, schema: JsonSchema) -> Any:
    """``value`` in the schema's form; as it is where the schema asks for something else, or what is meant is not plain.

    Read are: the list alone; {text: text} for a list of two texts each, alone (two entries at least, since an error or
    a refusal often is one) or under the list's name; a text for an item; an item that lacks a text; null for no items.
    """
    names = names_of(schema)
    if names is None:
        return value
    name, fields = names
    if isinstance(value, list) or (
        isinstance(value, dict) and name not in value and len(value) > 1 and _pairs(value, fields)
    ):
        value = {name: value}
    if not isinstance(value, dict) or name not in value:
        return value
    items = value[name]
    if items is None:
        items = []
    elif isinstance(items, dict) and _pairs(items, fields):
        items = [dict(zip(fields, pair, strict=True)) for pair in items.items()]
    if isinstance(items, list):
        items = [_item(item, fields) for item in items]
    return value | {name: items}


def _pairs(value: dict[str, Any], fields: list[str]) -> bool:
    """Whether an object maps texts to texts, and is not an item itself."""
    return len(fields) == 2 and all(isinstance(text, str) for text in value.values()) and not {*fields} & value.keys()


def _item(item: Any, fields: list[str]) -> Any:
    if isinstance(item, str):
        item = {fields[0]: item}
    if isinstance(item, dict) and {*fields} & item.keys():
        return dict.fromkeys(fields, "") | item
    return item
