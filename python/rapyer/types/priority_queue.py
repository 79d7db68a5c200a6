"""Priority queues."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

from pydantic_core import core_schema, from_json, to_json
from typing_extensions import NamedTuple

from rapyer._binding import Holder, Location, Place, binds, is_place
from rapyer._codec import Codec
from rapyer._connection import Word
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
        pushed: list[PriorityQueueItem[_T]] = []
        words: list[Word] = []
        for value, priority in items:
            if isinstance(priority, bool) or not isinstance(priority, (int, float)):
                raise UnsupportedArgumentTypeError(f"a priority is a number, not {priority!r}")
            if not math.isfinite(priority):
                raise UnsupportedArgumentValueError(
                    f"a priority cannot be {priority!r}: JSON has no such number"
                )
            item = PriorityQueueItem(cast("_T", codec.validate(value)), float(priority))
            pushed.append(item)
            words += [repr(item.priority), codec.dump(item.value)]
        if not pushed:
            return 0
        before = len(self._items)
        if (transaction := self._awaited()) is not None:
            self._record(transaction, "MODEL.PUSH", *words)
            self._put_all(pushed)
            return len(self._items) - before
        added = cast("int", await location.execute("MODEL.PUSH", *words))
        self._put_all(pushed)
        self._note(location)
        return added

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self) -> PriorityQueueItem[_T] | None:
        """Takes the first value out; None when the queue is empty.

        In a transaction it is the one that is first now: where another one is at the end, the transaction is
        refused.
        """
        location = self._locate()
        if (transaction := self._awaited()) is not None:
            if not self._items:
                return None
            item = self._items[0]
            place = location.at(0)
            transaction.record(place, "MODEL.EXPECT", self._pair_text(item))
            self._record(transaction, "MODEL.POPMIN")
            return self._items.pop(0)
        text = cast("bytes | None", await location.execute("MODEL.POPMIN"))
        if text is None:
            self._items.clear()
            self._note(location)
            return None
        item = self._loaded_item(text, location)
        self._drop(item.value)
        self._note(location)
        return item

    @acts(ActionGroup.READ)
    async def apeek(self) -> PriorityQueueItem[_T] | None:
        """The first value on the server, which stays; None when the queue is empty."""
        location = self._locate()
        text = cast("bytes | None", await location.execute("MODEL.PEEK"))
        return None if text is None else self._loaded_item(text, location)

    @acts(ActionGroup.READ)
    async def asize(self) -> int:
        """How many values the queue has on the server."""
        return cast("int", await self._locate().execute("MODEL.LEN") or 0)

    @acts(ActionGroup.READ)
    async def aitems(self) -> list[PriorityQueueItem[_T]]:
        """The values of the queue on the server, the first one first."""
        await self.aload()
        return list(self._items)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, value: _T) -> bool:
        """Takes a value out, wherever it is in the queue; whether it was there."""
        location, codec = self._locate(), self._value_codec()
        valid = cast("_T", codec.validate(value))
        text = codec.dump(valid)
        if (transaction := self._awaited()) is not None:
            self._record(transaction, "MODEL.UNPUSH", text)
            return self._drop(valid)
        removed = await location.execute("MODEL.UNPUSH", text)
        self._drop(valid)
        self._note(location)
        return bool(removed)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aclear(self) -> int:
        """Empties the queue on the server; how many values it had there."""
        location = self._locate()
        if (transaction := self._awaited()) is not None:
            self._record(transaction, "MODEL.CLEAR")
            removed = len(self._items)
        else:
            removed = cast("int", await location.execute("MODEL.CLEAR"))
        self._items.clear()
        if transaction is None:
            self._note(location)
        return removed

    def _value_codec(self) -> Codec:
        return self._codec().item.second

    def _loaded_item(self, text: bytes, location: Location) -> PriorityQueueItem[_T]:
        priority, _ = from_json(text)
        return PriorityQueueItem(cast("_T", taken(self._codec().item, text, location)[1]), float(priority))

    def _pair_text(self, item: PriorityQueueItem[_T]) -> bytes:
        value = self._value_codec().dump(item.value)
        return b"[" + to_json(item.priority) + b"," + value + b"]"

    def _note(self, location: Location) -> None:
        """What was last seen is what is known of the document, so that saving does not send it."""
        text = b"[" + b",".join(map(self._pair_text, self._items)) + b"]"
        location.root._stored.put(location.segments, text)

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

    def _child_codec(self, key: Any) -> Codec:
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
