"""Text, numbers, bytes and moments."""

import math
import operator
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast, overload

from pydantic_core import core_schema, to_json

import rapyer._commands as commands
from rapyer._binding import Holder, Place, binds, is_place, makes
from rapyer._transaction import current
from rapyer._words import Bound, Command, Word
from rapyer.actions import ActionGroup, acts
from rapyer.types._atomic import Atomic, Operation, Pending
from rapyer.types._described import Described
from rapyer.types._increase import increased, number_text

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisBytes", "RedisDatetime", "RedisDatetimeTimestamp", "RedisFloat", "RedisInt", "RedisStr"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Scalar(Atomic):
    """A value that cannot change: models hold the plain one and hand out one of these."""

    _rapyer_place: Place | None = None
    _rapyer_type: ClassVar[type]
    _rapyer_kept = False

    def _plain(self) -> Any:
        return self._rapyer_type(self)

    def _json(self) -> bytes:
        """What documents hold for it, where nobody said anything else."""
        return to_json(self._plain(), bytes_mode="base64", inf_nan_mode="strings")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        return handler(cls._rapyer_type)

    # Copies and pickles are plain values: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return _same, (self._plain(),)


class RedisStr(_Scalar, str, Described[str, str]):
    """Text."""

    __slots__ = ()

    _rapyer_type = str


class RedisInt(_Scalar, int, Described[int, int]):
    """A whole number."""

    _rapyer_type = int

    @overload
    async def aincrease(self, amount: int = 1) -> int: ...
    @overload
    async def aincrease(
        self, amount: int = 1, *, minimum: int | None = None, maximum: int | None = None
    ) -> int | None: ...
    @acts(ActionGroup.UPDATE, ActionGroup.ARITHMETIC)
    async def aincrease(
        self, amount: int = 1, *, minimum: int | None = None, maximum: int | None = None
    ) -> int | None:
        """Adds to the number on the server, whatever it is there, and returns what it is then.

        Where it would be below `minimum` or above `maximum` it stays as it is, and the answer is None.
        """
        number = await increased(self._locate(), self._codec(), int, amount, minimum, maximum)
        return cast("int | None", number)


class RedisFloat(_Scalar, float, Described[float, float]):
    """A number with a fraction."""

    _rapyer_type = float

    @overload
    async def aincrease(self, amount: float = 1.0) -> float: ...
    @overload
    async def aincrease(
        self, amount: float = 1.0, *, minimum: float | None = None, maximum: float | None = None
    ) -> float | None: ...
    @acts(ActionGroup.UPDATE, ActionGroup.ARITHMETIC)
    async def aincrease(
        self, amount: float = 1.0, *, minimum: float | None = None, maximum: float | None = None
    ) -> float | None:
        """Adds to the number on the server, whatever it is there, and returns what it is then.

        Where it would be below `minimum` or above `maximum` it stays as it is, and the answer is None.
        """
        return await increased(self._locate(), self._codec(), float, amount, minimum, maximum)


class RedisBytes(_Scalar, bytes, Described[bytes, bytes]):
    """Bytes; the document holds them as base64."""

    _rapyer_type = bytes


class RedisDatetime(_Scalar, datetime, Described[datetime, datetime]):
    """A moment, with its zone and microseconds; the document holds it as ISO 8601."""

    _rapyer_type = datetime

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())


class RedisDatetimeTimestamp(_Scalar, datetime, Described[datetime, datetime]):
    """A moment in UTC; the document holds it as the seconds since the epoch, until 2242 to the microsecond.

    A value without a zone is local time, as it is for `datetime.timestamp`.
    """

    _rapyer_type = datetime

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        schema = core_schema.no_info_before_validator_function(_moment, handler(datetime))
        return core_schema.no_info_after_validator_function(
            _redis_timestamp,
            schema,
            serialization=core_schema.plain_serializer_function_ser_schema(
                _seconds, return_schema=core_schema.float_schema(), when_used="json"
            ),
        )

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())

    def _json(self) -> bytes:
        return to_json(_seconds(self))

    # What a model holds says how it is stored: a copy must say the same.
    def __deepcopy__(self, memo: object) -> "RedisDatetimeTimestamp":
        return _redis_timestamp(self)


def _seconds(value: datetime) -> float:
    return value.timestamp()


def _moment(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _EPOCH + timedelta(seconds=value)
    return value


def _redis_timestamp(value: datetime) -> RedisDatetimeTimestamp:
    moment = value.astimezone(timezone.utc)
    return RedisDatetimeTimestamp.combine(moment.date(), moment.timetz())


def _same(value: Any) -> Any:
    return value


# -- in-place operators: outside of a transaction they only compute, in one they also say what was done

_Describe: TypeAlias = Callable[[Any, Any], Operation | None]


def _add(value: Any, amount: Any) -> Operation | None:
    if isinstance(value, str):
        return partial(_appended, to_json(amount)) if isinstance(amount, str) else None
    if isinstance(value, bytes):
        if not isinstance(amount, bytes):
            return None
        return partial(_appended, to_json(amount, bytes_mode="base64"), base64=True)
    if isinstance(value, datetime):
        return partial(_calculated, "SHIFT", amount // _MICROSECOND)
    return partial(_incremented, number_text(amount)) if _is_operand(value, amount) else None


def _appended(
    text: bytes, key: str, path: str, *, base64: bool = False, require: Sequence[Bound] = ()
) -> Command:
    return commands.append(key, path, text, base64=base64, require=require)


def _incremented(amount: str, key: str, path: str, *, require: Sequence[Bound] = ()) -> Command:
    return commands.incrby(key, path, amount, require=require)


def _calculated(
    operation: Any, operand: Word, key: str, path: str, *, require: Sequence[Bound] = ()
) -> Command:
    return commands.calc(key, path, operation, operand, require=require)


def _subtract(value: Any, amount: Any) -> Operation | None:
    if isinstance(amount, datetime) or not isinstance(amount, (int, float, timedelta)):
        return None
    return _add(value, -amount)


def _multiply(value: Any, amount: Any) -> Operation | None:
    if isinstance(value, str):
        return partial(_calculated, "REPEAT", number_text(amount)) if type(amount) is int else None
    return _calculation("MUL", value, amount)


def _calculation(name: str, value: Any, amount: Any) -> Operation | None:
    return partial(_calculated, name, number_text(amount)) if _is_operand(value, amount) else None


def _divide(value: Any, amount: Any) -> Operation | None:
    # A whole number's quotient is not one: what becomes of it in the field, pydantic says.
    return _calculation("DIV", value, amount) if isinstance(value, float) else None


def _power(value: Any, amount: Any) -> Operation | None:
    if isinstance(value, int) and amount < 0:
        return None
    return _calculation("POW", value, amount)


def _is_operand(value: Any, amount: Any) -> bool:
    kinds = (int,) if isinstance(value, int) else (int, float)
    return isinstance(value, (int, float)) and isinstance(amount, kinds) and math.isfinite(amount)


def _other(value: Any, amount: Any) -> None:
    return None


def _in_place(compute: Callable[[Any, Any], Any], describe: _Describe) -> Callable[[Any, Any], Any]:
    def operator_of(value: Any, amount: Any) -> Any:
        result = compute(value, amount)
        if result is NotImplemented or current() is None:
            return result
        before: Pending | None = value.__dict__.get("_rapyer_pending")
        if before is None and value._rapyer_place is None:
            return result
        base, done = (value, ()) if before is None else before
        operation = describe(value, amount)
        # Of a date-time the result is of the value's own class already.
        make = _MAKE.get(type(result))
        if make is None:
            return result
        pending = make(result)
        pending._rapyer_pending = Pending(
            base, None if operation is None or done is None else (*done, operation)
        )
        return pending

    return operator_of


_MICROSECOND: Final = timedelta(microseconds=1)
_OPERATORS: Final[dict[str, tuple[Callable[[Any, Any], Any], _Describe]]] = {
    "__iadd__": (operator.add, _add),
    "__isub__": (operator.sub, _subtract),
    "__imul__": (operator.mul, _multiply),
    "__itruediv__": (operator.truediv, _divide),
    "__ifloordiv__": (operator.floordiv, partial(_calculation, "FLOORDIV")),
    "__imod__": (operator.mod, partial(_calculation, "MOD")),
    "__ipow__": (operator.pow, _power),
    "__iand__": (operator.and_, _other),
    "__ior__": (operator.or_, _other),
    "__ixor__": (operator.xor, _other),
    "__ilshift__": (operator.lshift, _other),
    "__irshift__": (operator.rshift, _other),
}


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
    (RedisDatetimeTimestamp, RedisDatetimeTimestamp, _redis_timestamp),
)
_MAKE: Final[dict[type, Callable[[Any], Any]]] = {
    kind: make for plain, atomic, make in _KINDS for kind in (plain, atomic)
}
for _plain, _atomic, _make in _KINDS:
    binds(_atomic)(partial(_bind, _make))
    if _plain is not _atomic:
        makes(_plain, _make)
    for _name, (_compute, _describe) in _OPERATORS.items():
        if hasattr(_plain, _name.replace("__i", "__", 1)):
            setattr(_atomic, _name, _in_place(_compute, _describe))
