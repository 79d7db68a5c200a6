"""How long anything may take: no call waits for ever, whatever the network does."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import redis.exceptions as redis_errors

__all__ = ["NETWORK_ERRORS", "TIMEOUT", "Limits", "cancelled", "first_answer", "pauses", "within"]

_T = TypeVar("_T")

TIMEOUT: Final = 5.0
"""Seconds for each step of a call, unless told otherwise. Some releases of redis-py would wait for ever."""

# asyncio's and socket's are of the same class from Python 3.11 on.
NETWORK_ERRORS: Final = (
    redis_errors.RedisError,
    redis_errors.RedisClusterException,
    OSError,
    asyncio.TimeoutError,
)
"""What redis-py raises when a server cannot be reached, goes away, or does not answer in time."""

_LONGEST_PAUSE: Final = 0.25
_HEAD_START: Final = 0.25


class Limits(NamedTuple):
    """The longest waits of a transport, in seconds."""

    connect: float
    """For a connection to be made, its handshake not counted."""
    reply: float
    """For a reply, counted from the command."""
    retry: float
    """For a state to end in which commands are refused: a slot that moves, a primary being replaced."""

    @classmethod
    def of_url(cls, options: Mapping[str, Any], timeout: float | None) -> "Limits":
        """What a URL says holds, else `timeout`."""
        return cls._of(options, timeout or TIMEOUT, timeout)

    @classmethod
    def of_client(cls, settings: Mapping[str, Any], timeout: float | None) -> "Limits":
        """`timeout` holds, else a client's settings: nobody can tell its defaults from its user's wish."""
        return cls._of({} if timeout else settings, timeout or TIMEOUT, timeout)

    @classmethod
    def _of(cls, settings: Mapping[str, Any], default: float, timeout: float | None) -> "Limits":
        reply = settings.get("socket_timeout") or default
        connect = settings.get("socket_connect_timeout") or reply
        return cls(connect, reply, timeout or TIMEOUT)

    @property
    def handshake(self) -> float:
        """For a connection with its handshake, however often redis-py tries."""
        return self.connect + self.reply

    @property
    def settings(self) -> dict[str, float]:
        """As redis-py names them."""
        return {"socket_connect_timeout": self.connect, "socket_timeout": self.reply}


def pauses(limit: float) -> Iterator[float]:
    """Backoff: two immediate attempts, then exponential to 250 ms; ends after `limit` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    yield from (0, 0)
    pause = 0.01
    while loop.time() < until:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


async def first_answer(attempts: Iterable[Callable[[], Coroutine[Any, Any, _T]]]) -> _T:
    """The first answer among several that would do.

    Attempts start one after the other: the next once one failed, or has not answered within a head start, so
    that a server that swallows everything delays an answer by a moment and not by its time limit.

    Raises:
        Exception: the last attempt's, where all failed.
    """
    waiting = iter(attempts)
    running: set[asyncio.Task[_T]] = set()
    failure: BaseException | None = None
    try:
        while True:
            attempt = next(waiting, None)
            if attempt is not None:
                running.add(asyncio.create_task(attempt()))
            elif not running:
                break
            head_start = None if attempt is None else _HEAD_START
            done, running = await asyncio.wait(
                running, timeout=head_start, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    return task.result()
    finally:
        await cancelled(running)
    raise failure or LookupError("there is nobody to ask")


async def cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels tasks, and waits until they have ended."""
    going = {task for task in tasks if not task.done()}
    while going:
        for task in going:
            task.cancel()
        # Again after a moment: before Python 3.12 asyncio.wait_for, which redis-py uses, may swallow it.
        _, going = await asyncio.wait(going, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)


async def within(limit: float, doing: Coroutine[Any, Any, _T]) -> _T:
    """Like asyncio.wait_for, which before Python 3.12 may swallow a cancellation.

    Raises:
        TimeoutError: asyncio's; it took longer, and was cancelled.
    """
    task = asyncio.create_task(doing)
    try:
        await asyncio.wait([task], timeout=limit)
        if not task.done():
            raise asyncio.TimeoutError
    finally:
        await cancelled([task])
    return task.result()
