"""Lists."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, cast, overload

from typing_extensions import Self

from rapyer._binding import Holder, Location, Place, bind, binds, is_place
from rapyer._codec import Codec
from rapyer._stored import drop_equal
from rapyer.errors import DetachedValueError, UnsupportedArgumentTypeError
from rapyer.types._atomic import Atomic

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisList"]

_T = TypeVar("_T")


class RedisList(list[_T], Atomic):
    """A list. Its own methods are local, until the model is saved; the awaited ones are the server's."""

    __slots__ = ("_rapyer_place",)

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisList[_T]": ...
        def __set__(self, model: object, value: list[_T]) -> None: ...

    def __init__(self, items: Iterable[_T] = ()) -> None:
        super().__init__(items)
        self._rapyer_place: Place | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        (item,) = getattr(source, "__args__", (Any,))
        return handler(list[item])  # type: ignore[valid-type]

    # Copies and pickles are plain lists: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(list.__iter__(self)),)

    async def aappend(self, item: _T) -> int:
        """Appends on the server, whatever the list holds there, and returns its length there."""
        location, codec = self._locate(), self._codec().item
        value = codec.validate(item)
        text = codec.dump(value)
        length = cast("int", await location.execute("MODEL.APPEND", text))
        location.root._stored.extend(location.segments, [text])
        super().append(value)
        return length

    async def apop(self, index: int = -1) -> _T | None:
        """Takes an element from the list on the server and returns it; None when the list is empty."""
        _check_index(index)
        location, codec = self._locate(), self._codec().item
        text = cast("bytes | None", await location.execute("MODEL.POP", index))
        if text is None:
            if index in (0, -1):
                return None
            raise IndexError(f"the list on the server has no element {index} to pop")
        value = location.root._loaded(codec, text)
        location.root._stored.drop(location.segments, index, text)
        drop_equal(self, index, value)
        return cast("_T", value)

    async def aset_item(self, index: int, item: _T) -> None:
        """Replaces the element at an index of the list on the server."""
        _check_index(index)
        location, codec = self._locate().at(index), self._codec().item
        value = codec.validate(item)
        text = codec.dump(value)
        await location.execute("MODEL.SET", text)
        location.root._stored.put(location.segments, text)
        if -len(self) <= index < len(self):
            super().__setitem__(index, value)

    def append(self, item: _T) -> None:
        super().append(self._valid(item))

    def extend(self, items: Iterable[_T]) -> None:
        super().extend([self._valid(item) for item in items])

    def insert(self, index: SupportsIndex, item: _T) -> None:
        super().insert(index, self._valid(item))

    def __iadd__(self, items: Iterable[_T]) -> Self:  # type: ignore[override,misc]
        self.extend(items)
        return self

    @overload
    def __setitem__(self, index: SupportsIndex, item: _T) -> None: ...
    @overload
    def __setitem__(self, index: slice, item: Iterable[_T]) -> None: ...
    def __setitem__(self, index: Any, item: Any) -> None:
        if isinstance(index, slice):
            super().__setitem__(index, [self._valid(one) for one in item])
        else:
            super().__setitem__(index, self._valid(item))

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
        return self._locate().at(at[0])

    def _put_child(self, child: object, key: Any, value: object) -> None:
        for index, item in enumerate(super().__iter__()):
            if item is child:
                super().__setitem__(index, cast("_T", value))
                return

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, list):
            return False
        super().__setitem__(slice(None), new)
        return True


def _check_index(index: object) -> None:
    if isinstance(index, bool) or not isinstance(index, int):
        raise UnsupportedArgumentTypeError(f"a list is indexed by an int, not by {index!r}")


@binds(list, RedisList)
def _bind_list(value: list[Any], holder: Holder, key: Any) -> RedisList[Any]:
    if isinstance(value, RedisList) and is_place(value._rapyer_place, holder, key):
        return value
    bound = RedisList(list.__iter__(value))
    bound._rapyer_place = (holder, key)
    return bound
