"""A cluster: each command goes to the node that has its keys.

The nodes are servers like any other, each with one connection for an event loop. redis-py reads the cluster's
layout and the replies that send a command elsewhere; its own pools are not used, because a policy has to go
ahead of the first command on every connection.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import redis.exceptions as redis_errors
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.cluster import ClusterNode, NodesManager
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

import rapyer._commands as commands
from rapyer._policy import Policy
from rapyer._transport import Exchange, Reply, ReplyError, Session, Words
from rapyer._transport.limits import NETWORK_ERRORS, Limits, first_answer, pauses, within
from rapyer._transport.loops import PerLoop, Shared
from rapyer._transport.server import ServerTransport
from rapyer._words import Command
from rapyer.errors import (
    NotAppliedError,
    RapyerConnectionError,
    SlotMovingError,
    UnsupportedArgumentValueError,
    failure_of_parts,
)

__all__ = ["ClusterTransport"]

# What redis-py uses to tell the client itself of maintenance.
_OF_THE_CLIENT: Final = ("maint_notifications_config", "oss_cluster_maint_notifications_handler")

_Address: TypeAlias = tuple[str, int]
_Owners: TypeAlias = dict[int, list[ClusterNode]]
"""The nodes that have a slot, its primary first."""


class ClusterTransport:
    """The nodes that a cluster client of redis-py knows the way to. Its connections are not taken."""

    def __init__(self, client: RedisCluster, timeout: float | None) -> None:
        manager: Any = client.nodes_manager
        self._limits = Limits.of_client(manager.connection_kwargs, timeout)
        self._settings: dict[str, Any] = {
            name: value for name, value in manager.connection_kwargs.items() if name not in _OF_THE_CLIENT
        }
        # A node that is down is looked for elsewhere, not waited for.
        self._settings |= self._limits.settings | {"retry": Retry(NoBackoff(), 0)}
        self._needs_all_slots: bool = manager.require_full_coverage
        self._remap: Callable[[_Address], _Address] = manager.address_remap or (lambda address: address)
        self._seeds = [_address(node) for node in manager.startup_nodes.values()]
        self._nodes: dict[_Address, ServerTransport] = {}
        self._layouts = PerLoop(lambda: _Layout(self._discover))
        self.address = ", ".join(manager.startup_nodes)

    async def run(self, words: Words, exchange: Exchange) -> Reply:
        keys = _keys(words)
        parts: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            parts.setdefault(key_slot(key), []).append(place)
        if len(parts) == 1:
            return await self._run_in(next(iter(parts)), words, exchange)
        if words[0] not in _JOINS:
            raise _crossing(words, keys)
        return await self._run_in_parts(list(parts.values()), words, exchange)

    async def _run_in_parts(self, parts: list[list[int]], words: Words, exchange: Exchange) -> Reply:
        """Runs a command on some of its keys at a time, each part's in one slot."""
        name, *keys = words
        outcomes = await asyncio.gather(
            *(
                self._run_in(key_slot(keys[part[0]]), (name, *(keys[place] for place in part)), exchange)
                for part in parts
            ),
            return_exceptions=True,
        )
        if (failure := failure_of_parts(outcomes, changes=name == _DELETES)) is not None:
            raise failure
        return _JOINS[name](parts, cast("list[Reply]", outcomes))

    def slot(self, key: bytes) -> int:
        return int(key_slot(key))

    async def primaries(self) -> Sequence[ServerTransport]:
        layout = self._layouts.get()
        # Asked anew, for what has no key is answered by a node that is a primary no longer as well.
        layout.forget(None)
        addresses = dict.fromkeys(_address(nodes[0]) for nodes in (await layout.owners()).values())
        return [self._node(address) for address in addresses]

    async def _run_in(self, slot: int, words: Words, exchange: Exchange) -> Reply:
        """Runs a command whose keys are in one slot, wherever that is now."""
        layout, ahead = self._layouts.get(), pauses(self._limits.retry)
        keys = len(words) - 1 if words[0] in _JOINS else 1
        named: _Address | None = None
        asking = False
        while True:
            owners: _Owners | None = None
            try:
                if (address := named) is None:
                    owners = await layout.owners()
                    address = self._owner(owners, slot)
                session = await self._node(address).session()
                return await exchange(_Asking(session) if asking else session, words)
            except ReplyError as error:
                named, asking = self._named_by(error), error.prefix == "ASK"
                if named is None and not error.is_transient:
                    raise
                if error.prefix == "TRYAGAIN" and keys > 1:
                    # Some keys have left already. Each by itself is where its node says.
                    return await self._run_in_parts([[key] for key in range(keys)], words, exchange)
                if error.prefix not in ("ASK", "TRYAGAIN"):
                    layout.forget(owners)
                moving = named is not None or error.prefix == "TRYAGAIN"
                refused: Exception = self._moving(slot, words, error) if moving else error
            except NotAppliedError as error:
                named, asking = None, False
                layout.forget(owners)
                refused = error
            except RapyerConnectionError:
                # The command may have been applied: only those after it look where the slot is now.
                layout.forget(owners)
                raise
            pause = next(ahead, None)
            if pause is None:
                raise refused
            await asyncio.sleep(pause)

    def _moving(self, slot: int, words: Words, error: ReplyError) -> SlotMovingError:
        return SlotMovingError(
            f"{words[0].decode()} was not applied: slot {slot} of the cluster of {self.address} is on its "
            f"way from node to node, and none has answered within {self._limits.retry:g} s ({error}); repeat "
            "it once the slot has arrived"
        )

    def _named_by(self, error: ReplyError) -> _Address | None:
        """The node that a reply sends the command to."""
        if error.prefix not in ("ASK", "MOVED"):
            return None
        host, port = redis_errors.AskError(str(error).partition(" ")[2]).node_addr
        return self._remap((host, port))

    def _owner(self, owners: _Owners, slot: int) -> _Address:
        if slot not in owners:
            raise NotAppliedError(f"no node of the cluster of {self.address} has slot {slot}")
        return _address(owners[slot][0])

    def _node(self, address: _Address) -> ServerTransport:
        if address not in self._nodes:
            node = self._cluster_node(address)
            pool = ConnectionPool(connection_class=node.connection_class, **node.connection_kwargs)
            self._nodes.setdefault(address, ServerTransport(pool, self._limits))
        return self._nodes[address]

    def _cluster_node(self, address: _Address) -> Any:
        return cast("Any", ClusterNode)(*address, **self._settings)

    async def _discover(self) -> _Owners:
        """Asks the nodes for the slots, in a new order every time: one may be cut off from the others."""
        known = list(dict.fromkeys((*self._seeds, *self._nodes)))
        try:
            return await first_answer(
                partial(self._discover_from, node) for node in random.sample(known, len(known))
            )
        except NETWORK_ERRORS as error:
            raise NotAppliedError(
                f"cannot learn from any of the nodes {self.address} who has which keys: {error}; "
                "check that they run, form a cluster and have all slots"
            ) from error

    async def _discover_from(self, address: _Address) -> _Owners:
        """Asks with a manager of its own: the client's belongs to its event loop."""
        node = self._cluster_node(address)
        manager = cast("Any", NodesManager)(
            [node], self._needs_all_slots, self._settings, address_remap=self._remap
        )
        try:
            await within(self._limits.handshake, manager.initialize())
        finally:
            await asyncio.gather(manager.aclose(), node.disconnect())
        return cast("_Owners", manager.slots_cache)


def _address(node: ClusterNode) -> _Address:
    return node.host, int(node.port)


class _Layout:
    """Which node has which slot, as far as one event loop knows."""

    def __init__(self, discover: Callable[[], Awaitable[_Owners]]) -> None:
        self._owners: _Owners | None = None
        self._discover = discover
        self._looking = Shared(self._look)

    async def owners(self) -> _Owners:
        return self._owners if self._owners is not None else await self._looking.get()

    def forget(self, owners: _Owners | None) -> None:
        """Has the nodes asked again, unless that was done since `owners` was known; None: in any case."""
        if owners is None or self._owners is owners:
            self._owners = None

    async def close(self) -> None:
        await self._looking.settle()

    async def _look(self) -> _Owners:
        self._owners = owners = await self._discover()
        return owners


class _Asking:
    """A session with a node that does not have the slot yet: it answers a command behind ASKING."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def address(self) -> str:
        return self._session.address

    @property
    def policies(self) -> dict[str, Policy]:
        return self._session.policies

    async def send(self, *commands: Words) -> list[Any]:
        *ahead, command = commands
        *answers, asked, answer = await self._session.send(*ahead, (b"ASKING",), command)
        # Where ASKING fails, the command says why.
        cast("asyncio.Future[Reply]", asked).add_done_callback(
            lambda done: None if done.cancelled() else done.exception()
        )
        return [*answers, answer]


# -- the keys of a command


def _keys(words: Words) -> Words:
    """The keys among a command's words. Of the server's own commands, those on one key are known."""
    try:
        keys = commands.keys_of(words)
    except KeyError:
        return words[1:2]
    if not keys:
        raise UnsupportedArgumentValueError(
            f"{words[0].decode()} has no key that says where in a cluster it goes"
        )
    return keys


def _crossing(words: Words, keys: Words) -> UnsupportedArgumentValueError:
    names = ", ".join(repr(key.decode(errors="replace")) for key in keys)
    return UnsupportedArgumentValueError(
        f"{words[0].decode()} works on its keys as one, and in a cluster these are in different slots: "
        f"{names}; give them a hash tag in common, a part in braces that alone decides about the slot, as in "
        "the primary key '{user1}:cart'"
    )


# -- the commands that may be done slot by slot, and what makes their replies one


def _in_order(places: list[list[int]], replies: list[Reply]) -> Reply:
    by_place = zip(chain.from_iterable(places), chain.from_iterable(cast("Any", replies)), strict=True)
    return [reply for _, reply in sorted(by_place, key=lambda pair: pair[0])]


def _total(_: list[list[int]], replies: list[Reply]) -> Reply:
    return sum(cast("list[int]", replies))


def _name(words: Command) -> bytes:
    return str(words[0]).encode()


_DELETES: Final = _name(commands.del_(""))
_JOINS: Final[dict[bytes, Callable[[list[list[int]], list[Reply]], Reply]]] = {
    _name(commands.mget("")): _in_order,
    _name(commands.mget_ro("")): _in_order,
    _DELETES: _total,
}
