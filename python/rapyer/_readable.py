"""Schemas for values that pydantic writes as JSON and does not read from it.

Members of enumerations that are no text or number, such members in a Literal, keys of dicts that are no text,
fields whose validator takes the place of the type's own.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

from pydantic_core import CoreConfig, CoreSchema, SchemaSerializer, core_schema, to_json

__all__ = ["readable_member", "readable_name", "readable_plain"]

_Schema: TypeAlias = dict[str, Any]

_PLAIN = (str, int, bool, type(None))


def readable_member(schema: _Schema, config: _Schema) -> _Schema:
    """The schema of an enumeration or a Literal that finds members by what is written for them."""
    members = _members(schema)
    values = members if schema["type"] == "literal" else [member.value for member in members]
    if all(type(value) in (*_PLAIN, float) for value in values):
        return schema
    serializer = SchemaSerializer(cast("CoreSchema", schema), cast("CoreConfig", config))
    return _found(schema, {serializer.to_json(member): member for member in members}, to_json)


def readable_name(
    declared: _Schema, stored: _Schema, definitions: Mapping[str, _Schema], config: _Schema
) -> _Schema:
    """The schema of a dict's keys that are told from the names of members.

    Members of enumerations and of Literals are found by the name that is written for them; tuples and frozen
    sets are written as the JSON of an array. Any other schema stays as it is.
    """
    if declared["type"] == "definition-ref":
        declared = {**definitions[declared["schema_ref"]]}
        declared.pop("ref", None)
    if declared["type"] in ("enum", "literal"):
        members = _members(declared)
        names = {_name(declared, config, member): member for member in members}
        are_texts = all(type(getattr(member, "value", member)) is str for member in members)
        if are_texts or len(names) < len(members):
            return stored
        return {**_found(declared, names, str), "metadata": {"rapyer_name": True}}
    if stored["type"] in ("tuple", "frozenset"):
        array = cast("CoreSchema", stored)
        serializer = SchemaSerializer(array, cast("CoreConfig", config))
        write = core_schema.plain_serializer_function_ser_schema(partial(_as_name, serializer))
        named = core_schema.json_or_python_schema(core_schema.json_schema(array), array, serialization=write)
        return {**named, "metadata": {"rapyer_name": True}}
    return stored


def readable_plain(schema: _Schema) -> _Schema:
    """The schema of what a validator makes in place of the type's own: read as that type writes it.

    What is no value of the type, the validator is given as it is stored.
    """
    own = schema.get("serialization", {}).get("schema")
    if own is None:
        return schema
    validator = {name: held for name, held in schema.items() if name != "serialization"}
    # Its serializer gives JSON already, which is no value of the type.
    written = {name: held for name, held in schema["serialization"].items() if name != "return_schema"}
    stored = core_schema.union_schema([own, cast("CoreSchema", validator)], mode="left_to_right")
    read = core_schema.lax_or_strict_schema(stored, stored)
    return cast(
        "_Schema",
        core_schema.json_or_python_schema(
            read, cast("CoreSchema", validator), serialization=cast("core_schema.SerSchema", written)
        ),
    )


def _members(schema: _Schema) -> list[Any]:
    return list(schema["members"] if schema["type"] == "enum" else schema["expected"])


def _name(schema: _Schema, config: _Schema, member: object) -> str:
    entries = core_schema.dict_schema(cast("CoreSchema", schema), core_schema.any_schema())
    (name,) = json.loads(SchemaSerializer(entries, cast("CoreConfig", config)).to_json({member: None}))
    return str(name)


def _found(schema: _Schema, members: Mapping[Any, Any], write: Callable[[Any], Any]) -> _Schema:
    return {
        "type": "function-before",
        "function": {"type": "no-info", "function": partial(_member, members, write)},
        "schema": schema,
    }


def _member(members: Mapping[Any, Any], write: Callable[[Any], Any], value: Any) -> Any:
    # A value that a caller gave may be the member itself, which may have no JSON.
    return members.get(write(value), value) if isinstance(value, (str, int, float, list, dict)) else value


def _as_name(serializer: SchemaSerializer, key: Any) -> str:
    return serializer.to_json(key).decode()
