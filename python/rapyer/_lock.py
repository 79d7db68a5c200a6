"""Locks: leases on the server, renewed for as long as a block holds them."""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

import rapyer._commands as commands
from rapyer._connection import Route, execute, slot
from rapyer._words import Command
from rapyer.errors import (
    LockLostError,
    LockTimeoutError,
    NotAppliedError,
    RapyerConnectionError,
    RapyerError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
)

__all__ = ["LEASE", "Duration", "Lease", "Lock", "fence_of"]

_T = TypeVar("_T")

Duration: TypeAlias = float | timedelta
"""A span of time: a number of seconds, or a timedelta."""

LEASE: Final = 30.0
"""How many seconds a lock outlives a holder that died, unless told otherwise."""

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25
_LAST_WAIT: Final = 0.001
"""Seconds before a deadline in which asking once more is no use."""
_LONGEST_RETRY: Final = 5.0

_log: Final = logging.getLogger("rapyer")
_held: ContextVar[dict[tuple[int, str], "Lease"] | None] = ContextVar("rapyer_locks", default=None)
_fence: ContextVar[tuple[object, "Lease"] | None] = ContextVar("rapyer_fence", default=None)

# Nobody awaits these, and an event loop alone does not keep its tasks alive.
_giving_back: Final = set[asyncio.Task[None]]()


def _start(work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
    """A task in a context of its own.

    A copy of the caller's would keep the lease that was held before, whose task keeps the one before that.
    """
    return Context().run(asyncio.ensure_future, work)


def fence_of(root: object) -> "Lease | None":
    """The lease that the model is being saved under, at the end of a lock's block."""
    found = _fence.get()
    return None if found is None or found[0] is not root else found[1]


@contextmanager
def _fenced(root: object, lease: "Lease") -> Iterator[None]:
    # Not an argument of `asave`, which models override.
    token = _fence.set((root, lease))
    try:
        yield
    finally:
        _fence.reset(token)


class Lease:
    """One hold of a lock by one task, however many of its blocks are inside each other."""

    def __init__(self, route: Route, name: str, seconds: float) -> None:
        self.number = 0
        self.depth = 0
        self.lost = False
        self.task = asyncio.current_task()
        self._route = route
        self._name = name
        self._token = uuid4().hex
        self._seconds = seconds
        self._milliseconds = round(seconds * 1000)
        self._renewal: asyncio.Task[None] | None = None

    async def acquire(self, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        until = math.inf if timeout is None else loop.time() + timeout
        pause = _FIRST_PAUSE
        # Without time to wait the lock is still asked for once, and that takes a round trip.
        limit = timeout or None
        while not (number := await self._take(limit)):
            # Not in step with the others that wait, and with time for the answer before the deadline.
            rest = (until - loop.time()) / 2
            await asyncio.sleep(min(max(0, rest), pause * random.uniform(0.5, 1)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            if timeout is not None:
                limit = until - loop.time()
                if limit < _LAST_WAIT:
                    raise LockTimeoutError(f"{self._name!r} was not free within {timeout:g} s")
        self.number = number
        self._renewal = _start(self._renew())

    async def _take(self, limit: float | None) -> int:
        """The fencing number, or 0 while somebody else holds the lock.

        The command goes on when its caller is cancelled or has no more time. What it took is given back.
        """
        asking = _start(self._ask(self._locking))
        try:
            await asyncio.wait((asking,), timeout=limit)
        except asyncio.CancelledError:
            self._give_back_later(asking)
            raise
        if not asking.done():
            self._give_back_later(asking)
            raise LockTimeoutError(
                f"the server did not say within {limit:.3g} s whether {self._name!r} is free"
            )
        try:
            return asking.result()
        except NotAppliedError:
            raise
        except RapyerConnectionError:
            self._give_back_later(asking)
            raise

    @property
    def _locking(self) -> Command:
        return commands.lock(self._name, self._token, px=self._milliseconds)

    async def _ask(self, words: Command) -> int:
        return cast("int | None", await execute(self._route, words)) or 0

    async def _renew(self) -> None:
        """Renews the lease at thirds of its time. Out of reach, it goes on trying until the lease is over."""
        loop = asyncio.get_running_loop()
        over = loop.time() + self._seconds
        while not self.lost:
            await asyncio.sleep(self._seconds / 3)
            asked = loop.time()
            try:
                self.lost = not await self._ask(
                    commands.renew(self._name, self._token, px=self._milliseconds)
                )
                over = asked + self._seconds
            except RapyerError as error:
                _log.warning("the lock %r could not be renewed: %s", self._name, error)
                self.lost = loop.time() >= over

    def conditions(self, route: Route, key: str) -> list[Command]:
        """What goes ahead of a write to a document in one batch, to have it refused once the lease is over.

        Nothing where the lock is in another slot of a cluster than the document, and in no batch with it.
        """
        if slot(route, key) != slot(route, self._name):
            return []
        # A lock that its holder takes again keeps its number. Whatever else happened to it, it has another.
        return [self._locking, commands.expect(self._name, "$.number", str(self.number))]

    async def check(self) -> None:
        """Raises `LockLostError` where the lease is over."""
        if not await self._ask(commands.renew(self._name, self._token, px=self._milliseconds)):
            self.lost = True
            raise self.loss()

    def loss(self) -> LockLostError:
        return LockLostError(
            f"the lease of {self._name!r} was over before its block was: somebody else may have held the "
            "lock meanwhile; give it a longer lease, or keep the event loop free"
        )

    async def release(self) -> None:
        self.task = None
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
            self._renewal = None
        was_held = await self._unlock()
        if was_held is None:
            self._give_back_later(None)
        else:
            self.lost = self.lost or not was_held

    async def _unlock(self) -> bool | None:
        """Whether the lock was held until now; None where the server is out of reach."""
        try:
            return bool(await self._ask(commands.unlock(self._name, self._token)))
        except RapyerConnectionError as error:
            _log.warning("the lock %r was not given back, else it ends with its lease: %s", self._name, error)
            return None

    def _give_back_later(self, asking: "asyncio.Task[int] | None") -> None:
        task = _start(self._give_back(asking))
        _giving_back.add(task)
        task.add_done_callback(_giving_back.discard)

    async def _give_back(self, asking: "asyncio.Task[int] | None") -> None:
        """Ends a hold that nobody is in, once it is known whether there is one; tried while it may last."""
        loop = asyncio.get_running_loop()
        if asking is not None:
            try:
                if not await asking:
                    return
            except NotAppliedError:
                return
            except RapyerConnectionError as error:
                _log.warning("whether the lock %r was taken is not known: %s", self._name, error)
            except RapyerError:
                # Refused, so that nothing is held.
                return
        over, pause = loop.time() + self._seconds, _LONGEST_PAUSE
        while await self._unlock() is None and loop.time() < over:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_RETRY)


class Lock(Generic[_T]):
    """A lock of a document, to be used with `async with`; one object is in one block at a time.

    A task may take a lock that it holds already, by another object. Should the holder die, its lease ends by
    itself.
    """

    def __init__(
        self,
        route: Route,
        key: str,
        action: str,
        *,
        lease: Duration,
        timeout: Duration | None,
        enter: Callable[[], Awaitable[_T]],
        leave: Callable[[_T], Awaitable[object]] | None,
    ) -> None:
        if not isinstance(cast("object", action), str):
            raise UnsupportedArgumentTypeError(f"action must be a text that names the lock, not {action!r}")
        self._seconds = _seconds(lease, "lease")
        if not 0.01 <= self._seconds <= 86_400:
            raise UnsupportedArgumentValueError(f"lease must be from 0.01 s to a day, and is {lease!r}")
        self._timeout = None if timeout is None else max(0, _seconds(timeout, "timeout"))
        self.name: Final = f"lock:{quote(action, safe='')}:{key}"
        """The key that the lock is kept under."""
        self._route = route
        self._enter = enter
        self._leave = leave
        self._entered = False
        self._lease: Lease | None = None
        self._value: _T

    @property
    def fencing_number(self) -> int:
        """A number greater than that of every holder before: for what else is written under this lock."""
        if self._lease is None:
            raise LockLostError(f"{self.name!r} is not held: take it with 'async with' first")
        return self._lease.number

    async def __aenter__(self) -> _T:
        if self._entered:
            raise RuntimeError(
                f"this lock object, {self.name!r}, was entered already: call alock() for each block"
            )
        self._entered = True
        try:
            self._lease = lease = await self._take()
            try:
                self._value = await self._enter()
            except BaseException:
                await self._release(lease)
                raise
        except BaseException:
            self._entered = False
            raise
        return self._value

    async def _take(self) -> Lease:
        held, mine = _held.get() or {}, (id(self._route.transport), self.name)
        lease = held.get(mine)
        # A task started by the holder has a copy of its context; the lock is not that task's.
        if lease is None or lease.task is not asyncio.current_task() or not lease.depth:
            lease = Lease(self._route, self.name, self._seconds)
            await lease.acquire(self._timeout)
            _held.set({**held, mine: lease})
        lease.depth += 1
        return lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._lease
        if lease is None:
            return
        try:
            if kind is None and self._leave is not None and not lease.lost:
                with _fenced(self._value, lease):
                    await self._leave(self._value)
        finally:
            await self._release(lease)
        if kind is None and lease.lost:
            raise lease.loss()

    async def _release(self, lease: Lease) -> None:
        self._lease, self._entered = None, False
        lease.depth -= 1
        if lease.depth == 0:
            _held.set({mine: other for mine, other in (_held.get() or {}).items() if other is not lease})
            # A cancelled holder gives its lock back all the same.
            await asyncio.shield(asyncio.ensure_future(lease.release()))


def _seconds(duration: object, name: str) -> float:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise UnsupportedArgumentTypeError(
            f"{name} must be a number of seconds or a timedelta, not {duration!r}"
        )
    if math.isnan(duration):
        raise UnsupportedArgumentValueError(f"{name} must be a number of seconds, not {duration!r}")
    return duration
