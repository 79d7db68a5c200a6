"""Lists."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from sys import maxsize
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar, cast, overload

from typing_extensions import Self

import rapyer._commands as commands
from rapyer._binding import ByKey, Held, Holder, Location, Place, bind, binds, is_place, merged
from rapyer._codec import Codec
from rapyer._elements import key_of, told_apart
from rapyer._native import CommandError
from rapyer._state import learn, load, state_of
from rapyer._transaction import Transaction, current, operate, read
from rapyer._words import Command
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
        location = self._locate()
        text = await read(location, commands.get(location.key, location.at(index).path, strict=True))
        if text is None:
            raise IndexError(f"the list on the server has no element {index}")
        text = cast("bytes", text)
        value = load(location.root, self._codec().item, text)
        at = index + len(self) if index < 0 else index
        if current() is None and 0 <= at < len(self) and not self._rapyer_moved:
            learn(location.root, (*location.segments, at), text, value)
            return self[at]
        return cast("_T", value)

    @acts(ActionGroup.READ)
    async def acontains(self, item: _T) -> bool:
        """Whether the list on the server has an element equal to this."""
        location, codec = self._locate(), self._codec().item
        text = codec.dump(codec.validate(item))
        return bool(
            await read(
                location,
                commands.contains(location.key, location.path, text, as_=codec.equality, strict=True),
            )
        )

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
        location, codec = self._locate(), self._codec()
        known = _known(codec.item, items)
        if not known.texts:
            return await self.alen()
        append = partial(
            commands.append,
            location.key,
            location.path,
            *known.texts,
            maxlen=maxlen,
            unique=unique,
            as_=codec.item.equality if unique else None,
            strict=unique and current() is not None and self._lacks(known),
            require=codec.bounds,
        )
        return cast("int", await operate(location, append, known=known.values))

    def _lacks(self, known: "_Known") -> bool:
        """Whether none of these elements is here, on which what a block is answered then rests."""
        codec = self._codec().item
        if codec.equality is not None:
            return not any(map(super().__contains__, known.values.values()))
        return set(map(codec.text, super().__iter__())).isdisjoint(known.texts)

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def ainsert(self, index: int, item: _T) -> int:
        """Inserts an item before an index of the list on the server, and returns the list's length there."""
        _check_index(index)
        location, codec = self._locate(), self._codec()
        known = _known(codec.item, [item])
        insert = partial(
            commands.insert,
            location.key,
            location.path,
            index,
            *known.texts,
            require=codec.bounds,
        )
        return cast("int", await operate(location, insert, known=known.values))

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self, index: int = -1) -> _T | None:
        """Takes an element from the list on the server and returns it; None when the list is empty.

        In a transaction it is the element that is there now: where another one is there at the end, the
        transaction is refused.
        """
        _check_index(index)
        location, codec = self._locate(), self._codec().item
        element = location.at(index)

        def popped(text: Any) -> Callable[..., Command] | None:
            # Where others moved it, what is known here has it somewhere else.
            if text is None:
                return None
            base = state_of(location.root).base
            if base is not None and base.get(element.path) == text:
                return partial(commands.pop, location.key, location.path, index)
            return partial(commands.remove, location.key, location.path, text, as_=codec.equality)

        text = await operate(
            location,
            partial(commands.pop, location.key, location.path, index, require=self._codec().bounds),
            then=popped,
            guard=lambda text: None if text is None else commands.expect(element.key, element.path, text),
        )
        if text is None:
            if index in (0, -1):
                return None
            raise IndexError(f"the list on the server has no element {index} to pop")
        return cast("_T", taken(codec, cast("bytes", text), location))

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, item: _T) -> bool:
        """Removes the first element equal to this from the list on the server; whether there was one."""
        location, codec = self._locate(), self._codec()
        known = _known(codec.item, [item])
        remove = partial(
            commands.remove,
            location.key,
            location.path,
            *known.texts,
            as_=codec.item.equality,
            require=codec.bounds,
        )
        return bool(await operate(location, remove))

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove_range(self, start: int, stop: int) -> int:
        """Removes the elements from one index up to another, as slices go; how many the server removed."""
        location = self._locate()
        cut = partial(commands.cut, location.key, location.path, start, stop, require=self._codec().bounds)
        return cast("int", await operate(location, cut))

    @acts(ActionGroup.UPDATE)
    async def aset_item(self, index: int, item: _T) -> None:
        """Replaces the element at an index of the list on the server."""
        _check_index(index)
        location, codec = self._locate(), self._codec()
        known = _known(codec.item, [item])
        if current() is not None and not -len(self) <= index < len(self):
            raise IndexError(f"the list has no element {index} to replace")
        put = partial(commands.set_, location.key, location.at(index).path, *known.texts)
        await operate(location, put, known=known.values)

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
        if self._rapyer_place is None:
            super().extend(items)
            return
        codec = self._codec()
        values = list(map(codec.item.validate, items))
        if values and (transaction := self._recording()) is not None:
            texts = list(map(codec.item.dump, values))
            self._record(
                transaction, lambda key, path, **terms: commands.append(key, path, *texts, **terms), codec
            )
        super().extend(values)

    def insert(self, index: SupportsIndex, item: _T) -> None:
        value = self._valid(item)
        if (transaction := self._moving()) is not None:
            at, text = index.__index__(), self._codec().item.dump(value)
            self._record(
                transaction, lambda key, path, **terms: commands.insert(key, path, at, text, **terms)
            )
        super().insert(index, value)

    def pop(self, index: SupportsIndex = -1) -> _T:
        if (transaction := self._recording_removal(index)) is not None:
            at = index.__index__()
            self._record(transaction, lambda key, path, **terms: commands.pop(key, path, at, **terms))
        return super().pop(index)

    def remove(self, item: _T) -> None:
        at = self.index(item)
        if (transaction := self._moving()) is not None:
            codec = self._codec()
            text, equality = codec.item.dump(super().__getitem__(at)), codec.item.equality
            self._record(
                transaction,
                lambda key, path, **terms: commands.remove(key, path, text, as_=equality, **terms),
                codec,
            )
        super().__delitem__(at)

    def remove_range(self, start: int, stop: int) -> None:
        """Removes the elements from one index up to another, as slices go."""
        if (transaction := self._moving()) is not None:
            self._record(
                transaction, lambda key, path, **terms: commands.cut(key, path, start, stop, **terms)
            )
        super().__delitem__(slice(start, stop))

    def clear(self) -> None:
        if (transaction := self._moving()) is not None:
            self._record(transaction, commands.clear)
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
                at = index.__index__()
                stop = maxsize if at == -1 else at + 1
                self._record(
                    transaction, lambda key, path, **terms: commands.cut(key, path, at, stop, **terms)
                )
            super().__delitem__(index)

    def _recording_removal(self, index: SupportsIndex) -> Transaction | None:
        """The transaction to record the removal of an element in; None where there is no such element."""
        at = index.__index__()
        transaction = self._moving() if -len(self) <= at < len(self) else None
        if transaction is not None:
            # What was seen here is what is taken there, or nothing is.
            transaction.expect_seen(self._locate().at(at))
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
            codec = self._codec().item
            record_assignment(transaction, place, item, codec.dump(value), codec, lambda base: base is held)
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

    def _rapyer_child_codec(self, key: Any) -> Codec:
        return self._codec().item

    def _rapyer_locate_child(self, child: object, key: Any) -> Location:
        at = [index for index, item in enumerate(super().__iter__()) if item is child]
        if len(at) != 1:
            found = "is no longer in" if not at else "is several times in"
            raise DetachedValueError(
                f"this {type(child).__name__} {found} its list, so there is no one place to write to"
            )
        location = self._locate()
        step = self._by_key(location, child)
        if step is not None:
            return location.at(step)
        if self._rapyer_moved and current() is None and (base := state_of(location.root).base) is not None:
            # In a transaction what was changed before goes ahead of what is done now.
            if not self._codec().same(base.get(location.path) or b"null", self._codec().text(self)):
                raise DetachedValueError(
                    f"{location.path} has elements in other places than on the server: save the model first"
                )
            self._rapyer_moved = False
        return location.at(Held(at[0]))

    def _by_key(self, location: Location, child: object) -> ByKey | None:
        """The step to an element by its key; None where it has none, or one that others have too."""
        codec = self._codec().item
        name, key = codec.key_field, key_of(codec, child)
        if name is None or not told_apart([key]):
            return None
        if sum(key_of(codec, item) == key for item in super().__iter__()) != 1:
            return None
        step = ByKey(name, key)
        base = state_of(location.root).base
        if current() is None and base is not None:
            # In a transaction what was changed before goes ahead of what is done now.
            try:
                if base.get(location.at(step).path) is None:
                    return None
            except CommandError:
                return None
        return step

    def _same_elements(self, new: list[Any]) -> list[Any]:
        """New elements as the objects that those of the same keys are here."""
        if self._rapyer_place is None or (codec := self._codec().item).key_field is None:
            return new
        keys = [key_of(codec, item) for item in new]
        if not told_apart(keys):
            return new
        held = {key_of(codec, item): item for item in super().__iter__()}
        return [merged(held.get(key), item) for key, item in zip(keys, new, strict=True)]

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, list):
            return False
        super().__setitem__(slice(None), self._same_elements(new))
        self._rapyer_moved = False
        return True


def _check_index(index: object) -> None:
    if isinstance(index, bool) or not isinstance(index, int):
        raise UnsupportedArgumentTypeError(f"a list is indexed by an int, not by {index!r}")


class _Known(NamedTuple):
    texts: list[bytes]
    values: dict[bytes, Any]


def _known(codec: Codec, items: Iterable[Any]) -> _Known:
    """What is stored of items, and the values of these texts."""
    values = list(map(codec.validate, items))
    texts = list(map(codec.dump, values))
    return _Known(texts, dict(zip(texts, values, strict=True)))


@binds(list, RedisList)
def _bind_list(value: list[Any], holder: Holder, key: Any) -> list[Any]:
    if isinstance(value, RedisList) and is_place(value._rapyer_place, holder, key):
        return value
    if not holder._rapyer_child_codec(key).holds_list:
        return value
    bound = RedisList(list.__iter__(value))
    bound._rapyer_place = (holder, key)
    return bound
