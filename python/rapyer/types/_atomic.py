"""What all values with atomic methods share."""

from typing import Any, ClassVar, cast

from typing_extensions import Self

from rapyer._binding import Location, Place, bind, merged, path_text, unbound
from rapyer._codec import Codec
from rapyer.fields import RapyerKey

__all__ = ["Atomic"]


class Atomic:
    """A value that knows its place in a stored model."""

    __slots__ = ()

    _rapyer_place: Place | None
    _rapyer_kept: ClassVar[bool] = True

    def _place(self) -> Place:
        place = self._rapyer_place
        if place is None:
            raise unbound(self)
        return place

    def _locate(self) -> Location:
        holder, key = self._place()
        return holder._locate_child(self, key)

    def _codec(self) -> Codec:
        holder, key = self._place()
        return holder._child_codec(key)

    @property
    def key(self) -> RapyerKey:
        """The key of the document it is part of."""
        return self._locate().root.key

    @property
    def json_path(self) -> str:
        """Where it is in the document."""
        return path_text(self._locate().segments)

    async def asave(self) -> Self:
        """Stores this value at its place, and nothing else of the model."""
        location = self._locate()
        text = self._codec().dump(self)
        await location.execute("MODEL.SET", text)
        location.root._stored.put(location.segments, text)
        return self

    async def aload(self) -> Any:
        """Reads the value at its place into the model. None when the server has nothing there."""
        location = self._locate()
        text = cast("bytes | None", await location.execute("MODEL.GET"))
        if text is None:
            return None
        holder, key = self._place()
        value = merged(self, location.root._loaded(self._codec(), text))
        location.root._stored.put(location.segments, text)
        if value is not self:
            holder._put_child(self, key, value)
        return bind(value, holder, key)
