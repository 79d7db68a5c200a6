"""Dicts."""

import json
from collections.abc import ItemsView, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from rapyer._binding import Holder, Location, Place, bind, binds, is_place, merged
from rapyer._codec import Codec
from rapyer.errors import DetachedValueError
from rapyer.types._atomic import Atomic

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisDict"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_D = TypeVar("_D")


class RedisDict(dict[_K, _V], Atomic):
    """A dict. Its own methods are local, until the model is saved; the awaited ones are the server's."""

    __slots__ = ("_rapyer_place",)

    if TYPE_CHECKING:

        def __get__(self, model: object, owner: object) -> "RedisDict[_K, _V]": ...
        def __set__(self, model: object, value: dict[_K, _V]) -> None: ...

    def __init__(self, *entries: Any, **named: _V) -> None:
        super().__init__(*entries, **named)
        self._rapyer_place: Place | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        key, value = getattr(source, "__args__", (Any, Any))
        return handler(dict[key, value])  # type: ignore[valid-type]

    # Copies and pickles are plain dicts: they are in no model.
    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(super().items()),)

    async def aset_item(self, key: _K, value: _V) -> bool:
        """Sets one entry of the dict on the server; True."""
        await self.aupdate({key: value})
        return True

    async def aupdate(self, entries: "Mapping[_K, _V] | None" = None, /, **named: _V) -> None:
        """Sets entries of the dict on the server, all or none; the others stay."""
        location, codec = self._locate(), self._codec()
        given = {**(entries or {}), **cast("dict[_K, _V]", named)}
        if not given:
            return
        values = {codec.validate_key(key): codec.entry.validate(value) for key, value in given.items()}
        await location.root._update(
            [
                (location.at(codec.name_of(key)).segments, codec.entry.dump(value))
                for key, value in values.items()
            ]
        )
        super().update(values)

    @overload
    async def apop(self, key: _K) -> _V | None: ...
    @overload
    async def apop(self, key: _K, default: _D) -> _V | _D: ...
    async def apop(self, key: _K, default: Any = None) -> Any:
        """Takes an entry from the dict on the server; its value, or the default where there is none."""
        location, codec = self._locate(), self._codec()
        key = codec.validate_key(key)
        name = codec.name_of(key)
        text = cast("bytes | None", await location.execute("MODEL.POP", json.dumps(name, ensure_ascii=False)))
        value = default if text is None else location.root._loaded(codec.entry, text)
        location.root._stored.drop(location.segments, name, text)
        super().pop(key, None)
        return value

    def __setitem__(self, key: _K, value: _V) -> None:
        if self._rapyer_place is not None:
            codec = self._codec()
            key, value = codec.validate_key(key), codec.entry.validate(value)
        super().__setitem__(key, value)

    def setdefault(self, key: _K, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *entries: Any, **named: Any) -> None:
        for key, value in dict(*entries, **named).items():
            self[cast("_K", key)] = value

    def __ior__(self, entries: "SupportsKeysAndGetItem[_K, _V]") -> "RedisDict[_K, _V]":  # type: ignore[override,misc]
        self.update(entries)
        return self

    def __getitem__(self, key: _K) -> _V:
        return cast("_V", self._handed_out(key, super().__getitem__(key)))

    def get(self, key: _K, default: Any = None) -> Any:
        return self._handed_out(key, super().__getitem__(key)) if key in self else default

    def values(self) -> ValuesView[_V]:  # type: ignore[override]
        self._bind_containers()
        return super().values()

    def items(self) -> ItemsView[_K, _V]:  # type: ignore[override]
        self._bind_containers()
        return super().items()

    def _handed_out(self, key: Any, value: Any) -> Any:
        if self._rapyer_place is None:
            return value
        bound = bind(value, self, key)
        if bound is not value and bound._rapyer_kept:
            super().__setitem__(key, bound)
        return bound

    def _bind_containers(self) -> None:
        # Numbers and texts are handed out plain here: binding each would make a loop over them slow.
        if self._rapyer_place is not None and self._codec().entry.holds_containers:
            for key, value in list(super().items()):
                self._handed_out(key, value)

    def _child_codec(self, key: Any) -> Codec:
        return self._codec().entry

    def _locate_child(self, child: Any, key: Any) -> Location:
        # A number or a text has no identity: its entry is its place.
        held = super().get(key)
        if held is not child and (child._rapyer_kept or key not in self):
            raise DetachedValueError(f"this {type(child).__name__} is no longer under {key!r} of its dict")
        return self._locate().at(self._codec().name_of(key))

    def _put_child(self, child: Any, key: Any, value: Any) -> None:
        if super().get(key) is child or (not child._rapyer_kept and key in self):
            super().__setitem__(key, value)

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, dict):
            return False
        held = dict(super().items())
        super().clear()
        super().update({key: merged(held.get(key), value) for key, value in new.items()})
        return True


@binds(dict, RedisDict)
def _bind_dict(value: dict[Any, Any], holder: Holder, key: Any) -> RedisDict[Any, Any]:
    if isinstance(value, RedisDict) and is_place(value._rapyer_place, holder, key):
        return value
    bound: RedisDict[Any, Any] = RedisDict(dict.items(value))
    bound._rapyer_place = (holder, key)
    return bound
