"""Connections to real servers without a client library's interpretation: clients and listening replicas."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

import hiredis
from typing_extensions import Self

from _servers import Server

_SECONDS = 20.0
_SILENT = {b"PING", b"SELECT", b"REPLCONF"}


class CommandFailed(Exception):
    """An error reply; its text is the reply's, prefix first."""


class Connection:
    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=_SECONDS)
        self._reader = hiredis.Reader()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, words: tuple[str | bytes | int, ...]) -> None:
        # The stub's tuple has one element.
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]

    def receive(self) -> Any:
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._read())
        return reply

    def _read(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


class Client(Connection):
    """A client on one connection. Calling it sends a command and gives the reply as the server sent it."""

    def __call__(self, *words: str | bytes | int) -> Any:
        self.send(words)
        reply = self.receive()
        if isinstance(reply, hiredis.ReplyError):
            raise CommandFailed(str(reply))
        return reply

    def reset(self) -> None:
        """Takes every key and every policy away."""
        self("FLUSHALL")
        for policy in self("MODEL.POLICY", "LIST"):
            self("MODEL.POLICY", "DEL", policy[1])

    def info(self, section: str) -> dict[str, str]:
        lines = self("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        seconds, micros = map(int, self("TIME"))
        return seconds * 1000 + micros // 1000

    def pushed(self) -> list[Any]:
        """What the server sends of its own accord, until it falls silent."""
        messages = []
        while select.select([self._socket], [], [], 0.1)[0]:
            messages.append(self.receive())
            while (message := self._reader.gets()) is not False:
                messages.append(message)
        return messages


class ReplicationStream(Connection):
    """A replica that keeps nothing but the commands it is sent. The primary must sync by way of a file."""

    def __init__(self, primary: Server) -> None:
        super().__init__(primary)
        self._primary = primary
        self._socket.sendall(b"SYNC\r\n")
        self._skip_snapshot()

    def commands(self) -> list[list[bytes]]:
        """Everything since the last call, in the order it was sent."""
        with Client(self._primary) as client:
            client("PUBLISH", "end of stream", "")
        commands: list[list[bytes]] = []
        while (command := self.receive())[1:] != [b"end of stream", b""]:
            if command[0].upper() not in _SILENT:
                commands.append(command)
        return commands

    def _skip_snapshot(self) -> None:
        head = b""
        while b"\r\n" not in head.lstrip(b"\n"):
            head += self._read()
        length, rest = head.lstrip(b"\n").split(b"\r\n", 1)
        missing = int(length[1:]) - len(rest)
        while missing > 0:
            rest = self._read()
            missing -= len(rest)
        if missing < 0:
            self._reader.feed(rest[missing:])


class FakePrimary:
    """A primary that holds nothing and replicates whatever a test says; a server becomes its replica."""

    _EMPTY: Final = b"REDIS0009" + b"\xff" + bytes(8)

    def __init__(self, replica: Server) -> None:
        self._reader = hiredis.Reader()
        self._offset = 0
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with Client(replica) as client:
                client("REPLICAOF", "127.0.0.1", listener.getsockname()[1])
            listener.settimeout(_SECONDS)
            self._socket, _ = listener.accept()
        self._socket.settimeout(_SECONDS)
        while (request := self._request())[0].upper() not in (b"PSYNC", b"SYNC"):
            self._socket.sendall(b"+PONG\r\n" if request[0].upper() == b"PING" else b"+OK\r\n")
        snapshot = b"$%d\r\n%b" % (len(self._EMPTY), self._EMPTY)
        self._socket.sendall(b"+FULLRESYNC %b 0\r\n%b" % (b"7" * 40, snapshot))
        wait_until_linked(replica)

    def __call__(self, *words: str | bytes | int) -> None:
        """Replicates one command, and waits until the replica has run it."""
        self._send(words)
        self._send(("REPLCONF", "GETACK", "*"))
        while self._request()[:2] != [b"REPLCONF", b"ACK"] or self._acknowledged < self._offset:
            pass

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, words: tuple[str | bytes | int, ...]) -> None:
        command = hiredis.pack_command(words)  # type: ignore[arg-type]
        self._socket.sendall(command)
        self._before_last, self._offset = self._offset, self._offset + len(command)

    def _request(self) -> list[bytes]:
        while (request := self._reader.gets()) is False:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the replica closed the connection")
            # Replicas keep the connection up with line feeds.
            self._reader.feed(data.lstrip(b"\n"))
        assert isinstance(request, list), request
        if request[:2] == [b"REPLCONF", b"ACK"]:
            # What asks for the acknowledgement is no part of it.
            self._acknowledged = int(request[2]) + self._offset - self._before_last
        return request


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < until, "what was waited for did not happen"
        time.sleep(0.02)


def wait_until_linked(replica: Server) -> None:
    with Client(replica) as client:
        wait_for(lambda: client.info("replication")["master_link_status"] == "up")
