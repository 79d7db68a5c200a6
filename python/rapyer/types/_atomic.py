"""What all values with atomic methods share."""

import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from pydantic import ValidationError
from typing_extensions import Self

import rapyer._commands as commands
from rapyer._binding import Location, Place, bind, path_text, unbound
from rapyer._codec import Codec
from rapyer._local import held_at
from rapyer._saving import save_place
from rapyer._state import learn, load
from rapyer._transaction import Transaction, current, operate, read
from rapyer._words import Command
from rapyer.actions import ActionGroup, acts
from rapyer.config import RedisConfig
from rapyer.errors import CorruptedModelError, RapyerError
from rapyer.fields import RapyerKey

__all__ = ["Atomic", "Container", "Operation", "Pending", "record_assignment", "taken"]

Operation = Callable[..., Command]
"""A command for a place: made of its key and its path, with `require=` where the value has bounds."""


class Pending(NamedTuple):
    """What an in-place operator did to a value; assigned where that is from, a transaction records this."""

    base: Any
    """The bound value it started from."""
    operations: tuple[Operation, ...] | None
    """None: no command does this."""


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

    if TYPE_CHECKING:

        def _rapyer_follow(self, new: Any) -> bool: ...

    def _locate(self) -> Location:
        holder, key = self._place()
        return holder._rapyer_locate_child(self, key)

    def _codec(self) -> Codec:
        holder, key = self._place()
        return holder._rapyer_child_codec(key)

    def _recording(self) -> Transaction | None:
        """The transaction that a change of this value belongs to; called before it changes."""
        transaction = current()
        if transaction is None or self._rapyer_is_plain():
            return None
        return transaction if transaction.changes(self._locate()) else None

    def _rapyer_is_plain(self) -> bool:
        place = self._rapyer_place
        return place is None or place[0]._rapyer_is_plain()

    def _record(self, transaction: Transaction, operation: Operation, codec: Codec | None = None) -> None:
        """Records what is done to this value, whose codec may be given."""
        location, bounds = self._locate(), (codec or self._codec()).bounds
        place = location.key, path_text(location.segments)
        transaction.record(location, operation(*place, require=bounds) if bounds else operation(*place))

    def _rewrite(self, change: Callable[[], object]) -> None:
        """Makes a local change that no command describes: a transaction sends the whole value."""
        transaction = self._recording()
        if transaction is None:
            change()
            return
        location, codec = self._locate(), self._codec()
        transaction.expect_seen(location)
        before = codec.text(self)
        change()
        try:
            text = codec.dump(self)
        except RapyerError:
            self._rapyer_follow(codec.load(before))
            raise
        transaction.put(location, text)

    @property
    def key(self) -> RapyerKey:
        """The key of the document it is part of."""
        return self._locate().root.key

    @property
    def json_path(self) -> str:
        """Where it is in the document."""
        return self._locate().path

    @property
    def field_path(self) -> str:
        """The same without the root's sign: `address.city`."""
        return self._locate().field_path

    @property
    def field_name(self) -> str:
        """The last step of it: a name, or the index of a list's element."""
        return self._locate().field_name

    @property
    def Meta(self) -> RedisConfig:  # noqa: N802 - the name that models have
        """The settings of the model it is part of."""
        return cast("RedisConfig", cast("Any", self._locate().root).Meta)

    def clone(self) -> Any:
        """A plain value equal to this one, which is part of no model."""
        return copy.deepcopy(self)

    @acts(ActionGroup.CREATE, ActionGroup.UPDATE)
    async def asave(self) -> Self:
        """Stores what changed of this value, and nothing else of the model."""
        await save_place(self._locate(), self._codec().dump(self), self)
        return self

    @acts(ActionGroup.READ)
    async def aload(self) -> Any:
        """Reads the value at its place into the model. None when the server has nothing there."""
        location = self._locate()
        if await loaded(location, self._codec()) is None:
            return None
        # A container is the same object still.
        return bind(held_at(location.root, location.segments), *self._place())


async def loaded(location: Location, codec: Codec) -> Any:
    """What is at a place: on the server, which the model then holds too, or in a block in the model there.

    None when nothing is there.
    """
    root, transaction = location.root, current()
    text = cast("bytes | None", await read(location, commands.get(location.key, location.path, strict=True)))
    if text is None:
        return None
    value = load(root, codec, text, location.segments)
    if transaction is None or not transaction.holds(root):
        learn(root, location.segments, text, value)
    return value


class Container(Atomic):
    """What lists, dicts and sets share."""

    __slots__ = ()

    _rapyer_type: ClassVar[type[Any]]
    """The plain type, whose own methods record nothing."""

    if TYPE_CHECKING:

        def __len__(self) -> int: ...
        def clear(self) -> None: ...

    @acts(ActionGroup.READ)
    async def alen(self) -> int:
        """How many items it has on the server."""
        location = self._locate()
        return cast("int", await read(location, commands.len_(location.key, location.path, strict=True)) or 0)

    @acts(ActionGroup.UPDATE, ActionGroup.ERASE)
    async def aclear(self) -> int:
        """Empties it on the server; how many items it had there."""
        location = self._locate()
        clear = partial(commands.clear, location.key, location.path, require=self._codec().bounds)
        return cast("int", await operate(location, clear))


def record_assignment(
    transaction: Transaction,
    location: Location,
    given: object,
    text: bytes,
    codec: Codec,
    is_from_here: Callable[[Any], bool],
    holds: Command | None = None,
) -> None:
    """Records that a value was assigned to a place: what an in-place operator did, or the value itself.

    `text` is what is stored of it, by its codec; `holds` is what has to be there afterwards. Operations work
    on numbers, strings and moments as JSON has them: where a type stores its values in another way, or
    validation made another value of this one, all of it is sent.
    """
    key, path = location.key, path_text(location.segments)
    pending = cast("Pending | None", getattr(given, "_rapyer_pending", None))
    if pending is None or not is_from_here(pending.base):
        transaction.put(location, text, holds)
    elif pending.operations is None or cast("Any", given)._json() != text:
        transaction.expect_seen(location)
        transaction.put(location, text, holds)
    else:
        for operation in pending.operations:
            transaction.record(location, operation(key, path, require=codec.bounds), holds)


def taken(codec: Codec, text: bytes, location: Location) -> Any:
    """What the server took out of a document. What does not validate is in the error: nobody else has it."""
    try:
        return codec.load(text)
    except ValidationError as error:
        raise CorruptedModelError(
            f"{text.decode()} was taken from {location.path} of {location.root.key!r}, and is not what its "
            f"type says: {error}",
            raw=text,
        ) from error
