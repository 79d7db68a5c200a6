"""Priority queues."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from pydantic_core import core_schema, from_json
from typing_extensions import NamedTuple

import rapyer._commands as commands
from rapyer._binding import Holder, Location, Place, binds, is_place
from rapyer._codec import Codec
from rapyer._native import elements
from rapyer._transaction import operate, read
from rapyer._words import Command, Word
from rapyer.actions import ActionGroup, acts
from rapyer.errors import UnsupportedArgumentTypeError, UnsupportedArgumentValueError
from rapyer.types._atomic import Atomic, taken
from rapyer.types._described import Described

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["PriorityQueueItem", "RedisPriorityQueue"]

_T = TypeVar("_T")


class PriorityQueueItem(NamedTuple, Generic[_T]):
    """A value and its priority; the smallest priority comes first."""

    value: _T
    priority: float


class RedisPriorityQueue(Atomic, Generic[_T], Described["RedisPriorityQueue[_T]", "RedisPriorityQueue[_T]"]):
    """Values by priority: the smallest first, of equal ones the oldest. Each value is in it once.

    It is changed on the server only. Iterating gives what was last seen there, in order.
    """

    __slots__ = ("_items", "_rapyer_place")

    def __init__(self, items: Iterable[PriorityQueueItem[_T]] = ()) -> None:
        self._items: list[PriorityQueueItem[_T]] = []
        self._rapyer_place: Place | None = None
        for item in items:
            if not isinstance(item, PriorityQueueItem):
                raise UnsupportedArgumentTypeError(
                    f"a queue holds PriorityQueueItem(value, priority), not {item!r}"
                )
            self._put(item)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        (item,) = get_args(source) or (Any,)
        pair = core_schema.tuple_schema([core_schema.float_schema(), handler.generate_schema(item)])
        stored = core_schema.no_info_after_validator_function(_from_pairs, core_schema.list_schema(pair))
        return core_schema.json_or_python_schema(
            json_schema=stored,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), stored]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _pairs, return_schema=core_schema.list_schema(pair)
            ),
        )

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[PriorityQueueItem[_T]]:
        return iter(self._items)

    def __contains__(self, value: object) -> bool:
        return any(item.value == value for item in self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, RedisPriorityQueue) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RedisPriorityQueue({self._items!r})"

    # Copies and pickles are in no model.
    def __reduce__(self) -> Any:
        return RedisPriorityQueue, (list(self._items),)

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def apush(self, value: _T, priority: float) -> bool:
        """Puts a value in, or gives the one that is there another priority; whether it was new."""
        return await self.apush_many([PriorityQueueItem(value, priority)]) == 1

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def apush_many(self, items: Iterable[PriorityQueueItem[_T]]) -> int:
        """Puts several values in, in order; how many were new."""
        location, codec = self._locate(), self._value_codec()
        pushed: list[tuple[Word, Word]] = []
        for value, priority in items:
            if isinstance(priority, bool) or not isinstance(priority, (int, float)):
                raise UnsupportedArgumentTypeError(f"a priority is a number, not {priority!r}")
            if not math.isfinite(priority):
                raise UnsupportedArgumentValueError(
                    f"a priority cannot be {priority!r}: JSON has no such number"
                )
            pushed.append((repr(float(priority)), codec.dump(codec.validate(value))))
        if not pushed:
            return 0
        push = partial(commands.push, location.key, location.path, *pushed, require=self._codec().bounds)
        return cast("int", await operate(location, push))

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self) -> PriorityQueueItem[_T] | None:
        """Takes the first value out; None when the queue is empty.

        In a transaction it is the one that is first now: where another one is at the end, the transaction is
        refused.
        """
        location = self._locate()
        first = location.at(0)

        def popped(pair: Any) -> Callable[..., Command]:
            if pair is None:
                return partial(commands.clear, location.key, location.path)
            return partial(commands.unpush, location.key, location.path, elements(pair)[1])

        text = await operate(
            location,
            partial(commands.popmin, location.key, location.path, require=self._codec().bounds),
            then=popped,
            guard=lambda pair: None if pair is None else commands.expect(first.key, first.path, pair),
        )
        return None if text is None else self._loaded_item(cast("bytes", text), location)

    @acts(ActionGroup.READ)
    async def apeek(self) -> PriorityQueueItem[_T] | None:
        """The first value on the server, which stays; None when the queue is empty."""
        location = self._locate()
        text = await read(location, commands.peek(location.key, location.path, strict=True))
        return None if text is None else self._loaded_item(cast("bytes", text), location)

    @acts(ActionGroup.READ)
    async def asize(self) -> int:
        """How many values the queue has on the server."""
        location = self._locate()
        return cast("int", await read(location, commands.len_(location.key, location.path, strict=True)) or 0)

    @acts(ActionGroup.READ)
    async def aitems(self) -> list[PriorityQueueItem[_T]]:
        """The values of the queue on the server, the first one first."""
        await self.aload()
        return list(self._items)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, value: _T) -> bool:
        """Takes a value out, wherever it is in the queue; whether it was there."""
        location, codec = self._locate(), self._value_codec()
        text = codec.dump(codec.validate(value))
        unpush = partial(commands.unpush, location.key, location.path, text, require=self._codec().bounds)
        return bool(await operate(location, unpush))

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aclear(self) -> int:
        """Empties the queue on the server; how many values it had there."""
        location = self._locate()
        clear = partial(commands.clear, location.key, location.path, require=self._codec().bounds)
        return cast("int", await operate(location, clear))

    def _value_codec(self) -> Codec:
        return self._codec().item.second

    def _loaded_item(self, text: bytes, location: Location) -> PriorityQueueItem[_T]:
        priority, _ = from_json(text)
        return PriorityQueueItem(cast("_T", taken(self._codec().item, text, location)[1]), float(priority))

    def _rapyer_insert(self, at: int | None, pairs: list[Any]) -> None:
        at = len(self._items) if at is None else at
        self._items[at:at] = [PriorityQueueItem(value, priority) for priority, value in pairs]

    def _rapyer_cut(self, at: int, count: int) -> None:
        del self._items[at : at + count]

    def _put_all(self, items: list[PriorityQueueItem[_T]]) -> None:
        for item in items:
            self._drop(item.value)
            self._put(item)

    def _put(self, item: PriorityQueueItem[_T]) -> None:
        self._items.insert(bisect_right(self._items, item.priority, key=lambda held: held.priority), item)

    def _drop(self, value: _T) -> bool:
        for at, item in enumerate(self._items):
            if item.value == value:
                del self._items[at]
                return True
        return False

    def _rapyer_child_codec(self, key: Any) -> Codec:
        return self._codec().item

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, RedisPriorityQueue):
            return False
        self._items[:] = new._items
        return True


def _from_pairs(pairs: list[tuple[float, Any]]) -> RedisPriorityQueue[Any]:
    queue: RedisPriorityQueue[Any] = RedisPriorityQueue()
    queue._put_all([PriorityQueueItem(value, priority) for priority, value in pairs])
    return queue


def _pairs(queue: RedisPriorityQueue[Any]) -> list[tuple[float, Any]]:
    return [(item.priority, item.value) for item in queue]


@binds(RedisPriorityQueue)
def _bind_queue(value: RedisPriorityQueue[Any], holder: Holder, key: Any) -> RedisPriorityQueue[Any]:
    if is_place(value._rapyer_place, holder, key):
        return value
    bound: RedisPriorityQueue[Any] = value if value._rapyer_place is None else RedisPriorityQueue(value)
    bound._rapyer_place = (holder, key)
    return bound
