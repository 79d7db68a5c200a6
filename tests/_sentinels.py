"""Real Sentinels, with a primary and a replica to watch."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from _servers import Kind, Server
from _wire import Client, wait_for, wait_until_linked


class Watched:
    """A primary, a replica of it, and Sentinels that watch both."""

    def __init__(self, kind: Kind, running: ExitStack, sentinels: int = 1) -> None:
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
        self.sentinels = [start("--sentinel", module=False) for _ in range(sentinels)]
        self.sentinel = self.sentinels[0]
        """The one that is asked by the tests, and carries out the failovers they order."""
        self.watch(self.primary)
        wait_for(lambda: all(self._knows_the_others(sentinel) for sentinel in self.sentinels))

    @property
    def ports(self) -> list[int]:
        return [sentinel.port for sentinel in self.sentinels]

    # Each on a new connection, for Sentinel ends those to a server that takes over.

    def at_primary(self, *words: str | bytes | int) -> Any:
        return at(self.primary, *words)

    def at_replica(self, *words: str | bytes | int) -> Any:
        return at(self.replica, *words)

    def at_sentinel(self, *words: str | bytes | int) -> Any:
        return at(self.sentinel, *words)

    def watch(self, primary: Server) -> None:
        for sentinel in self.sentinels:
            at(sentinel, "SENTINEL", "MONITOR", "main", "127.0.0.1", primary.port, 1)
            settings = ("down-after-milliseconds", 500, "failover-timeout", 5000)
            at(sentinel, "SENTINEL", "SET", "main", *settings)

    def watch_in_the_dark(self, running: ExitStack) -> Server:
        """A Sentinel that hears nothing of the others, and so goes on naming the primary of today."""
        sentinel = Server.start(self.primary.kind, ["--sentinel"], module=False)
        running.callback(sentinel.stop)
        for server in (self.primary, self.replica):
            at(server, "ACL", "SETUSER", "dark", "on", ">dark", "~*", "resetchannels", "+@all")
        at(sentinel, "SENTINEL", "MONITOR", "main", "127.0.0.1", self.primary.port, 2)
        at(sentinel, "SENTINEL", "SET", "main", "auth-user", "dark", "auth-pass", "dark")
        return sentinel

    def fail_over(self) -> None:
        """Orders a failover, and waits until its Sentinel names the other server."""
        before = self.names()
        self.at_sentinel("SENTINEL", "FAILOVER", "main")
        wait_for(lambda: self.names() != before)

    def forget(self) -> None:
        for sentinel in self.sentinels:
            at(sentinel, "SENTINEL", "REMOVE", "main")

    def could_fail_over(self) -> bool:
        """Whether Sentinel knows the replica, and that it follows the primary."""
        replicas = self.at_sentinel("SENTINEL", "REPLICAS", "main")
        facts = replicas[0] if replicas else []
        return dict(zip(facts[::2], facts[1::2], strict=True)).get(b"master-link-status") == b"ok"

    def _knows_the_others(self, sentinel: Server) -> bool:
        facts = at(sentinel, "SENTINEL", "MASTER", "main")
        known = dict(zip(facts[::2], facts[1::2], strict=True))[b"num-other-sentinels"]
        return int(known) == len(self.sentinels) - 1

    def names(self) -> int:
        return int(self.at_sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])


def at(server: Server, *words: str | bytes | int) -> Any:
    with Client(server) as client:
        return client(*words)
