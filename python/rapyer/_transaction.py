"""Transactions: what is done in one goes to the server as one batch, all of it or nothing.

A block works on forks of the models it touches. An operation is done to the fork as the server is going to do
it, and recorded. At the end everything recorded is sent together. When it was applied, the fields concerned
are what the server then held; when it was not, the models are what they were before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncContextDecorator, ExitStack, suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import ValidationError

import rapyer._commands as commands
from rapyer._binding import ByKey, Held, Location, Root, Segment, path_text
from rapyer._connection import Route, execute, packed
from rapyer._edits import Edit, check, defaults, edits_over, over
from rapyer._elements import conditions, expected, members_beside, named
from rapyer._fork import Fork
from rapyer._native import CommandError as EngineError
from rapyer._native import Document, Engine, elements
from rapyer._state import State, follow, see, state_of, take_over, told
from rapyer._transport import Reply
from rapyer._validation import Checked, checked_by_command, puts, renew, validate
from rapyer._validation import expected as insisting
from rapyer._words import Command, Default
from rapyer.errors import (
    CommandError,
    ConcurrentTransactionError,
    KeyNotFound,
    PathNotFoundError,
    StaleModelError,
    UnsupportedArgumentValueError,
    WrongValueTypeError,
)
from rapyer.fields import RapyerKey

__all__ = [
    "Block",
    "Transaction",
    "current",
    "operate",
    "read",
    "read_several",
    "refuse_in_block",
    "taking_part",
]

_T = TypeVar("_T")

# How often an operation is done anew on what others have made of its element meanwhile.
_TRIES: Final = 16

# The steps to elements of lists, which others may move.
_ELEMENTS: Final = frozenset({Held, ByKey})

_log: Final = logging.getLogger("rapyer")
_open: ContextVar["Transaction | None"] = ContextVar("rapyer_transaction", default=None)


def _innermost() -> "Transaction | None":
    """The innermost open transaction that this code, or what started its task, was in.

    One that ended in another context is still the variable's value here.
    """
    return _still_open(_open.get())


def _still_open(found: "Transaction | None") -> "Transaction | None":
    while found is not None and found.has_ended:
        found = found.around
    return found


def current() -> "Transaction | None":
    """The transaction this code is in: that of its own task, not one that the task was started in."""
    # Not by `_innermost`: every assignment and operation would pay for the calls.
    found = _open.get()
    if found is not None and found.has_ended:
        found = _still_open(found)
    if found is None:
        return None
    try:
        return found if asyncio.current_task() is found.task else None
    except RuntimeError:
        # A thread without an event loop, started with this context.
        return None


def taking_part(root: Root) -> "Transaction | None":
    """The transaction an awaited operation on a model belongs to.

    Raises `ConcurrentTransactionError` in a task that was started in a block which the model takes part in:
    its work could not be taken back with the block.
    """
    # Most operations are in no block, and pay for no more than this look.
    if _open.get() is None or (found := _innermost()) is None:
        return None
    mine = current()
    if found is not mine and found.holds(root):
        raise ConcurrentTransactionError(
            f"{root.key!r} takes part in the block that this task was started in: operate on it in the "
            "block's own task, or load it again here"
        )
    return mine


def refuse_in_block(state: State) -> None:
    """Raises `ConcurrentTransactionError` where another task's block would be saved ahead of its end."""
    if state.forks:
        raise ConcurrentTransactionError(
            f"{state.key!r} takes part in another task's block, whose changes are not saved before its end: "
            "save it in that task, or load an instance for each task"
        )


class Transaction:
    """The operations recorded so far, and the models they are for."""

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.around = _innermost()
        self.has_ended = False
        self._is_sent = False
        self._operations: list[Command] = []
        self._forks: dict[int, Fork] = {}
        self._routes: dict[str, Route] = {}

    def holds(self, root: Root) -> bool:
        """Whether the model takes part already."""
        return id(root) in self._forks

    def enlist(self, root: Root, *, known: bool = False, key: RapyerKey | None = None) -> Fork:
        """Has a model take part, whose key may be given; called before it changes.

        `known`: there is a document, or will be. Raises `ConcurrentTransactionError` where it takes part in
        another task's block.
        """
        fork = self._forks.get(id(root))
        if fork is None:
            key = key or root.key
            state = state_of(root, key)
            others = state.forks
            if others and cast("Fork", others[-1]).task is not self.task:
                raise ConcurrentTransactionError(
                    f"{root.key!r} takes part in another task's block: load an instance for each task"
                )
            fork = Fork(root, key, state, self.task, known=known)
            self._forks[id(root)] = fork
            self._join(fork.route)
        elif known and not fork.known:
            fork.become_known()
        return fork

    def _join(self, route: Route) -> None:
        first = next(iter(self._routes.values()), route)
        if first.transport is not route.transport:
            raise UnsupportedArgumentValueError(
                f"a transaction is one batch of one server: {route.policy.prefix!r} is stored somewhere else "
                f"than {first.policy.prefix!r}"
            )
        self._routes[route.policy.prefix] = route

    def changes(self, location: Location) -> bool:
        """Called before a local change: whether it is to be recorded. A new model is stored by saving it."""
        fork = self.enlist(location.root, key=location.key)
        if fork.known:
            self._save_first(fork, location)
        return fork.known

    def _save_first(self, fork: Fork, location: Location) -> None:
        """Records what was changed in a field before: an operation is done to what the field holds here.

        What an older release did not store is its default by then.
        """
        if location.segments and (name := str(location.segments[0])) not in fork.changed:
            parts = fork.unsaved_of(name)
            if parts:
                self._save_parts(fork, parts)
            fork.changed.add(name)
            fork.recorded.add(name)
        if fork.document is not None and not fork.document.has(path_text(location.segments)):
            for path, text in defaults(fork.root, fork.document, location.segments):
                self._run(fork, commands.set_(fork.key, path, text, condition="NX"))

    def _save_parts(self, fork: Fork, parts: list[Edit]) -> None:
        check(fork.root, parts)
        if fork.root.__rapyer_codec__.has_validators:
            fork.saves(parts)
        self._run(fork, commands.edit(fork.key, *(part.words for part in parts)))
        fork.record_saved(parts)

    def perform(
        self,
        location: Location,
        words: Command,
        *,
        guard: Callable[[Any], Command | None] | None = None,
        holds: Command | None = None,
        known: Mapping[bytes, Any] | None = None,
    ) -> Reply:
        """Does an awaited operation to what the model is here, and records it: the reply.

        `guard` makes of the reply what the server has to find there for this one to be right; `holds` is what
        it has to find afterwards.
        """
        root = location.root
        fork = self.enlist(root, known=True, key=location.key)
        self._save_first(fork, location)
        if not _ELEMENTS.isdisjoint(map(type, location.segments)):
            self._tell(fork, location)
        if root.__rapyer_codec__.has_validators:
            fork.changes_in(location.segments, words)
        at = len(self._operations)
        reply, changes = self._run(fork, words, holds)
        expected = None if guard is None else guard(reply)
        if expected is not None:
            self._operations.insert(at, expected)
            fork.operations.insert(-1, expected)
        segments = location.segments
        take_over(root, named(changes, segments) if ByKey in map(type, segments) else changes, known)
        return cast("Reply", reply)

    def record(self, location: Location, words: Command, holds: Command | None = None) -> None:
        """Adds an operation on the value here, which `changes` was asked of; `holds` is for afterwards."""
        fork = self._forks[id(location.root)]
        if not _ELEMENTS.isdisjoint(map(type, location.segments)):
            self._tell(fork, location)
        if location.root.__rapyer_codec__.has_validators:
            fork.changes_in(location.segments, words)
        self._run(fork, words, holds)

    def _tell(self, fork: Fork, location: Location) -> None:
        """Adds what has to be there for an operation to be on the element of a list that it is on here."""
        if fork.document is None or fork.is_guess:
            return
        for at, step in enumerate(location.segments, 1):
            if isinstance(step, ByKey) and (path := path_text(location.segments[:at])) not in fork.told:
                fork.told[path] = {}
                self._operations.append(commands.expect(fork.key, path))
        for element, texts in conditions(fork.document, location.segments).items():
            told = fork.told.get(element)
            if told is None:
                told = {path: commands.expect(fork.key, path, text) for path, text in texts.items()}
                fork.told[element] = told
                self._operations += told.values()
                continue
            # What the block changes itself may have been changed by others as well, if something else tells.
            own = [path for path in told if f"{location.path}.".startswith((f"{path}.", f"{path}["))]
            for path in own if len(own) < len(told) else ():
                self._operations.remove(told.pop(path))

    def expect(self, root: Root, words: Command) -> None:
        """Adds a condition: where it is not met, the block is refused."""
        self.enlist(root).operations.append(words)
        self._operations.append(words)

    def seen(self, location: Location) -> bytes | None:
        """The text of a value as the block has it, in the words that are stored."""
        document = self.enlist(location.root).document
        return None if document is None else document.get(location.path)

    def expect_seen(self, location: Location) -> None:
        """Adds the condition that a value is the one that the block has."""
        seen = self.seen(location)
        if seen is not None:
            self.expect(location.root, commands.expect(location.key, location.path, seen))

    def put(self, location: Location, text: bytes, holds: Command | None = None) -> None:
        """Records that a value was put at a place; members that this release does not know stay there.

        `holds` has to be there afterwards where there was no value at the place.
        """
        fork = self.enlist(location.root, known=True)
        document = fork.document
        if text[:1] in (b"{", b"[") and document is not None:
            held = document.get(location.path)
            if held is not None:
                parts = edits_over(location.root, location.segments, held, text)
                if parts:
                    self._save_parts(fork, parts)
                    return
                text = over(location.root, location.segments, held, text)
        self.record(location, commands.set_(location.key, location.path, text), holds)

    def add(self, route: Route, words: Command) -> None:
        """Adds a command on a document."""
        self._join(route)
        self._operations.append(words)

    def _run(self, fork: Fork, words: Command, holds: Command | None = None) -> tuple[Any, list[Any]]:
        done = fork.run(words, holds)
        self._operations.append(words)
        if holds is not None:
            self._operations.append(holds)
        if fork.told:
            fork.forget_moved(done[1])
        return done

    # -- saving and deleting

    def save(self, root: Root, text: bytes, *, only_existing: bool, if_unchanged: bool) -> None:
        """Records a save: of the parts that no operation was recorded for, or of a new document."""
        fork = self.enlist(root)
        fork.insists = fork.insists or if_unchanged
        if fork.document is not None and not fork.is_guess:
            fork.is_saved = fork.is_saved or not (only_existing or if_unchanged)
            fork.unsaved_on_entry()
            self._save_parts(fork, fork.unsaved())
            return
        root.__rapyer_codec__.check_fields(root)
        if only_existing:
            self._operations.append(commands.expect(fork.key, "$"))
        if if_unchanged and not only_existing:
            # What was never seen is not to be there.
            words = commands.create(fork.key, text, nx=True, expect_policy=True)
            self._operations += [words, commands.expect(fork.key, "$", text)]
        else:
            words = commands.save(fork.key, text, xx=only_existing, expect_policy=True)
            self._operations.append(words)
        fork.saved_as(text, words)

    def create(self, root: Root, text: bytes) -> None:
        """Records that a document is made, in place of what its key holds."""
        fork = self.enlist(root)
        words = commands.create(fork.key, text, expect_policy=True)
        self._operations.append(words)
        fork.saved_as(text, words)

    def delete(self, root: Root) -> bool:
        """Records that the document is deleted; whether there is one, as far as is known."""
        fork = self.enlist(root)
        known = fork.known
        self._operations.append(commands.del_(fork.key))
        fork.deleted()
        return known

    # -- the end

    def restore(self) -> None:
        """Makes every model what it was before."""
        self.has_ended = True
        forks, self._forks = list(self._forks.values()), {}
        for fork in forks:
            _restore(fork, is_sent=self._is_sent)

    async def commit(self) -> None:
        """Sends what was recorded. An error leaves the server and the models as they were."""
        self.has_ended = True
        try:
            self._check()
        except BaseException:
            self.restore()
            raise
        if not self._operations:
            self._settle(list(self._forks.values()), {})
            return
        # What is under way is applied whether or not anybody waits, and the models must follow that.
        self._is_sent = True
        task = asyncio.ensure_future(self._send_all())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.shield(task)
        except BaseException:
            # Cancelled: until the answer comes, the models are what they were, and free for other blocks.
            self.restore()
            raise

    async def _send_all(self) -> None:
        forks = list(self._forks.values())
        try:
            texts = await self._send(forks)
        except BaseException as error:
            self.restore()
            if isinstance(error, (PathNotFoundError, WrongValueTypeError)) and await _are_stale(forks):
                raise StaleModelError(
                    f"{error}; others have changed the document since it was loaded"
                ) from error
            raise
        self._settle(forks, texts)

    def _settle(self, forks: list[Fork], texts: dict[int, dict[str, bytes | None]]) -> None:
        self._forks = {}
        with ExitStack() as each:
            # Every model follows what was applied, also where others made of one what cannot be loaded.
            for fork in reversed(forks):
                each.callback(fork.settle, texts.get(id(fork), {}))

    def _check(self) -> None:
        """Refuses what the blocks around could not follow; records what no operation describes."""
        for fork in list(self._forks.values()):
            expected: set[tuple[Segment, ...]] = set()
            for part, before in fork.unrecorded():
                # As the smallest whole, in place of what was there.
                if before is not None and part.steps not in expected:
                    expected.add(part.steps)
                    self.expect(fork.root, commands.expect(fork.key, path_text(part.steps), before))
                fork.saves([part])
                self._run(fork, commands.edit(fork.key, part.words))
                fork.record_whole(part)
            if fork.checked.made:
                fork.validate()
            outer = fork.around
            if outer is not None and outer.refuses(fork.operations):
                raise StaleModelError(
                    f"what this block does to {fork.key!r} cannot be told apart from what the block "
                    "around it did: end that first, or join it with use_existing_pipe=True"
                )

    async def _send(self, forks: list[Fork]) -> dict[int, dict[str, bytes | None]]:
        """What the server then holds of the fields that were changed, by the forks' identities."""
        changed = [fork for fork in forks if fork.changed]
        # The twin, for what was done decides about lifetimes, not that we look at it.
        reads = [
            commands.get_ro(fork.key, *map(path_text, zip(sorted(fork.changed), strict=True)))
            for fork in changed
        ]
        versioned: list[Fork] = []
        versions: list[Command] = []
        expected: list[Command] = []
        for fork in forks:
            if fork.asks_version():
                versioned.append(fork)
                versions.append(commands.contains_ro(fork.key, "$", withversion=True))
            if fork.insists or fork.checked.seen:
                expected += fork.expected()
        first, *others = self._routes.values()
        batch, also = [*expected, *self._operations, *reads, *versions], tuple(others)
        try:
            words = commands.exec_([*versions, *batch])
            replies = cast("list[Any]", await execute(first, words, also=also))
        except KeyNotFound:
            await _refuse_if_gone(forks)
            # A document that is gone is made again from what is known of it, if it is saved here.
            creations = [fork.creation() for fork in forks if fork.is_saved]
            if not creations:
                raise
            # What is made anew is what validators have seen.
            mine = [command for fork in forks if fork.is_saved for command in fork.expected()]
            batch = [command for command in batch if command not in mine]
            batch = [*(one for one in creations if one is not None), *batch]
            words = commands.exec_([*versions, *batch])
            replies = cast("list[Any]", await execute(first, words, also=also))
        end = len(replies) - len(versions)
        for at, fork in enumerate(versioned):
            fork.advance(*(told(replies[place], True)[1] for place in (at, end + at)))
        texts: dict[int, dict[str, bytes | None]] = {}
        for fork, reply in zip(changed, replies[end - len(changed) : end], strict=True):
            fields = sorted(fork.changed)
            values = reply if isinstance(reply, list) else [reply] * len(fields)
            texts[id(fork)] = dict(zip(fields, values, strict=True))
        return texts


def _restore(fork: Fork, *, is_sent: bool) -> None:
    try:
        fork.restore(is_sent=is_sent)
    except Exception:
        # The caller is to see what the block failed with, and the other models are to be restored.
        _log.exception("%r could not be made what it was before its block: load it again", fork.key)


async def _refuse_if_gone(forks: list[Fork]) -> None:
    """Raises `StaleModelError` where a document that was to be unchanged is no more."""
    for fork in forks:
        if fork.insists and not await execute(fork.route, commands.contains_ro(fork.key, "$")):
            raise StaleModelError(f"{fork.key!r} is gone, and was to be as it was last seen") from None


async def _are_stale(forks: list[Fork]) -> bool:
    """Whether documents that have no place for an operation are nonetheless what their classes say."""
    known = [fork for fork in forks if not fork.is_guess]
    for fork in known:
        text = cast("bytes | None", await execute(fork.route, commands.get_ro(fork.key)))
        try:
            if text is not None:
                fork.root.__rapyer_codec__.load(text)
        except ValidationError:
            return False
    return bool(known)


async def operate(
    location: Location,
    build: Callable[..., Command],
    *,
    then: Callable[[Any], Callable[..., Command] | None] | None = None,
    guard: Callable[[Any], Command | None] | None = None,
    holds: Command | None = None,
    known: Mapping[bytes, Any] | None = None,
    start: bytes | None = None,
) -> Reply:
    """Does an operation on a stored value: on the server, or in the block that this code is in.

    Args:
        location: the value's place.
        build: makes the command, given `default=` where the document lacks what the value starts from.
        then: what the reply says was done, made in the same way; without it the same command was.
        guard: what the server has to find for the reply that a block gave to be right.
        holds: what the server has to find afterwards, else nothing is done.
        known: values of texts in the command, which are not loaded again.
        start: what a member that is missing is taken to be, where it need not be there.
    """
    root = location.root
    entry = () if start is None else ((location.path, start),)
    transaction = taking_part(root)
    if transaction is not None:
        words = build(default=entry) if entry else build()
        return transaction.perform(location, words, guard=guard, holds=holds, known=known)
    route, state = type(root)._rapyer_route(), state_of(root, location.key)
    missing, base = entry, state.base
    if base is not None and not base.has(path_text(location.segments)):
        missing = (*defaults(root, base, location.segments), *entry)
    words = build(default=missing) if missing else build()
    checked = None
    if root.__rapyer_codec__.has_validators:
        checked = checked_by_command(root.__rapyer_codec__, location.segments, words)
    # Not `is_versioned`, `told` and `any`: every operation would pay for the calls.
    versioned = route.optimistic or state.version is not None
    asked = commands.with_version(words) if versioned else words
    if checked is not None and checked.made:
        reply, words = await _validated(location, build, entry, checked, holds)
        versioned = False
    elif base is not None and Held in map(type, location.segments):
        reply = await _told(location, [asked] if holds is None else [asked, holds], state, route)
    else:
        try:
            if holds is None:
                reply = await execute(route, asked)
            else:
                reply, _ = cast("list[Reply]", await execute(route, commands.exec_([asked, holds])))
        except PathNotFoundError:
            await _refuse_other_elements(location, route)
            raise
    if versioned:
        reply, version = told(reply, versioned)
        state.advance(version)
    if then is not None:
        done = then(reply)
        if done is None:
            return reply
        words = done(default=missing) if missing else done()
    follow(root, state, words, known, location.segments)
    return reply


async def _validated(
    location: Location,
    build: Callable[..., Command],
    entry: "tuple[Default, ...]",
    checked: Checked,
    holds: Command | None,
) -> tuple[Reply, Command]:
    """The reply of a command, and the command, where validators accept what it makes of what they see."""
    root, key = location.root, location.key
    route, state = type(root)._rapyer_route(), state_of(root, key)
    is_held, is_new = Held in map(type, location.segments), False
    for _ in range(_TRIES):
        if state.base is None or (() in checked.seen and state.version is None):
            await renew(root, key, route)
            is_new = True
        base = cast("Document", state.base)
        missing = entry
        if not base.has(path_text(location.segments)):
            missing = (*defaults(root, base, location.segments), *entry)
        words = build(default=missing) if missing else build()
        try:
            made = base.fork()
            made.apply(words)
            validate(root, made, checked.made)
        except (EngineError, ValidationError) as error:
            if not (is_new or is_held):
                # That is of what was last seen. Others may have made of it what this is right for.
                await renew(root, key, route)
                is_new = True
                continue
            if isinstance(error, ValidationError):
                raise
        held = expected(key, base, location.segments) if is_held else []
        before = [*held, *insisting(key, state, checked.seen)]
        batch = [*before, commands.with_version(words), *([] if holds is None else [holds])]
        try:
            answer = cast("list[Reply]", await execute(route, commands.exec_(batch)))[len(before)]
        except StaleModelError:
            if not is_held:
                await renew(root, key, route)
                is_new = True
            elif not await _is_only_changed(location, state, route):
                raise
        except PathNotFoundError:
            await _refuse_other_elements(location, route)
            raise
        else:
            reply, version = told(answer, True)
            state.advance(version)
            return reply, words
    raise StaleModelError(f"{location.path} of {key!r} was changed by others, {_TRIES} times")


async def _told(location: Location, batch: list[Command], state: State, route: Route) -> Reply:
    """The reply of the first of some commands on an element of a list, which others have not replaced."""
    for _ in range(_TRIES):
        told = expected(location.key, cast("Document", state.base), location.segments)
        try:
            replies = await execute(route, commands.exec_([*told, *batch]))
        except StaleModelError:
            # What is put there as a whole would undo what others changed in it.
            if puts(batch[0]) or not await _is_only_changed(location, state, route):
                raise
        else:
            return cast("list[Reply]", replies)[len(told)]
    raise StaleModelError(f"{location.path} of {location.key!r} was changed by others, {_TRIES} times")


async def _is_only_changed(location: Location, state: State, route: Route) -> bool:
    """Whether of a list only the value in an element that is operated on changed, which is then known."""
    at = next(at for at, step in enumerate(location.segments) if type(step) is Held)
    place, index = location.segments[:at], cast("int", location.segments[at])
    base = cast("Document", state.base)
    path = path_text(place)
    text = cast("bytes | None", await execute(route, commands.get_ro(location.key, path)))
    if text is None or text[:1] != b"[":
        return False
    now, before = elements(text), elements(base.get(path) or b"[]")
    if len(now) != len(before) or index >= len(now):
        return False
    mine, theirs = now.pop(index), before.pop(index)
    below = location.segments[at + 1 :]
    beside = [members_beside(Document(one), below) for one in (mine, theirs)]
    if now != before or mine == theirs or beside[0] != beside[1]:
        return False
    see(location.root, location.segments[: at + 1], mine)
    return True


async def _refuse_other_elements(location: Location, route: Route) -> None:
    """Raises `StaleModelError` where no one element has the key that a place is found by."""
    for at, step in enumerate(location.segments, 1):
        if isinstance(step, ByKey):
            path = path_text(location.segments[:at])
            await execute(route, commands.expect(location.key, path))


async def read(location: Location, words: Command) -> Reply:
    """What a command that changes nothing answers: the server, or in a block the model as it is there."""
    root = location.root
    transaction = taking_part(root)
    if transaction is not None and transaction.holds(root) and (fork := transaction.enlist(root)).known:
        return cast("Reply", fork.read(words))
    route = type(root)._rapyer_route()
    if Held in map(type, location.segments[:-1]) and (base := state_of(root).base) is not None:
        # A read of the whole element is one of whatever is there.
        told = expected(location.key, base, location.segments)
        return cast("list[Reply]", await execute(route, commands.exec_([*told, words])))[-1]
    return await execute(route, words)


async def read_several(locations: Sequence[Location], words: Command) -> Reply:
    """The same for a command that reads several documents."""
    routes = {location.key: type(location.root)._rapyer_route() for location in locations}
    forks = [
        transaction.enlist(location.root)
        for location in locations
        if (transaction := taking_part(location.root)) is not None and transaction.holds(location.root)
    ]
    first, *others = routes.values()
    if not any(fork.known for fork in forks):
        return await execute(first, words, also=tuple(others))
    # An engine of its own for what the block has made of some, beside what the server has of the others.
    mine: dict[str, bytes | None] = {fork.key: fork.text() for fork in forks}
    engine = Engine()
    for key, route in routes.items():
        text = mine[key] if key in mine else cast("bytes | None", await execute(route, commands.get_ro(key)))
        if text is not None:
            engine.execute(packed(commands.create(key, text)))
    return engine.execute(packed(words))


class Block(AsyncContextDecorator, Generic[_T]):
    """A block whose changes are sent at its end; `async with` gives what `enter` does.

    A class, because a generator's context manager costs several times as much for each block.
    """

    def __init__(
        self,
        enter: Callable[[Transaction], Awaitable[_T]] | None = None,
        *,
        ignore_redis_error: bool = False,
        use_existing_pipe: bool = False,
    ) -> None:
        self._enter = enter
        self._ignores = ignore_redis_error
        self._joins = use_existing_pipe
        self._opened: Transaction | None = None
        self._token: Token[Transaction | None] | None = None

    # As a decorator, a block for each call.
    def _recreate_cm(self) -> "Block[_T]":
        return Block(self._enter, ignore_redis_error=self._ignores, use_existing_pipe=self._joins)

    async def __aenter__(self) -> _T:
        if self._opened is not None:
            raise RuntimeError("this block was entered already: call apipeline() for each block")
        transaction = current() if self._joins else None
        if transaction is None:
            self._opened = transaction = Transaction()
            self._token = _open.set(transaction)
        if self._enter is None:
            return cast("_T", None)
        try:
            return await self._enter(transaction)
        except BaseException:
            self._leave()
            if self._opened is not None:
                # The block that it joined may go on.
                transaction.restore()
            raise

    def _leave(self) -> None:
        if self._token is not None:
            # Left in another context than it was entered in, as generators are that another task closes, it
            # stays the value there, and nobody's transaction.
            with suppress(ValueError):
                _open.reset(self._token)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened = self._opened
        if opened is None:
            # The end of the block that it joined sends everything.
            return
        self._opened = None
        self._leave()
        if kind is not None:
            opened.restore()
            return
        try:
            await opened.commit()
        except CommandError as refused:
            if not self._ignores:
                raise
            _log.warning("a transaction was refused, and ignore_redis_error says to go on: %s", refused)
