"""The way to a server that Sentinels name, and after a failover to the one they name then."""

import asyncio
import logging
from copy import copy
from typing import Any, Final, NamedTuple, TypeAlias, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from rapyer._transport import Exchange, Reply, ReplyError, Words
from rapyer._transport.limits import NETWORK_ERRORS, Limits, cancelled, pauses
from rapyer._transport.loops import PerLoop, Shared
from rapyer._transport.server import LoopConnection, ServerSession
from rapyer.errors import NotAppliedError

__all__ = ["SentinelTransport"]

_log: Final = logging.getLogger("rapyer")

_Address: TypeAlias = tuple[str, int]

# The last is what every Sentinel says, once it knows. The first two come from the one that carries out the
# failover, before it promotes the replica and as soon as it did.
_EVENTS: Final = ("+failover-state-send-slaveof-noone", "+promoted-slave", "+switch-master")

# How long slower Sentinels may take to contradict the first that answered.
_GRACE: Final = 0.25
# A subscription that is silent for so long is asked whether it is still there.
_SILENCE: Final = 5.0
# Before a Sentinel that cannot be heard is tried again.
_PAUSE: Final = 0.5


class SentinelTransport:
    """The primary, or a replica, that Sentinels name. Connections of the pool are not taken.

    Commands that are certain not to have been applied are repeated while a failover is under way.
    """

    def __init__(self, pool: SentinelConnectionPool, limits: Limits, asking: Limits) -> None:
        given: Any = pool
        self.address = f"Sentinel's {given.service_name!r}"
        self._limits = limits
        self._connections = PerLoop(lambda: _NamedConnection(pool, self.address, limits, asking))
        self._follows_primary: bool = given.is_master

    async def run(self, words: Words, exchange: Exchange) -> Reply:
        ahead = pauses(self._limits.retry)
        while True:
            connection = self._connections.get()
            try:
                return await exchange(await connection.session(), words)
            except ReplyError as error:
                demoted = error.prefix == "READONLY"
                if not self._follows_primary or not (demoted or error.is_transient):
                    raise
                await connection.ask_again()
                refused: Exception = error
                if demoted:
                    refused = NotAppliedError(
                        f"{self.address} is a replica, and no primary is named: {error}"
                    )
            except NotAppliedError as error:
                refused = error
            pause = next(ahead, None)
            if pause is None:
                raise refused
            await asyncio.sleep(pause)

    def slot(self, key: bytes) -> int:
        return 0

    async def primaries(self) -> "list[SentinelTransport]":
        return [self]


class _NamedConnection(LoopConnection):
    """The connection of an event loop to the server that Sentinels name, with an ear to all of them."""

    def __init__(self, pool: SentinelConnectionPool, address: str, limits: Limits, asking: Limits) -> None:
        self._sentinels = _Sentinels(pool, asking)
        super().__init__(self._sentinels, address, limits)
        self._name = str(cast("Any", pool).service_name).encode()
        self._follows_primary: bool = cast("Any", pool).is_master
        self._server: _Address | None = None
        self._epoch = 0
        self._asking = Shared(self._ask_again)
        self._listening: list[asyncio.Task[None]] = []

    async def ask_again(self) -> None:
        """Leaves the server that is connected if the Sentinels name another one now, or are about to."""
        await self._asking.get()

    async def close(self) -> None:
        # First, for what is being opened is about to listen.
        await super().close()
        await cancelled(self._listening)
        await self._asking.settle()
        await self._sentinels.leave()

    async def _open(self) -> ServerSession:
        try:
            session = await super()._open()
        finally:
            await self._sentinels.leave(listening=True)
        if self._follows_primary and not self._listening:
            self._listening = [
                asyncio.create_task(self._listen(sentinel)) for sentinel in self._sentinels.clients
            ]
        return session

    async def _connect(self, connection: Any) -> None:
        await super()._connect(connection)
        self._server, self._epoch = (connection.host, connection.port), self._sentinels.epoch
        if self._follows_primary and await _is_replica(connection):
            raise RedisConnectionError(f"{connection.host}:{connection.port} is named, but is a replica")

    async def _ask_again(self) -> None:
        session = self.opened
        if session is None or not session.open:
            return
        try:
            answer = await self._sentinels.ask()
        except NETWORK_ERRORS as error:
            _log.debug("%s: nobody to ask for the primary: %s", self._address, error)
        else:
            # A Sentinel that comes back knows less than the one that named the server.
            if answer.epoch >= self._epoch and answer.address != self._server:
                session.lose(
                    "a failover is under way" if answer.address is None else "another is primary now"
                )
        finally:
            await self._sentinels.leave(listening=True)

    async def _listen(self, sentinel: Any) -> None:
        """Asks again whenever a Sentinel tells of a failover, and whenever one may have gone unheard."""
        while True:
            hearing = asyncio.create_task(self._hear(sentinel.pubsub()))
            try:
                await asyncio.wait([hearing])
            finally:
                await cancelled([hearing])
            try:
                hearing.result()
            except NETWORK_ERRORS as error:
                _log.debug("%s: a Sentinel cannot be heard: %s", self._address, error)
            await asyncio.sleep(_PAUSE)

    async def _hear(self, subscription: Any) -> None:
        """Until the Sentinel cannot be heard any longer."""
        asked = False
        try:
            await subscription.subscribe(*_EVENTS)
            while True:
                message = await subscription.get_message(timeout=_SILENCE)
                if message is not None and self._concerns(message):
                    await self.ask_again()
                if message is None:
                    if asked:
                        raise RedisConnectionError(f"silent for {2 * _SILENCE:g} s")
                    await subscription.ping()
                asked = message is None
        finally:
            await subscription.aclose()

    def _concerns(self, message: dict[str, Any]) -> bool:
        """Whether a message is of our primary, or says that messages are heard from now on."""
        if message["type"] == "subscribe":
            return int(message["data"]) == len(_EVENTS)
        return message["type"] == "message" and self._name in message["data"].split()


class _Answer(NamedTuple):
    """What one Sentinel says. Of two, the one with the newer configuration is right."""

    epoch: int
    under_way: bool
    """It is carrying out a failover, which the others do not know of yet."""
    address: _Address | None
    """None while it has not promoted a replica."""


class _Sentinels(SentinelConnectionPool):
    """The pool of the user's again, for one event loop; it asks all Sentinels and not the first that answers.

    The user's asks over connections that belong to the event loop which asked first.
    """

    epoch = 0
    """The configuration that the primary was last named by."""

    def __init__(self, pool: SentinelConnectionPool, asking: Limits) -> None:
        given: Any = pool
        # A copy, for a Sentinel has settings that only its constructor knows.
        manager = copy(given.sentinel_manager)
        once = Retry(NoBackoff(), 0)
        settings = {
            **manager.sentinel_kwargs,
            **asking.settings,
            "retry": once,
            "decode_responses": False,
        }
        manager.sentinels = [
            Redis(host=where["host"], port=where["port"], **settings)
            for where in (client.connection_pool.connection_kwargs for client in manager.sentinels)
        ]
        cast("Any", super()).__init__(
            given.service_name,
            manager,
            connection_class=given.connection_class,
            is_master=given.is_master,
            check_connection=given.check_connection,
            **{name: value for name, value in given.connection_kwargs.items() if name != "connection_pool"}
            | {"retry": once},
        )

    @property
    def clients(self) -> list[Any]:
        clients: list[Any] = cast("Any", self).sentinel_manager.sentinels
        return clients

    async def get_master_address(self) -> _Address:
        """The primary.

        Raises:
            MasterNotFoundError: no Sentinel names one, or it is about to be superseded: what it acknowledged
                now might be lost.
        """
        answer = await self.ask()
        self.epoch = answer.epoch
        if answer.address is None:
            raise MasterNotFoundError("a replica is about to take over")
        return answer.address

    async def ask(self) -> _Answer:
        """What the Sentinel with the newest configuration says.

        Raises:
            MasterNotFoundError: none of them says anything.
        """
        asking = {asyncio.create_task(self._ask(sentinel)) for sentinel in self.clients}
        answers: list[_Answer] = []
        failures: list[str] = []
        try:
            while asking:
                done, asking = await asyncio.wait(
                    asking, timeout=_GRACE if answers else None, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for task in done:
                    if (error := task.exception()) is None:
                        answers.append(task.result())
                    else:
                        failures.append(str(error))
        finally:
            await cancelled(asking)
        if not answers:
            raise MasterNotFoundError(f"no Sentinel names a primary: {'; '.join(failures)}")
        return max(answers, key=lambda answer: (answer.epoch, answer.under_way))

    async def leave(self, *, listening: bool = False) -> None:
        """Closes the connections to the Sentinels; with `listening` only those that nothing is heard on."""
        await asyncio.gather(
            *(client.connection_pool.disconnect(inuse_connections=not listening) for client in self.clients)
        )

    async def _ask(self, sentinel: Any) -> _Answer:
        pool: Any = self
        manager, name = pool.sentinel_manager, pool.service_name
        state = await sentinel.sentinel_master(name)
        if "failover_in_progress" in state["flags"]:
            host, port = await sentinel.sentinel_get_master_addr_by_name(name)
            promoted = _forced(manager, host), int(port)
            if promoted != (_forced(manager, state["ip"]), state["port"]):
                return _Answer(state["config-epoch"], True, promoted)
            # One that cannot see the primary may be cut off itself and never become the leader.
            if not state["is_sdown"]:
                return _Answer(state["config-epoch"], True, None)
        if not manager.check_master_state(state, name):
            raise MasterNotFoundError(f"{name!r} is {state['flags']}")
        return _Answer(state["config-epoch"], False, (_forced(manager, state["ip"]), state["port"]))


def _forced(manager: Any, host: str | bytes) -> str:
    """The address that the user has for all servers, where Sentinels know them by ones out of reach."""
    forced: str | None = getattr(manager, "_force_master_ip", None)
    return forced or (host.decode() if isinstance(host, bytes) else host)


async def _is_replica(connection: Any) -> bool:
    """What a server says of itself: unlike ROLE, HELLO takes no permission."""
    try:
        await connection.send_command("HELLO")
        told = await connection.read_response(disable_decoding=True)
    except ResponseError:
        return False
    facts = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=False))
    return facts.get(b"role") in (b"replica", b"slave")
