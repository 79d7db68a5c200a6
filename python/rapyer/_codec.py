"""How values are written to a document and read back: pydantic's own code, with a schema for storage.

What a class shows its API users is not what has to be stored: a masking serializer, an alias or a subclass
in a field of its base would lose data. So a class has a second serializer and validator, made from its core
schema without everything that would not come back.
"""

import json
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from decimal import Decimal
from functools import cached_property, partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import (
    CoreConfig,
    CoreSchema,
    PydanticSerializationError,
    SchemaSerializer,
    SchemaValidator,
    core_schema,
    from_json,
    to_json,
)

from rapyer._excluded import holds_set_or_queue, key_of_document, with_default
from rapyer._fidelity import difference, is_faithful, needs_siblings, plain_class
from rapyer._pickle import pickled
from rapyer._readable import readable_member, readable_name, readable_plain
from rapyer._words import Bound
from rapyer.errors import CantSerializeRedisValueError, ConstraintError

__all__ = ["SAFE_LOAD", "Codec", "field_validator", "key_field", "plain_class"]

_log: Final = logging.getLogger("rapyer")

SAFE_LOAD: Final = "rapyer_safe_load"
"""What says in a schema's metadata that a field is None where what is stored is not valid."""

# A core schema under change: pydantic types these as dozens of typed dicts, one for each type.
_Schema: TypeAlias = dict[str, Any]
_Pickles: TypeAlias = Callable[[], bool]

_CONFIG: Final[_Schema] = {
    "ser_json_bytes": "base64",
    "val_json_bytes": "base64",
    "ser_json_inf_nan": "strings",
    "ser_json_timedelta": "iso8601",
}
_API_CONFIG: Final = (
    "serialize_by_alias",
    "validate_by_alias",
    "validate_by_name",
    "polymorphic_serialization",
)
_API_FIELD: Final = (
    "validation_alias",
    "serialization_alias",
    "serialization_exclude",
    "serialization_exclude_if",
)
_SUBSCHEMAS: Final = {
    "choices",
    "definitions",
    "extras_schema",
    "fields",
    "items_schema",
    "json_schema",
    "keys_schema",
    "lax_schema",
    "python_schema",
    "schema",
    "steps",
    "strict_schema",
    "values_schema",
}
# What the serializer of a schema is written by.
_WRITTEN: Final = {"schema", "return_schema"}
_WRAPPERS: Final = (
    "nullable",
    "default",
    "function-before",
    "function-after",
    "function-wrap",
    "custom-error",
)
_BY_INPUT: Final = ("json-or-python", "lax-or-strict")
# pydantic writes these only with a serializer that comes with the type.
_OPAQUE: Final = (
    "is-instance",
    "is-subclass",
    "callable",
    "chain",
    "function-plain",
    *_BY_INPUT,
)
_CONTAINERS: Final = ("list", "dict", "set", "model")
_ATOMIC: Final = ("int", "float", "str", "bytes", "datetime", *_CONTAINERS)
_ANY: Final[_Schema] = {"type": "any"}
_NUMBERS: Final = {"int", "float"}
_EQUALITIES: Final[dict[str, Literal["NUMBER", "TIME"]]] = {"decimal": "NUMBER", "datetime": "TIME"}
_SIZED: Final = {"str", "bytes", "list", "set", "dict"}
# What pydantic calls a bound, what the server calls it, and the types that it is for.
_BOUNDS: Final[dict[str, tuple[Any, set[str]]]] = {
    "ge": ("GE", _NUMBERS),
    "gt": ("GT", _NUMBERS),
    "le": ("LE", _NUMBERS),
    "lt": ("LT", _NUMBERS),
    "multiple_of": ("MULTIPLE", _NUMBERS),
    "min_length": ("MINLEN", _SIZED),
    "max_length": ("MAXLEN", _SIZED),
}
# Where pydantic keeps the functions for bounds on schemas that have no room for them.
_BOUND_CHECKS: Final = "pydantic._internal._validators"
# No field of a class has it.
_NO_NAME: Final = ""
# What holds the fields of models, dataclasses and typed dicts.
_OBJECTS: Final = ("model-fields", "dataclass-args", "typed-dict")
# Values of these, as canonical JSON, are written in one way only.
_OF_ONE_TEXT: Final = {"int", "str", "bool", "none", "nullable", "default", "list", "dict"}
_REMEDIES: Final = (
    "Name the value's type in the annotation, as a discriminated union where there are several, or store it "
    "as a pickle: Annotated[..., Pickle()]"
)
_MOST_SHOWN: Final = 100
_SIZED_IN_PLACE: Final = {"list", "dict", "set"}
_SIZES: Final = ("min_length", "max_length")
# What pydantic's errors about bounds are called.
_BROKEN: Final = {
    "bytes_too_long",
    "bytes_too_short",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "multiple_of",
    "string_too_long",
    "string_too_short",
    "too_long",
    "too_short",
}
_INFINITIES: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Codec:
    """Writes and reads the values of one schema: of a model, a field, the elements of a field."""

    def __init__(self, schema: _Schema, definitions: dict[str, _Schema], config: _Schema, name: str) -> None:
        self._name = name
        """The model, or the field of it, that has these values."""
        self._schema = schema
        self._definitions = definitions
        self._config = config
        self.safe_fields: Final[list[str]] = []
        """The fields of a model that are None where what is stored is not valid."""

    @classmethod
    def of_model(
        cls,
        model: type[BaseModel],
        pickles: _Pickles,
        *,
        stores_excluded: bool = False,
        key: str | None = None,
    ) -> "Codec":
        """For a model as its class is defined now.

        Args:
            model: the class.
            pickles: whether what has no JSON is to be pickled.
            stores_excluded: whether fields with `exclude=True` are stored.
            key: the field that the primary key is in.
        """
        source = cast("_Schema", model.__pydantic_core_schema__)
        declared = {definition["ref"]: definition for definition in source.get("definitions", [])}
        definitions: dict[str, _Schema] = {}
        key_place = None if key is None else (model, key)
        schema = _for_storage(
            source, _Context({}, pickles, declared, definitions, stores_excluded, key_place, model.__name__)
        )
        if schema["type"] == "definitions":
            definitions |= {definition["ref"]: definition for definition in schema["definitions"]}
            schema = schema["schema"]
        if schema["type"] == "model":
            # Whoever writes with it has an instance of just this class.
            del schema["serialization"]
        codec = cls(schema, definitions, _CONFIG, model.__name__)
        codec._config = next((leaf["config"] for leaf in codec._leaves() if "config" in leaf), _CONFIG)
        for name, field in codec._model_fields():
            if _is_safe(field["schema"]):
                codec.safe_fields.append(name)
                field["schema"] = _lenient(field["schema"])
        return codec

    @cached_property
    def _core(self) -> CoreSchema:
        schema = self._schema
        if self._definitions:
            schema = {
                "type": "definitions",
                "schema": schema,
                "definitions": list(self._definitions.values()),
            }
        return cast("CoreSchema", schema)

    # Validators that pydantic has built already are those of the API: they would bring the aliases back.
    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._core, cast("CoreConfig", self._config), _use_prebuilt=False)

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        return SchemaSerializer(self._core, cast("CoreConfig", self._config), _use_prebuilt=False)

    def dump(self, value: object) -> bytes:
        """The JSON text to store of a value. Raises where another value would come back from it."""
        text = self.text(value)
        if self._is_model and isinstance(value, BaseModel):
            self.check_fields(value)
        elif not self.is_faithful:
            self._compare(value, self._loaded(text))
        elif self.is_unchecked:
            self._check_bounds(text)
        return text

    def text(self, value: object) -> bytes:
        """The JSON text of a value, for comparing: another value may come back from it."""
        try:
            return self._serializer.to_json(value, round_trip=True, by_alias=False, warnings="error")
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            if self._is_model and isinstance(value, BaseModel):
                for name, field in self._fields.items():
                    if name in value.__dict__:
                        # Its error names the field.
                        field.text(value.__dict__[name])
            reason = str(error).rpartition("ValueError: ")[2]
            raise CantSerializeRedisValueError(
                f"cannot store this value of {self._name}: {reason}"
            ) from error

    @cached_property
    def excluded(self) -> frozenset[str]:
        """The fields of a model that are not stored."""
        return frozenset(name for name, field in self._model_fields() if field.get("serialization_exclude"))

    @cached_property
    def is_faithful(self) -> bool:
        """Whether every value comes back from its text, so that none has to be tried."""
        return is_faithful(self._schema, self._definitions)

    def check_fields(self, model: Any, names: Iterable[str] | None = None) -> None:
        """Raises where a field of a model, any or one of `names`, would come back as another value, or not.

        What loads as what it is, whatever happened to it, is not tried.
        """
        fields = model.__dict__
        if not self.required <= fields.keys():
            raise CantSerializeRedisValueError(
                f"cannot store this {self._name}: {_missing(self.required, fields)}"
            )
        if self.is_safe:
            return
        held = {**fields, **(model.__pydantic_extra__ or {})}
        whole: dict[str, Any] | None = None
        for name in held if names is None else held.keys() & names:
            codec, value = self.field(name), held[name]
            if codec.is_safe or name in self.excluded:
                continue
            if codec.is_faithful:
                codec._check_bounds(codec.text(value))
                continue
            if not codec._needs_siblings:
                codec._compare(value, codec._loaded(codec.text(value)))
                continue
            if whole is None:
                loaded = self._loaded(self.text(model), codec._name)
                whole = {**loaded.__dict__, **(loaded.__pydantic_extra__ or {})}
            codec._compare(value, whole.get(name))

    @cached_property
    def is_safe(self) -> bool:
        """Whether every value loads as what it is, whatever has changed in place."""
        return self.is_faithful and not self.is_unchecked

    @cached_property
    def is_unchecked(self) -> bool:
        """Whether a value can break bounds in place: what comes in is validated, not how much there is."""
        return any(
            schema["type"] in _SIZED_IN_PLACE and not schema.keys().isdisjoint(_SIZES)
            for schema in _schemas(self._schema, dict(self._definitions))
        )

    def _check_bounds(self, text: bytes) -> None:
        with suppress(ValidationError):
            self._load_within_bounds(text)

    def _load_within_bounds(self, text: bytes, name: str | None = None) -> Any:
        """The value of a text, which another error than `ConstraintError` may say is none."""
        try:
            return self.load(text)
        except ValidationError as error:
            if broken := _broken_bounds(error):
                reasons = "; ".join(
                    f"{name or self._name}{path}: {reason}" for path, reason in broken.items()
                )
                raise ConstraintError(f"cannot store what would not load again: {reasons}") from error
            raise

    @cached_property
    def _is_model(self) -> bool:
        return all(leaf["type"] == "model" and not leaf["root_model"] for leaf in self._leaves())

    @cached_property
    def _needs_siblings(self) -> bool:
        return needs_siblings(self._schema)

    @cached_property
    def required(self) -> frozenset[str]:
        """The fields of a model that have no default."""
        return frozenset(name for name, field in self._model_fields() if not _has_default(field["schema"]))

    def _loaded(self, text: bytes, name: str | None = None) -> Any:
        try:
            return self._load_within_bounds(text, name)
        except ConstraintError:
            raise
        except Exception as error:
            # A validator of the user's may raise anything.
            raise CantSerializeRedisValueError(
                f"cannot store this value of {name or self._name}: it would not load again: {error}. "
                f"{_REMEDIES}"
            ) from error

    def _compare(self, value: object, loaded: object) -> None:
        found = difference(value, loaded)
        if found is not None:
            raise CantSerializeRedisValueError(
                f"cannot store this value of {self._name}: {_shown(found.before)} at "
                f"{self._name}{found.path} would come back as {_shown(found.after)}. {_REMEDIES}"
            )

    @cached_property
    def has_one_text(self) -> bool:
        """Whether each value, as canonical JSON, is written in one way only."""
        return self._kinds <= _OF_ONE_TEXT

    def rewritten(self, text: bytes) -> bytes:
        """A value's text as it is written here; what is no value of this is what it is."""
        try:
            return self.dump(self.load(text))
        except (ValidationError, CantSerializeRedisValueError):
            return text

    def same(self, one: bytes, other: bytes) -> bool:
        """Whether two texts stand for the same value: of the same types, sets in whatever order."""
        if self.has_one_text:
            return one == other
        try:
            return _same(self.load(one), self.load(other))
        except ValidationError:
            return False

    @cached_property
    def load(self) -> Callable[[bytes], Any]:
        """Gives the value of a JSON text. Raises pydantic's ValidationError."""
        return self._validator.validate_json

    @cached_property
    def validate(self) -> Callable[[object], Any]:
        """Gives what pydantic makes of a value of the user's. Raises pydantic's ValidationError."""
        return self._validator.validate_python

    @cached_property
    def bounds(self) -> tuple[Bound, ...]:
        """What operations on a value have to keep to, where it is of one JSON type: as a server can tell."""
        kinds = {leaf["type"] for leaf in self._leaves()} - {"none"}
        found: dict[Bound, None] = {}
        for name, bound in self._declared_bounds(self._schema):
            word, types = _BOUNDS.get(name, (None, set()))
            if kinds <= types and (text := _bound_text(bound)) is not None:
                found[word, text] = None
        return tuple(found)

    def _declared_bounds(self, schema: _Schema) -> Iterator[tuple[str, Any]]:
        kind = schema["type"]
        if kind == "definition-ref":
            yield from self._declared_bounds(self._definitions[schema["schema_ref"]])
        elif kind in _WRAPPERS:
            check = schema.get("function", {}).get("function")
            if isinstance(check, partial) and check.func.__module__ == _BOUND_CHECKS:
                yield from check.keywords.items()
            yield from self._declared_bounds(schema["schema"])
        elif kind == "json-or-python":
            yield from self._declared_bounds(schema["json_schema"])
        elif kind not in ("union", "tagged-union"):
            # Of a union nobody knows which one's bounds the value has to meet.
            yield from schema.items()

    @cached_property
    def number(self) -> type[int] | type[float] | None:
        """The type of a value that is a number; None for any other."""
        kinds = {leaf["type"] for leaf in self._leaves()} - {"none"}
        if not kinds or not kinds <= _NUMBERS:
            return None
        return int if kinds == {"int"} else float

    @cached_property
    def equality(self) -> Literal["NUMBER", "TIME"] | None:
        """What elements of this type are the same by, where that is not their text: `AS` of the commands."""
        kinds = {leaf["type"] for leaf in self._leaves()} - {"none"}
        return _EQUALITIES.get(next(iter(kinds))) if len(kinds) == 1 else None

    def default(self) -> bytes | None:
        """The text of a field's default; None for one that has none, or that needs the other fields."""
        if self._schema["type"] != "default" or self._schema.get("default_factory_takes_data"):
            return None
        found = self._validator.get_default_value()
        return None if found is None else self.text(found.value)

    @cached_property
    def item(self) -> "Codec":
        """For the elements of a list or of a set."""
        return self._child(
            leaf.get("items_schema") for leaf in self._leaves() if leaf["type"] in ("list", "set")
        )

    @cached_property
    def second(self) -> "Codec":
        """For the second one of a pair."""
        return self._child(leaf["items_schema"][1] for leaf in self._leaves() if leaf["type"] == "tuple")

    @cached_property
    def entry(self) -> "Codec":
        """For the values of a dict."""
        return self._child(leaf.get("values_schema") for leaf in self._leaves() if leaf["type"] == "dict")

    @cached_property
    def _key(self) -> "Codec":
        return self._child(leaf.get("keys_schema") for leaf in self._leaves() if leaf["type"] == "dict")

    @cached_property
    def _single(self) -> "Codec":
        # JSON turns every key into text; pydantic does that only for the keys of a dict.
        keys = self._key._schema
        return self._child([{"type": "dict", "keys_schema": keys, "values_schema": {"type": "any"}}])

    def validate_key(self, key: object) -> Any:
        """A key of a dict, as pydantic makes it of the schema."""
        return self._key.validate(key)

    def name_of(self, key: object) -> str:
        """The member name that a key of a dict is stored under."""
        if type(key) is str:
            return key
        (name,) = json.loads(self._single.dump({key: None}))
        return str(name)

    def key_of(self, name: str) -> Any:
        """The key of a dict that is stored under a member's name."""
        if self._key_kinds == {"str"}:
            return name
        return next(iter(self._single.load(to_json({name: None}))))

    @cached_property
    def _key_kinds(self) -> set[str]:
        return {leaf["type"] for leaf in self._key._leaves()}

    def split_entry(self, pair: bytes) -> tuple[str, bytes]:
        """What popping from a dict answers, `[name, value]`: the name, and the dict of this one entry."""
        name, value = from_json(pair)
        return name, to_json({name: value})

    def field(self, name: str) -> "Codec":
        """For a field of a model; what it does not declare may be anything."""
        return self._fields.get(name) or self._any_member

    def member(self, name: str) -> "Codec":
        """For a member of what is stored as an object: of a model, a dict, a dataclass, a typed dict."""
        return self._members.get(name) or self._any_member

    @cached_property
    def _members(self) -> dict[str, "Codec"]:
        """For the members that have names in the schema."""
        names = {name for leaf in self._object_leaves() for name in _declared(leaf)}
        return {name: self._child(self._member_schemas(name), f"{self._name}.{name}") for name in names}

    @cached_property
    def _any_member(self) -> "Codec":
        return self._child(self._member_schemas(_NO_NAME))

    def _member_schemas(self, name: str) -> Iterator[_Schema]:
        for leaf in self._object_leaves():
            if leaf["type"] == "dict":
                yield leaf.get("values_schema", _ANY)
            elif name in (declared := _declared(leaf)):
                yield declared[name]
            elif leaf["type"] not in _OBJECTS or _takes_extra(leaf):
                yield leaf.get("extras_schema", _ANY)

    @cached_property
    def keeps_order(self) -> bool:
        """Whether the members of an object are loaded in their order, as those of a dict are."""
        return any(leaf["type"] not in _OBJECTS for leaf in self._object_leaves())

    def declares(self, name: str) -> bool:
        """Whether a model, a dataclass or a typed dict has a field of this name."""
        return name in self._members

    def keeps(self, name: str) -> bool:
        """Whether a member of this name comes back when an object is loaded."""
        return self._keeps_all or name in self._members

    def loads(self, name: str) -> bool:
        """Whether what is stored as a member of this name is what an object then has."""
        return (self._keeps_all or name in self._members) and name not in self.excluded

    @cached_property
    def _keeps_all(self) -> bool:
        return any(leaf["type"] not in _OBJECTS or _takes_extra(leaf) for leaf in self._object_leaves())

    def _object_leaves(self, schema: _Schema | None = None) -> Iterator[_Schema]:
        """The schemas of values in the end; of a model, of a dataclass, what holds its fields."""
        for leaf in self._leaves(schema):
            if leaf["type"] in ("model", "dataclass"):
                for inner in self._object_leaves(leaf["schema"]):
                    # What says whether more members may come is the outer one's.
                    yield {**inner, "config": leaf.get("config", {}) | inner.get("config", {})}
            else:
                yield leaf

    @cached_property
    def _fields(self) -> dict[str, "Codec"]:
        # Of several models that a value may be of, each may have a field of this name.
        schemas: dict[str, list[_Schema]] = {}
        for name, field in self._model_fields():
            schemas.setdefault(name, []).append(field["schema"])
        return {name: self._child(choices, f"{self._name}.{name}") for name, choices in schemas.items()}

    def _model_fields(self) -> Iterator[tuple[str, _Schema]]:
        for leaf in self._leaves():
            if leaf["type"] == "model" and not leaf["root_model"]:
                for inner in self._leaves(leaf["schema"]):
                    yield from inner.get("fields", {}).items()

    def atomic_fields(self) -> list[str]:
        """The fields of a model whose values have atomic methods."""
        stored = self._fields.keys() - self.excluded
        return [name for name in self._fields if name in stored and self._fields[name]._holds(_ATOMIC)]

    @cached_property
    def validates(self) -> bool:
        """Whether validators of the user's look at the value: the field's, or those of its model."""
        return any(map(_is_users, self._functions(self._schema)))

    @cached_property
    def has_validators(self) -> bool:
        """Whether there are such, here or at any depth."""
        return _has_validators(self._schema, dict(self._definitions))

    def _functions(self, schema: _Schema) -> Iterator[Any]:
        """The functions that are given a value of a schema as a whole."""
        kind = schema["type"]
        if kind == "definition-ref":
            yield from self._functions(self._definitions[schema["schema_ref"]])
        elif kind in ("union", "tagged-union"):
            choices = schema["choices"]
            for choice in choices.values() if isinstance(choices, dict) else choices:
                yield from self._functions(choice[0] if isinstance(choice, tuple) else choice)
        else:
            if "function" in schema:
                yield schema["function"]["function"]
            if kind in (*_WRAPPERS, "model", "dataclass"):
                yield from self._functions(schema["schema"])

    @cached_property
    def key_field(self) -> str | None:
        """The field that is the key of the values, all of which are models; None where they have none."""
        names = {
            key_field(leaf["cls"]) if leaf["type"] == "model" and not leaf["root_model"] else None
            for leaf in self._leaves()
        }
        # One that is not stored tells no elements apart.
        return names.pop() if len(names) == 1 and names.isdisjoint(self.excluded) else None

    @cached_property
    def holds_model(self) -> bool:
        return self._holds(("model",))

    @cached_property
    def holds_set(self) -> bool:
        return self._holds(("set",)) and not self._holds(("list", "tuple", "any"))

    @cached_property
    def _kinds(self) -> set[str]:
        return _kinds(self._schema, dict(self._definitions))

    @cached_property
    def holds_containers(self) -> bool:
        return self._holds((*_CONTAINERS, "any"))

    @cached_property
    def holds_dict(self) -> bool:
        """Whether a dict here may have any entries, of which each is one of the document's."""
        return self._holds(("dict", "any"))

    @cached_property
    def holds_list(self) -> bool:
        return self._holds(("list", "any"))

    def _holds(self, types: tuple[str, ...]) -> bool:
        return any(leaf["type"] in types and not leaf.get("root_model") for leaf in self._leaves())

    def _child(self, schemas: Any, name: str | None = None) -> "Codec":
        found = [schema for schema in schemas if schema is not None] or [_ANY]
        schema = found[0] if len(found) == 1 else {"type": "union", "choices": found}
        return Codec(schema, self._definitions, self._config, name or self._name)

    def _leaves(self, schema: _Schema | None = None) -> Iterator[_Schema]:
        """The schemas a value may be of in the end, looked for through everything that only wraps them."""
        schema = self._schema if schema is None else schema
        kind = schema["type"]
        if kind == "definition-ref":
            yield from self._leaves(self._definitions[schema["schema_ref"]])
        elif kind in _WRAPPERS:
            yield from self._leaves(schema["schema"])
        elif kind == "json-or-python":
            yield from self._leaves(schema["json_schema"])
        elif kind in ("union", "tagged-union"):
            choices = schema["choices"]
            for choice in choices.values() if isinstance(choices, dict) else choices:
                yield from self._leaves(choice[0] if isinstance(choice, tuple) else choice)
        else:
            yield schema


def _broken_bounds(error: ValidationError) -> dict[str, str]:
    """Where which bounds are broken; nothing where anything else is wrong as well."""
    found = error.errors(include_url=False, include_context=False)
    if not {one["type"] for one in found} <= _BROKEN:
        return {}
    return {
        "".join(f".{step}" for step in one["loc"]): f"{one['msg']}, not {_shown(one['input'])}"
        for one in found
    }


def _bound_text(bound: object) -> str | None:
    """A bound as the server takes it; None for what is no number of JSON's."""
    if isinstance(bound, bool) or not isinstance(bound, (int, float, Decimal)) or not math.isfinite(bound):
        return None
    return str(bound) if isinstance(bound, int) else repr(float(bound))


def _declared(leaf: _Schema) -> dict[str, _Schema]:
    """The fields that a schema of an object names, and their schemas."""
    fields = leaf.get("fields", {})
    named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
    return {name: field["schema"] for name, field in named}


def _has_default(schema: _Schema) -> bool:
    while schema["type"] != "default" and schema["type"] in _WRAPPERS:
        schema = schema["schema"]
    return bool(schema["type"] == "default")


def _takes_extra(leaf: _Schema) -> bool:
    behavior = leaf.get("extra_behavior") or leaf.get("config", {}).get("extra_fields_behavior")
    return bool(behavior == "allow")


def key_field(model: type[BaseModel]) -> str | None:
    """The field of a model that is marked `Key`."""
    for name, info in model.model_fields.items():
        if any(getattr(mark, "_rapyer_is_key", False) for mark in info.metadata):
            return name
    return None


def field_validator(model: type[BaseModel]) -> SchemaValidator:
    """What validates assignments to single fields, without the validators of the model."""
    source = cast("_Schema", model.__pydantic_core_schema__)
    definitions = source.get("definitions", [])
    by_ref = {definition["ref"]: definition for definition in definitions}
    schema = _unwrapped(source["schema"] if definitions else source, by_ref)
    schema = {**schema, "schema": _unwrapped(schema["schema"], by_ref)}
    # The model itself may be among the definitions under its reference.
    schema.pop("ref", None)
    if definitions:
        schema = {"type": "definitions", "schema": schema, "definitions": definitions}
    return SchemaValidator(cast("CoreSchema", schema), _use_prebuilt=False)


def _unwrapped(schema: _Schema, definitions: dict[str, _Schema]) -> _Schema:
    """What the functions around a schema are given."""
    while schema["type"] == "definition-ref" or schema["type"].startswith("function-"):
        schema = definitions[schema["schema_ref"]] if "schema_ref" in schema else schema["schema"]
    return schema


class _Context(NamedTuple):
    """What is around a schema that is made one for storage."""

    config: _Schema
    pickles: _Pickles | None
    """Whether what has no JSON is to be pickled; None where it has JSON."""
    declared: dict[str, _Schema]
    """The definitions that it may refer to, as pydantic has them."""
    definitions: dict[str, _Schema]
    """The same for storage, once all are made."""
    stores_excluded: bool
    key: tuple[type[BaseModel], str] | None
    """The model that is a document, and its field that the primary key is in."""
    owner: str
    """What to call the class that a field is in."""
    is_document: bool = False
    """Whether the field is one of the document's own."""

    def validator(self, schema: _Schema) -> SchemaValidator:
        """What validates a single field."""
        codec = Codec(schema, self.definitions, self.config, self.owner)
        return codec._validator


def _for_storage(schema: _Schema, context: _Context) -> _Schema:
    kind = schema["type"]
    config, pickles = context.config, context.pickles
    if kind == "is-instance" and pickles is not None and "serialization" not in schema:
        return cast("_Schema", pickled(cast("CoreSchema", schema), pickles))
    stored = dict(schema)
    if "config" in schema or kind == "model":
        kept = {
            name: setting
            for name, setting in (schema.get("config") or {}).items()
            if name not in _API_CONFIG and not name.startswith(("ser_json_", "val_json_"))
        }
        config = stored["config"] = kept | _CONFIG
        context = context._replace(config=config)
    for name in _API_FIELD:
        stored.pop(name, None)
    if "computed_fields" in stored:
        stored["computed_fields"] = []
    if kind in _BY_INPUT:
        # These have a form in JSON, and what they say of instances is for Python alone.
        context = context._replace(pickles=None)
    if kind in ("model", "dataclass"):
        is_document = context.key is not None and schema["cls"] is context.key[0]
        context = context._replace(owner=schema["cls"].__name__, is_document=is_document)
    for name in _SUBSCHEMAS & schema.keys():
        stored[name] = _each_for_storage(schema[name], context)
    if kind in ("model-fields", "dataclass-args"):
        stored["fields"] = _without_excluded(schema["fields"], stored["fields"], context)
    if "serialization" in schema:
        written = _serialization(schema)
        stored.pop("serialization")
        if written is not None:
            inner = {name: _for_storage(written[name], context) for name in _WRITTEN & written.keys()}
            stored["serialization"] = written | inner
    if kind in ("model", "dataclass"):
        # What is loaded is a state, not a call of the user's constructor.
        if "custom_init" in stored:
            stored["custom_init"] = False
        stored["serialization"] = core_schema.wrap_serializer_function_ser_schema(
            partial(_exact, schema["cls"], _required(schema["cls"]))
        )
    if kind in ("enum", "literal"):
        return readable_member(stored, config | _CONFIG)
    if kind == "function-plain":
        return readable_plain(stored)
    if kind == "dict" and "keys_schema" in stored:
        stored["keys_schema"] = readable_name(
            schema["keys_schema"], stored["keys_schema"], context.declared, config | _CONFIG
        )
    if kind == "frozenset":
        # As an item of a set it is found by its text, so it has only one.
        stored["serialization"] = core_schema.wrap_serializer_function_ser_schema(_sorted)
    if kind == "float" and schema.get("strict", config.get("strict")):
        return {
            "type": "function-before",
            "function": {"type": "no-info", "function": _infinity},
            "schema": stored,
        }
    return stored


def _without_excluded(declared: Any, stored: Any, context: _Context) -> Any:
    """The fields of a class for storage, of which those are not stored that it excludes."""
    if isinstance(stored, list):
        pairs = zip(declared, stored, strict=True)
        return [_unless_excluded(field["name"], field, made, context) for field, made in pairs]
    return {name: _unless_excluded(name, field, stored[name], context) for name, field in declared.items()}


def _unless_excluded(name: str, declared: _Schema, stored: _Schema, context: _Context) -> _Schema:
    is_excluded = declared.get("serialization_exclude") is True and not context.stores_excluded
    if not is_excluded or holds_set_or_queue(declared["schema"], context.declared):
        return stored
    if context.is_document and context.key is not None and context.key[1] == name:
        schema = key_of_document(stored["schema"], context.validator)
    else:
        schema = with_default(stored["schema"], f"{context.owner}.{name}", context.validator)
    return {**stored, "schema": schema, "serialization_exclude": True}


def _each_for_storage(schemas: Any, context: _Context) -> Any:
    """The same for what holds schemas: fields by name, choices by tag, steps, choices with a label."""
    if isinstance(schemas, dict):
        if "type" in schemas and isinstance(schemas["type"], str):
            return _for_storage(schemas, context)
        return {name: _each_for_storage(schema, context) for name, schema in schemas.items()}
    if isinstance(schemas, (list, tuple)):
        return type(schemas)(_each_for_storage(schema, context) for schema in schemas)
    return schemas


def _kinds(schemas: Any, definitions: dict[str, _Schema]) -> set[str]:
    """The types of these schemas and of all inside them; `definitions` are those not looked into yet."""
    return {schema["type"] for schema in _schemas(schemas, definitions)}


def _schemas(schemas: Any, definitions: dict[str, _Schema]) -> Iterator[_Schema]:
    """These schemas and all inside them; `definitions` are those not looked into yet."""
    if isinstance(schemas, (list, tuple)):
        for schema in schemas:
            yield from _schemas(schema, definitions)
    elif isinstance(schemas, dict):
        kind = schemas.get("type")
        if kind == "definition-ref":
            yield from _schemas(definitions.pop(schemas["schema_ref"], None), definitions)
        elif not isinstance(kind, str):
            yield from _schemas(list(schemas.values()), definitions)
        else:
            yield schemas
            yield from _schemas([schemas[name] for name in _SUBSCHEMAS & schemas.keys()], definitions)


def _has_validators(schemas: Any, definitions: dict[str, _Schema]) -> bool:
    """Whether there is a function of the user's in these schemas, as `_kinds` looks for types."""
    if isinstance(schemas, (list, tuple)):
        return any(_has_validators(schema, definitions) for schema in schemas)
    if not isinstance(schemas, dict):
        return False
    kind = schemas.get("type")
    if kind == "definition-ref":
        return _has_validators(definitions.pop(schemas["schema_ref"], None), definitions)
    if not isinstance(kind, str):
        return _has_validators(list(schemas.values()), definitions)
    if kind.startswith("function-") and _is_users(schemas["function"]["function"]):
        return True
    return _has_validators([schemas[name] for name in _SUBSCHEMAS & schemas.keys()], definitions)


def _is_users(function: Any) -> bool:
    """Whether a function of a schema is neither of pydantic's nor of ours."""
    module = getattr(getattr(function, "func", function), "__module__", None) or ""
    return module.split(".")[0] not in ("pydantic", "pydantic_core", "rapyer")


def _same(one: Any, other: Any) -> bool:
    """Equality that tells apart what is written in different ways: 1 from True, 0.0 from -0.0, 1.0 from 1.00,
    a moment in one zone from the same in another.
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, (set, frozenset)):
        held = {item: item for item in other}
        return len(one) == len(held) and all(item in held and _same(item, held[item]) for item in one)
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return _same(list(one.items()), list(other.items()))
    if isinstance(one, BaseModel):
        return _same(dict(one), dict(other))
    if is_dataclass(one):
        return _same(vars(one), vars(other))
    return bool(one == other) and (isinstance(one, (int, str, bytes)) or repr(one) == repr(other))


def _serialization(schema: _Schema) -> _Schema | None:
    """The serializer a schema keeps: the one without which pydantic could not write its values."""
    own = schema["serialization"]
    function = own.get("function")
    function = getattr(function, "func", function)
    module = getattr(function, "__module__", None) or ""
    if module == "pydantic.types" and function.__name__.startswith("_serialize_secret"):
        return cast("_Schema", core_schema.plain_serializer_function_ser_schema(_secret))
    if module.split(".")[0] in ("pydantic", "pydantic_core", "rapyer") or _is_opaque(schema):
        return cast("_Schema", own)
    return None


def _is_safe(schema: _Schema) -> bool:
    while SAFE_LOAD not in (schema.get("metadata") or {}):
        if schema["type"] not in _WRAPPERS:
            return False
        schema = schema["schema"]
    return True


def _lenient(schema: _Schema) -> _Schema:
    if schema["type"] == "default":
        return {**schema, "schema": _lenient(schema["schema"])}
    # Written as what it is, or null.
    inner = cast("CoreSchema", {"type": "nullable", "schema": schema})
    return cast("_Schema", core_schema.with_info_wrap_validator_function(_valid_or_none, inner))


def _valid_or_none(value: Any, validate: Callable[[Any], Any], info: core_schema.ValidationInfo) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        _log.warning("what is stored in the field %r is not valid: %s", info.field_name, error)
        return None


def _is_opaque(schema: _Schema) -> bool:
    while schema["type"] in _WRAPPERS:
        schema = schema["schema"]
    return schema["type"] in _OPAQUE


def _secret(value: Any) -> Any:
    return value.get_secret_value()


def _required(declared: type) -> frozenset[str]:
    fields = getattr(declared, "__pydantic_fields__", {}) if issubclass(declared, BaseModel) else {}
    return frozenset(name for name, field in fields.items() if field.is_required())


def _missing(required: frozenset[str], fields: Mapping[str, Any]) -> str:
    return f"there is no {min(required - fields.keys())!r}, which has no default, and it would not load again"


def _exact(
    declared: type,
    required: frozenset[str],
    value: Any,
    write: core_schema.SerializerFunctionWrapHandler,
) -> Any:
    kind = type(value)
    if plain_class(kind) is not declared:
        raise ValueError(
            f"{kind.__name__} in a field of type {declared.__name__} would come back as {declared.__name__}: "
            f"declare the field with {kind.__name__} in its type"
        )
    if required and not required <= value.__dict__.keys():
        raise ValueError(f"of {declared.__name__}, {_missing(required, value.__dict__)}")
    return write(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def _sorted(value: object, write: core_schema.SerializerFunctionWrapHandler) -> Any:
    return sorted(write(value), key=to_json)


def _infinity(value: object) -> object:
    return _INFINITIES.get(value, value) if isinstance(value, str) else value
