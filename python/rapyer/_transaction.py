"""Transactions: what is done in one goes to the server as one batch, all of it or nothing.

Inside one, a change is made here at once, as the server is going to make it, and recorded as its operation.
At the end everything recorded is sent together. When it was applied, the fields concerned are what the
server then held; when it was not, they are what they were before.
"""

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from rapyer._binding import Location, merged, path_text
from rapyer._connection import Route, Word, execute
from rapyer._stored import Change
from rapyer.errors import CommandError, UnsupportedArgumentValueError

if TYPE_CHECKING:
    from rapyer.base import AtomicRedisModel

__all__ = ["Transaction", "current", "in_transaction", "transaction", "transaction_of"]

_T = TypeVar("_T")

_log: Final = logging.getLogger("rapyer")
_open: ContextVar["Transaction | None"] = ContextVar("rapyer_transaction", default=None)


def in_transaction() -> bool:
    """Whether there is one at all, perhaps of another task: what can be asked before every assignment."""
    return _open.get() is not None


def current() -> "Transaction | None":
    """The transaction this code is in: that of its own task, not one that the task was started in."""
    found = _open.get()
    return found if found is not None and found.is_of_this_task() else None


class _Enlisted:
    """A model that takes part, and what it was before."""

    def __init__(self, model: "AtomicRedisModel", known: bool) -> None:
        self.model = model
        self.known = known
        """Whether there is a document for its changes to go to."""
        self.changed: set[str] = set()
        """The fields that operations were recorded for."""
        self.unsaved: dict[str, Change] | None = None
        """What was changed before the first of them, and not saved; known from then on."""
        self._fields = copy.deepcopy(model.__dict__)
        self._extra = copy.deepcopy(model.__pydantic_extra__)
        self._fields_set = set(model.__pydantic_fields_set__)
        self._stored = model._known()

    def restore(self) -> None:
        """Makes the model what it was."""
        fields = {name: merged(self.model.__dict__.get(name), value) for name, value in self._fields.items()}
        object.__setattr__(self.model, "__dict__", fields)
        object.__setattr__(self.model, "__pydantic_extra__", self._extra)
        object.__setattr__(self.model, "__pydantic_fields_set__", self._fields_set)
        self.model._know(self._stored)


class Transaction:
    """The operations recorded so far, and the models they are for."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._operations: list[tuple[Word, ...]] = []
        self._enlisted: dict[int, _Enlisted] = {}
        self._routes: dict[str, Route] = {}
        self._afterwards: list[Callable[[], None]] = []

    def is_of_this_task(self) -> bool:
        try:
            return asyncio.current_task() is self._task
        except RuntimeError:
            # A thread without an event loop, started with this context.
            return False

    def holds(self, model: "AtomicRedisModel") -> bool:
        """Whether the model takes part already."""
        return id(model) in self._enlisted

    def enlist(self, model: "AtomicRedisModel", *, known: bool = False) -> _Enlisted:
        """Has a model take part; called before it changes. `known`: there is a document, or will be."""
        enlisted = self._enlisted.get(id(model))
        if enlisted is None:
            enlisted = self._enlisted[id(model)] = _Enlisted(model, model._known() is not None)
        enlisted.known = enlisted.known or known
        return enlisted

    def changes(self, location: Location) -> bool:
        """Called before a local change: whether it is to be recorded. A new model is stored by saving it."""
        enlisted = self.enlist(location.root)
        if enlisted.known and location.segments:
            name = str(location.segments[0])
            if name not in enlisted.changed:
                enlisted.changed.add(name)
                self._save_first(enlisted, name)
        return enlisted.known

    def _save_first(self, enlisted: _Enlisted, name: str) -> None:
        """Records what was changed in a field before: an operation is done to what the field holds here."""
        model = enlisted.model
        if enlisted.unsaved is None:
            enlisted.unsaved = {change.name: change for change in model._unsaved()}
        change = enlisted.unsaved.get(name)
        for words in () if change is None else model._saving(change):
            self.run(model, *words)

    def record(self, location: Location, command: str, *words: Word) -> None:
        """Adds an operation on a place of a document."""
        self.run(location.root, command, location.root.key, path_text(location.segments), *words)

    def run(self, model: "AtomicRedisModel", *words: Word, then: Callable[[], None] | None = None) -> None:
        """Adds a command on a model's document; `then` is done once everything was applied."""
        self.enlist(model)
        self.add(type(model)._route(), *words)
        if then is not None:
            self._afterwards.append(then)

    def add(self, route: Route, *words: Word) -> None:
        """Adds a command on a document; its first argument, or after a subcommand its second, is the key."""
        first = next(iter(self._routes.values()), route)
        if first.transport is not route.transport:
            raise UnsupportedArgumentValueError(
                f"a transaction is one batch of one server: {route.policy.prefix!r} is stored somewhere else "
                f"than {first.policy.prefix!r}"
            )
        self._routes[route.policy.prefix] = route
        self._operations.append(words)

    def unsaved(self, model: "AtomicRedisModel", changes: list[Change]) -> list[Change]:
        """Those of a model's changes that are not recorded."""
        enlisted = self._enlisted.get(id(model))
        recorded = set[str]() if enlisted is None else enlisted.changed
        return [change for change in changes if change.name not in recorded]

    def restore(self) -> None:
        """Makes every model what it was before."""
        for enlisted in self._enlisted.values():
            enlisted.restore()

    async def commit(self) -> None:
        """Sends what was recorded. An error leaves the server and the models as they were."""
        if not self._operations:
            return
        changed = [enlisted for enlisted in self._enlisted.values() if enlisted.changed]
        reads: list[tuple[Word, ...]] = [
            # The twin, for what was done decides about lifetimes, not that we look at it.
            ("MODEL.GET_RO", one.model.key, *(path_text((name,)) for name in sorted(one.changed)))
            for one in changed
        ]
        operations = [*self._operations, *reads]
        keys = list(dict.fromkeys(_key(words) for words in operations))
        words: list[Word] = ["MODEL.EXEC", len(keys), *keys]
        for operation in operations:
            words += [len(operation), *operation]
        first, *others = self._routes.values()
        try:
            replies = cast("list[Any]", await execute(first, tuple(words), also=tuple(others)))
        except BaseException:
            self.restore()
            raise
        for then in self._afterwards:
            then()
        for one, reply in zip(changed, replies[len(self._operations) :], strict=True):
            texts = reply if isinstance(reply, list) else [reply] * len(one.changed)
            one.model._follow_fields(dict(zip(sorted(one.changed), texts, strict=True)))


def _key(operation: tuple[Word, ...]) -> Word:
    return operation[2 if operation[0] == "MODEL.TTL" else 1]


@asynccontextmanager
async def transaction(ignore_redis_error: bool, use_existing_pipe: bool) -> AsyncIterator[Transaction]:
    """The block of a transaction."""
    outer = current()
    if use_existing_pipe and outer is not None:
        yield outer
        return
    opened = Transaction()
    token = _open.set(opened)
    try:
        yield opened
    except BaseException:
        opened.restore()
        raise
    finally:
        _open.reset(token)
    try:
        await _to_its_end(opened.commit())
    except CommandError as refused:
        if not ignore_redis_error:
            raise
        _log.warning("a transaction was refused, and ignore_redis_error says to go on: %s", refused)


@asynccontextmanager
async def transaction_of(*models: "AtomicRedisModel") -> AsyncIterator[Transaction]:
    """The transaction that the code is in, else one of its own, with documents there are or will be."""
    async with transaction(ignore_redis_error=False, use_existing_pipe=True) as batch:
        for model in models:
            batch.enlist(model, known=True)
        yield batch


async def _to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    # What is on its way to the server is applied whether or not anybody waits. The models must follow that.
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)
