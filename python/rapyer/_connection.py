"""From what `Meta.redis` says to an engine, with the model's policy going ahead of its commands."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from threading import Lock
from typing import Any, NamedTuple, TypeAlias, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from redis.asyncio import Redis, RedisCluster

from rapyer._policy import Policy
from rapyer._transport import Reply, ReplyError, Session, Transport
from rapyer._transport.embedded import EmbeddedTransport
from rapyer._transport.server import ServerTransport
from rapyer.embedded import engine
from rapyer.errors import (
    CommandError,
    ModuleNotLoadedError,
    NotConfiguredError,
    PolicyMissingError,
    RapyerError,
    UnsupportedArgumentTypeError,
    UnsupportedArgumentValueError,
    command_error,
)

__all__ = ["Route", "Word", "close_all", "connect", "execute", "scan"]

Word: TypeAlias = bytes | str | int
"""One argument of a command."""


class Route(NamedTuple):
    """Where a model's commands go, and under which policy."""

    transport: Transport | None
    """None: to what `RAPYER_URL` names."""
    policy: Policy
    sends: bool
    """Whether the policy is put on the server, or expected there."""


_SCHEMES = ("redis", "rediss", "unix")

# One transport for each source, so that models with the same URL or client share round trips.
_by_url: dict[str, Transport] = {}
_by_client: WeakKeyDictionary[Redis, ServerTransport] = WeakKeyDictionary()
_lock = Lock()


def connect(source: object) -> Transport:
    """The transport for a URL or a client. Nothing is sent yet."""
    with _lock:
        if isinstance(source, str):
            if source not in _by_url:
                _by_url[source] = _transport(source)
            return _by_url[source]
        if isinstance(source, Redis):
            if source not in _by_client:
                _by_client[source] = ServerTransport(source.connection_pool)
            return _by_client[source]
    if isinstance(source, RedisCluster):
        raise UnsupportedArgumentTypeError(
            "a RedisCluster client cannot be used yet: give a client or a URL of a single server"
        )
    raise UnsupportedArgumentTypeError(f"redis must be a URL or a redis.asyncio.Redis client, not {source!r}")


def _transport(url: str) -> Transport:
    parts = urlsplit(url)
    if parts.scheme == "embedded":
        name = unquote(url.removeprefix("embedded://"))
        return EmbeddedTransport(engine(name).native, url)
    if parts.scheme in _SCHEMES:
        return ServerTransport.from_url(url)
    raise UnsupportedArgumentValueError(
        # What stands before the @ may be a password.
        f"{url.rpartition('@')[2]!r} is no address of an engine: use redis://, rediss:// or unix:// for a "
        "server, embedded:// for the engine in this process"
    )


async def close_all() -> None:
    """Closes the connections that were opened here for this event loop. A client of the user stays open."""
    with _lock:
        transports = [*_by_url.values(), *_by_client.values()]
    for transport in transports:
        await transport.close()


async def execute(
    route: Route, words: tuple[Word, ...], *, creates: bool = False, also: tuple[Route, ...] = ()
) -> Reply:
    """Runs one command for a model, and `also` for models of other routes to the same place; its reply.

    The models' policies go ahead of their first command on each connection, and again after they changed.
    A command that creates insists on the policy: a server that lost it is told again, and nothing becomes
    immortal in between.
    """
    transport = route.transport or _transport_of_environment()
    policies = [each.policy for each in (route, *also) if each.sends]
    packed = _packed((*words, "EXPECT-POLICY") if creates else words)
    session = await transport.session()
    try:
        news = [policy for policy in policies if session.policies.get(policy.prefix) != policy]
        if not news:
            (answer,) = await session.send(packed)
            return await answer
        return await _announcing(session, news, packed, transport.address)
    except ReplyError as error:
        failure = _failure(error, words, transport.address)
        if not isinstance(failure, PolicyMissingError):
            raise failure from None
    for each in (route, *also):
        if not each.sends:
            raise PolicyMissingError(
                f"the server at {transport.address} has no policy for {each.policy.prefix!r}, and "
                f"policies='expect' forbids setting one; have it set there: {each.policy}"
            )
    try:
        return await _announcing(session, policies, packed, transport.address)
    except ReplyError as error:
        raise _failure(error, words, transport.address) from None


async def scan(route: Route, prefix: str) -> AsyncIterator[list[bytes]]:
    """The keys that start with a prefix, in pages; one that is there all the time comes at least once."""
    transport = route.transport or _transport_of_environment()
    pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", prefix) + "*"
    cursor: Reply = b"0"
    while True:
        session = await transport.session()
        (answer,) = await session.send(
            _packed(("SCAN", cast("bytes", cursor), "MATCH", pattern, "COUNT", 1000))
        )
        cursor, keys = cast("list[Any]", await answer)
        yield keys
        if cursor == b"0":
            return


async def _announcing(
    session: Session, policies: list[Policy], packed: tuple[bytes, ...], address: str
) -> Reply:
    """Sends the policies and the command behind them in one go."""
    for policy in policies:
        session.policies[policy.prefix] = policy
    answers = await session.send(*(_packed(policy.command) for policy in policies), packed)
    *told, answer = await asyncio.gather(*answers, return_exceptions=True)
    for policy, outcome in zip(policies, told, strict=True):
        # A replica has its policies from its primary.
        if isinstance(outcome, BaseException) and not str(outcome).startswith("READONLY"):
            session.policies.pop(policy.prefix, None)
            if not isinstance(outcome, ReplyError) or _is_unknown_command(outcome):
                raise outcome
            raise CommandError(
                f"the server at {address} refuses the policy of {policy.prefix!r}: {outcome}; if this user "
                f"may not set policies, have it set there and use init_rapyer(policies='expect'): {policy}"
            )
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _transport_of_environment() -> Transport:
    url = os.environ.get("RAPYER_URL")
    if not url:
        raise NotConfiguredError(
            "no connection is configured: call init_rapyer(redis='redis://localhost:6379/0') first, or set "
            "the environment variable RAPYER_URL; 'embedded://' needs no server"
        )
    return connect(url)


def _packed(words: tuple[Word, ...]) -> tuple[bytes, ...]:
    try:
        return tuple([word if isinstance(word, bytes) else str(word).encode() for word in words])
    except UnicodeEncodeError as error:
        raise UnsupportedArgumentValueError(f"{error.object!r} is not text that UTF-8 can hold") from None


def _failure(error: ReplyError, words: tuple[Word, ...], address: str) -> RapyerError:
    text = str(error)
    if _is_unknown_command(error):
        return ModuleNotLoadedError(
            f"the server at {address} does not know {words[0]!r}: load rapyer's module into it, "
            'redis-server --loadmodule "$(rapyer module-path)"'
        )
    return command_error(text, " ".join(map(str, words[: 3 if words[0] == "MODEL.TTL" else 2])))


def _is_unknown_command(error: ReplyError) -> bool:
    return str(error).removeprefix("ERR ").startswith("unknown command")
