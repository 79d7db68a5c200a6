"""A load of increments, every one of which is accounted for."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from typing_extensions import Self

from rapyer import AtomicRedisModel, Key
from rapyer.errors import NotAppliedError, RapyerConnectionError
from rapyer.types import RedisInt

_SECONDS = 30.0


class Counter(AtomicRedisModel):
    name: Key[str]
    count: RedisInt = RedisInt(0)


class Load:
    """Tasks that increase a counter for as long as the block lasts, and what became of their increments."""

    def __init__(self, counter: Counter, tasks: int = 4) -> None:
        self.acknowledged = 0
        self.unknown = 0
        """Those that may or may not have been applied."""
        self.refused = 0
        """Those that were certainly not applied."""
        self.longest_pause = 0.0
        """The longest that nothing was acknowledged, in seconds."""
        self._counter = counter
        self._number = tasks
        self._ended = False
        self._latest = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._increase()) for _ in range(self._number)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)

    async def goes_on(self, increments: int = 50) -> None:
        """Until so many more were acknowledged."""
        goal, until = self.acknowledged + increments, time.monotonic() + _SECONDS
        while self.acknowledged < goal:
            assert time.monotonic() < until, f"the increments stopped: {self}"
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def is_accounted_for(self, lost: int = 0) -> bool:
        """Whether the counter holds what was acknowledged, less what may be lost, and nothing twice."""
        value = int((await Counter.aget(self._counter.name)).count)
        return self.acknowledged - lost <= value <= self.acknowledged + self.unknown

    async def _increase(self) -> None:
        while not self._ended:
            await self._increase_once()

    async def _increase_once(self) -> None:
        try:
            await self._counter.count.aincrease()
            self.acknowledged += 1
            before, self._latest = self._latest, time.monotonic()
            self.longest_pause = max(self.longest_pause, self._latest - before)
        except NotAppliedError:
            self.refused += 1
            await asyncio.sleep(0.01)
        except RapyerConnectionError:
            self.unknown += 1

    def __repr__(self) -> str:
        return f"{self.acknowledged} acknowledged, {self.unknown} unknown, {self.refused} refused"
