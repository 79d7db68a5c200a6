"""The engine in this process."""

import asyncio
from collections.abc import Awaitable, Sequence

from rapyer._native import CommandError, Engine
from rapyer._policy import Policy
from rapyer._transport import Exchange, Reply, ReplyError, Words
from rapyer._transport.loops import PerLoop

__all__ = ["EmbeddedTransport"]


class EmbeddedTransport:
    """An engine of this process."""

    def __init__(self, engine: Engine, address: str) -> None:
        self.address = address
        self._sessions = PerLoop(lambda: EmbeddedSession(engine, address))

    def run(self, words: Words, exchange: Exchange) -> Awaitable[Reply]:
        return exchange(self._sessions.get(), words)

    def slot(self, key: bytes) -> int:
        return 0

    async def primaries(self) -> "Sequence[EmbeddedTransport]":
        return [self]


class EmbeddedSession:
    """Runs commands at once."""

    def __init__(self, engine: Engine, address: str) -> None:
        self.address = address
        self.policies: dict[str, Policy] = {}
        self._engine = engine

    async def send(self, *commands: Words) -> Sequence[Awaitable[Reply]]:
        # Most are alone, and a comprehension is a call of its own.
        return (self._answer(commands[0]),) if len(commands) == 1 else list(map(self._answer, commands))

    def _answer(self, words: Words) -> "asyncio.Future[Reply]":
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(self._engine.execute(words))
        except CommandError as error:
            answer.set_exception(ReplyError(str(error)))
        return answer

    async def close(self) -> None:
        """Nothing is open; the next session announces its policies anew."""
