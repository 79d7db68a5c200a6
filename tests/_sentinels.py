"""A real Sentinel, with a primary and a replica to watch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from _servers import Kind, Server
from _wire import Client, wait_for, wait_until_linked


class Watched:
    """A primary, a replica of it, and a Sentinel that watches both."""

    def __init__(self, kind: Kind, running: ExitStack) -> None:
        def start(*arguments: str, module: bool = True) -> Server:
            server = Server.start(kind, arguments, module)
            running.callback(server.stop)
            return server

        quick = ("--repl-diskless-sync-delay", "0")
        self.primary = start(*quick)
        self.replica = start(*quick, "--replicaof", "127.0.0.1", str(self.primary.port))
        wait_until_linked(self.replica)
        # The primary sends a new replica its first commands only after a while.
        self.at_primary("SET", "ready", "")
        wait_for(lambda: self.at_replica("EXISTS", "ready") == 1)
        self.sentinel = start("--sentinel", module=False)
        self.watch(self.primary)

    # Each on a new connection, for Sentinel ends those to a server that takes over.

    def at_primary(self, *words: str | bytes | int) -> Any:
        return at(self.primary, *words)

    def at_replica(self, *words: str | bytes | int) -> Any:
        return at(self.replica, *words)

    def at_sentinel(self, *words: str | bytes | int) -> Any:
        return at(self.sentinel, *words)

    def watch(self, primary: Server) -> None:
        self.at_sentinel("SENTINEL", "MONITOR", "main", "127.0.0.1", primary.port, 1)
        self.at_sentinel("SENTINEL", "SET", "main", "down-after-milliseconds", 500, "failover-timeout", 5000)

    def forget(self) -> None:
        self.at_sentinel("SENTINEL", "REMOVE", "main")

    def could_fail_over(self) -> bool:
        """Whether Sentinel knows the replica, and that it follows the primary."""
        replicas = self.at_sentinel("SENTINEL", "REPLICAS", "main")
        facts = replicas[0] if replicas else []
        return dict(zip(facts[::2], facts[1::2], strict=True)).get(b"master-link-status") == b"ok"

    def names(self) -> int:
        return int(self.at_sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])


def at(server: Server, *words: str | bytes | int) -> Any:
    with Client(server) as client:
        return client(*words)
