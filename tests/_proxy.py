"""Ways to a server that lose what is told to it, or what is answered, and ways to nowhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Literal

from typing_extensions import Self

Loses = Literal["nothing", "requests", "replies", "everything"]


class Proxy:
    """Passes on what it is told until it is to lose something: then it ends the connection instead.

    While it loses everything, connections stay open and nothing is heard on them any more.
    """

    def __init__(self, port: int) -> None:
        self.loses: Loses = "nothing"
        self.port = 0
        self._to = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        # What was accepted just now is served before it can be ended.
        await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends, ways = [writer], list[asyncio.Task[None]]()
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
            ends.append(there_writer)
            ways.append(asyncio.create_task(self._pass_on(reader, there_writer, "requests")))
            ways.append(asyncio.create_task(self._pass_on(there_reader, writer, "replies")))
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in ends:
                end.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: Loses) -> None:
        while data := await reader.read(1 << 16):
            if self.loses == what:
                return
            if self.loses == "everything":
                continue
            writer.write(data)
            await writer.drain()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers no attempt to connect, as if a firewall dropped everything."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        # Nobody accepts these, so the queue of those who wait is full.
        for _ in range(2):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
