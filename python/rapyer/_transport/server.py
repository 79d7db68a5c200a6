"""A server, over redis-py's connections.

An event loop has one connection. The commands of its tasks are written as they come, those of one turn of
the loop together, and one reader hands the replies out in order. That is several times faster than a pool,
where every command waits for its own round trip.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any, Final, cast

import hiredis
import redis.exceptions as redis_errors
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from rapyer._policy import Policy
from rapyer._transport import Exchange, Reply, ReplyError, Words
from rapyer._transport.limits import NETWORK_ERRORS, Limits, within
from rapyer._transport.loops import PerLoop, Shared
from rapyer.errors import (
    NotAppliedError,
    RapyerConnectionError,
    UnsupportedArgumentValueError,
    command_error,
)

__all__ = ["LoopConnection", "ServerTransport"]

# What fits into a connection's empty buffer is written without waiting, so no cancelled task can cut it.
_AT_ONCE: Final = 16 * 1024

# redis-py takes these prefixes off the texts of the errors it has classes for.
_PREFIXES: Final[dict[type[redis_errors.RedisError], str]] = {
    redis_errors.NoPermissionError: "NOPERM",
    redis_errors.ReadOnlyError: "READONLY",
    redis_errors.OutOfMemoryError: "OOM",
    redis_errors.BusyLoadingError: "LOADING",
    redis_errors.MasterDownError: "MASTERDOWN",
    redis_errors.ClusterDownError: "CLUSTERDOWN",
    redis_errors.ClusterCrossSlotError: "CROSSSLOT",
    redis_errors.TryAgainError: "TRYAGAIN",
    redis_errors.AskError: "ASK",
    redis_errors.MovedError: "MOVED",
}


class ServerTransport:
    """A server that a connection pool of redis-py knows the way to. The pool's connections are not taken."""

    def __init__(self, pool: ConnectionPool, limits: Limits) -> None:
        self.address = address = _address(pool)
        self._connections = PerLoop(lambda: LoopConnection(pool, address, limits))

    @classmethod
    def from_url(cls, url: str, timeout: float | None) -> "ServerTransport":
        """For a URL of redis-py's. A server that is down is reported at once, not after retries."""
        try:
            pool: Any = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0))
            # redis-py looks at a URL's options only when it makes a connection.
            pool.make_connection()
        except (TypeError, ValueError) as error:
            raise UnsupportedArgumentValueError(f"the URL of the server cannot be used: {error}") from error
        return cls(pool, Limits.of_url(pool.connection_kwargs, timeout))

    def run(self, words: Words, exchange: Exchange) -> Awaitable[Reply]:
        session = self._connections.get().opened
        # Not through a coroutine of its own: what is awaited through fewer of them is resumed sooner.
        if session is not None and session.open:
            return exchange(session, words)
        return self._connected(words, exchange)

    async def _connected(self, words: Words, exchange: Exchange) -> Reply:
        return await exchange(await self.session(), words)

    async def session(self) -> "ServerSession":
        """The session of the running event loop, connected."""
        return await self._connections.get().session()

    def slot(self, key: bytes) -> int:
        return 0

    async def primaries(self) -> "Sequence[ServerTransport]":
        return [self]


class LoopConnection:
    """The one connection of an event loop, opened when it is needed and again when it was lost."""

    def __init__(self, pool: ConnectionPool, address: str, limits: Limits) -> None:
        self._pool = pool
        self._address = address
        self._limits = limits
        self.opened: ServerSession | None = None
        """The latest session, lost or not."""
        self._opening = Shared(self._open)

    async def session(self) -> "ServerSession":
        if self.opened is not None and self.opened.open:
            return self.opened
        return await self._opening.get()

    async def _open(self) -> "ServerSession":
        connection: Any = cast("Any", self._pool).make_connection()
        connection.socket_connect_timeout = self._limits.connect
        connection.socket_timeout = self._limits.reply
        opened = False
        try:
            await within(self._limits.handshake, self._connect(connection))
            opened = True
        except asyncio.TimeoutError:
            raise NotAppliedError(
                f"cannot connect to the server at {self._address} within {self._limits.handshake:g} s; check "
                "that it runs and can be reached, or allow more time with init_rapyer(timeout=...)"
            ) from None
        except NETWORK_ERRORS as error:
            if isinstance(error, redis_errors.RedisError) and _refusal(error).is_transient:
                raise command_error(
                    str(_refusal(error)), f"connecting to the server at {self._address}"
                ) from None
            raise NotAppliedError(
                f"cannot connect to the server at {self._address}: {error}; "
                "check that it runs and that init_rapyer(redis=...) names it rightly"
            ) from error
        finally:
            if not opened:
                await connection.disconnect(nowait=True)
        self.opened = ServerSession(connection, self._address, self._limits.reply)
        return self.opened

    async def _connect(self, connection: Any) -> None:
        await connection.connect()

    async def close(self) -> None:
        await self._opening.settle()
        if self.opened is not None:
            await self.opened.close()


class ServerSession:
    """One connection, with the commands under way on it."""

    def __init__(self, connection: AbstractConnection, address: str, limit: float) -> None:
        self.address = address
        self.policies: dict[str, Policy] = {}
        self.open = True
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        # redis-py's time limit would cost a task for every write.
        self._limit, connection.socket_timeout = limit, None
        self._unsent: list[bytes] = []
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._work = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = (self._loop.create_task(self._write()), self._loop.create_task(self._read()))

    async def send(self, *commands: Words) -> Sequence[Awaitable[Reply]]:
        if not self.open:
            raise NotAppliedError(f"the connection to the server at {self.address} was closed")
        # hiredis packs what redis-py would pack, in C.
        packed = b"".join([hiredis.pack_command(cast("Any", words)) for words in commands])
        idle, now = not self._waiting, self._loop.time()
        answers: list[asyncio.Future[Reply]] = [self._loop.create_future() for _ in commands]
        self._waiting.extend((answer, now) for answer in answers)
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._limit, self._check_time)
        if idle and len(packed) <= _AT_ONCE:
            try:
                await self._sent([packed])
            except asyncio.CancelledError:
                for answer in answers:
                    answer.cancel()
                # redis-py ended the connection, whose writing was cut short, and would open another one.
                self.lose("a task was cancelled while it wrote")
                raise
        else:
            self._unsent.append(packed)
            self._work.set()
        return answers

    async def close(self) -> None:
        self.lose("it was closed by teardown_rapyer()")
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        while self.open:
            await self._work.wait()
            self._work.clear()
            packed, self._unsent = self._unsent, []
            await self._sent(packed)

    async def _sent(self, packed: list[bytes]) -> None:
        try:
            await self._connection.send_packed_command(packed, check_health=False)
        except (redis_errors.RedisError, OSError) as error:
            self.lose(error)

    async def _read(self) -> None:
        try:
            while True:
                self._answer(await self._reply())
        except (redis_errors.RedisError, OSError) as error:
            # redis-py leaves a Sentinel's primary that says it is one no longer.
            if isinstance(error.__context__, redis_errors.ReadOnlyError):
                self._answer(error.__context__)
            self.lose(error)
        finally:
            self.lose("the event loop ended")
            await self._connection.disconnect(nowait=True)

    async def _reply(self) -> "Reply | redis_errors.RedisError":
        try:
            # Without a time limit: between commands nothing is due. `_check_time` watches commands.
            return cast(
                "Reply",
                await self._connection.read_response(
                    disable_decoding=True, timeout=math.inf, disconnect_on_error=False
                ),
            )
        # For redis-py a server that loads its files has ended the connection. It has not.
        except (redis_errors.ResponseError, redis_errors.BusyLoadingError) as error:
            return error

    def _answer(self, reply: "Reply | redis_errors.RedisError") -> None:
        answer, _ = self._waiting.popleft()
        if answer.done():
            return
        if isinstance(reply, redis_errors.RedisError):
            answer.set_exception(_refusal(reply))
        else:
            answer.set_result(reply)

    def _check_time(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        due = self._waiting[0][1] + self._limit
        if due <= self._loop.time():
            self.lose(f"no reply within {self._limit:g} s")
        else:
            self._timer = self._loop.call_at(due, self._check_time)

    def lose(self, reason: object) -> None:
        """Ends the session: what is under way fails, the next command connects anew."""
        if not self.open:
            return
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task(self._loop):
                task.cancel()
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(
                    RapyerConnectionError(
                        f"the connection to the server at {self.address} was lost: {reason}; a command that "
                        "was under way may or may not have been applied: look before you repeat it"
                    )
                )
        self._waiting.clear()


def _refusal(error: redis_errors.RedisError) -> ReplyError:
    """The error reply that redis-py made an exception of."""
    prefix = _PREFIXES.get(type(error))
    return ReplyError(str(error) if prefix is None else f"{prefix} {error}")


def _address(pool: ConnectionPool) -> str:
    settings = pool.connection_kwargs
    if "path" in settings:
        return str(settings["path"])
    host, port = settings.get("host", "localhost"), settings.get("port", 6379)
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
