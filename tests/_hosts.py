"""One way to speak to every host of the engine: the embedded one and real servers with the module."""

from __future__ import annotations

import asyncio
import itertools
import socket
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Protocol, TypeAlias

import hiredis

from rapyer import embedded
from rapyer._native import CommandError

Reply: TypeAlias = "int | bytes | list[Reply] | None"

_names = itertools.count()


class CommandFailed(Exception):
    """An error reply; its text is the reply's, prefix first."""


class Host(ABC):
    """A clean host: no keys, no policies."""

    name: str
    url: str

    @abstractmethod
    async def call(self, *arguments: str | bytes | int) -> Reply:
        """The raw reply of one command; statuses are bytes. An error reply raises CommandFailed."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None: ...

    @abstractmethod
    async def limit(self, name: str, value: int) -> None:
        """Sets a limit, such as max-document."""

    @abstractmethod
    def another(self) -> AbstractContextManager[Host]:
        """Another client of the same host."""

    async def now_ms(self) -> int:
        seconds, micros = map(int, await self.array("TIME"))
        return seconds * 1000 + micros // 1000

    async def array(self, *arguments: str | bytes | int) -> list[bytes]:
        reply = await self.call(*arguments)
        assert isinstance(reply, list), reply
        return [item for item in reply if isinstance(item, bytes)]

    async def timed(self, *arguments: str | bytes | int) -> tuple[Reply, range]:
        """The reply, and the milliseconds the command may have run at."""
        earliest = await self.now_ms()
        reply = await self.call(*arguments)
        return reply, range(earliest, await self.now_ms() + 1)

    async def refused(self, *arguments: str | bytes | int) -> str:
        """The text of the error reply that the command must get."""
        try:
            reply = await self.call(*arguments)
        except CommandFailed as error:
            return str(error)
        raise AssertionError(f"{arguments!r} was answered with {reply!r} on {self.name}")

    async def lifetime(self, key: str) -> dict[str, int | str | None]:
        """What MODEL.TTL GET tells, by name."""
        reply = await self.call("MODEL.TTL", "GET", key)
        assert isinstance(reply, list), reply
        return {_text(name): _plain(value) for name, value in zip(reply[::2], reply[1::2], strict=True)}

    async def state(self, key: str) -> tuple[Reply, Reply]:
        """A document's text and everything about its lifetime, without touching either."""
        return await self.call("MODEL.GET_RO", key), await self.call("MODEL.TTL", "GET", key)

    async def pttl(self, key: str) -> int:
        reply = await self.call("PTTL", key)
        assert isinstance(reply, int)
        return reply

    async def deadline(self, key: str) -> int:
        """Milliseconds since the epoch; -1 without a deadline, -2 without the key."""
        reply = await self.call("PEXPIRETIME", key)
        assert isinstance(reply, int)
        return reply


class EmbeddedHost(Host):
    name = "embedded"

    def __init__(self) -> None:
        name = f"test-{next(_names)}"
        self.url = f"embedded://{name}"
        self._engine = embedded.engine(name).native

    async def call(self, *arguments: str | bytes | int) -> Reply:
        try:
            return self._engine.execute([_encoded(argument) for argument in arguments])
        except CommandError as error:
            raise CommandFailed(str(error)) from None

    async def pass_time(self, seconds: float) -> None:
        self._engine.advance(round(seconds * 1000))

    async def limit(self, name: str, value: int) -> None:
        self._engine.set_limit(name, value)

    def another(self) -> AbstractContextManager[Host]:
        return nullcontext(self)


class Address(Protocol):
    """Where a server with the module is."""

    @property
    def kind(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...


class ServerHost(Host):
    """Speaks to the server without a client's interpretation of replies."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self.name = server.kind
        self.url = server.url
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self._reader = hiredis.Reader()

    async def reset(self) -> None:
        await self.call("FLUSHALL")
        policies = await self.call("MODEL.POLICY", "LIST")
        assert isinstance(policies, list)
        for policy in policies:
            assert isinstance(policy, list)
            assert isinstance(policy[1], bytes)
            await self.call("MODEL.POLICY", "DEL", policy[1])

    async def call(self, *arguments: str | bytes | int) -> Reply:
        words = tuple(_encoded(argument) for argument in arguments)
        # The stub of pack_command allows for one word only.
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
        while (reply := self._reader.gets()) is False:
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionError(f"{self.name} closed the connection")
            self._reader.feed(received)
        if isinstance(reply, hiredis.ReplyError):
            raise CommandFailed(str(reply))
        return reply  # type: ignore[no-any-return]

    async def pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def limit(self, name: str, value: int) -> None:
        await self.call("CONFIG", "SET", f"rapyer.{name}", value)

    def another(self) -> AbstractContextManager[Host]:
        return closing(ServerHost(self._server))

    def close(self) -> None:
        self._socket.close()


def later(moments: range, by: int) -> range:
    """The same moments, `by` milliseconds later."""
    return range(moments.start + by, moments.stop + by)


def _text(reply: Reply) -> str:
    assert isinstance(reply, bytes), reply
    return reply.decode()


def _plain(reply: Reply) -> int | str | None:
    return reply if reply is None or isinstance(reply, int) else _text(reply)


def _encoded(argument: str | bytes | int) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()
