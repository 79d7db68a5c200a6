"""What a primary sends to its replicas, command by command."""

from __future__ import annotations

import socket

import hiredis

from _servers import Server

_SILENT = {b"PING", b"SELECT", b"REPLCONF"}


class ReplicationStream:
    """A replica that keeps nothing but the commands it is sent. The primary must sync by way of a file."""

    def __init__(self, primary: Server) -> None:
        self._primary = primary
        self._socket = socket.create_connection(("127.0.0.1", primary.port), timeout=10)
        self._reader = hiredis.Reader()
        self._socket.sendall(b"SYNC\r\n")
        self._skip_snapshot()

    def close(self) -> None:
        self._socket.close()

    def commands(self) -> list[list[bytes]]:
        """Everything since the last call, in the order it was sent."""
        with self._primary.client() as client:
            client.publish("end of stream", "")
        commands: list[list[bytes]] = []
        while (command := self._next()) != [b"publish", b"end of stream", b""]:
            if command[0].upper() not in _SILENT:
                commands.append(command)
        return commands

    def _next(self) -> list[bytes]:
        while (command := self._reader.gets()) is False:
            self._reader.feed(self._receive())
        assert isinstance(command, list), command
        if command[0] == b"PUBLISH":
            command[0] = b"publish"
        return command

    def _skip_snapshot(self) -> None:
        head = b""
        while b"\r\n" not in head.lstrip(b"\n"):
            head += self._receive()
        length, rest = head.lstrip(b"\n").split(b"\r\n", 1)
        missing = int(length[1:]) - len(rest)
        while missing > 0:
            rest = self._receive()
            missing -= len(rest)
        if missing < 0:
            self._reader.feed(rest[missing:])

    def _receive(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the primary ended the replication")
        return data
