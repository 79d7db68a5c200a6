"""Locks: leases on the server, renewed for as long as a block holds them."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Generic, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from rapyer import _commands as commands
from rapyer._connection import Route, execute
from rapyer._words import Command
from rapyer.errors import (
    LockLostError,
    LockTimeoutError,
    RapyerConnectionError,
    RapyerError,
    UnsupportedArgumentValueError,
)

__all__ = ["LEASE", "Lock"]

_T = TypeVar("_T")

LEASE: Final = 30.0
"""How many seconds a lock outlives a holder that died, unless told otherwise."""

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.25

_log: Final = logging.getLogger("rapyer")
_held: ContextVar[dict[tuple[int, str], "_Lease"] | None] = ContextVar("rapyer_locks", default=None)


class _Lease:
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
        until = None if timeout is None else loop.time() + timeout
        pause = _FIRST_PAUSE
        while not (number := await self._ask(commands.lock(self._name, self._token, px=self._milliseconds))):
            left = _LONGEST_PAUSE if until is None else until - loop.time()
            if left <= 0:
                raise LockTimeoutError(f"{self._name!r} was not free within {timeout} s")
            # Not in step with the others that wait.
            await asyncio.sleep(min(left, pause * random.uniform(0.5, 1)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        self.number = number
        self._renewal = asyncio.create_task(self._renew())

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

    async def release(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        try:
            self.lost = not await self._ask(commands.unlock(self._name, self._token)) or self.lost
        except RapyerConnectionError as error:
            _log.warning("the lock %r was not given back, it ends with its lease: %s", self._name, error)


class Lock(Generic[_T]):
    """A lock of a document, to be used with `async with`, once.

    A task may take a lock that it holds already. Should the holder die, its lease ends by itself.
    """

    def __init__(
        self,
        route: Route,
        key: str,
        action: str,
        *,
        lease: float,
        timeout: float | None,
        enter: Callable[[], Awaitable[_T]],
        leave: Callable[[_T], Awaitable[object]] | None,
    ) -> None:
        if not 0.01 <= lease <= 86_400:
            raise UnsupportedArgumentValueError(f"lease must be from 0.01 s to a day, and is {lease!r}")
        self.name: Final = f"lock:{quote(action, safe='')}:{key}"
        """The key that the lock is kept under."""
        self._route = route
        self._seconds = lease
        self._timeout = timeout
        self._enter = enter
        self._leave = leave
        self._lease: _Lease | None = None
        self._value: _T

    @property
    def fencing_number(self) -> int:
        """A number greater than that of every holder before: for what else is written under this lock."""
        if self._lease is None:
            raise LockLostError(f"{self.name!r} is not held: take it with 'async with' first")
        return self._lease.number

    async def __aenter__(self) -> _T:
        mine = (id(self._route.transport), self.name)
        held = _held.get() or {}
        lease = held.get(mine)
        # A task started by the holder has a copy of its context; the lock is not that task's.
        if lease is None or lease.task is not asyncio.current_task() or not lease.depth:
            lease = _Lease(self._route, self.name, self._seconds)
            await lease.acquire(self._timeout)
            _held.set({**held, mine: lease})
        lease.depth += 1
        self._lease = lease
        try:
            self._value = await self._enter()
        except BaseException:
            await self._release(lease)
            raise
        return self._value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._lease
        if lease is None:
            return
        try:
            if kind is None and self._leave is not None and not lease.lost:
                await self._leave(self._value)
        finally:
            await self._release(lease)
        if kind is None and lease.lost:
            raise LockLostError(
                f"the lease of {self.name!r} was over before its block was: somebody else may have held the "
                "lock meanwhile; give it a longer lease, or keep the event loop free"
            )

    async def _release(self, lease: _Lease) -> None:
        self._lease = None
        lease.depth -= 1
        if lease.depth == 0:
            # A cancelled holder gives its lock back all the same.
            await asyncio.shield(asyncio.ensure_future(lease.release()))
