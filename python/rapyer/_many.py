"""Many documents of one model: finding, loading, inserting and deleting them."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final, TypeVar, cast

import rapyer._commands as commands
from rapyer._binding import Root
from rapyer._connection import Route, execute, scan, slot
from rapyer._state import state_of
from rapyer._transaction import Block, Transaction, current
from rapyer._words import Command
from rapyer.config import RedisConfig
from rapyer.errors import (
    CorruptedModelError,
    KeyNotFound,
    StaleModelError,
    WrongKeyTypeError,
    failure_of_parts,
)
from rapyer.query import Condition

__all__ = ["delete_all", "delete_matching", "find", "insert", "load_many", "pages"]

_M = TypeVar("_M", bound=Root)

_PAGE: Final = 500
_log: Final = logging.getLogger("rapyer")


def _settings(model: type[Root]) -> RedisConfig:
    return cast("RedisConfig", cast("Any", model).Meta)


def _holds(condition: Condition, model: Root) -> bool:
    return condition.holds(cast("Any", model))


class Strangers:
    """Keys under a model's prefix that hold no document: skipped, counted, and reported in one log line."""

    def __init__(self, model: type[Root]) -> None:
        self._model = model
        self._count = 0
        self._first = ""

    def add(self, key: bytes | str, reason: object) -> None:
        self._first = self._first or f"{key!r}: {reason}"
        self._count += 1

    def report(self) -> None:
        if self._count:
            _log.warning(
                "%d keys under the prefix of %s hold no document of rapyer's and were skipped, such as %s",
                self._count,
                self._model.__name__,
                self._first,
            )


async def pages(
    model: type[Root], most: int | None = None, strangers: Strangers | None = None
) -> AsyncIterator[list[str]]:
    """The keys of all documents of a model, each once; those that are no text count as strangers."""
    skipped = strangers or Strangers(model)
    pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", f"{model.class_key_initials()}:") + "*"
    page: list[str] = []
    async for key in scan(model._rapyer_route(), pattern):
        try:
            page.append(key.decode())
        except UnicodeDecodeError as error:
            skipped.add(key, error)
        if len(page) == min(_PAGE, most or _PAGE):
            yield page
            page = []
    if page:
        yield page
    if strangers is None:
        skipped.report()


async def load_many(
    model: type[_M], keys: list[str], skip_missing: bool, *, refresh: bool = True
) -> list[_M]:
    """The models under some keys, in their order; without `refresh` nobody's lifetime moves."""
    texts, versions = await _texts(model._rapyer_route(), keys, refresh)
    missing = [key for key, text in zip(keys, texts, strict=True) if text is None]
    if missing and not skip_missing:
        raise KeyNotFound(f"there is no {model.__name__} under {', '.join(map(repr, missing))}")
    make = partial(_load_or_leave_out, model) if _settings(model).safe_load_all else model._rapyer_from_text
    read = zip(keys, texts, versions, strict=False)
    loaded = [make(key, text, version) for key, text, version in read if text is not None]
    return [one for one in loaded if one is not None]


async def _texts(
    route: Route, keys: list[str], refresh: bool
) -> tuple[list[bytes | None], Iterable[bytes | None]]:
    """What is under some keys, and the versions of models that save by them."""
    if not route.optimistic:
        words = commands.mget(*keys) if refresh else commands.mget_ro(*keys)
        return cast("list[bytes | None]", await execute(route, words)), repeat(None)
    # One by one, since a version is told of one document; they share a round trip.
    get = commands.get if refresh else commands.get_ro
    replies = await asyncio.gather(*(execute(route, get(key, withversion=True)) for key in keys))
    told = cast("list[tuple[bytes | None, bytes | None]]", replies)
    return [text for text, _ in told], [version for _, version in told]


def _load_or_leave_out(model: type[_M], key: str, text: bytes, version: bytes | None) -> _M | None:
    try:
        return model._rapyer_from_text(key, text, version)
    except CorruptedModelError as error:
        _log.warning("left out, as safe_load_all says: %s", error)
        return None


async def _load_documents(
    model: type[_M], keys: list[str], strangers: Strangers, *, refresh: bool = True
) -> list[_M]:
    """The models under some keys that were not named by anybody: what is no document is skipped."""
    try:
        return await load_many(model, keys, skip_missing=True, refresh=refresh)
    except WrongKeyTypeError:
        pass
    ones = (load_many(model, [key], skip_missing=True, refresh=refresh) for key in keys)
    found: list[_M] = []
    for key, one in zip(keys, await asyncio.gather(*ones, return_exceptions=True), strict=True):
        if isinstance(one, WrongKeyTypeError):
            strangers.add(key, one)
        elif isinstance(one, BaseException):
            raise one
        else:
            found += one
    return found


async def find(model: type[_M], condition: Condition | None, most: int | None) -> list[_M]:
    """The models of a class that fulfil a condition, at most so many. Only these are refreshed."""
    found: list[_M] = []
    strangers = Strangers(model)
    async for page in pages(model, most if condition is None else None, strangers):
        left = None if most is None else most - len(found)
        if left == 0:
            break
        if condition is None:
            found += await _load_documents(model, page[:left], strangers)
            continue
        seen = await _load_documents(model, page, strangers, refresh=False)
        fitting = [str(one.key) for one in seen if _holds(condition, one)][:left]
        if fitting:
            # They may have changed since.
            read = await _load_documents(model, fitting, strangers)
            found += [one for one in read if _holds(condition, one)]
    strangers.report()
    return found


async def insert(models: Sequence[tuple[Root, bytes]]) -> None:
    """Stores models as documents of these texts: all or none, which in a cluster is said of each slot."""
    if current() is not None:
        await _insert(models)
        return
    by_slot: dict[int, list[tuple[Root, bytes]]] = {}
    for model, text in models:
        by_slot.setdefault(slot(model._rapyer_route(), model.key), []).append((model, text))
    outcomes = await asyncio.gather(*map(_insert, by_slot.values()), return_exceptions=True)
    if (failure := failure_of_parts(outcomes)) is not None:
        raise failure


async def _insert(models: Sequence[tuple[Root, bytes]]) -> None:
    async def create(batch: Transaction) -> None:
        for model, text in models:
            batch.create(model, text)

    async with Block(create, use_existing_pipe=True):
        pass


async def delete_all(model: type[Root], keys: Sequence[str]) -> int:
    """Removes the documents under some keys of a model; how many there were, or will be looked for."""
    if (block := current()) is not None:
        for key in keys:
            block.add(model._rapyer_route(), commands.del_(key))
        return len(keys)
    size = _settings(model).max_delete_per_transaction or len(keys)
    deleted = 0
    for start in range(0, len(keys), size):
        words = commands.del_(*keys[start : start + size])
        deleted += cast("int", await execute(model._rapyer_route(), words))
    return deleted


async def delete_matching(model: type[Root], condition: Condition) -> int:
    """Removes the documents of a model that fulfil a condition when they are removed; how many."""
    deleted = 0
    strangers = Strangers(model)
    async for page in pages(model, strangers=strangers):
        seen = await _load_documents(model, page, strangers, refresh=False)
        fitting = [one for one in seen if _holds(condition, one)]
        if (block := current()) is not None:
            for operation in (operation for one in fitting for operation in _deletion(one)):
                block.add(model._rapyer_route(), operation)
            deleted += len(fitting)
        else:
            deleted += sum(await asyncio.gather(*(_delete(one, condition) for one in fitting)))
    strangers.report()
    return deleted


def _deletion(model: Root) -> tuple[Command, ...]:
    """Commands that remove a document if it is what was read."""
    base = state_of(model).base
    seen = b"null" if base is None else base.text()
    return commands.expect(model.key, "$", seen), commands.del_(model.key)


async def _delete(model: Root, condition: Condition) -> bool:
    while (deleted := await _delete_as_seen(model)) is None:
        # Somebody has changed it meanwhile: whether it still fulfils the condition is to be seen.
        strangers = Strangers(type(model))
        now = await _load_documents(type(model), [model.key], strangers, refresh=False)
        if not now or not _holds(condition, now[0]):
            return False
        (model,) = now
    return deleted


async def _delete_as_seen(model: Root) -> bool | None:
    """Whether there was a document to delete; None where that is another one by now."""
    try:
        await execute(model._rapyer_route(), commands.exec_(_deletion(model)))
    except (KeyNotFound, WrongKeyTypeError):
        return False
    except StaleModelError:
        return None
    return True
