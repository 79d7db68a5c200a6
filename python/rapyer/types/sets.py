"""Sets."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from typing_extensions import Self

import rapyer._commands as commands
from rapyer._binding import Holder, Location, Place, binds, is_place
from rapyer._codec import Codec
from rapyer._state import load, see
from rapyer._transaction import current, operate, read, read_several
from rapyer.actions import ActionGroup, acts
from rapyer.errors import DetachedValueError, UnsupportedArgumentTypeError
from rapyer.types._atomic import Container, taken
from rapyer.types._described import Described

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisSet"]

_T = TypeVar("_T")


class RedisSet(set[_T], Container, Described[set[_T], set[_T]]):
    """A set. Its own methods are local, until the model is saved; the awaited ones are the server's.

    Saving the model sends what was added and removed here, so that it undoes nothing that others did.
    """

    __slots__ = ("_rapyer_place",)

    _rapyer_type = set

    def __init__(self, items: Iterable[_T] = ()) -> None:
        super().__init__(items)
        self._rapyer_place: Place | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        (item,) = getattr(source, "__args__", (Any,))
        return handler(set[item])  # type: ignore[valid-type]

    # Copies and pickles are plain sets: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return set, (list(self),)

    def copy(self) -> set[_T]:
        return set(self)

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def aadd(self, item: _T) -> bool:
        """Adds an item to the set on the server; whether it was new there."""
        return await self.aadd_many([item]) == 1

    @acts(ActionGroup.UPDATE, ActionGroup.APPEND)
    async def aadd_many(self, items: Iterable[_T]) -> int:
        """Adds items to the set on the server; how many were new there."""
        values = self._valid_all(items)
        if not values:
            return 0
        location, codec, texts = self._locate(), self._codec(), self._texts(values)
        add = partial(
            commands.add,
            location.key,
            location.path,
            *texts,
            as_=codec.item.equality,
            require=codec.bounds,
        )
        known = dict(zip(texts, values, strict=True))
        return cast("int", await operate(location, add, known=known))

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, item: _T) -> bool:
        """Removes an item from the set on the server; whether it was there."""
        location, codec, texts = self._locate(), self._codec(), self._texts(self._valid_all([item]))
        discard = partial(
            commands.discard,
            location.key,
            location.path,
            *texts,
            as_=codec.item.equality,
            require=codec.bounds,
        )
        return await operate(location, discard) == 1

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self) -> _T | None:
        """Takes any item from the set on the server; None when it is empty."""
        location = self._locate()
        if current() is not None:
            # Any item there is not any item here.
            return self.pop() if self else None
        text = await operate(
            location,
            partial(commands.pop, location.key, location.path, require=self._codec().bounds),
            then=lambda text: (
                None if text is None else partial(commands.discard, location.key, location.path, text)
            ),
        )
        if text is None:
            return None
        return cast("_T", taken(self._codec().item, cast("bytes", text), location))

    @acts(ActionGroup.READ)
    async def acontains(self, item: _T) -> bool:
        """Whether the set on the server has an item."""
        location, codec = self._locate(), self._codec().item
        text = codec.dump(codec.validate(item))
        return bool(
            await read(
                location,
                commands.contains(location.key, location.path, text, as_=codec.equality, strict=True),
            )
        )

    @acts(ActionGroup.READ)
    async def amembers(self) -> set[_T]:
        """The items of the set on the server. What was added and removed here stays unsaved."""
        location = self._locate()
        text = cast(
            "bytes | None", await read(location, commands.get(location.key, location.path, strict=True))
        )
        if text is None:
            return set()
        members = cast("set[_T] | None", load(location.root, self._codec(), text))
        if current() is None:
            see(location.root, location.segments, text)
        return members or set()

    @acts(ActionGroup.READ)
    async def asize(self) -> int:
        """How many items the set has on the server."""
        return await self.alen()

    @acts(ActionGroup.READ)
    async def aunion(self, *others: "RedisSet[_T]") -> set[_T]:
        """The items of this set or of others, as the server has them."""
        return await self._combined("UNION", others)

    @acts(ActionGroup.READ)
    async def aintersect(self, *others: "RedisSet[_T]") -> set[_T]:
        """The items of this set that others have too, as the server has them."""
        return await self._combined("INTER", others)

    @acts(ActionGroup.READ)
    async def adifference(self, *others: "RedisSet[_T]") -> set[_T]:
        """The items of this set that no other one has, as the server has them."""
        return await self._combined("DIFF", others)

    async def _combined(
        self, operation: Literal["UNION", "INTER", "DIFF"], others: "tuple[RedisSet[_T], ...]"
    ) -> set[_T]:
        for other in others:
            if not isinstance(other, RedisSet):
                raise UnsupportedArgumentTypeError(f"sets of stored models are combined, not {other!r}")
        location = self._locate()
        places = [location, *(other._locate() for other in others)]
        keys, paths = [place.key for place in places], [place.path for place in places]
        words = commands.setop(keys, paths, operation, as_=self._codec().item.equality)
        text = cast("bytes", await read_several(places, words))
        return cast("set[_T]", load(location.root, self._codec(), text))

    def _valid_all(self, items: Iterable[_T]) -> set[_T]:
        if self._rapyer_place is None:
            return set(items)
        codec = self._codec().item
        return {codec.validate(item) for item in items}

    def _texts(self, values: Iterable[_T]) -> list[bytes]:
        codec = self._codec().item
        return [codec.dump(value) for value in values]

    # -- local changes, which a transaction records

    def _change(self, added: Iterable[_T], removed: Iterable[_T], *, strict: bool = False) -> None:
        new, gone = self._valid_all(added), set(removed)
        if (transaction := self._recording()) is not None:
            equality = self._codec().item.equality
            if gone:
                going = self._texts(gone)
                self._record(
                    transaction,
                    lambda key, path, **terms: commands.discard(
                        key, path, *going, as_=equality, strict=strict, **terms
                    ),
                )
            if new:
                coming = self._texts(new)
                self._record(
                    transaction,
                    lambda key, path, **terms: commands.add(
                        key, path, *coming, as_=equality, strict=strict, **terms
                    ),
                )
        super().difference_update(gone)
        super().update(new)

    def add(self, item: _T) -> None:
        self._change([item], [])

    def update(self, *others: Iterable[_T]) -> None:
        self._change({item for other in others for item in other}, [])

    def discard(self, item: object) -> None:
        self._change([], [cast("_T", item)])

    def remove(self, item: _T) -> None:
        if item not in self:
            raise KeyError(item)
        self._change([], [item])

    def pop(self) -> _T:
        for item in self:
            if (transaction := self._recording()) is not None:
                # To take it is to read it as well, which is a group of its own.
                location, (text,) = self._locate(), self._texts([item])
                transaction.record(location, commands.contains(location.key, location.path, text))
            # What was seen here is what is taken there, or nothing is.
            self._change([], [item], strict=True)
            return item
        raise KeyError("pop from an empty set")

    def clear(self) -> None:
        if (transaction := self._recording()) is not None:
            self._record(transaction, commands.clear)
        super().clear()

    def difference_update(self, *others: Iterable[Any]) -> None:
        self._change([], {item for other in others for item in other if item in self})

    def intersection_update(self, *others: Iterable[Any]) -> None:
        self._change([], self.difference(set(self).intersection(*others)))

    def symmetric_difference_update(self, other: Iterable[_T]) -> None:
        values = self._valid_all(other)
        # What is there goes and what is not comes: with another set it would be other values.
        self._change(values.difference(self), values.intersection(self), strict=True)

    def __ior__(self, other: AbstractSet[_T]) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __isub__(self, other: AbstractSet[object]) -> Self:
        self.difference_update(other)
        return self

    def __iand__(self, other: AbstractSet[object]) -> Self:
        self.intersection_update(other)
        return self

    def __ixor__(self, other: AbstractSet[_T]) -> Self:  # type: ignore[override,misc]
        self.symmetric_difference_update(other)
        return self

    # -- what sits in it: nothing with a place of its own

    def _rapyer_child_codec(self, key: Any) -> Codec:
        return self._codec().item

    def _rapyer_locate_child(self, child: object, key: Any) -> Location:
        raise DetachedValueError("an item of a set has no place of its own: remove it, and add another one")

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, set):
            return False
        super().clear()
        super().update(new)
        return True


@binds(set, RedisSet)
def _bind_set(value: set[Any], holder: Holder, key: Any) -> RedisSet[Any]:
    if isinstance(value, RedisSet) and is_place(value._rapyer_place, holder, key):
        return value
    bound: RedisSet[Any] = RedisSet(value)
    bound._rapyer_place = (holder, key)
    return bound
