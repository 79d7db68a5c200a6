"""Adding to numbers on the server: to fields, to entries of dicts, to what may not be there yet."""

import math
from functools import partial
from typing import Any, Final, TypeAlias, cast

from pydantic_core import from_json

import rapyer._commands as commands
from rapyer._binding import Location, Root, path_text
from rapyer._codec import Codec
from rapyer._connection import execute
from rapyer._transaction import current, operate
from rapyer._words import Command
from rapyer.errors import UnsupportedArgumentTypeError, UnsupportedArgumentValueError

__all__ = ["increase_document", "increased", "number_text"]

_Number: TypeAlias = int | float

_STARTS: Final[dict[type[_Number], bytes]] = {int: b"0", float: b"0.0"}


def number_text(value: _Number) -> str:
    """A number's JSON text; of a subclass too, whose own repr may say something else."""
    return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)


def _texts(kind: type[_Number], **given: _Number | None) -> list[str | None]:
    """The texts of numbers that an increase is given. Raises for what cannot be added to one of this type."""
    texts: list[str | None] = []
    for name, value in given.items():
        if value is None and name != "amount":
            texts.append(None)
            continue
        if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
            raise UnsupportedArgumentTypeError(
                f"{name} of a whole number's aincrease is an int, not {value!r}"
                if kind is int
                else f"{name} of a number's aincrease is an int or a float, not {value!r}"
            )
        if not math.isfinite(value):
            raise UnsupportedArgumentValueError(
                f"{name} of aincrease cannot be {value!r}: JSON has no such number"
            )
        texts.append(number_text(value))
    return texts


async def increased(
    location: Location,
    codec: Codec,
    kind: type[_Number],
    amount: _Number,
    minimum: _Number | None,
    maximum: _Number | None,
    *,
    creates: bool = False,
    holds: Command | None = None,
) -> _Number | None:
    """Adds to a number on the server: what it is then, None where it would leave its bounds.

    With `creates` a member that is missing is taken to be zero; `holds` is what has to be there afterwards.
    """
    by, least, most = _texts(kind, amount=amount, minimum=minimum, maximum=maximum)
    key, path = location.key, path_text(location.segments)
    increase = partial(
        commands.incrby,
        key,
        path,
        cast("str", by),
        min_=least,
        max_=most,
        strict=current() is not None,
        require=codec.bounds,
    )
    # What the server holds now, whatever is known here of what it held.
    text = await operate(
        location,
        increase,
        then=lambda text: None if text is None else partial(commands.set_, key, path, text),
        holds=holds,
        start=_STARTS[kind] if creates else None,
    )
    return None if text is None else kind(cast("_Number", from_json(cast("bytes", text))))


async def increase_document(
    model: type[Root],
    key: str,
    field: str,
    amount: _Number,
    minimum: _Number | None,
    maximum: _Number | None,
    given: dict[str, Any],
) -> _Number | None:
    """Adds to a number of a document, made where there is none of what is given: what the number is then."""
    whole = model.__rapyer_codec__
    if not whole.declares(field) or field in whole.excluded:
        raise UnsupportedArgumentValueError(f"{model.__name__} has no field {field!r} to add to")
    codec, path = whole.member(field), path_text((field,))
    if (kind := codec.number) is None:
        raise UnsupportedArgumentTypeError(f"{model.__name__}.{field} is no number to add to")
    by, least, most = _texts(kind, amount=amount, minimum=minimum, maximum=maximum)
    if (name := model.__rapyer_key_field__) is not None:
        given = {name: key.removeprefix(f"{model.class_key_initials()}:"), **given}
    start = codec.default()
    words = commands.incrby(
        key,
        path,
        cast("str", by),
        min_=least,
        max_=most,
        require=codec.bounds,
        default=() if start is None else ((path, start),),
        else_=whole.dump(model(**given)),
        expect_policy=True,
    )
    text = await execute(model._rapyer_route(), words)
    return None if text is None else kind(cast("_Number", from_json(cast("bytes", text))))
