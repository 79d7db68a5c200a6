"""Real clusters: primaries that share the slots, each with a replica."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode

from _servers import Kind, Server
from _wire import Client, CommandFailed, wait_for

SLOTS = 16384
_OPTIONS = (
    *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"),
    *("--appendonly", "yes", "--appendfsync", "always"),
    *("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
)


class Node:
    """One server of a cluster, with a connection to it."""

    def __init__(self, kind: Kind) -> None:
        self.server = Server.start(kind, _OPTIONS)
        self.client = Client(self.server)
        self.id = self("CLUSTER", "MYID").decode()

    def __call__(self, *words: str | bytes | int) -> Any:
        return self.client(*words)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def kill(self) -> None:
        self.client.close()
        self.server.kill()

    def restart(self) -> None:
        self.client.close()
        self.server.restart()
        self.client = Client(self.server)

    def stop(self) -> None:
        self.client.close()
        self.server.stop()

    def role(self) -> str:
        return str(self.client.info("replication")["role"])


class Cluster:
    """As many primaries as were asked for, the replica of each, and the slots shared out evenly."""

    def __init__(self, kind: Kind, primaries: int = 3) -> None:
        self.nodes = [Node(kind) for _ in range(2 * primaries)]
        self.primaries, self.replicas = self.nodes[:primaries], self.nodes[primaries:]
        for place, node in enumerate(self.primaries):
            first, end = (SLOTS * at // primaries for at in (place, place + 1))
            node("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for place, node in enumerate(self.nodes):
            node("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
            for other in self.nodes[:place]:
                node("CLUSTER", "MEET", *other.address)
        wait_for(lambda: all(self._knows_all(node) for node in self.nodes))
        for primary, replica in zip(self.primaries, self.replicas, strict=True):
            replica("CLUSTER", "REPLICATE", primary.id)
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until every node serves its slots, and every replica follows and is known to follow its primary."""
        wait_for(lambda: all(self._is_whole(node) for node in self.nodes))

    def client(self, **options: Any) -> RedisCluster:
        """A client that is told of one node; the caller closes it."""
        return RedisCluster(startup_nodes=[ClusterNode(*self.nodes[0].address)], **options)

    def owner(self, key: str) -> Node:
        """The primary that has a key's slot, as it says itself."""
        slot = int(self.nodes[0]("CLUSTER", "KEYSLOT", key))
        for node in self.nodes:
            for first, last, primary, *_ in node("CLUSTER", "SLOTS"):
                if first <= slot <= last and primary[2].decode() == node.id:
                    return node
        raise LookupError(f"nobody has slot {slot}")

    def other_primaries(self, primary: Node) -> list[Node]:
        """Those that are primaries now: on a slow machine a replica takes over without being asked."""
        return [node for node in self.nodes if node is not primary and node.role() == "master"]

    def replica_of(self, primary: Node) -> Node:
        for node in self.nodes:
            facts = node.client.info("replication")
            if facts["role"] == "slave" and int(facts["master_port"]) == primary.server.port:
                return node
        raise LookupError(f"nobody follows {primary.address}")

    def promote(self, replica: Node) -> None:
        """Has a replica take over in order; asked again, since primaries do not vote twice in a moment."""
        asked = 0.0

        def is_primary() -> bool:
            nonlocal asked
            if time.monotonic() - asked > 3:
                asked = time.monotonic()
                with suppress(CommandFailed):
                    replica("CLUSTER", "FAILOVER")
            return replica.role() == "master"

        wait_for(is_primary)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def _knows_all(self, node: Node) -> bool:
        lines = node("CLUSTER", "NODES").decode().splitlines()
        return len(lines) == len(self.nodes) and not any("handshake" in line for line in lines)

    def _is_whole(self, node: Node) -> bool:
        if b"cluster_state:ok" not in node("CLUSTER", "INFO"):
            return False
        if sum(len(nodes) == 2 for _, _, *nodes in node("CLUSTER", "SLOTS")) < len(self.primaries):
            return False
        info = node.client.info("replication")
        return info["role"] == "master" or info["master_link_status"] == "up"


class Move:
    """A slot on its way to another primary, as redis-cli moves it."""

    def __init__(self, cluster: Cluster, key: str, chance: random.Random | None = None) -> None:
        self.slot = int(cluster.nodes[0]("CLUSTER", "KEYSLOT", key))
        self.source = cluster.owner(key)
        others = cluster.other_primaries(self.source)
        self.target = others[0] if chance is None else chance.choice(others)

    def begin(self) -> None:
        self.target("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id)

    def keys(self) -> list[bytes]:
        keys: list[bytes] = self.source("CLUSTER", "GETKEYSINSLOT", self.slot, 100)
        return keys

    def carry(self, *keys: bytes) -> None:
        self.source("MIGRATE", *self.target.address, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        for node in (self.target, self.source):
            node("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.id)
