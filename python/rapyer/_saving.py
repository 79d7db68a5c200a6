"""How a model is saved: only its edits, where the document is there; the whole, where it is not."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast

import rapyer._commands as commands
from rapyer._binding import ByKey, Held, Location, Root, path_text
from rapyer._connection import Route, execute
from rapyer._edits import Edit, check, edit_words, edits, is_within, over, rebased
from rapyer._lock import Lease, fence_of
from rapyer._native import CommandError as EngineError
from rapyer._native import Document
from rapyer._state import State, is_versioned, rebase, settled, state_of, told
from rapyer._transaction import operate, refuse_in_block, taking_part
from rapyer._transport import Reply
from rapyer._validation import checked_by_parts, expected, renew, validate
from rapyer._words import Command
from rapyer.errors import (
    KeyNotFound,
    PathNotFoundError,
    SlotMovingError,
    StaleModelError,
    WrongValueTypeError,
)
from rapyer.fields import RapyerKey

__all__ = ["save", "save_place"]

_TRIES: Final = 16


async def save(
    root: Root, key: RapyerKey, route: Route, text: bytes, *, only_existing: bool, if_unchanged: bool
) -> None:
    """Sends what was changed here since the document was loaded or saved.

    Args:
        root: the model.
        key: its key.
        route: where its class is stored.
        text: what is stored of it.
        only_existing: do not make a document that is gone again.
        if_unchanged: insist on the document that was last seen.

    Raises:
        ConstraintError: a value that changed in place breaks a bound of its field.
        CantSerializeRedisValueError: one would not be loaded again.
        ConcurrentTransactionError: it takes part in another task's block.
        KeyNotFound: it is gone, and only an existing one was to be saved.
        LockLostError: it is saved at the end of a lock's block, and the lock was lost.
        StaleModelError: others went on deleting, making and changing it; or did once, and `if_unchanged`.
    """
    state, fence = state_of(root, key), fence_of(root)
    refuse_in_block(state)
    # What was deleted in spite of a lock was deleted on purpose.
    only_existing = only_existing or fence is not None
    if if_unchanged:
        await _save_unchanged(root, key, route, state, text, fence, only_existing=only_existing)
        return
    for _ in range(_TRIES):
        base = state.base
        if base is None:
            versioned = is_versioned(route, state)
            root.__rapyer_codec__.check_fields(root)
            _validate_whole(root, text)
            words = commands.save(key, text, xx=only_existing, withversion=versioned, expect_policy=True)
            done, version = told(await _execute(fence, key, route, words), versioned)
            if done is None:
                raise _gone(key)
            state.know(key, text, version)
            return
        parts = edits(root, base, text)
        try:
            if await _send(root, route, state, parts, text, fence=fence):
                return
        except KeyNotFound:
            if only_existing:
                raise _gone(key) from None
            whole, versioned = rebased(base, parts, text).text(), is_versioned(route, state)
            words = commands.create(key, whole, nx=True, withversion=versioned, expect_policy=True)
            done, version = told(await execute(route, words), versioned)
            if done is not None:
                state.know(key, whole, version)
                settled(root, cast("Document", state.base), parts)
                return
        text = root.__rapyer_codec__.text(root)
    raise _changing(key)


async def save_place(location: Location, text: bytes, value: Any) -> None:
    """Sends what was changed at one place of a model, and nothing else of it.

    Args:
        location: the place.
        text: what is stored of the value there.
        value: that value.

    Raises:
        ConcurrentTransactionError: the model takes part in another task's block.
        KeyNotFound: the document is gone.
        StaleModelError: others went on changing it.
    """
    root, steps, key = location.root, location.segments, location.key
    if (transaction := taking_part(root)) is not None:
        # What is recorded for a field has its unsaved changes before it.
        transaction.enlist(root, known=True)
        transaction.changes(location)
        transaction.record(location, commands.edit(key))
        return
    refuse_in_block(state_of(root, key))
    # The element has to be there, also where nothing of it changed.
    keyed = [path_text(steps[:at]) for at, step in enumerate(steps, 1) if isinstance(step, ByKey)]
    for _ in range(_TRIES):
        base, whole = state_of(root, key).base, root.__rapyer_codec__.text(root)
        found = [] if base is None else edits(root, base, whole)
        if keyed and base is not None and not base.has(keyed[-1]):
            raise StaleModelError(f"{key!r} has no {keyed[-1]} any more, and what was in it cannot be saved")
        if (
            base is None
            or Held in map(type, steps)
            or any(is_within(steps, part.steps) and steps != part.steps for part in found)
        ):
            # An element without a key, or in what is not saved: the value stands for its changes.
            held = None if base is None else base.get(location.path)
            words = text if held is None else over(root, steps, held, text)
            await operate(location, partial(commands.set_, key, location.path, words), known={words: value})
            return
        inside = [part for part in found if is_within(part.steps, steps)]
        route, expected_there = type(root)._rapyer_route(), [commands.expect(key, path) for path in keyed]
        if await _send(root, route, state_of(root, key), inside, whole, expected_there):
            return
    raise _changing(key)


async def _send(
    root: Root,
    route: Route,
    state: State,
    parts: list[Edit],
    text: bytes,
    conditions: Sequence[Command] = (),
    fence: Lease | None = None,
) -> bool:
    """Whether edits were made on the server; the model follows others who changed what they are in."""
    check(root, parts)
    key, codec = cast("RapyerKey", state.key), root.__rapyer_codec__
    versioned = is_versioned(route, state)
    words = commands.edit(key, *[part.words for part in parts], withversion=versioned)
    if codec.has_validators:
        checked = checked_by_parts(codec, parts)
        if () in checked.seen and state.version is None:
            await renew(root, key, route)
            return False
        validate(root, rebased(cast("Document", state.base), parts, text), checked.made)
        conditions = [*conditions, *expected(key, state, checked.seen)]
    try:
        if fence is None and not conditions:
            # Nearly every save: it does not pay for a call more.
            reply = await execute(route, words)
        else:
            reply = await _execute(fence, key, route, *conditions, words)
    except (PathNotFoundError, StaleModelError, WrongValueTypeError):
        # What an edit is in is gone, or another than was validated: the edits are made anew on what is.
        stored, version = told(await execute(route, commands.get_ro(key, withversion=versioned)), versioned)
        if stored is not None:
            rebase(root, stored, version)
        return False
    if parts and versioned:
        state.advance(told(reply, versioned)[1])
    _follow_edits(root, state, words, parts, text)
    return True


async def _execute(fence: Lease | None, key: str, route: Route, *batch: Command) -> Reply:
    """The reply of the last of some commands, sent as one; under a lock, only while it is held."""
    if fence is not None:
        return await _fenced(fence, key, route, batch)
    return await execute(route, batch[0]) if len(batch) == 1 else await _as_one(route, batch)


async def _as_one(route: Route, batch: Sequence[Command]) -> Reply:
    return cast("list[Reply]", await execute(route, commands.exec_(batch)))[-1]


async def _fenced(fence: Lease, key: str, route: Route, batch: Sequence[Command]) -> Reply:
    """In a cluster the lock may be on another node than the document: then it is looked at just before."""
    held = fence.conditions(route, key)
    if held:
        try:
            return await _as_one(route, [*held, *batch])
        except StaleModelError:
            await fence.check()
            raise
        except SlotMovingError:
            # A lock that was taken meanwhile is where the slot will be, and the document where it was.
            pass
    await fence.check()
    return await _as_one(route, batch)


def _validate_whole(root: Root, text: bytes) -> None:
    if root.__rapyer_codec__.has_validators:
        validate(root, Document(text), ((),))


async def _save_unchanged(
    root: Root,
    key: RapyerKey,
    route: Route,
    state: State,
    text: bytes,
    fence: Lease | None,
    *,
    only_existing: bool,
) -> None:
    base = state.base
    if base is None:
        # What was never seen is not to be there.
        if only_existing:
            raise StaleModelError(
                f"{key!r} was not loaded or saved here, so that there is no version to be at"
            )
        root.__rapyer_codec__.check_fields(root)
        _validate_whole(root, text)
        words = commands.create(key, text, nx=True, withversion=True, expect_policy=True)
        done, version = told(await execute(route, words), True)
        if done is None:
            raise StaleModelError(
                f"there is a document under {key!r} that was not loaded here: load it first"
            )
        state.know(key, text, version)
        return
    parts = edits(root, base, text)
    check(root, parts)
    validate(root, rebased(base, parts, text), checked_by_parts(root.__rapyer_codec__, parts).made)
    words = commands.edit(key, *(part.words for part in parts), ifversion=state.version, withversion=True)
    try:
        seen = () if state.version is not None else (commands.expect(key, "$", base.text()),)
        reply = await _execute(fence, key, route, *seen, words)
    except KeyNotFound:
        raise StaleModelError(f"{key!r} is gone, and was to be as it was last seen") from None
    _, state.version = told(reply, True)
    _follow_edits(root, state, words, parts, text)


def _follow_edits(root: Root, state: State, words: Command, parts: list[Edit], text: bytes) -> None:
    """The server made these edits; so does the base."""
    base = state.base
    if base is None:
        # Deleted meanwhile.
        return
    try:
        # That it was to be at a version was the server's to decide.
        base.apply(words if state.version is None else edit_words(parts))
    except EngineError:
        base = rebased(base, parts, text)
        state.know(cast("RapyerKey", state.key), base, state.version)
    if parts:
        settled(root, base, parts)


def _changing(key: str) -> StaleModelError:
    return StaleModelError(f"{key!r} was changed by others each time it was to be saved, {_TRIES} times")


def _gone(key: str) -> KeyNotFound:
    return KeyNotFound(f"there is no document under {key!r}, and only_existing forbids creating it")
