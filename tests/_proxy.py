"""A way to a server that loses what is told to it, or what is answered."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal

from typing_extensions import Self

Loses = Literal["nothing", "requests", "replies"]


class Proxy:
    """Passes on what it is told until it is to lose something: then it ends the connection instead."""

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        ways = (
            asyncio.create_task(self._pass_on(reader, there_writer, "requests")),
            asyncio.create_task(self._pass_on(there_reader, writer, "replies")),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, there_writer):
                end.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, what: Loses) -> None:
        while data := await reader.read(1 << 16):
            if self.loses == what:
                return
            writer.write(data)
            await writer.drain()
