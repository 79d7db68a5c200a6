"""Dicts."""

import json
from collections.abc import ItemsView, Mapping, ValuesView
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import rapyer._commands as commands
from rapyer._binding import Holder, Location, Place, bind, binds, is_place, merged
from rapyer._codec import Codec
from rapyer._native import elements
from rapyer._transaction import Transaction, operate, read
from rapyer._words import Command
from rapyer.actions import ActionGroup, acts
from rapyer.errors import DetachedValueError, UnsupportedArgumentTypeError
from rapyer.types._atomic import Container, loaded, record_assignment, taken
from rapyer.types._described import Described
from rapyer.types._increase import increased

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["RedisDict"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_D = TypeVar("_D")


class RedisDict(dict[_K, _V], Container, Described[dict[_K, _V], dict[_K, _V]]):
    """A dict. Its own methods are local, until the model is saved; the awaited ones are the server's."""

    __slots__ = ("_rapyer_place",)

    _rapyer_type = dict

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

    @acts(ActionGroup.READ)
    async def aget(self, key: _K, default: Any = None) -> Any:
        """The value under a key of the dict on the server, or the default where there is none."""
        codec = self._codec()
        key = codec.validate_key(key)
        if await loaded(self._locate().at(codec.name_of(key)), codec.entry) is None:
            return default
        return self.get(key, default)

    @acts(ActionGroup.READ)
    async def acontains(self, key: _K) -> bool:
        """Whether the dict on the server has an entry under this key."""
        location = self._locate()
        words = commands.contains(location.key, location.path, self._json_name(key), strict=True)
        return bool(await read(location, words))

    @acts(ActionGroup.UPDATE)
    async def aset_item(self, key: _K, value: _V) -> bool:
        """Sets one entry of the dict on the server; True."""
        await self.aupdate({key: value})
        return True

    @acts(ActionGroup.UPDATE)
    async def aupdate(self, entries: "Mapping[_K, _V] | None" = None, /, **named: _V) -> None:
        """Sets entries of the dict on the server, all or none; the others stay."""
        given = {**(entries or {}), **cast("dict[_K, _V]", named)}
        if not given:
            return
        location, codec = self._locate(), self._codec()
        known: dict[bytes, Any] = {}
        assignments: list[tuple[str, bytes]] = []
        for key, value in given.items():
            name = codec.name_of(codec.validate_key(key))
            valid = codec.entry.validate(value)
            text = codec.entry.dump(valid)
            known[text] = valid
            assignments.append((location.at(name).path, text))
        await operate(
            location,
            partial(commands.update, location.key, *assignments),
            holds=_bounds(location, codec),
            known=known,
        )

    @overload
    async def aincrease(self, key: _K, amount: float = 1) -> _V: ...
    @overload
    async def aincrease(
        self, key: _K, amount: float = 1, *, minimum: float | None = None, maximum: float | None = None
    ) -> _V | None: ...
    @acts(ActionGroup.UPDATE, ActionGroup.ARITHMETIC)
    async def aincrease(
        self, key: _K, amount: float = 1, *, minimum: float | None = None, maximum: float | None = None
    ) -> _V | None:
        """Adds to an entry of the dict on the server, and returns what it is then; a missing one starts at 0.

        Where it would be below `minimum` or above `maximum` it stays as it is, and the answer is None; in a
        block that is a `StaleModelError`.

        Raises:
            ConstraintError: it would break a bound of the dict's values, such as `Field(le=10)`.
            UnsupportedArgumentTypeError: the dict's values are no numbers, or an argument is none of theirs.
        """
        location, codec = self._locate(), self._codec()
        kind = codec.entry.number
        if kind is None:
            raise UnsupportedArgumentTypeError(f"the values of {location.path} are no numbers to add to")
        entry = location.at(codec.name_of(codec.validate_key(key)))
        number = await increased(
            entry, codec.entry, kind, amount, minimum, maximum, creates=True, holds=_bounds(location, codec)
        )
        return cast("_V | None", number)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def adel_item(self, key: _K) -> int:
        """Removes an entry from the dict on the server; how many there were: 1 or 0."""
        location, codec = self._locate(), self._codec()
        path = location.at(codec.name_of(codec.validate_key(key))).path
        return cast(
            "int",
            await operate(
                location, partial(commands.unset, location.key, path), holds=_bounds(location, codec)
            ),
        )

    @overload
    async def apop(self, key: _K) -> _V | None: ...
    @overload
    async def apop(self, key: _K, default: _D) -> _V | _D: ...
    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apop(self, key: _K, default: Any = None) -> Any:
        """Takes an entry from the dict on the server; its value, or the default where there is none.

        In a transaction it is the entry that is there now: where that changed at the end, the transaction is
        refused.
        """
        location, codec = self._locate(), self._codec()
        entry = location.at(codec.name_of(codec.validate_key(key)))
        text = await operate(
            location,
            partial(
                commands.pop,
                location.key,
                location.path,
                self._json_name(key),
                require=codec.bounds,
            ),
            then=lambda _: partial(commands.unset, location.key, entry.path),
            guard=lambda text: None if text is None else commands.expect(entry.key, entry.path, text),
        )
        return default if text is None else taken(codec.entry, cast("bytes", text), entry)

    @acts(ActionGroup.READ, ActionGroup.UPDATE, ActionGroup.ERASE)
    async def apopitem(self) -> tuple[_K, _V]:
        """Takes the last entry from the dict on the server, as (key, value). Raises KeyError without any."""
        location, codec = self._locate(), self._codec()

        def entry(pair: Any) -> Location:
            name, _ = codec.split_entry(pair)
            return location.at(name)

        text = await operate(
            location,
            partial(commands.pop, location.key, location.path, require=codec.bounds),
            then=lambda pair: (
                None if pair is None else partial(commands.unset, location.key, entry(pair).path)
            ),
            guard=lambda pair: (
                None
                if pair is None
                else commands.expect(location.key, entry(pair).path, elements(cast("bytes", pair))[1])
            ),
        )
        if text is None:
            raise KeyError("the dict on the server is empty")
        _, value = codec.split_entry(cast("bytes", text))
        ((key, item),) = taken(codec, value, location).items()
        return cast("tuple[_K, _V]", (key, item))

    def _json_name(self, key: _K) -> str:
        codec = self._codec()
        return json.dumps(codec.name_of(codec.validate_key(key)), ensure_ascii=False)

    # -- local changes, which a transaction records

    def __setitem__(self, key: _K, value: _V) -> None:
        given = value
        if self._rapyer_place is not None:
            codec = self._codec()
            key, value = codec.validate_key(key), codec.entry.validate(value)
            if (transaction := self._recording()) is not None:
                location = self._locate()
                record_assignment(
                    transaction,
                    location.at(codec.name_of(key)),
                    given,
                    codec.entry.dump(value),
                    codec.entry,
                    lambda base: is_place(base._rapyer_place, self, key),
                    _bounds(location, codec),
                )
        super().__setitem__(key, value)

    def __delitem__(self, key: _K) -> None:
        if (transaction := self._recording_removal(key)) is not None:
            location, codec = self._locate(), self._codec()
            entry = location.at(codec.name_of(key))
            transaction.record(location, commands.unset(location.key, entry.path), _bounds(location, codec))
        super().__delitem__(key)

    @overload
    def pop(self, key: _K, /) -> _V: ...
    @overload
    def pop(self, key: _K, default: _D, /) -> _V | _D: ...
    def pop(self, key: _K, *default: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if (transaction := self._recording_removal(key)) is not None:
            name = self._json_name(key)
            self._record(transaction, lambda key, path, **terms: commands.pop(key, path, name, **terms))
        return super().pop(key, *default)

    def popitem(self) -> tuple[_K, _V]:
        for key in reversed(self):
            return key, self.pop(key)
        return super().popitem()

    def clear(self) -> None:
        if (transaction := self._recording()) is not None:
            self._record(transaction, commands.clear)
        super().clear()

    def _recording_removal(self, key: _K) -> Transaction | None:
        """The transaction to record the removal of an entry in; None where there is no such entry."""
        transaction = self._recording() if key in self else None
        if transaction is not None:
            # What was seen here is what is taken there, or nothing is.
            transaction.expect_seen(self._locate().at(self._codec().name_of(key)))
        return transaction

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

    def _rapyer_child_codec(self, key: Any) -> Codec:
        return self._codec().entry

    def _rapyer_locate_child(self, child: Any, key: Any) -> Location:
        # A number or a text has no identity: its entry is its place.
        held = super().get(key)
        if held is not child and (child._rapyer_kept or key not in self):
            raise DetachedValueError(f"this {type(child).__name__} is no longer under {key!r} of its dict")
        return self._locate().at(self._codec().name_of(key))

    def _rapyer_follow(self, new: Any) -> bool:
        if not isinstance(new, dict):
            return False
        held = dict(super().items())
        super().clear()
        super().update({key: merged(held.get(key), value) for key, value in new.items()})
        return True


def _bounds(location: Location, codec: Codec) -> Command | None:
    """What has to be there once an entry has come or gone."""
    bounds = codec.bounds
    return commands.expect(location.key, location.path, require=bounds) if bounds else None


@binds(dict, RedisDict)
def _bind_dict(value: dict[Any, Any], holder: Holder, key: Any) -> dict[Any, Any]:
    if isinstance(value, RedisDict) and is_place(value._rapyer_place, holder, key):
        return value
    if not holder._rapyer_child_codec(key).holds_dict:
        # A typed dict, whose values are of types of their own.
        return value
    bound: RedisDict[Any, Any] = RedisDict(dict.items(value))
    bound._rapyer_place = (holder, key)
    return bound
