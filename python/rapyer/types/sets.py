"""Sets."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic_core import from_json
from typing_extensions import Self

from rapyer._binding import Holder, Location, Place, binds, is_place
from rapyer._codec import Codec
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
        if self._awaited() is not None:
            before = len(self)
            self.update(values)
            return len(self) - before
        added = await self._changed("MODEL.ADD", values)
        super().update(values)
        return added

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aremove(self, item: _T) -> bool:
        """Removes an item from the set on the server; whether it was there."""
        (value,) = self._valid_all([item])
        if self._awaited() is not None:
            held = value in self
            self.discard(value)
            return held
        removed = await self._changed("MODEL.DISCARD", {value})
        super().discard(value)
        return removed == 1

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self) -> _T | None:
        """Takes any item from the set on the server; None when it is empty."""
        if self._awaited() is not None:
            return self.pop() if self else None
        location = self._locate()
        text = cast("bytes | None", await location.execute("MODEL.POP"))
        if text is None:
            return None
        self._edit_stored(location, [], [text])
        value = taken(self._codec().item, text, location)
        super().discard(value)
        return cast("_T", value)

    @acts(ActionGroup.READ)
    async def acontains(self, item: _T) -> bool:
        """Whether the set on the server has an item."""
        codec = self._codec().item
        return bool(await self._locate().execute("MODEL.CONTAINS", codec.dump(codec.validate(item))))

    @acts(ActionGroup.READ)
    async def amembers(self) -> set[_T]:
        """The items of the set on the server."""
        return set(cast("set[_T] | None", await self.aload()) or ())

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

    async def _combined(self, operation: str, others: "tuple[RedisSet[_T], ...]") -> set[_T]:
        for other in others:
            if not isinstance(other, RedisSet):
                raise UnsupportedArgumentTypeError(f"sets of stored models are combined, not {other!r}")
        location = self._locate()
        places = [location, *(other._locate() for other in others)]
        keys, paths = [place.root.key for place in places], [place.path for place in places]
        answer = await location.root._execute("MODEL.SETOP", len(keys), *keys, *paths, operation)
        text = cast("bytes", answer)
        return cast("set[_T]", location.root._loaded(self._codec(), text))

    async def _changed(self, command: str, values: set[_T]) -> int:
        location, texts = self._locate(), self._texts(values)
        changed = cast("int", await location.execute(command, *texts))
        adds = command == "MODEL.ADD"
        self._edit_stored(location, texts if adds else [], [] if adds else texts)
        return changed

    def _edit_stored(self, location: Location, added: list[bytes], removed: list[bytes]) -> None:
        new, gone = [from_json(text) for text in added], [from_json(text) for text in removed]

        def edit(held: list[Any]) -> None:
            held[:] = [item for item in held if item not in gone]
            held.extend(item for item in new if item not in held)

        location.root._stored.change(location.segments, list, edit)

    def _valid_all(self, items: Iterable[_T]) -> set[_T]:
        if self._rapyer_place is None:
            return set(items)
        codec = self._codec().item
        return {codec.validate(item) for item in items}

    def _texts(self, values: Iterable[_T]) -> list[bytes]:
        codec = self._codec().item
        return [codec.dump(value) for value in values]

    # -- local changes, which a transaction records

    def _change(self, added: Iterable[_T], removed: Iterable[_T], *strictly: str) -> None:
        new, gone = self._valid_all(added), set(removed)
        if (transaction := self._recording()) is not None:
            if gone:
                self._record(transaction, "MODEL.DISCARD", *self._texts(gone), *strictly)
            if new:
                self._record(transaction, "MODEL.ADD", *self._texts(new), *strictly)
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
                self._record(transaction, "MODEL.CONTAINS", *self._texts([item]))
            # What was seen here is what is taken there, or nothing is.
            self._change([], [item], "STRICT")
            return item
        raise KeyError("pop from an empty set")

    def clear(self) -> None:
        if (transaction := self._recording()) is not None:
            self._record(transaction, "MODEL.CLEAR")
        super().clear()

    def difference_update(self, *others: Iterable[Any]) -> None:
        self._change([], {item for other in others for item in other if item in self})

    def intersection_update(self, *others: Iterable[Any]) -> None:
        self._change([], self.difference(set(self).intersection(*others)))

    def symmetric_difference_update(self, other: Iterable[_T]) -> None:
        values = self._valid_all(other)
        # What is there goes and what is not comes: with another set it would be other values.
        self._change(values.difference(self), values.intersection(self), "STRICT")

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

    def _child_codec(self, key: Any) -> Codec:
        return self._codec().item

    def _locate_child(self, child: object, key: Any) -> Location:
        raise DetachedValueError("an item of a set has no place of its own: remove it, and add another one")

    def _put_child(self, child: object, key: Any, value: object) -> None:
        """Nothing sits here by itself."""

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
