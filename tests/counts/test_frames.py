"""How many of the package's own calls an operation takes: each costs more than what most of them do."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import rapyer
from rapyer import AtomicRedisModel, RedisConfig, apipeline, init_rapyer, teardown_rapyer
from rapyer.types import RedisInt, RedisList

PACKAGE = str(Path(rapyer.__file__).parent)


class Counted(AtomicRedisModel):
    name: str = "x"
    number: RedisInt = RedisInt(0)
    tags: RedisList[str] = RedisList()


@pytest.fixture
async def counted() -> AsyncIterator[Counted]:
    await init_rapyer(redis="embedded://frames", ttl=1800)
    yield await Counted.aget((await Counted().asave()).key)
    await teardown_rapyer()
    AtomicRedisModel.Meta = RedisConfig()


async def load(counted: Counted) -> None:
    await Counted.aget(counted.key)


async def save(counted: Counted) -> None:
    counted.name = "other " + counted.name[-9:]
    await counted.asave()


async def increase(counted: Counted) -> None:
    await counted.number.aincrease()


async def append(counted: Counted) -> None:
    await counted.tags.aappend("x")


async def change_in_a_block(counted: Counted) -> None:
    async with apipeline():
        counted.number += 1
        counted.tags.append("x")
        counted.name = "other " + counted.name


@pytest.mark.parametrize(
    ("act", "most"), [(load, 20), (save, 40), (increase, 45), (append, 45), (change_in_a_block, 145)]
)
async def test_an_operation_takes_few_calls(
    counted: Counted, act: Callable[[Counted], Awaitable[None]], most: int
) -> None:
    calls: list[str] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls.append(f"{Path(frame.f_code.co_filename).name}: {frame.f_code.co_name}")

    # What is cached from the first use on is not counted.
    for _ in range(2):
        await act(counted)
    sys.setprofile(look)
    try:
        await act(counted)
    finally:
        sys.setprofile(None)
    assert len(calls) <= most, "\n".join(calls)
