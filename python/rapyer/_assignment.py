"""How values come into the fields of a model: validated, put there, and recorded in a block."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

import rapyer._commands as commands
from rapyer._binding import Location, handed_out, is_place
from rapyer._codec import field_validator
from rapyer._connection import execute
from rapyer._edits import defaults
from rapyer._local import members_of
from rapyer._state import is_versioned, learn, load, state_of, told
from rapyer._transaction import Transaction, current, taking_part
from rapyer.errors import UnsupportedArgumentValueError
from rapyer.types._atomic import record_assignment
from rapyer.types.lists import RedisList

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

    from rapyer._transport import Reply

__all__ = ["assign", "names_updated", "set_default", "take_values", "updated"]


def updated(model: BaseModel, values: Mapping[str, Any]) -> BaseModel:
    """A copy with other values. Raises pydantic's ValidationError.

    Validators of the model run once, with the last value: one that compares fields sees no half of it.
    """
    changed = BaseModel.__copy__(model)
    *others, (last, value) = values.items()
    if others:
        of_fields = _field_validator(type(model))
        for name, other in others:
            of_fields.validate_assignment(changed, name, other)
    model.__pydantic_validator__.validate_assignment(changed, last, value)
    return changed


def _field_validator(model: Any) -> "SchemaValidator":
    if model.__rapyer_fields__ is None:
        model.__rapyer_fields__ = field_validator(model)
    return cast("SchemaValidator", model.__rapyer_fields__)


def names_updated(model: BaseModel, changed: BaseModel, values: Mapping[str, Any]) -> list[str]:
    """The fields that were given, and those that validators of the model changed besides."""
    others = [name for name, value in changed.__dict__.items() if value is not model.__dict__.get(name)]
    return list(dict.fromkeys([*values, *others]))


def take_values(model: BaseModel, changed: BaseModel, values: Mapping[str, Any]) -> None:
    """Assigns what an update made of values."""
    for name in names_updated(model, changed, values):
        valid = members_of(changed, name)[name]
        assign(model, name, values.get(name, valid), partial(_put_valid, model, name, valid))


async def set_default(model: Any, name: str, given: object) -> None:
    """Gives a field a value where the server has none, or null, and takes over what is there then."""
    codec = model.__rapyer_codec__
    if not codec.loads(name):
        raise UnsupportedArgumentValueError(f"{type(model).__name__} has no field {name!r} to set")
    place, codec = model._rapyer_locate().at(name), codec.member(name)
    root, text = place.root, codec.dump(codec.validate(given))
    null = ((place.path, b"null"),)
    fill = partial(commands.update, place.key, (place.path, text), where=((place.path, "EQ", b"null"),))
    look = commands.get_ro(place.key, place.path)
    if (block := taking_part(root)) is not None:
        block.perform(place, fill(default=null))
        held = cast("bytes", block.enlist(root).read(look))
        # What was found here is what is there, or the block is refused.
        block.expect(root, commands.expect(place.key, place.path, held))
        return
    route, state = type(root)._rapyer_route(), state_of(root, place.key)
    missing = () if state.base is None else defaults(root, state.base, place.segments[:-1])
    words, versioned = fill(default=(*missing, *null)), is_versioned(route, state)
    batch = commands.exec_([commands.with_version(words) if versioned else words, look])
    filled, held = cast("tuple[Reply, bytes]", await execute(route, batch))
    state.advance(told(filled, versioned)[1])
    learn(root, place.segments, held, load(root, codec, held, place.segments))


def _put_valid(model: BaseModel, name: str, value: object) -> None:
    members_of(model, name)[name] = value
    model.__pydantic_fields_set__.add(name)


def assign(model: Any, name: str, given: object, put: Callable[[], None]) -> None:
    """Puts a value into a field, and records that where a transaction is to know of it."""
    if (block := current()) is not None and _is_stored(type(model), name) and not model._rapyer_is_plain():
        place = model._rapyer_locate().at(name)
        records = block.changes(place)
        put()
        if records:
            _record(block, place, model, given)
        return
    put()
    if type(given) in (list, RedisList) and isinstance(held := handed_out(model, name), RedisList):
        held._rapyer_moved = True


def _is_stored(model: type[BaseModel], name: str) -> bool:
    """Whether what is assigned to this name is part of the document."""
    # Not by `model_fields`, a property that costs several calls.
    if name in model.__pydantic_fields__:
        return name not in cast("Any", model).__rapyer_codec__.excluded
    return bool(model.model_config.get("extra") == "allow" and not hasattr(model, name))


def _record(block: Transaction, place: Location, model: Any, given: object) -> None:
    name = cast("str", place.segments[-1])
    codec = model.__rapyer_codec__.field(name)
    text = codec.dump(members_of(model, name)[name])
    record_assignment(
        block, place, given, text, codec, lambda base: is_place(base._rapyer_place, model, name)
    )
