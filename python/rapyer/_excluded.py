"""Fields with `exclude=True`, which are not stored: what they are when a document is loaded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, cast

from pydantic_core import PydanticUseDefault, SchemaValidator, core_schema

from rapyer.errors import UnsupportedArgumentValueError

__all__ = ["holds_set_or_queue", "key_of_document", "loading", "with_default"]

_Schema: TypeAlias = dict[str, Any]
_Validator: TypeAlias = Callable[[_Schema], SchemaValidator]

_loading: ContextVar[str | None] = ContextVar("rapyer_loading", default=None)
_TRANSPARENT: Final = frozenset({"default", "nullable", "function-before", "function-after", "function-wrap"})


def holds_set_or_queue(schema: _Schema, definitions: Mapping[str, _Schema]) -> bool:
    """Whether a field is a set or a queue, which rapyer 1.3 has in keys of their own and wants excluded."""
    while schema["type"] in _TRANSPARENT or schema["type"] == "definition-ref":
        schema = definitions[schema["schema_ref"]] if "schema_ref" in schema else schema["schema"]
    writer = schema.get("serialization", {}).get("function")
    return schema["type"] == "set" or getattr(writer, "__module__", None) == "rapyer.types.priority_queue"


def with_default(schema: _Schema, name: str, validator: _Validator) -> _Schema:
    """A field's schema that gives its default, whatever is stored there. `name` is that of the field."""
    at = schema
    while at["type"] != "default":
        if at["type"] not in _TRANSPARENT:
            raise UnsupportedArgumentValueError(
                f"{name} is excluded from what is stored, and has no default to be when a document is "
                "loaded: give it one, or set Meta.store_excluded = True"
            )
        at = at["schema"]
    if at.get("default_factory_takes_data"):
        return _ignoring(at["default_factory"], takes_data=True)
    made: list[SchemaValidator] = []

    def default() -> Any:
        if not made:
            made.append(validator(schema))
        return cast("Any", made[0].get_default_value()).value

    return _ignoring(default)


def key_of_document(schema: _Schema, validator: _Validator) -> _Schema:
    """The schema of an excluded key field: it is what the key of the document says."""
    made: list[SchemaValidator] = []

    def key() -> Any:
        if not made:
            made.append(validator(schema))
        pk = _loading.get()
        return None if pk is None else made[0].validate_strings(cast("Any", pk))

    return _ignoring(key)


@contextmanager
def loading(pk: str) -> Iterator[None]:
    """A block that loads the document with a primary key."""
    token = _loading.set(pk)
    try:
        yield
    finally:
        _loading.reset(token)


def _ignoring(default: Callable[..., Any], *, takes_data: bool = False) -> _Schema:
    ignored = core_schema.no_info_plain_validator_function(_use_default)
    return cast(
        "_Schema",
        core_schema.with_default_schema(
            ignored, default_factory=default, default_factory_takes_data=takes_data, validate_default=False
        ),
    )


def _use_default(_: object) -> Any:
    raise PydanticUseDefault
