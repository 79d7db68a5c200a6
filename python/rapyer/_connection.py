"""From what `Meta.redis` says to an engine, with the model's policy going ahead of its commands."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from threading import Lock
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from rapyer._native import packed as as_bytes
from rapyer._policy import Policy
from rapyer._transport import Reply, ReplyError, Session, Transport, Words
from rapyer._transport.cluster import ClusterTransport
from rapyer._transport.embedded import EmbeddedTransport
from rapyer._transport.limits import Limits
from rapyer._transport.sentinel import SentinelTransport
from rapyer._transport.server import ServerTransport
from rapyer._words import Word, described
from rapyer.embedded import engine
from rapyer.errors import (
    CommandError,
    ModuleNotLoadedError,
    NotConfiguredError,
    PolicyMissingError,
    RapyerConnectionError,
    RapyerError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
    command_error,
    is_server_state,
)

__all__ = ["Route", "Word", "connect", "execute", "scan", "slot"]


class Route(NamedTuple):
    """Where a model's commands go, and under which policy."""

    transport: Transport | None
    """None: to what `RAPYER_URL` names."""
    policy: Policy
    sends: bool
    """Whether the policy is put on the server, or expected there."""
    timeout: float | None = None
    """What `RAPYER_URL` may take, in seconds; a transport has its own."""
    optimistic: bool = False
    """Whether the model's saves insist on the version that was last seen."""


_SCHEMES = ("redis", "rediss", "unix")
_OPERATION: Final = re.compile(r"[A-Z]+ operation (\d+) ")

# One transport for each source and timeout, so that models with the same URL or client share round trips.
_by_url: dict[tuple[str, float | None], Transport] = {}
_by_client: WeakKeyDictionary[Redis | RedisCluster, dict[float | None, Transport]] = WeakKeyDictionary()
_lock = Lock()


def _unlock() -> None:
    """In a child process: whichever thread held the lock when it was forked stayed in the parent."""
    global _lock
    _lock = Lock()


os.register_at_fork(after_in_child=_unlock)


def connect(source: object, timeout: float | None = None) -> Transport:
    """The transport for a URL or a client. Nothing is sent yet."""
    with _lock:
        if isinstance(source, str):
            if (source, timeout) not in _by_url:
                _by_url[source, timeout] = _of_url(source, timeout)
            return _by_url[source, timeout]
        if isinstance(source, (Redis, RedisCluster)):
            transports = _by_client.setdefault(source, {})
            if timeout not in transports:
                transports[timeout] = _of_client(source, timeout)
            return transports[timeout]
    raise UnsupportedArgumentTypeError(
        f"redis must be a URL, or a Redis or RedisCluster client of redis.asyncio, not {source!r}"
    )


def _of_url(url: str, timeout: float | None) -> Transport:
    parts = urlsplit(url)
    if parts.scheme == "embedded":
        name = unquote(url.removeprefix("embedded://"))
        return EmbeddedTransport(engine(name).native, url)
    if parts.scheme in _SCHEMES:
        return ServerTransport.from_url(url, timeout)
    raise UnsupportedArgumentValueError(
        # What stands before the @ may be a password.
        f"{url.rpartition('@')[2]!r} is no address of an engine: use redis://, rediss:// or unix:// for a "
        "server, embedded:// for the engine in this process"
    )


def _of_client(client: Redis | RedisCluster, timeout: float | None) -> Transport:
    if isinstance(client, RedisCluster):
        return ClusterTransport(client, timeout)
    pool: Any = client.connection_pool
    limits = Limits.of_client(pool.connection_kwargs, timeout)
    if isinstance(pool, SentinelConnectionPool):
        asking = cast("Any", pool).sentinel_manager.sentinel_kwargs
        return SentinelTransport(pool, limits, Limits.of_client(asking, timeout))
    return ServerTransport(pool, limits)


async def execute(route: Route, words: tuple[Word, ...], *, also: tuple[Route, ...] = ()) -> Reply:
    """Runs one command for a model, and `also` for models of other routes to the same place; its reply.

    A model's policy goes ahead of its first command on each connection, and again after it changed.
    A command that says EXPECT-POLICY insists on it: a server that lost it is told again, and nothing becomes
    immortal in between.
    """
    transport = route.transport or _transport_of_environment(route.timeout)
    try:
        return await transport.run(packed(words), partial(_exchange, (route, *also)))
    except ReplyError as error:
        raise _failure(error, words, transport.address) from None


def slot(route: Route, key: str) -> int:
    """Which keys can be changed as one with this one: those that have the same number."""
    return (route.transport or _transport_of_environment(route.timeout)).slot(key.encode())


async def scan(route: Route, match: str, count: int = 1000) -> AsyncIterator[bytes]:
    """The keys that a glob pattern matches, of all the engines that share them, each once.

    A key that is there from beginning to end is met; one that comes or goes meanwhile may be or may not be.
    """
    transport = route.transport or _transport_of_environment(route.timeout)
    met: set[bytes] = set()
    for part in await transport.primaries():
        cursor = b"0"
        while True:
            words = ("SCAN", cursor, "MATCH", match, "COUNT", count)
            try:
                reply = await part.run(packed(words), _bare)
            except ReplyError as error:
                raise _failure(error, words, part.address) from None
            cursor, keys = cast("tuple[bytes, list[bytes]]", reply)
            for key in keys:
                if key not in met:
                    met.add(key)
                    yield key
            if cursor == b"0":
                break


async def _bare(session: Session, words: Words) -> Reply:
    (answer,) = await session.send(words)
    return await answer


async def _exchange(routes: tuple[Route, ...], session: Session, words: Words) -> Reply:
    """Sends a command, with the policies ahead of it that the session does not have yet."""
    news: list[Policy] = []
    for route in routes:
        policy = route.policy
        told = session.policies.get(policy.prefix)
        if route.sends and told is not policy and told != policy:
            news.append(policy)
    try:
        if not news:
            (answer,) = await session.send(words)
            return await answer
        return await _announcing(session, news, words)
    except ReplyError as error:
        if error.prefix != "NOPOLICY":
            raise
    for route in routes:
        if not route.sends:
            raise PolicyMissingError(
                f"the server at {session.address} has no policy for {route.policy.prefix!r}, and "
                f"policies='expect' forbids setting one; have it set there: {route.policy}"
            )
    return await _announcing(session, [route.policy for route in routes], words)


async def _announcing(session: Session, policies: list[Policy], words: Words) -> Reply:
    """Sends policies and the command behind them in one go."""
    for policy in policies:
        session.policies[policy.prefix] = policy
    answers = await session.send(*(packed(policy.command) for policy in policies), words)
    *outcomes, answer = await asyncio.gather(*answers, return_exceptions=True)
    for policy, told in zip(policies, outcomes, strict=True):
        if not isinstance(told, BaseException):
            continue
        session.policies.pop(policy.prefix, None)
        if not isinstance(told, ReplyError) or _is_unknown_command(told):
            raise told
        # A replica has its policies from its primary; a server that takes no writes may yet answer reads.
        if not is_server_state(told.prefix):
            raise CommandError(
                f"the server at {session.address} refuses the policy of {policy.prefix!r}: {told}; if this "
                "user may not set policies, have it set there and use init_rapyer(policies='expect'): "
                f"{policy}"
            )
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _transport_of_environment(timeout: float | None) -> Transport:
    url = os.environ.get("RAPYER_URL")
    if not url:
        raise NotConfiguredError(
            "no connection is configured: call init_rapyer(redis='redis://localhost:6379/0') first, or set "
            "the environment variable RAPYER_URL; 'embedded://' needs no server"
        )
    return connect(url, timeout)


def packed(words: tuple[Word, ...]) -> tuple[bytes, ...]:
    """The words of a command as a transport writes them."""
    try:
        return as_bytes(words)
    except UnicodeEncodeError as error:
        raise UnsupportedArgumentValueError(f"{error.object!r} is not text that UTF-8 can hold") from None


def _failure(error: ReplyError, words: tuple[Word, ...], address: str) -> RapyerError:
    text = str(error)
    if _is_unknown_command(error):
        return ModuleNotLoadedError(
            f"the server at {address} does not know {words[0]!r}: load this release's module into it, "
            'redis-server --loadmodule "$(rapyer module-path)"'
        )
    if error.prefix in ("ASK", "MOVED"):
        return RapyerConnectionError(
            f"the server at {address} is a node of a cluster and sends {words[0]!r} elsewhere ({text}): give "
            "init_rapyer(redis=...) a client of the cluster, redis.asyncio.RedisCluster.from_url(...)"
        )
    return command_error(text, described(_refused(words, text)))


def _refused(words: tuple[Word, ...], text: str) -> tuple[Word, ...]:
    """The command that an error is about: of a batch, the operation that it names."""
    named = _OPERATION.match(text)
    if named is None:
        return words
    at = 2 + int(words[1])
    for _ in range(int(named[1]) - 1):
        at += 1 + int(words[at])
    return words[at + 1 : at + 1 + int(words[at])]


def _is_unknown_command(error: ReplyError) -> bool:
    return str(error).removeprefix("ERR ").startswith("unknown command")
