"""Lists."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast, overload

from pydantic_core import from_json
from typing_extensions import Self

from rapyer._binding import Holder, Location, Place, bind, binds, is_place
from rapyer._codec import Codec
from rapyer._stored import drop_equal
from rapyer._transaction import Transaction, current
from rapyer.actions import ActionGroup, acts
from rapyer.errors import (
    DetachedValueError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)
from rapyer.types._atomic import Container, record_assignment, taken
from rapyer.types._described import Described

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisList"]

_T = TypeVar("_T")


class RedisList(list[_T], Container, Described[list[_T], list[_T]]):
    """A list. Its own methods are local, until the model is saved; the awaited ones are the server's."""

    __slots__ = ("_rapyer_moved", "_rapyer_place")

    _rapyer_type = list

    def __init__(self, items: Iterable[_T] = ()) -> None:
        super().__init__(items)
        self._rapyer_place: Place | None = None
        # Whether elements got other indexes here, which the server may not know yet.
        self._rapyer_moved = False

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        (item,) = getattr(source, "__args__", (Any,))
        return handler(list[item])  # type: ignore[valid-type]

    # Copies and pickles are plain lists: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(list.__iter__(self)),)

    @acts(ActionGroup.READ)
    async def aget(self, index: int) -> _T:
        """The element at an index of the list on the server. Raises IndexError where there is none."""
        _check_index(index)
        location, codec = self._locate().at(index), self._codec().item
        text = cast("bytes | None", await location.execute("MODEL.GET"))
        if text is None:
            raise IndexError(f"the list on the server has no element {index}")
        value = location.root._loaded(codec, text)
        location.root._stored.put(location.segments, text)
        if -len(self) <= index < len(self):
            super().__setitem__(index, value)
            return self[index]
        return cast("_T", value)

    @acts(ActionGroup.READ)
    async def acontains(self, item: _T) -> bool:
        """Whether the list on the server has an element equal to this."""
        codec = self._codec().item
        text = codec.dump(codec.validate(item))
        return bool(await self._locate().execute("MODEL.CONTAINS", text))

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def aappend(self, item: _T, *, maxlen: int | None = None, unique: bool = False) -> int:
        """Appends on the server, whatever the list holds there, and returns its length there.

        `unique` leaves out an item that is there already; of a list longer than `maxlen` the first ones go.
        """
        return await self._aadd([item], maxlen, unique)

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def aextend(self, items: Iterable[_T], *, maxlen: int | None = None, unique: bool = False) -> int:
        """Appends several items at once, as `aappend` does one; the length of the list on the server."""
        return await self._aadd(items, maxlen, unique)

    async def _aadd(self, items: Iterable[_T], maxlen: int | None, unique: bool) -> int:
        if maxlen is not None and maxlen < 0:
            raise UnsupportedArgumentValueError(f"maxlen must not be negative, and is {maxlen!r}")
        location, codec = self._locate(), self._codec().item
        values = [codec.validate(item) for item in items]
        if not values:
            return await self.alen()
        texts = [codec.dump(value) for value in values]
        words = [*texts, *(() if maxlen is None else ("MAXLEN", maxlen)), *(["UNIQUE"] if unique else [])]
        if (transaction := self._awaited()) is not None:
            self._record(transaction, "MODEL.APPEND", *words)
            _extend(self, values, maxlen, unique)
            return len(self)
        length = cast("int", await location.execute("MODEL.APPEND", *words))
        self._follow(location, lambda held, new: _extend(held, new, maxlen, unique), values, texts)
        return length

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def ainsert(self, index: int, item: _T) -> int:
        """Inserts an item before an index of the list on the server, and returns the list's length there."""
        _check_index(index)
        if self._awaited() is not None:
            self.insert(index, item)
            return len(self)
        location, codec = self._locate(), self._codec().item
        value = codec.validate(item)
        text = codec.dump(value)
        length = cast("int", await location.execute("MODEL.INSERT", index, text))
        self._follow(location, lambda held, new: list.insert(held, index, new[0]), [value], [text])
        return length

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self, index: int = -1) -> _T | None:
        """Takes an element from the list on the server and returns it; None when the list is empty.

        In a transaction it is the element that is there now: where another one is there at the end, the
        transaction is refused.
        """
        _check_index(index)
        if self._awaited() is not None:
            return self.pop(index) if self or index not in (0, -1) else None
        location, codec = self._locate(), self._codec().item
        text = cast("bytes | None", await location.execute("MODEL.POP", index))
        if text is None:
            if index in (0, -1):
                return None
            raise IndexError(f"the list on the server has no element {index} to pop")
        location.root._stored.change(
            location.segments, list, lambda held: drop_equal(held, index, from_json(text))
        )
        value = taken(codec, text, location)
        drop_equal(self, index, value)
        return cast("_T", value)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, item: _T) -> bool:
        """Removes the first element equal to this from the list on the server; whether there was one."""
        location, codec = self._locate(), self._codec().item
        value = codec.validate(item)
        text = codec.dump(value)
        if (transaction := self._awaited()) is not None:
            self._record(transaction, "MODEL.REMOVE", text)
            return _remove(self, value)
        removed = cast("int", await location.execute("MODEL.REMOVE", text))
        self._follow(location, lambda held, gone: _remove(held, gone[0]), [value], [text])
        return bool(removed)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove_range(self, start: int, stop: int) -> int:
        """Removes the elements from one index up to another, as slices go; how many the server removed."""
        if self._awaited() is not None:
            before = len(self)
            self.remove_range(start, stop)
            return before - len(self)
        location = self._locate()
        removed = cast("int", await location.execute("MODEL.CUT", start, stop))
        self._follow(location, lambda held, _: list.__delitem__(held, slice(start, stop)), [], [])
        return removed

    @acts(ActionGroup.UPDATE)
    async def aset_item(self, index: int, item: _T) -> None:
        """Replaces the element at an index of the list on the server."""
        _check_index(index)
        if (transaction := self._awaited()) is not None and not -len(self) <= index < len(self):
            raise IndexError(f"the list has no element {index} to replace")
        if transaction is not None:
            self[index] = item
            return
        location, codec = self._locate().at(index), self._codec().item
        value = codec.validate(item)
        text = codec.dump(value)
        await location.execute("MODEL.SET", text)
        location.root._stored.put(location.segments, text)
        if -len(self) <= index < len(self):
            super().__setitem__(index, value)

    def _follow(
        self,
        location: Location,
        edit: Callable[[list[Any], list[Any]], object],
        values: list[Any],
        texts: list[bytes],
    ) -> None:
        """Has what is known of the document and this list follow a change of the server's."""
        stored = [from_json(text) for text in texts]
        location.root._stored.change(location.segments, list, lambda held: edit(held, stored))
        edit(self, values)

    # -- local changes, which a transaction records

    def _moving(self) -> Transaction | None:
        """The transaction that a change is to be recorded in; without one, elements have moved here only."""
        transaction = self._recording()
        self._rapyer_moved = self._rapyer_moved or transaction is None
        return transaction

    def _rewrite(self, change: Callable[[], object]) -> None:
        self._moving()
        super()._rewrite(change)

    def append(self, item: _T) -> None:
        self.extend([item])

    def extend(self, items: Iterable[_T]) -> None:
        values = [self._valid(item) for item in items]
        if values and (transaction := self._recording()) is not None:
            self._record(transaction, "MODEL.APPEND", *map(self._codec().item.dump, values))
        super().extend(values)

    def insert(self, index: SupportsIndex, item: _T) -> None:
        value = self._valid(item)
        if (transaction := self._moving()) is not None:
            self._record(transaction, "MODEL.INSERT", index.__index__(), self._codec().item.dump(value))
        super().insert(index, value)

    def pop(self, index: SupportsIndex = -1) -> _T:
        if (transaction := self._recording_removal(index)) is not None:
            self._record(transaction, "MODEL.POP", index.__index__())
        return super().pop(index)

    def remove(self, item: _T) -> None:
        at = self.index(item)
        if (transaction := self._moving()) is not None:
            text = self._codec().item.dump(super().__getitem__(at))
            self._record(transaction, "MODEL.REMOVE", text)
        super().__delitem__(at)

    def remove_range(self, start: int, stop: int) -> None:
        """Removes the elements from one index up to another, as slices go."""
        if (transaction := self._moving()) is not None:
            self._record(transaction, "MODEL.CUT", start, stop)
        super().__delitem__(slice(start, stop))

    def clear(self) -> None:
        if (transaction := self._moving()) is not None:
            self._record(transaction, "MODEL.CLEAR")
        super().clear()

    def sort(self, **how: Any) -> None:
        self._rewrite(lambda: list.sort(self, **how))

    def reverse(self) -> None:
        self._rewrite(lambda: list.reverse(self))

    def __imul__(self, times: SupportsIndex) -> Self:
        self._rewrite(lambda: list.__imul__(self, times))
        return self

    def __iadd__(self, items: Iterable[_T]) -> Self:  # type: ignore[override,misc]
        self.extend(items)
        return self

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        if isinstance(index, slice):
            self._rewrite(lambda: list.__delitem__(self, index))
        else:
            if (transaction := self._recording_removal(index)) is not None:
                transaction.record(self._locate().at(index.__index__()), "MODEL.UNSET")
            super().__delitem__(index)

    def _recording_removal(self, index: SupportsIndex) -> Transaction | None:
        """The transaction to record the removal of an element in; None where there is no such element."""
        at = index.__index__()
        transaction = self._moving() if -len(self) <= at < len(self) else None
        if transaction is not None:
            # What was seen here is what is taken there, or nothing is.
            text = self._codec().item.dump(super().__getitem__(at))
            transaction.record(self._locate().at(at), "MODEL.EXPECT", text)
        return transaction

    @overload
    def __setitem__(self, index: SupportsIndex, item: _T) -> None: ...
    @overload
    def __setitem__(self, index: slice, item: Iterable[_T]) -> None: ...
    def __setitem__(self, index: Any, item: Any) -> None:
        if isinstance(index, slice):
            values = [self._valid(one) for one in item]
            self._rewrite(lambda: list.__setitem__(self, index, values))
            return
        value = self._valid(item)
        held = super().__getitem__(index)
        if (transaction := self._recording()) is not None:
            place = self._locate().at(index.__index__())
            text = self._codec().item.dump(value)
            record_assignment(transaction, place, item, text, lambda base: base is held)
        super().__setitem__(index, value)

    @overload
    def __getitem__(self, index: SupportsIndex) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        item = super().__getitem__(index)
        if self._rapyer_place is None:
            return item
        bound = bind(item, self, None)
        if bound is not item:
            super().__setitem__(index, bound)
        return bound

    def __iter__(self) -> Iterator[_T]:
        # Numbers and texts are handed out plain here: binding each would make a loop over them slow.
        if self._rapyer_place is not None and self._codec().item.holds_containers:
            for at, item in enumerate(super().__iter__()):
                bound = bind(item, self, None)
                if bound is not item:
                    super().__setitem__(at, bound)
        return super().__iter__()

    def _valid(self, item: Any) -> Any:
        return item if self._rapyer_place is None else self._codec().item.validate(item)

    def _child_codec(self, key: Any) -> Codec:
        return self._codec().item

    def _locate_child(self, child: object, key: Any) -> Location:
        at = [index for index, item in enumerate(super().__iter__()) if item is child]
        if len(at) != 1:
            found = "is no longer in" if not at else "is several times in"
            raise DetachedValueError(
                f"this {type(child).__name__} {found} its list, so there is no one place to write to"
            )
        location = self._locate()
        if self._rapyer_moved and current() is None and (known := location.root._known()) is not None:
            # In a transaction what was changed before goes ahead of what is done now.
            if known.value(location.segments) != from_json(self._codec().dump(self)):
                raise DetachedValueError(
                    f"{location.path} has elements in other places than on the server: save the model first"
                )
            self._rapyer_moved = False
        return location.at(at[0])

    def _put_child(self, child: object, key: Any, value: object) -> None:
        for index, item in enumerate(super().__iter__()):
            if item is child:
                super().__setitem__(index, cast("_T", value))
                return

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, list):
            return False
        super().__setitem__(slice(None), new)
        self._rapyer_moved = False
        return True


def _check_index(index: object) -> None:
    if isinstance(index, bool) or not isinstance(index, int):
        raise UnsupportedArgumentTypeError(f"a list is indexed by an int, not by {index!r}")


# What the server does to a list, done to one here: not by the list's own methods, which would record it.


def _extend(items: list[Any], new: list[Any], maxlen: int | None, unique: bool) -> None:
    for value in new:
        if not unique or not any(value == item for item in list.__iter__(items)):
            list.append(items, value)
    if maxlen is not None and len(items) > maxlen:
        list.__delitem__(items, slice(0, len(items) - maxlen))


def _remove(items: list[Any], value: Any) -> bool:
    for at, item in enumerate(list.__iter__(items)):
        if item == value:
            list.__delitem__(items, at)
            return True
    return False


@binds(list, RedisList)
def _bind_list(value: list[Any], holder: Holder, key: Any) -> RedisList[Any]:
    if isinstance(value, RedisList) and is_place(value._rapyer_place, holder, key):
        return value
    bound = RedisList(list.__iter__(value))
    bound._rapyer_place = (holder, key)
    return bound
