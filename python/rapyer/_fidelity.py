"""Which types JSON brings back as they were, and whether it does so for a value of any other type."""

import marshal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_json

__all__ = ["difference", "is_faithful", "needs_siblings", "plain_class"]

_Schema: TypeAlias = dict[str, Any]

# How values of a type are written, where each is read as what it was.
_WRITTEN_AS: Final = {
    **dict.fromkeys(("bytes", "date", "datetime", "decimal", "fraction", "str", "time", "timedelta"), "text"),
    **dict.fromkeys(("multi-host-url", "url", "uuid"), "text"),
    **{kind: kind for kind in ("bool", "float", "int", "none", "generator")},
}
_FAITHFUL: Final = frozenset(_WRITTEN_AS)
_TRANSPARENT: Final = frozenset(
    {"custom-error", "default", "function-after", "function-before", "function-wrap", "json", "nullable"}
)
_OPAQUE: Final = frozenset({"chain", "function-plain", "is-instance", "json-or-python", "lax-or-strict"})
_LIBRARIES: Final = frozenset({"operator", "pydantic", "pydantic_core", "rapyer"})
_OURS: Final = frozenset({"rapyer._pickle", "rapyer.types.reference"})
_PLAIN_CONTAINERS: Final = frozenset({dict, list, tuple})
# Later versions of the format write equal values in different ways.
_NO_REFERENCES: Final = 2
_CLASSES: Final = frozenset(
    {
        *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
        *(Path, SecretBytes, SecretStr),
    }
)
"""Classes of Python's and pydantic's whose schemas say only how an instance is told from its text."""


def plain_class(kind: type) -> type:
    """The class a value was declared with: of a nested model, the one its generated class was made from."""
    plain: type = kind.__dict__.get("__rapyer_plain__", kind)
    return plain


# -- types


def is_faithful(schema: _Schema, definitions: Mapping[str, _Schema]) -> bool:
    """Whether every value that a schema for storage lets into a model comes back from its JSON as it was.

    That is not said of what changes in place without being validated: a dataclass, a typed dict, a root
    model, what is in a tuple.
    """
    return _is_faithful(schema, definitions, set())


def _is_faithful(schema: _Schema, definitions: Mapping[str, _Schema], inside: set[str]) -> bool:
    def every(schemas: Iterable[_Schema]) -> bool:
        return all(_is_faithful(one, definitions, inside) for one in schemas)

    match schema:
        case {"type": "definition-ref", "schema_ref": ref}:
            if ref in inside:
                return True
            inside.add(ref)
            return every([definitions[ref]])
        case {"type": kind} if kind in _FAITHFUL or (kind in _OPAQUE and _is_stored_by_its_author(schema)):
            return True
        case {"type": kind, "schema": inner} if kind in _TRANSPARENT:
            return every([inner])
        case {"type": "enum", "members": members} | {"type": "literal", "expected": members}:
            # What two members are written as would come back as one of them.
            texts = {to_json(member, bytes_mode="base64", fallback=repr) for member in members}
            return len(texts) == len(members)
        case {"type": "list" | "set" | "frozenset", "items_schema": item}:
            return every([item])
        case {"type": "tuple", "items_schema": items}:
            return every(items) and all(_is_immutable(item, definitions) for item in items)
        case {"type": "dict", "keys_schema": keys, "values_schema": values}:
            return _is_faithful_name(keys, definitions) and every([keys, values])
        case {"type": "model", "schema": inner, "root_model": root}:
            takes_more = schema.get("config", {}).get("extra_fields_behavior") == "allow"
            return not root and not takes_more and every([inner])
        case {"type": "model-fields", "fields": members}:
            takes_more = schema.get("extra_behavior") == "allow"
            stored = [member for member in members.values() if not member.get("serialization_exclude")]
            return not takes_more and every(member["schema"] for member in stored)
        case {"type": "tagged-union", "choices": choices}:
            return every(choices.values())
        case {"type": "union", "choices": choices}:
            choices = [choice[0] if isinstance(choice, tuple) else choice for choice in choices]
            return every(choices) and schema.get("mode") != "left_to_right" and _are_told_apart(choices)
        case {"type": "json-or-python", "json_schema": read, "python_schema": given}:
            return every([read] if _author(schema) == "rapyer.types.priority_queue" else [read, given])
    return False


def _is_stored_by_its_author(schema: _Schema) -> bool:
    """Whether the author of a class, or this package, says how it is stored, or it is one of a known few."""
    classes = _classes(schema)
    if classes and classes <= _CLASSES:
        return True
    module = _author(schema)
    return module in _OURS or module.split(".")[0] not in _LIBRARIES


def _author(schema: _Schema) -> str:
    """The module of what writes the values."""
    function = schema.get("serialization", {}).get("function")
    return getattr(getattr(function, "func", function), "__module__", None) or "pydantic"


def _classes(schema: Any) -> set[Any]:
    if isinstance(schema, list):
        return {cls for one in schema for cls in _classes(one)}
    if not isinstance(schema, dict):
        return set()
    if schema.get("type") == "is-instance":
        return {schema["cls"]}
    inner = [one for name, one in schema.items() if name.endswith("schema") or name == "choices"]
    return _classes(inner)


def _is_immutable(schema: _Schema, definitions: Mapping[str, _Schema]) -> bool:
    match schema:
        case {"type": "definition-ref", "schema_ref": ref}:
            return definitions[ref]["type"] in ("enum", "literal")
        case {"type": kind} if kind in _FAITHFUL or kind in ("enum", "literal"):
            return True
        case {"type": kind, "schema": inner} if kind in _TRANSPARENT:
            return _is_immutable(inner, definitions)
        case {"type": "tuple", "items_schema": items}:
            return all(_is_immutable(item, definitions) for item in items)
        case {"type": "frozenset", "items_schema": item}:
            return _is_immutable(item, definitions)
    return False


def _is_faithful_name(schema: _Schema, definitions: Mapping[str, _Schema]) -> bool:
    """Whether keys of a dict can be told from the names of members."""
    match schema:
        case {"type": "definition-ref", "schema_ref": ref}:
            return _is_faithful_name(definitions[ref], definitions)
        case {"metadata": {"rapyer_name": True}}:
            return True
        case {"type": kind, "schema": inner} if kind in _TRANSPARENT and kind != "nullable":
            return _is_faithful_name(inner, definitions)
        case {"type": "enum", "members": members}:
            return all(isinstance(member.value, str) for member in members)
        case {"type": "literal", "expected": members}:
            return all(type(member) is str for member in members)
    return schema["type"] in _FAITHFUL - {"none", "generator", "fraction"}


def _are_told_apart(choices: list[_Schema]) -> bool:
    """Whether JSON tells of which choice a value is: each is written in another way."""
    written = [_WRITTEN_AS.get(choice["type"]) for choice in choices]
    # A float that is no number is written as a text.
    return None not in written and len(set(written)) == len(written) and not {"float", "text"} <= set(written)


def needs_siblings(schema: Any) -> bool:
    """Whether validators look at the other fields of the model that a field is in."""
    if isinstance(schema, (list, tuple)):
        return any(map(needs_siblings, schema))
    if not isinstance(schema, dict) or schema.get("type") in ("model", "dataclass", "typed-dict"):
        return False
    return schema.get("function", {}).get("type") == "with-info" or needs_siblings(
        [one for name, one in schema.items() if name.endswith("schema") or name in ("choices", "steps")]
    )


# -- values


class Difference(NamedTuple):
    """What comes back as something else."""

    path: str
    """The steps to it: `[0]["name"]`, `.field`."""
    before: object
    after: object


def difference(before: Any, after: Any, path: str = "") -> Difference | None:
    """Where a value and what was loaded of its text first differ: in type, or in how they are written."""
    if type(before) in _PLAIN_CONTAINERS and _is_written_alike(before, after):
        return None
    kind = _declared(type(before))
    if kind is not _declared(type(after)):
        return Difference(path, before, after)
    for step, one, other in _parts(before, after):
        if (found := difference(one, other, path + step)) is not None:
            return found
    return None if _is_same(kind, before, after) else Difference(path, before, after)


def _is_written_alike(before: Any, after: Any) -> bool:
    """Whether both are the same of Python's own types: quickly, and not so of anything else."""
    try:
        return marshal.dumps(before, _NO_REFERENCES) == marshal.dumps(after, _NO_REFERENCES)
    except ValueError:
        return False


def _declared(kind: type) -> type:
    """The type that one of ours stands for."""
    return getattr(kind, "_rapyer_type", None) or plain_class(kind)


def _parts(before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict):
        yield from (("", *keys) for keys in zip(dict.keys(before), dict.keys(after), strict=False))
        names = [f"[{key!r}]" for key in dict.keys(before)]
        yield from zip(names, dict.values(before), dict.values(after), strict=False)
    elif isinstance(before, (list, tuple, deque)):
        yield from ((f"[{at}]", *pair) for at, pair in enumerate(zip(before, after, strict=False)))
    elif isinstance(before, (set, frozenset)):
        # Equal items may be of different types.
        found = {item: item for item in after}
        yield from (("", item, found[item]) for item in before if item in found)
    elif isinstance(before, BaseModel):
        held, loaded = ({**model.__dict__, **(model.__pydantic_extra__ or {})} for model in (before, after))
        names = [name for name in held if name not in _excluded(before)]
        yield from ((f".{name}", held[name], loaded.get(name)) for name in names)
    elif is_dataclass(before):
        names = [field.name for field in fields(before) if field.name not in _excluded(before)]
        yield from ((f".{name}", getattr(before, name), getattr(after, name)) for name in names)


def _excluded(value: object) -> set[str]:
    """The fields of a model or a dataclass that are not stored."""
    declared = getattr(type(value), "__pydantic_fields__", {})
    return {name for name, field in declared.items() if field.exclude}


def _is_same(kind: type, before: Any, after: Any) -> bool:
    if isinstance(before, (BaseModel, Enum)) or is_dataclass(before):
        # Of these, the parts were compared.
        return not isinstance(before, Enum) or before is after
    if isinstance(before, (list, tuple, dict, deque, set, frozenset)):
        if isinstance(before, (set, frozenset)):
            return bool(before == after)
        return len(before) == len(after) and getattr(before, "maxlen", None) == getattr(after, "maxlen", None)
    if "__eq__" not in {name for base in kind.__mro__[:-1] for name in vars(base)} or repr(before) == repr(
        after
    ):
        # An instance of a class without equality is not equal to any other.
        return True
    return kind is not float and kind is not Decimal and bool(before == after)
