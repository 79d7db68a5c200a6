"""The engine in this process."""

import asyncio
from collections.abc import Awaitable, Sequence

from rapyer._native import CommandError, Engine
from rapyer._policy import Policy
from rapyer._transport import Exchange, Reply, ReplyError, Words

__all__ = ["EmbeddedTransport"]


class EmbeddedTransport:
    """Runs commands at once; it is its own and only session."""

    def __init__(self, engine: Engine, address: str) -> None:
        self.address = address
        self.policies: dict[str, Policy] = {}
        self._engine = engine

    def run(self, words: Words, exchange: Exchange) -> Awaitable[Reply]:
        return exchange(self, words)

    async def primaries(self) -> "Sequence[EmbeddedTransport]":
        return [self]

    async def send(self, *commands: Words) -> list[Awaitable[Reply]]:
        return [self._answer(words) for words in commands]

    def _answer(self, words: Words) -> "asyncio.Future[Reply]":
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(self._engine.execute(words))
        except CommandError as error:
            answer.set_exception(ReplyError(str(error)))
        return answer

    async def close(self) -> None:
        self.policies.clear()
