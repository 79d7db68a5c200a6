"""Text, numbers, bytes and moments."""

import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic_core import from_json

from rapyer._binding import Holder, Place, binds, is_place
from rapyer.errors import UnsupportedArgumentTypeError, UnsupportedArgumentValueError
from rapyer.types._atomic import Atomic

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisBytes", "RedisDatetime", "RedisFloat", "RedisInt", "RedisStr"]


class _Scalar(Atomic):
    """A value that cannot change: models hold the plain one and hand out one of these."""

    _rapyer_place: Place | None = None
    _rapyer_type: ClassVar[type]
    _rapyer_kept = False

    def _plain(self) -> Any:
        return self._rapyer_type(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        return handler(cls._rapyer_type)

    # Copies and pickles are plain values: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return _same, (self._plain(),)


class RedisStr(_Scalar, str):
    """Text."""

    __slots__ = ()

    _rapyer_type = str

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisStr": ...
        def __set__(self, model: object, value: str) -> None: ...


class RedisInt(_Scalar, int):
    """A whole number."""

    _rapyer_type = int

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisInt": ...
        def __set__(self, model: object, value: int) -> None: ...

    async def aincrease(self, amount: int = 1) -> int:
        """Adds to the number on the server, whatever it is there, and returns what it is then."""
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise UnsupportedArgumentTypeError(f"aincrease of a whole number takes an int, not {amount!r}")
        return cast("int", await _increased(self, int(amount)))


class RedisFloat(_Scalar, float):
    """A number with a fraction."""

    _rapyer_type = float

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisFloat": ...
        def __set__(self, model: object, value: float) -> None: ...

    async def aincrease(self, amount: float = 1.0) -> float:
        """Adds to the number on the server, whatever it is there, and returns what it is then."""
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise UnsupportedArgumentTypeError(
                f"aincrease of a number takes an int or a float, not {amount!r}"
            )
        if not math.isfinite(amount):
            raise UnsupportedArgumentValueError(f"aincrease cannot add {amount!r}: JSON has no such number")
        return float(await _increased(self, amount))


class RedisBytes(_Scalar, bytes):
    """Bytes; the document holds them as base64."""

    _rapyer_type = bytes

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisBytes": ...
        def __set__(self, model: object, value: bytes) -> None: ...


class RedisDatetime(_Scalar, datetime):
    """A moment, with its zone and microseconds; the document holds it as ISO 8601."""

    _rapyer_type = datetime

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisDatetime": ...
        def __set__(self, model: object, value: datetime) -> None: ...

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())


def _same(value: Any) -> Any:
    return value


async def _increased(number: RedisInt | RedisFloat, amount: float) -> int | float:
    location = number._locate()
    text = cast("bytes", await location.execute("MODEL.INCRBY", repr(amount)))
    value = cast("int | float", from_json(text))
    location.root._stored.put(location.segments, text)
    holder, key = number._place()
    holder._put_child(number, key, value)
    return value


def _redis_datetime(value: datetime) -> RedisDatetime:
    return RedisDatetime.combine(value.date(), value.timetz())


def _bind(make: Callable[[Any], Any], value: Any, holder: Holder, key: Any) -> Any:
    if is_place(getattr(value, "_rapyer_place", None), holder, key):
        return value
    bound = make(value)
    bound._rapyer_place = (holder, key)
    return bound


_KINDS: Final[tuple[tuple[type, type, Callable[[Any], Any]], ...]] = (
    (str, RedisStr, RedisStr),
    (int, RedisInt, RedisInt),
    (float, RedisFloat, RedisFloat),
    (bytes, RedisBytes, RedisBytes),
    (datetime, RedisDatetime, _redis_datetime),
)
for _plain, _atomic, _make in _KINDS:
    binds(_plain, _atomic)(partial(_bind, _make))
